//! The lake itself: where tables lie, what is known of them, and the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::config::{LakeConfig, MEMORY_MIN};
use crate::error::{Error, Result};
use crate::functions::guarded;
use crate::name::TableName;
use crate::resolve::{LakeCatalog, Versions};
use crate::root::Root;
use crate::state::{States, TableState};

/// How many of the largest consumers an out-of-memory error names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);
/// The catalog's name in queries; nobody needs to write it.
pub(crate) const CATALOG: &str = "mainspring";
/// Where the engine, and who knows other databases, look for what there is.
const INFORMATION: &str = "information_schema.";
/// How alike two names must be for one to be suggested for the other.
const LIKENESS_MIN: f64 = 0.85;

/// Versioned tables and the engine that queries them. Cheap to clone.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    root: Root,
    runtime: Arc<RuntimeEnv>,
    memory_bytes: usize,
    threads: usize,
    states: States,
}

/// How the engine is set up, over the lake as over a [`Blueprint`](crate::Blueprint).
pub(crate) fn session_config(threads: usize) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(threads)
        .with_default_catalog_and_schema(CATALOG, "sources")
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    // readers of our tables, and the distributed engine, know strings, not string views
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.execution.time_zone = Some("+00:00".into());
    // it reserves memory for as many groups as a LIMIT says, before there are any: LIMIT 1000000000000 ends the process
    options.optimizer.enable_topk_aggregation = false;
    config
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lake").field("root", &self.inner.root.url().as_str()).finish_non_exhaustive()
    }
}

impl Lake {
    /// Opens a lake, making its folder when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] when the root or the spill folder cannot be used.
    pub async fn open(config: LakeConfig) -> Result<Self> {
        let root = Root::open(&config.root).await?;
        let spill_dir = own_spill_dir(&config.spill_dir)
            .await
            .map_err(|error| Error::Root { root: config.spill_dir.display().to_string(), reason: error.to_string() })?;
        let bytes = usize::try_from(config.memory_bytes.max(MEMORY_MIN)).unwrap_or(usize::MAX);
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Directories(vec![spill_dir]));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(bytes), CONSUMERS_NAMED)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        runtime.register_object_store(root.store_url()?.as_ref(), root.store().clone());
        let inner =
            Inner { root, runtime, memory_bytes: bytes, threads: config.threads.max(1), states: States::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A session of its own over the shared memory pool; every table is visible in it as `schema.table`, and a bare name
    /// is looked for in `sources`, then in `features`. Each query sees the newest versions.
    #[must_use]
    pub fn session(&self) -> SessionContext {
        self.session_of(Versions::newest())
    }

    /// A session in which the pinned tables are those versions.
    #[must_use]
    pub fn session_at(&self, pins: BTreeMap<TableName, u64>) -> SessionContext {
        self.session_of(Versions::pinned(pins))
    }

    pub(crate) fn session_of(&self, versions: Versions) -> SessionContext {
        let config = session_config(self.inner.threads);
        let engine = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(self.inner.runtime.clone())
            .with_default_features();
        let session = SessionContext::new_with_state(guarded(engine).build());
        session.register_catalog(CATALOG, Arc::new(LakeCatalog::new(self.clone(), versions)));
        session
    }

    /// Where the lake lies, as a URL that ends in a slash.
    #[must_use]
    pub fn url(&self) -> &str {
        self.inner.root.url().as_str()
    }

    /// The folder that the tables lie in, when it is on this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.inner.root.folder()
    }

    /// Memory for all queries and writes together.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.inner.memory_bytes
    }

    pub(crate) fn root(&self) -> &Root {
        &self.inner.root
    }

    pub(crate) fn states(&self) -> &States {
        &self.inner.states
    }

    /// The table's newest state, or `None` when there is no such table.
    pub(crate) async fn newest(&self, name: &TableName) -> Result<Option<Arc<TableState>>> {
        self.inner.states.newest(&self.inner.root, name).await
    }

    /// The table's newest state; that there is none is an error.
    pub(crate) async fn require(&self, name: &TableName) -> Result<Arc<TableState>> {
        match self.newest(name).await? {
            Some(state) => Ok(state),
            None => Err(self.no_table(&name.to_string()).await),
        }
    }

    /// All tables, by name.
    ///
    /// # Errors
    ///
    /// [`Error::Root`] when the lake's folder cannot be read.
    pub async fn tables(&self) -> Result<Vec<TableName>> {
        self.inner.root.tables().await
    }

    /// The error of a table that is not there, with the nearest name that is.
    pub(crate) async fn no_table(&self, wanted: &str) -> Error {
        let known = match self.tables().await {
            Ok(known) => known,
            Err(error) => return error,
        };
        let likeness = |table: &TableName| {
            let whole = strsim::jaro_winkler(&table.to_string(), wanted);
            let bare = wanted.rsplit('.').next().unwrap_or(wanted);
            whole.max(strsim::jaro_winkler(table.name(), bare))
        };
        let nearest = known.iter().map(|table| (likeness(table), table)).max_by(|a, b| a.0.total_cmp(&b.0));
        let hint = match nearest {
            _ if wanted.starts_with(INFORMATION) => {
                "; SHOW TABLES lists the tables, DESCRIBE the columns of one".into()
            }
            Some((likeness, table)) if likeness >= LIKENESS_MIN => format!("; did you mean {table}?"),
            _ => "; tables are made by `mainspring run`".into(),
        };
        Error::NoTable { table: wanted.to_owned(), hint }
    }
}

/// The spill folder of this process. What processes that were killed have left beside it is removed.
async fn own_spill_dir(spill_dir: &Path) -> std::io::Result<PathBuf> {
    let own = spill_dir.join(std::process::id().to_string());
    tokio::fs::create_dir_all(&own).await?;
    let mut entries = tokio::fs::read_dir(spill_dir).await?;
    while let Some(entry) = entries.next_entry().await? {
        let owner = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if owner.is_some_and(is_gone) && tokio::fs::remove_dir_all(entry.path()).await.is_err() {
            tracing::debug!(path = %entry.path().display(), "an old spill folder could not be removed");
        }
    }
    Ok(own)
}

/// Whether a process is known to run no more; where the system does not tell, none is.
fn is_gone(process: u32) -> bool {
    Path::new("/proc/self").exists() && !Path::new("/proc").join(process.to_string()).exists()
}
