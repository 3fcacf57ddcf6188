//! Writing tables: streamed, visible all at once, landing once.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::kernel::Action;
use deltalake::logstore::get_actions;
use serde::{Deserialize, Serialize};

use crate::commit::{Effect, Outcome};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::reshape::Reshape;
use crate::stage::Staged;
use crate::state::TableState;

/// How many versions are searched for the one that a repeated write made.
const SEARCHED_MAX: u64 = 10_000;

/// Names a write: of one application, a write whose sequence is not greater than the last one landed already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteId {
    /// Who writes, as `ingest:flights`.
    pub app: String,
    /// Grows with each write of that application to that table.
    pub sequence: i64,
}

/// A write that landed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The table.
    pub table: TableName,
    /// The version that the write made.
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
    /// Adds rows to a table, making it when there is none. New columns are allowed: rows that are there already have null
    /// in them.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] when the rows do not fit the table. Nothing of a write that fails is visible.
    pub async fn append(&self, name: &TableName, rows: SendableRecordBatchStream, id: WriteId) -> Result<Committed> {
        if let Some(state) = self.newest(name).await?
            && let Some(done) = self.replayed(&state, &id).await?
        {
            return Ok(done);
        }
        let staged = self.stage_added(name, rows).await?;
        self.commit_added(name, staged, &id).await
    }

    /// As [`append`](Self::append), for a write that is named while its rows are written: a file's is by its content, which
    /// takes as long to read as its rows. One that turns out to have no name does not land, and `None` comes back.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub async fn append_named_late(
        &self,
        name: &TableName,
        rows: SendableRecordBatchStream,
        id: impl Future<Output = Option<WriteId>> + Send,
    ) -> Result<Option<Committed>> {
        let staged = self.stage_added(name, rows).await?;
        match id.await {
            Some(id) => self.commit_added(name, staged, &id).await.map(Some),
            None => {
                self.discard(name, staged).await;
                Ok(None)
            }
        }
    }

    async fn stage_added(&self, name: &TableName, rows: SendableRecordBatchStream) -> Result<Staged> {
        let reshape = match self.newest(name).await? {
            Some(state) => {
                writable(&state)?;
                Reshape::onto(&rows.schema(), &state.schema)
            }
            None => Reshape::of(&rows.schema()),
        };
        self.stage(name, reshape.map_err(Error::schema(name))?, rows).await
    }

    async fn commit_added(&self, name: &TableName, staged: Staged, id: &WriteId) -> Result<Committed> {
        let slot = self.slot(name);
        let _committing = slot.committing.lock().await;
        landed(name, self.commit(name, Some(id), staged, Effect::Add).await?)
    }

    /// Puts rows in the place of all that are in a table, making it when there is none. Columns are replaced too.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] when a column cannot be stored.
    pub async fn overwrite(&self, name: &TableName, rows: SendableRecordBatchStream, id: WriteId) -> Result<Committed> {
        if let Some(state) = self.newest(name).await? {
            if let Some(done) = self.replayed(&state, &id).await? {
                return Ok(done);
            }
            writable(&state)?;
        }
        let reshape = Reshape::of(&rows.schema()).map_err(Error::schema(name))?;
        let staged = self.stage(name, reshape, rows).await?;
        let slot = self.slot(name);
        let _committing = slot.committing.lock().await;
        landed(name, self.commit(name, Some(&id), staged, Effect::ReplaceAll).await?)
    }

    /// What a write did, when it has landed; so that a writer that was killed after its commit can record it.
    ///
    /// # Errors
    ///
    /// When the table's log cannot be read.
    pub async fn landed(&self, name: &TableName, id: &WriteId) -> Result<Option<u64>> {
        let Some(state) = self.newest(name).await? else { return Ok(None) };
        Ok(self.replayed(&state, id).await?.map(|done| done.version))
    }

    /// Finds the version that a write made. Where its entry is gone, the newest stands for it: it holds the write's rows.
    pub(crate) async fn find_write(&self, state: &TableState, id: &WriteId) -> Result<Committed> {
        let newest = state.version();
        let mut done = Committed { table: state.name.clone(), version: newest, rows: 0, bytes: 0, replayed: true };
        for version in (newest.saturating_sub(SEARCHED_MAX)..=newest).rev() {
            let Some(actions) = entry(state, version).await? else { return Ok(done) };
            let is_it = |action: &Action| matches!(action, Action::Txn(txn) if txn.app_id == id.app && txn.version == id.sequence);
            if !actions.iter().any(is_it) {
                continue;
            }
            done.version = version;
            for action in &actions {
                if let Action::Add(file) = action {
                    done.bytes += u64::try_from(file.size).unwrap_or_default();
                    done.rows += rows_told(file.stats.as_deref());
                }
            }
            return Ok(done);
        }
        Ok(done)
    }
}

/// Rows of a data file, as its writer told; 0 when it did not.
pub(crate) fn rows_told(stats: Option<&str>) -> u64 {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Told {
        num_records: u64,
    }
    stats.and_then(|stats| serde_json::from_str::<Told>(stats).ok()).map_or(0, |told| told.num_records)
}

/// What an entry of the log did; `None` when it is there no more.
pub(crate) async fn entry(state: &TableState, version: u64) -> Result<Option<Vec<Action>>> {
    let Some(bytes) = state.log.read_commit_entry(version).await.map_err(Error::delta(&state.name))? else {
        return Ok(None);
    };
    get_actions(version, &bytes).map(Some).map_err(Error::delta(&state.name))
}

/// Tables of other writers may use what ours would lose.
pub(crate) fn writable(state: &Arc<TableState>) -> Result<()> {
    match state.exotic {
        None => Ok(()),
        Some(feature) => Err(Error::Unsupported { table: state.name.clone(), feature }),
    }
}

fn landed(name: &TableName, outcome: Outcome) -> Result<Committed> {
    match outcome {
        Outcome::Landed(done) => Ok(done),
        // only what was worked out from rows can be outdated
        Outcome::Outdated(_) => Err(Error::Contended { table: name.clone(), attempts: 1 }),
    }
}
