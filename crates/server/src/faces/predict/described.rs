//! The wire as types, for the description of the API: the face itself reads and writes without them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rows to predict for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictRequest {
    /// Entity keys and request values by name; `GET /api/v1/endpoints/{endpoint}` says which.
    pub rows: Vec<BTreeMap<String, Value>>,
    /// The moment as of which features are looked up, in RFC 3339; now when it is left out.
    #[schemars(extend("format" = "date-time"))]
    pub as_of: Option<String>,
}

/// What is predicted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PredictAnswer {
    /// The model.
    pub model: String,
    /// Its version; without, the answer is the endpoint's fallback.
    pub version: Option<u64>,
    /// Whether the answer is less than it could be: features were late, or the model was not there.
    pub degraded: bool,
    /// One for each row.
    pub predictions: Vec<PredictedRow>,
}

/// What is predicted for a row.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PredictedRow {
    /// Names the prediction in the log.
    pub prediction_id: String,
    /// The value, or the probability of the class.
    pub prediction: f64,
    /// The likeliest class, of models with several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The probability of each class, of models with several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Vec<f64>>,
}
