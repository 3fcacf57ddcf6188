//! The seam between the engine, which knows order, attempts and leases, and what a task really does.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use mainspring_catalog::Principal;

use crate::event::TaskProgress;
use crate::graph::Task;
use crate::openlineage::Datasets;
use crate::record::{Figures, LOG_LINES_MAX};

/// What a task is given.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// Who asked for the run.
    pub principal: Principal,
    /// Do the task even when what it reads has not changed.
    pub force: bool,
    /// How far it is.
    pub progress: Arc<TaskProgress>,
    log: Arc<Mutex<Vec<String>>>,
}

impl TaskContext {
    /// The context of one attempt.
    #[must_use]
    pub fn new(principal: Principal, force: bool) -> Self {
        Self { principal, force, progress: Arc::default(), log: Arc::default() }
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

/// What came of a task.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// There was nothing to do: what it reads has not changed since it was last done.
    pub unchanged: bool,
    /// Figures by name.
    pub figures: Figures,
}

impl Outcome {
    /// There was nothing to do.
    #[must_use]
    pub fn unchanged() -> Self {
        Self { unchanged: true, ..Self::default() }
    }

    /// With a figure more.
    #[must_use]
    pub fn figure(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }
}

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
    /// Does the task, or finds that there is nothing to do. It may be called again after a crash at any moment: its effect
    /// must land once.
    async fn perform(&self, task: &Task, context: &TaskContext) -> Result<Outcome, WorkError>;

    /// What the task reads and writes, for those who are told of it; `since` is when it began, none when it only begins.
    async fn datasets(
        &self,
        _task: &Task,
        _since: Option<Timestamp>,
    ) -> Result<Datasets, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Datasets::default())
    }
}
