//! The tensors that a model answers with.

use mainspring_serve::{Answer, Deployed, Error};
use mainspring_spec::Task;

use super::datatype::Datatype;
use super::request::Requested;

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

/// An output that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) output: Output,
    /// Whether as bytes.
    pub(super) binary: bool,
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

    pub(super) const fn datatype(self) -> Datatype {
        match self {
            Self::Prediction | Self::Probabilities => Datatype::Fp64,
            Self::Class | Self::PredictionId => Datatype::Bytes,
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

    /// Whether an answer has it: the fallback has neither class nor probabilities.
    pub(super) fn is_in(self, answer: &Answer) -> bool {
        answer.version().is_some() || matches!(self, Self::Prediction | Self::PredictionId)
    }

    /// The shape that it has in an answer.
    pub(super) fn shape(self, answer: &Answer) -> Shape {
        let rows = answer.ids.len();
        match self {
            Self::Probabilities => {
                Shape::Matrix([rows, answer.deployed.live.as_ref().map_or(0, |live| live.classes.len())])
            }
            Self::Prediction | Self::Class | Self::PredictionId => Shape::Column([rows]),
        }
    }

    /// Appends its elements as bytes.
    pub(super) fn write_bytes(self, answer: &Answer, bytes: &mut Vec<u8>) {
        let predictions = answer.predictions();
        match self {
            Self::Prediction => {
                bytes.reserve(8 * predictions.len());
                bytes.extend(predictions.flat_map(|prediction| prediction.value.to_le_bytes()));
            }
            Self::Class => predictions.for_each(|prediction| text(prediction.class.unwrap_or_default(), bytes)),
            Self::Probabilities => {
                let shares = predictions.flat_map(|prediction| prediction.probabilities.unwrap_or_default());
                bytes.extend(shares.flat_map(|share| share.to_le_bytes()));
            }
            Self::PredictionId => {
                let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
                answer.ids.iter().for_each(|id| text(id.as_hyphenated().encode_lower(&mut buffer), bytes));
            }
        }
    }
}

/// Appends a text, behind its length; one longer than four bytes can say, which no name of a class is, as empty.
fn text(text: &str, bytes: &mut Vec<u8>) {
    let (length, text) = u32::try_from(text.len()).map_or((0, ""), |length| (length, text));
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// A shape of an output.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Column([usize; 1]),
    Matrix([usize; 2]),
}

impl Shape {
    pub(super) fn lengths(&self) -> &[usize] {
        match self {
            Self::Column(lengths) => lengths,
            Self::Matrix(lengths) => lengths,
        }
    }
}

/// The outputs a request asks for; without saying, all but the identifiers. Those that do not say how they are wanted
/// are wanted `as_bytes`.
///
/// # Errors
/// When the model has no such output, or one is asked for as a classification.
pub(super) fn wanted(asked: &[Requested<'_>], as_bytes: bool, deployed: &Deployed) -> Result<Vec<Wanted>, Error> {
    let all = Output::all(deployed);
    if asked.is_empty() {
        let outputs = all.into_iter().filter(|output| *output != Output::PredictionId);
        return Ok(outputs.map(|output| Wanted { output, binary: as_bytes }).collect());
    }
    // asked for again, an output still comes once: however long the list is, the answer has a bound
    let mut wanted: Vec<Wanted> = Vec::with_capacity(all.len());
    let names = || all.iter().map(|output| output.name()).collect::<Vec<_>>().join(", ");
    for Requested { name, binary, as_classification } in asked {
        if *as_classification {
            return Err(Error::Invalid(format!(
                "output `{name}` is asked for as a classification, which this server does not make; ask for outputs as \
                 the model has them: {}",
                names()
            )));
        }
        let output = all
            .iter()
            .find(|output| output.name() == name)
            .copied()
            .ok_or_else(|| Error::Invalid(format!("the model has no output `{name}`; it has: {}", names())))?;
        if wanted.iter().all(|known| known.output != output) {
            wanted.push(Wanted { output, binary: binary.unwrap_or(as_bytes) });
        }
    }
    Ok(wanted)
}
