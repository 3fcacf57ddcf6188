//! Watches what an endpoint is asked and answers.
//!
//! Comes in: the prediction log `predictions.<endpoint>`, the training set `training.<model>` of the version that
//! answered, and labels as they become known: from the model's own source, joined by the observation's key, or pushed to
//! `monitoring.labels` by prediction or by key. Goes out: a [`WindowReport`] for each monitor, calendar window and model
//! version, and [`Alert`]s that open when a bound breaks and resolve when it holds again.
//!
//! Three promises:
//! - **Statistics are SciPy's**, to 1e-9, where the rows of a column fit in memory; where they do not, they come from
//!   sketches with a tested bound, and the report says so ([`drift`]).
//! - **The same inputs give the same report**: [`Watch::evaluate`] computes what is new or has changed and nothing else.
//! - **One broken bound is one alert**, however many windows break it and however often they are evaluated.
//!
//! Queries run in the lake's engine, which spills; what is held here is bounded by constants beside the code.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod alert;
pub mod drift;
mod error;
mod evaluate;
mod label;
mod metrics;
mod report;
mod sql;
mod watch;
mod window;

pub use alert::{Alert, AlertState, Event, JudgedSubject, JudgedSubjects, Signature, Subject, transition};
pub use error::{Error, Result};
pub use label::{LABELS_MAX, LabelsPushed, PushedLabel, StoredLabel};
pub use metrics::WatchMetrics;
pub use report::{
    Bound, ColumnReport, Inputs, Judgement, Performance, Reference, Role, Rule, Traffic, WindowHistograms, WindowReport,
};
pub use watch::{AlertQuery, ReportQuery, Watch};
pub use window::window_of;
