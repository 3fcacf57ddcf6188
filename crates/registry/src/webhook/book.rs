//! Making, changing and removing webhooks, and writing down what they are to be told.

use jiff::Timestamp;
use mainspring_catalog::{Change, Expect, ListQuery, Principal, Stored};
use mainspring_govern::{Reach, resolve};
use serde_json::json;
use url::Url;

use super::{Delivery, EventKind, OUTBOX_MAX, WEBHOOKS_MAX, Webhook, WebhookEvent};
use crate::{Error, Registry, Result};

/// The longest name.
const NAME_CHARACTERS_MAX: usize = 63;
/// The longest address.
const URL_BYTES_MAX: usize = 2_048;
/// The longest secret and description.
const TEXT_BYTES_MAX: usize = 8_000;

/// A webhook to be made.
#[derive(Debug, Clone, Default)]
pub struct NewWebhook {
    /// See [`Webhook::name`].
    pub name: String,
    /// See [`Webhook::description`].
    pub description: Option<String>,
    /// See [`Webhook::url`].
    pub url: String,
    /// See [`Webhook::events`].
    pub events: Vec<EventKind>,
    /// See [`Webhook::secret`].
    pub secret: Option<String>,
    /// See [`Webhook::active`].
    pub disabled: bool,
}

/// What is to be changed of a webhook; what is none stays.
#[derive(Debug, Clone, Default)]
pub struct WebhookEdit {
    /// See [`Webhook::name`].
    pub name: Option<String>,
    /// See [`Webhook::description`].
    pub description: Option<String>,
    /// See [`Webhook::url`].
    pub url: Option<String>,
    /// See [`Webhook::events`].
    pub events: Option<Vec<EventKind>>,
    /// See [`Webhook::secret`].
    pub secret: Option<String>,
    /// See [`Webhook::active`].
    pub active: Option<bool>,
}

impl Registry {
    /// Makes a webhook.
    ///
    /// # Errors
    /// [`Error::Webhook`] for a name, address or list of events that breaks a rule, or when the catalog fails.
    pub async fn create_webhook(&self, new: NewWebhook, reach: Reach, principal: &Principal) -> Result<Webhook> {
        let now = Timestamp::now();
        let id = uuid::Uuid::now_v7().to_string();
        let secret = match &new.secret {
            Some(secret) => self.new_secret(&id, secret)?,
            None => None,
        };
        let webhook = Webhook {
            id,
            name: new.name,
            description: new.description,
            url: new.url,
            events: new.events,
            secret,
            active: !new.disabled,
            created_at: now,
            updated_at: now,
            by: principal.clone(),
        };
        check(&webhook, new.secret.as_deref(), reach).await?;
        if self.catalog.count::<Webhook>(None).await? >= WEBHOOKS_MAX as u64 {
            return Err(Error::Webhook(format!(
                "There are {WEBHOOKS_MAX} webhooks, which is the most; delete one first."
            )));
        }
        let change = Change::new(principal, "webhook.create", node(&webhook.id))
            .detail(json!({ "name": webhook.name, "url": webhook.url, "events": webhook.events }))
            .put(&webhook, Expect::Absent)?;
        self.commit(change).await?;
        Ok(webhook)
    }

    /// A webhook.
    ///
    /// # Errors
    /// [`Error::NoWebhook`], or when the catalog fails.
    pub async fn webhook(&self, id: &str) -> Result<Webhook> {
        Ok(self.stored_webhook(id).await?.document)
    }

    async fn stored_webhook(&self, id: &str) -> Result<Stored<Webhook>> {
        self.catalog.get(id).await?.ok_or_else(|| Error::NoWebhook(id.into()))
    }

    /// All webhooks, the newest first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>> {
        let stored = self.catalog.list::<Webhook>(ListQuery::default().newest_first().limit(WEBHOOKS_MAX)).await?;
        Ok(stored.into_iter().map(|stored| stored.document).collect())
    }

    /// Changes a webhook.
    ///
    /// # Errors
    /// As [`create_webhook`](Self::create_webhook), and [`Error::NoWebhook`].
    pub async fn edit_webhook(
        &self,
        id: &str,
        edit: WebhookEdit,
        reach: Reach,
        principal: &Principal,
    ) -> Result<Webhook> {
        let stored = self.stored_webhook(id).await?;
        let unchanged = stored.unchanged();
        let before = stored.document;
        let secret = match &edit.secret {
            Some(secret) => self.new_secret(id, secret)?,
            None => before.secret.map(|kept| self.renewed_secret(id, kept)),
        };
        let webhook = Webhook {
            name: edit.name.unwrap_or(before.name),
            description: edit.description.or(before.description),
            url: edit.url.unwrap_or(before.url),
            events: edit.events.unwrap_or(before.events),
            secret,
            active: edit.active.unwrap_or(before.active),
            updated_at: Timestamp::now(),
            ..before
        };
        check(&webhook, edit.secret.as_deref(), reach).await?;
        let change = Change::new(principal, "webhook.update", node(id))
            .detail(
                json!({ "name": webhook.name, "url": webhook.url, "events": webhook.events, "active": webhook.active }),
            )
            .put(&webhook, unchanged)?;
        self.commit(change).await?;
        Ok(webhook)
    }

    /// Removes a webhook; what it was still to be told is not told.
    ///
    /// # Errors
    /// [`Error::NoWebhook`], or when the catalog fails.
    pub async fn delete_webhook(&self, id: &str, principal: &Principal) -> Result<()> {
        let stored = self.stored_webhook(id).await?;
        let mut change = Change::new(principal, "webhook.delete", node(id)).delete::<Webhook>(id, stored.unchanged());
        for waiting in self.catalog.all::<Delivery>(ListQuery::of(id)).await? {
            change = change.delete::<Delivery>(waiting.document.id, Expect::Any);
        }
        self.commit(change).await
    }

    /// Writes down with a change what the webhooks are to be told of it.
    pub(crate) async fn announce(&self, mut change: Change, event: &WebhookEvent) -> Result<Change> {
        let wants = |webhook: &Webhook| webhook.active && webhook.events.contains(&event.kind);
        let wanting: Vec<Webhook> = self.webhooks().await?.into_iter().filter(wants).collect();
        if wanting.is_empty() {
            return Ok(change);
        }
        let waiting = self.catalog.count::<Delivery>(None).await?;
        let now = Timestamp::now();
        let body = event.body(now);
        for webhook in wanting {
            if waiting >= OUTBOX_MAX {
                tracing::warn!(webhook = webhook.name, event = %event.kind, "the outbox of webhooks is full: not told");
                continue;
            }
            let delivery = Delivery {
                id: uuid::Uuid::now_v7().to_string(),
                webhook: webhook.id,
                event: event.kind,
                body: body.clone(),
                attempts: 0,
                next_at: now,
            };
            change = change.put(&delivery, Expect::Absent)?;
        }
        Ok(change)
    }

    /// Commits a change, and wakes whoever tells of it.
    pub(crate) async fn commit(&self, change: Change) -> Result<()> {
        self.catalog.commit(change).await?;
        self.told.notify_one();
        Ok(())
    }
}

pub(super) fn node(id: &str) -> String {
    format!("webhook:{id}")
}

async fn check(webhook: &Webhook, secret: Option<&str>, reach: Reach) -> Result<()> {
    let refuse = |words: String| Err(Error::Webhook(words));
    let Webhook { name, url, events, .. } = webhook;
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fits = name.len() <= NAME_CHARACTERS_MAX && name.chars().all(inner);
    if !(fits && ends(name.chars().next()) && ends(name.chars().last())) {
        let shown: String = name.chars().take(80).collect();
        return refuse(format!(
            "Webhook name '{shown}' is invalid. It must start and end with a letter or digit, have at most 63 characters, \
             and contain only letters, digits, dots (.), underscores (_), and hyphens (-)."
        ));
    }
    if events.is_empty() {
        return refuse("Webhook events must be a non-empty list of events.".into());
    }
    let texts = [secret, webhook.description.as_deref()];
    if url.len() > URL_BYTES_MAX || texts.into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX) {
        return refuse("Webhook URL, secret or description is too long: at most 2,048, 8,000 and 8,000 bytes.".into());
    }
    let (host, port) = destination(url, reach)?;
    resolve(&host, port, reach).await.map_err(|error| Error::Webhook(format!("Invalid webhook URL: {error}.")))?;
    Ok(())
}

/// The host and port of an address that may be called: HTTPS, and plain HTTP only where private addresses are allowed.
pub(super) fn destination(url: &str, reach: Reach) -> Result<(String, u16)> {
    let refuse = |words: String| Error::Webhook(words);
    let url = Url::parse(url).map_err(|error| refuse(format!("Invalid webhook URL: {error}.")))?;
    match (url.scheme(), reach) {
        ("https", _) | ("http", Reach::Anywhere) => {}
        (scheme, _) => {
            return Err(refuse(format!("Invalid webhook URL scheme: '{scheme}'. Allowed schemes are: https.")));
        }
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("Webhook URL must not hold a user name or password: sign with a secret.".into()));
    }
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) if !host.is_empty() => Ok((host.into(), port)),
        _ => Err(refuse("Webhook URL must include a hostname.".into())),
    }
}
