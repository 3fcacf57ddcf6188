//! The online side: tails of timelines in a key-value store, how they get there, and how a request is answered from them.

mod codec;
#[cfg(test)]
mod conformance;
mod fjall;
mod materialize;
mod none;
mod reader;
mod rows;
mod store;
mod tails;

pub use fjall::FjallStore;
pub use materialize::MaterializeReport;
pub(crate) use materialize::{column, moment};
pub(crate) use none::NoStore;
pub use reader::{FeatureRows, MissReason, Missed, OnlineReader, RequestRows};
pub(crate) use rows::Rows;
pub use store::{OnlineChange, OnlineStore, RowKey, TailRow};
pub use tails::{OnlineState, OnlineViews, ViewTails};
pub(crate) use tails::{read_state, space};
