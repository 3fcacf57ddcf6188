//! What searches run over: every run and experiment in memory, small.
//!
//! Arithmetic: names of metrics, params and tags are kept once and referred to by number; a run with ten of each takes some
//! 1.5 KB, a hundred thousand of them 150 MB.

mod keys;
mod metrics;
mod row;
mod state;

pub(crate) use keys::{KeyId, Keys};
pub(crate) use metrics::RunMetrics;
pub use row::{ExperimentRow, RunRow};
pub(crate) use state::Index;
