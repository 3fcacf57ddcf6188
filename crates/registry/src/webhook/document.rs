//! What the catalog keeps of webhooks.

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use mainspring_govern::KeptSecret;
use serde::{Deserialize, Serialize};

use super::EventKind;

/// Somebody who wants to be told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where to send.
    pub url: String,
    /// Of what.
    pub events: Vec<EventKind>,
    /// What deliveries are signed with. It never leaves the server.
    pub secret: Option<KeptSecret>,
    /// Whether it is told at present.
    pub active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who made it.
    pub by: Principal,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Document for Webhook {
    const KIND: &'static str = "webhook";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Something that is to be told to a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its identifier, by which a receiver knows one that comes twice.
    pub id: String,
    /// The webhook.
    pub webhook: String,
    /// What kind of event it tells of.
    pub event: EventKind,
    /// The body.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: Timestamp,
}

impl Document for Delivery {
    const KIND: &'static str = "webhook_delivery";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.webhook.clone())
    }
}
