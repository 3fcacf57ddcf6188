//! What a file holds, as one number, and the write that lands it, which is named by that number.

use mainspring_lake::WriteId;
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::read::FileRef;
use crate::{Error, Result};

/// Bytes read at once: an object store's round trip is worth it, and memory hardly notices.
const CHUNK_BYTES: u64 = 8 << 20;

/// The SHA-256 of a file's bytes, in hexadecimal. About 1 GB a second on processors with instructions for it, a quarter of
/// that on others.
pub(crate) async fn sha256(file: &FileRef) -> Result<String> {
    let wrong = |reason: String| Error::Read { uri: file.uri.clone(), reason };
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < file.size {
        let until = (offset + CHUNK_BYTES).min(file.size);
        let bytes = file.store.get_range(&file.location, offset..until).await.map_err(|e| wrong(e.to_string()))?;
        let hashed = tokio::task::spawn_blocking(move || {
            hash.update(&bytes);
            hash
        });
        hash = hashed.await.map_err(|e| wrong(e.to_string()))?;
        offset = until;
    }
    Ok(hex::encode(hash.finalize()))
}

/// The name of the write that lands a file: known at once, or when its content is.
#[derive(Debug, Clone)]
pub(crate) struct WriteName(watch::Receiver<Naming>);

/// Tells a [`WriteName`]; one that is dropped without a word tells that there is none.
pub(crate) struct Namer(watch::Sender<Naming>);

#[derive(Debug)]
enum Naming {
    Awaited,
    Named(WriteId),
    /// The file is not to land by this attempt.
    CalledOff,
}

impl WriteName {
    /// A name that is known.
    pub fn known(id: WriteId) -> Self {
        Self(watch::channel(Naming::Named(id)).1)
    }

    /// A name that is to be told.
    pub fn awaited() -> (Namer, Self) {
        let (sender, receiver) = watch::channel(Naming::Awaited);
        (Namer(sender), Self(receiver))
    }

    /// Waits for the name; `None` when the file is not to land.
    pub async fn told(&self) -> Option<WriteId> {
        let mut naming = self.0.clone();
        let told = naming.wait_for(|naming| !matches!(naming, Naming::Awaited)).await.ok()?;
        match &*told {
            Naming::Named(id) => Some(id.clone()),
            Naming::Awaited | Naming::CalledOff => None,
        }
    }
}

impl Namer {
    pub fn tell(self, id: Option<WriteId>) {
        self.0.send_replace(id.map_or(Naming::CalledOff, Naming::Named));
    }
}
