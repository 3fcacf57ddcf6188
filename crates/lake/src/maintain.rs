//! Keeping tables quick to read and small: compaction of small files, removal of old ones, a summed up log.
//!
//! Compaction joins files that were written one after another, and keeps the order of rows: what is read by time stays
//! together. It competes with no other writer: rows may be added meanwhile.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use deltalake::checkpoints::cleanup_expired_logs_for;
use deltalake::kernel::Remove;
use deltalake::operations::vacuum::VacuumMode;
use jiff::SignedDuration;
use object_store::path::Path;
use serde::Serialize;

use crate::commit::{Effect, Outcome};
use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::read::statistics;
use crate::reshape::Reshape;
use crate::scan::FileTable;
use crate::state::{DataFile, TableState};
use crate::unfinished;

/// Fewest files that are worth joining.
const JOINED_MIN: usize = 2;

/// How tables are maintained.
#[derive(Debug, Clone)]
pub struct MaintainOptions {
    /// Data files smaller than this are joined until they reach it.
    pub target_file_bytes: u64,
    /// Files that the newest version does not need are kept this long: for readers of old versions, and for writers that
    /// have not committed yet. Zero is safe only while nothing else uses the lake.
    pub keep: SignedDuration,
    /// Versions whose files are kept however old they are: those that models were trained from.
    pub keep_versions: BTreeMap<TableName, Vec<u64>>,
    /// The newest versions that can be named for reading. Tables that are written to every few seconds make many, and
    /// each is a file that listings of the log go through.
    pub log_entries: u64,
}

impl Default for MaintainOptions {
    fn default() -> Self {
        Self {
            target_file_bytes: 128 << 20,
            keep: SignedDuration::from_hours(7 * 24),
            keep_versions: BTreeMap::new(),
            log_entries: 10_000,
        }
    }
}

/// What maintenance did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MaintainReport {
    /// By table.
    pub tables: Vec<TableMaintained>,
}

/// What maintenance did to a table.
#[derive(Debug, Clone, Serialize)]
pub struct TableMaintained {
    /// The table.
    pub table: TableName,
    /// Data files before.
    pub files_before: u64,
    /// Data files after.
    pub files_after: u64,
    /// Bytes of data files before.
    pub bytes_before: u64,
    /// Bytes of data files after.
    pub bytes_after: u64,
    /// Old files removed from disk.
    pub files_removed: u64,
    /// Its version after.
    pub version: u64,
}

impl Lake {
    /// Compacts small files and removes those that nothing has needed for a while.
    ///
    /// # Errors
    ///
    /// The first table that cannot be maintained; those before it are.
    pub async fn maintain(&self, options: MaintainOptions) -> Result<MaintainReport> {
        let mut report = MaintainReport::default();
        for name in self.tables().await? {
            report.tables.push(self.maintain_table(&name, &options).await?);
        }
        Ok(report)
    }

    /// As [`Lake::maintain`], for one table.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], and those of the storage.
    pub async fn maintain_table(&self, name: &TableName, options: &MaintainOptions) -> Result<TableMaintained> {
        let state = self.require(name).await?;
        let before = statistics(&state);
        if state.exotic.is_none() {
            self.compact(&state, options.target_file_bytes).await?;
        }
        let removed = self.vacuum(name, options).await?;
        let state = self.require(name).await?;
        self.checkpoint(&state).await;
        trim_log(&state, options).await?;
        let after = statistics(&state);
        Ok(TableMaintained {
            table: name.clone(),
            files_before: before.files,
            files_after: after.files,
            bytes_before: before.bytes,
            bytes_after: after.bytes,
            files_removed: removed,
            version: after.version,
        })
    }

    async fn compact(&self, state: &Arc<TableState>, target_bytes: u64) -> Result<()> {
        let name = &state.name;
        for run in runs(&state.files, target_bytes) {
            let session = self.session();
            // one partition keeps the order of rows
            session.state_ref().write().config_mut().options_mut().execution.target_partitions = 1;
            let files = FileTable::new(self.root(), state, run.clone())?;
            let rows = session.read_table(Arc::new(files))?.execute_stream().await?;
            let reshape = Reshape::onto(&rows.schema(), &state.schema).map_err(Error::schema(name))?;
            let mut staged = self.stage(name, reshape, rows).await?;
            let written_ms = run.iter().map(|file| file.modified_ms).max().unwrap_or_default();
            for file in &mut staged.files {
                file.data_change = false;
                // so that they stand where the files that they replace stood
                file.modification_time = written_ms;
            }
            let effect = Effect::Compact { target_bytes, removed: removes(state, &run) };
            let slot = self.slot(name);
            let _committing = slot.committing.lock().await;
            if let Outcome::Outdated(staged) = self.commit(name, None, staged, effect).await? {
                // another writer replaced those rows: there is nothing left to join
                self.discard(name, staged).await;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes files that no version needs that is kept; the number of them.
    async fn vacuum(&self, name: &TableName, options: &MaintainOptions) -> Result<u64> {
        let state = self.require(name).await?;
        let keep = chrono::Duration::try_seconds(options.keep.as_secs().max(0)).unwrap_or(chrono::Duration::MAX);
        let keep_versions = options.keep_versions.get(name).map_or(&[][..], Vec::as_slice);
        let vacuum = || {
            (state.table().vacuum())
                // files of writers that were killed are in no entry of the log
                .with_mode(VacuumMode::Full)
                .with_retention_period(keep)
                .with_enforce_retention_duration(false)
                .with_keep_versions(keep_versions)
        };
        let (_, found) = vacuum().with_dry_run(true).await.map_err(Error::delta(name))?;
        // what an earlier run removed is found again; with nothing to do, a vacuum would still add versions to the log
        let mut removed = 0;
        for path in found.files_deleted {
            let path = self.root().table_path(name).parts().chain(Path::from(path).parts()).collect();
            removed += u64::from(self.root().has_file(name, &path).await?);
        }
        if removed > 0 {
            vacuum().await.map_err(Error::delta(name))?;
        }
        let Some(folder) = self.root().table_folder(name) else { return Ok(removed) };
        Ok(removed + unfinished::remove(folder, options.keep).await.map_err(Error::storage(name))?)
    }
}

/// Removes entries of the log that no version needs that can still be named. Reading starts at a checkpoint, so those before
/// the last one that is old enough can go.
async fn trim_log(state: &TableState, options: &MaintainOptions) -> Result<()> {
    let kept = options.keep_versions.get(&state.name).and_then(|versions| versions.iter().min().copied());
    let oldest = state.version().saturating_sub(options.log_entries).min(kept.unwrap_or(u64::MAX));
    if oldest == 0 {
        return Ok(());
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let removed = cleanup_expired_logs_for(oldest, state.log.as_ref(), now, None).await;
    let removed = removed.map_err(Error::delta(&state.name))?;
    tracing::debug!(table = %state.name, removed, "log entries were removed");
    Ok(())
}

/// Runs of small files, each of files that follow one another and together about as big as wanted.
fn runs(files: &[DataFile], target_bytes: u64) -> Vec<Vec<DataFile>> {
    let mut runs = vec![];
    let mut run: Vec<DataFile> = vec![];
    let mut bytes = 0;
    for file in files {
        let is_full = bytes + file.bytes > target_bytes && !run.is_empty();
        if is_full || file.bytes >= target_bytes / 2 {
            runs.push(std::mem::take(&mut run));
            bytes = 0;
        }
        if file.bytes < target_bytes / 2 {
            bytes += file.bytes;
            run.push(file.clone());
        }
    }
    runs.push(run);
    runs.retain(|run| run.len() >= JOINED_MIN);
    runs
}

fn removes(state: &TableState, run: &[DataFile]) -> Vec<Remove> {
    let paths: HashSet<&str> = run.iter().map(|file| file.logged_path.as_str()).collect();
    (state.delta.log_data().iter())
        .filter(|file| paths.contains(&*file.path()))
        .map(|file| file.remove_action(false))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[u64]) -> Vec<DataFile> {
        let file = |(place, bytes): (usize, &u64)| DataFile {
            path: Path::from(format!("{place}.parquet")),
            logged_path: format!("{place}.parquet"),
            bytes: *bytes,
            rows: None,
            modified_ms: 0,
        };
        sizes.iter().enumerate().map(file).collect()
    }

    #[test]
    fn small_neighbours_are_joined_and_big_or_lone_files_are_left() {
        let sizes = |list: &[u64]| -> Vec<Vec<u64>> {
            runs(&files(list), 100).iter().map(|run| run.iter().map(|file| file.bytes).collect()).collect()
        };

        assert_eq!(sizes(&[10, 20, 30]), [vec![10, 20, 30]]);
        assert_eq!(sizes(&[10, 90, 20, 30]), [vec![20, 30]]);
        assert_eq!(sizes(&[40, 40, 40, 40]), [vec![40, 40], vec![40, 40]]);
        assert_eq!(sizes(&[60, 10, 60]), Vec::<Vec<u64>>::new());
        assert_eq!(sizes(&[]), Vec::<Vec<u64>>::new());
    }
}
