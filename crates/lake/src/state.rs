//! The known state of tables: loaded once, brought up to date by one look at the log.
//!
//! A table's state is a Delta snapshot. Whether a remembered one is still the newest is told by whether the log has an
//! entry for the next version: one request, no listing, no replay.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use deltalake::logstore::LogStoreRef;
use deltalake::table::state::DeltaTableState;
use deltalake::{DeltaTable, DeltaTableError};
use object_store::path::Path;
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::error::{Error, Result};
use crate::name::TableName;
use crate::root::Root;

/// How many old versions are remembered, over all tables.
const OLD_VERSIONS_KEPT: usize = 256;

/// A data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataFile {
    /// Relative to the table.
    pub path: Path,
    /// As the log spells it.
    pub logged_path: String,
    /// Its size.
    pub bytes: u64,
    /// Its rows, when its writer told.
    pub rows: Option<u64>,
    /// When it was written, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// A table at one version.
#[derive(Debug)]
pub(crate) struct TableState {
    pub name: TableName,
    pub log: LogStoreRef,
    pub delta: DeltaTableState,
    pub schema: SchemaRef,
    /// In the order in which they were written.
    pub files: Vec<DataFile>,
    /// What of the table format keeps its files from being read as they are; our own writer uses nothing of the kind.
    pub exotic: Option<&'static str>,
    /// The last sequences of applications that were asked for.
    sequences: Mutex<HashMap<String, Option<i64>>>,
}

impl TableState {
    pub(crate) fn new(name: TableName, log: LogStoreRef, delta: DeltaTableState) -> Self {
        let schema = delta.snapshot().arrow_schema();
        let mut exotic = (!delta.metadata().partition_columns().is_empty()).then_some("partition columns");
        if delta.table_config().column_mapping_mode.is_some_and(|mode| format!("{mode:?}") != "None") {
            exotic = Some("column mapping");
        }
        let mut files = Vec::with_capacity(delta.log_data().num_files());
        for view in delta.log_data().iter() {
            let logged_path = view.path().to_string();
            if logged_path.contains("://") {
                exotic = Some("data files of another table");
            }
            if view.deletion_vector_descriptor().is_some() {
                exotic = Some("deletion vectors");
            }
            files.push(DataFile {
                path: view.object_store_path(),
                logged_path,
                bytes: u64::try_from(view.size()).unwrap_or_default(),
                rows: view.num_records().map(|rows| rows as u64),
                modified_ms: view.modification_time(),
            });
        }
        files.sort_by(|a, b| (a.modified_ms, &a.path).cmp(&(b.modified_ms, &b.path)));
        Self { name, log, delta, schema, files, exotic, sequences: Mutex::default() }
    }

    pub(crate) fn version(&self) -> u64 {
        self.delta.version()
    }

    /// The table as the format's library knows it.
    pub(crate) fn table(&self) -> DeltaTable {
        let mut table = DeltaTable::new(self.log.clone());
        table.state = Some(self.delta.clone());
        table
    }

    /// The sequence of the last write of an application that landed; the log is searched once.
    pub(crate) async fn last_sequence(&self, app: &str) -> Result<Option<i64>> {
        let known = self.sequences.lock().get(app).copied();
        if let Some(last) = known {
            return Ok(last);
        }
        let last = self.delta.transaction_version(self.log.as_ref(), app).await.map_err(Error::delta(&self.name))?;
        self.sequences.lock().insert(app.to_owned(), last);
        Ok(last)
    }

    /// Takes over what the version before knew of applications, one of which has just landed a write.
    pub(crate) fn with_sequences_of(self, before: &Self, landed: Option<(&str, i64)>) -> Self {
        let mut sequences = before.sequences.lock().clone();
        sequences.extend(landed.map(|(app, sequence)| (app.to_owned(), Some(sequence))));
        *self.sequences.lock() = sequences;
        self
    }
}

/// What is known of a table, and who writes to it.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    newest: Mutex<Option<Arc<TableState>>>,
    refreshing: tokio::sync::Mutex<()>,
    /// Held while a version is being committed by this process, so that its writers do not race each other.
    pub committing: tokio::sync::Mutex<()>,
}

/// What is known of all tables.
#[derive(Debug)]
pub(crate) struct States {
    slots: Mutex<HashMap<TableName, Arc<Slot>>>,
    old: Cache<(TableName, u64), Arc<TableState>>,
}

impl Default for States {
    fn default() -> Self {
        Self { slots: Mutex::default(), old: Cache::new(OLD_VERSIONS_KEPT) }
    }
}

impl States {
    pub(crate) fn slot(&self, name: &TableName) -> Arc<Slot> {
        self.slots.lock().entry(name.clone()).or_default().clone()
    }

    /// A table's newest state, or `None` when there is no such table.
    pub(crate) async fn newest(&self, root: &Root, name: &TableName) -> Result<Option<Arc<TableState>>> {
        let slot = self.slot(name);
        let known = slot.newest.lock().clone();
        if let Some(state) = &known
            && is_newest(root, state).await?
        {
            return Ok(known);
        }
        let _refreshing = slot.refreshing.lock().await;
        let known = slot.newest.lock().clone();
        let state = match known {
            Some(state) if is_newest(root, &state).await? => return Ok(Some(state)),
            Some(state) if root.has_file(name, &entry_path(root, name, state.version())).await? => {
                let mut delta = state.delta.clone();
                delta.update(state.log.as_ref(), None).await.map_err(Error::delta(name))?;
                Some(TableState::new(name.clone(), state.log.clone(), delta))
            }
            // never seen, or removed and perhaps made anew
            _ => load(root, name, None).await?,
        };
        let state = state.map(Arc::new);
        slot.newest.lock().clone_from(&state);
        Ok(state)
    }

    /// A table at a version.
    pub(crate) async fn at_version(
        &self,
        root: &Root,
        newest: &Arc<TableState>,
        version: u64,
    ) -> Result<Arc<TableState>> {
        if version == newest.version() {
            return Ok(newest.clone());
        }
        let name = &newest.name;
        let refused = || Error::NoVersion { table: name.clone(), version, latest: newest.version() };
        if version > newest.version() {
            return Err(refused());
        }
        let key = (name.clone(), version);
        if let Some(state) = self.old.get(&key) {
            return Ok(state);
        }
        let state = match load(root, name, Some(version)).await {
            Ok(Some(state)) if state.version() == version => Arc::new(state),
            Ok(_) => return Err(refused()),
            Err(error) => {
                tracing::debug!(table = %name, version, %error, "an old version cannot be loaded");
                return Err(refused());
            }
        };
        self.old.insert(key, state.clone());
        Ok(state)
    }

    /// Takes note of a state that a commit of our own led to.
    pub(crate) fn remember(&self, state: &Arc<TableState>) {
        let slot = self.slot(&state.name);
        let mut newest = slot.newest.lock();
        if newest.as_ref().is_none_or(|known| known.version() < state.version()) {
            *newest = Some(state.clone());
        }
    }
}

/// Where the log has the entry of a version.
pub(crate) fn entry_path(root: &Root, name: &TableName, version: u64) -> Path {
    root.table_path(name).join("_delta_log").join(format!("{version:020}.json"))
}

async fn is_newest(root: &Root, state: &TableState) -> Result<bool> {
    let name = &state.name;
    if root.has_file(name, &entry_path(root, name, state.version() + 1)).await? {
        return Ok(false);
    }
    // the newest entry is never cleaned up: when it is gone, so is the table
    root.has_file(name, &entry_path(root, name, state.version())).await
}

async fn load(root: &Root, name: &TableName, version: Option<u64>) -> Result<Option<TableState>> {
    if !root.has_log(name).await? {
        return Ok(None);
    }
    let log = root.log_store(name);
    match DeltaTableState::try_new(log.as_ref(), version).await {
        Ok(delta) => Ok(Some(TableState::new(name.clone(), log, delta))),
        Err(DeltaTableError::NotATable(_)) => Ok(None),
        // a first writer that died before its commit leaves a log folder without entries
        Err(error) if version.is_none() && !root.has_file(name, &entry_path(root, name, 0)).await? => {
            tracing::debug!(table = %name, %error, "a log without a first entry");
            match log.get_latest_version(0).await {
                Ok(_) => Err(Error::delta(name)(error)),
                Err(_) => Ok(None),
            }
        }
        Err(error) => Err(Error::delta(name)(error)),
    }
}
