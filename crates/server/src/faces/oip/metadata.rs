//! What a model takes and answers.

use mainspring_serve::{Deployed, Endpoint};
use mainspring_spec::DataType;
use serde::Serialize;

use super::answer::Output;
use super::wire::Datatype;

/// `GET /v2/models/{model}`.
#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    name: String,
    versions: Vec<String>,
    platform: &'static str,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

#[derive(Debug, Serialize)]
struct Tensor {
    name: String,
    datatype: &'static str,
    /// -1 for the number of rows.
    shape: Vec<i64>,
}

pub(super) fn of(endpoint: &Endpoint, deployed: &Deployed) -> Metadata {
    let live = deployed.live.as_ref();
    let classes = live.map_or(0, |live| i64::try_from(live.classes.len()).unwrap_or(i64::MAX));
    let inputs = deployed.plan.inputs.iter().map(|input| Tensor {
        name: input.name.clone(),
        datatype: datatype(input.data_type).as_str(),
        shape: vec![-1],
    });
    let outputs = Output::all(deployed).into_iter().map(|output| Tensor {
        name: output.name().to_owned(),
        datatype: output.datatype(),
        shape: if output == Output::Probabilities { vec![-1, classes] } else { vec![-1] },
    });
    Metadata {
        name: endpoint.name().to_owned(),
        versions: live.map(|live| live.version_text.clone()).into_iter().collect(),
        platform: "mainspring",
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    }
}

/// The tensor type of a column. Times are text, as in the native request; whole numbers (microseconds, days) also do.
fn datatype(column: DataType) -> Datatype {
    match column {
        DataType::Bool => Datatype::Bool,
        DataType::Int64 => Datatype::Int64,
        DataType::Float64 => Datatype::Fp64,
        DataType::String | DataType::Timestamp | DataType::Date => Datatype::Bytes,
    }
}
