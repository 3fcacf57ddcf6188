//! Makes events of what the engine does.

use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::Catalog;
use mainspring_lake::Lake;
use mainspring_spec::Project;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::event::{Datasets, EventType, Job, Run, RunEvent};
use super::facet;
use super::metrics::{Fate, LineageMetrics};
use super::names::Names;
use super::outbox::{self, EVENT_BYTES_MAX, OUTBOX_MAX, Queued};
use crate::error::Result;
use crate::graph::Task;

/// Makes events, and puts them into the outbox with the change that they tell of.
#[derive(Clone)]
pub struct Reporter {
    catalog: Catalog,
    namespace: String,
    metrics: LineageMetrics,
    bell: Arc<Notify>,
    outbox_max: u64,
}

/// What an event tells of a task's run.
#[derive(Debug, Clone)]
pub(crate) struct Told<'a> {
    /// The flow run.
    pub run: &'a str,
    /// When it began.
    pub run_started_at: Timestamp,
    /// What was asked for.
    pub targets: &'a [String],
    /// The task.
    pub task: &'a Task,
}

/// A moment of a task's run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment<'a> {
    /// It begins.
    Start,
    /// It is tried again.
    Again,
    /// It ended well.
    Complete,
    /// It failed for good.
    Fail(&'a str),
}

impl Reporter {
    /// A reporter of a project's runs; `bell` is rung for the courier.
    #[must_use]
    pub fn new(catalog: Catalog, project: &Project, lake: &Lake, metrics: LineageMetrics, bell: Arc<Notify>) -> Self {
        let namespace = Names::of(project, lake).namespace;
        Self { catalog, namespace, metrics, bell, outbox_max: OUTBOX_MAX }
    }

    /// With room for so many events only.
    #[cfg(test)]
    pub(crate) fn with_room_for(self, outbox_max: u64) -> Self {
        Self { outbox_max, ..self }
    }

    /// The event of a moment, to be committed with the change it tells of; none when the outbox is full.
    pub(crate) async fn event(
        &self,
        told: &Told<'_>,
        moment: Moment<'_>,
        datasets: Datasets,
    ) -> Result<Option<Queued>> {
        if !outbox::has_room(&self.catalog, self.outbox_max).await? {
            self.metrics.count(Fate::Dropped, 1);
            tracing::warn!(task = %told.task, "the outbox of lineage events is full; an event was left out");
            return Ok(None);
        }
        let mut datasets = datasets;
        let mut event = serde_json::to_value(self.made(told, moment, datasets.clone()))?;
        if event.to_string().len() > EVENT_BYTES_MAX {
            for dataset in datasets.inputs.iter_mut().chain(&mut datasets.outputs) {
                dataset.facets.retain(|name, _| *name == "version" || *name == "symlinks");
                dataset.input_facets.clear();
            }
            event = serde_json::to_value(self.made(told, moment, datasets))?;
        }
        Ok(Some(Queued { id: uuid::Uuid::now_v7().to_string(), event }))
    }

    /// Says that events wait.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    fn made(&self, told: &Told<'_>, moment: Moment<'_>, datasets: Datasets) -> RunEvent {
        let parent_job = match told.targets {
            [one] => one.as_str(),
            _ => "run",
        };
        let mut facets = super::event::Facets::from([
            facet::parent(told.run, &self.namespace, parent_job),
            facet::nominal_time(told.run_started_at),
            facet::engine(),
        ]);
        let event_type = match moment {
            Moment::Start => EventType::Start,
            Moment::Again => EventType::Running,
            Moment::Complete => EventType::Complete,
            Moment::Fail(message) => {
                facets.extend([facet::error(message)]);
                EventType::Fail
            }
        };
        let run = Run { run_id: run_id(told.run, told.task), facets };
        let kind = told.task.kind.as_str();
        let job = Job {
            namespace: self.namespace.clone(),
            name: format!("{kind}.{}", told.task.name),
            facets: super::event::Facets::from([facet::job_type(kind)]),
        };
        RunEvent::new(event_type, Timestamp::now().to_string(), run, job, datasets)
    }
}

/// The identifier of a task's run, which is the same in every event of it, also after a crash: a UUID of our own making
/// (version 8) from the flow run and the task.
fn run_id(run: &str, task: &Task) -> String {
    let digest = Sha256::digest(format!("{run}/{task}"));
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, from)| *byte = from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
