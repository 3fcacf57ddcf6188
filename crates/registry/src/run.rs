//! Runs: what was started, with what, and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use serde::{Deserialize, Serialize};

use crate::ArtifactRef;

/// One training, or whatever else a client tracks, from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Run {
    /// Its identifier: a UUID whose order is that of time.
    pub id: String,
    /// The key of the experiment it belongs to.
    pub experiment: String,
    /// What it is called, if it has a name.
    #[serde(default)]
    pub name: Option<String>,
    /// Who drives it.
    #[serde(default)]
    pub origin: Origin,
    /// Whether it is deleted.
    #[serde(default)]
    pub stage: Stage,
    /// When it was deleted.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// The user that a client named; [`by`](Self::by) is who was authenticated.
    #[serde(default)]
    pub user: Option<String>,
    /// The model it trains, if any.
    pub model: Option<String>,
    /// The run that started it, if any.
    pub parent: Option<String>,
    /// Where it stands.
    pub status: RunStatus,
    /// What it was started with.
    pub params: BTreeMap<String, String>,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Who started it.
    pub by: Principal,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The commit of the project folder.
    pub commit: Option<CodeCommit>,
    /// What it ran on.
    pub environment: Environment,
    /// The tables it read, `schema.table` to version.
    #[serde(default)]
    pub tables: BTreeMap<String, u64>,
    /// Its last metrics; of a client's run as of when it ended, the points being in the tracking store.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// The files it stored.
    #[serde(default)]
    pub artifacts: Vec<ArtifactRef>,
    /// The datasets it read, as a client named them.
    #[serde(default)]
    pub inputs: Vec<DatasetInput>,
    /// The logged models it read, by id.
    #[serde(default)]
    pub model_inputs: Vec<String>,
    /// The logged models it made.
    #[serde(default)]
    pub model_outputs: Vec<ModelOutput>,
    /// The version it registered.
    pub version: Option<u64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Document for Run {
    const KIND: &'static str = "run";

    fn id(&self) -> String {
        self.id.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.experiment.clone())
    }
}

/// Who drives a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A trainer of ours.
    #[default]
    Trainer,
    /// A client over the wire, who may end it and take it up again.
    Client,
}

/// Whether something is there or deleted; what is deleted can be restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is there.
    #[default]
    Active,
    /// It is deleted.
    Deleted,
}

impl Stage {
    /// The stage as one lower-case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }
}

/// A dataset that a run read. What is known of it beside name and digest is a [`Dataset`](crate::Dataset).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DatasetInput {
    /// Its name.
    pub name: String,
    /// A short hash of what is in it.
    pub digest: String,
    /// Labels of this use of it, such as the context it was used in.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A logged model that a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelOutput {
    /// Its id.
    pub model_id: String,
    /// At which step.
    pub step: i64,
}

/// What a run is started with.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// See [`Run::experiment`].
    pub experiment: String,
    /// See [`Run::model`].
    pub model: Option<String>,
    /// See [`Run::parent`].
    pub parent: Option<String>,
    /// See [`Run::params`].
    pub params: BTreeMap<String, String>,
    /// See [`Run::tags`].
    pub tags: BTreeMap<String, String>,
    /// See [`Run::commit`].
    pub commit: Option<CodeCommit>,
    /// See [`Run::tables`].
    pub tables: BTreeMap<String, u64>,
}

/// Where a run stands. It goes from `Running` to one of the others, once; only an `Interrupted` one that turns out to be
/// alive may still end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It is to be started.
    Scheduled,
    /// It has not ended.
    Running,
    /// It did what it was started for.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// Its process died, and a later run found it so; or a client says that it was killed.
    Interrupted,
}

impl RunStatus {
    /// Whether a run may go from here to there.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Scheduled, Self::Running)
            | (Self::Running, Self::Succeeded | Self::Failed | Self::Interrupted)
            | (Self::Interrupted, Self::Succeeded | Self::Failed) => true,
            (Self::Scheduled | Self::Running | Self::Interrupted | Self::Succeeded | Self::Failed, _) => false,
        }
    }
}

impl RunStatus {
    /// The state in the word that MLflow has for it, by which its clients search.
    #[must_use]
    pub const fn mlflow_word(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Succeeded => "FINISHED",
            Self::Failed => "FAILED",
            Self::Interrupted => "KILLED",
        }
    }

    /// The state of MLflow's word.
    #[must_use]
    pub fn of_mlflow_word(word: &str) -> Option<Self> {
        let all = [Self::Scheduled, Self::Running, Self::Succeeded, Self::Failed, Self::Interrupted];
        all.into_iter().find(|status| status.mlflow_word() == word)
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        })
    }
}

/// The state of the project folder's git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CodeCommit {
    /// The full hash of `HEAD`.
    pub id: String,
    /// Whether the folder had changes that are not in the commit.
    pub dirty: bool,
}

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Environment {
    /// The version of mainspring.
    pub mainspring: String,
    /// The operating system.
    pub os: String,
    /// The processor architecture.
    pub arch: String,
    /// How many threads it could use.
    pub threads: usize,
    /// The process that ran it.
    pub process: u32,
    /// What tells one start of the machine from another; empty where the system does not say.
    #[serde(default)]
    pub boot: String,
}

impl Environment {
    /// This process.
    #[must_use]
    pub fn current() -> Self {
        Self {
            mainspring: env!("CARGO_PKG_VERSION").into(),
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            process: std::process::id(),
            boot: boot(),
        }
    }

    /// Somewhere else: a client does not say.
    pub(crate) fn elsewhere() -> Self {
        Self { threads: 0, process: 0, boot: String::new(), os: String::new(), arch: String::new(), ..Self::current() }
    }

    /// Whether the process is known to be gone: the machine was started anew, or has no process of that number.
    pub(crate) fn is_dead(&self) -> bool {
        let now = boot();
        if now.is_empty() || self.boot.is_empty() {
            return false;
        }
        self.boot != now || !std::path::Path::new("/proc").join(self.process.to_string()).exists()
    }
}

fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
