//! What the catalog keeps of runs and tasks.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainspring_catalog::Document;
use serde::{Deserialize, Serialize};

use crate::graph::Task;

/// The most lines of log kept for an attempt; later ones push out the oldest.
pub const LOG_LINES_MAX: usize = 200;

/// What came of a task: figures by name.
pub type Figures = BTreeMap<String, serde_json::Value>;

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Tasks are being done, or were when the process died.
    Running,
    /// Every task succeeded or had nothing to do.
    Succeeded,
    /// A task failed for good, or could not be tried.
    Failed,
}

/// One walk over the dependency graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FlowRun {
    /// Sorts by time of birth (UUID version 7).
    pub id: String,
    /// What was asked for: a workflow's name, or names of targets; empty means everything.
    pub targets: Vec<String>,
    /// Where it is.
    pub state: RunState,
    /// Who asked.
    pub principal: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How often it was taken up again after its process died.
    pub resumed: u32,
    /// The tasks in an order in which they can be done.
    pub tasks: Vec<Task>,
}

impl Document for FlowRun {
    const KIND: &'static str = "flow_run";

    fn id(&self) -> String {
        self.id.clone()
    }
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for what it depends on, or for its next attempt.
    Pending,
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// What it reads has not changed since it was last done: there was nothing to do.
    Unchanged,
    /// Every attempt failed.
    Failed,
    /// Something it depends on failed.
    Blocked,
}

impl TaskState {
    /// Whether a task may go from this state to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use TaskState::{Blocked, Failed, Pending, Running, Succeeded, Unchanged};
        match (self, next) {
            (Pending, Running | Blocked)
            | (Running, Succeeded | Unchanged | Failed)
            // a failed attempt with tries left, or a process that died
            | (Running, Pending) => true,
            (Pending | Running | Succeeded | Unchanged | Failed | Blocked, _) => false,
        }
    }

    /// Whether what depends on the task may start.
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Succeeded | Self::Unchanged)
    }

    /// Whether nothing more will happen to the task in this run.
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// A task within a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TaskRun {
    /// The run's identifier.
    pub run: String,
    /// What is to be done.
    pub task: Task,
    /// Where it is.
    pub state: TaskState,
    /// One for each try, oldest first.
    pub attempts: Vec<Attempt>,
    /// What came of it: figures by name.
    pub outputs: Figures,
}

impl TaskRun {
    /// The identifier of a task within a run.
    #[must_use]
    pub fn id_of(run: &str, task: &Task) -> String {
        format!("{run}/{task}")
    }

    /// The time from the first attempt's start to the last one's end, in seconds.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        let first = self.attempts.first()?.started_at;
        let last = self.attempts.last()?.ended_at?;
        Some(last.duration_since(first).as_secs_f64())
    }
}

impl Document for TaskRun {
    const KIND: &'static str = "task_run";

    fn id(&self) -> String {
        Self::id_of(&self.run, &self.task)
    }

    fn parent(&self) -> Option<String> {
        Some(self.run.clone())
    }
}

/// One try at a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attempt {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; none while it is under way or when its process died.
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it said.
    pub log: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::TaskState::{self, Blocked, Failed, Pending, Running, Succeeded, Unchanged};

    const ALL: [TaskState; 6] = [Pending, Running, Succeeded, Unchanged, Failed, Blocked];

    #[test]
    fn final_states_are_left_by_no_transition() {
        for from in ALL.into_iter().filter(|state| state.is_final()) {
            for to in ALL {
                assert!(!from.may_become(to), "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn a_task_succeeds_only_after_it_ran() {
        for from in ALL {
            assert_eq!(from.may_become(Succeeded), from == Running);
        }
    }
}
