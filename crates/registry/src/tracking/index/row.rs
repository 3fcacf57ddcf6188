//! One run, one experiment, as they are searched and shown.

use std::sync::Arc;

use jiff::Timestamp;
use mainspring_catalog::Stored;

use super::{KeyId, Keys, RunMetrics};
use crate::tracking::points::Point;
use crate::{DatasetInput, Experiment, ModelOutput, Run, RunStatus, Stage};

/// An experiment.
#[derive(Debug, Clone)]
pub struct ExperimentRow {
    /// The number by which clients know it.
    pub number: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The record.
    pub experiment: Experiment,
}

impl ExperimentRow {
    pub(super) fn of(stored: Stored<Experiment>) -> Option<Self> {
        Some(Self {
            number: stored.document.number?,
            created_at: stored.document.created_at.unwrap_or(stored.created_at),
            updated_at: stored.document.updated_at.unwrap_or(stored.updated_at),
            experiment: stored.document,
        })
    }
}

/// A run, without its history.
pub struct RunRow {
    /// Its id.
    pub id: Box<str>,
    /// The key of its experiment.
    pub experiment: Arc<str>,
    /// What it is called.
    pub name: Option<Box<str>>,
    /// The user that a client named, or who was authenticated.
    pub user: Box<str>,
    /// Where it stands.
    pub status: RunStatus,
    /// Whether it is deleted.
    pub stage: Stage,
    /// When it started, in milliseconds.
    pub started_ms: i64,
    /// When it ended, in milliseconds.
    pub ended_ms: Option<i64>,
    /// The datasets it read.
    pub inputs: Box<[DatasetInput]>,
    /// The logged models it read.
    pub model_inputs: Box<[String]>,
    /// The logged models it made.
    pub model_outputs: Box<[ModelOutput]>,
    pub(super) version: i64,
    pub(super) params: Box<[(KeyId, Box<str>)]>,
    pub(super) tags: Box<[(KeyId, Box<str>)]>,
    /// What a trainer of ours measured at the end.
    pub(super) recorded: Box<[(KeyId, Point)]>,
    pub(crate) metrics: Arc<RunMetrics>,
}

impl RunRow {
    pub(super) fn of(stored: Stored<Run>, keys: &Keys, experiment: Arc<str>, metrics: Arc<RunMetrics>) -> Self {
        let run = stored.document;
        let at_ms = run.ended_at.unwrap_or(run.started_at).as_millisecond();
        let mut recorded: Vec<_> =
            run.metrics.iter().map(|(key, value)| (keys.id(key), Point { step: 0, at_ms, value: *value })).collect();
        recorded.sort_by_key(|(key, _)| *key);
        Self {
            id: run.id.into(),
            experiment,
            name: run.name.map(Into::into),
            user: run.user.unwrap_or(run.by.name).into(),
            status: run.status,
            stage: run.stage,
            started_ms: run.started_at.as_millisecond(),
            ended_ms: run.ended_at.map(Timestamp::as_millisecond),
            inputs: run.inputs.into(),
            model_inputs: run.model_inputs.into(),
            model_outputs: run.model_outputs.into(),
            version: stored.version,
            params: labels(run.params, keys),
            tags: labels(run.tags, keys),
            recorded: recorded.into(),
            metrics,
        }
    }

    pub(crate) fn param(&self, key: KeyId) -> Option<&str> {
        label(&self.params, key)
    }

    pub(crate) fn tag(&self, key: KeyId) -> Option<&str> {
        label(&self.tags, key)
    }

    /// The latest value of a metric.
    pub(crate) fn metric(&self, key: KeyId) -> Option<Point> {
        if let Some(series) = self.metrics.get(key) {
            return Some(series.last);
        }
        let at = self.recorded.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.recorded.get(at).map(|(_, point)| *point)
    }

    pub(crate) fn metrics(&self) -> Vec<(KeyId, Point)> {
        let mut all = self.metrics.latest();
        for (key, point) in &self.recorded {
            if self.metrics.get(*key).is_none() {
                all.push((*key, *point));
            }
        }
        all
    }

    pub(crate) fn params(&self) -> &[(KeyId, Box<str>)] {
        &self.params
    }

    pub(crate) fn tags(&self) -> &[(KeyId, Box<str>)] {
        &self.tags
    }
}

fn labels(labels: impl IntoIterator<Item = (String, String)>, keys: &Keys) -> Box<[(KeyId, Box<str>)]> {
    let mut labels: Vec<(KeyId, Box<str>)> =
        labels.into_iter().map(|(key, value)| (keys.id(&key), value.into())).collect();
    labels.sort_by_key(|(key, _)| *key);
    labels.into()
}

fn label(labels: &[(KeyId, Box<str>)], key: KeyId) -> Option<&str> {
    let at = labels.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    labels.get(at).map(|(_, value)| &**value)
}
