//! Workflows: what must be done, in which order, once.
//!
//! In comes a [`Project`](mainspring_spec::Project) and the names of what somebody wants up to date; out comes a
//! [`FlowRun`], whose tasks were done in the order of the dependency graph, several at once where nothing forbids it.
//!
//! Promises:
//! - every state change is in the catalog before the next step is taken, so a run that was killed is taken up where it
//!   was: what had succeeded is not done again, what was under way is tried again, and because every task's effect is
//!   idempotent it lands once;
//! - a task whose inputs have not changed since it last succeeded does nothing ([`TaskState::Unchanged`]);
//! - whoever is to be told of each task in [OpenLineage's terms](openlineage) is told, also after a crash;
//! - one project has one run at a time, held by a [lease](lease) that a dead process loses.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod engine;
mod error;
mod event;
mod graph;
pub mod lease;
mod may_pass;
mod online;
pub mod openlineage;
mod platform;
mod record;
mod work;

pub use engine::{Engine, RunRequest};
pub use error::{Error, Result};
pub use event::{FlowEvent, TaskProgress};
pub use graph::{Task, TaskGraph, TaskKind};
pub use online::bring_online;
pub use platform::PlatformWork;
pub use record::{Attempt, Figures, FlowRun, RunState, TaskRun, TaskState};
pub use work::{Outcome, TaskContext, Work, WorkError};
