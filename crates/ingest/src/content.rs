//! What a file holds, as one number.

use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};

use crate::read::FileRef;
use crate::{Error, Result};

/// Bytes read at once: an object store's round trip is worth it, and memory hardly notices.
const CHUNK_BYTES: u64 = 8 << 20;

/// The SHA-256 of a file's bytes, in hexadecimal. About 1 GB a second on processors with instructions for it.
pub(crate) async fn sha256(file: &FileRef) -> Result<String> {
    let wrong = |reason: String| Error::Read { uri: file.uri.clone(), reason };
    let mut hash = Sha256::new();
    let mut offset = 0;
    while offset < file.size {
        let until = (offset + CHUNK_BYTES).min(file.size);
        let bytes = file.store.get_range(&file.location, offset..until).await.map_err(|e| wrong(e.to_string()))?;
        hash.update(&bytes);
        offset = until;
    }
    Ok(hex::encode(hash.finalize()))
}
