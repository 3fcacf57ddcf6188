//! `information_schema`: what a caller may read, as the tables in which SQL clients look for it. They have the columns that
//! the engine's `SHOW TABLES` and `SHOW COLUMNS` ask for; names are those of the SQL standard (ISO 9075-11).

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use super::error::Result;
use super::listing::{CATALOG, Listed, schemas};
use super::reader::Reader;

/// The schema of these tables.
pub(super) const SCHEMA: &str = "information_schema";

/// A table by its name; none when it is not one of these.
pub(super) fn table(reader: &Arc<Reader>, name: &str) -> EngineResult<Option<Arc<dyn TableProvider>>> {
    let (what, columns): (_, &[(&str, DataType)]) = match name {
        "schemata" => (What::Schemata, &[("catalog_name", DataType::Utf8), ("schema_name", DataType::Utf8)]),
        "tables" => (
            What::Tables,
            &[
                ("table_catalog", DataType::Utf8),
                ("table_schema", DataType::Utf8),
                ("table_name", DataType::Utf8),
                ("table_type", DataType::Utf8),
            ],
        ),
        "columns" => (
            What::Columns,
            &[
                ("table_catalog", DataType::Utf8),
                ("table_schema", DataType::Utf8),
                ("table_name", DataType::Utf8),
                ("column_name", DataType::Utf8),
                ("ordinal_position", DataType::UInt64),
                ("is_nullable", DataType::Utf8),
                ("data_type", DataType::Utf8),
            ],
        ),
        _ => return Ok(None),
    };
    let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), false)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let rows = Information { reader: reader.clone(), what, schema: schema.clone() };
    Ok(Some(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?)))
}

#[derive(Debug, Clone, Copy)]
enum What {
    Columns,
    Schemata,
    Tables,
}

/// One of the tables. It is put together when it is read: the columns are those of every table that the caller may read.
#[derive(Debug, Clone)]
struct Information {
    reader: Arc<Reader>,
    what: What,
    schema: SchemaRef,
}

impl Information {
    async fn rows(self) -> Result<RecordBatch> {
        let columns = match self.what {
            What::Schemata => vec![texts(schemas().map(|_| CATALOG)), texts(schemas())],
            What::Tables => self.tables().await?,
            What::Columns => self.columns().await?,
        };
        Ok(RecordBatch::try_new(self.schema, columns).map_err(DataFusionError::from)?)
    }

    async fn tables(&self) -> Result<Vec<ArrayRef>> {
        let tables = self.reader.tables().await?;
        let of = |text: fn(&Listed) -> &str| texts(tables.iter().map(text));
        // the standard's word for a table that is kept
        let kind = |table: &Listed| match table.kind.as_str() {
            "TABLE" => "BASE TABLE",
            other => other,
        };
        Ok(vec![of(|_| CATALOG), of(|table| &table.schema), of(|table| &table.name), texts(tables.iter().map(kind))])
    }

    async fn columns(&self) -> Result<Vec<ArrayRef>> {
        let mut rows = vec![];
        for table in self.reader.tables().await? {
            // one that the caller may list but has no column to see in, or that goes away meanwhile
            let Ok(schema) = self.reader.columns(&table).await else { continue };
            rows.extend(
                schema.fields().iter().cloned().zip(1u64..).map(|(field, place)| (table.clone(), field, place)),
            );
        }
        let nullable = |is_nullable| if is_nullable { "YES" } else { "NO" };
        let types: Vec<String> = rows.iter().map(|(_, field, _)| field.data_type().to_string()).collect();
        Ok(vec![
            texts(rows.iter().map(|_| CATALOG)),
            texts(rows.iter().map(|(table, _, _)| table.schema.as_str())),
            texts(rows.iter().map(|(table, _, _)| table.name.as_str())),
            texts(rows.iter().map(|(_, field, _)| field.name().as_str())),
            Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, _, place)| *place))),
            texts(rows.iter().map(|(_, field, _)| nullable(field.is_nullable()))),
            texts(types.iter().map(String::as_str)),
        ])
    }
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

impl PartitionStream for Information {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.clone().rows();
        let rows = futures::stream::once(async move { rows.await.map_err(DataFusionError::from) });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}
