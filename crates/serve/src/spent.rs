//! Where the time of requests goes, summed up since the process started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// Sums of durations, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Spent {
    /// From admission to answer, of requests that were answered.
    pub answered_ns: u64,
    /// From admission to refusal, of requests that were not.
    pub failed_ns: u64,
    /// Admitting and parsing, of requests that were understood.
    pub parse_ns: u64,
    /// Looking features up and scoring, of requests that were answered.
    pub work_ns: u64,
    /// Making the answer and handing it to the log.
    pub answer_ns: u64,
    /// When the last request was answered, in milliseconds since 1970; 0 before the first.
    pub last_answered_ms: u64,
}

/// The sums as they grow.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    answered_ns: AtomicU64,
    failed_ns: AtomicU64,
    parse_ns: AtomicU64,
    work_ns: AtomicU64,
    answer_ns: AtomicU64,
    last_answered_ms: AtomicU64,
}

/// What a moment of a request was spent on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Answered,
    Failed,
    Parsing,
    Working,
    Answering,
}

impl Spending {
    pub(crate) fn add(&self, on: On, took: Duration) {
        let sum = match on {
            On::Answered => &self.answered_ns,
            On::Failed => &self.failed_ns,
            On::Parsing => &self.parse_ns,
            On::Working => &self.work_ns,
            On::Answering => &self.answer_ns,
        };
        sum.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn answered_at(&self, moment: Timestamp) {
        self.last_answered_ms.fetch_max(moment.as_millisecond().unsigned_abs(), Ordering::Relaxed);
    }

    pub(crate) fn so_far(&self) -> Spent {
        let read = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        Spent {
            answered_ns: read(&self.answered_ns),
            failed_ns: read(&self.failed_ns),
            parse_ns: read(&self.parse_ns),
            work_ns: read(&self.work_ns),
            answer_ns: read(&self.answer_ns),
            last_answered_ms: read(&self.last_answered_ms),
        }
    }
}
