//! Workflow runs and their tasks.

use mainspring_catalog::ListQuery;
use mainspring_flow::{FlowRun, TaskRun, TaskState};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Error, Look, Page, Result};

/// A workflow run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WorkflowView {
    /// The run as it is recorded.
    #[serde(flatten)]
    pub run: FlowRun,
    /// How long it took, in seconds; none while it is under way.
    pub seconds: Option<f64>,
}

impl From<FlowRun> for WorkflowView {
    fn from(run: FlowRun) -> Self {
        let seconds = run.ended_at.map(|ended| ended.duration_since(run.started_at).as_secs_f64());
        Self { run, seconds }
    }
}

/// Workflow runs, the newest first.
///
/// # Errors
/// When the catalog fails.
pub async fn workflows(look: &Look, page: &Page) -> Result<Vec<WorkflowView>> {
    let runs = look.catalog.list::<FlowRun>(page.newest_first()).await?;
    Ok(runs.into_iter().map(|stored| stored.document.into()).collect())
}

/// A task of a run.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskView {
    /// The task as it is recorded.
    #[serde(flatten)]
    pub task: TaskRun,
    /// How long its attempts took, in seconds.
    pub seconds: Option<f64>,
}

/// A run with its tasks.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WorkflowDetail {
    /// The run.
    #[serde(flatten)]
    pub view: WorkflowView,
    /// Its tasks, in an order in which they can be done.
    pub task_runs: Vec<TaskView>,
    /// Tasks by state.
    pub done: usize,
}

/// A run with its tasks.
///
/// # Errors
/// When there is no such run.
pub async fn workflow(look: &Look, id: &str) -> Result<WorkflowDetail> {
    let run = look.catalog.get::<FlowRun>(id).await?.ok_or_else(|| Error::missing("workflow run", id))?.document;
    let mut tasks: Vec<TaskRun> =
        look.catalog.all::<TaskRun>(ListQuery::of(id)).await?.into_iter().map(|stored| stored.document).collect();
    let place = |task: &TaskRun| run.tasks.iter().position(|planned| *planned == task.task).unwrap_or(usize::MAX);
    tasks.sort_by_key(place);
    let done = tasks.iter().filter(|task| matches!(task.state, TaskState::Succeeded | TaskState::Unchanged)).count();
    let task_runs = tasks.into_iter().map(|task| TaskView { seconds: task.seconds(), task }).collect();
    Ok(WorkflowDetail { view: run.into(), task_runs, done })
}
