//! Edges and metrics come in numbers: of them an entry holds how many there were, and one digest over all.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Edge;

/// Counts and digests things that come in numbers.
#[derive(Clone)]
pub(crate) struct Tally {
    count: u64,
    hasher: Sha256,
}

impl Tally {
    /// Of the edges that a change says, in its order, whether they are new or not.
    pub(super) fn edges() -> Self {
        Self::of(b"mainspring.audit.edges.v1\0")
    }

    /// Of the edges that were not there before, in the order of input, output and kind.
    pub(crate) fn added_edges() -> Self {
        Self::of(b"mainspring.audit.added_edges.v1\0")
    }

    /// Of metrics, in the order in which they are written.
    pub(super) fn metrics() -> Self {
        Self::of(b"mainspring.audit.metrics.v1\0")
    }

    fn of(domain: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain);
        Self { count: 0, hasher }
    }

    pub(super) fn edge(&mut self, edge: &Edge) {
        self.add(&json!([edge.from, edge.to, edge.kind]));
    }

    pub(crate) fn added_edge(&mut self, edge: &Edge, at: i64) {
        self.add(&json!([edge.from, edge.to, edge.kind, at]));
    }

    pub(super) fn metric(&mut self, run: &str, key: &str, step: i64, bits: u64, at: i64) {
        self.add(&json!([run, key, step, bits, at]));
    }

    fn add(&mut self, item: &Value) {
        self.count += 1;
        self.hasher.update(item.to_string().as_bytes());
        self.hasher.update(b"\n");
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The digest, in hexadecimal.
    pub(super) fn sha256(self) -> String {
        hex::encode(self.hasher.finalize())
    }

    /// Says it in an entry's `changes`, where there was anything.
    pub(super) fn finish(self, what: &str, items: &mut Vec<Value>) {
        if self.count > 0 {
            items.push(json!({"do": what, "count": self.count, "sha256": self.sha256()}));
        }
    }
}
