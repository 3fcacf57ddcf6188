//! Many events at once: each is taken or refused for itself, and the answer names those that were not taken, as the
//! specification's `postEventBatch` has it.
//!
//! Each event is a change of its own, made durable before the next: a thousand take some seconds. A batch that is cut
//! off between, or is sent again for what failed in it, lands once, for an event that is known changes nothing.

use axum::extract::State;
use axum::{Extension, Json};
use mainspring_flow::openlineage;
use schemars::JsonSchema;
use serde::Serialize;

use super::BYTES_MAX;
use super::wire::{Batch, Received};
use crate::api::List;
use crate::app::App;
use crate::http::{Caller, Problem};

/// What became of a batch of events.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LineageBatch")]
pub struct BatchTaken {
    /// Whether all, some or none were taken.
    status: BatchStatus,
    /// How many.
    summary: BatchSummary,
    /// Those that were not taken, in their order.
    failed_events: Vec<FailedEvent>,
}

/// How a batch fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "LineageBatchStatus")]
pub enum BatchStatus {
    /// Every event was taken, or was known before.
    Success,
    /// Some were, and some were not.
    PartialSuccess,
    /// None was.
    Error,
}

/// The events of a batch, counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "LineageBatchSummary")]
pub struct BatchSummary {
    /// Those that came.
    received: usize,
    /// Those that were taken, or known before.
    successful: usize,
    /// Those that were not taken.
    failed: usize,
    /// Of those, the ones that may be taken when they are sent again.
    retriable: usize,
    /// Of those, the ones that are not as the specification says.
    non_retriable: usize,
}

/// An event that was not taken.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "LineageBatchFailure")]
pub struct FailedEvent {
    /// Its place in the batch, from 0.
    index: usize,
    /// Why not.
    reason: String,
    /// Whether it may be taken when it is sent again: the failure was ours.
    retriable: bool,
}

impl BatchTaken {
    fn of(received: usize, failed_events: Vec<FailedEvent>) -> Self {
        let failed = failed_events.len();
        let retriable = failed_events.iter().filter(|failed| failed.retriable).count();
        let status = match failed {
            0 => BatchStatus::Success,
            _ if failed == received => BatchStatus::Error,
            _ => BatchStatus::PartialSuccess,
        };
        let summary = BatchSummary {
            received,
            successful: received - failed,
            failed,
            retriable,
            non_retriable: failed - retriable,
        };
        Self { status, summary, failed_events }
    }
}

/// Answers `POST /api/v1/lineage/batch`.
pub async fn take_batch(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    List(batch): List<Batch, BYTES_MAX>,
) -> Result<Json<BatchTaken>, Problem> {
    let layers = app.layers();
    caller.may(&app, "lineage.observe", "project", &layers.project.file.project).await?;
    let (project, principal) = (&layers.project, &caller.principal);
    let received = batch.events.len();
    let mut failed_events = vec![];
    for (index, event) in batch.events.into_iter().enumerate() {
        let Received { observed, id } = match event {
            Ok(event) => event,
            Err(reason) => {
                failed_events.push(FailedEvent { index, reason, retriable: false });
                continue;
            }
        };
        if let Err(error) = openlineage::accept(&app.catalog, &app.lake, project, observed, id, principal).await {
            failed_events.push(FailedEvent { index, reason: ours(&Problem::internal(&error)), retriable: true });
        }
    }
    Ok(Json(BatchTaken::of(received, failed_events)))
}

/// A failure of ours, with what names it in the log.
fn ours(problem: &Problem) -> String {
    let trace_id = problem.trace_id.as_deref().unwrap_or_default();
    format!("{} (trace id {trace_id})", problem.detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn failed(index: usize, retriable: bool) -> FailedEvent {
        FailedEvent { index, reason: "why".into(), retriable }
    }

    #[test]
    fn a_batch_says_which_of_its_events_failed_and_which_may_be_sent_again() {
        let told = serde_json::to_value(BatchTaken::of(4, vec![failed(1, false), failed(3, true)])).unwrap();

        assert_eq!(
            told,
            json!({
                "status": "partial_success",
                "summary": { "received": 4, "successful": 2, "failed": 2, "retriable": 1, "non_retriable": 1 },
                "failed_events": [
                    { "index": 1, "reason": "why", "retriable": false },
                    { "index": 3, "reason": "why", "retriable": true },
                ],
            })
        );
    }

    #[test]
    fn a_batch_of_nothing_but_failures_is_an_error_and_an_empty_one_is_none() {
        assert_eq!(BatchTaken::of(1, vec![failed(0, false)]).status, BatchStatus::Error);
        assert_eq!(BatchTaken::of(0, vec![]).status, BatchStatus::Success);
        assert_eq!(BatchTaken::of(3, vec![]).status, BatchStatus::Success);
    }
}
