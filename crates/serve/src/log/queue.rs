//! The bounded way from requests to the writer. Bounded in rows, not in requests, because rows are what memory holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};

use super::columns::Entry;

/// What goes to the writer.
pub(crate) enum Message {
    Entry(Entry),
    /// Write all that came before, then say so.
    Flush(oneshot::Sender<()>),
}

/// Counts shared by both ends.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Rows on their way: queued, or in a batch that is not committed.
    pub(crate) waiting: AtomicUsize,
    /// Rows committed.
    pub(crate) written: AtomicU64,
    /// Rows that did not fit, or that the table refused.
    pub(crate) shed: AtomicU64,
}

/// The requests' end.
#[derive(Clone)]
pub(crate) struct LogQueue {
    sender: mpsc::UnboundedSender<Message>,
    pub(crate) counts: Arc<Counts>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Shed,
}

/// Makes a queue: the requests' end and the writer's.
pub(crate) fn queue() -> (LogQueue, mpsc::UnboundedReceiver<Message>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (LogQueue { sender, counts: Arc::default() }, receiver)
}

impl LogQueue {
    /// Queues an entry unless more than `rows_max` rows would then wait.
    pub(crate) fn push(&self, entry: Entry, rows_max: usize) -> Pushed {
        let rows = entry.rows();
        let waiting = self.counts.waiting.fetch_add(rows, Ordering::AcqRel) + rows;
        if waiting <= rows_max && self.sender.send(Message::Entry(entry)).is_ok() {
            return Pushed::Queued;
        }
        self.counts.waiting.fetch_sub(rows, Ordering::AcqRel);
        self.counts.shed.fetch_add(rows as u64, Ordering::Relaxed);
        Pushed::Shed
    }

    /// Waits until all that was queued before is committed, or the writer is gone.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).is_ok() {
            // The writer drops the sender without a word only when it ends, after its last batch.
            let _ = wait.await;
        }
    }
}
