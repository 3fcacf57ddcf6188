//! Searching runs: conditions that must all hold, an order, a page.
//!
//! Arithmetic: a hundred thousand runs are a hundred thousand tests of some 100 ns each, mostly waits for memory, and the
//! page is chosen from those that pass without sorting them all.

mod order;
mod page;
mod query;
mod test;
#[cfg(test)]
mod tests;

pub use order::{Cursor, OrderKey, RunOrder, SortValue};
pub use page::FoundRuns;
pub use query::{DatasetField, NumberField, RunClause, RunQuery, StageView, TextField};
pub use test::{NumberTest, Pattern, TextTest};
