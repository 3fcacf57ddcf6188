//! Reading tables: now, as they were, and what was added since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use chrono::{DateTime, Utc};
use datafusion::catalog::TableProvider;
use datafusion::prelude::DataFrame;
use deltalake::{DeltaTable, DeltaTableBuilder};
use futures::TryStreamExt;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::lake::Lake;
use crate::name::TableName;

/// Which state of a table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The newest.
    Latest,
    /// That of a version.
    Version(u64),
    /// That of a moment: the newest version committed by then.
    Time(Timestamp),
}

/// One version of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableHistory {
    /// The version.
    pub version: u64,
    /// When it was committed.
    pub at: Option<Timestamp>,
    /// What was done, as Delta calls it: `WRITE`, `OPTIMIZE`, `DELETE`.
    pub operation: String,
}

/// What a table takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TableStatistics {
    /// The newest version.
    pub version: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of its data files.
    pub bytes: u64,
    /// Data files.
    pub files: u64,
}

impl Lake {
    /// Whether there is such a table.
    ///
    /// # Errors
    ///
    /// When its log cannot be read.
    pub async fn exists(&self, name: &TableName) -> Result<bool> {
        Ok(self.newest(name).await?.is_some())
    }

    /// The newest version of a table; `None` when there is no such table.
    ///
    /// # Errors
    ///
    /// When its log cannot be read.
    pub async fn version(&self, name: &TableName) -> Result<Option<u64>> {
        Ok(self.newest(name).await?.and_then(|table| table.version()))
    }

    /// A table for a query.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`], [`Error::NoVersion`].
    pub async fn provider(&self, name: &TableName, at: At) -> Result<Arc<dyn TableProvider>> {
        let table = self.state(name, at).await?;
        let session = Arc::new(self.session_without_catalog().state());
        Ok(table.table_provider().with_session(session).await?)
    }

    /// The columns of a table.
    ///
    /// # Errors
    ///
    /// As [`Lake::provider`].
    pub async fn schema(&self, name: &TableName, at: At) -> Result<SchemaRef> {
        Ok(self.provider(name, at).await?.schema())
    }

    /// A table as a data frame in a session of its own.
    ///
    /// # Errors
    ///
    /// As [`Lake::provider`].
    pub async fn read(&self, name: &TableName, at: At) -> Result<DataFrame> {
        let provider = self.provider(name, at).await?;
        Ok(self.session().read_table(provider)?)
    }

    /// The result of a query over the newest tables.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`] with the nearest name; [`Error::Query`].
    pub async fn sql(&self, query: &str) -> Result<DataFrame> {
        Ok(self.session().sql(query).await?)
    }

    /// The result of a query in which the pinned tables are those versions.
    ///
    /// # Errors
    ///
    /// As [`Lake::sql`], and [`Error::NoVersion`].
    pub async fn sql_at(&self, query: &str, pins: &BTreeMap<TableName, u64>) -> Result<DataFrame> {
        Ok(self.session_at(pins.clone()).sql(query).await?)
    }

    /// The rows of the files added in versions after `from` and up to `to`; all rows when `from` is `None`. Compaction
    /// between them adds nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Rewritten`] when a version between them removed or changed rows.
    pub async fn added_since(&self, name: &TableName, from: Option<u64>, to: u64) -> Result<DataFrame> {
        let Some(from) = from else { return self.read(name, At::Version(to)).await };
        let old: BTreeSet<String> = files(&self.state(name, At::Version(from)).await?, name)?;
        let table = self.state(name, At::Version(to)).await?;
        let new = files(&table, name)?;
        if let Some(at) = old.difference(&new).next() {
            tracing::debug!(table = %name, file = %at, "a file is gone between versions");
            return Err(Error::Rewritten { table: name.clone(), from, to, at: to });
        }
        let added: Vec<String> = new.difference(&old).cloned().collect();
        let session = Arc::new(self.session_without_catalog().state());
        let builder = table.table_provider().with_session(session);
        if added.is_empty() {
            let provider = builder.await?;
            return Ok(self.session().read_table(provider)?.limit(0, Some(0))?);
        }
        let provider = builder.with_file_paths(added).await?;
        Ok(self.session().read_table(provider)?)
    }

    /// The versions of a table, newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub async fn history(&self, name: &TableName, limit: usize) -> Result<Vec<TableHistory>> {
        let table = self.require(name).await?;
        let newest = table.version().unwrap_or_default();
        let commits: Vec<_> = table.history(Some(limit)).try_collect().await.map_err(Error::delta(name))?;
        Ok((commits.into_iter().enumerate())
            .map(|(age, commit)| TableHistory {
                version: newest.saturating_sub(age as u64),
                at: commit.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
                operation: commit.operation.unwrap_or_default(),
            })
            .collect())
    }

    /// What a table takes.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`].
    pub async fn statistics(&self, name: &TableName) -> Result<TableStatistics> {
        let table = self.require(name).await?;
        statistics(&table, name)
    }

    pub(crate) async fn state(&self, name: &TableName, at: At) -> Result<DeltaTable> {
        let newest = self.require(name).await?;
        let latest = newest.version().unwrap_or_default();
        let builder = || DeltaTableBuilder::from_url(self.location(name)?).map_err(Error::delta(name));
        match at {
            At::Latest => Ok(newest),
            At::Version(version) if version == latest => Ok(newest),
            At::Version(version) => builder()?.with_version(version).load().await.map_err(|_| Error::NoVersion {
                table: name.clone(),
                version,
                latest,
            }),
            At::Time(time) => {
                let time = DateTime::<Utc>::from_timestamp_micros(time.as_microsecond()).unwrap_or_default();
                builder()?.with_timestamp(time).load().await.map_err(Error::delta(name))
            }
        }
    }

    /// A session for planning scans, without the catalog, which would ask for it again.
    pub(crate) fn session_without_catalog(&self) -> datafusion::prelude::SessionContext {
        self.session()
    }
}

/// The paths of a table's data files, relative to it.
fn files(table: &DeltaTable, name: &TableName) -> Result<BTreeSet<String>> {
    let state = table.snapshot().map_err(Error::delta(name))?;
    Ok(state.log_data().iter().map(|file| file.path().to_string()).collect())
}

pub(crate) fn statistics(table: &DeltaTable, name: &TableName) -> Result<TableStatistics> {
    let state = table.snapshot().map_err(Error::delta(name))?;
    let mut sums = TableStatistics { version: table.version().unwrap_or_default(), ..TableStatistics::default() };
    for file in state.log_data().iter() {
        sums.files += 1;
        sums.bytes += u64::try_from(file.size()).unwrap_or_default();
        sums.rows += file.num_records().unwrap_or_default() as u64;
    }
    Ok(sums)
}
