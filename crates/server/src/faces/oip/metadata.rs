//! What a model takes and answers.

use mainspring_serve::{Deployed, Endpoint};
use serde::Serialize;

use super::datatype::Datatype;
use super::output::Output;

/// What runs every model.
pub(super) const PLATFORM: &str = "mainspring";

/// `GET /v2/models/{model}`.
#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) versions: Vec<String>,
    pub(super) platform: &'static str,
    pub(super) inputs: Vec<Tensor>,
    pub(super) outputs: Vec<Tensor>,
}

/// A tensor that a model takes or answers with.
#[derive(Debug, Serialize)]
pub(super) struct Tensor {
    pub(super) name: String,
    #[serde(serialize_with = "as_name")]
    pub(super) datatype: Datatype,
    /// -1 for the number of rows.
    pub(super) shape: Vec<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn as_name<S: serde::Serializer>(datatype: &Datatype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(datatype.as_str())
}

pub(super) fn of(endpoint: &Endpoint, deployed: &Deployed) -> Metadata {
    let live = deployed.live.as_ref();
    let classes = live.map_or(0, |live| i64::try_from(live.classes.len()).unwrap_or(i64::MAX));
    let inputs = deployed.plan.inputs.iter().map(|input| Tensor {
        name: input.name.clone(),
        datatype: Datatype::of(input.data_type),
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
        platform: PLATFORM,
        inputs: inputs.collect(),
        outputs: outputs.collect(),
    }
}
