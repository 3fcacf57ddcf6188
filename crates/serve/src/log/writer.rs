//! The task that batches an endpoint's log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::time::Instant;

use super::columns::LogColumns;
use super::lot::Lot;
use super::queue::{Counts, Taken, Waiting};
use super::sink::{LogBatch, LogSink, SinkError};

/// The longest wait between two tries of one batch.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// How long a batch is tried once the server is going down.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// What a writer is told of its work.
#[derive(Debug, Clone)]
pub(crate) struct WriterSettings {
    pub(crate) endpoint: String,
    pub(crate) writer: String,
    /// The oldest a waiting row gets.
    pub(crate) flush_every: Duration,
}

/// Writes what comes until the queue is closed, then the rest.
pub(crate) async fn write_until_closed(
    settings: WriterSettings,
    waiting: Waiting,
    counts: Arc<Counts>,
    sink: Arc<dyn LogSink>,
) {
    let mut writer = Writer { settings, counts, sink, sequence: 0, lots: VecDeque::new() };
    while waiting.something().await {
        let due = Instant::now() + writer.settings.flush_every;
        // full or old enough, whichever comes first
        let _too_old = tokio::time::timeout_at(due, waiting.batch()).await;
        let Taken { lots, asked, open } = waiting.take();
        writer.lots = lots;
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
    lots: VecDeque<Lot>,
}

impl Writer {
    /// Writes all lots, one batch for each run of lots with the same columns.
    async fn write_all(&mut self, stays_open: bool) {
        while let Some(front) = self.lots.front() {
            let columns = Arc::clone(front.columns());
            let same = self.lots.iter().take_while(|lot| Arc::ptr_eq(lot.columns(), &columns)).count();
            let lots: Vec<Lot> = self.lots.drain(..same).collect();
            let rows: usize = lots.iter().map(Lot::rows).sum();
            let written = match batch_of(&columns, &self.settings.endpoint, lots).await {
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
async fn batch_of(columns: &Arc<LogColumns>, endpoint: &str, lots: Vec<Lot>) -> Result<RecordBatch, String> {
    let (columns, endpoint) = (Arc::clone(columns), endpoint.to_owned());
    let built = tokio::task::spawn_blocking(move || columns.batch(&endpoint, &lots)).await;
    built.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}
