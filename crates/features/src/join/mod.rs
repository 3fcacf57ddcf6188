//! The point-in-time join: each observation gets what was known of its entities at its moment.
//!
//! [`PointInTimeExec`] joins observations with the timeline of one view. Both sides come hash-partitioned by the entity
//! key and sorted by key and time (the engine's sorts spill when memory is short), are merged once, and each observation
//! leaves with its features: rows out are rows in, in the observations' order, so that several views of one entity need one
//! sort of the observations. Held in memory are a few batches, and the rows of one entity in the longest window.
//!
//! Where the observations are few enough to be held in memory, [`gather`] finds the latest rows without sorting anything
//! but them.

mod exec;
mod folding;
mod gather;
mod merge;
mod picks;
mod runs;
mod slots;

pub use exec::{PointInTimeExec, TimelineColumns};
pub(crate) use gather::GatherLatestExec;
