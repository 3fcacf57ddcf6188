//! Where tables lie: one object store, and a folder for each schema and table under one URL.
//!
//! This is the seam for other storage. What is above knows URLs and an [`ObjectStore`] only; a store is opened here by the
//! scheme of the root.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use datafusion::execution::object_store::ObjectStoreUrl;
use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::StreamExt;
use mainspring_objects::Bucket;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::{Error, Result};
use crate::name::TableName;

/// The most tables that are listed; more are a mistake in the root.
const TABLES_MAX: usize = 100_000;

/// The opened root of a lake.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    url: Url,
    path: Path,
    store: Arc<dyn ObjectStore>,
    folder: Option<PathBuf>,
}

impl Root {
    /// Opens a path, a `file://` URL, a folder of a bucket (`s3://BUCKET/FOLDER`), or `memory://` (which lives as long as the
    /// lake: for tests).
    pub(crate) async fn open(text: &str) -> Result<Self> {
        let refused = |reason: String| Error::Root { root: text.to_owned(), reason };
        match Url::parse(text) {
            Ok(url) if url.scheme() == "file" => {
                let folder =
                    url.to_file_path().map_err(|()| refused("the URL names no folder of this machine".into()))?;
                Self::open_folder(text, &folder).await
            }
            Ok(url) if url.scheme() == "memory" => {
                let url = Url::parse("memory:///lake/").map_err(|error| refused(error.to_string()))?;
                Ok(Self { url, path: Path::from("lake"), store: Arc::new(InMemory::new()), folder: None })
            }
            Ok(url) if Bucket::is_named_by(&url) => {
                let bucket = Bucket::open(&url).map_err(|error| refused(error.to_string()))?;
                let path = bucket.folder().clone();
                let mut url = url;
                url.set_path(&if path.is_root() { "/".to_owned() } else { format!("/{path}/") });
                Ok(Self { url, path, store: bucket.store(), folder: None })
            }
            // one letter is a drive
            Ok(url) if url.scheme().len() > 1 => Err(refused(format!("the scheme `{}` is not built in", url.scheme()))),
            _ => Self::open_folder(text, FilePath::new(text)).await,
        }
    }

    async fn open_folder(text: &str, folder: &FilePath) -> Result<Self> {
        let refused = |reason: String| Error::Root { root: text.to_owned(), reason };
        tokio::fs::create_dir_all(folder).await.map_err(|error| refused(error.to_string()))?;
        let folder = tokio::fs::canonicalize(folder).await.map_err(|error| refused(error.to_string()))?;
        let url = Url::from_directory_path(&folder).map_err(|()| refused("the path is not absolute".into()))?;
        let path = Path::from_url_path(url.path()).map_err(|error| refused(error.to_string()))?;
        Ok(Self { url, path, store: Arc::new(LocalFileSystem::new()), folder: Some(folder) })
    }

    /// The root itself.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The folder, when the lake lies on this machine's disk.
    pub(crate) fn folder(&self) -> Option<&FilePath> {
        self.folder.as_deref()
    }

    /// The folder of a table, when it lies on this machine's disk.
    pub(crate) fn table_folder(&self, table: &TableName) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.join(table.schema()).join(table.name()))
    }

    /// The store that all paths are in.
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The name under which queries know the store.
    pub(crate) fn store_url(&self) -> Result<ObjectStoreUrl> {
        Ok(ObjectStoreUrl::parse(&self.url[..url::Position::BeforePath])?)
    }

    /// Where a table lies; ends in a slash.
    pub(crate) fn table_url(&self, table: &TableName) -> Url {
        let mut url = self.url.clone();
        // parts of names need no escaping: see `TableName`
        url.set_path(&format!("{}{}/{}/", self.url.path(), table.schema(), table.name()));
        url
    }

    /// Where a table lies in the store.
    pub(crate) fn table_path(&self, table: &TableName) -> Path {
        self.path.clone().join(table.schema()).join(table.name())
    }

    /// The Delta log of a table, whether there is one or not.
    pub(crate) fn log_store(&self, table: &TableName) -> LogStoreRef {
        let own = PrefixStore::new(self.store.clone(), self.table_path(table));
        default_logstore(Arc::new(own), self.store.clone(), &self.table_url(table), &StorageConfig::default())
    }

    /// Whether there is a log where a table would be.
    pub(crate) async fn has_log(&self, table: &TableName) -> Result<bool> {
        let log = self.table_path(table).join("_delta_log");
        match self.store.list(Some(&log)).next().await {
            Some(Ok(_)) => Ok(true),
            None | Some(Err(object_store::Error::NotFound { .. })) => Ok(false),
            Some(Err(error)) => Err(Error::storage(table)(error)),
        }
    }

    /// All tables, by name.
    pub(crate) async fn tables(&self) -> Result<Vec<TableName>> {
        let mut tables = vec![];
        for schema in self.folders(&self.path).await? {
            for name in self.folders(&self.path.clone().join(schema.as_str())).await? {
                let Ok(table) = TableName::new(schema.clone(), name) else { continue };
                if self.has_log(&table).await? {
                    tables.push(table);
                }
                if tables.len() > TABLES_MAX {
                    let reason = format!("it holds more than {TABLES_MAX} tables");
                    return Err(Error::Root { root: self.url.to_string(), reason });
                }
            }
        }
        tables.sort();
        Ok(tables)
    }

    async fn folders(&self, path: &Path) -> Result<Vec<String>> {
        let listed = match self.store.list_with_delimiter(Some(path)).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(vec![]),
            Err(error) => return Err(Error::Root { root: self.url.to_string(), reason: error.to_string() }),
        };
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned)).collect())
    }

    /// Whether a file is there.
    pub(crate) async fn has_file(&self, table: &TableName, path: &Path) -> Result<bool> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::storage(table)(error)),
        }
    }
}
