//! Buckets: where files and tables lie that have outgrown one machine.
//!
//! A [`Bucket`] is opened by its URL, `s3://BUCKET/FOLDER`, with what the environment says of the service and the
//! credentials, under the names that every tool of AWS reads. It is an [`ObjectStore`](object_store::ObjectStore) for what is
//! above, and signs addresses by which a client may fetch or send one object without passing through this process.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod bucket;
pub mod testing;

pub use bucket::{Bucket, Error};
