//! Rows of a query, read by the names of their columns.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;

/// A window's start in microseconds and a model version.
pub(super) type Group = (i64, u64);

/// A batch whose columns are read by name as numbers or text.
pub(super) struct Rows {
    by_name: BTreeMap<String, Column>,
}

enum Column {
    Whole(arrow::array::Int64Array),
    Number(arrow::array::Float64Array),
    Text(arrow::array::StringArray),
}

impl Rows {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, ArrowError> {
        let mut by_name = BTreeMap::new();
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            let column = match field.data_type() {
                DataType::Timestamp(..) | DataType::Int64 => {
                    Column::Whole(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
                }
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                    Column::Text(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
                }
                _ => Column::Number(cast(array, &DataType::Float64)?.as_primitive::<Float64Type>().clone()),
            };
            by_name.insert(field.name().clone(), column);
        }
        Ok(Self { by_name })
    }

    pub(super) fn whole(&self, name: &str, row: usize) -> Option<i64> {
        match self.by_name.get(name)? {
            Column::Whole(array) => array.is_valid(row).then(|| array.value(row)),
            Column::Number(_) | Column::Text(_) => None,
        }
    }

    pub(super) fn number(&self, name: &str, row: usize) -> Option<f64> {
        match self.by_name.get(name)? {
            Column::Number(array) => array.is_valid(row).then(|| array.value(row)).filter(|value| value.is_finite()),
            Column::Whole(array) => array.is_valid(row).then(|| array.value(row) as f64),
            Column::Text(_) => None,
        }
    }

    pub(super) fn text(&self, name: &str, row: usize) -> Option<&str> {
        match self.by_name.get(name)? {
            Column::Text(array) => array.is_valid(row).then(|| array.value(row)),
            Column::Number(_) | Column::Whole(_) => None,
        }
    }

    pub(super) fn group(&self, row: usize) -> Option<Group> {
        Some((self.whole("window_from", row)?, u64::try_from(self.whole("version", row)?).ok()?))
    }
}
