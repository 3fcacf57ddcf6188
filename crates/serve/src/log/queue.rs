//! The bounded way from requests to the writer. Bounded in rows, not in requests, because rows are what memory holds.
//!
//! Putting an entry in takes a lock for a moment. The writer is woken for the first entry of a batch and for the one that
//! fills it, not for those between: waking a task costs more than scoring a row.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::columns::Entry;

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

/// The requests' end. The queue is closed when it is dropped.
pub(crate) struct LogQueue {
    shared: Arc<Shared>,
    pub(crate) counts: Arc<Counts>,
}

/// The writer's end.
pub(crate) struct Waiting {
    shared: Arc<Shared>,
}

struct Shared {
    held: Mutex<Held>,
    wake: Notify,
    /// The rows that fill a batch.
    batch_rows: usize,
}

#[derive(Default)]
struct Held {
    entries: VecDeque<Entry>,
    rows: usize,
    /// To be told once all entries that are held now are committed.
    asked: Vec<oneshot::Sender<()>>,
    closed: bool,
    writer_gone: bool,
}

/// What the writer takes at a time.
pub(crate) struct Taken {
    pub(crate) entries: VecDeque<Entry>,
    /// To be told once these are committed.
    pub(crate) asked: Vec<oneshot::Sender<()>>,
    /// Whether more may come.
    pub(crate) open: bool,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    Queued,
    Shed,
}

/// Makes a queue whose batches are full at so many rows: the requests' end and the writer's.
pub(crate) fn queue(batch_rows: usize) -> (LogQueue, Waiting) {
    let shared = Arc::new(Shared { held: Mutex::default(), wake: Notify::new(), batch_rows });
    (LogQueue { shared: Arc::clone(&shared), counts: Arc::default() }, Waiting { shared })
}

impl LogQueue {
    /// Queues an entry unless more than `rows_max` rows would then wait.
    pub(crate) fn push(&self, entry: Entry, rows_max: usize) -> Pushed {
        let rows = entry.rows();
        let waiting = self.counts.waiting.fetch_add(rows, Ordering::AcqRel) + rows;
        if waiting <= rows_max && self.shared.put(entry, rows) {
            return Pushed::Queued;
        }
        self.counts.waiting.fetch_sub(rows, Ordering::AcqRel);
        self.counts.shed.fetch_add(rows as u64, Ordering::Relaxed);
        Pushed::Shed
    }

    /// Waits until all that was queued before is committed, or the writer is gone.
    pub(crate) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        {
            let mut held = self.shared.held.lock();
            if held.writer_gone {
                return;
            }
            held.asked.push(done);
        }
        self.shared.wake.notify_one();
        // The writer drops the sender without a word only when it ends, after its last batch.
        let _ = wait.await;
    }
}

impl Shared {
    /// Whether somebody is there to take it.
    fn put(&self, entry: Entry, rows: usize) -> bool {
        let mut held = self.held.lock();
        if held.writer_gone {
            return false;
        }
        let before = held.rows;
        held.rows += rows;
        let is_first = held.entries.is_empty();
        held.entries.push_back(entry);
        let is_full = before < self.batch_rows && held.rows >= self.batch_rows;
        drop(held);
        if is_first || is_full {
            self.wake.notify_one();
        }
        true
    }
}

impl Drop for LogQueue {
    fn drop(&mut self) {
        self.shared.held.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut held = self.shared.held.lock();
        held.writer_gone = true;
        // whoever waits for a flush hears that nobody will do it
        held.asked.clear();
        held.entries.clear();
    }
}

impl Waiting {
    /// Waits until there is something to do; false when there never will be again.
    pub(crate) async fn something(&self) -> bool {
        loop {
            {
                let held = self.shared.held.lock();
                if !held.entries.is_empty() || !held.asked.is_empty() {
                    return true;
                }
                if held.closed {
                    return false;
                }
            }
            self.shared.wake.notified().await;
        }
    }

    /// Waits until a batch is full, asked for, or the last.
    pub(crate) async fn batch(&self) {
        loop {
            {
                let held = self.shared.held.lock();
                if held.rows >= self.shared.batch_rows || !held.asked.is_empty() || held.closed {
                    return;
                }
            }
            self.shared.wake.notified().await;
        }
    }

    /// Takes a batch: at most the rows that fill one, except that an entry is never split.
    pub(crate) fn take(&self) -> Taken {
        let mut held = self.shared.held.lock();
        let (mut entries, mut rows) = (VecDeque::new(), 0);
        if held.rows <= self.shared.batch_rows {
            rows = held.rows;
            std::mem::swap(&mut entries, &mut held.entries);
            // as many may come again: the queue does not grow from nothing under the lock each time
            held.entries.reserve(entries.len());
        } else {
            while rows < self.shared.batch_rows
                && let Some(entry) = held.entries.pop_front()
            {
                rows += entry.rows();
                entries.push_back(entry);
            }
        }
        held.rows -= rows;
        let asked = if held.entries.is_empty() { std::mem::take(&mut held.asked) } else { vec![] };
        Taken { entries, asked, open: !(held.closed && held.entries.is_empty()) }
    }
}
