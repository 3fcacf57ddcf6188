//! Opening: the file, the connections and their settings.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::failure::{is_busy, storage};
use super::{SqliteBackend, migrate};
use crate::{Error, Result};

/// How long to wait for another process's lock. Its transactions are batches of at most some 100 ms.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Reads are short and each costs a thread: more would wait for the same two or eight cores.
const READERS: u32 = 4;
/// How long to wait before asking again for a lock that SQLite itself does not wait for.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

impl SqliteBackend {
    /// Opens `sqlite:PATH` or `sqlite::memory:`; see [`Catalog::open`](crate::Catalog::open).
    ///
    /// # Errors
    /// When the URL is of another kind, or the database cannot be opened or was written by a newer release.
    pub async fn open(url: &str) -> Result<Self> {
        let bad = |reason: &str| Error::Url { url: url.into(), reason: reason.into() };
        let Some(path) = url.strip_prefix("sqlite:") else {
            return Err(bad("its kind is not known"));
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        match path {
            "" => Err(bad("it names no file")),
            ":memory:" => Self::open_memory().await,
            _ if path.contains('?') => Err(bad("it has parameters, and there are none")),
            _ => Self::open_file(Path::new(path)).await,
        }
    }

    async fn open_memory() -> Result<Self> {
        // Each connection to a memory database has a database of its own, so there is one, and it is kept.
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(settings(SqliteConnectOptions::new().in_memory(true)))
            .await
            .map_err(storage("opening a catalog in memory"))?;
        migrate::migrate(&pool).await?;
        Ok(Self { writer: pool.clone(), readers: pool, poisoned: AtomicBool::new(false) })
    }

    async fn open_file(path: &Path) -> Result<Self> {
        create_private(path)?;
        let options = settings(SqliteConnectOptions::new().filename(path))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let writer = connect_writer(options.clone()).await?;
        migrate::migrate(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "1"))
            .await
            .map_err(storage("opening the catalog for reading"))?;
        Ok(Self { writer, readers, poisoned: AtomicBool::new(false) })
    }
}

fn settings(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.create_if_missing(false).foreign_keys(true).busy_timeout(BUSY_TIMEOUT)
}

/// Connects. Two processes that turn a new file to WAL at once can get a lock that SQLite does not wait for itself.
async fn connect_writer(options: SqliteConnectOptions) -> Result<SqlitePool> {
    let started = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await;
        match pool {
            Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => tokio::time::sleep(RETRY_PAUSE).await,
            settled => return settled.map_err(storage("opening the catalog")),
        }
    }
}

/// Makes the file, readable by its owner alone: it holds hashes of keys and names of people. SQLite gives the log files
/// beside it the same permissions.
fn create_private(path: &Path) -> Result<()> {
    let io = |doing: &'static str, path: &Path, source: std::io::Error| Error::Io {
        doing,
        path: path.display().to_string(),
        source: Arc::new(source),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|source| io("making the folder of the catalog", folder, source))?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|source| io("making the catalog", path, source))
}
