//! Uploads in parts.
//!
//! Nothing is kept in memory between the requests of such an upload, so it outlives a restart of the server. A bucket takes
//! the parts itself and joins them where they lie. In a folder each part is a file of its own until they are joined; joining
//! reads the parts once more, which is the price for taking them in any order and of any size.

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;
use uuid::Uuid;

use super::path::UPLOADS;
use super::store::{FileStore, storage};
use super::{FilePath, FilePathError, bucket};
use crate::{Error, Result};

/// The most parts of an upload, as stores of clouds have it.
pub const UPLOAD_PARTS_MAX: u32 = 10_000;
/// The longest name of an upload that a bucket may give.
const ID_BYTES_MAX: usize = 1_024;

/// What an upload in parts is called: by this store, or by the bucket that takes the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(String);

impl UploadId {
    fn new() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }

    pub(super) fn of_bucket(id: String) -> Self {
        Self(id)
    }

    /// The one that a client names.
    ///
    /// # Errors
    /// [`Error::FilePath`] when no store calls an upload so.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > ID_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(no_upload(text).into());
        }
        Ok(Self(text.to_owned()))
    }

    /// What the names of its parts begin with.
    fn prefix(&self) -> Result<String> {
        let id = Uuid::try_parse(&self.0).map_err(|_| no_upload(&self.0))?;
        Ok(format!("{}.", id.simple()))
    }

    fn key(&self, number: u32) -> Result<Path> {
        Ok(Path::from(UPLOADS).join(format!("{}{number}", self.prefix()?)))
    }
}

fn no_upload(text: &str) -> FilePathError {
    FilePathError { path: text.chars().take(80).collect(), reason: "it is no id of an upload" }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An upload that was begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// What it is called.
    pub id: UploadId,
    /// Where the client sends each part, when it is not to [`FileStore::write_part`].
    pub urls: Option<Vec<Url>>,
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
    /// Begins an upload in so many parts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_parts(&self, path: &FilePath, parts: u32) -> Result<Begun> {
        check(parts)?;
        match &self.bucket {
            None => Ok(Begun { id: UploadId::new(), urls: None }),
            Some(bucket) => {
                let (id, urls) = bucket::begin(bucket, path, parts).await?;
                Ok(Begun { id, urls: Some(urls) })
            }
        }
    }

    /// Takes a part of an upload, and gives the tag by which the client will name it.
    ///
    /// # Errors
    /// As [`write`](Self::write); [`Error::Upload`] when a bucket takes the parts.
    pub async fn write_part<S, E>(&self, id: &UploadId, number: u32, path: &FilePath, content: S) -> Result<String>
    where
        S: futures::Stream<Item = Result<Bytes, E>> + Unpin,
        E: std::fmt::Display,
    {
        check(number)?;
        if self.bucket.is_some() {
            let reason = "its parts go to the addresses that were given when it was begun".into();
            return Err(Error::Upload { path: path.to_string(), reason });
        }
        self.refuse_links(path).await?;
        let _turn = self.turn().await?;
        let bytes = self.stream_to(&id.key(number)?, path, content).await?;
        Ok(tag(bytes))
    }

    /// Joins the parts of an upload to a file, in the order of their numbers. On return it is durable.
    ///
    /// # Errors
    /// [`Error::Upload`] when a part is missing or is not what the client sent; otherwise as [`write`](Self::write).
    pub async fn join_parts(&self, id: &UploadId, path: &FilePath, parts: &[SentPart]) -> Result<()> {
        let refused = |reason: String| Error::Upload { path: path.to_string(), reason };
        if parts.is_empty() {
            return Err(refused("it has no parts".into()));
        }
        if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(refused("its parts are not in the order of their numbers".into()));
        }
        if let Some(bucket) = &self.bucket {
            return bucket::complete(bucket, id, path, parts).await;
        }
        for part in parts {
            check(part.number)?;
            let found = match self.store.head(&id.key(part.number)?).await {
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
        let keys = parts.iter().map(|part| id.key(part.number)).collect::<Result<_>>()?;
        self.write(path, joined(self.clone(), keys)).await?;
        self.drop_parts(id, path).await
    }

    /// Lets go of the parts of an upload.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_parts(&self, id: &UploadId, path: &FilePath) -> Result<()> {
        if let Some(bucket) = &self.bucket {
            return bucket::abort(bucket, id, path).await;
        }
        let prefix = id.prefix()?;
        let listed = match self.store.list_with_delimiter(Some(&Path::from(UPLOADS))).await {
            Ok(listed) => listed,
            Err(object_store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(storage("listing the parts of", path)(error)),
        };
        for part in listed.objects {
            if part.location.filename().is_some_and(|name| name.starts_with(&prefix)) {
                match self.store.delete(&part.location).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(storage("deleting the parts of", path)(error)),
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
