//! The registry: where it keeps things, its models and their versions, and what people remark on those.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, ListQuery, Principal, Stored};
use mainspring_govern::Vault;
use mainspring_kernel::ModelArtifact;
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    ArtifactRef, ArtifactStore, Error, FileStore, ModelVersion, Note, RegisteredModel, Result, Run, Tracking,
    WebhookEvent,
};

/// How often a change that met another one is tried again. Each time one of them gets through.
const ATTEMPTS: usize = 64;

/// How many versions an error names.
const NUMBERS_NAMED_MAX: usize = 10;

/// The most notes of a version: all are read with it.
const NOTES_MAX: usize = 100;
/// The most characters of a note.
const NOTE_CHARS_MAX: usize = 2_000;
/// The most characters of a label's key, and of its value: MLflow's bounds.
const TAG_KEY_CHARS_MAX: usize = 250;
const TAG_VALUE_CHARS_MAX: usize = 100_000;

/// Experiments, runs, versions and aliases over a catalog and a folder of artifacts. Clones share both.
#[derive(Debug, Clone)]
pub struct Registry {
    pub(crate) catalog: Catalog,
    artifacts: ArtifactStore,
    tracking: Option<Tracking>,
    files: FileStore,
    /// What secrets of webhooks are sealed with.
    pub(crate) vault: Vault,
    /// Wakes the sender of webhooks.
    pub(crate) told: Arc<Notify>,
}

impl Registry {
    /// The registry in a catalog, with its artifacts in a folder.
    #[must_use]
    pub fn new(catalog: Catalog, artifacts: impl Into<PathBuf>) -> Self {
        Self {
            catalog,
            artifacts: ArtifactStore::new(artifacts),
            tracking: None,
            files: FileStore::in_memory(),
            vault: Vault::default(),
            told: Arc::default(),
        }
    }

    /// The registry with the runs of clients, which one process at a time may have.
    #[must_use]
    pub fn with_tracking(self, tracking: Tracking) -> Self {
        Self { tracking: Some(tracking), ..self }
    }

    /// The runs of clients.
    ///
    /// # Errors
    /// [`Error::NotTracking`] when this process does not have them.
    pub fn tracking(&self) -> Result<&Tracking> {
        self.tracking.as_ref().ok_or(Error::NotTracking)
    }

    /// The same registry, with the files that clients log in a store that lasts.
    #[must_use]
    pub fn with_files(self, files: FileStore) -> Self {
        Self { files, ..self }
    }

    /// The same registry, with keys that secrets are sealed with; without them they are kept as they come.
    #[must_use]
    pub fn with_vault(self, vault: Vault) -> Self {
        Self { vault, ..self }
    }

    /// The files that clients logged.
    #[must_use]
    pub fn files(&self) -> &FileStore {
        &self.files
    }

    /// The folder of artifacts.
    #[must_use]
    pub fn artifacts(&self) -> &ArtifactStore {
        &self.artifacts
    }

    /// A registered model.
    ///
    /// # Errors
    /// [`Error::NoModel`], or when the catalog fails.
    pub async fn model(&self, name: &str) -> Result<RegisteredModel> {
        Ok(dated(self.stored_model(name).await?))
    }

    /// All registered models, by name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn models(&self) -> Result<Vec<RegisteredModel>> {
        Ok(self.catalog.all(ListQuery::default()).await?.into_iter().map(dated).collect())
    }

    /// A version of a model.
    ///
    /// # Errors
    /// [`Error::NoModel`], [`Error::NoVersion`], or when the catalog fails.
    pub async fn version(&self, model: &str, version: u64) -> Result<ModelVersion> {
        Ok(self.stored_version(model, version).await?.document)
    }

    pub(crate) async fn stored_version(&self, model: &str, version: u64) -> Result<Stored<ModelVersion>> {
        if let Some(stored) = self.catalog.get(&ModelVersion::document_id(model, version)).await? {
            return Ok(stored);
        }
        let mut numbers: Vec<String> = self.versions(model).await?.iter().map(|v| v.version.to_string()).collect();
        self.model(model).await?;
        numbers.truncate(NUMBERS_NAMED_MAX);
        let have = match numbers.len() {
            0 => "none".into(),
            1 => format!("version {}", numbers[0]),
            _ => format!("versions {}", numbers.join(", ")),
        };
        Err(Error::NoVersion { model: model.into(), version, have })
    }

    /// The versions of a model, the newest first.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn versions(&self, model: &str) -> Result<Vec<ModelVersion>> {
        let mut versions: Vec<ModelVersion> = documents(self.catalog.all(ListQuery::of(model)).await?);
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        Ok(versions)
    }

    /// All versions of all models.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn all_versions(&self) -> Result<Vec<ModelVersion>> {
        Ok(documents(self.catalog.all(ListQuery::default()).await?))
    }

    /// The newest version of a model, if there is one.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn latest(&self, model: &str) -> Result<Option<ModelVersion>> {
        let Some(stored) = self.catalog.get::<RegisteredModel>(model).await? else { return Ok(None) };
        // mostly the last number given; where that version was deleted, the one before
        let last = ModelVersion::document_id(model, stored.document.last_version);
        match self.catalog.get::<ModelVersion>(&last).await? {
            Some(stored) => Ok(Some(stored.document)),
            None => Ok(self.versions(model).await?.into_iter().next()),
        }
    }

    /// Reads a version's model file.
    ///
    /// # Errors
    /// [`Error::NotServable`] when it has none, and when the file is missing, altered or not a model.
    pub async fn open_model(&self, version: &ModelVersion) -> Result<ModelArtifact> {
        let (store, artifact) = (self.artifacts.clone(), runnable(version)?.clone());
        blocking(move || store.get_model(&artifact)).await
    }

    /// Sets a label of a version, or takes it away with `None`.
    ///
    /// # Errors
    /// [`Error::Remark`] for a key or a value that is too long, when there is no such version, it was changed meanwhile, or the
    /// catalog fails.
    pub async fn tag_version(
        &self,
        model: &str,
        version: u64,
        key: &str,
        value: Option<&str>,
        principal: &Principal,
    ) -> Result<ModelVersion> {
        self.version(model, version).await?;
        check_tag(key, value)?;
        let event = WebhookEvent::tag_changed(model, version, key, value);
        let detail = json!({ "key": key, "value": value });
        self.change_version((model, version), ("model.tag", detail), Some(event), principal, |version| {
            match value {
                Some(value) => version.tags.insert(key.into(), value.into()),
                None => version.tags.remove(key),
            };
            Ok(())
        })
        .await
    }

    /// Adds a note to a version, after those that others add meanwhile.
    ///
    /// # Errors
    /// [`Error::Remark`] for a note that is empty or too long, and one too many; when there is no such version, or the catalog
    /// fails.
    pub async fn note_version(
        &self,
        model: &str,
        version: u64,
        text: &str,
        principal: &Principal,
    ) -> Result<ModelVersion> {
        self.version(model, version).await?;
        check_note(text)?;
        let action = ("model.note", json!({ "text": text }));
        self.change_version((model, version), action, None, principal, |version| {
            if version.notes.len() >= NOTES_MAX {
                return Err(Error::Remark(format!(
                    "version {} of model `{model}` has {NOTES_MAX} notes, which is the most; what is to be found by programs \
                     is better a tag",
                    version.version
                )));
            }
            version.notes.push(Note { at: Timestamp::now(), by: principal.clone(), text: text.into() });
            Ok(())
        })
        .await
    }

    /// Changes a version by a function, which is asked again when somebody else changed it meanwhile.
    pub(crate) async fn change_version(
        &self,
        (model, number): (&str, u64),
        (action, detail): (&str, serde_json::Value),
        event: Option<WebhookEvent>,
        principal: &Principal,
        edit: impl Fn(&mut ModelVersion) -> Result<()>,
    ) -> Result<ModelVersion> {
        let contended = || Error::Contended(ModelVersion::document_id(model, number));
        until_alone(contended, || async {
            let stored = self.stored_version(model, number).await?;
            let unchanged = stored.unchanged();
            let mut version = ModelVersion { updated_at: Some(Timestamp::now()), ..stored.document };
            edit(&mut version)?;
            let mut change = Change::new(principal, action, version.node()).detail(detail.clone());
            change = change.put(&version, unchanged)?;
            if let Some(event) = &event {
                change = self.announce(change, event).await?;
            }
            self.commit(change).await?;
            Ok(version)
        })
        .await
    }

    /// The table versions that some model version was trained from, `schema.table` to versions in ascending order: what
    /// maintenance of the lake must keep, so that each can be compared with its training set and made again.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn pinned_tables(&self) -> Result<BTreeMap<String, Vec<u64>>> {
        let mut pinned: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for stored in self.catalog.all::<ModelVersion>(ListQuery::default()).await? {
            let ModelVersion { training_set, tables, .. } = stored.document;
            if let Some(set) = training_set {
                pinned.entry(set.table).or_default().insert(set.version);
            }
            for (table, version) in tables {
                pinned.entry(table).or_default().insert(version);
            }
        }
        Ok(pinned.into_iter().map(|(table, versions)| (table, versions.into_iter().collect())).collect())
    }

    /// Removes artifacts that no run and no version names and that are older than `age`, and says how many.
    ///
    /// # Errors
    /// When the catalog or the folder fails.
    pub async fn sweep_artifacts(&self, age: Duration) -> Result<usize> {
        let mut keep = HashSet::new();
        for run in self.catalog.all::<Run>(ListQuery::default()).await? {
            keep.extend(run.document.artifacts.into_iter().map(|artifact| artifact.sha256));
        }
        for version in self.catalog.all::<ModelVersion>(ListQuery::default()).await? {
            keep.extend(version.document.artifact.map(|artifact| artifact.sha256));
        }
        let store = self.artifacts.clone();
        blocking(move || store.sweep(&keep, age)).await
    }
}

/// A model with the times that the catalog knows of it.
fn dated(stored: Stored<RegisteredModel>) -> RegisteredModel {
    let model = stored.document;
    RegisteredModel {
        created_at: model.created_at.or(Some(stored.created_at)),
        updated_at: model.updated_at.or(Some(stored.updated_at)),
        ..model
    }
}

/// The kernel's model file of a version, or why it has none.
pub(crate) fn runnable(version: &ModelVersion) -> Result<&ArtifactRef> {
    version.artifact.as_ref().ok_or_else(|| Error::NotServable {
        model: version.model.clone(),
        version: version.version,
        reason: (version.logged.as_ref())
            .and_then(|logged| logged.unservable.clone())
            .unwrap_or_else(|| "no model file was registered with it".into()),
    })
}

fn check_tag(key: &str, value: Option<&str>) -> Result<()> {
    let chars = |text: &str| text.chars().count();
    if key.is_empty() || chars(key) > TAG_KEY_CHARS_MAX {
        return Err(Error::Remark(format!(
            "the `key` of a tag has {} characters; it may have 1 to {TAG_KEY_CHARS_MAX}",
            chars(key)
        )));
    }
    match value.map(chars) {
        Some(count) if count > TAG_VALUE_CHARS_MAX => Err(Error::Remark(format!(
            "the `value` of tag `{key}` has {count} characters; it may have {TAG_VALUE_CHARS_MAX}"
        ))),
        _ => Ok(()),
    }
}

fn check_note(text: &str) -> Result<()> {
    let chars = text.chars().count();
    if text.trim().is_empty() || chars > NOTE_CHARS_MAX {
        return Err(Error::Remark(format!(
            "the `text` of a note has {chars} characters; it may have 1 to {NOTE_CHARS_MAX}, and not only spaces"
        )));
    }
    Ok(())
}

/// Tries a change again while others change the same meanwhile; `given_up` is the error when they always do.
pub(crate) async fn until_alone<T, F>(given_up: impl FnOnce() -> Error, attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    for _ in 0..ATTEMPTS {
        match attempt().await {
            Err(Error::Catalog(error)) if error.is_conflict() => {}
            other => return other,
        }
    }
    Err(given_up())
}

pub(crate) fn documents<D>(stored: Vec<Stored<D>>) -> Vec<D> {
    stored.into_iter().map(|stored| stored.document).collect()
}

/// Runs what waits for the disk off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Io {
        doing: "reading",
        path: "an artifact".into(),
        source: std::io::Error::other(error),
    })?
}
