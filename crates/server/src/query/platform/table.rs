//! A view of the catalog as a table of the query engine, and pages as batches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json::ReaderBuilder;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::scalar::ScalarValue;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use serde::Serialize;

use super::{Platform, View};
use crate::query::error::{Error, Result};

/// Rows of a view in one batch, and documents in one page: a run takes about 2 kB.
pub(super) const PAGE: usize = 1_000;

/// Batches of a view as they are read.
pub(super) type Batches = BoxStream<'static, Result<RecordBatch>>;

/// Values that columns must equal.
#[derive(Debug, Clone, Default)]
pub(super) struct Narrowing(BTreeMap<String, String>);

impl Narrowing {
    /// The value that a column must equal.
    pub(super) fn get(&self, column: &str) -> Option<String> {
        self.0.get(column).cloned()
    }
}

/// A view of the catalog.
#[derive(Clone)]
pub(super) struct PlatformTable {
    from: Platform,
    view: View,
    schema: SchemaRef,
    only: Narrowing,
}

impl PlatformTable {
    pub(super) fn new(from: Platform, view: View) -> Self {
        Self { from, view, schema: view.schema(), only: Narrowing::default() }
    }

    /// The column and value of `column = 'value'`, when the catalog can look that up.
    fn looked_up<'a>(&self, filter: &'a Expr) -> Option<(&'a str, &'a str)> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
        let (column, value) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => {
                (column.name.as_str(), value)
            }
            _ => return None,
        };
        let (ScalarValue::Utf8(Some(value)) | ScalarValue::Utf8View(Some(value)) | ScalarValue::LargeUtf8(Some(value))) =
            value
        else {
            return None;
        };
        self.view.looked_up_by().contains(&column).then_some((column, value))
    }
}

impl fmt::Debug for PlatformTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformTable").field("view", &self.view).field("only", &self.only).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for PlatformTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let pushed = |filter: &&Expr| match self.looked_up(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(pushed).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut part = self.clone();
        for (column, value) in filters.iter().filter_map(|filter| self.looked_up(filter)) {
            part.only.0.insert(column.to_owned(), value.to_owned());
        }
        // a limit must not cut rows that a filter has yet to drop
        let limit = limit.filter(|_| filters.is_empty());
        let scan =
            StreamingTableExec::try_new(self.schema.clone(), vec![Arc::new(part)], projection, [], false, limit)?;
        Ok(Arc::new(scan))
    }
}

impl PartitionStream for PlatformTable {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = self.view.read(&self.from, self.only.clone()).map_err(DataFusionError::from);
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

/// Rows of pages as batches with the columns of a schema, which have the names of the rows' fields.
pub(super) fn batches<R>(schema: SchemaRef, pages: impl Stream<Item = Result<Vec<R>>> + Send + 'static) -> Batches
where
    R: Serialize + Send + Sync + 'static,
{
    let in_parts = move |page: Result<Vec<R>>| {
        let schema = schema.clone();
        let parts: Vec<Result<RecordBatch>> = match page {
            Ok(rows) => rows.chunks(PAGE).map(|rows| batch(&schema, rows)).collect(),
            Err(error) => vec![Err(error)],
        };
        futures::stream::iter(parts)
    };
    pages.flat_map(in_parts).boxed()
}

fn batch<R: Serialize>(schema: &SchemaRef, rows: &[R]) -> Result<RecordBatch> {
    let made = || {
        let mut decoder = ReaderBuilder::new(schema.clone()).with_batch_size(rows.len()).build_decoder()?;
        decoder.serialize(rows)?;
        decoder.flush()
    };
    let made = made().map_err(DataFusionError::from)?;
    Ok(made.unwrap_or_else(|| RecordBatch::new_empty(schema.clone())))
}

/// Where the reading of pages stands.
enum Cursor<C> {
    First,
    After(C),
    End,
}

/// Pages one after another: each is read from where the one before ended.
pub(super) fn pages<R, C, F, P>(read: F) -> impl Stream<Item = Result<Vec<R>>> + Send + 'static
where
    R: Send + 'static,
    C: Send + 'static,
    F: Fn(Option<C>) -> P + Send + Sync + 'static,
    P: Future<Output = Result<(Vec<R>, Option<C>)>> + Send + 'static,
{
    futures::stream::try_unfold((Cursor::First, read), |(cursor, read)| async move {
        let after = match cursor {
            Cursor::First => None,
            Cursor::After(after) => Some(after),
            Cursor::End => return Ok::<_, Error>(None),
        };
        let (rows, next) = read(after).await?;
        Ok(Some((rows, (next.map_or(Cursor::End, Cursor::After), read))))
    })
}

pub(super) fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

pub(super) fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

pub(super) fn time(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true)
}

pub(super) fn columns(fields: Vec<Field>) -> SchemaRef {
    Arc::new(Schema::new(fields))
}
