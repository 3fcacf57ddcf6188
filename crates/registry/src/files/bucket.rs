//! What a bucket does that a folder cannot: it gives addresses to which a client turns itself, so that large files do not
//! pass through this process.

use std::time::Duration;

use http::Method;
use mainspring_objects::Bucket;
use object_store::ObjectStoreExt;
use object_store::multipart::PartId;
use url::Url;

use super::parts::{SentPart, UploadId};
use super::store::{is_missing, storage};
use super::{FilePath, FileStore};
use crate::{Error, Result};

/// How long the addresses of an upload's parts last: hours on a slow line, as MLflow's own server has it.
const PARTS_LAST: Duration = Duration::from_secs(3600);

/// A file that can be fetched where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedFile {
    /// The address, for one `GET` after another as long as it lasts; ranges are understood.
    pub url: Url,
    /// The size of the file.
    pub bytes: u64,
}

impl FileStore {
    /// Whether a client can be given addresses by which it sends and fetches files without this process between.
    #[must_use]
    pub fn signs_addresses(&self) -> bool {
        self.bucket.is_some()
    }

    /// An address by which anyone may fetch a file for so long; none from a store that has no such addresses.
    ///
    /// # Errors
    /// [`Error::NoFile`], or when the store fails.
    pub async fn signed_download(&self, path: &FilePath, lasting: Duration) -> Result<Option<SignedFile>> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        let key = path.key()?;
        let bytes = match self.store.head(&key).await {
            Ok(found) => found.size,
            Err(error) if is_missing(&error) => return Err(Error::NoFile(path.to_string())),
            Err(error) => return Err(storage("reading", path)(error)),
        };
        let signed = bucket.signed(Method::GET, &bucket.place(&key), lasting).await;
        Ok(Some(SignedFile { url: signed.map_err(storage("signing an address for", path))?, bytes }))
    }

    /// An address by which anyone may write a file for so long; none from a store that has no such addresses.
    ///
    /// # Errors
    /// [`Error::FilePath`] for the root, or when no credentials can be had.
    pub async fn signed_upload(&self, path: &FilePath, lasting: Duration) -> Result<Option<Url>> {
        let Some(bucket) = &self.bucket else { return Ok(None) };
        path.must_name_a_file()?;
        let signed = bucket.signed(Method::PUT, &bucket.place(&path.key()?), lasting).await;
        signed.map(Some).map_err(storage("signing an address for", path))
    }
}

/// Begins an upload in a bucket, and gives what the bucket calls it and the address for each part.
pub(super) async fn begin(bucket: &Bucket, path: &FilePath, parts: u32) -> Result<(UploadId, Vec<Url>)> {
    let place = bucket.place(&path.key()?);
    let id = bucket.in_parts().create_multipart(&place).await.map_err(storage("writing", path))?;
    let urls = bucket.signed_parts(&place, &id, parts, PARTS_LAST).await;
    Ok((UploadId::of_bucket(id), urls.map_err(storage("signing addresses for", path))?))
}

/// Has the bucket join the parts that it was sent.
pub(super) async fn complete(bucket: &Bucket, id: &UploadId, path: &FilePath, parts: &[SentPart]) -> Result<()> {
    // the bucket numbers them by their place in the list
    let numbered = parts.iter().zip(1..).find(|(part, number)| part.number != *number);
    if let Some((_, number)) = numbered {
        return Err(Error::Upload { path: path.to_string(), reason: format!("part {number} is not among its parts") });
    }
    let sent = parts.iter().map(|part| PartId { content_id: part.tag.clone() }).collect();
    let done = bucket.in_parts().complete_multipart(&bucket.place(&path.key()?), &id.to_string(), sent).await;
    match done {
        Ok(_) => Ok(()),
        Err(error) if is_refusal(&error) => {
            Err(Error::Upload { path: path.to_string(), reason: "the bucket did not get these parts".into() })
        }
        Err(error) => Err(storage("joining the parts of", path)(error)),
    }
}

/// Has the bucket let go of the parts that it was sent.
pub(super) async fn abort(bucket: &Bucket, id: &UploadId, path: &FilePath) -> Result<()> {
    match bucket.in_parts().abort_multipart(&bucket.place(&path.key()?), &id.to_string()).await {
        Ok(()) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(storage("giving up the parts of", path)(error)),
    }
}

/// Whether the client named an upload or parts that are not there: the codes that S3 answers with
/// (API reference, "Error responses").
fn is_refusal(error: &object_store::Error) -> bool {
    let text = error.to_string();
    is_missing(error)
        || ["NoSuchUpload", "InvalidPart", "InvalidPartOrder", "EntityTooSmall"].iter().any(|code| text.contains(code))
}
