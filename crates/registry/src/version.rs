//! Models and their versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use mainspring_spec::{Gate, Task};
use serde::{Deserialize, Serialize};

use crate::{ArtifactRef, CodeCommit};

/// A model that has versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredModel {
    /// Its name.
    pub name: String,
    /// What it predicts.
    #[serde(default)]
    pub description: String,
    /// The number of its last version.
    pub last_version: u64,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Document for RegisteredModel {
    const KIND: &'static str = "registered_model";

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// A trained model. All but tags and notes never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// The model.
    pub model: String,
    /// Its number, from 1.
    pub version: u64,
    /// The run that made it.
    pub run: String,
    /// The kind of prediction.
    pub task: Task,
    /// The model file.
    pub artifact: ArtifactRef,
    /// The rows it learned from.
    pub training_set: TrainingSet,
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
}

/// The pinned table of rows that a version learned from. Besides keys, inputs and slices it has the columns `__split`
/// (`train`, `validation`, `test`, or `purged` for rows whose label was not known when training would have happened),
/// `__label`, `__at` and `__label_known_at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// The other version.
    pub version: u64,
    /// Its metrics.
    pub metrics: BTreeMap<String, f64>,
}

/// A remark on a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
            run: "run".into(),
            task: Task::Binary,
            artifact: ArtifactRef { name: "model.json".into(), sha256: "0".repeat(64), bytes: 1 },
            training_set: TrainingSet {
                table: format!("training.{model}"),
                version: 0,
                train_rows: 8,
                validation_rows: 1,
                test_rows: 1,
                purged_rows: 0,
                test_from: None,
            },
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
        }
    }
}
