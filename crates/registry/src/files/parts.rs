//! Uploads in parts: each part is a file of its own until they are joined.
//!
//! Nothing is kept in memory between the requests of such an upload, so it outlives a restart of the server. Joining reads
//! the parts once more, which is the price for taking them in any order and of any size.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use super::path::UPLOADS;
use super::store::{FileStore, storage};
use super::{FilePath, FilePathError};
use crate::{Error, Result};

/// The most parts of an upload, as stores of clouds have it.
pub const UPLOAD_PARTS_MAX: u32 = 10_000;

/// An upload in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadId(Uuid);

impl UploadId {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The one that a client names.
    ///
    /// # Errors
    /// [`Error::FilePath`] when it is not the id of an upload.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = || FilePathError { path: text.chars().take(80).collect(), reason: "it is no id of an upload" };
        Ok(Self(Uuid::try_parse(text).map_err(|_| refused())?))
    }

    fn prefix(self) -> String {
        format!("{}.", self.0.simple())
    }

    fn key(self, number: u32) -> Path {
        Path::from(UPLOADS).join(format!("{}{number}", self.prefix()))
    }
}

impl Default for UploadId {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// A part that a client says it has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPart {
    /// Its number, from 1.
    pub number: u32,
    /// What it was answered with; see [`FileStore::write_part`].
    pub tag: String,
}

impl FileStore {
    /// Takes a part of an upload, and gives the tag by which the client will name it.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_part<S, E>(&self, id: UploadId, number: u32, path: &FilePath, content: S) -> Result<String>
    where
        S: futures::Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        check(number)?;
        self.refuse_links(path).await?;
        let _turn = self.turn().await?;
        let bytes = self.stream_to(&id.key(number), path, content).await?;
        Ok(tag(bytes))
    }

    /// Joins the parts of an upload to a file, in the order of their numbers, and gives its size. On return it is durable.
    ///
    /// # Errors
    /// [`Error::Upload`] when a part is missing or is not what the client sent; otherwise as [`write`](Self::write).
    pub async fn join_parts(&self, id: UploadId, path: &FilePath, parts: &[SentPart]) -> Result<u64> {
        let refused = |reason: String| Error::Upload { path: path.to_string(), reason };
        if parts.is_empty() {
            return Err(refused("it has no parts".into()));
        }
        if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(refused("its parts are not in the order of their numbers".into()));
        }
        for part in parts {
            check(part.number)?;
            let found = match self.store.head(&id.key(part.number)).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(refused(format!("part {} did not arrive", part.number)));
                }
                Err(error) => return Err(storage("reading", path)(error)),
            };
            if part.tag.trim_matches('"') != tag(found.size) {
                return Err(refused(format!("part {} is not the one that was sent last", part.number)));
            }
        }
        let keys = parts.iter().map(|part| id.key(part.number)).collect();
        let bytes = self.write(path, joined(self.clone(), keys)).await?;
        self.drop_parts(id).await?;
        Ok(bytes)
    }

    /// Lets go of the parts of an upload.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_parts(&self, id: UploadId) -> Result<()> {
        let root = FilePath::root();
        let listed = match self.store.list_with_delimiter(Some(&Path::from(UPLOADS))).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(storage("listing", &root)(error)),
        };
        let prefix = id.prefix();
        for part in listed.objects {
            if part.location.filename().is_some_and(|name| name.starts_with(&prefix)) {
                match self.store.delete(&part.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(storage("deleting", &root)(error)),
                }
            }
        }
        Ok(())
    }
}

/// What lies under some keys, one after the other, each opened when it is its turn.
fn joined(store: FileStore, keys: Vec<Path>) -> BoxStream<'static, std::io::Result<Bytes>> {
    let content = futures::stream::iter(keys).then(move |key| {
        let store = store.clone();
        async move { store.content_of(&key, None).await.map(|file| file.content) }
    });
    content.map_err(std::io::Error::other).try_flatten().boxed()
}

fn check(number: u32) -> Result<()> {
    match (1..=UPLOAD_PARTS_MAX).contains(&number) {
        true => Ok(()),
        false => Err(FilePathError { path: number.to_string(), reason: "parts have numbers from 1 to 10,000" }.into()),
    }
}

/// Parts are written whole or not at all, so their size tells a part that came twice from one that was cut.
fn tag(bytes: u64) -> String {
    format!("{bytes:x}")
}
