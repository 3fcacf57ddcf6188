//! A data frame as it comes over the wire, columns of values by name, as the columns of a source.

use std::borrow::Cow;
use std::fmt;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use mainspring_features::{EntityValue, PUSH_ROWS_MAX, Value, array_of, arrow_type};
use mainspring_spec::{DataType, Source};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::error::{Detail, Refused};

/// The most columns of a frame.
const COLUMNS_MAX: usize = 5_000;
/// The names under which the SDK sends the two times of rows, whatever their source calls them.
const EVENT_TIMESTAMP: &str = "event_timestamp";
/// See [`EVENT_TIMESTAMP`].
const CREATED: &str = "created";

/// How pandas writes a time that is not there.
const NO_TIME: &str = "NaT";
/// How the SDK writes one among others that are there (`NULL_TIMESTAMP_INT_VALUE`): numpy's `NaT` as a number.
const NO_TIME_NUMBER: i64 = i64::MIN;

/// Columns of values by name, in the order of the body, all of one length.
#[derive(Debug)]
pub(super) struct Frame<'a>(Vec<(Cow<'a, str>, Vec<Cell<'a>>)>);

/// A value of a frame.
#[derive(Debug, Clone, PartialEq)]
enum Cell<'a> {
    /// A value that names a thing or tells of it.
    Plain(EntityValue<'a>),
    /// A list or an object, as JSON text.
    Json(String),
}

impl Frame<'_> {
    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.0.first().map_or(0, |(_, cells)| cells.len())
    }

    /// Checks that all columns have as many values.
    pub(super) fn check(&self) -> Result<(), Refused> {
        let rows = self.rows();
        for (name, cells) in &self.0 {
            if cells.len() != rows {
                let (first, _) = &self.0[0];
                let message =
                    format!("`{first}` has {rows} values and `{name}` has {}; give as many of each", cells.len());
                return Err(Refused::invalid("column_length", &["df", name], message));
            }
        }
        Ok(())
    }

    /// The frame as the declared columns of a source.
    pub(super) fn batch(&self, source: &Source) -> Result<RecordBatch, Refused> {
        let rows = self.rows();
        let mut fields = vec![];
        let mut arrays = vec![];
        let mut details = vec![];
        for column in &source.columns {
            fields.push(Field::new(&column.name, arrow_type(column.data_type), true));
            let is_event_time = source.event_time.as_ref() == Some(&column.name);
            let cells = self.column(source, &column.name, column.data_type, is_event_time);
            let Some(cells) = cells else {
                // A moment that only orders rows may be left out; anything else would be taken for null.
                let may_be_absent = column.nullable && column.data_type == DataType::Timestamp && !is_event_time;
                if !may_be_absent {
                    let message = format!(
                        "source `{}` has a column `{}`; add it, with null where it is unknown",
                        source.name, column.name
                    );
                    details.push(Detail::new("missing", &["df", &column.name], message, serde_json::Value::Null));
                }
                arrays.push(arrow::array::new_null_array(&arrow_type(column.data_type), rows));
                continue;
            };
            let mut values = Vec::with_capacity(rows);
            for (row, cell) in cells.iter().enumerate() {
                match cell.to_value(column.data_type) {
                    Some(Value::Null) if is_event_time => {
                        details.push(wrong(&column.name, row, "the time of an event is not null".into()));
                        break;
                    }
                    Some(value) => values.push(value),
                    None => {
                        let message = format!("{} is not of type {}", cell.shown(), column.data_type);
                        details.push(wrong(&column.name, row, message));
                        break;
                    }
                }
            }
            if values.len() == rows {
                arrays.push(array_of(&values, column.data_type));
            }
        }
        if !details.is_empty() {
            return Err(Refused::Invalid(details));
        }
        RecordBatch::try_new(Schema::new(fields).into(), arrays).map_err(|error| Refused::internal(&error))
    }

    /// The values of a column, under its own name or under the one that the SDK gives to all times of its kind.
    fn column(&self, source: &Source, name: &str, data_type: DataType, is_event_time: bool) -> Option<&[Cell<'_>]> {
        let named = |name: &str| self.0.iter().find(|(known, _)| known == name).map(|(_, cells)| cells.as_slice());
        let declared = |name: &str| source.columns.iter().any(|column| column.name == name);
        named(name).or_else(|| match data_type {
            DataType::Timestamp if is_event_time && !declared(EVENT_TIMESTAMP) => named(EVENT_TIMESTAMP),
            DataType::Timestamp if !is_event_time && !declared(CREATED) => named(CREATED),
            _ => None,
        })
    }
}

fn wrong(column: &str, row: usize, message: String) -> Detail {
    let mut detail = Detail::new("value_type", &["df", column], message, serde_json::Value::Null);
    detail.loc.push(row.into());
    detail
}

impl Cell<'_> {
    fn to_value(&self, data_type: DataType) -> Option<Value> {
        match (self, data_type) {
            (Self::Plain(EntityValue::Text(text)), DataType::Timestamp) if text == NO_TIME => Some(Value::Null),
            (Self::Plain(EntityValue::Int(NO_TIME_NUMBER)), DataType::Timestamp) => Some(Value::Null),
            (Self::Plain(value), data_type) => value.to_value(data_type),
            (Self::Json(text), DataType::String) => Some(Value::Text(text.as_str().into())),
            (Self::Json(_), _) => None,
        }
    }

    fn shown(&self) -> String {
        const SHOWN: usize = 60;
        match self {
            Self::Plain(EntityValue::Text(text)) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
            Self::Plain(EntityValue::Null) => "null".into(),
            Self::Plain(EntityValue::Bool(value)) => value.to_string(),
            Self::Plain(EntityValue::Int(value)) => value.to_string(),
            Self::Plain(EntityValue::Float(value)) => value.to_string(),
            Self::Json(text) => text.chars().take(SHOWN).collect(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Frame<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Columns;
        impl<'de> Visitor<'de> for Columns {
            type Value = Frame<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lists of values by column")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut columns: Vec<(Cow<'de, str>, Vec<Cell<'de>>)> = vec![];
                while let Some(name) = map.next_key::<Cow<'de, str>>()? {
                    if columns.len() == COLUMNS_MAX {
                        return Err(A::Error::custom(format!("there are more than {COLUMNS_MAX} columns")));
                    }
                    let Cells(cells) = map.next_value()?;
                    columns.retain(|(known, _)| *known != name);
                    columns.push((name, cells));
                }
                Ok(Frame(columns))
            }
        }
        deserializer.deserialize_map(Columns)
    }
}

struct Cells<'a>(Vec<Cell<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Cells<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Cells<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut cells = Vec::with_capacity(16);
                while let Some(cell) = list.next_element()? {
                    if cells.len() == PUSH_ROWS_MAX {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        return Err(A::Error::custom(format!(
                            "there are more than {PUSH_ROWS_MAX} rows; send them in parts"
                        )));
                    }
                    cells.push(cell);
                }
                Ok(Cells(cells))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct One;
        #[expect(clippy::cast_precision_loss, reason = "whole numbers beyond 64 bits are read as JSON's readers do")]
        impl<'de> Visitor<'de> for One {
            type Value = Cell<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Cell::Plain(EntityValue::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
                Ok(Cell::Plain(EntityValue::Bool(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Cell::Plain(EntityValue::Int(value)))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Cell::Plain(i64::try_from(value).map_or(EntityValue::Float(value as f64), EntityValue::Int)))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Cell::Plain(EntityValue::Float(value)))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cell::Plain(EntityValue::Text(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cell::Plain(EntityValue::Text(Cow::Owned(text.to_owned()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                let tree = serde_json::Value::deserialize(serde::de::value::SeqAccessDeserializer::new(list))?;
                Ok(Cell::Json(tree.to_string()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let tree = serde_json::Value::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Cell::Json(tree.to_string()))
            }
        }
        deserializer.deserialize_any(One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_is_not_there_is_null_however_it_is_written() {
        let body = r#"{"joined": [null, "NaT", -9223372036854775808, 1]}"#;
        let Frame(columns) = serde_json::from_str(body).unwrap();
        let (_, cells) = &columns[0];

        let times: Vec<Option<Value>> = cells.iter().map(|cell| cell.to_value(DataType::Timestamp)).collect();

        assert!(times[..3].iter().all(|time| matches!(time, Some(Value::Null))), "{times:?}");
        assert!(matches!(times[3], Some(Value::Timestamp(1_000_000))), "{times:?}");
        assert!(matches!(cells[2].to_value(DataType::Int64), Some(Value::Int(i64::MIN))), "a number is a number");
    }
}
