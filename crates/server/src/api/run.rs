//! Workflow runs are started here, and go on when the caller is gone.

use axum::Extension;
use axum::extract::State;
use mainspring_flow::{Error as FlowError, FlowEvent, RunRequest, TaskGraph};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::unbounded_channel;

use super::describe::With;
use super::extract::Body;
use crate::app::App;
use crate::http::{Caller, Problem};

/// How often a failed task of a run without a workflow is tried again.
const RETRIES: u32 = 2;

/// What to run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartRun {
    /// A workflow, or names of objects; none means everything.
    #[serde(default)]
    targets: Vec<String>,
    /// Do tasks even when their inputs have not changed.
    #[serde(default)]
    force: bool,
}

/// The run that was started, or taken up.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Started {
    /// Its identifier.
    run: String,
}

/// Starts a run of what is applied now, and answers as soon as it is in the catalog; it goes on when the caller is gone.
pub async fn start(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(wanted): Body<StartRun>,
) -> Result<With<202, Started>, Problem> {
    let layers = app.applied_layers().await?;
    caller.may(&app, "workflow.run", "project", &layers.project.file.project).await?;
    let graph = TaskGraph::of(&layers.project, &wanted.targets).map_err(|error| match error {
        FlowError::UnknownTarget { .. } => Problem::not_found(error.to_string()),
        _ => Problem::bad_request(error.to_string()),
    })?;
    let workflow = wanted.targets.first().and_then(|name| layers.project.workflows.get(name));
    let retries = workflow.map_or(RETRIES, |workflow| workflow.retries);
    let request = RunRequest { targets: wanted.targets, graph, retries, force: wanted.force };
    let (events, mut heard) = unbounded_channel();
    let run = tokio::spawn(async move { layers.flow.run(&request, &caller.principal, &events).await });
    loop {
        match heard.recv().await {
            Some(FlowEvent::RunStarted { run, .. }) => return Ok(With(Started { run })),
            Some(_) => {}
            None => break,
        }
    }
    match run.await {
        Ok(Ok(run)) => Ok(With(Started { run: run.id })),
        Ok(Err(error @ FlowError::Busy { .. })) => Err(Problem::conflict(error.to_string())),
        Ok(Err(error)) => Err(Problem::internal(&error)),
        Err(error) => Err(Problem::internal(&error)),
    }
}
