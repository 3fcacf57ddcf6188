//! What a rule asks of a batch.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType as ArrowType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::HashSet as FastSet;

use crate::expression::Expression;
use crate::keys::{KeySet, Keys};

/// A rule's question, over columns named by their place in the table.
#[derive(Debug)]
pub(crate) enum Test {
    /// Answered by the reader, the casts and the derived columns; nothing to ask here.
    Before,
    /// None of these is null.
    NotNull(Vec<usize>),
    /// An integer, timestamp or date lies between two bounds.
    IntRange { column: usize, min: i64, max: i64 },
    /// A float lies between two bounds.
    FloatRange { column: usize, min: f64, max: f64 },
    /// A text is one of a set.
    TextSet { column: usize, values: FastSet<Box<str>> },
    /// An integer, timestamp, date or truth value is one of a sorted list.
    IntSet { column: usize, values: Vec<i64> },
    /// A float is one of a list.
    FloatSet { column: usize, values: Vec<f64> },
    /// A text matches.
    Regex { column: usize, pattern: regex::Regex },
    /// A key is in another table.
    References { columns: Vec<usize>, keys: Arc<KeySet> },
    /// An expression is true.
    Sql(Expression),
    /// A key is new to the table; asked in the order of the rows, see `landing`.
    Unique(Vec<usize>),
    /// The rows of the file, counted at its end.
    RowCount { min: u64, max: u64 },
    /// The newest value against the clock, at the end.
    Freshness { column: usize, max_age_micros: i64 },
}

/// The rows of a batch that break a rule, and why where the rule does not say it by itself.
pub(crate) struct Answer {
    pub broken: BooleanBuffer,
    pub reasons: Vec<(usize, String)>,
}

impl Test {
    /// Asks the rule of a batch; `None` when no row breaks it. Rules on the order of rows or on the file answer nothing here.
    pub fn ask(&self, batch: &RecordBatch) -> Option<Answer> {
        let mut reasons = Vec::new();
        let broken = match self {
            Self::Before | Self::Unique(_) | Self::RowCount { .. } | Self::Freshness { .. } => return None,
            Self::NotNull(columns) => nulls(batch, columns)?,
            Self::IntRange { column, min, max } => {
                let outside = |value| value < *min || value > *max;
                let column = batch.column(*column);
                present(column, integers(column, outside))
            }
            Self::FloatRange { column, min, max } => {
                // Not a number is outside every range.
                let outside = |value: f64| !(value >= *min && value <= *max);
                let column = batch.column(*column);
                let values = column.as_primitive::<Float64Type>().values();
                present(column, collect(values, |v| outside(*v)))
            }
            Self::TextSet { column, values } => text(batch.column(*column), |text| !values.contains(text)),
            Self::IntSet { column, values } => {
                let column = batch.column(*column);
                present(column, integers(column, |value| values.binary_search(&value).is_err()))
            }
            Self::FloatSet { column, values } => {
                let column = batch.column(*column);
                present(column, collect(column.as_primitive::<Float64Type>().values(), |v| !values.contains(v)))
            }
            Self::Regex { column, pattern } => {
                // Working memory that no other thread asks for: taking turns costs as much as a match.
                let pattern = pattern.clone();
                text(batch.column(*column), |text| !pattern.is_match(text))
            }
            Self::References { columns, keys } => {
                let columns: Vec<ArrayRef> = columns.iter().map(|place| Arc::clone(batch.column(*place))).collect();
                let found = Keys::of(&columns);
                BooleanBuffer::collect_bool(found.len(), |row| found.get(row).is_some_and(|key| !keys.contains(key)))
            }
            Self::Sql(expression) => {
                let (values, failed) = expression.evaluate(batch);
                let values = values.as_boolean();
                let mut broken = match values.nulls() {
                    Some(nulls) => &(!values.values()) & nulls.inner(),
                    None => !values.values(),
                };
                if !failed.is_empty() {
                    let places: HashSet<usize> = failed.iter().map(|(row, _)| *row).collect();
                    let computed = broken;
                    broken =
                        BooleanBuffer::collect_bool(batch.num_rows(), |r| computed.value(r) || places.contains(&r));
                    reasons = failed;
                }
                broken
            }
        };
        (broken.count_set_bits() > 0).then_some(Answer { broken, reasons })
    }

    /// The columns a rule looks at, whose values are shown when it is broken.
    pub fn columns(&self) -> &[usize] {
        match self {
            Self::Before | Self::Sql(_) | Self::RowCount { .. } => &[],
            Self::NotNull(columns) | Self::Unique(columns) | Self::References { columns, .. } => columns,
            Self::IntRange { column, .. }
            | Self::FloatRange { column, .. }
            | Self::TextSet { column, .. }
            | Self::IntSet { column, .. }
            | Self::FloatSet { column, .. }
            | Self::Regex { column, .. }
            | Self::Freshness { column, .. } => std::slice::from_ref(column),
        }
    }
}

/// A value as a person would write it; long texts are cut.
pub(crate) fn value_text(column: &ArrayRef, row: usize) -> String {
    const SHOWN: usize = 80;
    let options = FormatOptions::default().with_null("null");
    let Ok(formatter) = ArrayFormatter::try_new(column, &options) else { return String::from("?") };
    let text = formatter.value(row).to_string();
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}

fn nulls(batch: &RecordBatch, columns: &[usize]) -> Option<BooleanBuffer> {
    let mut broken: Option<BooleanBuffer> = None;
    for place in columns {
        if let Some(nulls) = batch.column(*place).nulls().filter(|nulls| nulls.null_count() > 0) {
            let missing = !nulls.inner();
            broken = Some(broken.map_or_else(|| missing.clone(), |before| &before | &missing));
        }
    }
    broken
}

fn collect<T>(values: &[T], broken: impl Fn(&T) -> bool) -> BooleanBuffer {
    // Indexed by position below the length, which `collect_bool` guarantees.
    BooleanBuffer::collect_bool(values.len(), |row| values.get(row).is_some_and(&broken))
}

/// Takes the nulls out: null passes every rule but `not_null`.
fn present(column: &ArrayRef, broken: BooleanBuffer) -> BooleanBuffer {
    match column.nulls() {
        Some(nulls) => &broken & nulls.inner(),
        None => broken,
    }
}

fn integers(column: &ArrayRef, broken: impl Fn(i64) -> bool) -> BooleanBuffer {
    match column.data_type() {
        ArrowType::Int64 => collect(column.as_primitive::<Int64Type>().values(), |v| broken(*v)),
        ArrowType::Timestamp(..) => collect(column.as_primitive::<TimestampMicrosecondType>().values(), |v| broken(*v)),
        ArrowType::Date32 => collect(column.as_primitive::<Date32Type>().values(), |v| broken(i64::from(*v))),
        _ => {
            let values = column.as_boolean().values();
            BooleanBuffer::collect_bool(values.len(), |row| broken(i64::from(values.value(row))))
        }
    }
}

fn text(column: &ArrayRef, broken: impl Fn(&str) -> bool) -> BooleanBuffer {
    let texts = column.as_string::<i32>();
    BooleanBuffer::collect_bool(texts.len(), |row| texts.is_valid(row) && broken(texts.value(row)))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn ask(test: &Test, column: ArrayRef) -> Vec<usize> {
        let schema = Arc::new(Schema::new(vec![Field::new("a", column.data_type().clone(), true)]));
        let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
        test.ask(&batch).map(|answer| answer.broken.set_indices().collect()).unwrap_or_default()
    }

    #[test]
    fn bounds_are_included_and_null_passes_and_not_a_number_does_not() {
        let column = Float64Array::from(vec![Some(0.0), Some(1.0), Some(1.1), None, Some(f64::NAN), Some(-0.1)]);
        assert_eq!(ask(&Test::FloatRange { column: 0, min: 0.0, max: 1.0 }, Arc::new(column)), [2, 4, 5]);
    }

    #[test]
    fn sets_and_patterns_let_null_pass() {
        let column: ArrayRef = Arc::new(StringArray::from(vec![Some("EWR"), None, Some("ewr")]));
        let values = [Box::from("EWR")].into_iter().collect();
        assert_eq!(ask(&Test::TextSet { column: 0, values }, Arc::clone(&column)), [2]);
        let pattern = regex::Regex::new("^[a-z]+$").unwrap();
        assert_eq!(ask(&Test::Regex { column: 0, pattern }, Arc::clone(&column)), [0]);
        assert_eq!(ask(&Test::NotNull(vec![0]), column), [1]);
    }
}
