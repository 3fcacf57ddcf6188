//! The seam between the engine, which knows order, attempts and leases, and what a task really does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use mainspring_catalog::{Catalog, Principal};
use mainspring_features::FeatureStore;
use mainspring_ingest::Ingestor;
use mainspring_registry::Registry;
use mainspring_spec::{Project, Promote};
use mainspring_train::Trainer;
use mainspring_watch::Watch;
use sha2::{Digest, Sha256};

use crate::event::TaskProgress;
use crate::graph::{Task, TaskKind};
use crate::record::LOG_LINES_MAX;

/// What a task is given.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Who asked for the run.
    pub principal: Principal,
    /// How far it is.
    pub progress: Arc<TaskProgress>,
    log: Arc<Mutex<Vec<String>>>,
}

impl TaskContext {
    /// The context of one attempt.
    #[must_use]
    pub fn new(principal: Principal) -> Self {
        Self { principal, progress: Arc::default(), log: Arc::default() }
    }

    /// Keeps a line of log with the attempt; beyond [`LOG_LINES_MAX`] the oldest goes.
    pub fn log(&self, line: impl Into<String>) {
        let mut lines = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LOG_LINES_MAX {
            lines.remove(0);
        }
        lines.push(line.into());
    }

    /// The lines kept so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What came of a task: figures by name.
pub type Outcome = BTreeMap<String, serde_json::Value>;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Trying again may help: a file that was busy, a commit that lost a race.
    #[error("{0}")]
    Passing(String),
    /// Trying again cannot help until somebody mends something.
    #[error("{0}")]
    Lasting(String),
}

/// Does tasks.
#[async_trait]
pub trait Work: Send + Sync + 'static {
    /// Stands for everything the task reads, declarations and table versions: the same fingerprint, the same result.
    /// `None` when the task must look for itself whether there is something to do.
    async fn fingerprint(&self, task: &Task) -> Result<Option<String>, WorkError>;

    /// Does the task. It may be called again after a crash at any moment: its effect must land once.
    async fn perform(&self, task: &Task, context: &TaskContext) -> Result<Outcome, WorkError>;
}
