//! Where the time of requests goes, summed up since the process started.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::metrics::EndpointMetrics;

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

/// The sums that no histogram keeps, as they grow.
#[derive(Debug, Default)]
pub(crate) struct Spending {
    failed_ns: AtomicU64,
    work_ns: AtomicU64,
    last_answered_ms: AtomicU64,
}

impl Spending {
    pub(crate) fn failed(&self, took: Duration) {
        add(&self.failed_ns, took);
    }

    pub(crate) fn worked(&self, took: Duration) {
        add(&self.work_ns, took);
    }

    pub(crate) fn answered_at(&self, moment: Timestamp) {
        self.last_answered_ms.fetch_max(moment.as_millisecond().unsigned_abs(), Ordering::Relaxed);
    }

    /// These sums, and those of the histograms.
    pub(crate) fn so_far(&self, metrics: &EndpointMetrics) -> Spent {
        Spent {
            answered_ns: metrics.total.sum_ns(),
            failed_ns: self.failed_ns.load(Ordering::Relaxed),
            parse_ns: metrics.parse.sum_ns(),
            work_ns: self.work_ns.load(Ordering::Relaxed),
            answer_ns: metrics.answer.sum_ns(),
            last_answered_ms: self.last_answered_ms.load(Ordering::Relaxed),
        }
    }
}

/// Adds a duration to a sum of nanoseconds.
pub(crate) fn add(sum: &AtomicU64, took: Duration) {
    sum.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}
