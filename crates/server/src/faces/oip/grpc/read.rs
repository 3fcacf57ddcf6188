//! From a message to a request.

use std::borrow::Cow;

use mainspring_serve::Error;

use super::contents;
use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::{InferParameter, ModelInferRequest};
use crate::faces::oip::datatype::Datatype;
use crate::faces::oip::request::{Input, Request, Requested, as_of, in_shared_memory, not_a_time};
use crate::faces::oip::tensor::{Elements, Raw};

/// Reads a message. An answer to inputs that came as bytes is wanted as bytes.
///
/// # Errors
/// Names what is wrong, and where.
pub(super) fn read(message: &ModelInferRequest) -> Result<Request<'_>, Error> {
    let raw = &message.raw_input_contents;
    if !raw.is_empty() && raw.len() != message.inputs.len() {
        return Err(invalid(format!(
            "the request has {} inputs and {} raw_input_contents; there must be one for each input, or none at all",
            message.inputs.len(),
            raw.len()
        )));
    }
    let mut raw = raw.iter();
    let inputs = message.inputs.iter().map(|tensor| input(tensor, raw.next().map(AsRef::as_ref)));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let outputs = message.outputs.iter().map(output).collect::<Result<_, _>>()?;
    let moment = match message.parameters.get("as_of").and_then(choice) {
        None => None,
        Some(ParameterChoice::StringParam(text)) => as_of(Some(text))?,
        Some(other) => return Err(not_a_time(&format!("{other:?}"))),
    };
    let binary_output = match message.parameters.get("binary_data_output").and_then(choice) {
        Some(ParameterChoice::BoolParam(flag)) => *flag,
        _ => !message.raw_input_contents.is_empty(),
    };
    let id = (!message.id.is_empty()).then_some(Cow::Borrowed(message.id.as_str()));
    Ok(Request { id, as_of: moment, inputs, outputs, binary_output })
}

fn invalid(words: String) -> Error {
    Error::Invalid(words)
}

fn choice(parameter: &InferParameter) -> Option<&ParameterChoice> {
    parameter.parameter_choice.as_ref()
}

fn input<'a>(tensor: &'a InferInputTensor, raw: Option<&'a [u8]>) -> Result<Input<'a>, Error> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = tensor;
    if parameters.contains_key("shared_memory_region") {
        return Err(in_shared_memory("input", name));
    }
    let datatype = Datatype::named(datatype).ok_or_else(|| {
        let known: Vec<&str> = Datatype::ALL.iter().map(|datatype| datatype.as_str()).collect();
        invalid(format!("input `{name}` has the datatype `{datatype}`; there are: {}", known.join(", ")))
    })?;
    let shape = shape
        .iter()
        .map(|length| u64::try_from(*length))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| invalid(format!("input `{name}` has the shape {shape:?}; no length can be less than 0")))?;
    let elements = match (raw, contents) {
        (Some(_), Some(_)) => {
            return Err(invalid(format!("input `{name}` has both contents and raw_input_contents; send one")));
        }
        (Some(raw), None) => Raw::new(name, datatype, &shape, raw.into())?,
        (None, Some(contents)) => contents::elements(name, datatype, contents)?,
        (None, None) => {
            return Err(invalid(format!("input `{name}` has no contents, and there are no raw_input_contents either")));
        }
    };
    Ok(Input { name: name.into(), shape, datatype, elements: Elements::Raw(elements), lengths: Vec::new() })
}

fn output(tensor: &InferRequestedOutputTensor) -> Result<Requested<'_>, Error> {
    if tensor.parameters.contains_key("shared_memory_region") {
        return Err(in_shared_memory("output", &tensor.name));
    }
    let as_classification = tensor.parameters.contains_key("classification");
    Ok(Requested { name: tensor.name.as_str().into(), binary: None, as_classification })
}
