//! The rows of one entity, in the order in which they are folded.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use mainspring_spec::DataType;

use crate::read::ValueRef;
use crate::value::Value;

/// The rows of one entity, ascending by event time, then by when they became known, then by row id.
///
/// Rows are taken from the front as they pass out of reach and put on at the back.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    start: usize,
    event_time: Vec<i64>,
    known_at: Vec<i64>,
    columns: Vec<TailColumn>,
    /// Some row became known after it happened.
    hindsight: bool,
}

/// One payload column of a [`Tail`].
#[derive(Debug, Clone)]
pub enum TailColumn {
    /// Booleans, whole numbers, times and days.
    Int {
        /// The type the numbers stand for.
        data_type: DataType,
        /// The values; 0 where null.
        values: Vec<i64>,
        /// Which are not null.
        valid: Vec<bool>,
    },
    /// Numbers.
    Float {
        /// The values; 0 where null.
        values: Vec<f64>,
        /// Which are not null.
        valid: Vec<bool>,
    },
    /// Texts.
    Text(Vec<Option<Arc<str>>>),
}

impl TailColumn {
    fn new(data_type: DataType) -> Self {
        match data_type {
            DataType::Float64 => Self::Float { values: vec![], valid: vec![] },
            DataType::String => Self::Text(vec![]),
            data_type => Self::Int { data_type, values: vec![], valid: vec![] },
        }
    }

    fn push(&mut self, value: &Value) {
        match self {
            Self::Int { values, valid, .. } => {
                let number = match value {
                    Value::Bool(value) => Some(i64::from(*value)),
                    Value::Int(value) | Value::Timestamp(value) => Some(*value),
                    Value::Date(value) => Some(i64::from(*value)),
                    _ => None,
                };
                values.push(number.unwrap_or_default());
                valid.push(number.is_some());
            }
            Self::Float { values, valid } => {
                let number = if let Value::Float(value) = value { Some(*value) } else { None };
                values.push(number.unwrap_or_default());
                valid.push(number.is_some());
            }
            Self::Text(values) => values.push(if let Value::Text(text) = value { Some(text.clone()) } else { None }),
        }
    }

    /// Appends rows of an Arrow column of the same type.
    fn extend(&mut self, array: &ArrayRef, rows: std::ops::Range<usize>) {
        match self {
            Self::Int { data_type, values, valid } => {
                match data_type {
                    DataType::Bool => {
                        let array = array.as_boolean();
                        values.extend(rows.clone().map(|row| i64::from(array.value(row))));
                    }
                    DataType::Date => {
                        let days = array.as_primitive::<Date32Type>().values();
                        values.extend(days[rows.clone()].iter().map(|&day| i64::from(day)));
                    }
                    DataType::Timestamp => {
                        values.extend_from_slice(
                            &array.as_primitive::<TimestampMicrosecondType>().values()[rows.clone()],
                        );
                    }
                    _ => values.extend_from_slice(&array.as_primitive::<Int64Type>().values()[rows.clone()]),
                }
                extend_validity(valid, array, rows);
            }
            Self::Float { values, valid } => {
                values.extend_from_slice(&array.as_primitive::<Float64Type>().values()[rows.clone()]);
                extend_validity(valid, array, rows);
            }
            Self::Text(values) => {
                let array = array.as_string::<i32>();
                values.extend(rows.map(|row| array.is_valid(row).then(|| Arc::from(array.value(row)))));
            }
        }
    }

    pub(super) fn value(&self, row: usize) -> Value {
        match self {
            Self::Int { data_type, values, valid } => {
                if !valid[row] {
                    return Value::Null;
                }
                int_value(*data_type, values[row])
            }
            Self::Float { values, valid } if valid[row] => Value::Float(values[row]),
            Self::Float { .. } => Value::Null,
            Self::Text(values) => values[row].clone().map_or(Value::Null, Value::Text),
        }
    }

    fn value_ref(&self, row: usize) -> ValueRef<'_> {
        match self {
            Self::Int { valid, .. } | Self::Float { valid, .. } if !valid[row] => ValueRef::Null,
            Self::Int { data_type, values, .. } => match data_type {
                DataType::Bool => ValueRef::Bool(values[row] != 0),
                DataType::Timestamp => ValueRef::Timestamp(values[row]),
                DataType::Date => ValueRef::Date(i32::try_from(values[row]).unwrap_or_default()),
                _ => ValueRef::Int(values[row]),
            },
            Self::Float { values, .. } => ValueRef::Float(values[row]),
            Self::Text(values) => values[row].as_deref().map_or(ValueRef::Null, ValueRef::Text),
        }
    }

    fn discard_front(&mut self, rows: usize) {
        match self {
            Self::Int { values, valid, .. } => {
                values.drain(..rows);
                valid.drain(..rows);
            }
            Self::Float { values, valid } => {
                values.drain(..rows);
                valid.drain(..rows);
            }
            Self::Text(values) => drop(values.drain(..rows)),
        }
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Int { values, .. } => values.len() * 9,
            Self::Float { values, .. } => values.len() * 9,
            Self::Text(values) => values.iter().map(|text| 16 + text.as_ref().map_or(0, |text| text.len() + 16)).sum(),
        }
    }
}

fn extend_validity(valid: &mut Vec<bool>, array: &ArrayRef, rows: std::ops::Range<usize>) {
    if array.null_count() == 0 {
        valid.extend(rows.map(|_| true));
    } else {
        valid.extend(rows.map(|row| array.is_valid(row)));
    }
}

/// The value that a whole number stands for.
pub(super) fn int_value(data_type: DataType, number: i64) -> Value {
    match data_type {
        DataType::Bool => Value::Bool(number != 0),
        DataType::Timestamp => Value::Timestamp(number),
        DataType::Date => Value::Date(i32::try_from(number).unwrap_or_default()),
        _ => Value::Int(number),
    }
}

impl Tail {
    /// An empty tail with payload columns of these types.
    #[must_use]
    pub fn new(types: impl IntoIterator<Item = DataType>) -> Self {
        Self { columns: types.into_iter().map(TailColumn::new).collect(), ..Self::default() }
    }

    /// Puts a row on at the back. Rows come in order.
    pub fn push(&mut self, event_time: i64, known_at: i64, payload: &[Value]) {
        debug_assert!(
            self.event_time.last().is_none_or(|&last| last <= event_time),
            "rows are folded in the order of their event time"
        );
        debug_assert_eq!(payload.len(), self.columns.len(), "a row has a value for each payload column");
        self.event_time.push(event_time);
        self.known_at.push(known_at);
        self.hindsight |= known_at > event_time;
        for (column, value) in self.columns.iter_mut().zip(payload) {
            column.push(value);
        }
    }

    /// Puts rows of sorted Arrow columns on at the back.
    pub fn extend(&mut self, event_time: &[i64], known_at: &[i64], payload: &[ArrayRef], rows: std::ops::Range<usize>) {
        self.event_time.extend_from_slice(&event_time[rows.clone()]);
        self.known_at.extend_from_slice(&known_at[rows.clone()]);
        self.hindsight |= rows.clone().any(|row| known_at[row] > event_time[row]);
        for (column, array) in self.columns.iter_mut().zip(payload) {
            column.extend(array, rows.clone());
        }
    }

    /// Takes all rows away.
    pub fn clear(&mut self) {
        let rows = self.event_time.len();
        self.start = rows;
        self.compact();
        self.hindsight = false;
    }

    /// Takes the rows away whose event time is at or before `event_time`.
    pub fn discard_until(&mut self, event_time: i64) {
        self.start += self.event_time[self.start..].partition_point(|&time| time <= event_time);
        // Moving what is left costs its length, so it waits until as much is gone.
        if self.start > 1024 && self.start * 2 > self.event_time.len() {
            self.compact();
        }
    }

    fn compact(&mut self) {
        self.event_time.drain(..self.start);
        self.known_at.drain(..self.start);
        for column in &mut self.columns {
            column.discard_front(self.start);
        }
        self.start = 0;
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.event_time.len() - self.start
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About how much memory it takes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        96 + self.event_time.len() * 16 + self.columns.iter().map(|column| 64 + column.size_bytes()).sum::<usize>()
    }

    /// The value of a payload column in a row. Rows are counted as [`Self::happened_by`] counts them.
    #[must_use]
    pub fn value(&self, column: usize, row: usize) -> Value {
        self.columns.get(column).map_or(Value::Null, |column| column.value(row))
    }

    /// The value of a payload column in a row, where it lies.
    pub(crate) fn value_ref(&self, column: usize, row: usize) -> ValueRef<'_> {
        self.columns.get(column).map_or(ValueRef::Null, |column| column.value_ref(row))
    }

    pub(super) fn column(&self, column: usize) -> Option<&TailColumn> {
        self.columns.get(column)
    }

    /// The rows with event time in `(after, at]`.
    pub(super) fn happened(&self, after: Option<i64>, at: i64) -> std::ops::Range<usize> {
        let end = self.happened_by(at);
        let begin = match after {
            Some(after) => self.start + self.event_time[self.start..].partition_point(|&time| time <= after),
            None => self.start,
        };
        begin..end.max(begin)
    }

    fn happened_by(&self, at: i64) -> usize {
        self.start + self.event_time[self.start..].partition_point(|&time| time <= at)
    }

    /// Whether a row was known by a moment at or after its event time.
    #[inline]
    pub(super) fn known(&self, row: usize, at: i64) -> bool {
        self.known_at[row] <= at
    }

    /// Whether some row became known only after it happened; without, what happened by a moment was known by it.
    pub(super) const fn hindsight(&self) -> bool {
        self.hindsight
    }

    pub(crate) fn event_time(&self, row: usize) -> i64 {
        self.event_time[row]
    }
}
