//! Where the points of metrics lie: an embedded log-structured merge tree, and the one thread that writes it.
//!
//! Arithmetic: a point takes 32 bytes of key (its series, step, time, value) and none of value, so ten million of them are
//! some 200 MB on disk after prefix compression. An answer costs one sync of the journal, 0.1 to 10 ms; requests that
//! wait while another is being synced share the next one. A point that comes twice is one point: a client may repeat a
//! request whose answer it lost.

mod place;
mod sample;
mod store;
mod writer;

pub use place::Point;
pub(crate) use sample::every_nth;
pub use store::ModelMetric;
pub(crate) use store::{ModelPoint, PointStore, Series};
pub(crate) use writer::{Wanted, Writer};
