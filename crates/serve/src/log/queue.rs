//! The bounded way from requests to the writer. Bounded in rows, not in requests, because rows are what memory holds.
//!
//! Putting an entry in takes a lock for as long as copying its rows to the lot of the last ones like them. The writer is woken for the first entry of a batch and for the one that
//! fills it, not for those between: waking a task costs more than scoring a row.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::lot::{Entry, Lot};

/// Among how many lots one is looked for that takes an entry.
const KINDS: usize = 4;

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
    lots: VecDeque<Lot>,
    rows: usize,
    /// To be told once all rows that are held now are committed.
    asked: Vec<oneshot::Sender<()>>,
    closed: bool,
    writer_gone: bool,
}

/// What the writer takes at a time.
pub(crate) struct Taken {
    pub(crate) lots: VecDeque<Lot>,
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
    pub(crate) fn push(&self, entry: Entry<'_>, rows_max: usize) -> Pushed {
        let rows = entry.rows();
        if rows == 0 {
            return Pushed::Queued;
        }
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
    fn put(&self, entry: Entry<'_>, rows: usize) -> bool {
        let mut held = self.held.lock();
        if held.writer_gone {
            return false;
        }
        let before = held.rows;
        held.rows += rows;
        let is_first = held.lots.is_empty();
        held.put(entry, self.batch_rows);
        let is_full = before < self.batch_rows && held.rows >= self.batch_rows;
        drop(held);
        if is_first || is_full {
            self.wake.notify_one();
        }
        true
    }
}

impl Held {
    /// Appends an entry to the last lot of its kind, if there is one among the last few: requests of several kinds come in
    /// any order.
    fn put(&mut self, entry: Entry<'_>, rows_max: usize) {
        let last = self.lots.iter_mut().rev().take(KINDS).find(|lot| lot.takes(&entry, rows_max));
        if let Some(lot) = last {
            return lot.push(entry);
        }
        let mut lot = Lot::of(&entry);
        lot.push(entry);
        self.lots.push_back(lot);
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
        held.lots.clear();
    }
}

impl Waiting {
    /// Waits until there is something to do; false when there never will be again.
    pub(crate) async fn something(&self) -> bool {
        loop {
            {
                let held = self.shared.held.lock();
                if !held.lots.is_empty() || !held.asked.is_empty() {
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
        let (mut lots, mut rows) = (VecDeque::new(), 0);
        if held.rows <= self.shared.batch_rows {
            rows = held.rows;
            std::mem::swap(&mut lots, &mut held.lots);
        } else {
            let fits = |rows: usize, lot: &Lot| rows == 0 || rows + lot.rows() <= self.shared.batch_rows;
            while held.lots.front().is_some_and(|lot| fits(rows, lot))
                && let Some(lot) = held.lots.pop_front()
            {
                rows += lot.rows();
                lots.push_back(lot);
            }
        }
        held.rows -= rows;
        let asked = if held.lots.is_empty() { std::mem::take(&mut held.asked) } else { vec![] };
        Taken { lots, asked, open: !(held.closed && held.lots.is_empty()) }
    }
}
