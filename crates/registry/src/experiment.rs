//! Experiments: names under which runs are compared.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::Document;
use serde::{Deserialize, Serialize};

use crate::Stage;

/// A name under which runs are compared. Each model has one of its own name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its name, which may change.
    pub name: String,
    /// What runs refer to it by, which does not change. Empty in records from before names could change: the name.
    #[serde(default)]
    pub key: String,
    /// Its number, by which clients over the wire know it. None until a server has seen it.
    #[serde(default)]
    pub number: Option<u64>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Whether it is deleted.
    #[serde(default)]
    pub stage: Stage,
    /// Where clients put the files of its runs, when they chose it themselves.
    #[serde(default)]
    pub artifact_location: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
}

impl Experiment {
    /// What runs refer to it by.
    #[must_use]
    pub fn key(&self) -> &str {
        if self.key.is_empty() { &self.name } else { &self.key }
    }

    /// Where the files of its runs lie.
    #[must_use]
    pub fn artifact_location(&self) -> String {
        match (&self.artifact_location, self.number) {
            (Some(location), _) => location.clone(),
            (None, Some(number)) => format!("mlflow-artifacts:/{number}"),
            (None, None) => format!("mlflow-artifacts:/{}", self.key()),
        }
    }

    /// Where the files of one of its runs lie.
    #[must_use]
    pub fn run_artifact_uri(&self, run: &str) -> String {
        format!("{}/{run}/artifacts", self.artifact_location().trim_end_matches('/'))
    }
}

impl Document for Experiment {
    const KIND: &'static str = "experiment";

    fn id(&self) -> String {
        self.key().to_owned()
    }
}

/// Which experiment has a name: of two that want it at once one gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExperimentName {
    pub(crate) name: String,
    pub(crate) key: String,
}

impl Document for ExperimentName {
    const KIND: &'static str = "experiment_name";

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// The last number given to an experiment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastNumber {
    pub(crate) number: u64,
}

impl LastNumber {
    /// There is one.
    pub(crate) const ID: &'static str = "last";
}

impl Document for LastNumber {
    const KIND: &'static str = "experiment_number";

    fn id(&self) -> String {
        Self::ID.to_owned()
    }
}

/// What a client told of a dataset that runs of an experiment read; the first word counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// The key of the experiment.
    pub experiment: String,
    /// Its name.
    pub name: String,
    /// A short hash of what is in it.
    pub digest: String,
    /// What kind of place it comes from.
    pub source_type: String,
    /// Where it comes from.
    pub source: String,
    /// Its schema, as the client wrote it.
    #[serde(default)]
    pub schema: Option<String>,
    /// Its profile, as the client wrote it.
    #[serde(default)]
    pub profile: Option<String>,
}

impl Dataset {
    /// The id of its document: names may be long and hold anything.
    pub(crate) fn document_id(experiment: &str, name: &str, digest: &str) -> String {
        use sha2::Digest as _;
        let words = format!("{experiment}\0{name}\0{digest}");
        hex::encode(sha2::Sha256::digest(words))
    }
}

impl Document for Dataset {
    const KIND: &'static str = "dataset";

    fn id(&self) -> String {
        Self::document_id(&self.experiment, &self.name, &self.digest)
    }

    fn parent(&self) -> Option<String> {
        Some(self.experiment.clone())
    }
}
