//! The file store: listing, reading, deleting.

use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use mainspring_objects::Bucket;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio_util::io::ReaderStream;
use url::Url;

use super::FilePath;
use super::local::Folder;
use super::path::{UPLOADS, decoded};
use super::upload::{UPLOADS_MAX, UPLOADS_TO_BUCKET_MAX};
use crate::{Error, Result};

/// The most entries of a folder that are listed: the answer is one JSON document.
const LISTED_MAX: usize = 100_000;
/// How much is read from a file at once: few enough system calls, and little memory for each download.
const READ_BYTES: usize = 256 << 10;

/// Files that clients logged. Clones share the store.
#[derive(Debug, Clone)]
pub struct FileStore {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) folder: Option<Folder>,
    pub(super) bucket: Option<Bucket>,
    pub(super) uploads: Arc<Semaphore>,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Its name within the folder.
    pub name: String,
    /// Its size; none for a folder.
    pub bytes: Option<u64>,
}

/// A file, or a part of one, being read.
pub struct FileRead {
    /// Its size.
    pub bytes: u64,
    /// What is in it, in parts.
    pub content: BoxStream<'static, std::io::Result<Bytes>>,
}

impl FileStore {
    /// Opens a folder of this machine, given as a path or a `file://` URL; a bucket, as `s3://BUCKET/FOLDER`; or `memory:`
    /// for tests. A bucket is asked for nothing yet.
    ///
    /// # Errors
    /// [`Error::FileRoot`] for a URL of a store that is not built in, or a folder that cannot be made.
    pub fn open(root: &str) -> Result<Self> {
        let refused = |reason: String| Error::FileRoot { root: root.into(), reason };
        let path = match Url::parse(root) {
            Ok(url) if url.scheme() == "memory" => return Ok(Self::in_memory()),
            Ok(url) if Bucket::is_named_by(&url) => {
                return Bucket::open(&url).map(Self::in_bucket).map_err(|error| refused(error.to_string()));
            }
            Ok(url) if url.scheme() == "file" => {
                url.to_file_path().map_err(|()| refused("the URL names no folder of this machine".into()))?
            }
            // one letter is a drive
            Ok(url) if url.scheme().len() > 1 => {
                return Err(refused(format!("the scheme `{}` is not built in", url.scheme())));
            }
            _ => PathBuf::from(root),
        };
        let folder = Folder::open(&path).map_err(|error| refused(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(folder.root()).map_err(|error| refused(error.to_string()))?;
        // an artifact's folder is there as long as something is in it, as in any object store
        let store = store.with_automatic_cleanup(true);
        Ok(Self { folder: Some(folder), ..Self::over(Arc::new(store), UPLOADS_MAX) })
    }

    /// A store that lives as long as the process: for tests, and for a registry that takes no files.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::over(Arc::new(InMemory::new()), UPLOADS_MAX)
    }

    fn in_bucket(bucket: Bucket) -> Self {
        let store: Arc<dyn ObjectStore> = match bucket.folder().is_root() {
            true => bucket.store(),
            false => Arc::new(PrefixStore::new(bucket.store(), bucket.folder().clone())),
        };
        Self { bucket: Some(bucket), ..Self::over(store, UPLOADS_TO_BUCKET_MAX) }
    }

    fn over(store: Arc<dyn ObjectStore>, uploads: usize) -> Self {
        Self { store, folder: None, bucket: None, uploads: Arc::new(Semaphore::new(uploads)) }
    }

    /// Asks a bucket for one thing, to see that it is there and lets us in; a folder was seen when it was opened.
    ///
    /// # Errors
    /// When the bucket does not answer, is not there, or refuses us.
    pub async fn reach(&self) -> Result<()> {
        match self.bucket.is_some() {
            false => Ok(()),
            true => {
                self.store.list(None).try_next().await.map(|_| ()).map_err(storage("looking for", &FilePath::root()))
            }
        }
    }

    /// The entries of a folder, by name; none for a folder that does not exist, or for a file.
    ///
    /// # Errors
    /// [`Error::FilePath`] when a symbolic link is on the way, [`Error::TooManyFiles`], or when the store fails.
    pub async fn list(&self, path: &FilePath) -> Result<Vec<FileInfo>> {
        self.refuse_links(path).await?;
        let links = match &self.folder {
            Some(folder) => folder.links_in(path).await.map_err(failed("listing", path))?,
            None => vec![],
        };
        let key = path.key()?;
        let prefix = (!path.is_root()).then_some(&key);
        let listed = match self.store.list_with_delimiter(prefix).await {
            Ok(listed) => listed,
            Err(error) if is_missing(&error) => return Ok(vec![]),
            Err(error) => return Err(storage("listing", path)(error)),
        };
        if listed.objects.len() + listed.common_prefixes.len() > LISTED_MAX {
            return Err(Error::TooManyFiles { folder: path.to_string(), most: LISTED_MAX });
        }
        // an object that is called as the folder stands for it: consoles make such, and services that keep folders
        let files = listed.objects.iter().filter(|object| object.location != key);
        let files = files.map(|object| (object.location.filename(), Some(object.size)));
        let folders = listed.common_prefixes.iter().map(|folder| (folder.filename(), None));
        let mut entries: Vec<FileInfo> = files
            .chain(folders)
            .filter_map(|(name, bytes)| Some((name?, bytes)))
            .filter(|(name, _)| !links.iter().any(|link| link == name))
            .filter(|(name, _)| !path.is_root() || *name != UPLOADS)
            .map(|(name, bytes)| FileInfo { name: decoded(name), bytes })
            .collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Opens a file; its content is read as it is asked for.
    ///
    /// # Errors
    /// [`Error::NoFile`], [`Error::FilePath`] when a symbolic link is on the way, or when the store fails.
    pub async fn read(&self, path: &FilePath) -> Result<FileRead> {
        self.read_of(path, None).await
    }

    /// Opens a part of a file, from one byte up to another.
    ///
    /// # Errors
    /// As [`read`](Self::read); also when the part does not begin within the file.
    pub async fn read_range(&self, path: &FilePath, range: Range<u64>) -> Result<FileRead> {
        self.read_of(path, Some(GetRange::Bounded(range))).await
    }

    async fn read_of(&self, path: &FilePath, range: Option<GetRange>) -> Result<FileRead> {
        self.refuse_links(path).await?;
        if path.is_root() {
            return Err(Error::NoFile(path.to_string()));
        }
        match self.content_of(&path.key()?, range).await {
            Ok(file) => Ok(file),
            Err(error) if is_missing(&error) => Err(Error::NoFile(path.to_string())),
            Err(error) => Err(storage("reading", path)(error)),
        }
    }

    /// Opens what lies under a key, or a part of it.
    pub(super) async fn content_of(&self, key: &Path, range: Option<GetRange>) -> object_store::Result<FileRead> {
        let found = self.store.get_opts(key, GetOptions { range, ..GetOptions::default() }).await?;
        let Range { start, end } = found.range;
        let bytes = end - start;
        let content = match found.payload {
            GetResultPayload::File(mut file, _) => {
                // moves a number within the system; nothing waits for the disk
                file.seek(SeekFrom::Start(start))
                    .map_err(|error| object_store::Error::Generic { store: "files", source: Box::new(error) })?;
                let mut file = tokio::fs::File::from_std(file);
                file.set_max_buf_size(READ_BYTES);
                ReaderStream::with_capacity(file.take(bytes), READ_BYTES).boxed()
            }
            GetResultPayload::Stream(stream) => stream.map_err(std::io::Error::other).boxed(),
        };
        Ok(FileRead { bytes, content })
    }

    /// Reads a file whole that must not be larger than `most` bytes.
    ///
    /// # Errors
    /// As [`read`](Self::read), and [`Error::TooLarge`].
    pub async fn read_whole(&self, path: &FilePath, most: u64) -> Result<Vec<u8>> {
        let FileRead { bytes, mut content } = self.read(path).await?;
        if bytes > most {
            return Err(Error::TooLarge { name: path.to_string(), bytes, most });
        }
        let mut whole = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        while let Some(part) = content.next().await {
            whole.extend_from_slice(&part.map_err(failed("reading", path))?);
        }
        Ok(whole)
    }

    /// Deletes a file, or a folder with all that is in it, and says how many files that were. What a symbolic link points
    /// to stays.
    ///
    /// # Errors
    /// [`Error::FilePath`] when a symbolic link is on the way, or when the store fails.
    pub async fn delete(&self, path: &FilePath) -> Result<u64> {
        self.refuse_links(path).await?;
        let mut deleted = 0;
        if !path.is_root() {
            deleted += self.delete_file(path).await?;
        }
        // folder by folder, so that links among them are seen before they are followed
        let mut folders = vec![path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in self.list(&folder).await? {
                let below = folder.join(&FilePath::parse(&entry.name)?);
                match entry.bytes {
                    None => folders.push(below),
                    Some(_) => deleted += self.delete_file(&below).await?,
                }
            }
        }
        Ok(deleted)
    }

    /// Deletes one file, if there is one of that name, and says how many that were. Stores say nothing of it themselves.
    async fn delete_file(&self, path: &FilePath) -> Result<u64> {
        let key = path.key()?;
        match self.store.head(&key).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => return Ok(0),
            Err(error) => return Err(storage("deleting", path)(error)),
        }
        match self.store.delete(&key).await {
            Ok(()) => Ok(1),
            Err(error) if is_missing(&error) => Ok(0),
            Err(error) => Err(storage("deleting", path)(error)),
        }
    }

    pub(super) async fn refuse_links(&self, path: &FilePath) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        if folder.crosses_a_link(path).await.map_err(failed("looking for", path))? {
            let reason = "a symbolic link lies on the way to it";
            return Err(Error::FilePath(super::FilePathError { path: path.to_string(), reason }));
        }
        Ok(())
    }
}

/// Nothing of that name, or a name below a file.
pub(super) fn is_missing(error: &object_store::Error) -> bool {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return true;
    }
    let mut cause = std::error::Error::source(error);
    while let Some(now) = cause {
        if let Some(io) = now.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::NotADirectory | std::io::ErrorKind::IsADirectory);
        }
        cause = now.source();
    }
    false
}

pub(super) fn storage(doing: &'static str, path: &FilePath) -> impl FnOnce(object_store::Error) -> Error {
    let path = path.to_string();
    move |source| Error::Files { doing, path, source: Box::new(source) }
}

pub(super) fn failed(doing: &'static str, path: &FilePath) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_string();
    move |source| Error::Io { doing, path: path.clone(), source }
}
