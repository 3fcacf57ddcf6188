//! The merge of observations with one view's timeline, both sorted by key and time.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;

use super::folding::Folding;
use super::runs::{CurrentKey, Runs};

/// The state of the merge.
pub(super) struct Merge {
    pub(super) schema: SchemaRef,
    pub(super) observations: Runs,
    pub(super) timeline: Runs,
    /// The observations' column of moments; without, everything that is known counts.
    pub(super) at: Option<usize>,
    pub(super) key: CurrentKey,
    pub(super) fold: Folding,
    /// Rows of the observations' current batch already answered.
    pub(super) answered: usize,
    /// The place in the timeline's current run.
    pub(super) place: usize,
}

impl Merge {
    /// The next batch of answered observations.
    pub(super) async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        while self.observations.settle().await? {
            if let Some(batch) = self.answer_run().await? {
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Answers the observations of the current run, and gives the batch when it is finished or must be cut.
    async fn answer_run(&mut self) -> Result<Option<RecordBatch>> {
        let Some(run) = self.observations.run() else { return Ok(None) };
        let (batch, null_key) = (run.batch.clone(), run.null_key);
        let rows = run.rows.start.max(self.answered)..run.rows.end;
        let moments = self.at.map(|at| (run.times[0].clone(), batch.column(at).clone()));
        if null_key {
            self.fold.unknown(rows.len());
        } else {
            if self.key.change(run.key) {
                self.fold.clear();
                // The timeline's current run stays where it is unless it belongs to a smaller key.
                let before = self.timeline.run().map(|run| (self.timeline.sequence, run.rows.start));
                self.timeline.seek(run.key).await?;
                if self.timeline.run().map(|run| (self.timeline.sequence, run.rows.start)) != before {
                    self.place = 0;
                }
            }
            for row in rows.clone() {
                let at = match &moments {
                    None => i64::MAX,
                    Some((_, column)) if column.is_null(row) => {
                        self.fold.unknown(1);
                        continue;
                    }
                    Some((moments, _)) => moments[row],
                };
                self.advance(at).await?;
                self.fold.answer(at);
                if self.fold.full() && row + 1 < batch.num_rows() {
                    return self.cut(&batch, row + 1).map(Some);
                }
            }
        }
        let end = rows.end;
        if end == batch.num_rows() {
            let finished = self.cut(&batch, end)?;
            self.answered = 0;
            self.observations.next().await?;
            return Ok(Some(finished));
        }
        self.observations.next().await?;
        Ok(None)
    }

    /// Takes in the current entity's rows up to a moment.
    async fn advance(&mut self, at: i64) -> Result<()> {
        loop {
            let Some(run) = self.timeline.run() else { return Ok(()) };
            if self.key.differs(run.key) {
                return Ok(());
            }
            let from = run.rows.start + self.place;
            let until = match run.times.first() {
                None => run.rows.end,
                Some(times) => from + times[from..run.rows.end].iter().take_while(|&&time| time <= at).count(),
            };
            self.fold.take_in(&run, self.timeline.sequence, from..until, at);
            if until < run.rows.end {
                self.place = until - run.rows.start;
                return Ok(());
            }
            self.place = 0;
            self.timeline.next().await?;
        }
    }

    /// The observations answered since the last cut, with their features.
    fn cut(&mut self, batch: &RecordBatch, end: usize) -> Result<RecordBatch> {
        let slice = batch.slice(self.answered, end - self.answered);
        self.answered = end;
        let mut columns = slice.columns().to_vec();
        columns.extend(self.fold.finish()?);
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}
