//! A channel of rows into a table, whose end must be said.
//!
//! A table's stream that merely stops would be committed as if it were whole. So the writer says [`Sink::finish`]; a
//! sink that is dropped before, because the file turned out to be bad or its reader died, makes the stream fail, and
//! nothing of it is committed.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use tokio::sync::mpsc;

/// Batches between the judge and the table's writer.
const BATCHES_AHEAD: usize = 4;

enum Piece {
    Rows(RecordBatch),
    End,
}

/// Where rows go.
pub(crate) struct Sink(mpsc::Sender<Piece>);

/// The other end of a [`Sink`] was dropped: the table's writer has failed and will say why.
pub(crate) struct Closed;

impl Sink {
    pub async fn send(&self, batch: RecordBatch) -> Result<(), Closed> {
        self.0.send(Piece::Rows(batch)).await.map_err(|_| Closed)
    }

    /// Says that these were all the rows.
    pub async fn finish(self) -> Result<(), Closed> {
        self.0.send(Piece::End).await.map_err(|_| Closed)
    }
}

/// The rows of a sink, to be written.
pub(crate) struct Source {
    receiver: mpsc::Receiver<Piece>,
    schema: SchemaRef,
    first: Option<Piece>,
}

pub(crate) fn channel(schema: SchemaRef) -> (Sink, Source) {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    (Sink(sender), Source { receiver, schema, first: None })
}

impl Source {
    /// Waits for the first rows; `None` when there are none at all, or the sink was dropped.
    pub async fn when_rows_come(mut self) -> Option<Self> {
        match self.receiver.recv().await {
            Some(Piece::Rows(batch)) => {
                self.first = Some(Piece::Rows(batch));
                Some(self)
            }
            Some(Piece::End) | None => None,
        }
    }

    /// The rows as a stream, which fails when the sink is dropped unfinished.
    pub fn into_stream(self) -> SendableRecordBatchStream {
        enum State {
            Open(mpsc::Receiver<Piece>),
            Done,
        }
        let first = futures::stream::iter(self.first.and_then(|piece| match piece {
            Piece::Rows(batch) => Some(Ok(batch)),
            Piece::End => None,
        }));
        let rest = futures::stream::unfold(State::Open(self.receiver), async |state| {
            let State::Open(mut receiver) = state else { return None };
            match receiver.recv().await {
                Some(Piece::Rows(batch)) => Some((Ok(batch), State::Open(receiver))),
                Some(Piece::End) => None,
                None => {
                    let stopped = DataFusionError::Execution("the rows stopped before their end".into());
                    Some((Err(stopped), State::Done))
                }
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema, Box::pin(first.chain(rest))))
    }
}
