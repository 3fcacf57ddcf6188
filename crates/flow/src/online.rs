//! Bringing views online from their sources: a run of what they need, and then their values.

use std::time::Duration;

use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_features::{FeatureStore, MaterializeReport};
use tokio::sync::mpsc::unbounded_channel;

use crate::engine::{Engine, RunRequest};
use crate::error::{Error, Result};
use crate::graph::{TaskGraph, TaskKind};
use crate::record::RunState;

/// How often a failed task is tried again.
const RETRIES: u32 = 1;
/// How long another run is waited for: longer ones are not held open for, the caller comes again.
const BUSY_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether the other run is over.
const BUSY_STEP: Duration = Duration::from_millis(200);

/// Reads the sources of views, computes the views, and brings their values online: those known by a moment, or all. What is
/// online already stays so, also when it became known later.
///
/// # Errors
/// [`Error::Busy`] when another run does not end in time, [`Error::Failed`] when a task fails, [`Error::Features`] when the
/// online store does.
pub async fn bring_online(
    engine: &Engine,
    features: &FeatureStore,
    views: &[String],
    until: Option<Timestamp>,
    principal: &Principal,
) -> Result<Vec<MaterializeReport>> {
    if views.is_empty() {
        return Ok(vec![]);
    }
    let targets: Vec<String> = views.iter().map(|view| format!("feature_view:{view}")).collect();
    let graph = TaskGraph::of(features.project(), &targets)?.of_kinds(&[TaskKind::Ingest, TaskKind::Backfill]);
    let request = RunRequest { targets, graph, retries: RETRIES, force: false };
    let began = std::time::Instant::now();
    let run = loop {
        // Nobody listens: what happens is in the catalog.
        let (events, _heard) = unbounded_channel();
        match engine.run(&request, principal, &events).await {
            Err(Error::Busy { .. }) if began.elapsed() < BUSY_MAX => tokio::time::sleep(BUSY_STEP).await,
            run => break run?,
        }
    };
    if run.state != RunState::Succeeded {
        return Err(Error::Failed { run: run.id });
    }
    let now = Timestamp::now();
    let mut reports = vec![];
    for view in views {
        let until = match features.online_state(view).await? {
            // All is online already, and stays so.
            Some(state) if state.version.is_some() && state.until.is_none() => None,
            Some(state) => until.map(|until| until.as_microsecond().max(state.until.unwrap_or(i64::MIN))),
            None => until.map(Timestamp::as_microsecond),
        };
        // What is known by a moment to come is what is known.
        let until = until.and_then(|until| Timestamp::from_microsecond(until).ok()).filter(|until| *until < now);
        reports.push(features.materialize_online(view, until).await?);
    }
    Ok(reports)
}
