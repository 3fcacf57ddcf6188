//! Reading tables: now, as they were, and by query.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::TableProvider;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::DataFrame;
use jiff::Timestamp;
use serde::Serialize;

use crate::error::Result;
use crate::lake::Lake;
use crate::name::TableName;
use crate::resolve::Versions;
use crate::scan::FileTable;
use crate::state::TableState;

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

/// What is no query is refused.
pub(crate) fn only_queries() -> SQLOptions {
    SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false)
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
        Ok(self.newest(name).await?.map(|state| state.version()))
    }

    /// A table for a query.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`](crate::Error::NoTable), [`Error::NoVersion`](crate::Error::NoVersion),
    /// [`Error::BeforeFirst`](crate::Error::BeforeFirst).
    pub async fn provider(&self, name: &TableName, at: At) -> Result<Arc<dyn TableProvider>> {
        self.provider_of(&*self.state(name, at).await?).await
    }

    /// The columns of a table.
    ///
    /// # Errors
    ///
    /// As [`Lake::provider`].
    pub async fn schema(&self, name: &TableName, at: At) -> Result<SchemaRef> {
        Ok(self.state(name, at).await?.schema.clone())
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

    /// The result of a query over the newest tables; it sees one version of each. Only queries are run: what would change
    /// something is refused.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`](crate::Error::NoTable) with the nearest name; [`Error::Query`](crate::Error::Query).
    pub async fn sql(&self, query: &str) -> Result<DataFrame> {
        self.sql_at(query, &BTreeMap::new()).await
    }

    /// The result of a query in which the pinned tables are those versions.
    ///
    /// # Errors
    ///
    /// As [`Lake::sql`], and [`Error::NoVersion`](crate::Error::NoVersion).
    pub async fn sql_at(&self, query: &str, pins: &BTreeMap<TableName, u64>) -> Result<DataFrame> {
        Ok(self.sql_versions(query, pins).await?.0)
    }

    /// As [`Lake::sql_at`], with the versions that the query sees beside its result: every table it names, and the pins.
    ///
    /// # Errors
    ///
    /// As [`Lake::sql_at`].
    pub async fn sql_versions(
        &self,
        query: &str,
        pins: &BTreeMap<TableName, u64>,
    ) -> Result<(DataFrame, BTreeMap<TableName, u64>)> {
        let versions = Versions::fixed(pins.clone());
        let frame = self.session_of(versions.clone()).sql_with_options(query, only_queries()).await?;
        Ok((frame, versions.known()))
    }

    /// Some rows of a table in the order in which they were written, to page through it: at most `limit`, after `offset`.
    /// Files before the page are not opened.
    ///
    /// # Errors
    ///
    /// As [`Lake::provider`].
    pub async fn scan_rows(&self, name: &TableName, at: At, offset: u64, limit: u64) -> Result<Vec<RecordBatch>> {
        let state = self.state(name, at).await?;
        let session = self.session();
        // one partition keeps the order
        let one = session.state_ref();
        one.write().config_mut().options_mut().execution.target_partitions = 1;
        let mut before = 0;
        let mut skipped = 0;
        let mut files = vec![];
        for file in &state.files {
            let Some(rows) = file.rows.filter(|_| state.exotic.is_none()) else {
                files.clone_from(&state.files);
                skipped = 0;
                break;
            };
            if files.is_empty() && before + rows <= offset {
                skipped = before + rows;
            } else if before < offset.saturating_add(limit) {
                files.push(file.clone());
            }
            before += rows;
        }
        let provider: Arc<dyn TableProvider> = match state.exotic {
            None => Arc::new(FileTable::new(self.root(), &state, files)?),
            Some(_) => self.provider_of(&state).await?,
        };
        let within = usize::try_from(offset - skipped).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(session.read_table(provider)?.limit(within, Some(limit))?.collect().await?)
    }

    /// What a table takes.
    ///
    /// # Errors
    ///
    /// [`Error::NoTable`](crate::Error::NoTable).
    pub async fn statistics(&self, name: &TableName) -> Result<TableStatistics> {
        Ok(statistics(&*self.require(name).await?))
    }

    pub(crate) async fn state(&self, name: &TableName, at: At) -> Result<Arc<TableState>> {
        let newest = self.require(name).await?;
        let version = match at {
            At::Latest => return Ok(newest),
            At::Version(version) => version,
            At::Time(time) => self.version_at(&newest, time).await?,
        };
        self.states().at_version(self.root(), &newest, version).await
    }

    pub(crate) async fn provider_of(&self, state: &TableState) -> Result<Arc<dyn TableProvider>> {
        if state.exotic.is_none() {
            return Ok(Arc::new(FileTable::of(self.root(), state)?));
        }
        let session = Arc::new(self.session().state());
        Ok(state.table().table_provider().with_session(session).await?)
    }
}

pub(crate) fn statistics(state: &TableState) -> TableStatistics {
    TableStatistics {
        version: state.version(),
        rows: state.files.iter().filter_map(|file| file.rows).sum(),
        bytes: state.files.iter().map(|file| file.bytes).sum(),
        files: state.files.len() as u64,
    }
}
