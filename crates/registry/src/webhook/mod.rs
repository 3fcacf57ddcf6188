//! Webhooks: who wants to be told of what, and the telling of it.
//!
//! What is to be told is written in the same transaction as what happened, so that neither a crash nor a receiver that is
//! down loses it; [`WebhookSender`] takes it from there, signs it, and tries until it is taken or was tried often enough. The
//! outbox is bounded: past [`OUTBOX_MAX`] waiting deliveries further ones are dropped, which the log says.
//!
//! Secrets are sealed at rest where the server has a key for that. What cannot be signed is not sent.

mod book;
mod document;
mod event;
mod secret;
mod send;

pub use book::{NewWebhook, WebhookEdit};
pub use document::{Delivery, Webhook};
pub use event::{EventKind, WebhookEvent};
pub use send::{Tried, WebhookSender};

/// The most webhooks: each change looks through them.
pub const WEBHOOKS_MAX: usize = 1_000;
/// The most deliveries that wait; a receiver that is down for a day must not fill the catalog.
pub const OUTBOX_MAX: u64 = 10_000;
