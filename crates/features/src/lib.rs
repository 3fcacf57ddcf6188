//! Features.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod backfill;
mod base;
mod check;
mod error;
mod fold;
mod identity;
mod join;
mod key;
mod online;
mod plan;
mod records;
mod schema;
mod store;
mod table;
mod value;

pub use backfill::BackfillReport;
pub use check::{CheckReport, MISMATCHES_SHOWN, Mismatch};
pub use error::{Error, Result};
pub use fold::{Fold, LatestFold, Tail, WindowFold};
pub use join::{PointInTimeExec, TimelineColumns};
pub use online::{
    FeatureRows, FjallStore, MaterializeReport, MissReason, Missed, OnlineChange, OnlineReader, OnlineState,
    OnlineStore, OnlineViews, RequestRows, RowKey, TailRow, ViewTails,
};
pub use plan::{FeaturePlan, From, Output, ViewUse, stored_views};
pub use records::{Freshness, Materialization, Scope};
pub use schema::{EVENT_TIME, KNOWN_AT, ROW_ID, ViewSchema};
pub use store::{FeatureStore, OnlineOptions};
pub use value::{Value, array_of, arrow_type, declared_type, timestamp};
