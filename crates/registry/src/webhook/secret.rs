//! Secrets at rest: sealed where the server has a key, and bound to their webhook.

use mainspring_catalog::{Change, ListQuery};
use mainspring_govern::{KeptSecret, SECRETS_KEY};
use serde_json::json;

use super::Webhook;
use super::book::node;
use super::send::system;
use crate::{Registry, Result};

impl Registry {
    /// A new secret of a webhook as it is to be kept; an empty one is none.
    pub(super) fn new_secret(&self, webhook: &str, secret: &str) -> Result<Option<KeptSecret>> {
        if secret.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.vault.keep(secret, &node(webhook))?))
    }

    /// A secret that stays, as it would be kept today. One that no key opens is left for the key that does.
    pub(super) fn renewed_secret(&self, webhook: &str, kept: KeptSecret) -> KeptSecret {
        match self.vault.renew(&kept, &node(webhook)) {
            Ok(Some(renewed)) => renewed,
            Ok(None) | Err(_) => kept,
        }
    }

    /// What deliveries to a webhook are signed with; none where they are not signed.
    pub(super) fn signing_secret(&self, webhook: &Webhook) -> Result<Option<String>> {
        let Some(kept) = &webhook.secret else { return Ok(None) };
        let secret = self.vault.open(kept, &node(&webhook.id))?;
        Ok(Some(secret).filter(|secret| !secret.is_empty()))
    }

    /// Keeps all secrets as they would be kept today: seals what is plain, seals anew what was sealed with a key that is no
    /// longer the first, and says in the log what is wrong with the others.
    pub(super) async fn renew_secrets(&self) -> Result<()> {
        let mut plain = 0_usize;
        for stored in self.catalog.all::<Webhook>(ListQuery::default()).await? {
            let unchanged = stored.unchanged();
            let webhook = stored.document;
            let Some(kept) = &webhook.secret else { continue };
            let renewed = self.vault.renew(kept, &node(&webhook.id));
            match renewed {
                Ok(None) => plain += usize::from(kept.is_plain()),
                Ok(Some(secret)) => {
                    let webhook = Webhook { secret: Some(secret), ..webhook };
                    let change = Change::new(&system(), "webhook.seal", node(&webhook.id))
                        .detail(json!({ "name": webhook.name }))
                        .put(&webhook, unchanged)?;
                    match self.catalog.commit(change).await {
                        Ok(_) => {}
                        // whoever changed it meanwhile has sealed it
                        Err(error) if error.is_conflict() => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(error) => {
                    tracing::error!(webhook = webhook.name, %error, "what a webhook is to be told cannot be signed");
                }
            }
        }
        if plain > 0 {
            tracing::warn!(webhooks = plain, "secrets are kept as plain text; set {SECRETS_KEY} to have them sealed");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mainspring_catalog::{AuditQuery, Catalog, Expect, Principal};
    use mainspring_govern::{Reach, Vault, VaultError};

    use super::*;
    use crate::{Delivery, Error, EventKind, NewWebhook, WebhookEdit, WebhookSender};

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
    /// Nobody listens there.
    const URL: &str = "http://127.0.0.1:9/";

    struct Fixture {
        _folder: tempfile::TempDir,
        plain: Registry,
        owner: Principal,
    }

    async fn fixture() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();
        let plain = Registry::new(catalog, folder.path().join("artifacts"));
        Fixture { _folder: folder, plain, owner: Principal::local_owner() }
    }

    impl Fixture {
        fn with_keys(&self, keys: &str) -> Registry {
            self.plain.clone().with_vault(Vault::parse(keys).unwrap())
        }

        async fn create(&self, registry: &Registry, secret: &str) -> Webhook {
            let new = NewWebhook {
                name: "hook".into(),
                url: URL.into(),
                events: vec![EventKind::RegisteredModelCreated],
                secret: Some(secret.into()),
                ..NewWebhook::default()
            };
            registry.create_webhook(new, Reach::Anywhere, &self.owner).await.unwrap()
        }

        async fn edit(&self, registry: &Registry, id: &str, edit: WebhookEdit) -> Webhook {
            registry.edit_webhook(id, edit, Reach::Anywhere, &self.owner).await.unwrap()
        }

        async fn actions(&self) -> Vec<String> {
            let of_webhooks = AuditQuery { action: Some("webhook".into()), ..AuditQuery::default() };
            let audit = self.plain.catalog.audit(of_webhooks).await.unwrap();
            audit.into_iter().rev().map(|entry| entry.action).collect()
        }
    }

    fn is_plain(webhook: &Webhook) -> bool {
        webhook.secret.as_ref().unwrap().is_plain()
    }

    #[tokio::test]
    async fn with_a_key_a_secret_is_sealed_from_the_start_and_for_its_webhook_alone() {
        let f = fixture().await;
        let sealing = f.with_keys(KEY);

        let one = f.create(&sealing, "a secret").await;
        let two = f.create(&sealing, "another").await;

        let stored = serde_json::to_string(&f.plain.webhook(&one.id).await.unwrap()).unwrap();
        assert!(stored.contains(r#""secret":{"sealed":"v1:"#) && !stored.contains("a secret"), "{stored}");
        assert_eq!(sealing.signing_secret(&one).unwrap().as_deref(), Some("a secret"));
        let swapped = Webhook { secret: two.secret, ..one };
        let refused = sealing.signing_secret(&swapped);
        assert!(matches!(refused, Err(Error::Secret(VaultError::NoKeyFits { .. }))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_webhook_of_an_earlier_release_opens_and_is_sealed_at_the_start() {
        let f = fixture().await;
        let earlier = r#"{"id":"0199","name":"old","description":null,"url":"https://example.org/",
            "events":["model_version_created"],"secret":"sealed:v1:as chosen","active":true,
            "created_at":"2025-09-01T00:00:00Z","updated_at":"2025-09-01T00:00:00Z",
            "by":{"kind":"user","name":"local"}}"#;
        let earlier: Webhook = serde_json::from_str(earlier).unwrap();
        let change = Change::new(&f.owner, "webhook.create", "webhook:0199").put(&earlier, Expect::Absent).unwrap();
        f.plain.catalog.commit(change).await.unwrap();
        let sealing = f.with_keys(KEY);
        assert_eq!(f.plain.signing_secret(&earlier).unwrap().as_deref(), Some("sealed:v1:as chosen"));
        assert_eq!(sealing.signing_secret(&earlier).unwrap().as_deref(), Some("sealed:v1:as chosen"));

        f.plain.renew_secrets().await.unwrap();
        assert!(is_plain(&f.plain.webhook("0199").await.unwrap()));
        sealing.renew_secrets().await.unwrap();
        sealing.renew_secrets().await.unwrap();

        let sealed = f.plain.webhook("0199").await.unwrap();
        assert!(!is_plain(&sealed));
        assert_eq!(sealing.signing_secret(&sealed).unwrap().as_deref(), Some("sealed:v1:as chosen"));
        assert_eq!(Webhook { secret: None, ..sealed }, Webhook { secret: None, ..earlier });
        assert_eq!(f.actions().await, ["webhook.create", "webhook.seal"]);
    }

    #[tokio::test]
    async fn after_a_start_with_the_new_key_first_the_old_one_is_needed_no_more() {
        let f = fixture().await;
        let made = f.create(&f.with_keys(KEY), "s").await;

        f.with_keys(&format!("{OTHER},{KEY}")).renew_secrets().await.unwrap();

        let now = f.plain.webhook(&made.id).await.unwrap();
        assert_eq!(f.with_keys(OTHER).signing_secret(&now).unwrap().as_deref(), Some("s"));
        assert!(f.with_keys(KEY).signing_secret(&now).is_err());
    }

    #[tokio::test]
    async fn an_edit_seals_what_stays_and_needs_no_key_to_set_a_new_secret_or_none() {
        let f = fixture().await;
        let sealing = f.with_keys(KEY);
        let made = f.create(&f.plain, "s").await;
        assert!(is_plain(&made));

        let renamed = WebhookEdit { name: Some("other".into()), ..WebhookEdit::default() };
        let sealed = f.edit(&sealing, &made.id, renamed.clone()).await;
        let kept = f.edit(&f.plain, &made.id, renamed).await;
        let anew = WebhookEdit { secret: Some("new".into()), ..WebhookEdit::default() };
        let anew = f.edit(&f.plain, &made.id, anew).await;
        let none = WebhookEdit { secret: Some(String::new()), ..WebhookEdit::default() };
        let none = f.edit(&sealing, &made.id, none).await;

        assert_eq!(sealing.signing_secret(&sealed).unwrap().as_deref(), Some("s"));
        assert!(!is_plain(&sealed) && kept.secret == sealed.secret, "what no key opens stays");
        assert_eq!(f.plain.signing_secret(&anew).unwrap().as_deref(), Some("new"));
        assert_eq!(none.secret, None);
    }

    #[tokio::test]
    async fn without_the_key_a_delivery_waits_and_says_what_to_set() {
        let f = fixture().await;
        let made = f.create(&f.with_keys(KEY), "s").await;
        f.plain.create_model("m", "", BTreeMap::new(), &f.owner).await.unwrap();

        for registry in [f.plain.clone(), f.with_keys(OTHER)] {
            let sender = WebhookSender::new(registry, Reach::Anywhere);
            sender.round().await.unwrap();

            let tried = sender.try_out(&made, EventKind::RegisteredModelCreated).await;
            let refused = tried.unwrap_err().to_string();
            assert!(refused.contains(SECRETS_KEY), "{refused}");
            let last = f.plain.catalog.audit(AuditQuery::default().limit(1)).await.unwrap().remove(0);
            assert_eq!(last.action, "webhook.retry");
            assert!(last.detail.to_string().contains(SECRETS_KEY), "{}", last.detail);
            let waiting = f.plain.catalog.all::<Delivery>(ListQuery::default()).await.unwrap().remove(0);
            let due = Delivery { next_at: jiff::Timestamp::now(), ..waiting.document.clone() };
            let change = Change::new(&f.owner, "test", "test").put(&due, waiting.unchanged()).unwrap();
            f.plain.catalog.commit(change).await.unwrap();
        }
        let waiting = f.plain.catalog.all::<Delivery>(ListQuery::default()).await.unwrap();
        assert_eq!(waiting.iter().map(|stored| stored.document.attempts).collect::<Vec<_>>(), [2]);
    }
}
