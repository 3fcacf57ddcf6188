//! The seam: what an online store must do.

use std::sync::Arc;

use crate::error::Result;
use crate::push::Turns;

/// The place of a row in an entity's tail. Ordered as rows are folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// When the fact happened, in microseconds.
    pub event_time: i64,
    /// When the fact became known, in microseconds.
    pub known_at: i64,
    /// What tells rows of equal times apart.
    pub row_id: i64,
}

/// A row of an entity's tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailRow {
    /// Its place.
    pub key: RowKey,
    /// The payload, encoded.
    pub payload: Vec<u8>,
}

/// One thing written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnlineChange {
    /// Puts a row into an entity's tail; a row of the same place is replaced.
    Put {
        /// The entity's key.
        entity: Vec<u8>,
        /// The row.
        row: TailRow,
    },
    /// Takes a row away. It may be missing.
    Delete {
        /// The entity's key.
        entity: Vec<u8>,
        /// The row's place.
        key: RowKey,
    },
}

/// Keeps the tails of entities' timelines.
///
/// Rows live in *spaces*, one a view and generation, so that a view can be written anew beside the one that is being read.
/// Besides, a store keeps small *notes* by name, such as how far a view is materialised. An implementation passes
/// [`conformance`](super::conformance).
pub trait OnlineStore: Send + Sync + 'static {
    /// Writes rows of a space, and a note, in one atomic step: after a crash all of them are there or none.
    ///
    /// # Errors
    /// When the store fails.
    fn write(&self, space: &str, changes: Vec<OnlineChange>, note: Option<(&str, &[u8])>) -> Result<()> {
        self.write_all(vec![(space, changes)], note.as_slice())
    }

    /// Writes rows of several spaces, and notes, in one atomic step.
    ///
    /// # Errors
    /// When the store fails.
    fn write_all(&self, writes: Vec<(&str, Vec<OnlineChange>)>, notes: &[(&str, &[u8])]) -> Result<()>;

    /// The rows of an entity in order.
    ///
    /// # Errors
    /// When the store fails.
    fn tail(&self, space: &str, entity: &[u8]) -> Result<Vec<TailRow>>;

    /// Visits all rows of a space, entity by entity, each entity's rows in order.
    ///
    /// # Errors
    /// When the store or the visitor fails.
    fn scan(&self, space: &str, visit: &mut dyn FnMut(&[u8], TailRow) -> Result<()>) -> Result<()>;

    /// Takes away all rows of a space.
    ///
    /// # Errors
    /// When the store fails.
    fn clear(&self, space: &str) -> Result<()>;

    /// A note.
    ///
    /// # Errors
    /// When the store fails.
    fn note(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Takes a note away. It may be missing.
    ///
    /// # Errors
    /// When the store fails.
    fn forget(&self, name: &str) -> Result<()>;

    /// Whose turn it is to write.
    fn turns(&self) -> &Arc<Turns>;

    /// Returns when everything written so far would survive a loss of power.
    ///
    /// # Errors
    /// When the store fails.
    fn persist(&self) -> Result<()>;
}
