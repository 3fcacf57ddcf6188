//! Answers about keys: those that tell the rows of a table apart; there are none between tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::arrow::error::ArrowError;

use crate::query::CATALOG;

/// A column of a key.
pub(super) struct KeyColumn {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) column: String,
    /// Its place in the key, from 1.
    pub(super) place: i32,
}

/// The columns of the answer to `CommandGetPrimaryKeys`, as the protocol has them.
pub(super) fn primary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
}

/// The answer to `CommandGetPrimaryKeys`.
pub(super) fn primary(key: &[KeyColumn]) -> Result<RecordBatch, ArrowError> {
    let text = |of: fn(&KeyColumn) -> &str| Arc::new(StringArray::from_iter_values(key.iter().map(of))) as ArrayRef;
    let names: StringArray = key.iter().map(|_| None::<&str>).collect();
    let columns: Vec<ArrayRef> = vec![
        text(|_| CATALOG),
        text(|key| &key.schema),
        text(|key| &key.table),
        text(|key| &key.column),
        Arc::new(Int32Array::from_iter_values(key.iter().map(|key| key.place))),
        Arc::new(names),
    ];
    RecordBatch::try_new(primary_schema(), columns)
}

/// The columns of the answers about keys between tables, as the protocol has them.
pub(super) fn foreign_schema() -> SchemaRef {
    let side = |side: &str| {
        [("catalog_name", true), ("db_schema_name", true), ("table_name", false), ("column_name", false)]
            .map(|(name, nullable)| Field::new(format!("{side}_{name}"), DataType::Utf8, nullable))
    };
    let rest = [
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ];
    Arc::new(Schema::new(side("pk").into_iter().chain(side("fk")).chain(rest).collect::<Vec<_>>()))
}
