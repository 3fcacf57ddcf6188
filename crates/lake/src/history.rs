//! What happened to a table: its versions, which of them stood at a moment, and which rows came between two of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::prelude::DataFrame;
use deltalake::kernel::{Action, Add};
use jiff::Timestamp;
use object_store::path::Path;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::read::At;
use crate::scan::FileTable;
use crate::state::{DataFile, TableState};
use crate::write::{entry, rows_told};

/// One version of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableHistory {
    /// The version.
    pub version: u64,
    /// When it was committed.
    pub at: Option<Timestamp>,
    /// What was done, as Delta calls it: `WRITE`, `OPTIMIZE`, `VACUUM END`.
    pub operation: String,
    /// Rows in the files that it added.
    pub rows_added: u64,
    /// Data files that it added.
    pub files_added: u64,
    /// Data files that it took away.
    pub files_removed: u64,
}

impl Lake {
    /// The versions of a table, newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub async fn history(&self, name: &TableName, limit: usize) -> Result<Vec<TableHistory>> {
        let state = self.require(name).await?;
        let mut versions = vec![];
        for version in (0..=state.version()).rev().take(limit) {
            // older entries were cleaned up
            let Some(actions) = entry(&state, version).await? else { break };
            versions.push(told(version, &actions));
        }
        Ok(versions)
    }

    /// The newest version committed by a moment.
    pub(crate) async fn version_at(&self, newest: &Arc<TableState>, time: Timestamp) -> Result<u64> {
        let (mut low, mut high) = (0, newest.version());
        let mut found = None;
        let mut oldest = Timestamp::MAX;
        // entries that were cleaned up are the oldest ones: what is gone counts as too old to tell
        while low <= high {
            let middle = low + (high - low) / 2;
            let at = match entry(newest, middle).await? {
                Some(actions) => told(middle, &actions).at,
                None => None,
            };
            match at {
                Some(at) if at > time => {
                    oldest = oldest.min(at);
                    let Some(below) = middle.checked_sub(1) else { break };
                    high = below;
                }
                Some(_) => {
                    found = Some(middle);
                    low = middle + 1;
                }
                None => low = middle + 1,
            }
        }
        found.ok_or_else(|| Error::BeforeFirst { table: newest.name.clone(), time, oldest })
    }

    /// The rows of the files added in versions after `from` and up to `to`; all rows when `from` is `None`. Compaction
    /// between them adds nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Rewritten`] when a version between them removed or changed rows, or when maintenance has removed what would
    /// tell them apart.
    pub async fn added_since(&self, name: &TableName, from: Option<u64>, to: u64) -> Result<DataFrame> {
        let Some(from) = from else { return self.read(name, At::Version(to)).await };
        let state = self.state(name, At::Version(to)).await?;
        let told_apart = |at: u64, reason: &'static str| Error::Rewritten { table: name.clone(), from, to, at, reason };
        let active: BTreeSet<&str> = state.files.iter().map(|file| file.logged_path.as_str()).collect();
        let mut added = vec![];
        for version in from.saturating_add(1)..=to {
            let Some(actions) = entry(&state, version).await? else {
                return Err(told_apart(version, "its log entry was cleaned up"));
            };
            for action in actions {
                match action {
                    Action::Remove(file) if file.data_change => return Err(told_apart(version, "rows were rewritten")),
                    Action::Add(file) if file.data_change => {
                        let file = data_file(&file);
                        // compaction has put its rows elsewhere; the file stays until maintenance removes it
                        let is_there = active.contains(file.logged_path.as_str()) || self.is_there(name, &file).await?;
                        if !is_there {
                            return Err(told_apart(version, "compacted files were removed"));
                        }
                        added.push(file);
                    }
                    _ => {}
                }
            }
        }
        let table = FileTable::new(self.root(), &state, added)?;
        Ok(self.session().read_table(Arc::new(table))?)
    }

    async fn is_there(&self, name: &TableName, file: &DataFile) -> Result<bool> {
        let path: Path = self.root().table_path(name).parts().chain(file.path.parts()).collect();
        self.root().has_file(name, &path).await
    }
}

fn data_file(file: &Add) -> DataFile {
    DataFile {
        path: Path::parse(&file.path).unwrap_or_else(|_| Path::from(file.path.as_str())),
        logged_path: file.path.clone(),
        bytes: u64::try_from(file.size).unwrap_or_default(),
        rows: Some(rows_told(file.stats.as_deref())).filter(|_| file.stats.is_some()),
        modified_ms: file.modification_time,
    }
}

fn told(version: u64, actions: &[Action]) -> TableHistory {
    let mut history =
        TableHistory { version, at: None, operation: String::new(), rows_added: 0, files_added: 0, files_removed: 0 };
    for action in actions {
        match action {
            Action::CommitInfo(info) => {
                history.at = info.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
                history.operation = info.operation.clone().unwrap_or_default();
            }
            Action::Add(file) => {
                history.files_added += 1;
                history.rows_added += rows_told(file.stats.as_deref());
            }
            Action::Remove(_) => history.files_removed += 1,
            _ => {}
        }
    }
    history
}
