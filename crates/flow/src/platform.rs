//! What tasks really do: one call to one layer each.

use async_trait::async_trait;
use jiff::Timestamp;
use mainspring_catalog::Catalog;
use mainspring_features::FeatureStore;
use mainspring_ingest::{CheckResult, FileOutcome, IngestReport, Ingestor};
use mainspring_spec::Severity;
use mainspring_train::{Promotion, TrainContext, TrainOptions};
use mainspring_watch::Watch;

use crate::graph::{Task, TaskKind};
use crate::may_pass::MayPass;
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
        let report = report.map_err(failure)?;
        for line in lines(&report) {
            context.log(line);
        }
        // Also when nothing of the source can be used: then most of all somebody should know.
        let refused: Vec<(&str, &str)> = report.refused().collect();
        self.watch.judge_files(source, &refused, principal).await.map_err(failure)?;
        is_usable(&report).map_err(WorkError::Lasting)?;
        // What clients pushed lands now, where it does not wait for files.
        let pushed = self.features.land_pushed(source).await.map_err(failure)?;
        Ok(ingested(&report, pushed))
    }

    async fn backfill(&self, view: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let done = if context.force {
            self.features.recompute(view, &context.principal).await
        } else {
            self.features.backfill(view, &context.principal).await
        };
        let done = done.map_err(failure)?;
        let fresh = self.features.freshness(view).await.map_err(failure)?;
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
        let done = done.map_err(failure)?;
        let outcome = Outcome { unchanged: done.rows == 0, ..Outcome::default() };
        Ok(outcome.figure("rows", done.rows).figure("entities", done.entities))
    }

    async fn train(&self, model: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let options = TrainOptions { force: context.force, ..TrainOptions::default() };
        let progress = context.progress.as_ref();
        let report = mainspring_train::train(&self.training, model, &options, &context.principal, progress)
            .await
            .map_err(failure)?;
        for (stage, seconds) in &report.seconds {
            context.log(format!("{stage} took {seconds:.2} s"));
        }
        let (promoted, refusal) = match &report.promotion {
            Promotion::Manual => ("left to people", None),
            Promotion::Live => ("live", None),
            Promotion::Withdrawn => ("withdrawn", None),
            Promotion::Refused(verdict) => ("refused by a gate", Some(verdict)),
        };
        let mut outcome = Outcome { unchanged: report.unchanged, ..Outcome::default() }
            .figure("version", report.version.version)
            .figure("train_rows", report.evaluation.train.rows)
            .figure("test_rows", report.evaluation.test.rows)
            .figure("promotion", promoted);
        for (metric, value) in report.version.metrics.iter().filter(|(_, value)| value.is_finite()) {
            outcome = outcome.figure(metric, *value);
        }
        if let Some(verdict) = refusal {
            context.log(verdict.to_string());
            let missed = verdict.results.iter().filter(|result| !result.passed).map(|result| result.reason.as_str());
            outcome = outcome.figure("gates_missed", missed.collect::<Vec<_>>().join("; "));
        }
        Ok(outcome)
    }

    async fn monitor(&self, monitor: &str, context: &TaskContext) -> Result<Outcome, WorkError> {
        let reports = self.watch.evaluate(monitor, None, &context.principal).await.map_err(failure)?;
        let broken: usize = reports.iter().map(|report| report.breaches().count()).sum();
        let outcome = Outcome { unchanged: reports.is_empty(), ..Outcome::default() };
        Ok(outcome.figure("windows", reports.len()).figure("bounds_broken", broken))
    }
}

/// What an ingest did, for the log of its attempt.
fn lines(report: &IngestReport) -> Vec<String> {
    let mut lines = Vec::new();
    for file in &report.files {
        lines.push(match &file.outcome {
            FileOutcome::Refused { reason } => format!("refused {} {reason}", file.uri),
            outcome => format!("{}: {outcome:?}", file.uri),
        });
        lines.extend(file.notes.iter().map(|note| format!("{}: {note}", file.uri)));
    }
    lines.extend(report.checks.iter().filter(|check| !check.passed).map(broken));
    lines
}

/// A broken check in words.
fn broken(check: &CheckResult) -> String {
    let said = match check.severity {
        Severity::Error => "is broken",
        Severity::Warn => "warns",
    };
    let of = match check.rows_failed {
        // a rule on a file or the table has no rows that break it, and says what it found
        0 => check.examples.join("; "),
        rows => format!("{rows} rows"),
    };
    format!("check {} {said}: {of}", check.name)
}

/// Whether what depends on the source can go on: a file that was refused is told of and does not hold up the others, unless
/// there are no others.
fn is_usable(report: &IngestReport) -> Result<(), String> {
    let refused: Vec<String> = report.refused().map(|(file, reason)| format!("{file} {reason}")).collect();
    if !refused.is_empty() && refused.len() == report.files.len() {
        return Err(refused.join("; "));
    }
    if report.version.is_none() {
        return Err(format!(
            "source {} has no rows: no file landed; look at its `path:` and at the quarantine table",
            report.source
        ));
    }
    Ok(())
}

/// The figures of an ingest: those that are nothing but a warning are there when there is something to warn of.
fn ingested(report: &IngestReport, pushed: u64) -> Outcome {
    let refused = report.refused().count();
    let unchanged = report.rows_read == 0 && pushed == 0 && refused == 0;
    let mut outcome = Outcome { unchanged, ..Outcome::default() }
        .figure("rows_read", report.rows_read)
        .figure("rows_landed", report.rows_landed + pushed)
        .figure("rows_superseded", report.rows_superseded)
        .figure("rows_quarantined", report.rows_quarantined)
        .figure("rows_dropped", report.rows_dropped);
    let failed =
        |severity: Severity| report.checks.iter().filter(move |check| !check.passed && check.severity == severity);
    for (name, count) in [
        ("checks_broken", failed(Severity::Error).count()),
        ("checks_warned", failed(Severity::Warn).count()),
        ("files_refused", refused),
    ] {
        if count > 0 {
            outcome = outcome.figure(name, count);
        }
    }
    if let Some((file, reason)) = report.refused().next() {
        outcome = outcome.figure("refused", format!("{file} {reason}"));
    }
    // rows that break a rule are set aside; one on the table, such as `freshness`, has nothing but these words
    let of_table: Vec<String> = failed(Severity::Error).filter(|check| check.rows_failed == 0).map(broken).collect();
    if of_table.is_empty() { outcome } else { outcome.figure("broken", of_table.join("; ")) }
}

/// Why a layer did not do what it was asked, with whether trying again may help.
fn failure(error: impl MayPass) -> WorkError {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_words = next.to_string();
        if !words.contains(&next_words) {
            words = format!("{words}: {next_words}");
        }
        cause = next.source();
    }
    if error.may_pass() { WorkError::Passing(words) } else { WorkError::Lasting(words) }
}

#[cfg(test)]
mod tests {
    use mainspring_ingest::FileReport;

    use super::*;

    fn report(outcomes: Vec<FileOutcome>) -> IngestReport {
        let file = |(number, outcome): (usize, FileOutcome)| FileReport {
            uri: format!("data/{number}.csv"),
            outcome,
            notes: vec![],
        };
        IngestReport {
            source: "orders".into(),
            table: "sources.orders".into(),
            version: Some(3),
            files: outcomes.into_iter().enumerate().map(file).collect(),
            rows_read: 10,
            rows_landed: 7,
            rows_superseded: 2,
            rows_quarantined: 1,
            rows_dropped: 0,
            checks: vec![],
        }
    }

    fn refused() -> FileOutcome {
        FileOutcome::Refused { reason: "has no column `a`".into() }
    }

    fn check(name: &str, severity: Severity, rows_failed: u64) -> CheckResult {
        CheckResult {
            name: name.into(),
            rule: name.into(),
            severity,
            passed: false,
            rows_failed,
            examples: vec!["the newest `at` is 2025-01-01T00:00:00Z".into()],
        }
    }

    #[test]
    fn a_refused_file_beside_others_is_a_warning_and_alone_a_failure() {
        let beside = report(vec![FileOutcome::Unchanged, refused()]);
        let alone = report(vec![refused()]);
        let nothing = IngestReport { version: None, ..report(vec![]) };

        assert_eq!(is_usable(&beside), Ok(()));
        let outcome = ingested(&beside, 0);
        assert_eq!(outcome.figures["files_refused"], 1);
        assert_eq!(outcome.figures["refused"], "data/1.csv has no column `a`");
        assert!(lines(&beside).contains(&"refused data/1.csv has no column `a`".to_owned()));
        assert_eq!(is_usable(&alone), Err("data/0.csv has no column `a`".into()));
        assert!(is_usable(&nothing).unwrap_err().contains("no file landed"));
    }

    #[test]
    fn a_refused_file_is_not_taken_for_nothing_to_do() {
        let nothing_new = |outcomes| IngestReport { rows_read: 0, ..report(outcomes) };

        assert!(ingested(&nothing_new(vec![FileOutcome::Unchanged]), 0).unchanged);
        assert!(!ingested(&nothing_new(vec![FileOutcome::Unchanged, refused()]), 0).unchanged);
        assert!(!ingested(&nothing_new(vec![FileOutcome::Unchanged]), 1).unchanged);
    }

    #[test]
    fn broken_checks_are_counted_and_those_of_the_table_are_told() {
        let checks = vec![
            check("freshness(at)", Severity::Error, 0),
            check("range(amount)", Severity::Error, 4),
            check("not_null(shop)", Severity::Warn, 5),
        ];
        let report = IngestReport { checks, ..report(vec![FileOutcome::Unchanged]) };

        let outcome = ingested(&report, 0);

        assert_eq!(outcome.figures["checks_broken"], 2);
        assert_eq!(outcome.figures["checks_warned"], 1);
        let words = "check freshness(at) is broken: the newest `at` is 2025-01-01T00:00:00Z";
        assert_eq!(outcome.figures["broken"], words);
        let said = lines(&report);
        assert!(said.contains(&words.to_owned()) && said.contains(&"check not_null(shop) warns: 5 rows".to_owned()));
    }

    #[test]
    fn figures_say_every_count_and_warn_of_nothing_when_all_is_well() {
        let outcome = ingested(&report(vec![FileOutcome::Landed { version: 3, rows: 7 }]), 5);

        let names: Vec<&str> = outcome.figures.keys().map(String::as_str).collect();
        assert_eq!(names, ["rows_dropped", "rows_landed", "rows_quarantined", "rows_read", "rows_superseded"]);
        assert_eq!(outcome.figures["rows_landed"], 12);
    }
}
