//! Keys in the catalog: made, listed, revoked, and known again after a change by another process.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use mainspring_catalog::{Change, Expect, ListQuery, Principal, Stored};
use serde_json::json;

use super::authenticate::{Identity, LiveKey};
use super::key::{ApiKey, CreatedKey, NewKey, Secret, hash};
use crate::{Error, Result};

/// How long another process's new or revoked key goes unnoticed at most.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

impl Identity {
    /// Makes a key. A revoked or expired key of the same name gives way; a live one does not.
    ///
    /// # Errors
    /// [`Error::Key`] when it is not as it must be or the name is taken, [`Error::Catalog`] when somebody else makes
    /// the same key at the same time.
    pub async fn create_key(&self, by: &Principal, new: NewKey) -> Result<CreatedKey> {
        let now = Timestamp::now();
        new.validate(now)?;
        let expect = match self.catalog().get::<ApiKey>(&new.name).await? {
            None => Expect::Absent,
            Some(old) if !old.document.is_live(now) => old.unchanged(),
            Some(_) => {
                let (rule, mend) = ("there is a live key of that name", "revoke it first, or choose another name");
                return Err(Error::Key { name: new.name, rule: rule.into(), mend: mend.into() });
            }
        };
        let secret = Secret::random()?;
        let record = ApiKey {
            key_id: Secret::key_id(secret.reveal()).unwrap_or_default().to_owned(),
            hash: hex::encode(hash(secret.reveal())),
            name: new.name,
            kind: new.kind,
            roles: new.roles,
            created_by: by.clone(),
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let roles: Vec<_> = record.roles.iter().map(|role| role.as_str()).collect();
        let change = Change::new(by, "key.create", format!("key:{}", record.name))
            .detail(
                json!({"principal": record.principal().to_string(), "roles": roles, "expires_at": record.expires_at}),
            )
            .put(&record, expect)?;
        self.catalog().commit(change).await?;
        self.refresh().await?;
        Ok(CreatedKey { record, secret })
    }

    /// Reads all keys, revoked ones too, without their secrets, which nobody has.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn list_keys(&self) -> Result<Vec<Stored<ApiKey>>> {
        Ok(self.catalog().all::<ApiKey>(ListQuery::default()).await?)
    }

    /// Revokes a key: from now on here, and within a second in other processes, it no longer works.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`] when there is none that works.
    pub async fn revoke_key(&self, by: &Principal, name: &str) -> Result<()> {
        let now = Timestamp::now();
        let stored = self.catalog().get::<ApiKey>(name).await?;
        let Some(stored) = stored.filter(|stored| stored.document.is_live(now)) else {
            return Err(Error::NoSuchKey { name: name.into() });
        };
        let revoked = ApiKey { revoked_at: Some(now), ..stored.document.clone() };
        let change = Change::new(by, "key.revoke", format!("key:{name}")).put(&revoked, stored.unchanged())?;
        self.catalog().commit(change).await?;
        self.refresh().await
    }

    /// Reads the keys anew.
    ///
    /// # Errors
    /// When the catalog fails; the keys known before then still work.
    pub async fn refresh(&self) -> Result<()> {
        let now = Timestamp::now();
        let mut keys = HashMap::new();
        let mut members = Vec::new();
        for Stored { document: key, .. } in self.list_keys().await? {
            let Ok(Ok(hash)) = hex::decode(&key.hash).map(<[u8; 32]>::try_from) else {
                tracing::warn!(key = key.name, "a key with a broken hash is passed over; revoke it and make a new one");
                continue;
            };
            if key.is_live(now) {
                members.push((key.principal(), key.roles.clone()));
                keys.insert(
                    key.key_id.clone(),
                    LiveKey { hash, principal: key.principal(), expires_at: key.expires_at },
                );
            }
        }
        self.know(keys, members);
        Ok(())
    }

    /// Keeps the keys fresh while other processes make and revoke some, until the task is aborted.
    #[must_use]
    pub fn keep_fresh(&self) -> tokio::task::JoinHandle<()> {
        let identity = self.clone();
        tokio::spawn(async move {
            let mut known_head = None;
            loop {
                tokio::time::sleep(REFRESH_EVERY).await;
                // Reading the head is one row; the keys are read only when anything at all was changed.
                let head = identity.catalog().audit_head().await;
                let refreshed = match head {
                    Ok(head) if Some(&head) == known_head.as_ref() => continue,
                    Ok(head) => identity.refresh().await.map(|()| known_head = Some(head)),
                    Err(error) => Err(error.into()),
                };
                if let Err(error) = refreshed {
                    tracing::warn!(%error, "the keys could not be read anew; those known before still work");
                }
            }
        })
    }
}
