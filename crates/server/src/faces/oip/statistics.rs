//! Figures of models since the process started, as the statistics extension has them.

use mainspring_serve::EndpointStatus;
use serde::Serialize;

/// `GET /v2/models/stats`.
#[derive(Debug, Serialize)]
pub(super) struct AllStatistics {
    pub(super) model_stats: Vec<Statistics>,
}

/// The figures of a model.
#[derive(Debug, Serialize)]
pub(super) struct Statistics {
    pub(super) name: String,
    pub(super) version: String,
    /// Milliseconds since 1970; 0 before the first.
    pub(super) last_inference: u64,
    /// Rows.
    pub(super) inference_count: u64,
    /// Requests.
    pub(super) execution_count: u64,
    pub(super) inference_stats: Durations,
}

/// How often, and how long in all.
#[derive(Debug, Serialize)]
pub(super) struct Durations {
    pub(super) success: Duration,
    pub(super) fail: Duration,
    /// Nothing waits: what does not fit is refused.
    pub(super) queue: Duration,
    /// Reading the request.
    pub(super) compute_input: Duration,
    /// Looking features up and scoring.
    pub(super) compute_infer: Duration,
    /// Making the answer.
    pub(super) compute_output: Duration,
    /// There is no cache.
    pub(super) cache_hit: Duration,
    /// There is no cache.
    pub(super) cache_miss: Duration,
}

/// A count and a sum of durations.
#[derive(Debug, Default, Serialize)]
pub(super) struct Duration {
    pub(super) count: u64,
    pub(super) ns: u64,
}

/// The figures of an endpoint in the extension's words.
pub(super) fn of(status: EndpointStatus) -> Statistics {
    let spent = status.spent;
    let of_answered = |ns| Duration { count: status.answered, ns };
    Statistics {
        name: status.endpoint,
        version: status.version.map(|version| version.to_string()).unwrap_or_default(),
        last_inference: spent.last_answered_ms,
        inference_count: status.rows,
        execution_count: status.answered,
        inference_stats: Durations {
            success: of_answered(spent.answered_ns),
            fail: Duration { count: status.failed + status.invalid + status.refused, ns: spent.failed_ns },
            queue: Duration::default(),
            compute_input: of_answered(spent.parse_ns),
            compute_infer: of_answered(spent.work_ns),
            compute_output: of_answered(spent.answer_ns),
            cache_hit: Duration::default(),
            cache_miss: Duration::default(),
        },
    }
}
