//! Metrics of labelled predictions, by window and version, in one pass over what the engine has grouped and sorted.
//!
//! The engine spills what does not fit; here only the sums of one group are held.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use futures::{Stream, StreamExt};
use mainspring_spec::Task;

use super::rows::{Group, Rows};
use crate::Performance;

/// Probabilities are kept this far from 0 and 1, so that one wrong certainty does not make the log loss infinite.
const PROBABILITY_MIN: f64 = 1e-15;

/// The query whose rows [`read`] reads, over the rows of `labelled`.
pub(super) fn query(task: Task, labelled: &str) -> String {
    let from = format!("FROM ({labelled}) AS labelled");
    match task {
        Task::Binary => format!(
            "SELECT window_from, version, prediction, CAST(sum(CASE WHEN label THEN 1 ELSE 0 END) AS BIGINT) AS positives, \
             CAST(count(*) AS BIGINT) AS rows {from} WHERE prediction IS NOT NULL AND label IS NOT NULL \
             GROUP BY window_from, version, prediction ORDER BY window_from, version, prediction"
        ),
        Task::Multiclass => format!(
            "SELECT window_from, version, predicted_class, probabilities, label {from} \
             WHERE predicted_class IS NOT NULL AND label IS NOT NULL ORDER BY window_from, version"
        ),
        Task::Regression => format!(
            "SELECT window_from, version, CAST(count(*) AS BIGINT) AS rows, avg(label) AS mean, \
             sum((prediction - label) * (prediction - label)) AS squares, sum(abs(prediction - label)) AS distances, \
             var_pop(label) AS variance {from} WHERE prediction IS NOT NULL AND label IS NOT NULL \
             GROUP BY window_from, version ORDER BY window_from, version"
        ),
    }
}

/// Reads the rows of [`query`]. Coverage is left at 0: the caller knows how many predictions there were.
pub(super) async fn read<E: From<ArrowError>>(
    task: Task,
    classes: &BTreeMap<u64, Vec<String>>,
    mut stream: impl Stream<Item = Result<RecordBatch, E>> + Unpin,
) -> Result<BTreeMap<Group, Performance>, E> {
    let mut found = BTreeMap::new();
    let mut open: Option<(Group, Sums)> = None;
    while let Some(batch) = stream.next().await.transpose()? {
        let columns = Rows::of(&batch)?;
        for row in 0..batch.num_rows() {
            let Some(group) = columns.group(row) else { continue };
            if open.as_ref().is_none_or(|(at, _)| *at != group) {
                if let Some((at, sums)) = open.take() {
                    found.insert(at, sums.finish());
                }
                open = Some((group, Sums::new(task)));
            }
            if let Some((_, sums)) = &mut open {
                sums.add(&columns, row, classes.get(&group.1).map_or(&[], Vec::as_slice));
            }
        }
    }
    if let Some((at, sums)) = open {
        found.insert(at, sums.finish());
    }
    Ok(found)
}

/// What is added up over a group.
enum Sums {
    Binary(Binary),
    Multiclass(Multiclass),
    Regression(Performance),
}

impl Sums {
    fn new(task: Task) -> Self {
        match task {
            Task::Binary => Self::Binary(Binary::default()),
            Task::Multiclass => Self::Multiclass(Multiclass::default()),
            Task::Regression => Self::Regression(Performance::default()),
        }
    }

    fn add(&mut self, columns: &Rows, row: usize, classes: &[String]) {
        match self {
            Self::Binary(sums) => {
                let counts = (columns.whole("positives", row), columns.whole("rows", row));
                if let (Some(prediction), (Some(positives), Some(rows))) = (columns.number("prediction", row), counts) {
                    sums.add(prediction, positives as f64, rows as f64);
                }
            }
            Self::Multiclass(sums) => {
                if let (Some(label), Some(predicted)) =
                    (columns.text("label", row), columns.text("predicted_class", row))
                {
                    let probability =
                        columns.text("probabilities", row).and_then(|text| probability(text, classes, label));
                    sums.add(label == predicted, probability);
                }
            }
            Self::Regression(performance) => {
                if let Some(summed) = regression(columns, row) {
                    *performance = summed;
                }
            }
        }
    }

    fn finish(self) -> Performance {
        match self {
            Self::Binary(sums) => sums.finish(),
            Self::Multiclass(sums) => sums.finish(),
            Self::Regression(performance) => performance,
        }
    }
}

/// Sums over distinct predictions in ascending order.
#[derive(Default)]
struct Binary {
    rows: f64,
    positives: f64,
    /// The sum of the positives' ranks, equal predictions sharing the mean of theirs.
    rank_sum: f64,
    log_loss: f64,
    squares: f64,
    right: f64,
}

impl Binary {
    fn add(&mut self, prediction: f64, positives: f64, rows: f64) {
        let negatives = rows - positives;
        self.rank_sum += positives * (self.rows + f64::midpoint(rows, 1.0));
        let kept = prediction.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
        self.log_loss -= positives * kept.ln() + negatives * (-kept).ln_1p();
        self.squares += positives * (1.0 - prediction).powi(2) + negatives * prediction.powi(2);
        self.right += if prediction >= 0.5 { positives } else { negatives };
        self.rows += rows;
        self.positives += positives;
    }

    fn finish(self) -> Performance {
        let negatives = self.rows - self.positives;
        let mut metrics = BTreeMap::new();
        if self.positives > 0.0 && negatives > 0.0 {
            let above = self.rank_sum - self.positives * (self.positives + 1.0) / 2.0;
            metrics.insert("auc".to_owned(), above / (self.positives * negatives));
        }
        if self.rows > 0.0 {
            metrics.insert("log_loss".to_owned(), self.log_loss / self.rows);
            metrics.insert("brier".to_owned(), self.squares / self.rows);
            metrics.insert("accuracy".to_owned(), self.right / self.rows);
        }
        let mean_label = (self.rows > 0.0).then(|| self.positives / self.rows);
        Performance { labelled: self.rows as u64, coverage: 0.0, mean_label, metrics }
    }
}

#[derive(Default)]
struct Multiclass {
    rows: f64,
    right: f64,
    scored: f64,
    log_loss: f64,
}

impl Multiclass {
    fn add(&mut self, is_right: bool, probability: Option<f64>) {
        self.rows += 1.0;
        self.right += f64::from(u8::from(is_right));
        if let Some(probability) = probability {
            self.scored += 1.0;
            self.log_loss -= probability.max(PROBABILITY_MIN).ln();
        }
    }

    fn finish(self) -> Performance {
        let mut metrics = BTreeMap::new();
        if self.rows > 0.0 {
            metrics.insert("accuracy".to_owned(), self.right / self.rows);
        }
        if self.scored > 0.0 {
            metrics.insert("log_loss".to_owned(), self.log_loss / self.scored);
        }
        Performance { labelled: self.rows as u64, coverage: 0.0, mean_label: None, metrics }
    }
}

/// The probability that was given to the label: from a JSON object by class, or a JSON array in the order of classes.
/// A class that the model does not know had none.
fn probability(text: &str, classes: &[String], label: &str) -> Option<f64> {
    match serde_json::from_str(text).ok()? {
        serde_json::Value::Object(by_class) => {
            Some(by_class.get(label).and_then(serde_json::Value::as_f64).unwrap_or(0.0))
        }
        serde_json::Value::Array(values) if values.len() == classes.len() => {
            let position = classes.iter().position(|class| class == label);
            Some(position.and_then(|position| values.get(position)?.as_f64()).unwrap_or(0.0))
        }
        _ => None,
    }
}

/// The engine has already summed a group of numbers into one row.
fn regression(columns: &Rows, row: usize) -> Option<Performance> {
    let rows = columns.number("rows", row).filter(|rows| *rows > 0.0)?;
    // A sum that is too large for a float is no number, and the other metrics stand without it.
    let squares = columns.number("squares", row);
    let variance = columns.number("variance", row).filter(|variance| *variance > 0.0);
    let known = [
        ("rmse", squares.map(|squares| (squares / rows).sqrt())),
        ("mae", columns.number("distances", row).map(|distances| distances / rows)),
        ("r2", squares.zip(variance).map(|(squares, variance)| 1.0 - squares / rows / variance)),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| value.is_finite())?)));
    let metrics: BTreeMap<String, f64> = known.map(|(name, value)| (name.to_owned(), value)).collect();
    Some(Performance { labelled: rows as u64, coverage: 0.0, mean_label: columns.number("mean", row), metrics })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_ties_are_shared() {
        let mut sums = Binary::default();
        for (prediction, positives, rows) in [(0.1, 0.0, 2.0), (0.4, 1.0, 2.0), (0.8, 2.0, 2.0)] {
            sums.add(prediction, positives, rows);
        }

        let performance = sums.finish();

        // Of 3 x 3 pairs the positive is above in 8 and equal in 1.
        assert!((performance.metrics["auc"] - 8.5 / 9.0).abs() < 1e-15);
        let log_loss = -(2.0 * 0.9f64.ln() + 0.4f64.ln() + 0.6f64.ln() + 2.0 * 0.8f64.ln()) / 6.0;
        assert!((performance.metrics["log_loss"] - log_loss).abs() < 1e-15);
        assert!((performance.metrics["brier"] - (0.02 + 0.36 + 0.16 + 0.08) / 6.0).abs() < 1e-15);
        assert!((performance.metrics["accuracy"] - 5.0 / 6.0).abs() < 1e-15);
        assert_eq!((performance.labelled, performance.mean_label), (6, Some(0.5)));
    }

    #[test]
    fn one_class_has_no_auc() {
        let mut sums = Binary::default();
        sums.add(0.2, 0.0, 5.0);

        assert!(!sums.finish().metrics.contains_key("auc"));
    }

    #[test]
    fn probabilities_are_read_by_class_and_by_position() {
        let classes = ["red".to_owned(), "blue".to_owned()];

        assert_eq!(probability(r#"{"red":0.3,"blue":0.7}"#, &classes, "blue"), Some(0.7));
        assert_eq!(probability("[0.3,0.7]", &classes, "blue"), Some(0.7));
        assert_eq!(probability("[0.3,0.7]", &classes, "green"), Some(0.0));
        assert_eq!(probability("broken", &classes, "blue"), None);
    }
}
