//! The request as it comes. Names and texts are borrowed from the body.

use std::borrow::Cow;

use mainspring_serve::Error;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::tensor::TensorData;

/// `POST .../infer`. Keys that the protocol does not know are passed over, as it asks.
#[derive(Debug, Deserialize)]
pub(super) struct InferRequest<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) parameters: Option<Map<String, Json>>,
    #[serde(borrow)]
    pub(super) inputs: Vec<InputTensor<'a>>,
    #[serde(default)]
    pub(super) outputs: Option<Vec<RequestedOutput>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct InputTensor<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    pub(super) shape: Vec<u64>,
    pub(super) datatype: Datatype,
    #[serde(borrow)]
    pub(super) data: TensorData<'a>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RequestedOutput {
    pub(super) name: String,
}

/// The protocol's tensor types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Fp32,
    Fp64,
    Bytes,
}

/// What the answer needs of the request.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) id: Option<String>,
    pub(super) outputs: Vec<super::answer::Output>,
}

impl<'a> InferRequest<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        serde_json::from_slice(body)
            .map_err(|error| Error::Invalid(format!("the request is not one of Open Inference Protocol V2: {error}")))
    }
}

impl Datatype {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// The least and greatest whole number, for whole-number types.
    pub(super) const fn whole_range(self) -> Option<(i128, i128)> {
        Some(match self {
            Self::Uint8 => (0, u8::MAX as i128),
            Self::Uint16 => (0, u16::MAX as i128),
            Self::Uint32 => (0, u32::MAX as i128),
            Self::Uint64 => (0, u64::MAX as i128),
            Self::Int8 => (i8::MIN as i128, i8::MAX as i128),
            Self::Int16 => (i16::MIN as i128, i16::MAX as i128),
            Self::Int32 => (i32::MIN as i128, i32::MAX as i128),
            Self::Int64 => (i64::MIN as i128, i64::MAX as i128),
            Self::Bool | Self::Fp16 | Self::Fp32 | Self::Fp64 | Self::Bytes => return None,
        })
    }

    pub(super) const fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Fp32 | Self::Fp64)
    }
}
