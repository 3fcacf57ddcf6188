//! Typed contents: the lists of numbers and texts that a message carries instead of bytes.

use std::borrow::Cow;

use mainspring_serve::{Answer, Error};

use super::proto::InferTensorContents;
use crate::faces::oip::datatype::Datatype;
use crate::faces::oip::output::Output;
use crate::faces::oip::tensor::Raw;

/// The elements of an input, from the list that goes with its type.
///
/// # Errors
/// When they are in another list, or out of the type's range.
pub(super) fn elements(name: &str, datatype: Datatype, contents: &InferTensorContents) -> Result<Raw<'static>, Error> {
    let InferTensorContents {
        bool_contents,
        int_contents,
        int64_contents,
        uint_contents,
        uint64_contents,
        fp32_contents,
        fp64_contents,
        bytes_contents,
    } = contents;
    let in_all = bool_contents.len()
        + int_contents.len()
        + int64_contents.len()
        + uint_contents.len()
        + uint64_contents.len()
        + fp32_contents.len()
        + fp64_contents.len()
        + bytes_contents.len();
    let refused = |words: String| Error::Invalid(format!("input `{name}` is {}, {words}", datatype.as_str()));
    macro_rules! narrowed {
        ($list:expr, $kind:ty) => {{
            let mut bytes = Vec::with_capacity($list.len() * size_of::<$kind>());
            for (at, whole) in $list.iter().enumerate() {
                let fits = <$kind>::try_from(*whole);
                let fits =
                    fits.map_err(|_| refused(format!("and element {at} is {whole}, which is out of its range")))?;
                bytes.extend_from_slice(&fits.to_le_bytes());
            }
            ($list.len(), bytes)
        }};
    }
    macro_rules! as_they_are {
        ($list:expr) => {
            ($list.len(), $list.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
        };
    }
    let (count, bytes) = match datatype {
        Datatype::Bool => (bool_contents.len(), bool_contents.iter().map(|flag| u8::from(*flag)).collect()),
        Datatype::Int8 => narrowed!(int_contents, i8),
        Datatype::Int16 => narrowed!(int_contents, i16),
        Datatype::Int32 => as_they_are!(int_contents),
        Datatype::Int64 => as_they_are!(int64_contents),
        Datatype::Uint8 => narrowed!(uint_contents, u8),
        Datatype::Uint16 => narrowed!(uint_contents, u16),
        Datatype::Uint32 => as_they_are!(uint_contents),
        Datatype::Uint64 => as_they_are!(uint64_contents),
        Datatype::Fp32 => as_they_are!(fp32_contents),
        Datatype::Fp64 => as_they_are!(fp64_contents),
        Datatype::Bytes => {
            let mut bytes = Vec::new();
            for (at, text) in bytes_contents.iter().enumerate() {
                let length = u32::try_from(text.len()).map_err(|_| refused(format!("and element {at} is too long")))?;
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(text);
            }
            (bytes_contents.len(), bytes)
        }
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(refused("for which messages have no list; send it in raw_input_contents".into()));
        }
    };
    if count != in_all {
        return Err(refused(format!("and its elements are in another list; they belong into {}", list_of(datatype))));
    }
    Ok(Raw::counted(datatype, count, Cow::Owned(bytes)))
}

/// The list in which elements of a type are.
const fn list_of(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Bool => "bool_contents",
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => "int_contents",
        Datatype::Int64 => "int64_contents",
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => "uint_contents",
        Datatype::Uint64 => "uint64_contents",
        Datatype::Fp32 => "fp32_contents",
        Datatype::Fp64 => "fp64_contents",
        Datatype::Bytes => "bytes_contents",
        Datatype::Fp16 | Datatype::Bf16 => "raw_input_contents",
    }
}

/// The elements of an output, in the list that goes with its type.
pub(super) fn of(output: Output, answer: &Answer) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    let predictions = answer.predictions();
    match output {
        Output::Prediction => contents.fp64_contents = predictions.map(|prediction| prediction.value).collect(),
        Output::Class => {
            let classes = predictions.map(|prediction| prediction.class.unwrap_or_default().to_owned().into());
            contents.bytes_contents = classes.collect();
        }
        Output::Probabilities => {
            let shares = predictions.flat_map(|prediction| prediction.probabilities.unwrap_or_default());
            contents.fp64_contents = shares.copied().collect();
        }
        Output::PredictionId => {
            contents.bytes_contents = answer.ids.iter().map(|id| id.to_string().into()).collect();
        }
    }
    contents
}
