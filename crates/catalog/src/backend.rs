//! The seam: what a database must do to hold the catalog.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    AuditEntry, AuditHead, AuditQuery, AuditVerdict, Change, Committed, Edge, ListQuery, Metric, Result, Seen,
};

/// A document as text, before it is given its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// The sequence number of the change that wrote it last.
    pub version: i64,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it was last written.
    pub updated_at: Timestamp,
    /// JSON.
    pub body: String,
}

/// A database that holds the catalog. The conformance suite of this crate says in tests what these words mean.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Applies changes in order, in one transaction that is durable when this returns. A change whose conditions do
    /// not hold gets an error of its own and leaves nothing behind; the outer error means that none was applied.
    async fn apply(&self, changes: &[Change]) -> Result<Vec<Result<Committed>>>;

    /// Reads one document.
    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>>;

    /// Reads a page of documents.
    async fn list(&self, kind: &str, query: &ListQuery) -> Result<Vec<Record>>;

    /// Reads documents of a kind that come after a place, by version and then id. Those that were deleted are not among
    /// them.
    async fn changed_since(&self, kind: &str, after: &Seen, limit: usize) -> Result<Vec<Record>>;

    /// Counts the documents of a kind, or those of a parent.
    async fn count(&self, kind: &str, parent: Option<&str>) -> Result<u64>;

    /// Reads a run's metrics, ordered by key, step and time.
    async fn metrics(&self, run: &str, key: Option<&str>) -> Result<Vec<Metric>>;

    /// Reads a page of edges in the order of input, output and kind: those after an edge, of one input or of all.
    async fn edges(&self, after: Option<&Edge>, from: Option<&str>, limit: usize) -> Result<Vec<Edge>>;

    /// Reads the edges that end at a node.
    async fn edges_to(&self, node: &str) -> Result<Vec<Edge>>;

    /// Reads the edges that start at a node.
    async fn edges_from(&self, node: &str) -> Result<Vec<Edge>>;

    /// Reads everything a node was made from and everything made from it, up to `depth` edges away.
    async fn lineage(&self, node: &str, depth: u32) -> Result<Vec<Edge>>;

    /// Reads a page of audit entries.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>>;

    /// The end of the audit chain.
    async fn head(&self) -> Result<AuditHead>;

    /// Follows the audit chain from its first entry and holds every document, metric and edge against it, in one snapshot.
    /// With `witness`, a head that was kept elsewhere, also finds a chain that was rewritten or cut off as a whole.
    async fn verify(&self, witness: Option<&AuditHead>) -> Result<AuditVerdict>;

    /// Waits for what is running and lets go of the database.
    async fn close(&self);
}
