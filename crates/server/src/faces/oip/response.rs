//! The response in JSON, with or without tensors that follow it as bytes.

use mainspring_serve::Answer;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

use super::output::{Output, Wanted};

/// A response's body.
pub(super) struct Written {
    pub(super) body: Vec<u8>,
    /// How many of its bytes are the JSON, when others follow.
    pub(super) json_bytes: Option<usize>,
}

/// Writes the response.
pub(super) fn write(
    answer: &Answer,
    model: &str,
    id: Option<&str>,
    wanted: &[Wanted],
) -> Result<Written, serde_json::Error> {
    // bytes first: the JSON says how many they are
    let mut bytes = Vec::new();
    let tensors = wanted.iter().filter(|wanted| wanted.output.is_in(answer)).map(|Wanted { output, binary }| {
        let before = bytes.len();
        if *binary {
            output.write_bytes(answer, &mut bytes);
        }
        Tensor { answer, output: *output, bytes: binary.then_some(bytes.len() - before) }
    });
    let response = Response {
        model_name: model,
        model_version: answer.version(),
        id,
        parameters: answer.degraded.then_some(Parameters { degraded: true }),
        outputs: tensors.collect(),
    };
    let in_json = wanted.iter().filter(|wanted| !wanted.binary).count();
    let mut body = Vec::with_capacity(256 + answer.ids.len() * 24 * in_json + bytes.len());
    serde_json::to_writer(&mut body, &response)?;
    let json_bytes = response.outputs.iter().any(|tensor| tensor.bytes.is_some()).then_some(body.len());
    body.append(&mut bytes);
    Ok(Written { body, json_bytes })
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
    outputs: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Parameters {
    degraded: bool,
}

#[derive(Serialize)]
struct BinaryParameters {
    binary_data_size: usize,
}

struct Tensor<'a> {
    answer: &'a Answer,
    output: Output,
    /// How many follow the JSON, when it is sent so.
    bytes: Option<usize>,
}

impl Serialize for Tensor<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tensor = serializer.serialize_map(Some(4))?;
        tensor.serialize_entry("name", self.output.name())?;
        tensor.serialize_entry("datatype", self.output.datatype().as_str())?;
        tensor.serialize_entry("shape", self.output.shape(self.answer).lengths())?;
        match self.bytes {
            Some(binary_data_size) => tensor.serialize_entry("parameters", &BinaryParameters { binary_data_size })?,
            None => tensor.serialize_entry("data", &Data(self))?,
        }
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
                let mut shares = serializer.serialize_seq(None)?;
                for share in answer.predictions().filter_map(|prediction| prediction.probabilities).flatten() {
                    shares.serialize_element(share)?;
                }
                shares.end()
            }
            Output::PredictionId => serializer.collect_seq(&answer.ids),
        }
    }
}
