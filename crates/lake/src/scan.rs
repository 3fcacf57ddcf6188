//! A table at one version, for queries: its files are scanned as plain Parquet.
//!
//! Plain scans are what the engine knows best (pruning by statistics, splitting of files over threads, counts from
//! metadata) and what a cluster of it can cut into tasks. Tables of other writers that use more of the format than plain
//! files are read by the format's own library.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Result, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::root::Root;
use crate::state::{DataFile, TableState};

/// The column that tells which file a row lies in, in scans that ask for it: the place of the file in the table's list.
pub(crate) const FILE_COLUMN: &str = "__mainspring_file";

/// Files of one schema.
#[derive(Debug, Clone)]
pub(crate) struct FileTable {
    store_url: ObjectStoreUrl,
    schema: TableSchema,
    files: Vec<(u32, DataFile)>,
    prefix: Path,
    has_file_column: bool,
}

impl FileTable {
    /// All files of a table.
    pub(crate) fn of(root: &Root, state: &TableState) -> crate::error::Result<Self> {
        Self::new(root, state, state.files.clone())
    }

    /// Some files, read with the columns of a table.
    pub(crate) fn new(root: &Root, state: &TableState, files: Vec<DataFile>) -> crate::error::Result<Self> {
        Self::of_files(root, root.table_path(&state.name), state.schema.clone(), files)
    }

    /// Some files under a path, read with some columns.
    pub(crate) fn of_files(
        root: &Root,
        prefix: Path,
        schema: SchemaRef,
        files: Vec<DataFile>,
    ) -> crate::error::Result<Self> {
        let files = (0..).zip(files).collect();
        let schema = TableSchema::from(schema);
        Ok(Self { store_url: root.store_url()?, schema, files, prefix, has_file_column: false })
    }

    /// With [`FILE_COLUMN`] as the last column.
    pub(crate) fn with_file_column(mut self) -> Self {
        let file = Field::new(FILE_COLUMN, DataType::UInt32, false);
        self.schema = TableSchema::builder(self.schema.file_schema().clone())
            .with_table_partition_cols(vec![Arc::new(file)])
            .build();
        self.has_file_column = true;
        self
    }

    /// Only the files at these places in the list.
    pub(crate) fn only(mut self, places: &[u32]) -> Self {
        self.files.retain(|(place, _)| places.contains(place));
        self
    }

    fn scanned(&self, place: u32, file: &DataFile) -> PartitionedFile {
        let location = self.prefix.parts().chain(file.path.parts()).collect();
        let last_modified = DateTime::<Utc>::from_timestamp_millis(file.modified_ms).unwrap_or_default();
        let meta = ObjectMeta { location, last_modified, size: file.bytes, e_tag: None, version: None };
        let mut scanned = PartitionedFile::from(meta);
        if self.has_file_column {
            scanned.partition_values = vec![ScalarValue::UInt32(Some(place))];
        }
        scanned
    }

    fn totals(&self) -> Statistics {
        let mut totals = Statistics::new_unknown(self.schema.table_schema());
        let rows: Option<u64> = self.files.iter().map(|(_, file)| file.rows).sum();
        if let Some(rows) = rows.and_then(|rows| usize::try_from(rows).ok()) {
            totals.num_rows = Precision::Exact(rows);
        }
        let bytes: u64 = self.files.iter().map(|(_, file)| file.bytes).sum();
        totals.total_byte_size = usize::try_from(bytes).map_or(Precision::Absent, Precision::Inexact);
        totals
    }
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        self.schema.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.totals())
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // the optimiser hands filters on to the Parquet scan, which skips row groups and pages by them
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = datafusion::common::project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let files: Vec<_> = self.files.iter().map(|(place, file)| self.scanned(*place, file)).collect();
        // neighbours stay together, in order: the engine's own split would sort them by name
        let share = files.len().div_ceil(session.config().target_partitions().max(1));
        let groups = files.chunks(share).map(|files| FileGroup::new(files.to_vec())).collect();
        let source = Arc::new(ParquetSource::new(self.schema.clone()));
        // a limit must not cut rows that a filter has yet to drop
        let limit = limit.filter(|_| filters.is_empty());
        let config = FileScanConfigBuilder::new(self.store_url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(self.totals())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let options = session.config_options().execution.parquet.clone();
        let options = datafusion::config::TableParquetOptions { global: options, ..Default::default() };
        ParquetFormat::new().with_options(options).create_physical_plan(session, config).await
    }
}
