//! Writing: a stream from outside becomes a file, whole or not at all.
//!
//! Arithmetic: an upload holds at most [`PARTS_AT_ONCE`] + 1 parts, so 16 uploads at once hold 48 MB on a folder of this
//! machine, and 6 to a bucket, whose parts must be larger, 144 MB.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;

use super::path::UPLOADS;
use super::store::{FileStore, failed, storage};
use super::{FilePath, FilePathError};
use crate::{Error, Result};

/// Uploads under way at once; further ones wait, and their senders with them.
pub(super) const UPLOADS_MAX: usize = 16;
/// The same to a bucket.
pub(super) const UPLOADS_TO_BUCKET_MAX: usize = 6;
/// How long an upload waits for its turn before it is told to come again.
const TURN_MAX: Duration = Duration::from_secs(60);
/// How long nothing may arrive before an upload is given up.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Parts on their way to the store at once.
const PARTS_AT_ONCE: usize = 2;
/// The size of a part on this machine's disk.
const LOCAL_PART_BYTES: usize = 1 << 20;
/// The size of a part in a bucket, which takes none below 5 MiB and at most 10,000. What is smaller is one request.
const BUCKET_PART_BYTES: usize = 8 << 20;
/// The largest file: 8,192 parts of a bucket.
const FILE_BYTES_MAX: u64 = 64 << 30;

impl FileStore {
    /// Writes a file from a stream, over one that may be there, and gives its size. On return it is durable; if the
    /// stream ends with an error, what was there before is there still.
    ///
    /// # Errors
    /// [`Error::Upload`] when the stream fails or stalls, [`Error::TooLarge`], [`Error::FilePath`] when the path is the
    /// root, lies below a file, or crosses a symbolic link, [`Error::UploadsFull`], or when the store fails.
    pub async fn write<S, E>(&self, path: &FilePath, content: S) -> Result<u64>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        path.must_name_a_file()?;
        self.refuse_links(path).await?;
        let _turn = self.turn().await?;
        match &self.folder {
            // appears under its name when it is whole, by the promise of such a store
            None => self.stream_to(&path.key()?, path, content).await,
            Some(folder) => {
                let staged = Path::from(UPLOADS).join(uuid::Uuid::now_v7().to_string());
                let written = self.stream_to(&staged, path, content).await;
                let landed = match written {
                    Ok(bytes) => self.land(folder, &staged, path).await.map(|()| bytes),
                    Err(error) => Err(error),
                };
                if landed.is_err() {
                    // best effort: what stays behind is cleared away when the store is next opened
                    drop(self.store.delete(&staged).await);
                }
                landed
            }
        }
    }

    /// First the bytes are on disk, then they appear under their name, then the name is on disk.
    async fn land(&self, folder: &super::local::Folder, staged: &Path, path: &FilePath) -> Result<()> {
        folder.sync_file(staged).await.map_err(failed("syncing", path))?;
        let key = path.key()?;
        if let Err(error) = self.store.rename(staged, &key).await {
            let reason = "a file or folder of that name stands in its way";
            return Err(match blocked(&error) {
                true => Error::FilePath(FilePathError { path: path.to_string(), reason }),
                false => storage("naming", path)(error),
            });
        }
        folder.sync_folders(&key).await.map_err(failed("syncing", path))
    }

    /// Waits until an upload may begin.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        match tokio::time::timeout(TURN_MAX, self.uploads.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Error::UploadsFull { uploads: UPLOADS_MAX }),
        }
    }

    /// Writes a stream under a key, where it appears whole or not at all, and gives its size.
    pub(super) async fn stream_to<S, E>(&self, key: &Path, path: &FilePath, mut content: S) -> Result<u64>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Display,
    {
        let part_bytes = if self.bucket.is_some() { BUCKET_PART_BYTES } else { LOCAL_PART_BYTES };
        let writer = BufWriter::with_capacity(self.store.clone(), key.clone(), part_bytes);
        let mut writing = Writing(Some(writer.with_max_concurrency(PARTS_AT_ONCE)));
        let mut bytes = 0u64;
        let fault = loop {
            let part = match tokio::time::timeout(IDLE_MAX, content.next()).await {
                Err(_) => {
                    break Error::Upload { path: path.to_string(), reason: "nothing arrived for a minute".into() };
                }
                Ok(None) => return writing.finish().await.map(|()| bytes).map_err(failed("writing", path)),
                Ok(Some(Err(error))) => break Error::Upload { path: path.to_string(), reason: error.to_string() },
                Ok(Some(Ok(part))) => part,
            };
            bytes += part.len() as u64;
            if bytes > FILE_BYTES_MAX {
                break Error::TooLarge { name: path.to_string(), bytes, most: FILE_BYTES_MAX };
            }
            if let Err(error) = writing.write(&part).await {
                break failed("writing", path)(error);
            }
        };
        if let Err(error) = writing.give_up().await {
            tracing::warn!(%error, %path, "an upload that failed could not be cleared away");
        }
        Err(fault)
    }
}

/// A file being written. When whoever writes it goes away, as a request does whose client hung up, its parts do too.
struct Writing(Option<BufWriter>);

impl Writing {
    /// Takes a copy, so that no small slice keeps a large network buffer alive; waits when enough is on its way.
    async fn write(&mut self, part: &[u8]) -> std::io::Result<()> {
        match &mut self.0 {
            Some(writer) => writer.write_all(part).await,
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    async fn finish(mut self) -> std::io::Result<()> {
        match self.0.take() {
            Some(mut writer) => writer.shutdown().await,
            None => Ok(()),
        }
    }

    async fn give_up(mut self) -> object_store::Result<()> {
        match self.0.take() {
            Some(mut writer) => writer.abort().await,
            None => Ok(()),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let (Some(mut writer), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move {
            if let Err(error) = writer.abort().await {
                tracing::warn!(%error, "an upload that nobody waits for could not be cleared away");
            }
        });
    }
}

/// Whether the name is taken by something of the other kind: a folder where the file would be, or a file on the way.
fn blocked(error: &object_store::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(now) = cause {
        if let Some(io) = now.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
            return matches!(io.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory);
        }
        cause = now.source();
    }
    false
}
