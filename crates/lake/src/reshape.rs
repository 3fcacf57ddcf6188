//! Brings rows into the shape that a table stores.
//!
//! Stored types are those that every reader of the format knows: signed integers, 32 and 64 bit floats, booleans, text,
//! binary, dates, decimals, timestamps in microseconds of UTC, and lists and structures of them. What comes in another
//! encoding of the same values (unsigned integers, views, dictionaries, other units) is cast; a value that does not fit
//! is an error, never a null.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use arrow::util::display::FormatOptions;

/// The most columns of a table: each costs statistics in each log entry.
const COLUMNS_MAX: usize = 10_000;

/// The stored type of timestamps.
pub(crate) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// How incoming rows become stored ones.
#[derive(Debug)]
pub(crate) struct Reshape {
    schema: SchemaRef,
    columns: Vec<Column>,
}

#[derive(Debug)]
enum Column {
    /// As it comes.
    Same(usize),
    /// Cast to the stored type.
    Cast(usize),
    /// Not there: null.
    Absent,
}

impl Reshape {
    /// For a table that is made, or whose rows and columns are all replaced.
    pub(crate) fn of(incoming: &Schema) -> Result<Self, String> {
        Self::into_schema(incoming, Arc::new(stored_schema(incoming)?))
    }

    /// For rows added to a table: its columns in its order, then those that are new.
    pub(crate) fn onto(incoming: &Schema, table: &Schema) -> Result<Self, String> {
        let stored = stored_schema(incoming)?;
        Self::into_schema(incoming, Arc::new(evolved(table, &stored)?))
    }

    fn into_schema(incoming: &Schema, schema: SchemaRef) -> Result<Self, String> {
        let places: HashMap<&str, usize> =
            incoming.fields().iter().enumerate().map(|(place, field)| (field.name().as_str(), place)).collect();
        let column = |field: &Arc<Field>| match places.get(field.name().as_str()) {
            Some(place) if incoming.field(*place).data_type() == field.data_type() => Column::Same(*place),
            Some(place) => Column::Cast(*place),
            None => Column::Absent,
        };
        let columns = schema.fields().iter().map(column).collect();
        Ok(Self { schema, columns })
    }

    /// The stored columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows as they are stored.
    pub(crate) fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, String> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.schema.fields()) {
            let array = match column {
                Column::Same(place) => batch.column(*place).clone(),
                Column::Cast(place) => cast(batch.column(*place), field)?,
                Column::Absent => new_null_array(field.data_type(), batch.num_rows()),
            };
            if !field.is_nullable() && array.null_count() > 0 {
                let nulls = array.null_count();
                return Err(format!(
                    "column `{}` may not be null, and {nulls} of {} rows have no value in it; drop or fill those rows",
                    field.name(),
                    batch.num_rows()
                ));
            }
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options).map_err(|error| error.to_string())
    }
}

fn cast(array: &ArrayRef, field: &Field) -> Result<ArrayRef, String> {
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(array, field.data_type(), &options)
        .map_err(|error| format!("column `{}` does not fit {}: {error}", field.name(), field.data_type()))
}

/// A table's columns once rows with others were added to it.
pub(crate) fn evolved(table: &Schema, stored: &Schema) -> Result<Schema, String> {
    let mut fields: Vec<Arc<Field>> = table.fields().to_vec();
    for field in table.fields() {
        let Ok(new) = stored.field_with_name(field.name()) else {
            if field.is_nullable() {
                continue;
            }
            return Err(format!("column `{}` is missing, and may not be null; bring a value for it", field.name()));
        };
        if !widens(new.data_type(), field.data_type()) {
            return Err(format!(
                "column `{}` is {} in the table and {} in the rows; cast it, or give the column another name",
                field.name(),
                field.data_type(),
                new.data_type()
            ));
        }
    }
    for field in stored.fields() {
        if table.field_with_name(field.name()).is_err() {
            // rows that are there already have no value in it
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    let evolved = Schema::new(fields);
    check_names(&evolved)?;
    Ok(evolved)
}

/// Whether each value of a type is one of another type too.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Float32, Float64, Int8, Int16, Int32, Int64};
    from.equals_datatype(to)
        || matches!(
            (from, to),
            (Int8, Int16 | Int32 | Int64 | Float32 | Float64)
                | (Int16, Int32 | Int64 | Float32 | Float64)
                | (Int32, Int64 | Float64)
                | (Float32, Float64)
        )
}

fn stored_schema(incoming: &Schema) -> Result<Schema, String> {
    let mut fields = Vec::with_capacity(incoming.fields().len());
    for field in incoming.fields() {
        let data_type = stored_type(field.data_type()).map_err(|why| format!("column `{}` {why}", field.name()))?;
        fields.push(Field::new(field.name(), data_type, field.is_nullable()));
    }
    let stored = Schema::new(fields);
    check_names(&stored)?;
    Ok(stored)
}

fn check_names(schema: &Schema) -> Result<(), String> {
    if schema.fields().is_empty() {
        return Err("they have no columns; bring at least one".into());
    }
    if schema.fields().len() > COLUMNS_MAX {
        return Err(format!("they have {} columns, and at most {COLUMNS_MAX} are stored", schema.fields().len()));
    }
    let mut seen: HashMap<String, &str> = HashMap::new();
    for field in schema.fields() {
        if field.name().is_empty() {
            return Err("a column has no name; give it one".into());
        }
        if let Some(other) = seen.insert(field.name().to_lowercase(), field.name()) {
            let name = field.name();
            return Err(format!("columns `{other}` and `{name}` have one name but for case; rename one"));
        }
    }
    Ok(())
}

fn stored_type(incoming: &DataType) -> Result<DataType, String> {
    let inner = |field: &Arc<Field>| -> Result<Arc<Field>, String> {
        Ok(Arc::new(Field::new(field.name(), stored_type(field.data_type())?, field.is_nullable())))
    };
    Ok(match incoming {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Date32
        | DataType::Utf8
        | DataType::Binary => incoming.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, _) => timestamp_type(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => DataType::List(inner(field)?),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect::<Result<_, _>>()?),
        DataType::Null => return Err("has no type, only nulls; cast it to the type it should have".into()),
        other => return Err(format!("is {other}, which cannot be stored; cast it to a number, text or a timestamp")),
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array, Int64Array, StringViewArray, TimestampSecondArray, UInt64Array};
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    use super::*;

    fn schema(fields: &[(&str, DataType, bool)]) -> Schema {
        Schema::new(fields.iter().map(|(name, kind, null)| Field::new(*name, kind.clone(), *null)).collect::<Vec<_>>())
    }

    #[test]
    fn other_encodings_are_cast_to_the_stored_types() {
        let incoming = schema(&[
            ("n", DataType::UInt64, false),
            ("s", DataType::Utf8View, true),
            ("t", DataType::Timestamp(TimeUnit::Second, None), true),
        ]);
        let reshape = Reshape::of(&incoming).unwrap();
        let batch = RecordBatch::try_new(
            Arc::new(incoming),
            vec![
                Arc::new(UInt64Array::from(vec![7])),
                Arc::new(StringViewArray::from(vec![None::<&str>])),
                Arc::new(TimestampSecondArray::from(vec![60])),
            ],
        )
        .unwrap();

        let stored = reshape.apply(&batch).unwrap();

        assert_eq!(stored.column(0).as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(stored.column(1).data_type(), &DataType::Utf8);
        assert_eq!(stored.column(2).data_type(), &timestamp_type());
        assert_eq!(stored.column(2).as_primitive::<TimestampMicrosecondType>().value(0), 60_000_000);
    }

    #[test]
    fn a_value_that_does_not_fit_is_an_error_and_not_a_null() {
        let incoming = schema(&[("n", DataType::UInt64, false)]);
        let batch = RecordBatch::try_new(Arc::new(incoming.clone()), vec![Arc::new(UInt64Array::from(vec![u64::MAX]))])
            .unwrap();

        let error = Reshape::of(&incoming).unwrap().apply(&batch).unwrap_err();

        assert!(error.contains("`n` does not fit Int64"), "{error}");
    }

    #[test]
    fn rows_take_the_order_of_the_table_and_absent_columns_are_null() {
        let table = schema(&[("a", DataType::Int64, false), ("b", DataType::Utf8, true)]);
        let incoming = schema(&[("c", DataType::Int64, false), ("a", DataType::Int32, false)]);
        let reshape = Reshape::onto(&incoming, &table).unwrap();
        let batch = RecordBatch::try_new(
            Arc::new(incoming),
            vec![Arc::new(Int64Array::from(vec![3])), Arc::new(Int32Array::from(vec![1]))],
        )
        .unwrap();

        let stored = reshape.apply(&batch).unwrap();

        assert_eq!(stored.column(0).as_primitive::<Int64Type>().value(0), 1);
        assert!(stored.column(1).is_null(0));
        assert_eq!(stored.column(2).as_primitive::<Int64Type>().value(0), 3);
        assert!(reshape.schema().field(2).is_nullable(), "older rows have no value in a new column");
    }

    #[test]
    fn rows_that_do_not_fit_are_refused_with_the_column_both_types_and_what_to_do() {
        let table = schema(&[("a", DataType::Int32, false), ("b", DataType::Utf8, true)]);
        for (incoming, told) in [
            (
                schema(&[("a", DataType::Int64, false)]),
                "column `a` is Int32 in the table and Int64 in the rows; cast it",
            ),
            (schema(&[("b", DataType::Utf8, true)]), "column `a` is missing, and may not be null"),
            (
                schema(&[("a", DataType::Int32, false), ("B", DataType::Utf8, true)]),
                "`b` and `B` have one name but for case",
            ),
            (schema(&[("a", DataType::Int32, false), ("x", DataType::Null, true)]), "column `x` has no type"),
        ] {
            let error = Reshape::onto(&incoming, &table).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
