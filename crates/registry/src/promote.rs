//! Moving aliases: the only way in which a version goes live.

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Expect, ListQuery, Principal, Stored};
use mainspring_spec::Gate;
use serde_json::json;

use crate::alias::{live_spans, rollback_target};
use crate::{
    Alias, AliasAction, AliasEvent, Error, LiveSpan, ModelVersion, Registry, Result, Verdict, WebhookEvent, judge,
};

impl Registry {
    /// Gives a version an alias, if it meets the model's gates. Giving it to the version that has it changes nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] when a gate is not met (the attempt is then in the audit log), [`Error::Raced`] when the alias was
    /// moved meanwhile, [`Error::NoModel`], [`Error::NoVersion`], [`Error::AliasName`], or when the catalog fails.
    pub async fn set_alias(
        &self,
        model: &str,
        alias: &str,
        version: u64,
        principal: &Principal,
        reason: &str,
    ) -> Result<Verdict> {
        check_name(alias)?;
        let stored = self.stored_alias(model, alias).await?;
        let candidate = self.version(model, version).await?;
        let verdict = self.verdict(&candidate, alias, stored.as_ref()).await?;
        let live = stored.as_ref().and_then(|stored| stored.document.version);
        if live == Some(version) {
            return Ok(verdict);
        }
        if !verdict.passed() {
            let refusal = Change::new(principal, "model.promote", candidate.node())
                .refused()
                .detail(json!({ "alias": alias, "reason": reason, "gates": verdict.results }));
            self.catalog.commit(refusal).await?;
            return Err(Error::Refused(Box::new(verdict)));
        }
        self.move_alias(model, alias, stored, (AliasAction::Promote, Some(version)), principal, reason).await?;
        Ok(verdict)
    }

    /// Says what the gates would say, and changes nothing.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::NoVersion`], or when the catalog fails.
    pub async fn judge(&self, model: &str, alias: &str, version: u64) -> Result<Verdict> {
        let candidate = self.version(model, version).await?;
        let stored = self.stored_alias(model, alias).await?;
        self.verdict(&candidate, alias, stored.as_ref()).await
    }

    /// Gives the alias back to the version that was live before the present one, or to a named version that had it once.
    /// Gates are not judged again: they were when it was promoted, and a rollback must work when all else fails.
    ///
    /// # Errors
    /// [`Error::NoAlias`], [`Error::NothingBefore`], [`Error::NeverLive`], [`Error::Raced`], or when the catalog fails.
    pub async fn rollback(
        &self,
        model: &str,
        alias: &str,
        to: Option<u64>,
        principal: &Principal,
        reason: &str,
    ) -> Result<ModelVersion> {
        let no_alias = || Error::NoAlias { model: model.into(), alias: alias.into() };
        let stored = self.stored_alias(model, alias).await?.ok_or_else(no_alias)?;
        let live = stored.document.version.ok_or_else(no_alias)?;
        let events = self.events(model, alias).await?;
        let target = match to {
            Some(version) if events.iter().any(|event| event.to == Some(version)) => version,
            Some(version) => return Err(Error::NeverLive { model: model.into(), alias: alias.into(), version }),
            None => rollback_target(&events).ok_or_else(|| Error::NothingBefore {
                model: model.into(),
                alias: alias.into(),
                version: live,
            })?,
        };
        let version = self.version(model, target).await?;
        if target != live {
            let action = (AliasAction::Rollback, Some(target));
            self.move_alias(model, alias, Some(stored), action, principal, reason).await?;
        }
        Ok(version)
    }

    /// Takes an alias away: nothing is live under it any more.
    ///
    /// # Errors
    /// [`Error::NoAlias`], [`Error::Followed`] when an endpoint follows it, [`Error::Raced`], or when the catalog fails.
    pub async fn remove_alias(&self, model: &str, alias: &str, principal: &Principal, reason: &str) -> Result<()> {
        let stored = self.stored_alias(model, alias).await?.filter(|stored| stored.document.version.is_some());
        let stored = stored.ok_or_else(|| Error::NoAlias { model: model.into(), alias: alias.into() })?;
        if let Some(follower) = self.followers(model).await?.iter().find(|follower| follower.endpoint.alias == alias) {
            return Err(follower.refusal(format!("the alias `{alias}` of model `{model}`"), "taken away"));
        }
        self.move_alias(model, alias, Some(stored), (AliasAction::Remove, None), principal, reason).await
    }

    /// The aliases of a model that name a version.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn aliases(&self, model: &str) -> Result<Vec<Alias>> {
        let stored = self.catalog.all::<Alias>(ListQuery::of(model)).await?;
        Ok(stored.into_iter().map(|stored| stored.document).filter(|alias| alias.version.is_some()).collect())
    }

    /// All aliases that name a version, of all models.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn all_aliases(&self) -> Result<Vec<Alias>> {
        let stored = self.catalog.all::<Alias>(ListQuery::default()).await?;
        Ok(stored.into_iter().map(|stored| stored.document).filter(|alias| alias.version.is_some()).collect())
    }

    /// The version that is live under an alias, if any.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn live(&self, model: &str, alias: &str) -> Result<Option<ModelVersion>> {
        match self.stored_alias(model, alias).await?.and_then(|stored| stored.document.version) {
            Some(version) => self.version(model, version).await.map(Some),
            None => Ok(None),
        }
    }

    /// The moves of an alias, the earliest first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn events(&self, model: &str, alias: &str) -> Result<Vec<AliasEvent>> {
        let stored = self.catalog.all::<AliasEvent>(ListQuery::of(Alias::document_id(model, alias))).await?;
        let mut events: Vec<AliasEvent> = stored.into_iter().map(|stored| stored.document).collect();
        events.sort_by_key(|event| event.sequence);
        Ok(events)
    }

    /// What was live under an alias from when to when, and who made it so, the earliest first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn history(&self, model: &str, alias: &str) -> Result<Vec<LiveSpan>> {
        Ok(live_spans(&self.events(model, alias).await?))
    }

    async fn stored_alias(&self, model: &str, alias: &str) -> Result<Option<Stored<Alias>>> {
        Ok(self.catalog.get(&Alias::document_id(model, alias)).await?)
    }

    async fn verdict(&self, candidate: &ModelVersion, alias: &str, stored: Option<&Stored<Alias>>) -> Result<Verdict> {
        let gates = declared_gates(&self.catalog, candidate).await?;
        let champion = match stored.and_then(|stored| stored.document.version) {
            Some(live) => Some(self.version(&candidate.model, live).await?),
            None => None,
        };
        Ok(judge(&gates, alias, candidate, champion.as_ref()))
    }

    /// The move, its event, its audit entry and the comparison with what was read, in one transaction.
    async fn move_alias(
        &self,
        model: &str,
        alias: &str,
        stored: Option<Stored<Alias>>,
        (action, to): (AliasAction, Option<u64>),
        principal: &Principal,
        reason: &str,
    ) -> Result<()> {
        let unchanged = stored.as_ref().map_or(Expect::Absent, Stored::unchanged);
        let (from, sequence) =
            stored.map_or((None, 1), |stored| (stored.document.version, stored.document.sequence + 1));
        let next = Alias { model: model.into(), alias: alias.into(), version: to, sequence };
        let event = AliasEvent {
            model: model.into(),
            alias: alias.into(),
            sequence,
            action,
            from,
            to,
            by: principal.clone(),
            at: Timestamp::now(),
            reason: reason.into(),
        };
        let verb = match action {
            AliasAction::Promote => "model.promote",
            AliasAction::Rollback => "model.rollback",
            AliasAction::Remove => "model.remove_alias",
        };
        let subject = to.map_or_else(|| format!("model:{model}"), |version| format!("model:{model}@{version}"));
        let change = Change::new(principal, verb, subject)
            .detail(json!({ "alias": alias, "from": from, "to": to, "reason": reason }))
            .put(&next, unchanged)?
            .put(&event, Expect::Absent)?;
        let change = self.announce(change, &WebhookEvent::alias_moved(model, alias, to)).await?;
        match self.commit(change).await {
            Err(Error::Catalog(error)) if error.is_conflict() => {
                Err(Error::Raced { model: model.into(), alias: alias.into() })
            }
            other => other,
        }
    }
}

/// The gates declared now; those of the version's training where the model is no longer declared.
async fn declared_gates(catalog: &Catalog, candidate: &ModelVersion) -> Result<Vec<Gate>> {
    let declared = catalog.declared().await?.and_then(|mut project| project.models.remove(&candidate.model));
    Ok(declared.map_or_else(|| candidate.gates.clone(), |model| model.gates))
}

fn check_name(alias: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    // `models:/m@latest` and `models:/m@v2` mean versions to MLflow's clients
    let number = alias.strip_prefix(['v', 'V']).unwrap_or_default();
    let is_reserved = alias.eq_ignore_ascii_case("latest")
        || (!number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()));
    if !alias.is_empty() && alias.len() <= 255 && alias.chars().all(allowed) && !is_reserved {
        Ok(())
    } else {
        Err(Error::AliasName(alias.into()))
    }
}
