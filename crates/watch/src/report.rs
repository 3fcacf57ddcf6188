//! What a monitor found in a window.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::Document;
use mainspring_spec::Window;
use serde::{Deserialize, Serialize};

use crate::drift::{ChiSquare, Drift, Histogram, KolmogorovSmirnov, Summary, Wasserstein};

/// What a monitor found about one model version in one window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WindowReport {
    /// The monitor.
    pub monitor: String,
    /// The endpoint watched.
    pub endpoint: String,
    /// The model that answered.
    pub model: String,
    /// Its version; 0 for the endpoint's constant, given when no version could answer.
    pub model_version: u64,
    /// How long the window is.
    pub window: Window,
    /// Where it starts.
    pub from: Timestamp,
    /// Where it ends; this moment is no longer in it.
    pub to: Timestamp,
    /// Whether the window had ended when it was evaluated. Only closed windows raise alerts.
    pub closed: bool,
    /// The moment up to which predictions and labels counted.
    pub until: Timestamp,
    /// How many predictions there were, and how they were answered.
    pub traffic: Traffic,
    /// What the columns are compared with; absent when the registry does not know the
    /// version, or its training set is gone.
    pub reference: Option<Reference>,
    /// How far each input and the prediction have moved.
    pub columns: Vec<ColumnReport>,
    /// How good the predictions were, once labels are known.
    pub performance: Option<Performance>,
    /// Bounds that could be judged, with their values.
    pub judgements: Vec<Judgement>,
    /// What the figures were computed from: the same inputs are not computed again.
    pub inputs: Inputs,
}

impl Document for WindowReport {
    const KIND: &'static str = "window_report";

    fn id(&self) -> String {
        Self::document_id(&self.monitor, self.from, self.model_version)
    }

    fn parent(&self) -> Option<String> {
        Some(self.monitor.clone())
    }
}

impl WindowReport {
    /// The identifier in the catalog: `monitor/from/version`. Of one monitor, in the order of time.
    #[must_use]
    pub fn document_id(monitor: &str, from: Timestamp, model_version: u64) -> String {
        format!("{monitor}/{from}/{model_version}")
    }

    /// The bounds that are broken.
    pub fn breaches(&self) -> impl Iterator<Item = &Judgement> {
        self.judgements.iter().filter(|judgement| judgement.broken)
    }

    /// The greatest population stability index of the inputs, with the input's name.
    #[must_use]
    pub fn greatest_psi(&self) -> Option<(&str, f64)> {
        self.columns
            .iter()
            .filter(|column| column.role == Role::Feature)
            .filter_map(|column| Some((column.name.as_str(), column.psi?)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The report of a column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnReport> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// What a report was computed from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Inputs {
    /// Predictions, reference and columns.
    pub drift: String,
    /// Predictions and labels.
    pub performance: String,
}

/// How many predictions there were, and how they were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Traffic {
    /// Predictions logged.
    pub predictions: u64,
    /// Those answered by a fallback, or without features they should have had.
    pub degraded: u64,
    /// Half of the answers took at most so long, in microseconds.
    pub latency_us_p50: Option<f64>,
    /// 99% of the answers took at most so long, in microseconds.
    pub latency_us_p99: Option<f64>,
    /// The share of feature values that were missing, over all features.
    pub missing_feature_share: f64,
    /// The mean of the predictions.
    pub mean_prediction: Option<f64>,
}

impl Traffic {
    /// The share of degraded answers; 0 without answers.
    #[must_use]
    pub fn degraded_share(&self) -> f64 {
        if self.predictions == 0 { 0.0 } else { self.degraded as f64 / self.predictions as f64 }
    }
}

/// What the columns of a window are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reference {
    /// The table of training rows, `training.<model>`.
    pub table: String,
    /// Its version.
    pub version: u64,
    /// How many of its rows the model learned from. Inputs are compared with these, and predictions with the model's
    /// predictions for these.
    pub rows: u64,
}

/// What a column is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// An input.
    Feature,
    /// What it answered.
    Prediction,
}

/// How far a column has moved. A statistic that does not apply, or has no rows, is absent; see [`Drift`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ColumnReport {
    /// The column in the prediction log.
    pub name: String,
    /// Input or prediction.
    pub role: Role,
    /// The reference in a few numbers.
    pub reference: Summary,
    /// The window in a few numbers.
    pub current: Summary,
    /// Population stability index.
    pub psi: Option<f64>,
    /// Kolmogorov-Smirnov test.
    pub ks: Option<KolmogorovSmirnov>,
    /// Jensen-Shannon distance in base 2.
    pub jensen_shannon: Option<f64>,
    /// Wasserstein distance.
    pub wasserstein: Option<Wasserstein>,
    /// Chi-square test.
    pub chi_square: Option<ChiSquare>,
    /// Whether values were summarised by a sketch.
    pub approximate: bool,
}

impl ColumnReport {
    /// Parts the statistics, which every list shows, from the histogram, which only a column's own page draws.
    #[must_use]
    pub fn split(name: String, role: Role, drift: Drift) -> (Self, Histogram) {
        let Drift { reference, current, psi, jensen_shannon, ks, wasserstein, chi_square, histogram, approximate } =
            drift;
        let report =
            Self { name, role, reference, current, psi, ks, jensen_shannon, wasserstein, chi_square, approximate };
        (report, histogram)
    }
}

/// The histograms of a report, kept beside it because they are large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WindowHistograms {
    /// The report's identifier.
    pub report: String,
    /// The monitor.
    pub monitor: String,
    /// By column.
    pub columns: BTreeMap<String, Histogram>,
}

impl Document for WindowHistograms {
    const KIND: &'static str = "window_histograms";

    fn id(&self) -> String {
        self.report.clone()
    }

    fn parent(&self) -> Option<String> {
        Some(self.monitor.clone())
    }
}

/// How good the predictions of a window were.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Performance {
    /// Predictions whose label is known.
    pub labelled: u64,
    /// Their share of the window's predictions.
    pub coverage: f64,
    /// The share of true labels (binary) or the mean label (regression).
    pub mean_label: Option<f64>,
    /// `auc`, `log_loss`, `brier` and `accuracy`; or `log_loss` and `accuracy`; or `rmse`, `mae` and `r2`. One that is
    /// not defined on the rows, as the AUC of one class, is left out.
    pub metrics: BTreeMap<String, f64>,
}

/// A bound, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Judgement {
    /// What was judged.
    pub rule: Rule,
    /// The column, for rules about columns.
    pub column: Option<String>,
    /// The value found.
    pub value: f64,
    /// The bound.
    pub bound: Bound,
    /// Whether the value is beyond it.
    pub broken: bool,
}

/// How great or small a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The greatest value allowed.
    AtMost(f64),
    /// The least value allowed.
    AtLeast(f64),
}

impl Bound {
    /// Whether a value is beyond the bound.
    #[must_use]
    pub fn is_broken_by(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value > most,
            Self::AtLeast(least) => value < least,
        }
    }

    /// How far a value is beyond the bound; negative when it is within.
    #[must_use]
    pub fn excess(self, value: f64) -> f64 {
        match self {
            Self::AtMost(most) => value - most,
            Self::AtLeast(least) => least - value,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
        }
    }
}

impl Judgement {
    /// What tells one alert from another of the same monitor: rule and column.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.column {
            Some(column) => format!("{}:{column}", self.rule),
            None => self.rule.to_string(),
        }
    }
}

/// What a bound is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Population stability index.
    Psi,
    /// Kolmogorov-Smirnov statistic.
    Ks,
    /// Jensen-Shannon distance.
    JensenShannon,
    /// Wasserstein distance in standard deviations of the reference.
    Wasserstein,
    /// P-value of the chi-square test.
    ChiSquareP,
    /// How many files of a source were refused.
    FilesRefused,
    /// A metric of the labelled predictions.
    Metric(String),
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Psi => "psi",
            Self::Ks => "ks",
            Self::JensenShannon => "jensen_shannon",
            Self::Wasserstein => "wasserstein",
            Self::ChiSquareP => "chi_square_p",
            Self::FilesRefused => "files_refused",
            Self::Metric(name) => name,
        })
    }
}
