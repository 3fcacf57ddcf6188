//! Writing tables: streamed, visible all at once, landing once.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{DataFrame, col};
use deltalake::kernel::Transaction;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::operations::write::SchemaMode;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder};
use futures::StreamExt;
use parking_lot::Mutex;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::read::statistics;

/// How often a write that lost a race with another is tried again.
const RETRIES: usize = 15;

/// Under which a commit's information names its write.
const WRITE_KEY: &str = "mainspring.write";

fn write_key(id: &WriteId) -> String {
    format!("{}#{}", id.app, id.sequence)
}

/// Names a write: of one application, a write whose sequence is not greater than the last one landed already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteId {
    /// Who writes, as `ingest:flights`.
    pub app: String,
    /// Grows with each write of that application to that table.
    pub sequence: i64,
}

/// A write that landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Committed {
    /// The table.
    pub table: TableName,
    /// Its version after the write.
    pub version: u64,
    /// Rows that the write added.
    pub rows: u64,
    /// Bytes that the write added.
    pub bytes: u64,
    /// It had landed before, and was not done again.
    pub replayed: bool,
}

/// Batches in memory as a stream.
#[must_use]
pub fn stream_of(schema: SchemaRef, batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
}

impl Lake {
    /// Adds rows to a table, making it when there is none. New columns are allowed when they may be null.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] when a column has another type than in the table. Nothing of a write that fails is visible.
    pub async fn append(&self, name: &TableName, rows: SendableRecordBatchStream, id: WriteId) -> Result<Committed> {
        self.write(name, rows, &id, SaveMode::Append).await
    }

    /// Puts rows in the place of all that are in a table, making it when there is none.
    ///
    /// # Errors
    ///
    /// As [`Lake::append`]; the schema is replaced too.
    pub async fn overwrite(&self, name: &TableName, rows: SendableRecordBatchStream, id: WriteId) -> Result<Committed> {
        self.write(name, rows, &id, SaveMode::Overwrite).await
    }

    /// Adds rows to a table, each in the place of those with the same values in the key columns, in one commit. Of two
    /// new rows with one key both land: the caller keeps keys apart.
    ///
    /// # Errors
    ///
    /// As [`Lake::append`].
    pub async fn replace_keys(
        &self,
        name: &TableName,
        key: &[String],
        rows: SendableRecordBatchStream,
        id: WriteId,
    ) -> Result<Committed> {
        let Some(table) = self.newest(name).await? else { return self.append(name, rows, id).await };
        if let Some(done) = landed(&table, name, &id).await? {
            return Ok(done);
        }
        let before = statistics(&table, name)?;
        check_types(&table, name, &rows.schema())?;
        let columns: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let new = self.frame_of(rows)?.alias("new")?;
        let column = |side: &str, name: &str| col(datafusion::common::Column::new(Some(side), name));
        let same = (key.iter().map(|part| column("old", part).eq(column("new", part))))
            .reduce(datafusion::prelude::Expr::and)
            .ok_or_else(|| Error::Schema {
                table: name.clone(),
                reason: "a replacing write needs key columns".into(),
            })?;
        let (after, _) = table
            .merge(new, same)
            .with_source_alias("new")
            .with_target_alias("old")
            // the rows can be read once only
            .with_streaming(true)
            .with_session_state(Arc::new(self.session().state()))
            .with_commit_properties(commit_properties(&id))
            .when_matched_update(|update| {
                columns.iter().fold(update, |update, part| update.update(format!("`{part}`"), column("new", part)))
            })
            .and_then(|merge| {
                merge.when_not_matched_insert(|insert| {
                    columns.iter().fold(insert, |insert, part| insert.set(format!("`{part}`"), column("new", part)))
                })
            })
            .map_err(Error::delta(name))?
            .await
            .map_err(Error::delta(name))?;
        self.remember(name, &after);
        committed(&after, name, before.rows, before.bytes)
    }

    /// Removes the rows for which a SQL condition is true, in one commit.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::Delta`].
    pub async fn delete(&self, name: &TableName, condition: &str, id: WriteId) -> Result<Committed> {
        let table = self.require(name).await?;
        if let Some(done) = landed(&table, name, &id).await? {
            return Ok(done);
        }
        let (after, _) = table
            .delete()
            .with_predicate(condition)
            .with_session_state(Arc::new(self.session().state()))
            .with_commit_properties(commit_properties(&id))
            .await
            .map_err(Error::delta(name))?;
        self.remember(name, &after);
        committed(&after, name, 0, 0)
    }

    /// The version that a write made, when it has landed; so that a writer that was killed after its commit can record it.
    ///
    /// # Errors
    ///
    /// When the table's log cannot be read.
    pub async fn landed(&self, name: &TableName, id: &WriteId) -> Result<Option<u64>> {
        let Some(table) = self.newest(name).await? else { return Ok(None) };
        let Some(done) = landed(&table, name, id).await? else { return Ok(None) };
        let newest = table.version().unwrap_or_default();
        let mut commits = std::pin::pin!(table.history(None).enumerate());
        while let Some((age, commit)) = commits.next().await {
            if commit.map_err(Error::delta(name))?.info.get(WRITE_KEY).and_then(|key| key.as_str()) == Some(&write_key(id)) {
                return Ok(Some(newest.saturating_sub(age as u64)));
            }
        }
        // Its commit is older than the log that is kept; every version since holds it.
        Ok(Some(done.version))
    }

    async fn write(
        &self,
        name: &TableName,
        rows: SendableRecordBatchStream,
        id: &WriteId,
        mode: SaveMode,
    ) -> Result<Committed> {
        let table = match self.newest(name).await? {
            Some(table) => {
                if let Some(done) = landed(&table, name, id).await? {
                    return Ok(done);
                }
                if mode == SaveMode::Append {
                    check_types(&table, name, &rows.schema())?;
                }
                table
            }
            None => self.unmade(name).await?,
        };
        let before = if table.version().is_some() && mode == SaveMode::Append {
            statistics(&table, name)?
        } else {
            crate::read::TableStatistics::default()
        };
        let schema_mode = if mode == SaveMode::Append { SchemaMode::Merge } else { SchemaMode::Overwrite };
        let exists = table.version().is_some();
        let mut write = table
            .write(vec![])
            .with_input_plan(self.frame_of(rows)?.into_unoptimized_plan())
            .with_session_state(Arc::new(self.session().state()))
            .with_save_mode(mode)
            .with_writer_properties(writer_properties())
            .with_commit_properties(commit_properties(id))
            .with_cast_safety(false);
        if exists {
            write = write.with_schema_mode(schema_mode);
        }
        let after = write.await.map_err(Error::delta(name))?;
        self.remember(name, &after);
        committed(&after, name, before.rows, before.bytes)
    }

    async fn unmade(&self, name: &TableName) -> Result<DeltaTable> {
        let folder = self.folder().join(name.schema()).join(name.name());
        tokio::fs::create_dir_all(&folder)
            .await
            .map_err(|error| Error::Root { root: folder.display().to_string(), reason: error.to_string() })?;
        DeltaTableBuilder::from_url(self.location(name)?).and_then(DeltaTableBuilder::build).map_err(Error::delta(name))
    }

    /// A stream that can be read once, as a data frame.
    fn frame_of(&self, rows: SendableRecordBatchStream) -> Result<DataFrame> {
        let schema = rows.schema();
        let once = Once { schema: schema.clone(), rows: Mutex::new(Some(rows)) };
        let table = StreamingTable::try_new(schema, vec![Arc::new(once)])?;
        Ok(self.session().read_table(Arc::new(table))?)
    }
}

fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default()))
        .set_created_by(concat!("mainspring ", env!("CARGO_PKG_VERSION")).to_owned())
        .build()
}

fn commit_properties(id: &WriteId) -> CommitProperties {
    CommitProperties::default()
        .with_application_transaction(Transaction::new(&id.app, id.sequence))
        .with_metadata([(WRITE_KEY.to_owned(), write_key(id).into())])
        .with_max_retries(RETRIES)
}

/// The state that a write left, when it landed before.
async fn landed(table: &DeltaTable, name: &TableName, id: &WriteId) -> Result<Option<Committed>> {
    let state = table.snapshot().map_err(Error::delta(name))?;
    let last = state.transaction_version(table.log_store().as_ref(), &id.app).await.map_err(Error::delta(name))?;
    Ok(last.filter(|last| *last >= id.sequence).map(|_| Committed {
        table: name.clone(),
        version: table.version().unwrap_or_default(),
        rows: 0,
        bytes: 0,
        replayed: true,
    }))
}

fn committed(after: &DeltaTable, name: &TableName, rows_before: u64, bytes_before: u64) -> Result<Committed> {
    let now = statistics(after, name)?;
    Ok(Committed {
        table: name.clone(),
        version: now.version,
        rows: now.rows.saturating_sub(rows_before),
        bytes: now.bytes.saturating_sub(bytes_before),
        replayed: false,
    })
}

/// Refuses rows whose columns have other types than the table's.
fn check_types(table: &DeltaTable, name: &TableName, rows: &SchemaRef) -> Result<()> {
    let state = table.snapshot().map_err(Error::delta(name))?;
    let known = state.snapshot().arrow_schema();
    for field in rows.fields() {
        let Ok(there) = known.field_with_name(field.name()) else {
            if field.is_nullable() {
                continue;
            }
            let reason = format!("column `{}` is new and may not be null; new columns must be nullable", field.name());
            return Err(Error::Schema { table: name.clone(), reason });
        };
        if !there.data_type().equals_datatype(field.data_type()) {
            let reason = format!(
                "column `{}` is {} and the rows bring {}; cast it, or give the column another name",
                field.name(),
                there.data_type(),
                field.data_type()
            );
            return Err(Error::Schema { table: name.clone(), reason });
        }
    }
    Ok(())
}

/// A stream that is handed out once.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.rows.lock().take().unwrap_or_else(|| {
            let error = datafusion::error::DataFusionError::Internal("a stream of rows was read twice".into());
            Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter([Err(error)])))
        })
    }
}
