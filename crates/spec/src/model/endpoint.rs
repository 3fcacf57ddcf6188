//! `endpoints/*.yaml`: stable names under which models are served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// A stable name that clients call; which version answers is the alias's matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The endpoint's name.
    #[serde(rename = "endpoint")]
    pub name: String,
    /// What it answers, in a sentence.
    #[serde(default)]
    pub description: String,
    /// The model behind it.
    pub model: String,
    /// Whether the model is only in the registry: its versions were logged by a client or registered from a file, and no
    /// file under `models/` declares it. A request then brings the model's inputs by their names.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registered: bool,
    /// The alias that picks the version.
    #[serde(default = "champion")]
    pub alias: String,
    /// Bounds on what is let in.
    #[serde(default)]
    pub limits: Limits,
    /// What happens when the model or the features cannot be had.
    #[serde(default)]
    pub fallback: Fallback,
    /// What is logged of each prediction.
    #[serde(default)]
    pub log: PredictionLogging,
}

impl Endpoint {
    /// An endpoint with the bounds that are usual, over the versions of a model that is only in the registry.
    #[must_use]
    pub fn over_registered(name: impl Into<String>, model: impl Into<String>, alias: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            model: model.into(),
            registered: true,
            alias: alias.into(),
            limits: Limits::default(),
            fallback: Fallback::default(),
            log: PredictionLogging::default(),
        }
    }
}

fn champion() -> String {
    "champion".into()
}

/// Bounds on what an endpoint lets in. At the bound it answers 429 with `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most requests at once.
    pub concurrency: u32,
    /// The most rows in one request.
    pub rows: u32,
    /// How long a request may take before it gets the fallback.
    pub timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrency: 256, rows: 10_000, timeout: Span::from_micros(1_000_000) }
    }
}

/// What happens when the model or the features cannot be had. The answer is then marked `degraded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fallback {
    /// When the online store does not answer: go on with missing values instead of an error.
    pub missing_features: bool,
    /// When the model cannot answer: this constant instead of an error.
    pub constant: Option<f64>,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { missing_features: true, constant: None }
    }
}

/// What is logged of each prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PredictionLogging {
    /// Whether predictions are logged.
    pub enabled: bool,
    /// The most predictions waiting to be written; beyond it they are shed and counted.
    pub queue: u32,
}

impl Default for PredictionLogging {
    fn default() -> Self {
        Self { enabled: true, queue: 65_536 }
    }
}
