//! The one writer: changes queue here and share transactions.
//!
//! A commit costs a sync of the log to disk, 0.1 to 10 ms, whatever it holds. Changes that wait while another batch is
//! being synced go into the next one together, so that throughput grows with the number of callers while a lone
//! caller waits for nothing but its own sync.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::{Backend, Change, Committed, Error, Result};

/// How many changes share a transaction at most: keeps the write lock short for other processes.
const MAX_BATCH: usize = 256;
/// How many changes may wait; further callers wait for a place.
const MAX_WAITING: usize = 1_024;

struct Waiting {
    change: Change,
    answer: oneshot::Sender<Result<Committed>>,
}

/// The way to the writer. When the last clone is dropped, the writer finishes what waits and ends.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Waiting>,
}

impl Writer {
    /// Starts a writer on the current runtime.
    pub(crate) fn start(backend: Arc<dyn Backend>) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write(backend, waiting));
        Self { queue }
    }

    /// Commits a change. Dropping the future does not take back a change that waits already.
    pub(crate) async fn commit(&self, change: Change) -> Result<Committed> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Waiting { change, answer }).await.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }
}

async fn write(backend: Arc<dyn Backend>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while waiting.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let (changes, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Waiting { change, answer }| (change, answer)).unzip();
        let outcomes = match backend.apply(&changes).await {
            Ok(outcomes) => outcomes,
            Err(error) => vec![Err(error); changes.len()],
        };
        debug_assert_eq!(outcomes.len(), answers.len(), "a backend answers every change");
        for (answer, outcome) in answers.into_iter().zip(outcomes) {
            // A caller that has gone away does not want its answer.
            let _gone = answer.send(outcome);
        }
    }
}
