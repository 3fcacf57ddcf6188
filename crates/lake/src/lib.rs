//! The lake: versioned tables on object storage, and the engine that queries them.
//!
//! Tables are Delta Lake tables under `ROOT/schema/table`, so that other tools read them where they lie. Writers stream:
//! data files are written as rows come, and one Delta commit makes all of them visible, or none. A [`WriteId`] is a Delta
//! transaction identifier: the same write lands once, however often it is tried. Readers name a version, a time or the
//! latest state ([`At`]).
//!
//! Queries run in DataFusion under one bounded memory pool; what does not fit is spilled to disk. SQL functions, which know
//! no pool, refuse to make more than a bound of one batch (`functions`).
//!
//! A write goes through three rooms: `reshape` brings rows into the columns that the table stores, `stage` writes them to
//! data files that nothing refers to, `commit` makes those visible with one log entry. Changes of rows that are there
//! (`rewrite`) and compaction (`maintain`) only choose what is staged and what is removed. A read has two: `state` knows
//! the files of a version, `scan` reads them as plain Parquet.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")
)]

mod blueprint;
mod commit;
mod config;
mod durable;
mod encoding;
mod error;
mod expression;
mod functions;
mod history;
mod lake;
mod maintain;
mod name;
mod progress;
mod read;
mod reshape;
mod resolve;
mod rewrite;
mod root;
mod scan;
mod show;
mod stage;
mod state;
mod statistics;
#[cfg(test)]
mod tests;
mod unfinished;
mod write;

pub use blueprint::{Blueprint, unknown_name};
pub use config::{LakeConfig, default_memory_bytes, parse_memory};
pub use error::{Error, Result, query_may_pass};
pub use expression::compile_expression;
pub use history::TableHistory;
pub use lake::Lake;
pub use maintain::{MaintainOptions, MaintainReport, TableMaintained};
pub use name::{SCHEMAS, TableName};
pub use progress::{NoProgress, Progress};
pub use read::{At, TableStatistics};
pub use show::described;
pub use write::{Committed, WriteId, stream_of};
