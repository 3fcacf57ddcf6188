//! Where the points of metrics lie: an embedded log-structured merge tree, and the one thread that writes it.
//!
//! Most points are logged in order: each is behind all before it by step and by time. These are the *spine* of a series.
//! They lie packed, as many to a chunk as came together, and one copy of them serves both orders in which histories are
//! read, by step and by time. A point that comes late, in either order, lies beside the spine once for each order, and
//! readers merge it in.
//!
//! Chunks of a kilobyte and more lie in files of their own, and the tree holds where: seeking one of ten thousand reads keys
//! and that one.
//!
//! Arithmetic: a point of a batch takes some 11 bytes in a chunk, one that comes alone some 60 with its key and one that
//! comes late 64; ten million in batches are 110 MB before they are compressed, and 2,500 of these are sought in 30 ms. An
//! answer costs one sync of the journal's data, 0.1 to 10 ms; requests that wait while another is being synced share the
//! next one. A batch of a thousand costs the tree two entries a metric. A point that comes twice is one point: a client may
//! repeat a request whose answer it lost.

mod chunk;
mod history;
mod place;
mod sample;
mod seek;
mod store;
mod writer;

pub use history::{HistoryCursor, HistoryPage};
pub use place::Point;
pub(crate) use sample::every_nth;
pub use store::ModelMetric;
pub(crate) use store::{ModelPoint, PointStore, Series};
pub(crate) use writer::{Wanted, Writer};
