//! Ingest: files become rows of a versioned table, each judged on its way.
//!
//! In come the files that a source names (CSV, JSON lines, Parquet; a path, a glob or a URL) and its declaration; out go
//! a table `sources.<name>`, a table `quarantine.<name>` of the rows that broke a rule (with file, row number, every
//! rule and the row as it was), a [`TableVersion`] with a [`Profile`] in the catalog, and an [`IngestReport`].
//!
//! What it promises:
//! - **A file lands whole or not at all**: one Delta commit each. A file that is truncated, or has other columns than
//!   declared, is refused with the reason; a bad row costs that row.
//! - **The same content lands once**, also when the process is killed between the lake's commit and the catalog's.
//! - **The table is what the declaration makes of the files**: when columns, key or derived columns are declared otherwise,
//!   all files are read again into one new version, or nothing is touched and the reason is told.
//! - **Every row is accounted for**: rows read are those landed, superseded by a later row of their key, quarantined and
//!   dropped, together.
//! - **Nothing is lost in a cast**: `5.0` is the integer 5, `5.5` breaks the row.
//!
//! Rows that clients push are judged by the same rules ([`judge_pushed`]). [`infer`] goes the other way: from a file to the declaration, and to a whole project that trains and serves.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod cast;
mod check;
mod content;
mod documents;
mod dry_run;
mod error;
mod expression;
pub mod feast;
mod file;
pub mod infer;
mod ingestor;
mod judge;
mod judged;
mod keys;
mod known;
mod landing;
mod plan;
mod profile;
mod profiler;
mod pushed;
mod quarantine;
mod read;
mod reading;
mod report;
mod reread;
mod sink;
#[cfg(test)]
mod tests;
mod types;

pub use documents::{FileState, IngestedFile, JudgedTable, TableVersion};
pub use dry_run::dry_run;
pub use error::{Error, Result};
pub use ingestor::{Hook, Ingestor, quarantine_name, table_name};
pub use profile::{ColumnProfile, ColumnSketch, Histogram, Profile, Quantile, Sketch, TopValue};
pub use pushed::{judge_pushed, make_pushed_table, pushed_app};
pub use report::{CheckResult, FileOutcome, FileReport, IngestReport};
pub use types::{arrow_type, column_type, table_schema};
