//! SQL for a caller: what somebody may read of the lake and of the catalog, as the tables of one query engine.
//!
//! A statement comes in as text and goes out as a stream of record batches:
//!
//! 1. `statement` bounds it, and refuses what is no query; `clauses` what the engine would pass over;
//! 2. `reader` gives it tables: each one that it names asks the policy, is pinned to a version, and comes without the
//!    columns that tell of persons, unless the caller may read those;
//! 3. `engine` plans and runs it on threads of its own, under the lake's memory pool, one batch at a time;
//! 4. `result` counts the rows against the caller's limit and casts what clients do not know.
//!
//! Besides the lake's tables there are those of [`platform`]: runs, metrics, models, audit, as views of the catalog; and
//! `information_schema`, which lists what the caller may read.

mod clauses;
mod engine;
mod error;
mod giving_way;
mod information;
mod limits;
mod listing;
mod parameters;
pub mod platform;
mod reader;
mod result;
mod statement;

pub use engine::{Planned, QUERY_TIME_MAX, Queries, QueryId, Rows};
pub use error::{Error, Result};
pub use limits::RowLimits;
pub use listing::{CATALOG, Listed, TableKind, schemas};
pub use parameters::Parameters;
