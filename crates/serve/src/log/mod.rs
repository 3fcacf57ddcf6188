//! The prediction log: what was asked, what was known, what was answered, by which version.
//!
//! ```text
//! request ──try──▶ bounded queue ──▶ writer: batches of ≤ 32,768 rows, ≤ 1 s old ──▶ sink (one Delta commit each)
//! ```
//!
//! Arithmetic: at 2,000 predictions a second of 40 columns a batch is 2,000 rows, some 700 kB before compression, and one
//! commit of about 50 ms a second. Under a load that fills batches sooner, they are half a queue: a commit costs the same
//! whatever its size. The queue holds 65,536 rows by default, 30 seconds of that; each waits as some 50 values
//! of 24 bytes, so a full queue is below 100 MB.
//!
//! A prediction that was answered is *queued*, not logged: it is logged when its batch has been committed. A kill loses at
//! most the last second; a failing lake loses nothing until the queue is full, and what is shed then is counted.

mod columns;
mod lot;
mod queue;
mod runtime;
mod sink;
mod writer;

pub(crate) use columns::LogColumns;
pub use columns::log_column;
pub(crate) use lot::Entry;
pub(crate) use queue::{LogQueue, Pushed, queue};
pub(crate) use runtime::LogRuntime;
pub use sink::{LakeSink, LogBatch, LogSink, SinkError, table_of};
pub(crate) use writer::{WriterSettings, write_until_closed};
