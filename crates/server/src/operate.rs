//! What operators and machines ask of a server: is it there, how is it, start a run.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use mainspring_flow::{FlowEvent, RunRequest, TaskGraph};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::unbounded_channel;

use crate::app::App;
use crate::http::{Caller, Problem};

/// How often a failed task of a run without a workflow is tried again.
const RETRIES: u32 = 2;

/// The routes.
pub fn router() -> Router<App> {
    Router::new().route("/metrics", get(metrics)).route("/api/v1/workflows/runs", post(start_run))
}

/// Answers `GET /metrics` in the OpenMetrics text format.
async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    app.serve.sample_metrics();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.metrics).map_err(|error| Problem::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// What to run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StartRun {
    /// A workflow, or names of objects; none means everything.
    #[serde(default)]
    targets: Vec<String>,
    /// Do tasks even when their inputs have not changed.
    #[serde(default)]
    force: bool,
}

/// The run that was started, or taken up.
#[derive(Debug, Serialize)]
struct Started {
    run: String,
}

/// Starts a run and answers as soon as it is in the catalog; it goes on when the caller is gone.
async fn start_run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<StartRun>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let layers = app.layers();
    caller.may(&app, "workflow.run", "project", &layers.project.file.project).await?;
    let graph =
        TaskGraph::of(&layers.project, &wanted.targets).map_err(|error| Problem::bad_request(error.to_string()))?;
    let workflow = wanted.targets.first().and_then(|name| layers.project.workflows.get(name));
    let retries = workflow.map_or(RETRIES, |workflow| workflow.retries);
    let request = RunRequest { targets: wanted.targets, graph, retries, force: wanted.force };
    let (events, mut heard) = unbounded_channel();
    let run = tokio::spawn(async move { layers.flow.run(&request, &caller.principal, &events).await });
    loop {
        match heard.recv().await {
            Some(FlowEvent::RunStarted { run, .. }) => return Ok((StatusCode::ACCEPTED, Json(Started { run }))),
            Some(_) => {}
            None => break,
        }
    }
    match run.await {
        Ok(Ok(run)) => Ok((StatusCode::ACCEPTED, Json(Started { run: run.id }))),
        Ok(Err(error @ mainspring_flow::Error::Busy { .. })) => Err(Problem::conflict(error.to_string())),
        Ok(Err(error)) => Err(Problem::internal(&error)),
        Err(error) => Err(Problem::internal(&error)),
    }
}
