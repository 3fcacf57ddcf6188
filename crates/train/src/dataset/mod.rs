//! The training set: observations, joined with features as they were known at their moment, parted, and written to a table
//! of their own. Training reads that table back at the version written, so what a version learned from can be read again.

mod build;
mod load;
mod observe;
mod split;

pub(crate) use build::{Built, build};
pub(crate) use load::{Loaded, Parts, champion_metrics, load};
pub(crate) use observe::Query;

/// The column that says which part a row is in: `train`, `validation`, `test` or `purged`.
pub const SPLIT_COLUMN: &str = "__split";
/// The label: a truth, a text or a number, by task.
pub const LABEL_COLUMN: &str = "__label";
/// The moment of the prediction; null when rows have no time.
pub const AT_COLUMN: &str = "__at";
/// When the label became known; null when rows have no time.
pub const LABEL_KNOWN_AT_COLUMN: &str = "__label_known_at";
/// A hash of what names the row; gives rows a lasting order.
pub const ROW_COLUMN: &str = "__row";
