//! The declared types as Arrow's: one place says how a column lies in memory and in the lake.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use mainspring_spec::{DataType, Source};

/// The Arrow type of a declared type.
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

/// The declared type that lies in the lake as an Arrow type; `None` where none does.
pub(crate) fn declared_type(arrow: &ArrowType) -> Option<DataType> {
    use DataType::{Bool, Date, Float64, Int64, String, Timestamp};
    [Bool, Int64, Float64, String, Timestamp, Date].into_iter().find(|declared| arrow_type(*declared) == *arrow)
}

/// The columns of a source's table: the declared ones, then the derived ones, then those that every pushed table has.
///
/// All may be null as far as the table knows; what must not be null is a check, so that a check can be added or taken
/// away without rewriting the table.
#[must_use]
pub fn table_schema(source: &Source) -> SchemaRef {
    let columns = source.table_columns().into_iter();
    Arc::new(Schema::new(columns.map(|c| Field::new(c.name, arrow_type(c.data_type), true)).collect::<Vec<_>>()))
}

/// The declared type of a column of the source's table.
#[must_use]
pub fn column_type(source: &Source, name: &str) -> Option<DataType> {
    source.table_columns().into_iter().find(|column| column.name == name).map(|column| column.data_type)
}
