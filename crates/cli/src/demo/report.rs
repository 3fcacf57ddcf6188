//! The figures of a demo run: for `--report`, and for the summary a person reads.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::output::{BAD, BOLD, Column, GOOD, SOFT, count, size, table};

/// Everything a run measured.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether every step held.
    pub held: bool,
    /// By source.
    pub tables: BTreeMap<String, TableFigures>,
    /// Rows of the offline table, by feature view.
    pub feature_rows: BTreeMap<String, u64>,
    /// Rows learned from, held back to stop early, and tested on.
    pub training: TrainingFigures,
    /// Metrics on the test rows.
    pub test: BTreeMap<String, f64>,
    /// What was predicted over HTTP.
    pub predictions: PredictionFigures,
    /// Drift and quality, by month.
    pub months: Vec<MonthFigures>,
    /// Online values compared with their recomputation offline.
    pub consistency: ConsistencyFigures,
    /// Time and memory, by step.
    pub steps: Vec<StepFigures>,
    /// Time of everything, in seconds.
    pub seconds: f64,
    /// The most memory resident, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// What did not hold, in words.
    pub complaints: Vec<String>,
}

/// What was read into a table.
#[derive(Debug, Default, Serialize)]
pub struct TableFigures {
    /// Rows in the files.
    pub rows_read: u64,
    /// Rows of a key that a later row of the same file has too.
    pub rows_superseded: u64,
    /// Rows put aside.
    pub rows_quarantined: u64,
    /// Rows left out.
    pub rows_dropped: u64,
}

/// What was learned from.
#[derive(Debug, Default, Serialize)]
pub struct TrainingFigures {
    /// Rows learned from.
    pub rows: u64,
    /// Rows held back to stop early.
    pub validation_rows: u64,
    /// Rows tested on.
    pub test_rows: u64,
    /// The model's inputs.
    pub inputs: usize,
}

/// What was predicted over HTTP, as the client saw it.
#[derive(Debug, Default, Serialize)]
pub struct PredictionFigures {
    /// Requests answered with a prediction.
    pub made: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Predictions made without all features or without the model.
    pub degraded: u64,
    /// Requests a second while they were sent.
    pub per_second: f64,
    /// Half of the requests took no longer, in milliseconds.
    pub latency_p50_ms: f64,
    /// 99 in 100 requests took no longer, in milliseconds.
    pub latency_p99_ms: f64,
}

/// One month of the replay.
#[derive(Debug, Serialize)]
pub struct MonthFigures {
    /// As `2013-07`.
    pub month: String,
    /// Predictions made.
    pub predictions: u64,
    /// Predictions whose label has come.
    pub labelled: u64,
    /// Metrics on those.
    pub quality: BTreeMap<String, f64>,
    /// The feature that moved farthest.
    pub drift_feature: Option<String>,
    /// How far, as population stability index.
    pub drift_psi: Option<f64>,
    /// Features beyond the monitor's bounds.
    pub drifted: usize,
    /// Bounds broken, in words.
    pub alerts: Vec<String>,
}

/// Online values compared with their recomputation offline.
#[derive(Debug, Default, Serialize)]
pub struct ConsistencyFigures {
    /// Predictions compared.
    pub rows: u64,
    /// Values that differ.
    pub mismatches: u64,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct StepFigures {
    /// What was done.
    pub step: String,
    /// How long it took.
    pub seconds: f64,
    /// The most memory resident meanwhile, in bytes.
    pub peak_memory_bytes: Option<u64>,
}

impl Report {
    /// The summary a person reads.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut part = |title: &str, body: String| {
            text.push_str(&format!("\n{BOLD}{title}{BOLD:#}\n{body}\n"));
        };
        part(
            "Rows",
            table(
                &[
                    Column::Left("table"),
                    Column::Right("read"),
                    Column::Right("superseded"),
                    Column::Right("quarantined"),
                    Column::Right("dropped"),
                ],
                (self.tables.iter())
                    .map(|(name, rows)| {
                        vec![
                            name.clone(),
                            count(rows.rows_read),
                            count(rows.rows_superseded),
                            count(rows.rows_quarantined),
                            count(rows.rows_dropped),
                        ]
                    })
                    .collect(),
            ),
        );
        let metrics: Vec<String> =
            self.test.iter().map(|(name, value)| format!("{} {value:.4}", name.replace('_', " "))).collect();
        part(
            "Model",
            format!(
                "learned from {} rows with {} inputs, tested on {} rows that came later\n{}",
                count(self.training.rows),
                self.training.inputs,
                count(self.training.test_rows),
                metrics.join(", ")
            ),
        );
        let quality = |month: &MonthFigures, name: &str| {
            month.quality.get(name).map_or_else(|| "-".into(), |value| format!("{value:.4}"))
        };
        part(
            "Month by month",
            table(
                &[
                    Column::Left("month"),
                    Column::Right("predictions"),
                    Column::Right("labelled"),
                    Column::Right("AUC"),
                    Column::Right("log loss"),
                    Column::Right("PSI"),
                    Column::Left("moved farthest"),
                    Column::Left("alerts"),
                ],
                (self.months.iter())
                    .map(|month| {
                        vec![
                            month.month.clone(),
                            count(month.predictions),
                            count(month.labelled),
                            quality(month, "auc"),
                            quality(month, "log_loss"),
                            month.drift_psi.map_or_else(|| "-".into(), |psi| format!("{psi:.3}")),
                            month.drift_feature.clone().unwrap_or_default(),
                            month.alerts.len().to_string(),
                        ]
                    })
                    .collect(),
            ),
        );
        part(
            "Serving",
            format!(
                "{} predictions over HTTP, {:.0} a second, half within {:.2} ms, 99 in 100 within {:.2} ms, {} failed\n\
                 {} of them recomputed offline: {} values differ",
                count(self.predictions.made),
                self.predictions.per_second,
                self.predictions.latency_p50_ms,
                self.predictions.latency_p99_ms,
                count(self.predictions.failed),
                count(self.consistency.rows),
                self.consistency.mismatches,
            ),
        );
        let peak = self.peak_memory_bytes.map_or_else(|| "unknown".into(), size);
        let verdict = if self.held {
            format!("{GOOD}Every step held{GOOD:#}")
        } else {
            format!("{BAD}Not every step held{BAD:#}\n{}", self.complaints.join("\n"))
        };
        part("In all", format!("{verdict} {SOFT}in {:.0} s, with at most {peak} of memory{SOFT:#}", self.seconds));
        text
    }
}
