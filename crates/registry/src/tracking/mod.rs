//! Tracking: experiments and runs as clients over the wire see them, with the points of their metrics.
//!
//! What exists is in the catalog, audited, as everything else: [`Experiment`](crate::Experiment) and
//! [`Run`](crate::Run), those of our trainers and those of clients being one kind of thing. Points of metrics are many and
//! small, so they lie in a store of their own ([`points`]); a request that logs some is acknowledged when they are on disk.
//! They are not audited one by one: the audit log says who started and ended a run, and what the last metrics were then.
//!
//! Searches are answered from an [`index`] in memory, which follows the catalog by what changed since it last looked, so
//! that what another process writes (`mainspring run`) is found too.

mod datasets;
mod experiments;
mod following;
pub(crate) mod index;
mod metrics;
pub(crate) mod points;
mod runs;
mod search;

#[cfg(test)]
mod tests;

pub use datasets::DatasetSummary;
pub(crate) use experiments::ensure as ensure_experiment;
pub use experiments::{ExperimentChange, NewExperiment};
pub use following::Tracking;
pub use index::{ExperimentRow, RunRow};
pub use metrics::{LoggedPoint, MetricSource};
pub use points::{HistoryCursor, HistoryPage, ModelMetric, Point};
pub use runs::{BatchOfLabels, NewClientRun, RunChange};
pub use search::{
    Cursor, DatasetField, FoundRuns, NumberField, NumberTest, OrderKey, Pattern, RunClause, RunOrder, RunQuery,
    SortValue, StageView, TextField, TextTest,
};
