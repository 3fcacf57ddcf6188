//! The request in JSON, with or without tensors that follow it as bytes. Names, texts and bytes are borrowed from the
//! body.

use std::borrow::Cow;

use mainspring_serve::Error;
use serde::Deserialize;
use serde_json::Value as Json;

use super::datatype::Datatype;
use super::json::TensorData;
use super::request::{Input, Request, Requested, as_of, in_shared_memory, not_a_time};
use super::tensor::{Elements, Raw};
use crate::faces::not_a_number;

/// `POST .../infer`. Keys and parameters that the protocol does not know are passed over, as it asks.
#[derive(Debug, Deserialize)]
struct InferRequest<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(default)]
    parameters: Option<Parameters>,
    #[serde(borrow)]
    inputs: Vec<InputTensor<'a>>,
    #[serde(borrow, default)]
    outputs: Option<Vec<RequestedOutput<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    as_of: Option<Json>,
    #[serde(default)]
    binary_data_output: bool,
}

#[derive(Debug, Deserialize)]
struct InputTensor<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    datatype: Datatype,
    #[serde(default)]
    parameters: Option<InputParameters>,
    #[serde(borrow, default)]
    data: Option<TensorData<'a>>,
}

#[derive(Debug, Deserialize)]
struct InputParameters {
    #[serde(default)]
    binary_data_size: Option<u64>,
    #[serde(default)]
    shared_memory_region: Option<Json>,
}

#[derive(Debug, Deserialize)]
struct RequestedOutput<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    parameters: Option<OutputParameters>,
}

#[derive(Debug, Deserialize)]
struct OutputParameters {
    #[serde(default)]
    binary_data: Option<bool>,
    #[serde(default)]
    classification: Option<Json>,
    #[serde(default)]
    shared_memory_region: Option<Json>,
}

/// Reads a body. `json_bytes` is what the header of the binary extension says: how many of its bytes are the JSON.
///
/// # Errors
/// Names what is wrong, and where.
pub(super) fn read(body: &[u8], json_bytes: Option<usize>) -> Result<Request<'_>, Error> {
    let (json, mut bytes) = match json_bytes {
        None => (body, &[][..]),
        Some(json_bytes) => body.split_at_checked(json_bytes).ok_or_else(|| {
            invalid(format!(
                "Inference-Header-Content-Length is {json_bytes}, and the whole body has {} bytes",
                body.len()
            ))
        })?,
    };
    let request: InferRequest<'_> = serde_json::from_slice(json)
        .map_err(|error| invalid(format!("the request is not one of Open Inference Protocol V2: {error}")))?;
    let Parameters { as_of: moment, binary_data_output } = request.parameters.unwrap_or_default();
    let as_of = match moment {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => as_of(Some(&text))?,
        Some(other) => return Err(not_a_time(&other.to_string())),
    };
    let inputs = request.inputs.into_iter().map(|input| input.taking_from(&mut bytes)).collect::<Result<_, _>>()?;
    if !bytes.is_empty() {
        return Err(invalid(format!(
            "{} bytes are left after the last input; the `binary_data_size` of the inputs must sum up to what follows \
             the JSON",
            bytes.len()
        )));
    }
    let outputs = request.outputs.unwrap_or_default().into_iter().map(RequestedOutput::checked);
    Ok(Request {
        id: request.id,
        as_of,
        inputs,
        outputs: outputs.collect::<Result<_, _>>()?,
        binary_output: binary_data_output,
    })
}

/// The body with `null` where `NaN` stands in its JSON, and how many of its bytes are the JSON then; none where it stands
/// nowhere.
pub(super) fn nulls_for_nan(body: &[u8], json_bytes: Option<usize>) -> Option<(Vec<u8>, Option<usize>)> {
    let (json, bytes) = body.split_at_checked(json_bytes.unwrap_or(body.len()))?;
    let mut rewritten = not_a_number::nulls_for_nan(json)?;
    let json_bytes = json_bytes.map(|_| rewritten.len());
    rewritten.extend_from_slice(bytes);
    Some((rewritten, json_bytes))
}

fn invalid(words: String) -> Error {
    Error::Invalid(words)
}

impl<'a> InputTensor<'a> {
    /// The tensor with its elements, taken from the JSON or off the front of the bytes that follow it.
    fn taking_from(self, bytes: &mut &'a [u8]) -> Result<Input<'a>, Error> {
        let Self { name, shape, datatype, parameters, data } = self;
        let parameters = parameters.unwrap_or(InputParameters { binary_data_size: None, shared_memory_region: None });
        if parameters.shared_memory_region.is_some() {
            return Err(in_shared_memory("input", &name));
        }
        let (elements, lengths) = match (parameters.binary_data_size, data) {
            (None, Some(data)) => (data.elements, data.lengths),
            (Some(size), None) => {
                let split = usize::try_from(size).ok().and_then(|size| bytes.split_at_checked(size));
                let Some((own, rest)) = split else {
                    return Err(invalid(format!(
                        "input `{name}` has the `binary_data_size` {size}, and {} bytes are left of the body; the header \
                         Inference-Header-Content-Length says where they begin",
                        bytes.len()
                    )));
                };
                *bytes = rest;
                (Elements::Raw(Raw::new(&name, datatype, &shape, own.into())?), Vec::new())
            }
            (Some(_), Some(_)) => {
                return Err(invalid(format!("input `{name}` has both `data` and a `binary_data_size`; send one")));
            }
            (None, None) => {
                return Err(invalid(format!("input `{name}` has no `data`, and no `binary_data_size` either")));
            }
        };
        Ok(Input { name, shape, datatype, elements, lengths })
    }
}

impl<'a> RequestedOutput<'a> {
    fn checked(self) -> Result<Requested<'a>, Error> {
        let Some(parameters) = self.parameters else {
            return Ok(Requested { name: self.name, binary: None, as_classification: false });
        };
        if parameters.shared_memory_region.is_some() {
            return Err(in_shared_memory("output", &self.name));
        }
        let as_classification = parameters.classification.is_some();
        Ok(Requested { name: self.name, binary: parameters.binary_data, as_classification })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::faces::oip::tensor::elements_of;

    #[test]
    fn json_and_bytes_bring_the_same_request() {
        let json = br#"{"id": "a", "parameters": {"as_of": "1970-01-01T00:00:01Z", "x": [1]}, "inputs": [
            {"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2]},
            {"name": "b", "shape": [2], "datatype": "BOOL", "parameters": {"binary_data_size": 2}}
        ], "outputs": [{"name": "c", "parameters": {"binary_data": true}}, {"name": "d"}], "more": {}}"#;
        let body = [&json[..], &[1, 0]].concat();

        let request = read(&body, Some(json.len())).unwrap();

        assert_eq!((request.id.as_deref(), request.as_of, request.binary_output), (Some("a"), Some(1_000_000), false));
        assert_eq!(request.inputs[0].elements, Elements::Numbers(vec![1.0, 2.0]));
        let raw = Raw::new("b", Datatype::Bool, &[2], (&[1, 0][..]).into()).unwrap();
        assert_eq!(request.inputs[1].elements, Elements::Raw(raw));
        assert_eq!(request.outputs.iter().map(|output| output.binary).collect::<Vec<_>>(), [Some(true), None]);
    }

    #[test]
    fn not_a_number_is_null_in_the_json_alone() {
        assert_eq!(nulls_for_nan(b"[NaN]NaN", Some(5)), Some((b"[null]NaN".to_vec(), Some(6))));
        assert_eq!(nulls_for_nan(b"[NaN]", None), Some((b"[null]".to_vec(), None)));
        assert_eq!(nulls_for_nan(b"[NaN]", Some(6)), None);
    }

    proptest! {
        #[test]
        fn sizes_that_do_not_fit_are_refused_and_all_bytes_are_used(
            tensors in prop::collection::vec(
                (prop::sample::select(&Datatype::ALL[..]), prop::collection::vec(0u64..4, 1..3), 0usize..24),
                0..4,
            ),
            tail in prop::collection::vec(any::<u8>(), 0..64),
            cut in 0usize..8,
        ) {
            let inputs: Vec<_> = tensors
                .iter()
                .map(|(datatype, shape, size)| serde_json::json!({
                    "name": "x", "datatype": datatype.as_str(), "shape": shape,
                    "parameters": { "binary_data_size": size },
                }))
                .collect();
            let json = serde_json::json!({ "inputs": inputs }).to_string();
            let body = [json.as_bytes(), &tail].concat();

            if let Ok(request) = read(&body, Some(json.len())) {
                prop_assert_eq!(tensors.iter().map(|(.., size)| size).sum::<usize>(), tail.len());
                for (input, (datatype, shape, size)) in request.inputs.iter().zip(&tensors) {
                    prop_assert_eq!(Some(input.elements.len() as u64), elements_of(shape));
                    if let Some(width) = datatype.width() {
                        prop_assert_eq!(input.elements.len() * width, *size);
                    }
                }
            }
            // and a header that is wrong never does more than fail
            let _ = read(&body, Some(json.len().saturating_sub(cut)));
            let _ = read(&body, Some(json.len() + cut));
            let _ = read(&body, None);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            body in prop::collection::vec(any::<u8>(), 0..80),
            json_bytes in prop::option::of(0usize..100),
        ) {
            let _ = read(&body, json_bytes);
            let _ = nulls_for_nan(&body, json_bytes);
        }
    }
}
