//! The answer as JSON, written straight from the scores.

use mainspring_serve::{Answer, Prediction};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};
use uuid::Uuid;

/// Writes `{"model", "version", "degraded", "predictions": [{"prediction_id", "prediction", "class", "probabilities"}]}`.
pub(super) fn to_json(answer: &Answer, model: &str) -> Result<Vec<u8>, serde_json::Error> {
    let version = answer.version().and_then(|version| version.parse().ok());
    let body = Body { model, version, degraded: answer.degraded, predictions: Rows(answer) };
    let mut bytes = Vec::with_capacity(96 + answer.ids.len() * 96);
    serde_json::to_writer(&mut bytes, &body)?;
    Ok(bytes)
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    version: Option<u64>,
    degraded: bool,
    predictions: Rows<'a>,
}

struct Rows<'a>(&'a Answer);

#[derive(Serialize)]
struct Row<'a> {
    prediction_id: &'a Uuid,
    prediction: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<&'a [f64]>,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.ids.len()))?;
        for (prediction_id, Prediction { value, class, probabilities }) in self.0.ids.iter().zip(self.0.predictions()) {
            rows.serialize_element(&Row { prediction_id, prediction: value, class, probabilities })?;
        }
        rows.end()
    }
}
