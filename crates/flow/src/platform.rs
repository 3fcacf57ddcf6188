//! What tasks really do: one call to one layer each.

use async_trait::async_trait;
use jiff::Timestamp;
use mainspring_catalog::Catalog;
use mainspring_features::FeatureStore;
use mainspring_ingest::Ingestor;
use mainspring_train::{Promotion, TrainContext, TrainOptions};
use mainspring_watch::Watch;

use crate::graph::{Task, TaskKind};
use crate::openlineage::{self, Datasets};
use crate::work::{Outcome, TaskContext, Work, WorkError};

/// The layers, as the engine sees them.
pub struct PlatformWork {
    /// Reads sources.
    pub ingestor: Ingestor,
    /// Keeps features.
    pub features: FeatureStore,
    /// What training needs.
    pub training: TrainContext,
    /// Evaluates monitors.
    pub watch: Watch,
    /// Knows what was made from what.
    pub catalog: Catalog,
}

#[async_trait]
impl Work for PlatformWork {
    async fn perform(&self, task: &Task, context: &TaskContext) -> Result<Outcome, WorkError> {
        match task.kind {
            TaskKind::Ingest => self.ingest(&task.name, context).await,
            TaskKind::Backfill => self.backfill(&task.name, context).await,
            TaskKind::Materialize => self.materialize(&task.name, context).await,
            TaskKind::Train => self.train(&task.name, context).await,
            TaskKind::Monitor => self.monitor(&task.name, context).await,
        }
    }

    async fn datasets(
        &self,
        task: &Task,
        since: Option<Timestamp>,
    ) -> Result<Datasets, Box<dyn std::error::Error + Send + Sync>> {
        openlineage::datasets(self, task, since).await
    }
}

impl PlatformWork {
    async fn ingest(&self, source: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let (principal, progress) = (&context.principal, context.progress.as_ref());
        let report = if context.force {
            self.ingestor.ingest_anew(source, principal, progress).await
        } else {
            self.ingestor.ingest(source, principal, progress).await
        };
        let report = report.map_err(passing)?;
        for file in &report.files {
            context.log(format!("{}: {:?}", file.uri, file.outcome));
            for note in &file.notes {
                context.log(format!("{}: {note}", file.uri));
            }
        }
        for check in report.checks.iter().filter(|check| !check.passed) {
            context.log(format!("check {} failed on {} rows", check.name, check.rows_failed));
        }
        let refused: Vec<String> = report.refused().map(|(file, reason)| format!("{file} {reason}")).collect();
        if !refused.is_empty() {
            return Err(WorkError::Lasting(refused.join("; ")));
        }
        if report.version.is_none() {
            return Err(WorkError::Lasting(format!(
                "source {source} has no rows: no file landed; look at its `path:` and at the quarantine table"
            )));
        }
        // What clients pushed lands now, where it does not wait for files.
        let pushed = self.features.land_pushed(source).await.map_err(passing)?;
        let outcome = Outcome { unchanged: report.rows_read == 0 && pushed == 0, ..Outcome::default() };
        Ok(outcome
            .figure("rows_read", report.rows_read)
            .figure("rows_landed", report.rows_landed + pushed)
            .figure("rows_quarantined", report.rows_quarantined)
            .figure("rows_dropped", report.rows_dropped))
    }

    async fn backfill(&self, view: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let done = if context.force {
            self.features.recompute(view, &context.principal).await
        } else {
            self.features.backfill(view, &context.principal).await
        };
        let done = done.map_err(passing)?;
        let fresh = self.features.freshness(view).await.map_err(passing)?;
        let outcome = Outcome { unchanged: done.unchanged, ..Outcome::default() };
        Ok(outcome
            .figure("rows", fresh.rows)
            .figure("rows_written", done.materialization.rows_written)
            .figure("version", done.materialization.version))
    }

    async fn materialize(&self, view: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let done = if context.force {
            self.features.rebuild_online(view).await
        } else {
            self.features.materialize_online(view, None).await
        };
        let done = done.map_err(passing)?;
        let outcome = Outcome { unchanged: done.rows == 0, ..Outcome::default() };
        Ok(outcome.figure("rows", done.rows).figure("entities", done.entities))
    }

    async fn train(&self, model: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let options = TrainOptions { force: context.force, ..TrainOptions::default() };
        let progress = context.progress.as_ref();
        let report = mainspring_train::train(&self.training, model, &options, &context.principal, progress)
            .await
            .map_err(|error| WorkError::Lasting(error.to_string()))?;
        for (stage, seconds) in &report.seconds {
            context.log(format!("{stage} took {seconds:.2} s"));
        }
        let promoted = match &report.promotion {
            Promotion::Manual => "left to people",
            Promotion::Live => "live",
            Promotion::Withdrawn => "withdrawn",
            Promotion::Refused(verdict) => {
                context.log(verdict.to_string());
                "refused by a gate"
            }
        };
        let mut outcome = Outcome { unchanged: report.unchanged, ..Outcome::default() }
            .figure("version", report.version.version)
            .figure("train_rows", report.evaluation.train.rows)
            .figure("test_rows", report.evaluation.test.rows)
            .figure("promotion", promoted);
        for (metric, value) in report.version.metrics.iter().filter(|(_, value)| value.is_finite()) {
            outcome = outcome.figure(metric, *value);
        }
        Ok(outcome)
    }

    async fn monitor(&self, monitor: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let reports = self.watch.evaluate(monitor, None, &context.principal).await.map_err(passing)?;
        let broken: usize = reports.iter().map(|report| report.breaches().count()).sum();
        let outcome = Outcome { unchanged: reports.is_empty(), ..Outcome::default() };
        Ok(outcome.figure("windows", reports.len()).figure("bounds_broken", broken))
    }
}

/// A failure that may be gone at the next attempt: a lost race, a busy file.
fn passing(error: impl std::error::Error) -> WorkError {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_words = next.to_string();
        if !words.contains(&next_words) {
            words = format!("{words}: {next_words}");
        }
        cause = next.source();
    }
    WorkError::Passing(words)
}
