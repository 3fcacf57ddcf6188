//! Batches on their way to a client: in types that every client knows.

use std::sync::Arc;

use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use super::error::Result;

/// A type that clients know, for one that only the engine does: views and dictionaries become what they stand for.
fn plain(data_type: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain(field.data_type())));
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        DataType::RunEndEncoded(_, value) => plain(value.data_type()),
        DataType::List(item) | DataType::ListView(item) => DataType::List(field(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        other => other.clone(),
    }
}

/// The columns of a result as they are sent.
pub(super) fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> =
        schema.fields().iter().map(|field| field.as_ref().clone().with_data_type(plain(field.data_type()))).collect();
    Arc::new(Schema::new(fields))
}

/// A batch with the columns of [`plain_schema`].
pub(super) fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        if column.data_type() == field.data_type() {
            columns.push(column.clone());
        } else {
            columns.push(cast(column, field.data_type()).map_err(datafusion::error::DataFusionError::from)?);
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let plain = RecordBatch::try_new_with_options(schema.clone(), columns, &options);
    Ok(plain.map_err(datafusion::error::DataFusionError::from)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray, DictionaryArray, ListArray, StringArray, StringViewArray, StructArray};
    use arrow::datatypes::Int32Type;

    #[test]
    fn views_and_dictionaries_become_plain_also_inside_of_lists_and_structs() {
        let views = StringViewArray::from(vec!["a", "a string that is longer than twelve bytes"]);
        let dictionary: DictionaryArray<Int32Type> = vec!["x", "x"].into_iter().collect();
        let inner = StructArray::from(vec![(
            Arc::new(Field::new("v", DataType::Utf8View, true)),
            Arc::new(views.clone()) as arrow::array::ArrayRef,
        )]);
        let item = Arc::new(Field::new_list_field(DataType::Utf8View, true));
        let list =
            ListArray::new(item, arrow::buffer::OffsetBuffer::from_lengths([1, 1]), Arc::new(views.clone()), None);
        let batch = RecordBatch::try_from_iter([
            ("view", Arc::new(views) as arrow::array::ArrayRef),
            ("dictionary", Arc::new(dictionary)),
            ("struct", Arc::new(inner)),
            ("list", Arc::new(list)),
        ])
        .unwrap();

        let schema = plain_schema(batch.schema_ref());
        let sent = plain_batch(&batch, &schema).unwrap();

        assert_eq!(
            sent.column(0).as_string::<i32>(),
            &StringArray::from(vec!["a", "a string that is longer than twelve bytes"])
        );
        assert_eq!(sent.column(1).as_string::<i32>(), &StringArray::from(vec!["x", "x"]));
        assert_eq!(sent.column(2).as_struct().column(0).data_type(), &DataType::Utf8);
        assert_eq!(sent.column(3).as_list::<i32>().value(1).as_string::<i32>().value(0).len(), 41);
    }
}
