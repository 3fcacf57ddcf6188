//! Values that name entities, as they come: straight to the bytes of keys.

use std::borrow::Cow;

use mainspring_spec::{DataType, Field};

use crate::error::{Error, Result};
use crate::value::{Value, timestamp, written};

/// A value as a client wrote it.
#[derive(Debug, Clone, PartialEq)]
pub enum EntityValue<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text, also for times and days.
    Text(Cow<'a, str>),
}

/// Microseconds in a second: times may come as seconds since 1970.
const MICROS: i64 = 1_000_000;

impl EntityValue<'_> {
    /// The value as one of a type; `None` when it is none.
    #[must_use]
    pub fn to_value(&self, data_type: DataType) -> Option<Value> {
        Some(match (self, data_type) {
            (Self::Null, _) => Value::Null,
            (Self::Bool(value), DataType::Bool) => Value::Bool(*value),
            (Self::Int(_) | Self::Float(_), DataType::Int64) => Value::Int(self.whole()?),
            (Self::Float(value), DataType::Float64) => Value::Float(*value),
            #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
            (Self::Int(value), DataType::Float64) if value.unsigned_abs() <= 1 << 53 => Value::Float(*value as f64),
            (Self::Text(text), DataType::String) => Value::Text((&**text).into()),
            (Self::Text(text), DataType::Timestamp) => Value::Timestamp(timestamp(text)?),
            (Self::Int(_), DataType::Timestamp) => Value::Timestamp(self.whole()?.checked_mul(MICROS)?),
            #[expect(clippy::cast_possible_truncation, reason = "a time in microseconds is far below the bound")]
            (Self::Float(seconds), DataType::Timestamp) if seconds.abs() < 1.0e12 => {
                Value::Timestamp((seconds * 1.0e6).round() as i64)
            }
            (Self::Text(text), DataType::Date) => Value::from_json(&(&**text).into(), DataType::Date)?,
            _ => return None,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and in range")]
    fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => Some(*value as i64),
            _ => None,
        }
    }

    /// Appends the value as a part of a key. False, when it is null.
    pub(super) fn encode(&self, field: &Field, row: usize, out: &mut Vec<u8>) -> Result<bool> {
        match (self, field.data_type) {
            (Self::Null, _) => return Ok(false),
            (Self::Int(value), DataType::Int64) => crate::key::part(out, &value.to_be_bytes()),
            (Self::Text(text), DataType::String) => crate::key::part(out, text.as_bytes()),
            (_, data_type) => {
                let value = self.to_value(data_type).ok_or_else(|| self.refused(field, row))?;
                return Ok(crate::key::encode([&value], out));
            }
        }
        Ok(true)
    }

    pub(super) fn refused(&self, field: &Field, row: usize) -> Error {
        const SHOWN: usize = 60;
        let found = match self {
            Self::Null => "null".into(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
        };
        Error::RequestField { row, field: field.name.clone(), expected: written(field.data_type), found }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_from_a_client_is_the_key_from_a_column() {
        let cases = [
            (EntityValue::Int(-7), DataType::Int64, Value::Int(-7)),
            (EntityValue::Float(7.0), DataType::Int64, Value::Int(7)),
            (EntityValue::Text("zürich".into()), DataType::String, Value::Text("zürich".into())),
            (EntityValue::Bool(true), DataType::Bool, Value::Bool(true)),
            (EntityValue::Int(1), DataType::Timestamp, Value::Timestamp(1_000_000)),
            (EntityValue::Text("1970-01-01T00:00:01Z".into()), DataType::Timestamp, Value::Timestamp(1_000_000)),
            (EntityValue::Text("1970-01-02".into()), DataType::Date, Value::Date(1)),
        ];

        for (value, data_type, same) in cases {
            let field = Field { name: "id".into(), data_type };
            let (mut ours, mut theirs) = (vec![], vec![]);

            assert!(value.encode(&field, 0, &mut ours).unwrap());
            assert!(crate::key::encode([&same], &mut theirs));

            assert_eq!(ours, theirs, "{value:?}");
        }
    }

    #[test]
    fn value_of_another_type_is_refused_with_its_place() {
        let field = Field { name: "driver_id".into(), data_type: DataType::Int64 };

        let error = EntityValue::Text("7".into()).encode(&field, 3, &mut vec![]).unwrap_err();

        assert_eq!(error.to_string(), r#"row 3: field `driver_id` must be a whole number (int64), not "7""#);
        assert!(!EntityValue::Null.encode(&field, 0, &mut vec![]).unwrap());
    }
}
