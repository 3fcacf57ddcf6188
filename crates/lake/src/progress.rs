//! How far long work is.

/// Told how far long work is, in rows.
pub trait Progress: Send + Sync {
    /// There will be so many rows in all.
    fn total(&self, rows: u64);
    /// So many more rows are done.
    fn advance(&self, rows: u64);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn total(&self, _rows: u64) {}
    fn advance(&self, _rows: u64) {}
}
