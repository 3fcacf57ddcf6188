//! From an answer to a message.

use std::collections::HashMap;

use super::contents;
use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_response::InferOutputTensor;
use super::proto::{InferParameter, ModelInferResponse};
use crate::faces::oip::infer::Inferred;

/// The parameter by which a stream says that a request will have no further response.
const FINAL: &str = "triton_final_response";

/// Writes the response. Outputs are all bytes or all typed contents: clients tell by whether there are any bytes.
pub(super) fn write(inferred: Inferred, model: String) -> ModelInferResponse {
    let Inferred { answer, id, wanted } = inferred;
    let as_bytes = wanted.iter().any(|wanted| wanted.binary);
    let mut response = ModelInferResponse {
        model_name: model,
        model_version: answer.version().unwrap_or_default().to_owned(),
        id: id.unwrap_or_default(),
        ..ModelInferResponse::default()
    };
    if answer.degraded {
        set(&mut response.parameters, "degraded");
    }
    for output in wanted.iter().map(|wanted| wanted.output).filter(|output| output.is_in(&answer)) {
        let shape = output.shape(&answer);
        let contents = if as_bytes {
            let mut bytes = Vec::new();
            output.write_bytes(&answer, &mut bytes);
            response.raw_output_contents.push(bytes.into());
            None
        } else {
            Some(contents::of(output, &answer))
        };
        response.outputs.push(InferOutputTensor {
            name: output.name().to_owned(),
            datatype: output.datatype().as_str().to_owned(),
            shape: shape.lengths().iter().map(|length| i64::try_from(*length).unwrap_or(i64::MAX)).collect(),
            parameters: HashMap::new(),
            contents,
        });
    }
    response
}

/// Marks a response of a stream as the last to its request.
pub(super) fn mark_final(response: &mut ModelInferResponse) {
    set(&mut response.parameters, FINAL);
}

fn set(parameters: &mut HashMap<String, InferParameter>, name: &str) {
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
    parameters.insert(name.to_owned(), parameter);
}
