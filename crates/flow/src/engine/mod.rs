//! The walk over the graph: ready tasks start, failed ones are tried again, every change of state is in the catalog
//! before the next step.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Expect, ListQuery, Principal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use crate::error::Result;
use crate::event::FlowEvent;
use crate::graph::{Task, TaskGraph};
use crate::lease;
use crate::openlineage::{Datasets, Moment, Queued, Reporter, Told};
use crate::record::{Attempt, Figures, FlowRun, RunState, TaskRun, TaskState};
use crate::work::{Outcome, TaskContext, Work, WorkError};

/// The wait before the second attempt; doubled for each further one, up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(200);
/// The longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What somebody wants done.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// A workflow's name or names of targets, for the record; empty means everything.
    pub targets: Vec<String>,
    /// The tasks and their order.
    pub graph: TaskGraph,
    /// How often a failed task is tried again.
    pub retries: u32,
    /// Do tasks even when their inputs have not changed.
    pub force: bool,
}

/// Does runs.
#[derive(Clone)]
pub struct Engine {
    catalog: Catalog,
    work: Arc<dyn Work>,
    parallel: usize,
    reporter: Option<Reporter>,
}

/// What all steps of a walk share.
struct Walk<'a> {
    run: &'a FlowRun,
    request: &'a RunRequest,
    principal: &'a Principal,
    events: &'a UnboundedSender<FlowEvent>,
}

/// A task under way in this process.
struct Attempted {
    task: Task,
    context: TaskContext,
    result: Result<Outcome, WorkError>,
}

impl Engine {
    /// An engine that does at most `parallel` tasks at once.
    #[must_use]
    pub fn new(catalog: Catalog, work: Arc<dyn Work>, parallel: usize) -> Self {
        Self { catalog, work, parallel: parallel.max(1), reporter: None }
    }

    /// With a reporter, that tells others of the runs in OpenLineage's terms.
    #[must_use]
    pub fn with_reporter(self, reporter: Reporter) -> Self {
        Self { reporter: Some(reporter), ..self }
    }

    /// Runs to the end: takes up a run that died on the same tasks, or begins a new one.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`](crate::Error::Busy) while another process runs this project; catalog errors. A task's failure is
    /// no error but the run's state.
    pub async fn run(
        &self,
        request: &RunRequest,
        principal: &Principal,
        events: &UnboundedSender<FlowEvent>,
    ) -> Result<FlowRun> {
        let fresh = uuid::Uuid::now_v7().to_string();
        let mut lease = lease::take(&self.catalog, &fresh).await?;
        let outcome = {
            let walk = self.run_leased(request, principal, &fresh, events);
            tokio::pin!(walk);
            let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + lease::RENEWAL, lease::RENEWAL);
            loop {
                tokio::select! {
                    outcome = &mut walk => break outcome,
                    // a lost lease ends the walk: dropping it aborts its tasks
                    _ = renewal.tick() => lease.renew().await?,
                }
            }
        };
        lease.release().await?;
        outcome
    }

    async fn run_leased(
        &self,
        request: &RunRequest,
        principal: &Principal,
        fresh: &str,
        events: &UnboundedSender<FlowEvent>,
    ) -> Result<FlowRun> {
        let (run, mut tasks) = match self.interrupted(request).await? {
            Some(run) => self.take_up(run, principal).await?,
            None => self.begin(request, principal, fresh).await?,
        };
        say(events, FlowEvent::RunStarted { run: run.id.clone(), tasks: run.tasks.clone(), resumed: run.resumed > 0 });
        self.walk(&Walk { run: &run, request, principal, events }, &mut tasks).await?;
        let state =
            if tasks.values().all(|task| task.state.is_done()) { RunState::Succeeded } else { RunState::Failed };
        let ended = FlowRun { state, ended_at: Some(Timestamp::now()), ..run };
        self.save(Change::new(principal, "flow.run_ended", format!("flow_run:{}", ended.id)).put(&ended, Expect::Any)?)
            .await?;
        say(events, FlowEvent::RunEnded { run: ended.id.clone(), state });
        Ok(ended)
    }

    /// The newest run, when it is on the same tasks and its process died.
    async fn interrupted(&self, request: &RunRequest) -> Result<Option<FlowRun>> {
        let newest = self.catalog.list::<FlowRun>(ListQuery::default().newest_first().limit(1)).await?;
        Ok(newest
            .into_iter()
            .map(|stored| stored.document)
            .find(|run| run.state == RunState::Running && run.tasks == request.graph.order()))
    }

    async fn begin(
        &self,
        request: &RunRequest,
        principal: &Principal,
        id: &str,
    ) -> Result<(FlowRun, BTreeMap<Task, TaskRun>)> {
        let run = FlowRun {
            id: id.to_owned(),
            targets: request.targets.clone(),
            state: RunState::Running,
            principal: principal.to_string(),
            started_at: Timestamp::now(),
            ended_at: None,
            resumed: 0,
            tasks: request.graph.order().to_vec(),
        };
        let mut change =
            Change::new(principal, "flow.run_started", format!("flow_run:{id}")).put(&run, Expect::Absent)?;
        let mut tasks = BTreeMap::new();
        for task in &run.tasks {
            let record = TaskRun {
                run: run.id.clone(),
                task: task.clone(),
                state: TaskState::Pending,
                attempts: vec![],
                outputs: Figures::new(),
            };
            change = change.put(&record, Expect::Absent)?;
            tasks.insert(task.clone(), record);
        }
        // a run that died on other tasks is over: its lease is ours now
        for stored in self.catalog.list::<FlowRun>(ListQuery::default().newest_first().limit(20)).await? {
            if stored.document.state == RunState::Running {
                let died = FlowRun { state: RunState::Failed, ended_at: Some(Timestamp::now()), ..stored.document };
                change = change.put(&died, Expect::Version(stored.version))?;
            }
        }
        self.save(change).await?;
        Ok((run, tasks))
    }

    /// Takes a run up where its process died: what was under way is tried again.
    async fn take_up(&self, run: FlowRun, principal: &Principal) -> Result<(FlowRun, BTreeMap<Task, TaskRun>)> {
        let run = FlowRun { resumed: run.resumed + 1, ..run };
        let mut change =
            Change::new(principal, "flow.run_resumed", format!("flow_run:{}", run.id)).put(&run, Expect::Any)?;
        let mut tasks = BTreeMap::new();
        for task in &run.tasks {
            let stored = self.catalog.get::<TaskRun>(&TaskRun::id_of(&run.id, task)).await?;
            let mut record = stored.map_or_else(
                || TaskRun {
                    run: run.id.clone(),
                    task: task.clone(),
                    state: TaskState::Pending,
                    attempts: vec![],
                    outputs: Figures::new(),
                },
                |stored| stored.document,
            );
            if record.state == TaskState::Running {
                record.state = TaskState::Pending;
                if let Some(attempt) = record.attempts.last_mut() {
                    attempt.error = Some("its process died".into());
                }
                change = change.put(&record, Expect::Any)?;
            }
            tasks.insert(task.clone(), record);
        }
        self.save(change).await?;
        Ok((run, tasks))
    }

    async fn walk(&self, walk: &Walk<'_>, tasks: &mut BTreeMap<Task, TaskRun>) -> Result<()> {
        let Walk { request, principal, events, .. } = walk;
        let mut under_way: JoinSet<Attempted> = JoinSet::new();
        loop {
            self.block(walk, tasks).await?;
            for task in ready(&request.graph, tasks) {
                if under_way.len() == self.parallel {
                    break;
                }
                let Some(record) = tasks.get_mut(&task) else { continue };
                let failures = record.attempts.iter().filter(|attempt| attempt.error.is_some()).count();
                record.attempts.push(Attempt {
                    started_at: Timestamp::now(),
                    ended_at: None,
                    error: None,
                    log: vec![],
                });
                let moment = if record.attempts.len() == 1 { Moment::Start } else { Moment::Again };
                let told = self.told(walk, &record.task, moment, None).await?;
                self.turn(walk, record, TaskState::Running, "flow.task_started", told).await?;
                let context = TaskContext::new((*principal).clone(), request.force);
                say(
                    events,
                    FlowEvent::TaskStarted {
                        task: task.clone(),
                        attempt: u32::try_from(record.attempts.len()).unwrap_or(u32::MAX),
                        progress: context.progress.clone(),
                    },
                );
                under_way.spawn(attempt(self.work.clone(), task, context, wait_before(failures)));
            }
            let Some(joined) = under_way.join_next().await else { return Ok(()) };
            match joined {
                Ok(attempted) => self.settle(walk, tasks, attempted).await?,
                Err(error) => tracing::error!(%error, "a task's future ended without a result"),
            }
        }
    }

    /// Writes down how an attempt went.
    async fn settle(&self, walk: &Walk<'_>, tasks: &mut BTreeMap<Task, TaskRun>, attempted: Attempted) -> Result<()> {
        let Some(record) = tasks.get_mut(&attempted.task) else { return Ok(()) };
        let since = record.attempts.first().map(|first| first.started_at);
        if let Some(attempt) = record.attempts.last_mut() {
            attempt.ended_at = Some(Timestamp::now());
            attempt.log = attempted.context.lines();
            attempt.error = attempted.result.as_ref().err().map(ToString::to_string);
        }
        let failures = record.attempts.iter().filter(|attempt| attempt.error.is_some()).count();
        match attempted.result {
            Ok(outcome) => {
                let state = if outcome.unchanged { TaskState::Unchanged } else { TaskState::Succeeded };
                record.outputs = outcome.figures;
                let told = self.told(walk, &record.task, Moment::Complete, since).await?;
                self.turn(walk, record, state, "flow.task_ended", told).await?;
            }
            Err(WorkError::Passing(error)) if failures <= walk.request.retries as usize => {
                self.turn(walk, record, TaskState::Pending, "flow.task_retrying", None).await?;
                say(walk.events, FlowEvent::TaskRetrying { task: record.task.clone(), error });
                return Ok(());
            }
            Err(error) => {
                let told = self.told(walk, &record.task, Moment::Fail(&error.to_string()), since).await?;
                self.turn(walk, record, TaskState::Failed, "flow.task_failed", told).await?;
            }
        }
        say(walk.events, FlowEvent::TaskEnded(Box::new(record.clone())));
        Ok(())
    }

    /// Marks what waits for something that failed.
    async fn block(&self, walk: &Walk<'_>, tasks: &mut BTreeMap<Task, TaskRun>) -> Result<()> {
        let graph = &walk.request.graph;
        for task in graph.order() {
            let failed = graph.needs(task).any(|needed| {
                tasks.get(needed).is_some_and(|record| matches!(record.state, TaskState::Failed | TaskState::Blocked))
            });
            let waiting = tasks.get_mut(task).filter(|record| failed && record.state == TaskState::Pending);
            if let Some(record) = waiting {
                self.turn(walk, record, TaskState::Blocked, "flow.task_blocked", None).await?;
                say(walk.events, FlowEvent::TaskEnded(Box::new(record.clone())));
            }
        }
        Ok(())
    }

    /// The event that tells others of a moment of a task's run, if they are told.
    async fn told(
        &self,
        walk: &Walk<'_>,
        task: &Task,
        moment: Moment<'_>,
        since: Option<Timestamp>,
    ) -> Result<Option<Queued>> {
        let Some(reporter) = &self.reporter else { return Ok(None) };
        // what a task reads and writes is told as far as it can be found out; the run does not fail for it
        let datasets = self.work.datasets(task, since).await.unwrap_or_else(|error| {
            tracing::warn!(%task, %error, "a lineage event names no datasets");
            Datasets::default()
        });
        let told =
            Told { run: &walk.run.id, run_started_at: walk.run.started_at, targets: &walk.request.targets, task };
        reporter.event(&told, moment, datasets).await
    }

    /// Brings a task into its next state; `told` is committed with it.
    async fn turn(
        &self,
        walk: &Walk<'_>,
        record: &mut TaskRun,
        next: TaskState,
        action: &str,
        told: Option<Queued>,
    ) -> Result<()> {
        record.state = step(record.state, next);
        let subject = format!("task_run:{}", TaskRun::id_of(&record.run, &record.task));
        let mut change = Change::new(walk.principal, action, subject).put(record, Expect::Any)?;
        if let Some(told) = &told {
            change = change.put(told, Expect::Absent)?;
        }
        self.save(change).await?;
        if let Some(reporter) = self.reporter.as_ref().filter(|_| told.is_some()) {
            reporter.ring();
        }
        Ok(())
    }

    async fn save(&self, change: Change) -> Result<()> {
        self.catalog.commit(change).await?;
        Ok(())
    }
}

async fn attempt(work: Arc<dyn Work>, task: Task, context: TaskContext, wait: Duration) -> Attempted {
    tokio::time::sleep(wait).await;
    // a task that panics has failed; it must not take the run with it
    let result = AssertUnwindSafe(work.perform(&task, &context)).catch_unwind().await.unwrap_or_else(|panic| {
        let words =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(WorkError::Lasting(format!("the task panicked: {}", words.unwrap_or("no words were left"))))
    });
    Attempted { task, context, result }
}

/// The tasks that wait for nothing but a free place.
fn ready(graph: &TaskGraph, tasks: &BTreeMap<Task, TaskRun>) -> Vec<Task> {
    graph
        .order()
        .iter()
        .filter(|task| tasks.get(task).is_some_and(|record| record.state == TaskState::Pending))
        .filter(|task| graph.needs(task).all(|needed| tasks.get(needed).is_none_or(|record| record.state.is_done())))
        .cloned()
        .collect()
}

fn wait_before(failures: usize) -> Duration {
    match u32::try_from(failures) {
        Ok(0) => Duration::ZERO,
        Ok(failures) => BACKOFF.saturating_mul(1 << (failures - 1).min(16)).min(BACKOFF_MAX),
        Err(_) => BACKOFF_MAX,
    }
}

fn step(from: TaskState, to: TaskState) -> TaskState {
    debug_assert!(from.may_become(to), "a task went from {from:?} to {to:?}");
    to
}

/// Tells whoever listens; that nobody does is no fault.
fn say(events: &UnboundedSender<FlowEvent>, event: FlowEvent) {
    let _nobody_listens = events.send(event);
}
