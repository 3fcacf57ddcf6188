//! The catalog in SQLite: WAL, `synchronous=FULL`, one writing connection and a few reading ones.
//!
//! Arithmetic: a commit is one sync of the log, 0.1 ms on a good disk to 10 ms on a bad one; a statement is a hop to
//! the connection's thread and back, about 20 µs. A change of one document is four statements; a batch of 256 such
//! changes is 20 ms of statements and one sync.

mod apply;
mod failure;
#[cfg(test)]
mod forged_rows;
mod migrate;
mod open;
mod read;
#[cfg(test)]
mod tamper;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::atomic::AtomicBool;

use async_trait::async_trait;
use sqlx::SqlitePool;

use crate::{
    AuditEntry, AuditHead, AuditQuery, AuditVerdict, Backend, Change, Committed, Edge, ListQuery, Metric, Record,
    Result, Seen,
};

/// The catalog in an SQLite database.
pub struct SqliteBackend {
    /// One connection, so that writes of this process never wait for a lock that it holds itself.
    writer: SqlitePool,
    /// The same pool as the writer's when the database is in memory.
    readers: SqlitePool,
    /// Set when a write or sync failed at the disk: what is there is then unknown until the log is recovered.
    poisoned: AtomicBool,
}

#[async_trait]
impl Backend for SqliteBackend {
    async fn apply(&self, changes: &[Change]) -> Result<Vec<Result<Committed>>> {
        self.apply_batch(changes).await
    }

    async fn get(&self, kind: &str, id: &str) -> Result<Option<Record>> {
        read::get(&self.readers, kind, id).await
    }

    async fn list(&self, kind: &str, query: &ListQuery) -> Result<Vec<Record>> {
        read::list(&self.readers, kind, query).await
    }

    async fn changed_since(&self, kind: &str, after: &Seen, limit: usize) -> Result<Vec<Record>> {
        read::changed_since(&self.readers, kind, after, limit).await
    }

    async fn count(&self, kind: &str, parent: Option<&str>) -> Result<u64> {
        read::count(&self.readers, kind, parent).await
    }

    async fn metrics(&self, run: &str, key: Option<&str>) -> Result<Vec<Metric>> {
        read::metrics(&self.readers, run, key).await
    }

    async fn edges(&self, after: Option<&Edge>, from: Option<&str>, limit: usize) -> Result<Vec<Edge>> {
        read::edge_page(&self.readers, after, from, limit).await
    }

    async fn edges_to(&self, node: &str) -> Result<Vec<Edge>> {
        read::edges(&self.readers, include_str!("sql/edges_to.sql"), node).await
    }

    async fn edges_from(&self, node: &str) -> Result<Vec<Edge>> {
        read::edges(&self.readers, include_str!("sql/edges_from.sql"), node).await
    }

    async fn lineage(&self, node: &str, depth: u32) -> Result<Vec<Edge>> {
        read::lineage(&self.readers, node, depth).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEntry>> {
        read::audit(&self.readers, query).await
    }

    async fn head(&self) -> Result<AuditHead> {
        read::head(&self.readers).await
    }

    async fn verify(&self, witness: Option<&AuditHead>) -> Result<AuditVerdict> {
        verify::verify(&self.readers, witness).await
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}
