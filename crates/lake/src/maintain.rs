//! Keeping tables quick to read: compaction of small files, removal of old ones.

use std::num::NonZeroU64;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;
use crate::read::statistics;

/// How tables are maintained.
#[derive(Debug, Clone, Copy)]
pub struct MaintainOptions {
    /// Data files are put together up to this size.
    pub target_file_bytes: u64,
    /// Files that no current version needs are kept this long, for readers of old versions.
    pub keep: SignedDuration,
}

impl Default for MaintainOptions {
    fn default() -> Self {
        Self { target_file_bytes: 128 << 20, keep: SignedDuration::from_hours(7 * 24) }
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
            report.tables.push(self.maintain_table(&name, options).await?);
        }
        Ok(report)
    }

    async fn maintain_table(&self, name: &TableName, options: MaintainOptions) -> Result<TableMaintained> {
        let table = self.require(name).await?;
        let before = statistics(&table, name)?;
        let (table, _) = table
            .optimize()
            .with_target_size(NonZeroU64::new(options.target_file_bytes).unwrap_or(NonZeroU64::MIN))
            .with_max_concurrent_tasks(self.threads())
            .with_session_state(Arc::new(self.session().state()))
            .await
            .map_err(Error::delta(name))?;
        let keep = chrono::Duration::seconds(options.keep.as_secs());
        let (table, vacuumed) = table
            .vacuum()
            .with_retention_period(keep)
            .with_enforce_retention_duration(false)
            .await
            .map_err(Error::delta(name))?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(Error::delta(name))?;
        self.remember(name, &table);
        let after = statistics(&table, name)?;
        Ok(TableMaintained {
            table: name.clone(),
            files_before: before.files,
            files_after: after.files,
            files_removed: vacuumed.files_deleted.len() as u64,
            version: after.version,
        })
    }
}
