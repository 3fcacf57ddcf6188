//! One typed value: what a request brings, what a feature is.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType as ArrowType, Date32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use mainspring_spec::DataType;

/// A feature's or request field's value. Equality is by [`Value::same`]; there is no `PartialEq`, because bits count.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing is known.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Microseconds since 1970 in UTC.
    Timestamp(i64),
    /// Days since 1970.
    Date(i32),
}

impl Value {
    /// Whether both are the same, bit for bit; all not-a-numbers are one.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            _ => false,
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The value as a number, where it is one: booleans are 0 and 1, times their microseconds, days their count.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "models compute in 64-bit floats")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) | Self::Timestamp(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Date(value) => Some(f64::from(*value)),
            Self::Null | Self::Text(_) => None,
        }
    }

    /// Reads a value of a request. `None` when it is not of the type; absent and `null` are [`Value::Null`].
    #[must_use]
    pub fn from_json(json: &serde_json::Value, data_type: DataType) -> Option<Self> {
        use serde_json::Value as Json;
        match (json, data_type) {
            (Json::Null, _) => Some(Self::Null),
            (Json::Bool(value), DataType::Bool) => Some(Self::Bool(*value)),
            (Json::Number(number), DataType::Int64) => {
                number.as_i64().or_else(|| whole(number.as_f64()?)).map(Self::Int)
            }
            (Json::Number(number), DataType::Float64) => number.as_f64().map(Self::Float),
            (Json::String(text), DataType::String) => Some(Self::Text(text.as_str().into())),
            (Json::String(text), DataType::Timestamp) => timestamp(text).map(Self::Timestamp),
            (Json::String(text), DataType::Date) => date(text).map(Self::Date),
            _ => None,
        }
    }

    /// The value as JSON: times as RFC 3339, numbers that JSON cannot write as null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(value) => value.as_ref().into(),
            Self::Timestamp(micros) => match jiff::Timestamp::from_microsecond(*micros) {
                Ok(at) => at.to_string().into(),
                Err(_) => (*micros).into(),
            },
            Self::Date(days) => match jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(*days)) {
                Ok(day) => day.to_string().into(),
                Err(_) => (*days).into(),
            },
        }
    }

    /// Reads a row of a column of one of the types of [`arrow_type`].
    #[must_use]
    pub fn from_array(array: &dyn Array, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match array.data_type() {
            ArrowType::Boolean => Self::Bool(array.as_boolean().value(row)),
            ArrowType::Int64 => Self::Int(array.as_primitive::<Int64Type>().value(row)),
            ArrowType::Float64 => Self::Float(array.as_primitive::<Float64Type>().value(row)),
            ArrowType::Utf8 => Self::Text(array.as_string::<i32>().value(row).into()),
            ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
                Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row))
            }
            ArrowType::Date32 => Self::Date(array.as_primitive::<Date32Type>().value(row)),
            other => {
                debug_assert!(false, "columns are cast to the canonical types before they are read, not {other}");
                Self::Null
            }
        }
    }
}

/// How a value of a type is written in a request, for error messages.
#[must_use]
pub(crate) const fn written(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Bool => "true or false",
        DataType::Int64 => "a whole number (int64)",
        DataType::Float64 => "a number",
        DataType::String => "text",
        DataType::Timestamp => "a timestamp as 2013-07-01T12:00:00Z",
        DataType::Date => "a date as 2013-07-01",
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}

/// Reads an RFC 3339 timestamp; one without a zone is in UTC.
#[must_use]
pub fn timestamp(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_microsecond());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

fn date(text: &str) -> Option<i32> {
    let day: jiff::civil::Date = text.parse().ok()?;
    jiff::civil::date(1970, 1, 1).until(day).ok().map(|span| span.get_days())
}

/// The Arrow type in which columns of a declared type are kept.
#[must_use]
pub fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Bool => ArrowType::Boolean,
        DataType::Int64 => ArrowType::Int64,
        DataType::Float64 => ArrowType::Float64,
        DataType::String => ArrowType::Utf8,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date => ArrowType::Date32,
    }
}

/// The declared type as which a column of a query is kept, or `None` when there is none that loses nothing that matters.
#[must_use]
pub fn declared_type(arrow: &ArrowType) -> Option<DataType> {
    Some(match arrow {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::Int8
        | ArrowType::Int16
        | ArrowType::Int32
        | ArrowType::Int64
        | ArrowType::UInt8
        | ArrowType::UInt16
        | ArrowType::UInt32 => DataType::Int64,
        ArrowType::UInt64
        | ArrowType::Float16
        | ArrowType::Float32
        | ArrowType::Float64
        | ArrowType::Decimal128(..)
        | ArrowType::Decimal256(..) => DataType::Float64,
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::String,
        ArrowType::Dictionary(_, values) => return declared_type(values),
        ArrowType::Timestamp(..) => DataType::Timestamp,
        ArrowType::Date32 | ArrowType::Date64 => DataType::Date,
        _ => return None,
    })
}

/// Builds a column of values; a value of another type becomes null.
#[must_use]
pub fn array_of<'a>(values: impl IntoIterator<Item = &'a Value>, data_type: DataType) -> ArrayRef {
    let values = values.into_iter();
    let rows = values.size_hint().0;
    macro_rules! build {
        ($builder:expr, $variant:ident) => {{
            let mut builder = $builder;
            for value in values {
                match value {
                    Value::$variant(value) => builder.append_value(value.clone()),
                    other => {
                        debug_assert!(other.is_null(), "a {data_type} column was given {other:?}");
                        builder.append_null();
                    }
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    match data_type {
        DataType::Bool => build!(BooleanBuilder::with_capacity(rows), Bool),
        DataType::Int64 => build!(Int64Builder::with_capacity(rows), Int),
        DataType::Float64 => build!(Float64Builder::with_capacity(rows), Float),
        DataType::String => build!(StringBuilder::with_capacity(rows, rows * 8), Text),
        DataType::Timestamp => {
            build!(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"), Timestamp)
        }
        DataType::Date => build!(Date32Builder::with_capacity(rows), Date),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_columns_bit_for_bit() {
        let cases = [
            (DataType::Bool, Value::Bool(true)),
            (DataType::Int64, Value::Int(i64::MIN)),
            (DataType::Float64, Value::Float(-0.0)),
            (DataType::Float64, Value::Float(f64::NAN)),
            (DataType::String, Value::Text("é".into())),
            (DataType::Timestamp, Value::Timestamp(-1)),
            (DataType::Date, Value::Date(15_000)),
            (DataType::Date, Value::Null),
        ];

        for (data_type, value) in cases {
            let array = array_of([&value], data_type);

            assert_eq!(array.data_type(), &arrow_type(data_type));
            assert!(Value::from_array(&array, 0).same(&value), "{value:?}");
        }
        assert!(!Value::Float(0.0).same(&Value::Float(-0.0)));
    }

    #[test]
    fn json_is_read_by_the_declared_type_only() {
        let read = |json: serde_json::Value, data_type| Value::from_json(&json, data_type);

        assert!(matches!(read(3.into(), DataType::Float64), Some(Value::Float(value)) if value == 3.0));
        assert!(matches!(read(serde_json::json!(3.0), DataType::Int64), Some(Value::Int(3))));
        assert!(read(serde_json::json!(3.5), DataType::Int64).is_none());
        assert!(read("3".into(), DataType::Int64).is_none());
        assert!(matches!(
            read("1970-01-01T00:00:01+00:00".into(), DataType::Timestamp),
            Some(Value::Timestamp(1_000_000))
        ));
        assert!(matches!(read("1970-01-01T00:00:01".into(), DataType::Timestamp), Some(Value::Timestamp(1_000_000))));
        assert!(matches!(read("1970-01-02".into(), DataType::Date), Some(Value::Date(1))));
        assert!(matches!(read("1969-12-31".into(), DataType::Date), Some(Value::Date(-1))));
        assert!(matches!(read(serde_json::Value::Null, DataType::Date), Some(Value::Null)));
    }
}
