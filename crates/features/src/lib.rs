//! Features: entities, views, point-in-time joins and the online store.
//!
//! In come a project's feature views and the tables of the lake; out go training rows and request-time values that agree to
//! the last bit. One idea holds it together, the **timeline**. A SQL or windowed view is compiled to two things:
//!
//! 1. a *base query* that the engine runs (`base`): rows of an entity's key, when a fact happened, when it became known, and
//!    what it says. They are kept in the table `features.VIEW`, with an id that orders rows of equal times;
//! 2. a pure [`Fold`] over the rows of one entity at a moment: the latest row that had happened and was known, or aggregates
//!    over windows that end there.
//!
//! Offline the fold runs in [`PointInTimeExec`], an operator that merges observations with timelines. Online the same
//! fold runs over an entity's last rows, which [`FeatureStore::materialize_online`] keeps in an [`OnlineStore`] and an
//! [`OnlineReader`] finds in memory. Request-time views are SQL expressions, compiled once ([`FeaturePlan`]) and evaluated as
//! the same physical expressions on training rows and on requests.
//!
//! Promises:
//! - nothing known after an observation's moment changes its features;
//! - rows out of a join are rows in, and a null key matches nothing;
//! - the store is never ahead of the note that says how far it is, also after `kill -9`;
//! - [`FeatureStore::check`] computes again what was served, and finds every value that differs.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod backfill;
mod base;
mod check;
mod dry_run;
mod error;
mod fold;
mod identity;
mod join;
mod key;
mod online;
mod plan;
mod push;
mod read;
mod records;
mod schema;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod value;

pub use backfill::BackfillReport;
pub use check::{CheckReport, MISMATCHES_SHOWN, Mismatch, VersionInputs};
pub use dry_run::dry_run;
pub use error::{Error, Result};
pub use fold::{Fold, LatestFold, Tail, WindowFold};
pub use join::{PointInTimeExec, TimelineColumns};
pub use online::{
    FeatureRows, FjallStore, MaterializeReport, MissReason, Missed, OnlineChange, OnlineReader, OnlineState,
    OnlineStore, OnlineViews, RequestRows, RowKey, TailRow, ViewTails,
};
pub use plan::{FeaturePlan, From, Output, ViewUse, stored_views};
pub use push::{PUSH_ROWS_MAX, Push, PushReport, PushTo, Turns};
pub use read::{ENTITIES_MAX, EntityValue, ReadAnswer, ReadOutput, ReadPlan, Status, ValueRef};
pub use records::{Freshness, Materialization, Scope};
pub use schema::{EVENT_TIME, KNOWN_AT, ROW_ID, ViewSchema};
pub use store::{FeatureStore, OnlineOptions};
pub use table::join_timelines;
pub use value::{Value, array_of, arrow_type, declared_type, timestamp};
