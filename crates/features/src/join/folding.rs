//! What the merge keeps of the current entity's timeline, and the answers so far.

use std::collections::VecDeque;
use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::Result;
use mainspring_spec::DataType;

use super::picks::{Pick, Picks};
use super::runs::Run;
use crate::fold::{Fold, LatestFold, Tail, WindowFold, fresh};
use crate::value::{Value, array_of};

/// The most batches of the timeline taken up by one batch of answers; beyond it the batch is cut short.
const HELD_BATCHES_MAX: usize = 16;

/// A fold in the course of a merge.
pub(super) enum Folding {
    /// The latest row: rows are named where they lie, and gathered a batch at a time.
    Latest(Latest),
    /// Aggregates over windows: the rows in reach are copied to a [`Tail`].
    Windows(Windows),
}

pub(super) struct Latest {
    columns: Vec<usize>,
    types: Vec<ArrowType>,
    ttl: Option<i64>,
    /// Rows that may still be the latest: at most one that was known, then those not known yet.
    candidates: VecDeque<Candidate>,
    picks: Picks,
    held_before: usize,
    answers: Vec<Option<Pick>>,
}

struct Candidate {
    event_time: i64,
    known_at: i64,
    pick: Pick,
}

pub(super) struct Windows {
    fold: WindowFold,
    columns: Vec<usize>,
    types: Vec<DataType>,
    tail: Tail,
    /// The answers of each observation, one after another.
    answers: Vec<Value>,
}

impl Folding {
    /// Starts a fold. `payload` are the timeline's columns that the fold counts as 0, 1, …, `types` the features' types.
    pub(super) fn new(fold: &Fold, payload: &[usize], payload_types: &[DataType], types: &[DataType]) -> Self {
        match fold {
            Fold::Latest(LatestFold { columns, ttl }) => Self::Latest(Latest {
                columns: columns.iter().map(|&column| payload[column]).collect(),
                types: types.iter().map(|&data_type| crate::value::arrow_type(data_type)).collect(),
                ttl: *ttl,
                candidates: VecDeque::new(),
                picks: Picks::default(),
                held_before: 0,
                answers: vec![],
            }),
            Fold::Windows(fold) => Self::Windows(Windows {
                fold: fold.clone(),
                columns: payload.to_vec(),
                types: types.to_vec(),
                tail: Tail::new(payload_types.iter().copied()),
                answers: vec![],
            }),
        }
    }

    /// Another entity begins.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Latest(latest) => latest.candidates.clear(),
            Self::Windows(windows) => windows.tail.clear(),
        }
    }

    /// Takes in rows whose event time is at or before `at`.
    pub(super) fn take_in(&mut self, run: &Run<'_>, sequence: usize, rows: Range<usize>, at: i64) {
        match self {
            Self::Latest(latest) => latest.take_in(run, sequence, rows, at),
            Self::Windows(windows) => windows.take_in(run, rows, at),
        }
    }

    /// Answers an observation at a moment not before those already answered for the entity.
    pub(super) fn answer(&mut self, at: i64) {
        match self {
            Self::Latest(latest) => latest.answer(at),
            Self::Windows(windows) => {
                windows.tail.discard_until(at.saturating_sub(windows.fold.longest()));
                windows.fold.at(&windows.tail, at, &mut windows.answers);
            }
        }
    }

    /// Answers observations of which nothing can be known.
    pub(super) fn unknown(&mut self, rows: usize) {
        match self {
            Self::Latest(latest) => latest.answers.extend(std::iter::repeat_n(None, rows)),
            Self::Windows(windows) => {
                windows.answers.extend(std::iter::repeat_n(Value::Null, rows * windows.fold.outputs()));
            }
        }
    }

    /// Whether the answers should be finished before more are made.
    pub(super) fn full(&self) -> bool {
        match self {
            Self::Latest(latest) => latest.picks.batches() >= latest.held_before + HELD_BATCHES_MAX,
            Self::Windows(_) => false,
        }
    }

    /// The answers as columns, and begins anew.
    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Latest(latest) => latest.finish(),
            Self::Windows(windows) => {
                let outputs = windows.fold.outputs();
                let column = |output| windows.answers.iter().skip(output).step_by(outputs);
                let columns =
                    windows.types.iter().enumerate().map(|(output, &of)| array_of(column(output), of)).collect();
                windows.answers.clear();
                Ok(columns)
            }
        }
    }
}

impl Latest {
    fn take_in(&mut self, run: &Run<'_>, sequence: usize, rows: Range<usize>, at: i64) {
        let (event_times, known_ats) = match run.times {
            [event_times, known_ats] => (event_times, known_ats),
            // Without a time of knowing, the last of the rows hides the others.
            times => {
                if let Some(row) = rows.last() {
                    let event_time = times.first().map_or(i64::MIN, |times| times[row]);
                    let pick = self.picks.pick(sequence, run.batch, &self.columns, row);
                    self.candidates.clear();
                    self.candidates.push_back(Candidate { event_time, known_at: event_time, pick });
                }
                return;
            }
        };
        // Rows before the last one that is known are hidden by it, now and at every later moment.
        let from = match rows.clone().rev().find(|&row| known_ats[row] <= at) {
            Some(row) => {
                self.candidates.clear();
                row
            }
            None => rows.start,
        };
        for row in from..rows.end {
            let pick = self.picks.pick(sequence, run.batch, &self.columns, row);
            self.candidates.push_back(Candidate { event_time: event_times[row], known_at: known_ats[row], pick });
        }
    }

    fn answer(&mut self, at: i64) {
        let latest = self.candidates.iter().rposition(|candidate| candidate.known_at <= at);
        self.candidates.drain(..latest.unwrap_or_default());
        let answer = latest.and_then(|_| self.candidates.front());
        self.answers.push(answer.filter(|row| fresh(row.event_time, at, self.ttl)).map(|row| row.pick));
    }

    fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        let columns = self.picks.gather(&self.answers, &self.types)?;
        self.answers.clear();
        self.picks.retain(self.candidates.iter().map(|candidate| candidate.pick));
        self.held_before = self.picks.batches();
        Ok(columns)
    }
}

impl Windows {
    fn take_in(&mut self, run: &Run<'_>, rows: Range<usize>, at: i64) {
        let Some(event_times) = run.times.first() else { return };
        let known_ats = run.times.last().unwrap_or(event_times);
        let reach = at.saturating_sub(self.fold.longest());
        let from = rows.start + event_times[rows.clone()].partition_point(|&time| time <= reach);
        let payload: Vec<ArrayRef> = self.columns.iter().map(|&column| run.batch.column(column).clone()).collect();
        self.tail.extend(event_times, known_ats, &payload, from..rows.end);
    }
}
