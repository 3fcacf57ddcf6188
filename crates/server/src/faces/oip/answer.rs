//! From an answer to tensors.

use mainspring_serve::{Answer, Deployed, Error};
use mainspring_spec::Task;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::wire::{Asked, RequestedOutput};

/// A tensor that a model answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Binary: the probability of true. Multiclass: the greatest probability. Regression: the number.
    Prediction,
    /// The name of the likeliest class.
    Class,
    /// The probability of each class.
    Probabilities,
    /// By which a label is joined to the prediction later; only when asked for.
    PredictionId,
}

impl Output {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Prediction => "prediction",
            Self::Class => "class",
            Self::Probabilities => "probabilities",
            Self::PredictionId => "prediction_id",
        }
    }

    pub(super) const fn datatype(self) -> &'static str {
        match self {
            Self::Prediction | Self::Probabilities => "FP64",
            Self::Class | Self::PredictionId => "BYTES",
        }
    }

    /// What a model answers with, in order.
    pub(super) fn all(deployed: &Deployed) -> Vec<Self> {
        let mut outputs = vec![Self::Prediction];
        if let Some(live) = &deployed.live {
            if !live.classes.is_empty() {
                outputs.push(Self::Class);
            }
            if live.task == Task::Multiclass {
                outputs.push(Self::Probabilities);
            }
        }
        outputs.push(Self::PredictionId);
        outputs
    }
}

/// The outputs a request asks for; without saying, all but the identifiers.
///
/// # Errors
/// When the model has no such output.
pub(super) fn wanted(asked: Option<Vec<RequestedOutput>>, deployed: &Deployed) -> Result<Vec<Output>, Error> {
    let all = Output::all(deployed);
    let asked = asked.unwrap_or_default();
    if asked.is_empty() {
        return Ok(all.into_iter().filter(|output| *output != Output::PredictionId).collect());
    }
    let known = |RequestedOutput { name }: RequestedOutput| {
        all.iter().find(|output| output.name() == name).copied().ok_or_else(|| {
            let names: Vec<&str> = all.iter().map(|output| output.name()).collect();
            Error::Invalid(format!("the model has no output `{name}`; it has: {}", names.join(", ")))
        })
    };
    asked.into_iter().map(known).collect()
}

/// Writes the response.
pub(super) fn to_json(answer: &Answer, model: &str, asked: &Asked) -> Result<Vec<u8>, serde_json::Error> {
    let response = Response {
        model_name: model,
        model_version: answer.version(),
        id: asked.id.as_deref(),
        parameters: answer.degraded.then_some(Parameters { degraded: true }),
        outputs: Tensors { answer, outputs: &asked.outputs },
    };
    let mut bytes = Vec::with_capacity(256 + answer.ids.len() * 24);
    serde_json::to_writer(&mut bytes, &response)?;
    Ok(bytes)
}

#[derive(Serialize)]
struct Response<'a> {
    model_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Parameters>,
    outputs: Tensors<'a>,
}

#[derive(Serialize)]
struct Parameters {
    degraded: bool,
}

struct Tensors<'a> {
    answer: &'a Answer,
    outputs: &'a [Output],
}

impl Serialize for Tensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tensors = serializer.serialize_seq(None)?;
        let has_shares = self.answer.predictions().next().is_some_and(|first| first.probabilities.is_some());
        for &output in self.outputs {
            // The fallback has neither class nor probabilities.
            let is_fallback = self.answer.version().is_none();
            if is_fallback && matches!(output, Output::Class | Output::Probabilities) {
                continue;
            }
            tensors.serialize_element(&Tensor { answer: self.answer, output, has_shares })?;
        }
        tensors.end()
    }
}

struct Tensor<'a> {
    answer: &'a Answer,
    output: Output,
    has_shares: bool,
}

impl Serialize for Tensor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.answer.ids.len();
        let mut tensor = serializer.serialize_map(Some(4))?;
        tensor.serialize_entry("name", self.output.name())?;
        tensor.serialize_entry("datatype", self.output.datatype())?;
        match self.output {
            Output::Probabilities => {
                let classes = self.answer.deployed.live.as_ref().map_or(0, |live| live.classes.len());
                tensor.serialize_entry("shape", &[rows, if self.has_shares { classes } else { 0 }])?;
            }
            Output::Prediction | Output::Class | Output::PredictionId => tensor.serialize_entry("shape", &[rows])?,
        }
        tensor.serialize_entry("data", &Data(self))?;
        tensor.end()
    }
}

struct Data<'a>(&'a Tensor<'a>);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Tensor { answer, output, .. } = self.0;
        match output {
            Output::Prediction => serializer.collect_seq(answer.predictions().map(|prediction| prediction.value)),
            Output::Class => serializer.collect_seq(answer.predictions().map(|prediction| prediction.class)),
            Output::Probabilities => {
                serializer.collect_seq(answer.predictions().flat_map(|prediction| prediction.probabilities).flatten())
            }
            Output::PredictionId => serializer.collect_seq(&answer.ids),
        }
    }
}
