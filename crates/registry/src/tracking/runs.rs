//! Runs of clients: started, ended, taken up again, deleted, restored, labelled.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Change, Expect, Principal, Stored};
use serde_json::json;

use super::Tracking;
use super::index::RunRow;
use crate::registry::until_alone;
use crate::{Environment, Error, Origin, Result, Run, RunStatus, Stage};

/// The label that carries a run's name, for MLflow's clients.
const NAME_TAG: &str = "mlflow.runName";

/// What a client starts a run with.
#[derive(Debug, Clone)]
pub struct NewClientRun {
    /// The number of its experiment.
    pub experiment: u64,
    /// What it is called.
    pub name: String,
    /// The user that the client names.
    pub user: Option<String>,
    /// The run above it.
    pub parent: Option<String>,
    /// When it started, as the client says.
    pub started_at: Timestamp,
    /// Free labels.
    pub tags: BTreeMap<String, String>,
}

/// What a client says of how a run goes; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct RunChange {
    /// Where it stands. A client may end a run and take it up again.
    pub status: Option<RunStatus>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What it is called.
    pub name: Option<String>,
    /// Labels that go with that.
    pub tags: BTreeMap<String, String>,
}

/// Params and labels that are written together.
#[derive(Debug, Clone, Default)]
pub struct BatchOfLabels {
    /// What the run was started with; a param never changes once it is there.
    pub params: Vec<(String, String)>,
    /// Free labels.
    pub tags: Vec<(String, String)>,
}

impl Tracking {
    /// Starts a run.
    ///
    /// # Errors
    /// [`Error::NoExperiment`]; [`Error::ExperimentStage`] when the experiment is deleted; when the catalog fails.
    pub async fn start_run(&self, new: NewClientRun, principal: &Principal) -> Result<Arc<RunRow>> {
        let experiment = self.experiment(new.experiment).await?;
        if experiment.experiment.stage == Stage::Deleted {
            let name = experiment.experiment.name.clone();
            return Err(Error::ExperimentStage { name, must: "active" });
        }
        let run = Run {
            id: uuid::Uuid::now_v7().simple().to_string(),
            experiment: experiment.experiment.key().to_owned(),
            name: Some(new.name),
            origin: Origin::Client,
            stage: Stage::Active,
            deleted_at: None,
            user: new.user,
            model: None,
            parent: new.parent,
            status: RunStatus::Running,
            params: BTreeMap::new(),
            tags: new.tags,
            by: principal.clone(),
            started_at: new.started_at,
            ended_at: None,
            commit: None,
            environment: Environment::elsewhere(),
            tables: BTreeMap::new(),
            metrics: BTreeMap::new(),
            artifacts: vec![],
            inputs: vec![],
            model_inputs: vec![],
            model_outputs: vec![],
            version: None,
            error: None,
        };
        let change = Change::new(principal, "run.start", format!("run:{}", run.id))
            .detail(json!({ "experiment": experiment.experiment.name, "name": run.name }))
            .put(&run, Expect::Absent)?;
        self.0.catalog.commit(change).await?;
        self.run(&run.id).await
    }

    /// Says how a run goes. When it ends, its last metrics are written into its record, and so into the audit chain.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::RunDeleted`], [`Error::TrainersRun`], or when the catalog fails.
    pub async fn update_run(&self, id: &str, change: RunChange, principal: &Principal) -> Result<Arc<RunRow>> {
        let row = self.active_run(id).await?;
        let is_ended = |status| matches!(status, RunStatus::Succeeded | RunStatus::Failed | RunStatus::Interrupted);
        let ends = change.status.is_some_and(is_ended);
        let action = if ends { "run.end" } else { "run.update" };
        let detail = json!({ "status": change.status, "name": change.name });
        self.change_run(id, (action, detail), principal, |run| {
            if let Some(status) = change.status {
                if run.origin == Origin::Trainer && run.status != status {
                    return Err(Error::TrainersRun(run.id.clone()));
                }
                run.status = status;
            }
            if change.ended_at.is_some() {
                run.ended_at = change.ended_at;
            }
            if let Some(name) = &change.name {
                run.name = Some(name.clone());
            }
            run.tags.extend(change.tags.clone());
            if ends {
                // JSON has no NaN and no infinities; those stay in the store of points alone
                let finite = self.named_metrics(&row).into_iter().filter(|(_, point)| point.value.is_finite());
                run.metrics.extend(finite.map(|(key, point)| (key.to_string(), point.value)));
            }
            Ok(Outcome::Changed)
        })
        .await
    }

    /// Deletes a run, or restores it.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when the catalog fails.
    pub async fn set_run_stage(&self, id: &str, stage: Stage, principal: &Principal) -> Result<Arc<RunRow>> {
        let action = if stage == Stage::Deleted { "run.delete" } else { "run.restore" };
        self.change_run(id, (action, json!({})), principal, |run| {
            if run.stage == stage {
                return Ok(Outcome::Same);
            }
            run.stage = stage;
            run.deleted_at = (stage == Stage::Deleted).then(Timestamp::now);
            Ok(Outcome::Changed)
        })
        .await
    }

    /// Writes params and labels. The label of a run's name names it, unless it is empty.
    ///
    /// # Errors
    /// [`Error::ParamChanged`] when a param is there with another value, and then nothing is written; [`Error::NoRun`];
    /// [`Error::RunDeleted`].
    pub async fn label_run(&self, id: &str, labels: BatchOfLabels, principal: &Principal) -> Result<Arc<RunRow>> {
        self.active_run(id).await?;
        let params: Vec<&str> = labels.params.iter().map(|(key, _)| key.as_str()).collect();
        let tags: Vec<&str> = labels.tags.iter().map(|(key, _)| key.as_str()).collect();
        let detail = json!({ "params": params, "tags": tags });
        self.change_run(id, ("run.log", detail), principal, |run| {
            let mut outcome = Outcome::Same;
            for (key, value) in &labels.params {
                match run.params.get(key) {
                    Some(before) if before == value => {}
                    Some(before) => {
                        let (run, key) = (run.id.clone(), key.clone());
                        return Err(Error::ParamChanged { run, key, before: before.clone(), value: value.clone() });
                    }
                    None => {
                        run.params.insert(key.clone(), value.clone());
                        outcome = Outcome::Changed;
                    }
                }
            }
            for (key, value) in &labels.tags {
                if run.tags.insert(key.clone(), value.clone()).as_ref() != Some(value) {
                    outcome = Outcome::Changed;
                }
                if key == NAME_TAG && !value.is_empty() && run.name.as_ref() != Some(value) {
                    run.name = Some(value.clone());
                    outcome = Outcome::Changed;
                }
            }
            Ok(outcome)
        })
        .await
    }

    /// Takes a label away.
    ///
    /// # Errors
    /// [`Error::NoTag`], [`Error::NoRun`], [`Error::RunDeleted`], or when the catalog fails.
    pub async fn unlabel_run(&self, id: &str, key: &str, principal: &Principal) -> Result<Arc<RunRow>> {
        self.active_run(id).await?;
        self.change_run(id, ("run.log", json!({ "tag": key, "removed": true })), principal, |run| {
            match run.tags.remove(key) {
                Some(_) => Ok(Outcome::Changed),
                None => Err(Error::NoTag { of: format!("run `{}`", run.id), key: key.to_owned() }),
            }
        })
        .await
    }

    /// A run.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when the catalog fails.
    pub async fn run(&self, id: &str) -> Result<Arc<RunRow>> {
        self.follow().await?;
        self.0.index.run(id).ok_or_else(|| Error::NoRun(id.into()))
    }

    /// A run that is not deleted.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::RunDeleted`], or when the catalog fails.
    pub async fn active_run(&self, id: &str) -> Result<Arc<RunRow>> {
        // the index is behind by what other processes wrote; only a run that it does not know is worth a look
        let row = match self.0.index.run(id) {
            Some(row) => row,
            None => self.run(id).await?,
        };
        match self.stage_of(&row) {
            Stage::Active => Ok(row),
            Stage::Deleted => Err(Error::RunDeleted(id.into())),
        }
    }

    /// Whether a run is deleted: itself, or with its experiment.
    #[must_use]
    pub fn stage_of(&self, row: &RunRow) -> Stage {
        let experiment = self.0.index.experiment(&row.experiment);
        match experiment.map(|row| row.experiment.stage) {
            Some(Stage::Deleted) => Stage::Deleted,
            _ => row.stage,
        }
    }

    /// Changes the record of a run by a function, which is asked again when somebody else changed it meanwhile.
    pub(super) async fn change_run(
        &self,
        id: &str,
        (action, detail): (&str, serde_json::Value),
        principal: &Principal,
        edit: impl Fn(&mut Run) -> Result<Outcome>,
    ) -> Result<Arc<RunRow>> {
        let _alone = self.locked(id).await;
        let busy = || Error::Busy(format!("run `{id}`"));
        until_alone(busy, || async {
            let stored: Option<Stored<Run>> = self.0.catalog.get(id).await?;
            let stored = stored.ok_or_else(|| Error::NoRun(id.into()))?;
            let unchanged = stored.unchanged();
            let mut run = stored.document;
            if let Outcome::Same = edit(&mut run)? {
                return Ok(());
            }
            let change =
                Change::new(principal, action, format!("run:{id}")).detail(detail.clone()).put(&run, unchanged)?;
            self.0.catalog.commit(change).await?;
            Ok(())
        })
        .await?;
        self.run(id).await
    }
}

/// Whether an edit changed anything.
pub(super) enum Outcome {
    Changed,
    Same,
}
