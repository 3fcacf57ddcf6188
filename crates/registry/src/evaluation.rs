//! How good a version is on rows it has not learned from.

use std::collections::BTreeMap;

use mainspring_catalog::Document;
use mainspring_spec::Task;
use serde::{Deserialize, Serialize};

/// The evaluation of a run's model on its test rows. A metric that is not defined on the rows, as the AUC of rows of one
/// class, is left out of the maps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evaluation {
    /// The run.
    pub run: String,
    /// The model.
    pub model: String,
    /// The kind of prediction.
    pub task: Task,
    /// The classes, in the order of [`Confusion::counts`]: for a binary model `false` and `true`.
    pub classes: Vec<String>,
    /// The test rows.
    pub test: Part,
    /// The rows held back to stop early, if any.
    pub validation: Option<Part>,
    /// The training rows.
    pub train: Part,
    /// What the constant learned from the training rows reaches on the test rows.
    pub baseline: BTreeMap<String, f64>,
    /// Mean prediction against share of true, by bins of equal width. Binary only.
    #[serde(default)]
    pub calibration: Vec<CalibrationBin>,
    /// False positive rate (`x`) against true positive rate (`y`). Binary only; at most 200 points.
    #[serde(default)]
    pub roc: Vec<CurvePoint>,
    /// Recall (`x`) against precision (`y`). Binary only; at most 200 points.
    #[serde(default)]
    pub precision_recall: Vec<CurvePoint>,
    /// Counts of true against predicted class. Binary at the threshold 0.5.
    pub confusion: Option<Confusion>,
    /// Precision, recall and F1 of each class.
    #[serde(default)]
    pub by_class: Vec<ClassReport>,
    /// How often the label was above the prediction by how much. Regression only.
    pub residuals: Option<Histogram>,
    /// The same metrics by the values of the declared slices.
    #[serde(default)]
    pub slices: Vec<SliceReport>,
    /// What the inputs gave to the model, the most first.
    #[serde(default)]
    pub importance: Vec<Importance>,
    /// What a reader of the figures should know.
    #[serde(default)]
    pub remarks: Vec<String>,
}

impl Document for Evaluation {
    const KIND: &'static str = "evaluation";

    fn id(&self) -> String {
        self.run.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.model.clone())
    }
}

/// A part of the split, with its metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Part {
    /// How many rows.
    pub rows: u64,
    /// The share of true labels (binary) or the mean label (regression).
    pub mean_label: Option<f64>,
    /// The metrics.
    pub metrics: BTreeMap<String, f64>,
}

/// A bin of predicted probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CalibrationBin {
    /// The least probability of the bin.
    pub from: f64,
    /// The bin ends here; the last one includes it.
    pub to: f64,
    /// How many rows fell into it.
    pub rows: u64,
    /// Their mean prediction.
    pub predicted: f64,
    /// The share of true among them.
    pub observed: f64,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CurvePoint {
    /// The horizontal value.
    pub x: f64,
    /// The vertical value.
    pub y: f64,
    /// Rows at or above this prediction count as positive.
    pub threshold: f64,
}

/// Counts of true against predicted class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Confusion {
    /// The names of rows and columns.
    pub classes: Vec<String>,
    /// `counts[true class][predicted class]`.
    pub counts: Vec<Vec<u64>>,
}

/// How well one class is recognised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ClassReport {
    /// The class.
    pub class: String,
    /// How many test rows have it.
    pub rows: u64,
    /// Of those predicted, the share that is right. 0 when none was predicted.
    pub precision: f64,
    /// Of those there are, the share that was found. 0 when there are none.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// Counts in bins of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Histogram {
    /// Where the first bin starts.
    pub from: f64,
    /// How wide each is.
    pub width: f64,
    /// The counts.
    pub counts: Vec<u64>,
}

/// The metrics of the test rows that have one value of a slice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SliceReport {
    /// The column.
    pub column: String,
    /// Its value, as text; `(null)` for null and `(other)` for the values beyond the most frequent.
    pub value: String,
    /// The rows, with their metrics.
    #[serde(flatten)]
    pub part: Part,
}

/// What an input gave to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Importance {
    /// The input.
    pub input: String,
    /// Its share of all gain (trees), or of the sum of absolute standardised weights (linear); they add up to 1.
    pub share: f64,
    /// In how many splits it is asked for. Trees only.
    pub splits: u64,
}
