//! The rows that do not land, as rows of the quarantine table: which file, which row, which rules, why, and the row itself.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType as ArrowType, Field, Float64Type, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use mainspring_spec::DataType;
use serde_json::{Map, Value};

use crate::check::value_text;
use crate::types::arrow_type;

/// The columns of every quarantine table.
pub(crate) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("file", ArrowType::Utf8, true),
        Field::new("row_number", ArrowType::Int64, true),
        Field::new("rules", ArrowType::Utf8, true),
        Field::new("reason", ArrowType::Utf8, true),
        Field::new("row", ArrowType::Utf8, true),
        Field::new("quarantined_at", arrow_type(DataType::Timestamp), true),
    ]))
});

/// Gathers quarantined rows.
pub(crate) struct Quarantine {
    file: StringBuilder,
    row_number: Int64Builder,
    rules: StringBuilder,
    reason: StringBuilder,
    row: StringBuilder,
    at: TimestampMicrosecondBuilder,
    rows: usize,
}

impl Quarantine {
    pub fn new() -> Self {
        Self {
            file: StringBuilder::new(),
            row_number: Int64Builder::new(),
            rules: StringBuilder::new(),
            reason: StringBuilder::new(),
            row: StringBuilder::new(),
            at: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            rows: 0,
        }
    }

    pub fn push(&mut self, file: &str, row_number: u64, rules: &str, reason: &str, row: &str) {
        self.file.append_value(file);
        self.row_number.append_value(i64::try_from(row_number).unwrap_or(i64::MAX));
        self.rules.append_value(rules);
        self.reason.append_value(reason);
        self.row.append_value(row);
        self.at.append_value(jiff::Timestamp::now().as_microsecond());
        self.rows += 1;
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(self.file.finish()),
            Arc::new(self.row_number.finish()),
            Arc::new(self.rules.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.row.finish()),
            Arc::new(self.at.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&SCHEMA), arrays)
    }
}

/// A row as a JSON object, its values as the file had them.
pub(crate) fn row_json(batch: &RecordBatch, row: usize) -> String {
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(batch.columns());
    Value::Object(fields.map(|(field, column)| (field.name().clone(), value(column, row))).collect::<Map<_, _>>())
        .to_string()
}

fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        ArrowType::Boolean => Value::Bool(column.as_boolean().value(row)),
        ArrowType::Int64 => Value::from(column.as_primitive::<Int64Type>().value(row)),
        ArrowType::Float64 => Value::from(column.as_primitive::<Float64Type>().value(row)),
        ArrowType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        _ => Value::from(value_text(column, row)),
    }
}
