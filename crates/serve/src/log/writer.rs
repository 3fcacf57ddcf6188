//! The task that batches an endpoint's log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::columns::{Entry, LogColumns};
use super::queue::{Counts, Message};
use super::sink::{LogBatch, LogSink, SinkError};

/// The longest wait between two tries of one batch.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// How long a batch is tried once the server is going down.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// When a batch is closed.
#[derive(Debug, Clone)]
pub(crate) struct WriterSettings {
    pub(crate) endpoint: String,
    pub(crate) writer: String,
    /// The oldest a waiting row gets.
    pub(crate) flush_every: Duration,
    /// The most rows of a batch, except that one request is never split.
    pub(crate) flush_rows: usize,
}

/// Writes what comes until all senders are gone, then the rest.
pub(crate) async fn write_until_closed(
    settings: WriterSettings,
    mut messages: mpsc::UnboundedReceiver<Message>,
    counts: Arc<Counts>,
    sink: Arc<dyn LogSink>,
) {
    let mut writer = Writer { settings, counts, sink, sequence: 0, entries: VecDeque::new(), rows: 0 };
    loop {
        let Some(first) = messages.recv().await else { return };
        let mut asked: Vec<oneshot::Sender<()>> = Vec::new();
        let mut open = true;
        let due = Instant::now() + writer.settings.flush_every;
        let mut message = Some(first);
        // One batch: until it is full, old enough, asked for, or the last.
        while let Some(next) = message.take() {
            match next {
                Message::Entry(entry) => writer.take(entry),
                Message::Flush(done) => asked.push(done),
            }
            if writer.rows >= writer.settings.flush_rows || !asked.is_empty() {
                break;
            }
            match tokio::time::timeout_at(due, messages.recv()).await {
                Ok(Some(more)) => message = Some(more),
                Ok(None) => open = false,
                Err(_) => {}
            }
        }
        open &= !messages.is_closed() || !messages.is_empty();
        writer.write_all(open).await;
        for done in asked {
            let _ = done.send(());
        }
    }
}

struct Writer {
    settings: WriterSettings,
    counts: Arc<Counts>,
    sink: Arc<dyn LogSink>,
    sequence: i64,
    entries: VecDeque<Entry>,
    rows: usize,
}

impl Writer {
    fn take(&mut self, entry: Entry) {
        self.rows += entry.rows();
        self.entries.push_back(entry);
    }

    /// Writes all entries, one batch for each run of entries with the same columns.
    async fn write_all(&mut self, stays_open: bool) {
        while let Some(front) = self.entries.front() {
            let columns = Arc::clone(front.columns());
            let same = self.entries.iter().take_while(|entry| Arc::ptr_eq(entry.columns(), &columns)).count();
            let entries: Vec<Entry> = self.entries.drain(..same).collect();
            let rows: usize = entries.iter().map(Entry::rows).sum();
            let written = match batch_of(&columns, &self.settings.endpoint, entries).await {
                Ok(batch) => self.write(batch, stays_open).await,
                Err(reason) => Err(reason),
            };
            match written {
                Ok(()) => {
                    self.counts.written.fetch_add(rows as u64, Ordering::Relaxed);
                }
                Err(reason) => {
                    self.counts.shed.fetch_add(rows as u64, Ordering::Relaxed);
                    tracing::error!(endpoint = %self.settings.endpoint, rows, %reason, "predictions were not logged");
                }
            }
            self.counts.waiting.fetch_sub(rows, Ordering::AcqRel);
        }
        self.rows = 0;
    }

    /// Tries until the batch is written, for ever while the endpoint is open: the queue bounds what that can cost.
    async fn write(&mut self, rows: RecordBatch, stays_open: bool) -> Result<(), String> {
        self.sequence += 1;
        let WriterSettings { endpoint, writer, .. } = self.settings.clone();
        let batch = LogBatch { endpoint, writer, sequence: self.sequence, rows };
        let started = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            match self.sink.write(&batch).await {
                Ok(()) => return Ok(()),
                Err(SinkError::Refused(reason)) => return Err(reason),
                Err(SinkError::Unavailable(reason)) if !stays_open && started.elapsed() > LAST_TRIES => {
                    return Err(reason);
                }
                Err(SinkError::Unavailable(reason)) => {
                    tracing::warn!(endpoint = %batch.endpoint, %reason, "the prediction log waits for the lake");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_AFTER_MAX);
        }
    }
}

/// Turning thousands of rows into columns takes milliseconds: not on the threads that answer.
async fn batch_of(columns: &Arc<LogColumns>, endpoint: &str, entries: Vec<Entry>) -> Result<RecordBatch, String> {
    let (columns, endpoint) = (Arc::clone(columns), endpoint.to_owned());
    let built = tokio::task::spawn_blocking(move || columns.batch(&endpoint, &entries)).await;
    built.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
