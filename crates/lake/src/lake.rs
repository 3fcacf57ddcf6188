//! The lake itself: where tables lie, what is known of them, and the engine.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};
use deltalake::delta_datafusion::planner::DeltaPlanner;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use parking_lot::Mutex;
use url::Url;

use crate::config::{LakeConfig, MEMORY_MIN};
use crate::error::{Error, Result};
use crate::name::TableName;
use crate::resolve::LakeCatalog;

/// How many of the largest consumers an out-of-memory error names.
const CONSUMERS_NAMED: usize = 5;
/// The catalog's name in queries; nobody needs to write it.
pub(crate) const CATALOG: &str = "mainspring";

/// Versioned tables and the engine that queries them. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    root: Url,
    folder: std::path::PathBuf,
    runtime: Arc<RuntimeEnv>,
    threads: usize,
    /// The newest state seen of each table; brought up to date before each use.
    seen: Mutex<HashMap<TableName, DeltaTable>>,
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("root", &self.inner.root.as_str()).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens a lake, making its folder when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] when the root or the spill folder cannot be used.
    pub async fn open(config: LakeConfig) -> Result<Self> {
        let refused = |reason: String| Error::Root { root: config.root.clone(), reason };
        let folder = match Url::parse(&config.root) {
            Ok(url) if url.scheme() == "file" => {
                url.to_file_path().map_err(|()| refused("the URL names no folder".into()))?
            }
            Ok(url) if url.scheme().len() > 1 => {
                return Err(refused(format!("the scheme `{}` is not built in", url.scheme())));
            }
            _ => Path::new(&config.root).to_owned(),
        };
        for path in [&folder, &config.spill_dir] {
            tokio::fs::create_dir_all(path).await.map_err(|error| refused(error.to_string()))?;
        }
        let folder = tokio::fs::canonicalize(&folder).await.map_err(|error| refused(error.to_string()))?;
        let root = Url::from_directory_path(&folder).map_err(|()| refused("the path is not absolute".into()))?;
        let bytes = usize::try_from(config.memory_bytes.max(MEMORY_MIN)).unwrap_or(usize::MAX);
        let named = NonZeroUsize::new(CONSUMERS_NAMED).unwrap_or(NonZeroUsize::MIN);
        let disk =
            DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![config.spill_dir.clone()]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(bytes), named)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let inner = Inner { root, folder, runtime, threads: config.threads.max(1), seen: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A session of its own over the shared memory pool; every table is visible in it as `schema.table`, and a bare name
    /// is looked for in `sources`, then in `features`.
    #[must_use]
    pub fn session(&self) -> SessionContext {
        self.session_at(BTreeMap::new())
    }

    /// A session in which the pinned tables are those versions.
    #[must_use]
    pub fn session_at(&self, pins: BTreeMap<TableName, u64>) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_target_partitions(self.inner.threads)
            .with_default_catalog_and_schema(CATALOG, "sources")
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false);
        let options = config.options_mut();
        // readers of our tables, and the distributed engine, know strings, not string views
        options.execution.parquet.schema_force_view_types = false;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.execution.time_zone = Some("+00:00".into());
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(self.inner.runtime.clone())
            .with_default_features()
            // plans the nodes that Delta's writes and merges add
            .with_query_planner(DeltaPlanner::new())
            .build();
        let session = SessionContext::new_with_state(state);
        session.register_catalog(CATALOG, Arc::new(LakeCatalog::new(self.clone(), pins)));
        session
    }

    /// The folder that the tables lie in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    pub(crate) fn location(&self, table: &TableName) -> Result<Url> {
        let path = format!("{}/{}/", table.schema(), table.name());
        self.inner.root.join(&path).map_err(|_| Error::Name { text: table.to_string() })
    }

    pub(crate) fn threads(&self) -> usize {
        self.inner.threads
    }

    /// The table's newest state, or `None` when there is no such table.
    pub(crate) async fn newest(&self, name: &TableName) -> Result<Option<DeltaTable>> {
        let seen = self.inner.seen.lock().get(name).cloned();
        let mut table = match seen {
            Some(table) => table,
            None => {
                if !self.inner.folder.join(name.schema()).join(name.name()).join("_delta_log").is_dir() {
                    return Ok(None);
                }
                DeltaTableBuilder::from_url(self.location(name)?)
                    .and_then(DeltaTableBuilder::build)
                    .map_err(Error::delta(name))?
            }
        };
        let loaded = if table.version().is_some() { table.update_state().await } else { table.load().await };
        match loaded {
            Ok(()) => {
                self.remember(name, &table);
                Ok(Some(table))
            }
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            Err(error) => Err(Error::delta(name)(error)),
        }
    }

    /// The table's newest state; that there is none is an error.
    pub(crate) async fn require(&self, name: &TableName) -> Result<DeltaTable> {
        match self.newest(name).await? {
            Some(table) => Ok(table),
            None => Err(Error::NoTable { table: name.clone(), hint: self.hint(name).await? }),
        }
    }

    pub(crate) fn remember(&self, name: &TableName, table: &DeltaTable) {
        self.inner.seen.lock().insert(name.clone(), table.clone());
    }

    async fn hint(&self, wanted: &TableName) -> Result<String> {
        let wanted = wanted.to_string();
        let known = self.tables().await?;
        let nearest = (known.iter())
            .map(|table| (strsim::jaro_winkler(&table.to_string(), &wanted), table))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        Ok(match nearest {
            Some((likeness, table)) if likeness > 0.85 => format!("; did you mean {table}?"),
            _ => "; tables are made by `mainspring run`".into(),
        })
    }

    /// All tables, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] when the lake's folder cannot be read.
    pub async fn tables(&self) -> Result<Vec<TableName>> {
        let folder = self.inner.folder.clone();
        let refused =
            |error: std::io::Error| Error::Root { root: folder.display().to_string(), reason: error.to_string() };
        let mut tables = vec![];
        let mut schemas = tokio::fs::read_dir(&folder).await.map_err(refused)?;
        while let Some(schema) = schemas.next_entry().await.map_err(refused)? {
            let Ok(mut entries) = tokio::fs::read_dir(schema.path()).await else { continue };
            while let Some(entry) = entries.next_entry().await.map_err(refused)? {
                let (Some(schema), Some(name)) =
                    (schema.file_name().to_str().map(str::to_owned), entry.file_name().to_str().map(str::to_owned))
                else {
                    continue;
                };
                if let (Ok(table), true) = (TableName::new(schema, name), entry.path().join("_delta_log").is_dir()) {
                    tables.push(table);
                }
            }
        }
        tables.sort();
        Ok(tables)
    }
}
