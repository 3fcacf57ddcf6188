//! The catalog as other crates use it: typed documents over a [`Backend`].

use std::sync::Arc;

use crate::{
    AuditEntry, AuditHead, AuditQuery, AuditVerdict, Backend, Change, Committed, Document, Edge, Error, ListQuery,
    MAX_PAGE, Metric, Record, Result, Seen, SqliteBackend, Stored, writer::Writer,
};

/// The farthest that [`Catalog::lineage`] looks.
const MAX_LINEAGE_DEPTH: u32 = 64;

/// A handle on the catalog; clones share it.
#[derive(Clone)]
pub struct Catalog {
    backend: Arc<dyn Backend>,
    writer: Writer,
}

impl Catalog {
    /// Opens the catalog at `sqlite:PATH`, or a fresh one in memory at `sqlite::memory:`. Makes the file and its folder
    /// when they do not exist, and brings an older schema up to date. Needs a Tokio runtime, which must outlive it.
    ///
    /// # Errors
    /// When the URL is of no known kind, or the database cannot be opened or was written by a newer release.
    pub async fn open(url: &str) -> Result<Self> {
        Ok(Self::over(Arc::new(SqliteBackend::open(url).await?)))
    }

    /// The catalog over a backend that was opened already.
    #[must_use]
    pub fn over(backend: Arc<dyn Backend>) -> Self {
        let writer = Writer::start(Arc::clone(&backend));
        Self { backend, writer }
    }

    /// Commits a change: its conditions, writes and audit entry, in one transaction that is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a condition does not hold; nothing of the change was then written.
    pub async fn commit(&self, change: Change) -> Result<Committed> {
        change.validate()?;
        self.writer.commit(change).await
    }

    /// Reads a document.
    ///
    /// # Errors
    /// When the database fails, or the document has a shape that this program does not know.
    pub async fn get<D: Document>(&self, id: &str) -> Result<Option<Stored<D>>> {
        self.backend.get(D::KIND, id).await?.map(typed).transpose()
    }

    /// Reads a page of documents.
    ///
    /// # Errors
    /// As [`Self::get`]; [`Error::CursorGone`] when newest first after a document that was deleted.
    pub async fn list<D: Document>(&self, query: ListQuery) -> Result<Vec<Stored<D>>> {
        self.backend.list(D::KIND, &query).await?.into_iter().map(typed).collect()
    }

    /// Reads all documents that a query names, page by page. Between two pages others may write.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub async fn all<D: Document>(&self, mut query: ListQuery) -> Result<Vec<Stored<D>>> {
        let page = query.page().max(1);
        query.limit = Some(page);
        let mut all = Vec::new();
        loop {
            let records = self.backend.list(D::KIND, &query).await?;
            let last_page = records.len() < page;
            query.after = records.last().map(|record| record.id.clone());
            for record in records {
                all.push(typed(record)?);
            }
            if last_page {
                return Ok(all);
            }
        }
    }

    /// Reads a page of the documents of a kind that were written after a place, oldest write first: what a reader that
    /// keeps a copy asks for, starting from [`Seen::default`]. The page says how far it goes. What was deleted is not told.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn changed_since<D: Document>(&self, after: &Seen, limit: usize) -> Result<(Vec<Stored<D>>, Seen)> {
        let records = self.backend.changed_since(D::KIND, after, limit.min(MAX_PAGE)).await?;
        let last = records.last().map(|last| Seen { version: last.version, id: last.id.clone() });
        let documents = records.into_iter().map(typed).collect::<Result<_>>()?;
        Ok((documents, last.unwrap_or_else(|| after.clone())))
    }

    /// Counts the documents of a kind, or those of a parent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count<D: Document>(&self, parent: Option<&str>) -> Result<u64> {
        self.backend.count(D::KIND, parent).await
    }

    /// Reads a run's metrics, or those of one key, ordered by key, step and time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn metrics(&self, run: &str, key: Option<&str>) -> Result<Vec<Metric>> {
        self.backend.metrics(run, key).await
    }

    /// Reads a page of all lineage edges, or of those from one input, ordered by input, output and kind: at most `limit`
    /// (never more than [`MAX_PAGE`](crate::MAX_PAGE)), after the last edge of the page before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edges(&self, after: Option<&Edge>, from: Option<&str>, limit: usize) -> Result<Vec<Edge>> {
        self.backend.edges(after, from, limit.min(crate::MAX_PAGE)).await
    }

    /// Reads what was made from a node.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edges_from(&self, node: &str) -> Result<Vec<Edge>> {
        self.backend.edges_from(node).await
    }

    /// Reads what a node was made from.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn edges_to(&self, node: &str) -> Result<Vec<Edge>> {
        self.backend.edges_to(node).await
    }

    /// Reads everything a node was made from and everything made from it, up to `depth` edges away (at most 64), but
    /// not its siblings.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lineage(&self, node: &str, depth: u32) -> Result<Vec<Edge>> {
        self.backend.lineage(node, depth.min(MAX_LINEAGE_DEPTH)).await
    }

    /// Reads a page of audit entries.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditEntry>> {
        self.backend.audit(&query).await
    }

    /// The end of the audit chain: keep it where the operator of this machine cannot write, and a chain that was cut
    /// off or rewritten later is found by [`Self::verify_audit_against`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit_head(&self) -> Result<AuditHead> {
        self.backend.head().await
    }

    /// Follows the audit chain from its first entry, and holds every document, metric and edge against the change that
    /// wrote it.
    ///
    /// # Errors
    /// When the database fails. A broken chain is a verdict, not an error.
    pub async fn verify_audit(&self) -> Result<AuditVerdict> {
        self.backend.verify(None).await
    }

    /// As [`Self::verify_audit`], and checks that the chain still holds a head that was kept elsewhere.
    ///
    /// # Errors
    /// As [`Self::verify_audit`].
    pub async fn verify_audit_against(&self, witness: &AuditHead) -> Result<AuditVerdict> {
        self.backend.verify(Some(witness)).await
    }

    /// Waits for running reads and writes and lets go of the database. Later calls fail.
    pub async fn close(&self) {
        self.backend.close().await;
    }
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

fn typed<D: Document>(record: Record) -> Result<Stored<D>> {
    let document = serde_json::from_str(&record.body).map_err(|error| Error::Unreadable {
        kind: D::KIND.into(),
        id: record.id.clone(),
        reason: error.to_string(),
    })?;
    Ok(Stored { version: record.version, created_at: record.created_at, updated_at: record.updated_at, document })
}
