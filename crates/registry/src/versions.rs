//! Versions as clients make, describe, move and delete them. Those that training makes are in `runs.rs`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, ListQuery, Principal};
use serde_json::json;

use crate::manifest::{MANIFEST, MANIFEST_BYTES_MAX};
use crate::model::Follower;
use crate::registry::{blocking, until_alone};
use crate::servable::{LoggedFiles, Servable, convert};
use crate::source::Named;
use crate::{
    Alias, AliasAction, AliasEvent, Error, Experiment, FilePath, Logged, Manifest, ModelVersion, RegisteredModel,
    Registry, Result, Source, VersionStage, WebhookEvent,
};

/// What a client registers.
#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    /// The model, which must exist.
    pub model: String,
    /// The place that it is made from.
    pub source: String,
    /// The run that made it.
    pub run: Option<String>,
    /// The logged model that it is.
    pub model_id: Option<String>,
    /// See [`ModelVersion::description`].
    pub description: String,
    /// See [`ModelVersion::tags`].
    pub tags: BTreeMap<String, String>,
    /// See [`Logged::run_link`].
    pub run_link: String,
}

/// What a source came to.
struct Resolved {
    folder: FilePath,
    run: Option<String>,
    model_id: Option<String>,
    /// The version that is copied.
    copied: Option<ModelVersion>,
}

impl Registry {
    /// Registers what a client logged under the next free number. A model in a format that runs here becomes one of our
    /// kernel at this moment, and stays as it is whatever happens to the logged files.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::Source`] for a place that the client may not name, or when catalog or store fail.
    pub async fn register_logged(&self, new: NewVersion, principal: &Principal) -> Result<ModelVersion> {
        self.stored_model(&new.model).await?;
        let resolved = self.resolve(&new).await?;
        let version = match resolved.copied {
            Some(copied) => ModelVersion {
                logged: copied.logged.map(|logged| Logged { source: new.source.clone(), ..logged }),
                // numbers and gates are those of the other model
                compared: None,
                gates: vec![],
                ..copied
            },
            None => self.converted(&new, resolved, principal).await?,
        };
        let version = ModelVersion {
            model: new.model,
            tags: new.tags,
            notes: vec![],
            description: new.description,
            stage: VersionStage::None,
            updated_at: None,
            ..version
        };
        self.next_version(version, principal).await
    }

    /// Registers a version under the next free number of its model, whatever others register meanwhile.
    pub(crate) async fn next_version(&self, version: ModelVersion, principal: &Principal) -> Result<ModelVersion> {
        let attempt = || self.try_register_logged(&version, principal);
        until_alone(|| Error::Contended(version.model.clone()), attempt).await
    }

    async fn try_register_logged(&self, version: &ModelVersion, principal: &Principal) -> Result<ModelVersion> {
        let stored = self.stored_model(&version.model).await?;
        let (unchanged, now) = (stored.unchanged(), Timestamp::now());
        let model = RegisteredModel {
            last_version: stored.document.last_version + 1,
            created_at: stored.document.created_at.or(Some(stored.created_at)),
            updated_at: Some(now),
            ..stored.document
        };
        let version = ModelVersion {
            version: model.last_version,
            created_at: now,
            created_by: principal.clone(),
            ..version.clone()
        };
        let logged = version.logged.as_ref();
        let mut change = Change::new(principal, "model.register", version.node())
            .detail(json!({
                "run": version.run, "source": logged.map(|logged| &logged.source),
                "artifact": version.artifact.as_ref().map(|artifact| &artifact.sha256),
                "unservable": logged.and_then(|logged| logged.unservable.as_ref()),
            }))
            .put(&model, unchanged)?
            .put(&version, Expect::Absent)?;
        if let Some(run) = &version.run {
            change = change.edge(Edge::new(format!("run:{run}"), version.node(), "registers"));
        }
        let change = self.announce(change, &WebhookEvent::version_created(&version)).await?;
        self.commit(change).await?;
        Ok(version)
    }

    /// A version of the files that a client logged.
    async fn converted(&self, new: &NewVersion, resolved: Resolved, principal: &Principal) -> Result<ModelVersion> {
        let Resolved { folder, run, model_id, .. } = resolved;
        let mut logged = Logged {
            source: new.source.clone(),
            folder: folder.to_string(),
            model_id,
            run_link: new.run_link.clone(),
            ..Logged::default()
        };
        let (mut artifact, mut task) = (None, None);
        let files = LoggedFiles::new(self.files().clone(), folder);
        match files.read(MANIFEST, MANIFEST_BYTES_MAX).await {
            Err(Error::NoFile(_) | Error::TooLarge { .. }) => {
                logged.unservable = Some(format!("there is no {MANIFEST} file of ordinary size where it was logged"));
            }
            Err(error) => return Err(error),
            Ok(text) => match Manifest::parse(&text) {
                Err(reason) => logged.unservable = Some(reason),
                Ok(manifest) => {
                    logged.flavours = manifest.flavors.keys().cloned().collect();
                    match convert(&files, &manifest).await? {
                        Servable::Stored { reason } => logged.unservable = Some(reason),
                        Servable::Runs(model) => {
                            task = Some(model.task);
                            let store = self.artifacts().clone();
                            artifact = Some(blocking(move || store.put_model("model.json", &model)).await?);
                        }
                    }
                }
            },
        }
        let metrics = match &run {
            Some(run) => self.latest_metrics(run).await?,
            None => BTreeMap::new(),
        };
        Ok(ModelVersion {
            model: new.model.clone(),
            version: 0,
            run,
            task,
            artifact,
            training_set: None,
            logged: Some(logged),
            tables: BTreeMap::new(),
            commit: None,
            fingerprint: String::new(),
            metrics,
            baseline: BTreeMap::new(),
            compared: None,
            gates: vec![],
            created_at: Timestamp::now(),
            created_by: principal.clone(),
            tags: BTreeMap::new(),
            notes: vec![],
            description: String::new(),
            stage: VersionStage::None,
            updated_at: None,
        })
    }

    /// Says which folder a source is, and refuses what the client may not name.
    async fn resolve(&self, new: &NewVersion) -> Result<Resolved> {
        let refuse = |reason: String| Error::Source { named: new.source.chars().take(200).collect(), reason };
        let model_id = new.model_id.clone().filter(|id| !id.is_empty());
        let run = new.run.clone().filter(|id| !id.is_empty());
        match Source::parse(&new.source)? {
            Source::LoggedModel(id) => {
                if model_id.as_ref().is_some_and(|named| *named != id) {
                    return Err(refuse("The model_id must identify the resource that contains the source.".into()));
                }
                let logged = self.logged_model(&id).await.map_err(|error| missing(&new.source, error))?;
                let folder = logged_folder(&logged.artifact_uri)
                    .ok_or_else(|| refuse("Its files do not lie on this server.".into()))?;
                let run = run.or(logged.run.clone());
                Ok(Resolved { folder, run, model_id: Some(id), copied: None })
            }
            Source::Version { model, version } => {
                let version = match version {
                    Named::Number(number) => self.version(&model, number).await?,
                    Named::Alias(alias) => self.live(&model, &alias).await?.ok_or(Error::NoAlias { model, alias })?,
                };
                let of = version.logged.as_ref().and_then(|logged| logged.model_id.as_ref());
                if (run.is_some() && run != version.run) || (model_id.is_some() && model_id.as_ref() != of) {
                    return Err(refuse(
                        "The run_id and model_id must match those of the version that is copied.".into(),
                    ));
                }
                let copied = Some(version);
                Ok(Resolved { folder: FilePath::root(), run: None, model_id: None, copied })
            }
            Source::Run { run: of, below } => {
                if run.as_ref() != Some(&of) {
                    return Err(refuse("The run_id must identify the run that contains the source.".into()));
                }
                let root = self.run_folder(&of).await.map_err(|error| missing(&new.source, error))?;
                let root = root.ok_or_else(|| refuse("The run's files do not lie on this server.".into()))?;
                Ok(Resolved { folder: root.join(&below), run, model_id, copied: None })
            }
            Source::Files(folder) => {
                let mut roots = vec![];
                if let Some(id) = &model_id {
                    let logged = self.logged_model(id).await.map_err(|error| missing(&new.source, error))?;
                    roots.extend(logged_folder(&logged.artifact_uri));
                }
                if let Some(id) = &run {
                    roots.extend(self.run_folder(id).await.map_err(|error| missing(&new.source, error))?);
                }
                if !roots.iter().any(|root| folder.is_within(root)) {
                    return Err(refuse(
                        "The run_id or model_id must identify the run or logged model whose files it is.".into(),
                    ));
                }
                Ok(Resolved { folder, run, model_id, copied: None })
            }
        }
    }

    /// Where the files of a run lie, as clients name it.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when the catalog fails.
    pub async fn run_artifact_uri(&self, run: &str) -> Result<String> {
        let run = self.run(run).await?;
        let experiment = self.catalog.get::<Experiment>(&run.experiment).await?;
        let experiment = experiment.ok_or_else(|| Error::NoExperiment(run.experiment.clone()))?;
        Ok(experiment.document.run_artifact_uri(&run.id))
    }

    /// Where the files of a run lie in the file store; none when its client keeps them elsewhere.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when the catalog fails.
    pub async fn run_folder(&self, run: &str) -> Result<Option<FilePath>> {
        Ok(logged_folder(&self.run_artifact_uri(run).await?))
    }

    /// Deletes a file or folder that a client logged, which the audit log remembers.
    ///
    /// # Errors
    /// [`Error::FilePath`], or when the store or the catalog fails.
    pub async fn delete_files(&self, path: &FilePath, principal: &Principal) -> Result<u64> {
        let deleted = self.files().delete(path).await?;
        let change = Change::new(principal, "artifact.delete", format!("artifact:{path}"));
        self.catalog.commit(change.detail(json!({ "files": deleted }))).await?;
        Ok(deleted)
    }

    /// The last metrics of a run that are numbers: what gates judge.
    async fn latest_metrics(&self, run: &str) -> Result<BTreeMap<String, f64>> {
        let recorded = match self.run(run).await {
            Ok(run) => run.metrics,
            Err(Error::NoRun(_)) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        // the points of a client's run are more recent than what was written down when it ended
        let tracked = match self.tracking() {
            Ok(tracking) => {
                let row = tracking.run(run).await?;
                let named = tracking.named_metrics(&row).into_iter();
                named.map(|(key, point)| (key.to_string(), point.value)).collect()
            }
            Err(_) => BTreeMap::new(),
        };
        Ok(recorded.into_iter().chain(tracked).filter(|(_, value)| value.is_finite()).collect())
    }

    /// Sets what a version is, in words.
    ///
    /// # Errors
    /// When there is no such version, it was changed meanwhile, or the catalog fails.
    pub async fn describe_version(
        &self,
        model: &str,
        version: u64,
        text: &str,
        principal: &Principal,
    ) -> Result<ModelVersion> {
        let detail = json!({ "description": text });
        let event = None;
        self.change_version((model, version), ("model.describe", detail), event, principal, |version| {
            version.description = text.into();
            Ok(())
        })
        .await
    }

    /// Moves a version to a stage, and those that are there to the archive if that is wanted, whatever others change
    /// meanwhile.
    ///
    /// # Errors
    /// When there is no such version, or the catalog fails.
    pub async fn set_stage(
        &self,
        (model, number): (&str, u64),
        stage: VersionStage,
        others: Others,
        principal: &Principal,
    ) -> Result<ModelVersion> {
        let attempt = || self.try_set_stage((model, number), stage, others, principal);
        until_alone(|| Error::Contended(ModelVersion::document_id(model, number)), attempt).await
    }

    async fn try_set_stage(
        &self,
        (model, number): (&str, u64),
        stage: VersionStage,
        others: Others,
        principal: &Principal,
    ) -> Result<ModelVersion> {
        let stored = self.stored_version(model, number).await?;
        let (unchanged, now) = (stored.unchanged(), Timestamp::now());
        let version = ModelVersion { stage, updated_at: Some(now), ..stored.document };
        let mut change = Change::new(principal, "model.stage", version.node())
            .detail(json!({ "stage": stage }))
            .put(&version, unchanged)?;
        if others == Others::Archived {
            for stored in self.catalog.all::<ModelVersion>(ListQuery::of(model)).await? {
                if stored.document.stage == stage && stored.document.version != number {
                    let unchanged = stored.unchanged();
                    let archived =
                        ModelVersion { stage: VersionStage::Archived, updated_at: Some(now), ..stored.document };
                    change = change.put(&archived, unchanged)?;
                }
            }
        }
        self.commit(self.touch(change, model, now).await?).await?;
        Ok(version)
    }

    /// Deletes a version, and takes away the aliases that name it, whatever others change meanwhile. Its number is never
    /// given again.
    ///
    /// # Errors
    /// [`Error::Followed`] when an endpoint answers with it; when there is no such version, or the catalog fails.
    pub async fn delete_version(&self, model: &str, number: u64, principal: &Principal) -> Result<()> {
        let attempt = || self.try_delete_version(model, number, principal);
        until_alone(|| Error::Contended(ModelVersion::document_id(model, number)), attempt).await
    }

    async fn try_delete_version(&self, model: &str, number: u64, principal: &Principal) -> Result<()> {
        let stored = self.stored_version(model, number).await?;
        let (version, now) = (&stored.document, Timestamp::now());
        let mut change = Change::new(principal, "model.delete_version", version.node())
            .delete::<ModelVersion>(ModelVersion::document_id(model, number), stored.unchanged());
        let followers = self.followers(model).await?;
        for stored in self.catalog.all::<Alias>(ListQuery::of(model)).await? {
            if stored.document.version != Some(number) {
                continue;
            }
            let is_of = |follower: &&Follower| follower.endpoint.alias == stored.document.alias;
            if let Some(follower) = followers.iter().find(is_of) {
                return Err(follower.refusal(format!("version {number} of model `{model}`"), "deleted"));
            }
            let unchanged = stored.unchanged();
            let alias = Alias { version: None, sequence: stored.document.sequence + 1, ..stored.document };
            let event = AliasEvent {
                model: model.into(),
                alias: alias.alias.clone(),
                sequence: alias.sequence,
                action: AliasAction::Remove,
                from: Some(number),
                to: None,
                by: principal.clone(),
                at: now,
                reason: "the version was deleted".into(),
            };
            change = change.put(&alias, unchanged)?.put(&event, Expect::Absent)?;
        }
        self.commit(self.touch(change, model, now).await?).await
    }

    /// Notes on the model that its versions have changed.
    async fn touch(&self, change: Change, model: &str, now: Timestamp) -> Result<Change> {
        let stored = self.stored_model(model).await?;
        let unchanged = stored.unchanged();
        let created_at = stored.document.created_at.or(Some(stored.created_at));
        let model = RegisteredModel { created_at, updated_at: Some(now), ..stored.document };
        Ok(change.put(&model, unchanged)?)
    }
}

/// What becomes of the other versions in a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay there.
    Kept,
    /// They are archived.
    Archived,
}

/// The folder in the file store that an artifact URI of this server names; none for a place that its client keeps itself.
#[must_use]
pub fn logged_folder(uri: &str) -> Option<FilePath> {
    match Source::parse(uri) {
        Ok(Source::Files(folder)) => Some(folder),
        _ => None,
    }
}

/// A run or logged model that is not there, named as the reason against a source.
fn missing(source: &str, error: Error) -> Error {
    match error {
        Error::NoRun(_) | Error::NoLoggedModel(_) => {
            Error::Source { named: source.chars().take(200).collect(), reason: error.to_string() }
        }
        other => other,
    }
}
