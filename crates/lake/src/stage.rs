//! Writes rows to data files that nothing refers to yet: the first half of every write.
//!
//! Rows stream from their source through [`Reshape`] into the engine's Parquet sink, which encodes the columns of
//! [`ROW_GROUPS_AT_ONCE`] row groups on all threads and counts what it buffers against the memory pool. The first batch
//! tells how each column is encoded. What is staged becomes visible by a commit, or is removed again; what a killed
//! process leaves behind is removed by maintenance.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::config::{ConfigNonZeroUsize, TableParquetOptions};
use datafusion::datasource::file_format::parquet::ParquetSink;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileOutputMode, FileSinkConfig};
use datafusion::datasource::sink::DataSink;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::kernel::Add;
use futures::StreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::reshape::Reshape;
use crate::state::DataFile;
use crate::{durable, encoding, statistics};

/// Rows of a row group: what readers skip and what threads share out; small enough that ten million rows are 80 of them.
const ROW_GROUP_ROWS: usize = 128 * 1024;
/// Bytes of a row group before encoding, roughly: a table of a thousand columns has fewer rows in each, as row groups are
/// held in memory until they are full.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// The share of the memory pool that a row group's bytes may be: encoding takes about four times as much, for each of
/// [`ROW_GROUPS_AT_ONCE`], and leaves half of the pool to what brings the rows.
const ROW_GROUP_SHARE: usize = 16;
/// Fewest rows of a row group, however wide: a column's encoder takes 80 KiB to begin with, so that fewer save nothing.
const ROW_GROUP_ROWS_MIN: usize = 4096;
/// From so many columns on, their encoders take so much that one row group at a time must do.
const WIDE_COLUMNS: usize = 256;
/// What a value of a type without a width of its own is taken for.
const VARIABLE_BYTES: usize = 24;
/// Row groups that are encoded at the same time, so that one is filled while another is written out.
const ROW_GROUPS_AT_ONCE: usize = 2;
/// Rows of a data file; a file is compacted or removed as a whole.
const FILE_ROWS: usize = 16 * 1024 * 1024;
/// Level 1 of Zstandard costs about as much as Snappy and takes a third less room.
const COMPRESSION: &str = "zstd(1)";

/// Data files that no version refers to yet.
#[derive(Debug)]
pub(crate) struct Staged {
    pub schema: SchemaRef,
    pub files: Vec<Add>,
    pub rows: u64,
    pub bytes: u64,
    paths: Vec<Path>,
}

impl Staged {
    pub(crate) fn nothing(schema: SchemaRef) -> Self {
        Self { schema, files: vec![], rows: 0, bytes: 0, paths: vec![] }
    }

    /// The staged files, for reading them back before they are visible.
    pub(crate) fn data_files(&self) -> Vec<DataFile> {
        let file = |add: &Add| DataFile {
            path: Path::from(add.path.as_str()),
            logged_path: add.path.clone(),
            bytes: u64::try_from(add.size).unwrap_or_default(),
            rows: None,
            modified_ms: add.modification_time,
        };
        self.files.iter().map(file).collect()
    }

    /// Joins what was staged for one commit.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.files.extend(other.files);
        self.paths.extend(other.paths);
        self.rows += other.rows;
        self.bytes += other.bytes;
        self
    }

    /// Undoes [`Staged::and`]: what came first, and what came after.
    pub(crate) fn split(mut self, first_files: usize, first_rows: u64, first_bytes: u64) -> (Self, Self) {
        let rest = self.files.split_off(first_files.min(self.files.len()));
        let is_rest = |path: &Path| rest.iter().any(|file| path.as_ref().ends_with(&file.path));
        let (rest_paths, first_paths) = std::mem::take(&mut self.paths).into_iter().partition(is_rest);
        let after = Self {
            schema: self.schema.clone(),
            files: rest,
            rows: self.rows - first_rows,
            bytes: self.bytes - first_bytes,
            paths: rest_paths,
        };
        (Self { rows: first_rows, bytes: first_bytes, paths: first_paths, ..self }, after)
    }
}

impl Lake {
    /// Writes rows to data files of a table.
    pub(crate) async fn stage(
        &self,
        name: &TableName,
        reshape: Reshape,
        rows: SendableRecordBatchStream,
    ) -> Result<Staged> {
        let schema = reshape.schema().clone();
        let mut rows = reshaped(name, reshape, rows);
        let first = rows.next().await.transpose()?;
        let mut options = parquet_options(&schema, self.memory_bytes());
        if let Some(first) = &first {
            options.column_specific_options = encoding::of_columns(first, options.global.max_row_group_size);
        }
        let sink = ParquetSink::new(self.sink_config(name, &schema)?, options);
        let all = futures::stream::iter(first.map(Ok)).chain(rows);
        let all = Box::pin(RecordBatchStreamAdapter::new(schema.clone(), all));
        let written = sink.write_all(all, &self.write_context()?).await;
        let mut files: Vec<_> = sink.written().into_iter().collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        let mut staged = Staged::nothing(schema);
        staged.paths = files.iter().map(|(path, _)| path.clone()).collect();
        if let Err(error) = written {
            self.discard(name, staged).await;
            return Err(error.into());
        }
        let modification_time = jiff::Timestamp::now().as_millisecond();
        let prefix = self.root().table_path(name);
        for (path, metadata) in files {
            let Some(rows) = u64::try_from(metadata.file_metadata().num_rows()).ok().filter(|rows| *rows > 0) else {
                continue;
            };
            let size = self.root().store().head(&path).await.map_err(Error::storage(name))?.size;
            let own_path: Path = path.prefix_match(&prefix).map(Iterator::collect).unwrap_or_default();
            let stats = statistics::of_file(&staged.schema, &metadata).map_err(Error::storage(name))?;
            staged.rows += rows;
            staged.bytes += size;
            staged.files.push(Add {
                path: own_path.to_string(),
                size: i64::try_from(size).unwrap_or(i64::MAX),
                modification_time,
                data_change: true,
                stats: Some(stats),
                ..Add::default()
            });
        }
        self.sync(name, staged.files.iter().map(|file| file.path.clone())).await?;
        Ok(staged)
    }

    /// Removes staged files that will not become visible; what cannot be removed now, maintenance removes later.
    pub(crate) async fn discard(&self, name: &TableName, staged: Staged) {
        for path in staged.paths {
            if let Err(error) = self.root().store().delete(&path).await {
                tracing::debug!(table = %name, %path, %error, "a staged file could not be removed");
            }
        }
    }

    /// Writes files of a table, named relative to it, through to the disk.
    pub(crate) async fn sync(&self, name: &TableName, paths: impl Iterator<Item = String> + Send) -> Result<()> {
        let Some(folder) = self.root().table_folder(name) else { return Ok(()) };
        let paths: Vec<PathBuf> = paths.map(|path| folder.join(path)).collect();
        if paths.is_empty() { Ok(()) } else { durable::sync(paths).await.map_err(Error::storage(name)) }
    }

    fn sink_config(&self, name: &TableName, schema: &SchemaRef) -> Result<FileSinkConfig> {
        let url = self.root().table_url(name);
        Ok(FileSinkConfig {
            original_url: url.to_string(),
            object_store_url: self.root().store_url()?,
            file_group: FileGroup::default(),
            table_paths: vec![ListingTableUrl::parse(url)?],
            output_schema: schema.clone(),
            table_partition_cols: vec![],
            insert_op: InsertOp::Append,
            keep_partition_by_columns: false,
            file_extension: "parquet".into(),
            file_output_mode: FileOutputMode::Directory,
        })
    }

    fn write_context(&self) -> Result<Arc<TaskContext>> {
        let state = self.session().state();
        let mut config = state.config().clone();
        let execution = &mut config.options_mut().execution;
        // one file, whose row groups are encoded in parallel: files that share rows in turn would each hold all of time
        execution.minimum_parallel_output_files = ConfigNonZeroUsize::try_new(1)?;
        execution.soft_max_rows_per_output_file = ConfigNonZeroUsize::try_new(FILE_ROWS)?;
        Ok(Arc::new(TaskContext::from(&state).with_session_config(config)))
    }
}

fn parquet_options(schema: &SchemaRef, memory_bytes: usize) -> TableParquetOptions {
    let mut options = TableParquetOptions::default();
    options.global.compression = Some(COMPRESSION.into());
    options.global.max_row_group_size = row_group_rows(schema, memory_bytes);
    let is_wide = schema.fields().len() >= WIDE_COLUMNS;
    options.global.maximum_parallel_row_group_writers = if is_wide { 1 } else { ROW_GROUPS_AT_ONCE };
    options.global.created_by = concat!("mainspring ", env!("CARGO_PKG_VERSION")).into();
    options
}

fn row_group_rows(schema: &SchemaRef, memory_bytes: usize) -> usize {
    let width = |data_type: &DataType| data_type.primitive_width().unwrap_or(VARIABLE_BYTES);
    let row_bytes: usize = schema.fields().iter().map(|field| width(field.data_type())).sum();
    let group_bytes = ROW_GROUP_BYTES.min(memory_bytes / ROW_GROUP_SHARE);
    (group_bytes / row_bytes.max(1)).clamp(ROW_GROUP_ROWS_MIN, ROW_GROUP_ROWS)
}

fn reshaped(name: &TableName, reshape: Reshape, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = reshape.schema().clone();
    let name = name.clone();
    let stored = rows.map(move |batch| {
        let fits = reshape.apply(&batch?).map_err(Error::schema(&name));
        fits.map_err(DataFusionError::from)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, stored))
}
