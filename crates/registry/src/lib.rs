//! Experiments, runs, models, versions and aliases: what was trained, from what, how good it is, and what is live.
//!
//! A [`Run`] is one training: its parameters, metrics by iteration, code commit, environment and the exact table versions
//! it read. A run that succeeds registers a [`ModelVersion`], numbered from 1 within its model and never changed again but
//! for its tags and notes. An [`Alias`] such as `champion` names one version; moving it is what puts a model live, and each
//! move is kept as an [`AliasEvent`] with who, when and why.
//!
//! Gates are judged in one function, [`judge`], which [`Registry::set_alias`] calls whichever way an alias is asked for. A
//! refusal is an error that says which gate failed by how much, and leaves an entry in the audit log. Of two promotions at
//! once one wins and the other is told so.
//!
//! What clients track over the wire is the same kind of thing: [`Tracking`] starts and ends their runs, keeps the points of
//! their metrics, and searches all runs, those of our trainers too.
//!
//! A client may log a model with any files instead: they lie in the [`FileStore`], a [`LoggedModel`] names them, and a version
//! made of it is turned into a model of our kernel at that moment if it is of a format that runs here ([`servable`]).
//! Who wants to be told of all this has a [`Webhook`].
//!
//! Model files lie in the [`ArtifactStore`], named by their SHA-256. A file is durable before the catalog speaks of it, so
//! a crash leaves at most a file that nothing names, which [`Registry::sweep_artifacts`] removes. Files are data: a model is
//! parsed by the kernel's bounded reader, anything else is stored and never opened.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod alias;
mod artifact;
mod deployment;
mod error;
mod evaluation;
mod experiment;
mod files;
mod gate;
mod imported;
mod logged_model;
mod manifest;
mod model;
mod promote;
mod registry;
mod run;
mod runs;
pub mod servable;
mod source;
mod tracking;
mod version;
mod versions;
mod webhook;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod versions_tests;

pub use alias::{Alias, AliasAction, AliasEvent, LiveSpan};
pub use artifact::{ArtifactRef, ArtifactStore};
pub use deployment::{Deploy, Deployed, Deployment};
pub use error::{Error, Result};
pub use evaluation::{
    CalibrationBin, ClassReport, Confusion, CurvePoint, Evaluation, Histogram, Importance, Part, SliceReport,
};
pub use experiment::{Dataset, Experiment};
pub use files::{
    Begun, FileInfo, FilePath, FilePathError, FileRead, FileStore, SentPart, SignedFile, UPLOAD_PARTS_MAX, UploadId,
};
pub use gate::{GateResult, Verdict, higher_is_better, judge};
pub use logged_model::{LoggedModel, LoggedStatus, NewLoggedModel};
pub use manifest::{MANIFEST, Manifest};
pub use registry::Registry;
pub use run::{CodeCommit, DatasetInput, Environment, ModelOutput, NewRun, Origin, Run, RunStatus, Stage};
pub use runs::Registration;
pub use source::Source;
pub use tracking::{
    BatchOfLabels, Cursor, DatasetField, DatasetSummary, ExperimentChange, ExperimentRow, FoundRuns, HistoryCursor,
    HistoryPage, LoggedPoint, MetricSource, ModelMetric, NewClientRun, NewExperiment, NumberField, NumberTest,
    OrderKey, Pattern, Point, RunChange, RunClause, RunOrder, RunQuery, RunRow, SortValue, StageView, TextField,
    TextTest, Tracking,
};
pub use version::{Compared, Logged, ModelVersion, Note, RegisteredModel, TrainingSet, VersionStage};
pub use versions::{NewVersion, Others, logged_folder};
pub use webhook::{Delivery, EventKind, NewWebhook, Tried, Webhook, WebhookEdit, WebhookEvent, WebhookSender};
