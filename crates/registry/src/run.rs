//! Experiments and runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::{Document, Principal};
use serde::{Deserialize, Serialize};

use crate::ArtifactRef;

/// A name under which runs are compared. Each model has one of its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Free labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Document for Experiment {
    const KIND: &'static str = "experiment";

    fn id(&self) -> String {
        self.name.clone()
    }
}

/// One training, from its start to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its identifier: a UUID whose order is that of time.
    pub id: String,
    /// The experiment it belongs to.
    pub experiment: String,
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
    /// Its last metrics.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// The files it stored.
    #[serde(default)]
    pub artifacts: Vec<ArtifactRef>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It has not ended.
    Running,
    /// It did what it was started for.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// Its process died, and a later run found it so.
    Interrupted,
}

impl RunStatus {
    /// Whether a run may go from here to there.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Running, Self::Succeeded | Self::Failed | Self::Interrupted)
            | (Self::Interrupted, Self::Succeeded | Self::Failed) => true,
            (Self::Running | Self::Interrupted | Self::Succeeded | Self::Failed, _) => false,
        }
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        })
    }
}

/// The state of the project folder's git repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeCommit {
    /// The full hash of `HEAD`.
    pub id: String,
    /// Whether the folder had changes that are not in the commit.
    pub dirty: bool,
}

/// What a run ran on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
