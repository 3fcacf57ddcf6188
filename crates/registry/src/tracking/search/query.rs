//! What is asked.

use std::sync::Arc;

use super::super::datasets;
use super::super::index::{ExperimentRow, KeyId, Keys, RunRow};
use super::{Cursor, NumberTest, RunOrder, TextTest};
use crate::Stage;

/// A search for runs.
#[derive(Debug, Clone)]
pub struct RunQuery {
    /// The numbers of the experiments searched.
    pub experiments: Vec<u64>,
    /// Whether deleted runs are found.
    pub view: StageView,
    /// Conditions, all of which must hold.
    pub clauses: Vec<RunClause>,
    /// The order; ties go by the newest start and then by id.
    pub order: Vec<RunOrder>,
    /// The place after which the page starts.
    pub after: Option<Cursor>,
    /// The most runs of the page.
    pub limit: usize,
}

/// Which stages are seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StageView {
    /// What is there.
    #[default]
    Active,
    /// What is deleted.
    Deleted,
    /// Both.
    All,
}

impl StageView {
    /// Whether a stage is seen.
    #[must_use]
    pub fn sees(self, stage: Stage) -> bool {
        matches!((self, stage), (Self::All, _) | (Self::Active, Stage::Active) | (Self::Deleted, Stage::Deleted))
    }
}

/// A condition on a run.
#[derive(Debug, Clone)]
pub enum RunClause {
    /// On the latest value of a metric.
    Metric(String, NumberTest),
    /// On a param.
    Param(String, TextTest),
    /// On a label.
    Tag(String, TextTest),
    /// On a text of the run itself.
    Text(TextField, TextTest),
    /// On a time of the run itself, in milliseconds.
    Number(NumberField, NumberTest),
    /// On any of the datasets it read.
    Dataset(DatasetField, TextTest),
}

/// A text of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextField {
    /// Its id.
    Id,
    /// What it is called.
    Name,
    /// Where it stands, in MLflow's word.
    Status,
    /// The user.
    User,
    /// Where its files lie.
    ArtifactUri,
}

/// A time of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberField {
    /// When it started.
    Started,
    /// When it ended.
    Ended,
}

/// A text of a dataset that a run read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetField {
    /// Its name.
    Name,
    /// Its digest.
    Digest,
    /// What it was used for.
    Context,
}

/// A clause whose names are looked up once.
pub(super) enum Prepared<'a> {
    Metric(Option<KeyId>, NumberTest),
    Param(Option<KeyId>, &'a TextTest),
    Tag(Option<KeyId>, &'a TextTest),
    Text(TextField, &'a TextTest),
    Number(NumberField, NumberTest),
    Dataset(DatasetField, &'a TextTest),
}

impl<'a> Prepared<'a> {
    pub(super) fn of(clause: &'a RunClause, keys: &Keys) -> Self {
        match clause {
            RunClause::Metric(key, test) => Self::Metric(keys.find(key), *test),
            RunClause::Param(key, test) => Self::Param(keys.find(key), test),
            RunClause::Tag(key, test) => Self::Tag(keys.find(key), test),
            RunClause::Text(field, test) => Self::Text(*field, test),
            RunClause::Number(field, test) => Self::Number(*field, *test),
            RunClause::Dataset(field, test) => Self::Dataset(*field, test),
        }
    }

    pub(super) fn holds(&self, run: &RunRow, experiment: &ExperimentRow) -> bool {
        match self {
            Self::Metric(key, test) => key.and_then(|key| run.metric(key)).is_some_and(|point| test.holds(point.value)),
            Self::Param(key, test) => test.holds(key.and_then(|key| run.param(key))),
            Self::Tag(key, test) => test.holds(key.and_then(|key| run.tag(key))),
            Self::Text(TextField::ArtifactUri, test) => {
                test.holds(Some(&experiment.experiment.run_artifact_uri(&run.id)))
            }
            Self::Text(field, test) => test.holds(text(*field, run)),
            Self::Number(field, test) => number(*field, run).is_some_and(|at_ms| test.holds(as_float(at_ms))),
            Self::Dataset(field, test) => run.inputs.iter().any(|input| match field {
                DatasetField::Name => test.holds(Some(&input.name)),
                DatasetField::Digest => test.holds(Some(&input.digest)),
                DatasetField::Context => {
                    let context = datasets::context(input);
                    context.is_some() && test.holds(context)
                }
            }),
        }
    }
}

pub(super) fn text(field: TextField, run: &RunRow) -> Option<&str> {
    match field {
        TextField::Id | TextField::ArtifactUri => Some(&run.id),
        TextField::Name => run.name.as_deref(),
        TextField::Status => Some(run.status.mlflow_word()),
        TextField::User => Some(&run.user),
    }
}

pub(super) fn number(field: NumberField, run: &RunRow) -> Option<i64> {
    match field {
        NumberField::Started => Some(run.started_ms),
        NumberField::Ended => run.ended_ms,
    }
}

/// Times of the next hundred thousand years are exact.
#[expect(clippy::cast_precision_loss, reason = "a time in milliseconds is far below 2^53")]
pub(super) fn as_float(at_ms: i64) -> f64 {
    at_ms as f64
}

/// A run that is looked at, with its experiment.
pub(super) type Seen = (Arc<RunRow>, Arc<ExperimentRow>);
