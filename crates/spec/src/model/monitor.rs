//! `monitors/*.yaml`: drift and performance, and what a breach starts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Watches what an endpoint is asked and answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// The monitor's name.
    #[serde(rename = "monitor")]
    pub name: String,
    /// What it looks after, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The endpoint watched.
    pub endpoint: String,
    /// How predictions are grouped in time, by the moment of the prediction.
    #[serde(default)]
    pub window: Window,
    /// Bounds on how far features and predictions may move from the training data.
    #[serde(default)]
    pub drift: DriftRules,
    /// Bounds on metrics once labels have come.
    #[serde(default)]
    pub performance: Vec<MetricBound>,
    /// The fewest rows a window needs before it is judged.
    #[serde(default = "fewest")]
    pub min_rows: u64,
}

fn fewest() -> u64 {
    100
}

/// A calendar window in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// A clock hour.
    Hour,
    /// A day.
    Day,
    /// A week from Monday.
    Week,
    /// A calendar month.
    #[default]
    Month,
}

/// Bounds on drift; a bound left out is not judged, the statistic is computed all the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DriftRules {
    /// Features watched; empty means all of the model's.
    pub features: Vec<String>,
    /// The greatest population stability index.
    pub psi: Option<f64>,
    /// The greatest Kolmogorov-Smirnov statistic.
    pub ks: Option<f64>,
    /// The greatest Jensen-Shannon distance.
    pub jensen_shannon: Option<f64>,
    /// The greatest Wasserstein distance, in standard deviations of the reference.
    pub wasserstein: Option<f64>,
    /// The least p-value of the chi-square test, for categories.
    pub chi_square_p: Option<f64>,
}

impl Default for DriftRules {
    fn default() -> Self {
        Self { features: vec![], psi: Some(0.2), ks: None, jensen_shannon: None, wasserstein: None, chi_square_p: None }
    }
}

/// A bound on a metric of a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricBound {
    /// The metric, as in a gate.
    pub metric: String,
    /// The least value allowed.
    pub min: Option<f64>,
    /// The greatest value allowed.
    pub max: Option<f64>,
}
