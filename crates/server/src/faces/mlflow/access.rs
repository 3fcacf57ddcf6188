//! Who may do what with experiments and runs.

use std::sync::Arc;

use mainspring_registry::{ExperimentRow, RunRow, Tracking};

use super::error::{Refused, Result};
use crate::app::App;
use crate::http::Caller;

/// Who asks, of whom.
pub(super) struct Asked<'a> {
    pub(super) app: &'a App,
    pub(super) caller: &'a Caller,
    pub(super) tracking: &'a Tracking,
}

impl<'a> Asked<'a> {
    pub(super) fn of(app: &'a App, caller: &'a Caller) -> Result<Self> {
        Ok(Self { app, caller, tracking: app.registry.tracking()? })
    }

    /// Lets the caller see what there is.
    pub(super) async fn may_look(&self) -> Result<()> {
        let project = self.app.layers().project.file.project.clone();
        Ok(self.caller.may(self.app, "project.read", "project", &project).await?)
    }

    /// Lets the caller do something to an experiment, by its name.
    pub(super) async fn may(&self, action: &str, experiment: &str) -> Result<()> {
        Ok(self.caller.may(self.app, action, "experiment", experiment).await?)
    }

    /// Lets the caller do something to a run.
    pub(super) async fn may_run(&self, action: &str, run: &str) -> Result<()> {
        Ok(self.caller.may(self.app, action, "run", run).await?)
    }

    /// The experiment of a number as clients write it.
    pub(super) async fn experiment(&self, id: &str) -> Result<Arc<ExperimentRow>> {
        Ok(self.tracking.experiment(number(id)?).await?)
    }

    /// A run that the caller may see.
    pub(super) async fn run(&self, id: &str) -> Result<Arc<RunRow>> {
        self.may_run("run.read", id).await?;
        Ok(self.tracking.run(id).await?)
    }
}

/// The number of an experiment.
pub(super) fn number(id: &str) -> Result<u64> {
    if let Ok(number) = id.parse() {
        return Ok(number);
    }
    if id.parse::<i64>().is_ok() {
        return Err(Refused::no_such(format!("No Experiment with id={id} exists")));
    }
    let shown: String = id.chars().take(100).collect();
    Err(Refused::invalid(format!("Invalid experiment ID '{shown}'. Experiment ID must be a valid integer.")))
}
