//! Logged models: what a client saved in a run, before anybody registers it. What was measured of one lies with the points
//! of the runs that measured it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Change, Document, Expect, ListQuery, Principal, Stored};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::registry::until_alone;
use crate::versions::logged_folder;
use crate::{Error, Experiment, FilePath, Registry, Result, Stage};

/// The most parameters and the most tags of one.
const ENTRIES_MAX: usize = 10_000;
/// The characters that its name may not have: they mean something in a URI.
const NAME_WITHOUT: [char; 6] = ['/', ':', '.', '%', '"', '\''];

/// A model that a client logged: its files, and what was measured of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoggedModel {
    /// Its identifier, `m-` and 32 digits.
    pub id: String,
    /// The key of its experiment.
    pub experiment: String,
    /// What it is called; several may have one name.
    pub name: String,
    /// What kind of model it is, in the client's words.
    #[serde(default)]
    pub model_type: String,
    /// The run that logged it.
    pub run: Option<String>,
    /// Whether its files are there.
    pub status: LoggedStatus,
    /// Where its files lie.
    pub artifact_uri: String,
    /// What it was made with.
    #[serde(default)]
    pub params: BTreeMap<String, String>,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// Who made it.
    pub by: Principal,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
}

impl Document for LoggedModel {
    const KIND: &'static str = "logged_model";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.experiment.clone())
    }
}

impl LoggedModel {
    /// Where its files lie in the file store; none when its client keeps them elsewhere.
    #[must_use]
    pub fn folder(&self) -> Option<FilePath> {
        logged_folder(&self.artifact_uri)
    }
}

/// How far a logged model has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoggedStatus {
    /// Its files are on their way.
    Pending,
    /// Its files are there.
    Ready,
    /// Its files will not come.
    UploadFailed,
}

/// What a client starts to log.
#[derive(Debug, Clone, Default)]
pub struct NewLoggedModel {
    /// The key of the experiment.
    pub experiment: String,
    /// Where the files of the experiment lie.
    pub root: String,
    /// See [`LoggedModel::name`]; one is made up where there is none.
    pub name: Option<String>,
    /// See [`LoggedModel::model_type`].
    pub model_type: String,
    /// See [`LoggedModel::run`].
    pub run: Option<String>,
    /// See [`LoggedModel::params`].
    pub params: BTreeMap<String, String>,
    /// See [`LoggedModel::tags`].
    pub tags: BTreeMap<String, String>,
}

impl Registry {
    /// Begins a logged model, and says where its files go.
    ///
    /// # Errors
    /// [`Error::LoggedModel`] for a name that breaks a rule; [`Error::ExperimentStage`] when the experiment is deleted; when
    /// the catalog fails.
    pub async fn create_logged_model(&self, new: NewLoggedModel, principal: &Principal) -> Result<LoggedModel> {
        let id = format!("m-{}", uuid::Uuid::now_v7().simple());
        // the last digits of the id differ where the first, which are its time, do not
        let name = match new.name {
            Some(name) => name,
            None => format!("model-{}", &id[id.len() - 8..]),
        };
        if name.is_empty() || name.contains(NAME_WITHOUT) || name.chars().any(char::is_control) {
            let shown: String = name.chars().take(80).collect();
            return Err(Error::LoggedModel(format!(
                "Invalid model name ('{shown}') provided. Model name must be a non-empty string and cannot contain the \
                 following characters: ('/', ':', '.', '%', '\"', \"'\")"
            )));
        }
        check_entries(&new.params, &new.tags)?;
        let experiment = self.catalog.get::<Experiment>(&new.experiment).await?;
        if let Some(deleted) = experiment.filter(|stored| stored.document.stage == Stage::Deleted) {
            return Err(Error::ExperimentStage { name: deleted.document.name, must: "active" });
        }
        let now = Timestamp::now();
        let model = LoggedModel {
            artifact_uri: format!("{}/models/{id}/artifacts", new.root.trim_end_matches('/')),
            id,
            experiment: new.experiment,
            name,
            model_type: new.model_type,
            run: new.run,
            status: LoggedStatus::Pending,
            params: new.params,
            tags: new.tags,
            created_at: now,
            updated_at: now,
            by: principal.clone(),
            deleted_at: None,
        };
        let change = Change::new(principal, "logged_model.create", node(&model.id))
            .detail(json!({ "name": model.name, "run": model.run }))
            .put(&model, Expect::Absent)?;
        self.catalog.commit(change).await?;
        Ok(model)
    }

    /// A logged model that is not deleted.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], or when the catalog fails.
    pub async fn logged_model(&self, id: &str) -> Result<LoggedModel> {
        Ok(self.stored_logged_model(id).await?.document)
    }

    async fn stored_logged_model(&self, id: &str) -> Result<Stored<LoggedModel>> {
        let stored = self.catalog.get::<LoggedModel>(id).await?;
        let stored = stored.filter(|stored| stored.document.deleted_at.is_none());
        stored.ok_or_else(|| Error::NoLoggedModel(id.into()))
    }

    /// A logged model, deleted or not.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], or when the catalog fails.
    pub async fn logged_model_or_deleted(&self, id: &str) -> Result<LoggedModel> {
        let stored = self.catalog.get::<LoggedModel>(id).await?;
        Ok(stored.ok_or_else(|| Error::NoLoggedModel(id.into()))?.document)
    }

    /// The logged models of an experiment, by its key, that are not deleted; in the order in which they were made.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn logged_models(&self, experiment: &str) -> Result<Vec<LoggedModel>> {
        let stored = self.catalog.all::<LoggedModel>(ListQuery::of(experiment)).await?;
        Ok(stored.into_iter().map(|stored| stored.document).filter(|model| model.deleted_at.is_none()).collect())
    }

    /// Says that the files of a logged model are there, or will not come.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], [`Error::LoggedModel`] for the status that it begins with, or when the catalog fails.
    pub async fn finish_logged_model(
        &self,
        id: &str,
        status: LoggedStatus,
        principal: &Principal,
    ) -> Result<LoggedModel> {
        if status == LoggedStatus::Pending {
            return Err(Error::LoggedModel("A logged model is finalized as READY or UPLOAD_FAILED.".into()));
        }
        let detail = json!({ "status": status });
        self.change_logged_model(id, "logged_model.finish", detail, principal, |model| {
            model.status = status;
            Ok(())
        })
        .await
    }

    /// Deletes a logged model; its files and the versions made of it stay.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], or when the catalog fails.
    pub async fn delete_logged_model(&self, id: &str, principal: &Principal) -> Result<()> {
        self.change_logged_model(id, "logged_model.delete", json!({}), principal, |model| {
            model.deleted_at = Some(Timestamp::now());
            Ok(())
        })
        .await
        .map(|_| ())
    }

    /// Sets labels of a logged model.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], [`Error::LoggedModel`] for too many, or when the catalog fails.
    pub async fn tag_logged_model(
        &self,
        id: &str,
        tags: &BTreeMap<String, String>,
        principal: &Principal,
    ) -> Result<LoggedModel> {
        let detail = json!({ "keys": tags.keys().take(100).collect::<Vec<_>>() });
        self.change_logged_model(id, "logged_model.tag", detail, principal, |model| {
            model.tags.extend(tags.clone());
            check_entries(&model.params, &model.tags)
        })
        .await
    }

    /// Takes a label of a logged model away.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], [`Error::LoggedModel`] when it has no such label, or when the catalog fails.
    pub async fn untag_logged_model(&self, id: &str, key: &str, principal: &Principal) -> Result<LoggedModel> {
        self.change_logged_model(id, "logged_model.tag", json!({ "removed": key }), principal, |model| {
            match model.tags.remove(key) {
                Some(_) => Ok(()),
                None => Err(Error::NoLoggedModelTag { model: id.into(), key: key.into() }),
            }
        })
        .await
    }

    /// Adds parameters to a logged model. One that it has keeps its value.
    ///
    /// # Errors
    /// [`Error::NoLoggedModel`], [`Error::LoggedModel`] when a value differs from the one it has, or when the catalog fails.
    pub async fn log_model_params(
        &self,
        id: &str,
        params: &BTreeMap<String, String>,
        principal: &Principal,
    ) -> Result<LoggedModel> {
        let detail = json!({ "params": params.len() });
        self.change_logged_model(id, "logged_model.log_params", detail, principal, |model| {
            for (key, value) in params {
                let before = model.params.entry(key.clone()).or_insert_with(|| value.clone());
                if before != value {
                    return Err(Error::LoggedModel(format!(
                        "Changing param values is not allowed. Param with key='{key}' was already logged with \
                         value='{before}' for logged model '{id}'. Attempted logging new value '{value}'."
                    )));
                }
            }
            check_entries(&model.params, &model.tags)
        })
        .await
    }

    async fn change_logged_model(
        &self,
        id: &str,
        action: &str,
        detail: serde_json::Value,
        principal: &Principal,
        edit: impl Fn(&mut LoggedModel) -> Result<()>,
    ) -> Result<LoggedModel> {
        let contended = || Error::Contended(id.into());
        until_alone(contended, || async {
            let stored = self.stored_logged_model(id).await?;
            let unchanged = stored.unchanged();
            let mut model = LoggedModel { updated_at: Timestamp::now(), ..stored.document };
            edit(&mut model)?;
            let change = Change::new(principal, action, node(id)).detail(detail.clone()).put(&model, unchanged)?;
            self.catalog.commit(change).await?;
            Ok(model)
        })
        .await
    }
}

fn node(id: &str) -> String {
    format!("logged_model:{id}")
}

fn check_entries(params: &BTreeMap<String, String>, tags: &BTreeMap<String, String>) -> Result<()> {
    for (what, entries) in [("params", params), ("tags", tags)] {
        if entries.len() > ENTRIES_MAX {
            return Err(Error::LoggedModel(format!("A logged model has at most {ENTRIES_MAX} {what}.")));
        }
        if entries.keys().any(|key| key.is_empty() || key.len() > 250) {
            return Err(Error::LoggedModel(format!("Keys of {what} have 1 to 250 characters.")));
        }
    }
    Ok(())
}
