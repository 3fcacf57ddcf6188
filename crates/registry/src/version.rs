//! Models and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use mainspring_spec::{Gate, Task};
use serde::{Deserialize, Serialize};

use crate::{ArtifactRef, CodeCommit};

/// A model that has versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// What it predicts.
    #[serde(default)]
    pub description: String,
    /// The number of its last version, also when that was deleted since: numbers are never given twice.
    pub last_version: u64,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it was made; not known of one that an earlier release made, until it is read.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it or the list of its versions was last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// Who made it.
    #[serde(default)]
    pub created_by: Option<Principal>,
}

impl Document for RegisteredModel {
    const KIND: &'static str = "registered_model";

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// A trained model: trained here, or logged by a client. All but tags, notes, description and stage never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelVersion {
    /// The model.
    pub model: String,
    /// Its number, from 1.
    pub version: u64,
    /// The run that made it, where one is known.
    pub run: Option<String>,
    /// The kind of prediction; not known of a logged model that does not run here.
    pub task: Option<Task>,
    /// The model file of our kernel; none for a logged model in a format that does not run here.
    pub artifact: Option<ArtifactRef>,
    /// The rows it learned from; not known of a logged model.
    pub training_set: Option<TrainingSet>,
    /// What a client logged, if it came in that way.
    #[serde(default)]
    pub logged: Option<Logged>,
    /// The tables behind the training set, `schema.table` to version.
    pub tables: BTreeMap<String, u64>,
    /// The commit of the project folder.
    pub commit: Option<CodeCommit>,
    /// What identifies everything that went in: a hash over declaration, data versions, seed and program version. Equal
    /// fingerprints give equal bytes.
    pub fingerprint: String,
    /// The metrics on the test rows.
    pub metrics: BTreeMap<String, f64>,
    /// What a constant reaches on the same rows.
    pub baseline: BTreeMap<String, f64>,
    /// What the champion of that moment reaches on the same rows.
    pub compared: Option<Compared>,
    /// The gates as they were declared when it was trained; those declared now count.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Who trained it.
    pub created_by: Principal,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// What people noted on its way to the stage.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// What it is, in the words of who registered it.
    #[serde(default)]
    pub description: String,
    /// Where it stands on the way that aliases have replaced.
    #[serde(default)]
    pub stage: VersionStage,
    /// When it was last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
}

impl Document for ModelVersion {
    const KIND: &'static str = "model_version";

    fn id(&self) -> String {
        Self::document_id(&self.model, self.version)
    }

    fn parent(&self) -> Option<String> {
        Some(self.model.clone())
    }
}

impl ModelVersion {
    /// The identifier in the catalog, `model@version`.
    #[must_use]
    pub fn document_id(model: &str, version: u64) -> String {
        format!("{model}@{version}")
    }

    /// The node in the lineage graph.
    #[must_use]
    pub fn node(&self) -> String {
        format!("model:{}@{}", self.model, self.version)
    }

    /// The table that it was trained on, `training.model@3`.
    #[must_use]
    pub fn training_node(&self) -> Option<String> {
        self.training_set.as_ref().map(|set| format!("{}@{}", set.table, set.version))
    }

    /// Where its files lie, by the URI that clients know.
    #[must_use]
    pub fn source(&self) -> String {
        match &self.logged {
            Some(logged) => logged.source.clone(),
            None => format!("models:/{}/{}", self.model, self.version),
        }
    }

    /// How many rows it learned from, where that is known.
    #[must_use]
    pub fn train_rows(&self) -> Option<u64> {
        self.training_set.as_ref().map(|set| set.train_rows)
    }
}

/// What a client logged, and says about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Logged {
    /// Where its files lie, as the client named the place.
    pub source: String,
    /// The folder of its files in the [file store](crate::FileStore).
    pub folder: String,
    /// The logged model it was registered from, if that is known.
    #[serde(default)]
    pub model_id: Option<String>,
    /// The flavours that its `MLmodel` file names: `python_function`, `lightgbm`.
    #[serde(default)]
    pub flavours: Vec<String>,
    /// A link that the client gave to the run.
    #[serde(default)]
    pub run_link: String,
    /// Why it does not run here; none when it does.
    #[serde(default)]
    pub unservable: Option<String>,
}

/// The stages of MLflow, which its aliases have replaced; clients still ask for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub enum VersionStage {
    /// No stage.
    #[default]
    None,
    /// Being tried out.
    Staging,
    /// In use.
    Production,
    /// Put away.
    Archived,
}

impl VersionStage {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Staging, Self::Production, Self::Archived];

    /// The stage as clients write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Staging => "Staging",
            Self::Production => "Production",
            Self::Archived => "Archived",
        }
    }
}

impl std::str::FromStr for VersionStage {
    type Err = crate::Error;

    fn from_str(text: &str) -> crate::Result<Self> {
        let stage = Self::ALL.into_iter().find(|stage| stage.as_str().eq_ignore_ascii_case(text));
        stage.ok_or_else(|| crate::Error::Stage(text.into()))
    }
}

/// The pinned table of rows that a version learned from. Besides keys, inputs and slices it has the columns `__split`
/// (`train`, `validation`, `test`, or `purged` for rows whose label was not known when training would have happened),
/// `__label`, `__at` and `__label_known_at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TrainingSet {
    /// The table, `training.<model>`.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// The rows trees or weights were fitted to.
    pub train_rows: u64,
    /// The rows that decided when to stop.
    pub validation_rows: u64,
    /// The rows that were evaluated.
    pub test_rows: u64,
    /// The rows left out because their label came too late.
    pub purged_rows: u64,
    /// From when on rows are the test, when split by time.
    pub test_from: Option<Timestamp>,
}

/// Another version's metrics on this version's test rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Compared {
    /// The other version.
    pub version: u64,
    /// Its metrics.
    pub metrics: BTreeMap<String, f64>,
}

/// A remark on a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Note {
    /// When it was made.
    pub at: Timestamp,
    /// By whom.
    pub by: Principal,
    /// What it says.
    pub text: String,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn version(model: &str, version: u64) -> ModelVersion {
        ModelVersion {
            model: model.into(),
            version,
            run: Some("run".into()),
            task: Some(Task::Binary),
            artifact: Some(ArtifactRef { name: "model.json".into(), sha256: "0".repeat(64), bytes: 1 }),
            logged: None,
            training_set: Some(TrainingSet {
                table: format!("training.{model}"),
                version: 0,
                train_rows: 8,
                validation_rows: 1,
                test_rows: 1,
                purged_rows: 0,
                test_from: None,
            }),
            tables: BTreeMap::new(),
            commit: None,
            fingerprint: String::new(),
            metrics: BTreeMap::new(),
            baseline: BTreeMap::new(),
            compared: None,
            gates: vec![],
            created_at: Timestamp::UNIX_EPOCH,
            created_by: Principal::local_owner(),
            tags: BTreeMap::new(),
            notes: vec![],
            description: String::new(),
            stage: VersionStage::None,
            updated_at: None,
        }
    }
}
