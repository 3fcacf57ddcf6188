//! The configuration of a model, as the model configuration extension has it.

use serde::Serialize;

use super::datatype::Datatype;
use super::metadata::{Metadata, Tensor};

/// `GET /v2/models/{model}/config`.
#[derive(Debug, Serialize)]
pub(super) struct Configuration {
    pub(super) name: String,
    pub(super) platform: &'static str,
    pub(super) backend: &'static str,
    /// 0: the rows are the first dimension of every tensor.
    pub(super) max_batch_size: i32,
    pub(super) input: Vec<ConfiguredTensor>,
    pub(super) output: Vec<ConfiguredTensor>,
}

/// A tensor as it is configured.
#[derive(Debug, Serialize)]
pub(super) struct ConfiguredTensor {
    pub(super) name: String,
    #[serde(serialize_with = "as_name")]
    pub(super) data_type: Datatype,
    pub(super) dims: Vec<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn as_name<S: serde::Serializer>(datatype: &Datatype, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(datatype.in_configuration().0)
}

/// The configuration that goes with what a model takes and answers.
pub(super) fn of(metadata: Metadata) -> Configuration {
    let Metadata { name, platform, inputs, outputs, .. } = metadata;
    let tensors = |tensors: Vec<Tensor>| {
        let configured = tensors.into_iter().map(|Tensor { name, datatype, shape }| ConfiguredTensor {
            name,
            data_type: datatype,
            dims: shape,
        });
        configured.collect()
    };
    Configuration {
        name,
        platform,
        backend: platform,
        max_batch_size: 0,
        input: tensors(inputs),
        output: tensors(outputs),
    }
}
