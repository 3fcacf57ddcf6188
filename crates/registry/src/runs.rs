//! Runs: as they are read, and as our trainers go through them, from their start to the version they end in.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::{Change, Edge, Expect, ListQuery, Metric, Principal, Stored};
use serde_json::json;

use crate::experiment::ExperimentName;
use crate::registry::{blocking, documents, runnable, until_alone};
use crate::tracking::ensure_experiment;
use crate::{
    ArtifactRef, Environment, Error, Evaluation, Experiment, ModelVersion, NewRun, Origin, Point, RegisteredModel,
    Registry, Result, Run, RunStatus, Stage, WebhookEvent,
};

/// What a run that succeeded leaves behind; written in one transaction.
#[derive(Debug)]
pub struct Registration {
    /// The version. Its number, time and principal are filled in.
    pub version: ModelVersion,
    /// A sentence on the model, kept with it.
    pub description: String,
    /// The evaluation on the test rows.
    pub evaluation: Evaluation,
    /// Metrics by iteration.
    pub metrics: Vec<Metric>,
    /// Further files of the run.
    pub artifacts: Vec<ArtifactRef>,
    /// What the training set was made from, as lineage nodes (`table:sources.flights@3`).
    pub made_from: Vec<String>,
}

impl Registry {
    /// Starts a run. Its experiment is made if there is none, and runs of that experiment whose process died are marked.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn start_run(&self, new: NewRun, principal: &Principal) -> Result<Run> {
        let experiment = ensure_experiment(&self.catalog, &new.experiment, principal).await?;
        self.mark_interrupted(&experiment, principal).await?;
        let run = Run {
            id: uuid::Uuid::now_v7().to_string(),
            experiment,
            name: None,
            origin: Origin::Trainer,
            stage: Stage::Active,
            deleted_at: None,
            user: None,
            model: new.model,
            parent: new.parent,
            status: RunStatus::Running,
            params: new.params,
            tags: new.tags,
            by: principal.clone(),
            started_at: Timestamp::now(),
            ended_at: None,
            commit: new.commit,
            environment: Environment::current(),
            tables: new.tables,
            metrics: BTreeMap::new(),
            artifacts: vec![],
            inputs: vec![],
            model_inputs: vec![],
            model_outputs: vec![],
            version: None,
            error: None,
        };
        let change = Change::new(principal, "run.start", format!("run:{}", run.id))
            .detail(json!({ "experiment": run.experiment, "model": run.model }))
            .put(&run, Expect::Absent)?;
        self.catalog.commit(change).await?;
        Ok(run)
    }

    async fn mark_interrupted(&self, experiment: &str, principal: &Principal) -> Result<()> {
        let recent = ListQuery::of(experiment).newest_first().limit(100);
        for stored in self.catalog.list::<Run>(recent).await? {
            let run = &stored.document;
            if run.status == RunStatus::Running && run.environment.is_dead() {
                let ended = (RunStatus::Interrupted, Some("its process ended before it did".to_string()));
                match self.end(stored, ended, principal).await {
                    // Someone else marked it at the same time.
                    Err(Error::Catalog(error)) if error.is_conflict() => {}
                    other => other.map(|_| ())?,
                }
            }
        }
        Ok(())
    }

    /// Writes metrics of a run that is still going.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::RunEnded`], or when the catalog fails.
    pub async fn log_metrics(&self, run: &str, metrics: Vec<Metric>, principal: &Principal) -> Result<()> {
        let stored = self.stored_run(run).await?;
        ensure_may_become(&stored.document, RunStatus::Succeeded)?;
        let change = Change::new(principal, "run.log_metrics", format!("run:{run}"))
            .require::<Run>(run, stored.unchanged())
            .metrics(metrics);
        self.catalog.commit(change).await?;
        Ok(())
    }

    /// Ends a run with an error.
    ///
    /// # Errors
    /// [`Error::NoRun`], [`Error::RunEnded`], or when the catalog fails.
    pub async fn fail_run(&self, run: &str, error: &str, principal: &Principal) -> Result<Run> {
        let stored = self.stored_run(run).await?;
        self.end(stored, (RunStatus::Failed, Some(error.to_string())), principal).await
    }

    async fn end(
        &self,
        stored: Stored<Run>,
        (status, error): (RunStatus, Option<String>),
        principal: &Principal,
    ) -> Result<Run> {
        ensure_may_become(&stored.document, status)?;
        let unchanged = stored.unchanged();
        let run = Run { status, error, ended_at: Some(Timestamp::now()), ..stored.document };
        let change = Change::new(principal, format!("run.{status}"), format!("run:{}", run.id))
            .detail(json!({ "error": run.error }))
            .put(&run, unchanged)?;
        self.catalog.commit(change).await?;
        Ok(run)
    }

    /// A run.
    ///
    /// # Errors
    /// [`Error::NoRun`], or when the catalog fails.
    pub async fn run(&self, id: &str) -> Result<Run> {
        Ok(self.stored_run(id).await?.document)
    }

    async fn stored_run(&self, id: &str) -> Result<Stored<Run>> {
        self.catalog.get::<Run>(id).await?.ok_or_else(|| Error::NoRun(id.into()))
    }

    /// Runs, the newest first: of one experiment or of all.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn runs(&self, experiment: Option<&str>, limit: usize, after: Option<&str>) -> Result<Vec<Run>> {
        let parent = match experiment {
            Some(name) => Some(self.experiment_key(name).await?),
            None => None,
        };
        let query =
            ListQuery { parent, newest_first: true, limit: Some(limit), after: after.map(Into::into), prefix: None };
        Ok(documents(self.catalog.list(query).await?))
    }

    /// The key of the experiment of a name; the name itself when there is none, or it is a key.
    async fn experiment_key(&self, name: &str) -> Result<String> {
        let claim = self.catalog.get::<ExperimentName>(name).await?;
        Ok(claim.map_or_else(|| name.to_owned(), |claim| claim.document.key))
    }

    /// The points of each metric of a run that were logged over the wire, thinned out to at most `most`; none when this
    /// process does not have them.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn curves(&self, run: &str, most: usize) -> Result<Vec<(Arc<str>, Vec<Point>)>> {
        match self.tracking() {
            Ok(tracking) => tracking.curves(run, most).await,
            Err(_) => Ok(vec![]),
        }
    }

    /// All experiments, by name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn experiments(&self) -> Result<Vec<Experiment>> {
        Ok(documents(self.catalog.all(ListQuery::default()).await?))
    }

    /// The metrics of a run by iteration, of one key or all.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn metrics(&self, run: &str, key: Option<&str>) -> Result<Vec<Metric>> {
        Ok(self.catalog.metrics(run, key).await?)
    }

    /// The evaluation of a run's model.
    ///
    /// # Errors
    /// When the catalog fails.
    pub async fn evaluation(&self, run: &str) -> Result<Option<Evaluation>> {
        Ok(self.catalog.get::<Evaluation>(run).await?.map(|stored| stored.document))
    }

    /// Ends a run well and registers its version under the next free number, with evaluation, metrics and lineage, in one
    /// transaction. The model file must be stored already, so that the catalog never names a file that is not there.
    ///
    /// # Errors
    /// When the file is missing, the run has ended, or the catalog fails.
    pub async fn register(&self, registration: Registration, principal: &Principal) -> Result<ModelVersion> {
        let artifact = runnable(&registration.version)?;
        let (store, artifact) = (self.artifacts().clone(), artifact.clone());
        blocking(move || store.get_model(&artifact).map(|_| ())).await?;
        let raced = || Error::Raced { model: registration.version.model.clone(), alias: "(next version)".into() };
        until_alone(raced, || self.try_register(&registration, principal)).await
    }

    async fn try_register(&self, registration: &Registration, principal: &Principal) -> Result<ModelVersion> {
        let name = &registration.version.model;
        let stored_run = self.stored_run(&registration.evaluation.run).await?;
        ensure_may_become(&stored_run.document, RunStatus::Succeeded)?;
        let run_unchanged = stored_run.unchanged();
        let now = Timestamp::now();

        let stored_model = self.catalog.get::<RegisteredModel>(name).await?;
        let model_unchanged = stored_model.as_ref().map_or(Expect::Absent, Stored::unchanged);
        let mut model = stored_model.map(|stored| stored.document).unwrap_or_else(|| RegisteredModel {
            name: name.clone(),
            description: String::new(),
            last_version: 0,
            tags: BTreeMap::new(),
            created_at: Some(now),
            updated_at: None,
            created_by: Some(principal.clone()),
        });
        model.last_version += 1;
        model.updated_at = Some(now);
        model.description.clone_from(&registration.description);

        let version = ModelVersion {
            version: model.last_version,
            created_at: now,
            created_by: principal.clone(),
            ..registration.version.clone()
        };
        let mut run = stored_run.document;
        run.status = RunStatus::Succeeded;
        run.ended_at = Some(now);
        run.error = None;
        run.version = Some(version.version);
        run.metrics.clone_from(&version.metrics);
        run.tables.clone_from(&version.tables);
        run.artifacts = version.artifact.iter().chain(&registration.artifacts).cloned().collect();

        let change = Change::new(principal, "model.register", version.node())
            .detail(json!({
                "run": run.id, "artifact": version.artifact.as_ref().map(|artifact| &artifact.sha256),
                "fingerprint": version.fingerprint, "training_set": version.training_node(),
            }))
            .put(&model, model_unchanged)?
            .put(&version, Expect::Absent)?
            .put(&run, run_unchanged)?
            .put(&registration.evaluation, Expect::Any)?
            .metrics(registration.metrics.iter().cloned())
            .edges(lineage(&version, &registration.made_from));
        let change = match version.version {
            1 => self.announce(change, &WebhookEvent::model_created(&model)).await?,
            _ => change,
        };
        let change = self.announce(change, &WebhookEvent::version_created(&version)).await?;
        self.commit(change).await?;
        Ok(version)
    }
}

/// Tables and views → training set → run → version, and the commit → run.
fn lineage(version: &ModelVersion, made_from: &[String]) -> Vec<Edge> {
    let mut edges = vec![];
    let Some(run) = version.run.as_ref().map(|run| format!("run:{run}")) else { return edges };
    if let Some(training_set) = version.training_node().map(|set| format!("table:{set}")) {
        edges.extend(made_from.iter().map(|node| Edge::new(node.as_str(), &training_set, "joins")));
        edges.push(Edge::new(&training_set, &run, "trains"));
    }
    edges.push(Edge::new(&run, version.node(), "registers"));
    if let Some(commit) = &version.commit {
        edges.push(Edge::new(format!("commit:{}", commit.id), run, "defines"));
    }
    edges
}

fn ensure_may_become(run: &Run, next: RunStatus) -> Result<()> {
    if run.status.may_become(next) {
        Ok(())
    } else {
        Err(Error::RunEnded { run: run.id.clone(), status: run.status.to_string() })
    }
}
