//! A sorted stream, read by runs of rows with one key.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{partition, take};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::row::{OwnedRow, Row, RowConverter, Rows};
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

/// The rows of a sorted stream, run by run. A run that goes over the end of a batch comes in parts of the same key.
pub(super) struct Runs {
    stream: SendableRecordBatchStream,
    keys: Vec<usize>,
    times: Vec<usize>,
    converter: Arc<RowConverter>,
    current: Option<Batch>,
    /// Counts batches, from 1.
    pub(super) sequence: usize,
}

struct Batch {
    batch: RecordBatch,
    runs: Vec<Range<usize>>,
    /// The key of each run.
    rows: Rows,
    /// Whether a run's key has a null, which matches nothing.
    null_key: Vec<bool>,
    times: Vec<ScalarBuffer<i64>>,
    /// The first of `runs` not yet passed.
    run: usize,
}

impl Runs {
    /// Reads a stream sorted by the columns `keys`. The columns `times` are timestamps in microseconds.
    pub(super) fn new(
        stream: SendableRecordBatchStream,
        keys: Vec<usize>,
        times: Vec<usize>,
        converter: Arc<RowConverter>,
    ) -> Self {
        Self { stream, keys, times, converter, current: None, sequence: 0 }
    }

    /// Steps to the next run. False at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<bool> {
        if let Some(current) = &mut self.current {
            current.run += 1;
        }
        self.settle().await
    }

    /// Steps to the first run whose key is not less than `key`. False at the end of the stream.
    pub(super) async fn seek(&mut self, key: Row<'_>) -> Result<bool> {
        while self.settle().await? {
            let Some(current) = &mut self.current else { return Ok(false) };
            let runs = current.runs.len();
            // Whole batches are passed over with one comparison, the rest by halving.
            if current.rows.row(runs - 1) < key {
                current.run = runs;
                continue;
            }
            let (mut low, mut high) = (current.run, runs - 1);
            while low < high {
                let middle = usize::midpoint(low, high);
                if current.rows.row(middle) < key { low = middle + 1 } else { high = middle }
            }
            current.run = low;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads on until there is a current run. False at the end of the stream.
    pub(super) async fn settle(&mut self) -> Result<bool> {
        while self.current.as_ref().is_none_or(|current| current.run >= current.runs.len()) {
            self.current = None;
            let Some(batch) = self.stream.next().await.transpose()? else { return Ok(false) };
            if batch.num_rows() > 0 {
                self.current = Some(self.load(batch)?);
                self.sequence += 1;
            }
        }
        Ok(true)
    }

    fn load(&self, batch: RecordBatch) -> Result<Batch> {
        let keys: Vec<ArrayRef> = self.keys.iter().map(|&column| batch.column(column).clone()).collect();
        let runs = partition(&keys)?.ranges();
        let starts = UInt32Array::from_iter_values(runs.iter().map(|run| u32::try_from(run.start).unwrap_or(u32::MAX)));
        let firsts = keys.iter().map(|key| take(key, &starts, None)).collect::<Result<Vec<_>, _>>()?;
        let null_key = (0..runs.len()).map(|run| firsts.iter().any(|key| key.is_null(run))).collect();
        let times = self
            .times
            .iter()
            .map(|&column| {
                let column = batch.column(column);
                column.as_primitive_opt::<TimestampMicrosecondType>().map(|times| times.values().clone()).ok_or_else(
                    || DataFusionError::Internal(format!("times come in microseconds, not as {}", column.data_type())),
                )
            })
            .collect::<Result<_>>()?;
        Ok(Batch { rows: self.converter.convert_columns(&firsts)?, runs, null_key, times, batch, run: 0 })
    }

    /// The current run, when there is one.
    pub(super) fn run(&self) -> Option<Run<'_>> {
        let current = self.current.as_ref()?;
        let rows = current.runs.get(current.run)?.clone();
        Some(Run {
            batch: &current.batch,
            times: &current.times,
            key: current.rows.row(current.run),
            null_key: current.null_key[current.run],
            rows,
        })
    }
}

/// Rows of one key inside one batch.
pub(super) struct Run<'a> {
    pub(super) batch: &'a RecordBatch,
    pub(super) times: &'a [ScalarBuffer<i64>],
    pub(super) key: Row<'a>,
    pub(super) null_key: bool,
    pub(super) rows: Range<usize>,
}

/// The key whose rows are being folded.
#[derive(Default)]
pub(super) struct CurrentKey(Option<OwnedRow>);

impl CurrentKey {
    /// Makes `key` the current one. Tells whether it was not so already.
    pub(super) fn change(&mut self, key: Row<'_>) -> bool {
        if self.0.as_ref().is_some_and(|current| current.row() == key) {
            return false;
        }
        self.0 = Some(key.owned());
        true
    }

    /// Whether `key` is another than the current one.
    pub(super) fn differs(&self, key: Row<'_>) -> bool {
        self.0.as_ref().is_none_or(|current| current.row() != key)
    }
}
