//! Registered models: made, described, tagged, renamed and deleted by their clients.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, ListQuery, Principal, Stored};
use mainspring_spec::Endpoint;
use serde_json::json;

use crate::registry::until_alone;
use crate::{
    Alias, AliasEvent, Deployment, Error, ModelVersion, RegisteredModel, Registry, Result, WebhookEvent, judge,
};

/// The longest name of a model: it is part of keys and addresses.
const NAME_CHARACTERS_MAX: usize = 256;

impl Registry {
    /// Makes a model without versions.
    ///
    /// # Errors
    /// [`Error::ModelName`], [`Error::ModelExists`], or when the catalog fails.
    pub async fn create_model(
        &self,
        name: &str,
        description: &str,
        tags: BTreeMap<String, String>,
        principal: &Principal,
    ) -> Result<RegisteredModel> {
        check_name(name)?;
        let now = Timestamp::now();
        let model = RegisteredModel {
            name: name.into(),
            description: description.into(),
            last_version: 0,
            tags,
            created_at: Some(now),
            updated_at: Some(now),
            created_by: Some(principal.clone()),
        };
        let change = Change::new(principal, "model.create", node(name)).put(&model, Expect::Absent)?;
        let change = self.announce(change, &WebhookEvent::model_created(&model)).await?;
        match self.commit(change).await {
            Err(Error::Catalog(error)) if error.is_conflict() => Err(Error::ModelExists(name.into())),
            other => other.map(|()| model),
        }
    }

    pub(crate) async fn stored_model(&self, name: &str) -> Result<Stored<RegisteredModel>> {
        self.catalog.get(name).await?.ok_or_else(|| Error::NoModel(name.into()))
    }

    /// Sets what a model is, in words.
    ///
    /// # Errors
    /// [`Error::NoModel`], or when the catalog fails.
    pub async fn describe_model(&self, name: &str, text: &str, principal: &Principal) -> Result<RegisteredModel> {
        let detail = json!({ "description": text });
        self.change_model(name, "model.describe", detail, principal, |model| model.description = text.into()).await
    }

    /// Sets a label of a model, or takes it away with `None`.
    ///
    /// # Errors
    /// [`Error::NoModel`], or when the catalog fails.
    pub async fn tag_model(
        &self,
        name: &str,
        key: &str,
        value: Option<&str>,
        principal: &Principal,
    ) -> Result<RegisteredModel> {
        self.change_model(name, "model.tag", json!({ "key": key, "value": value }), principal, |model| {
            match value {
                Some(value) => model.tags.insert(key.into(), value.into()),
                None => model.tags.remove(key),
            };
        })
        .await
    }

    async fn change_model(
        &self,
        name: &str,
        action: &str,
        detail: serde_json::Value,
        principal: &Principal,
        edit: impl Fn(&mut RegisteredModel),
    ) -> Result<RegisteredModel> {
        let contended = || Error::Contended(name.into());
        until_alone(contended, || async {
            let stored = self.stored_model(name).await?;
            let unchanged = stored.unchanged();
            let created_at = stored.document.created_at.or(Some(stored.created_at));
            let mut model = RegisteredModel { created_at, updated_at: Some(Timestamp::now()), ..stored.document };
            edit(&mut model);
            let change = Change::new(principal, action, node(name)).detail(detail.clone()).put(&model, unchanged)?;
            self.commit(change).await?;
            Ok(model)
        })
        .await
    }

    /// Gives a model another name, with its versions, aliases and their history. Where the project declares gates for the new
    /// name, what the aliases name must meet them, as if it were promoted there.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::ModelName`], [`Error::ModelExists`], [`Error::Declared`] for a model of the project,
    /// which would be trained under its old name again, [`Error::Followed`] for one that an endpoint serves,
    /// [`Error::Refused`] when a gate is not met (the attempt is then in the audit log), or when the catalog fails.
    pub async fn rename_model(&self, name: &str, new_name: &str, principal: &Principal) -> Result<RegisteredModel> {
        check_name(new_name)?;
        let stored = self.stored_model(name).await?;
        self.refuse_declared(name, "renamed").await?;
        self.refuse_followed(name, "renamed").await?;
        if self.catalog.get::<RegisteredModel>(new_name).await?.is_some() {
            return Err(Error::ModelExists(new_name.into()));
        }
        let aliases = self.catalog.all::<Alias>(ListQuery::of(name)).await?;
        self.judge_moved(name, new_name, &aliases, principal).await?;
        let now = Timestamp::now();
        let (unchanged, created_at) = (stored.unchanged(), stored.document.created_at.or(Some(stored.created_at)));
        let renamed = RegisteredModel { name: new_name.into(), created_at, updated_at: Some(now), ..stored.document };
        let mut change = Change::new(principal, "model.rename", node(name))
            .detail(json!({ "new_name": new_name }))
            .delete::<RegisteredModel>(name, unchanged)
            .put(&renamed, Expect::Absent)?;
        for stored in self.catalog.all::<ModelVersion>(ListQuery::of(name)).await? {
            let unchanged = stored.unchanged();
            let version = ModelVersion { model: new_name.into(), updated_at: Some(now), ..stored.document };
            let before = ModelVersion::document_id(name, version.version);
            change = change
                .edge(Edge::new(format!("model:{before}"), version.node(), "renames"))
                .delete::<ModelVersion>(before, unchanged)
                .put(&version, Expect::Absent)?;
        }
        for stored in aliases {
            for event in self.events(name, &stored.document.alias).await? {
                let before = mainspring_catalog::Document::id(&event);
                let event = AliasEvent { model: new_name.into(), ..event };
                change = change.delete::<AliasEvent>(before, Expect::Any).put(&event, Expect::Any)?;
            }
            let before = Alias::document_id(name, &stored.document.alias);
            let unchanged = stored.unchanged();
            let alias = Alias { model: new_name.into(), ..stored.document };
            change = change.delete::<Alias>(before, unchanged).put(&alias, Expect::Absent)?;
        }
        self.commit(change).await?;
        Ok(renamed)
    }

    /// Deletes a model with its versions, aliases and their history; what happened stays in the audit log.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::Declared`] for a model of the project, [`Error::Followed`] for one that an endpoint
    /// serves, or when the catalog fails.
    pub async fn delete_model(&self, name: &str, principal: &Principal) -> Result<()> {
        let stored = self.stored_model(name).await?;
        self.refuse_declared(name, "deleted").await?;
        self.refuse_followed(name, "deleted").await?;
        let mut change =
            Change::new(principal, "model.delete", node(name)).delete::<RegisteredModel>(name, stored.unchanged());
        for stored in self.catalog.all::<ModelVersion>(ListQuery::of(name)).await? {
            let id = ModelVersion::document_id(name, stored.document.version);
            change = change.delete::<ModelVersion>(id, stored.unchanged());
        }
        for stored in self.catalog.all::<Alias>(ListQuery::of(name)).await? {
            for event in self.events(name, &stored.document.alias).await? {
                change = change.delete::<AliasEvent>(mainspring_catalog::Document::id(&event), Expect::Any);
            }
            let id = Alias::document_id(name, &stored.document.alias);
            change = change.delete::<Alias>(id, stored.unchanged());
        }
        self.commit(change).await
    }

    async fn refuse_declared(&self, name: &str, action: &'static str) -> Result<()> {
        match self.catalog.declared().await? {
            Some(project) if project.models.contains_key(name) => Err(Error::Declared { model: name.into(), action }),
            _ => Ok(()),
        }
    }

    /// Judges what the aliases of a model name by the gates that the project declares for its new name; also what they named
    /// before, for a rollback asks no gate.
    async fn judge_moved(
        &self,
        name: &str,
        new_name: &str,
        aliases: &[Stored<Alias>],
        principal: &Principal,
    ) -> Result<()> {
        let declared = self.catalog.declared().await?.and_then(|mut project| project.models.remove(new_name));
        let Some(gates) = declared.map(|model| model.gates) else { return Ok(()) };
        let versions = self.versions(name).await?;
        for Alias { alias, version, .. } in aliases.iter().map(|stored| &stored.document) {
            let events = self.events(name, alias).await?;
            let was_named =
                |number: u64| *version == Some(number) || events.iter().any(|event| event.to == Some(number));
            for candidate in versions.iter().filter(|candidate| was_named(candidate.version)) {
                let candidate = ModelVersion { model: new_name.into(), ..candidate.clone() };
                let verdict = judge(&gates, alias, &candidate, None);
                if verdict.passed() {
                    continue;
                }
                let refusal = Change::new(principal, "model.rename", node(name)).refused().detail(json!({
                    "new_name": new_name, "alias": alias, "version": candidate.version, "gates": verdict.results,
                }));
                self.catalog.commit(refusal).await?;
                return Err(Error::Refused(Box::new(verdict)));
            }
        }
        Ok(())
    }

    async fn refuse_followed(&self, name: &str, action: &'static str) -> Result<()> {
        match self.followers(name).await?.first() {
            Some(follower) => Err(follower.refusal(format!("the model `{name}`"), action)),
            None => Ok(()),
        }
    }

    /// The endpoints over a model, declared and asked for, by name.
    pub(crate) async fn followers(&self, model: &str) -> Result<Vec<Follower>> {
        let declared = self.catalog.declared().await?.map(|project| project.endpoints).unwrap_or_default();
        let mut followers: BTreeMap<String, Follower> = BTreeMap::new();
        for stored in self.catalog.all::<Deployment>(ListQuery::of(model)).await? {
            let endpoint = stored.document.endpoint;
            // what the folder declares under this name comes first
            if !declared.contains_key(&endpoint.name) {
                followers.insert(endpoint.name.clone(), Follower { endpoint, is_declared: false });
            }
        }
        for (name, endpoint) in declared {
            if endpoint.model == model {
                followers.insert(name, Follower { endpoint, is_declared: true });
            }
        }
        Ok(followers.into_values().collect())
    }
}

/// An endpoint over a model.
pub(crate) struct Follower {
    pub(crate) endpoint: Endpoint,
    is_declared: bool,
}

impl Follower {
    /// Why what this endpoint answers from stays.
    pub(crate) fn refusal(&self, what: String, action: &'static str) -> Error {
        let Endpoint { name, model, alias, .. } = &self.endpoint;
        let mend = if self.is_declared {
            format!("change or remove endpoints/{name}.yaml and apply it")
        } else {
            format!(
                "put another model behind it with `mainspring deploy OTHER --as {name}`, or take it away with \
                 `mainspring undeploy {name}` or `POST /v2/repository/models/{name}/unload`"
            )
        };
        let follows = format!("the alias `{alias}` of model `{model}`");
        Error::Followed { what, action, endpoint: name.clone(), follows, mend }
    }
}

pub(crate) fn node(name: &str) -> String {
    format!("model:{name}")
}

pub(crate) fn check_name(name: &str) -> Result<()> {
    let rule = if name.trim().is_empty() {
        "it must not be empty"
    } else if name.contains(['/', ':']) {
        "Names cannot contain '/' or ':'"
    } else if name.chars().any(char::is_control) {
        "names cannot contain control characters"
    } else if name.chars().count() > NAME_CHARACTERS_MAX {
        "names have at most 256 characters"
    } else if name == "." || name == ".." {
        "it would mean a folder"
    } else {
        return Ok(());
    };
    Err(Error::ModelName { name: name.chars().take(80).collect(), rule })
}
