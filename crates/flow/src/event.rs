//! What a run tells while it is under way, for progress bars and the console.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mainspring_lake::Progress;

use crate::graph::Task;
use crate::record::{RunState, TaskRun};

/// Something that happened in a run.
#[derive(Debug, Clone)]
pub enum FlowEvent {
    /// The run began, or was taken up again, with these tasks.
    RunStarted {
        /// The run.
        run: String,
        /// Its tasks, in order.
        tasks: Vec<Task>,
        /// Whether it had begun in a process that died.
        resumed: bool,
    },
    /// An attempt at a task began; its progress can be read while it lasts.
    TaskStarted {
        /// The task.
        task: Task,
        /// Which attempt it is, from 1.
        attempt: u32,
        /// How far it is.
        progress: Arc<TaskProgress>,
    },
    /// An attempt failed and will be followed by another.
    TaskRetrying {
        /// The task.
        task: Task,
        /// Why it failed.
        error: String,
    },
    /// Nothing more will happen to the task in this run.
    TaskEnded(Box<TaskRun>),
    /// Nothing more will happen in the run.
    RunEnded {
        /// The run.
        run: String,
        /// How it ended.
        state: RunState,
    },
}

/// How far a task is, in rows; both are 0 until it knows.
#[derive(Debug, Default)]
pub struct TaskProgress {
    done: AtomicU64,
    total: AtomicU64,
}

impl TaskProgress {
    /// Rows done and rows in all.
    #[must_use]
    pub fn rows(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

impl Progress for TaskProgress {
    fn total(&self, rows: u64) {
        self.total.store(rows, Ordering::Relaxed);
    }

    fn advance(&self, rows: u64) {
        self.done.fetch_add(rows, Ordering::Relaxed);
    }
}
