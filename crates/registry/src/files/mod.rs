//! Files that clients log: artifacts of runs and of logged models, under names that the client chose.
//!
//! They lie in an object store: by default a folder of this machine, or a bucket. A name from outside becomes a [`FilePath`] or is
//! refused; what is written streams through a bounded buffer, is on disk before it is acknowledged, and appears under its
//! name whole or not at all. Nothing here ever opens what it stores.

mod bucket;
mod local;
mod parts;
mod path;
mod store;
mod upload;

#[cfg(test)]
mod tests;

pub use bucket::SignedFile;
pub use parts::{Begun, SentPart, UPLOAD_PARTS_MAX, UploadId};
pub use path::{FilePath, FilePathError};
pub use store::{FileInfo, FileRead, FileStore};
