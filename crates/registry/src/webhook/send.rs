//! Telling webhooks.
//!
//! Signed after the manner of Standard Webhooks, as MLflow does: HMAC-SHA256 over `id.timestamp.body`, in base64 behind
//! `v1,`. A delivery may come twice when the server dies between the answer and the note of it; its id tells.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use mainspring_catalog::{Change, Expect, ListQuery, Principal, Stored};
use mainspring_govern::{Reach, resolve};
use reqwest::StatusCode;
use serde_json::json;
use sha2::Sha256;

use super::book::{destination, node};
use super::{Delivery, EventKind, Webhook};
use crate::{Registry, Result};

/// How often a delivery is tried: with doubling waits, over some ten minutes.
pub const ATTEMPTS_MAX: u32 = 10;
/// The wait before the second attempt; it doubles up to [`WAIT_MAX`].
const WAIT_FIRST: SignedDuration = SignedDuration::from_secs(1);
/// The longest wait between two attempts.
const WAIT_MAX: SignedDuration = SignedDuration::from_secs(180);
/// How long a receiver may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Deliveries under way at once.
const PARALLEL: usize = 8;
/// Deliveries of one webhook in one round: one that is slow holds up the others only so much.
const ROUND: usize = 4;
/// How long the sender sleeps when nothing wakes it: another process may have written.
const SLEEP: Duration = Duration::from_secs(2);

/// Sends what waits in the outbox.
#[derive(Debug, Clone)]
pub struct WebhookSender {
    registry: Registry,
    reach: Reach,
}

/// What came of trying a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// It answered.
    Answered {
        /// With this status.
        status: u16,
        /// And this text, or its beginning.
        body: String,
    },
    /// It did not.
    Failed {
        /// Why not.
        reason: String,
        /// Whether trying again may help.
        passing: bool,
    },
}

impl Tried {
    /// Whether the receiver took what it was sent.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Answered { status, .. } if is_taken(*status))
    }
}

impl WebhookSender {
    /// A sender for a registry's outbox.
    #[must_use]
    pub fn new(registry: Registry, reach: Reach) -> Self {
        Self { registry, reach }
    }

    /// Which addresses it calls.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Sends for ever. Nothing is lost when it is dropped: what waits stays in the catalog.
    pub async fn run(self) {
        if let Err(error) = self.drop_orphans().await {
            tracing::error!(%error, "deliveries of webhooks that are gone could not be cleared away");
        }
        if let Err(error) = self.registry.renew_secrets().await {
            tracing::error!(%error, "the secrets of webhooks could not be gone through");
        }
        loop {
            if let Err(error) = self.round().await {
                tracing::error!(%error, "the outbox of webhooks could not be worked on");
            }
            let _woken_or_not = tokio::time::timeout(SLEEP, self.registry.told.notified()).await;
        }
    }

    /// Sends what is due, once.
    pub(super) async fn round(&self) -> Result<()> {
        if self.registry.catalog.count::<Delivery>(None).await? == 0 {
            return Ok(());
        }
        let now = Timestamp::now();
        let mut waiting = vec![];
        for webhook in self.registry.webhooks().await? {
            waiting.extend(self.registry.catalog.list::<Delivery>(ListQuery::of(webhook.id).limit(ROUND)).await?);
        }
        let due = waiting.into_iter().filter(|stored: &Stored<Delivery>| stored.document.next_at <= now);
        let due: Vec<Stored<Delivery>> = due.collect();
        let sender = self.clone();
        let sending = futures::stream::iter(due).map(move |stored| {
            let sender = sender.clone();
            async move { sender.deliver(stored).await }
        });
        let sent: Vec<Result<()>> = sending.buffer_unordered(PARALLEL).collect().await;
        sent.into_iter().collect()
    }

    /// A webhook may be deleted in the moment in which something is written down for it.
    async fn drop_orphans(&self) -> Result<()> {
        for stored in self.registry.catalog.all::<Delivery>(ListQuery::default()).await? {
            if self.registry.catalog.get::<Webhook>(&stored.document.webhook).await?.is_none() {
                let unchanged = stored.unchanged();
                self.end(&stored.document, unchanged, "webhook.drop", json!({ "reason": "deleted" })).await?;
            }
        }
        Ok(())
    }

    async fn deliver(&self, stored: Stored<Delivery>) -> Result<()> {
        let unchanged = stored.unchanged();
        let delivery = stored.document;
        let webhook = self.registry.catalog.get::<Webhook>(&delivery.webhook).await?.map(|stored| stored.document);
        let Some(webhook) = webhook.filter(|webhook| webhook.active) else {
            return self.end(&delivery, unchanged, "webhook.drop", json!({ "reason": "deleted or disabled" })).await;
        };
        let tried = match self.registry.signing_secret(&webhook) {
            Ok(secret) => self.send(&webhook, secret.as_deref(), &delivery.id, &delivery.body).await,
            // the server may soon be started with the key
            Err(error) => Tried::Failed { reason: error.to_string(), passing: true },
        };
        let detail = |words: serde_json::Value| json!({ "event": delivery.event, "attempts": delivery.attempts + 1, "answer": words });
        match tried {
            Tried::Answered { status, .. } if is_taken(status) => {
                self.end(&delivery, unchanged, "webhook.deliver", detail(json!(status))).await
            }
            Tried::Answered { status, .. } if !may_pass(status) || delivery.attempts + 1 >= ATTEMPTS_MAX => {
                self.end(&delivery, unchanged, "webhook.give_up", detail(json!(status))).await
            }
            Tried::Failed { reason, passing } if !passing || delivery.attempts + 1 >= ATTEMPTS_MAX => {
                self.end(&delivery, unchanged, "webhook.give_up", detail(json!(reason))).await
            }
            Tried::Answered { .. } | Tried::Failed { .. } => {
                let words = format!("{tried:?}").chars().take(200).collect::<String>();
                let wait = WAIT_FIRST.saturating_mul(1 << delivery.attempts.min(16)).min(WAIT_MAX);
                let next_at = Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX);
                let later = Delivery { attempts: delivery.attempts + 1, next_at, ..delivery.clone() };
                let change = Change::new(&system(), "webhook.retry", node(&delivery.webhook))
                    .detail(detail(json!(words)))
                    .put(&later, unchanged)?;
                Ok(self.registry.catalog.commit(change).await.map(|_| ())?)
            }
        }
    }

    async fn end(&self, delivery: &Delivery, unchanged: Expect, action: &str, detail: serde_json::Value) -> Result<()> {
        let change = Change::new(&system(), action, node(&delivery.webhook)).detail(detail);
        let change = if action == "webhook.deliver" { change } else { change.refused() };
        let change = change.delete::<Delivery>(&delivery.id, unchanged);
        Ok(self.registry.catalog.commit(change).await.map(|_| ())?)
    }

    /// Sends an example of an event, once.
    ///
    /// # Errors
    /// [`Error::Secret`](crate::Error::Secret) when no key opens what it is to be signed with.
    pub async fn try_out(&self, webhook: &Webhook, event: EventKind) -> Result<Tried> {
        let secret = self.registry.signing_secret(webhook)?;
        let body = event.example().body(Timestamp::now());
        Ok(self.send(webhook, secret.as_deref(), &uuid::Uuid::now_v7().to_string(), &body).await)
    }

    async fn send(&self, webhook: &Webhook, secret: Option<&str>, id: &str, body: &str) -> Tried {
        let failed = |reason: String, passing: bool| Tried::Failed { reason, passing };
        let (host, port) = match destination(&webhook.url, self.reach) {
            Ok(destination) => destination,
            Err(error) => return failed(error.to_string(), false),
        };
        let addresses = match resolve(&host, port, self.reach).await {
            Ok(addresses) => addresses,
            Err(error @ mainspring_govern::ForbiddenDestination::Private { .. }) => {
                return failed(error.to_string(), false);
            }
            Err(error) => return failed(error.to_string(), true),
        };
        // a client of its own: it connects to the addresses that were judged, follows nothing, and asks no proxy
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_MAX)
            .resolve_to_addrs(&host, &addresses)
            .build();
        let client = match client {
            Ok(client) => client,
            Err(error) => return failed(error.to_string(), true),
        };
        let timestamp = Timestamp::now().as_second().to_string();
        let mut request = client
            .post(&webhook.url)
            .header("Content-Type", "application/json")
            .header("X-MLflow-Delivery-Id", id)
            .header("X-MLflow-Timestamp", &timestamp);
        if let Some(secret) = secret {
            request = request.header("X-MLflow-Signature", signature(secret, id, &timestamp, body));
        }
        let answer = match request.body(body.to_owned()).send().await {
            Ok(answer) => answer,
            Err(error) => return failed(words(&error), true),
        };
        let status = answer.status().as_u16();
        let mut text = vec![];
        let mut parts = answer.bytes_stream();
        while let Some(Ok(part)) = parts.next().await {
            text.extend_from_slice(&part[..part.len().min(ANSWER_BYTES_MAX - text.len())]);
            if text.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        Tried::Answered { status, body: String::from_utf8_lossy(&text).into_owned() }
    }
}

/// The signature of a delivery, `v1,` and base64.
fn signature(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    // keys of any length are taken, so the empty text stands for a case that is not
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Whether a receiver that answers so has taken what it was sent; a redirect is not followed, so it has not.
fn is_taken(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Whether a receiver that answers so may answer otherwise later.
fn may_pass(status: u16) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS.as_u16() || status == StatusCode::REQUEST_TIMEOUT.as_u16() || status >= 500
}

fn words(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}

pub(super) fn system() -> Principal {
    Principal::system("webhooks")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_mlflow() {
        // hmac.new(b"secret", b"id.1700000000.{}", sha256), in Python
        assert_eq!(signature("secret", "id", "1700000000", "{}"), "v1,GBemBzTgbKoVEGKycqyY3615LbdJbhFLE1oQk+zZ+lo=");
    }
}
