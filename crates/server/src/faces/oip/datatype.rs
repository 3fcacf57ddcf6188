//! The protocol's tensor types.

use mainspring_spec::DataType;
use serde::Deserialize;

/// A tensor type.
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
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Datatype {
    pub(super) const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The type of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|datatype| datatype.as_str() == name)
    }

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
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes of an element; none for `BYTES`, whose elements say their own length.
    pub(super) const fn width(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => 2,
            Self::Uint32 | Self::Int32 | Self::Fp32 => 4,
            Self::Uint64 | Self::Int64 | Self::Fp64 => 8,
            Self::Bytes => return None,
        })
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
            Self::Bool | Self::Fp16 | Self::Bf16 | Self::Fp32 | Self::Fp64 | Self::Bytes => return None,
        })
    }

    pub(super) const fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16 | Self::Fp32 | Self::Fp64)
    }

    /// The tensor type of a column. Times are text, as in the native request; whole numbers (microseconds, days) also
    /// do.
    pub(super) const fn of(column: DataType) -> Self {
        match column {
            DataType::Bool => Self::Bool,
            DataType::Int64 => Self::Int64,
            DataType::Float64 => Self::Fp64,
            DataType::String | DataType::Timestamp | DataType::Date => Self::Bytes,
        }
    }

    /// The name and number in a model configuration.
    pub(super) const fn in_configuration(self) -> (&'static str, i32) {
        match self {
            Self::Bool => ("TYPE_BOOL", 1),
            Self::Uint8 => ("TYPE_UINT8", 2),
            Self::Uint16 => ("TYPE_UINT16", 3),
            Self::Uint32 => ("TYPE_UINT32", 4),
            Self::Uint64 => ("TYPE_UINT64", 5),
            Self::Int8 => ("TYPE_INT8", 6),
            Self::Int16 => ("TYPE_INT16", 7),
            Self::Int32 => ("TYPE_INT32", 8),
            Self::Int64 => ("TYPE_INT64", 9),
            Self::Fp16 => ("TYPE_FP16", 10),
            Self::Bf16 => ("TYPE_BF16", 14),
            Self::Fp32 => ("TYPE_FP32", 11),
            Self::Fp64 => ("TYPE_FP64", 12),
            Self::Bytes => ("TYPE_STRING", 13),
        }
    }
}
