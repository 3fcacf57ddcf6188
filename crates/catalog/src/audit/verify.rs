//! Following the chain: is every entry, document, metric and edge what was once written?

use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;

use super::chain::body_digest;
use super::entry::GENESIS;
use super::rows::{EdgeCheck, MetricCheck, Sealed};
use super::{AuditHead, AuditRow, EdgeRow, MetricRow};

/// How many places are tried to tell a moved entry from an altered one; a million hashes take about a second.
const MAX_PLACES_TRIED: i64 = 1_000_000;

/// What following the audit chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Every entry stands where it was written, every document is as its last change left it, and every metric and edge as
    /// it was written.
    Intact {
        /// The end of the chain.
        head: AuditHead,
        /// How many documents were held against it.
        documents: u64,
        /// How many lineage edges were.
        #[serde(default)]
        edges: u64,
        /// How many metrics were.
        #[serde(default)]
        metrics: u64,
    },
    /// The first thing that is wrong.
    Broken {
        /// What it is.
        fault: Fault,
        /// The last entry up to which the chain is whole; 0 when already the first is wrong.
        whole_until: i64,
    },
}

impl AuditVerdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        matches!(self, Self::Intact { .. })
    }
}

impl std::fmt::Display for AuditVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Intact { head, documents, edges, metrics } => write!(
                f,
                "the audit log is whole: {} entries, {documents} documents, {edges} edges, {metrics} metrics, head {}",
                head.seq, head.hash
            ),
            Self::Broken { fault, whole_until } => {
                write!(f, "the audit log was tampered with: {fault}; it is whole up to entry {whole_until}")
            }
        }
    }
}

/// What is wrong with an audit log. Entries are named by their sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The entry does not have the hash it was written with.
    #[error("entry {seq} was altered")]
    Altered {
        /// The entry.
        seq: i64,
    },
    /// The entry was rewritten together with its hash; the one after it shows what it was.
    #[error("entry {seq} was rewritten together with its hash")]
    Rewritten {
        /// The entry.
        seq: i64,
    },
    /// There is no such entry.
    #[error("entry {seq} is missing")]
    Missing {
        /// The entry.
        seq: i64,
    },
    /// Another entry was moved to this place.
    #[error("entries were reordered: at {seq} stands the entry written as {written_as}")]
    Moved {
        /// The place.
        seq: i64,
        /// The number under which the entry that stands there was written.
        written_as: i64,
    },
    /// The last entries are gone.
    #[error("entries {} to {last} were cut off the end", ends_at + 1)]
    CutOff {
        /// The last entry that is there.
        ends_at: i64,
        /// The last entry that was written.
        last: i64,
    },
    /// An entry that no change wrote.
    #[error("entry {seq} was added by hand")]
    Added {
        /// The entry.
        seq: i64,
    },
    /// The chain is whole in itself, but is not the one whose head was kept elsewhere.
    #[error("the chain was rewritten: its entry {seq} is not the one whose hash was kept elsewhere")]
    NotWitnessed {
        /// The entry of the head kept elsewhere.
        seq: i64,
    },
    /// A document differs from what its last change wrote.
    #[error("{kind} `{id}` was altered outside of mainspring since entry {seq} wrote it")]
    DocumentAltered {
        /// The kind of the document.
        kind: String,
        /// Its id.
        id: String,
        /// The change that wrote it last.
        seq: i64,
    },
    /// A document that a change wrote, and none deleted, is gone.
    #[error("{kind} `{id}`, written by entry {seq}, was deleted outside of mainspring")]
    DocumentMissing {
        /// The kind of the document.
        kind: String,
        /// Its id.
        id: String,
        /// The change that wrote it last.
        seq: i64,
    },
    /// A document that no change wrote.
    #[error("{kind} `{id}` was added outside of mainspring")]
    DocumentAdded {
        /// The kind of the document.
        kind: String,
        /// Its id.
        id: String,
    },
    /// The metrics of an entry differ from what it wrote.
    #[error("a metric that entry {seq} wrote for {subject} was altered outside of mainspring")]
    MetricsAltered {
        /// What the entry is about.
        subject: String,
        /// The entry.
        seq: i64,
    },
    /// Metrics that an entry wrote are gone.
    #[error("a metric that entry {seq} wrote for {subject} was deleted outside of mainspring")]
    MetricsMissing {
        /// What the entry is about.
        subject: String,
        /// The entry.
        seq: i64,
    },
    /// A metric that no change wrote.
    #[error("metric `{key}` of run `{run}` at step {step} was added outside of mainspring")]
    MetricAdded {
        /// The run.
        run: String,
        /// The metric's name.
        key: String,
        /// The iteration.
        step: i64,
    },
    /// The edges of an entry differ from those that it added.
    #[error("a lineage edge that entry {seq} wrote for {subject} was altered outside of mainspring")]
    EdgesAltered {
        /// What the entry is about.
        subject: String,
        /// The entry.
        seq: i64,
    },
    /// Edges that an entry added are gone.
    #[error(
        "of {written} lineage edges that entry {seq} wrote for {subject}, {found} are left; the others were deleted outside of mainspring"
    )]
    EdgesMissing {
        /// What the entry is about.
        subject: String,
        /// The entry.
        seq: i64,
        /// How many it added.
        written: u64,
        /// How many there are.
        found: u64,
    },
    /// Edges are said to be of an entry that did not write them.
    #[error(
        "entry {seq} wrote {written} lineage edges for {subject}, and there are {found}; the others were added outside of mainspring"
    )]
    EdgesAdded {
        /// What the entry is about.
        subject: String,
        /// The entry.
        seq: i64,
        /// How many it added.
        written: u64,
        /// How many there are.
        found: u64,
    },
    /// An edge that no change wrote.
    #[error("the lineage edge from `{from}` to `{to}` ({kind}) was added outside of mainspring")]
    EdgeAdded {
        /// The input.
        from: String,
        /// The output.
        to: String,
        /// What joins them.
        kind: String,
    },
}

/// Is fed all entries in order, then all documents, metrics and edges, of one snapshot.
///
/// Keeps the digest of every document that should exist, about 200 bytes each, and of every entry that wrote metrics or
/// edges, about 150.
pub(crate) struct Verifier {
    followed: AuditHead,
    stored_head: AuditHead,
    witness: Option<AuditHead>,
    documents: HashMap<(String, String), Written>,
    documents_seen: u64,
    metrics: MetricCheck,
    edges: EdgeCheck,
}

struct Written {
    seq: i64,
    sha256: String,
}

/// One item of an entry's `changes`.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Item {
    Put {
        kind: String,
        id: String,
        sha256: String,
    },
    Delete {
        kind: String,
        id: String,
    },
    /// All that the change said: those that were there before are of an earlier entry.
    Edges {},
    AddedEdges {
        count: u64,
        sha256: String,
    },
    Metrics {
        count: u64,
        sha256: String,
    },
}

impl Verifier {
    pub(crate) fn new(stored_head: AuditHead, witness: Option<AuditHead>) -> Self {
        Self {
            followed: AuditHead::empty(),
            stored_head,
            witness,
            documents: HashMap::new(),
            documents_seen: 0,
            metrics: MetricCheck::new(),
            edges: EdgeCheck::new(),
        }
    }

    /// The verdict for a fault found by, or while feeding, this.
    pub(crate) fn broken(&self, fault: Fault) -> AuditVerdict {
        let whole_until = match &fault {
            // The entry before the one that does not fit is not to be trusted.
            Fault::Rewritten { seq } => seq - 1,
            _ => self.followed.seq,
        };
        AuditVerdict::Broken { fault, whole_until }
    }

    /// The number that the next entry must have.
    pub(crate) fn next_seq(&self) -> i64 {
        self.followed.seq + 1
    }

    /// Takes the next entry.
    pub(crate) fn entry(&mut self, row: &AuditRow) -> Result<(), Fault> {
        let seq = self.next_seq();
        if row.seq > seq {
            return Err(Fault::Missing { seq });
        }
        if row.seq < seq {
            return Err(Fault::Added { seq: row.seq });
        }
        if row.hash_at(seq) != row.hash {
            return Err(match self.place_of(row) {
                Some(written_as) => Fault::Moved { seq, written_as },
                None => Fault::Altered { seq },
            });
        }
        if row.prev_hash != self.followed.hash {
            // The entry is sound in itself, so what it stands on is not what it once was.
            return Err(if seq == 1 { Fault::Altered { seq } } else { Fault::Rewritten { seq: seq - 1 } });
        }
        if let Some(witness) = &self.witness
            && witness.seq == seq
            && witness.hash != row.hash
        {
            return Err(Fault::NotWitnessed { seq });
        }
        self.replay(row)?;
        self.followed = AuditHead { seq, hash: row.hash.clone() };
        Ok(())
    }

    fn place_of(&self, row: &AuditRow) -> Option<i64> {
        (1..=self.stored_head.seq.min(MAX_PLACES_TRIED)).find(|&seq| row.hash_at(seq) == row.hash)
    }

    fn replay(&mut self, row: &AuditRow) -> Result<(), Fault> {
        let items: Vec<Item> = serde_json::from_str(&row.changes).map_err(|_| Fault::Altered { seq: row.seq })?;
        let sealed = |count, sha256| Sealed { seq: row.seq, subject: row.subject.clone(), count, sha256 };
        for item in items {
            match item {
                Item::Put { kind, id, sha256 } => {
                    self.documents.insert((kind, id), Written { seq: row.seq, sha256 });
                }
                Item::Delete { kind, id } => {
                    self.documents.remove(&(kind, id));
                }
                Item::Edges {} => {}
                Item::AddedEdges { count, sha256 } => self.edges.expect(sealed(count, sha256)),
                Item::Metrics { count, sha256 } => self.metrics.expect(sealed(count, sha256)),
            }
        }
        Ok(())
    }

    /// Says that there are no more entries.
    pub(crate) fn end_of_entries(&self) -> Result<(), Fault> {
        let (ends_at, last) = (self.followed.seq, self.stored_head.seq);
        let witnessed = self.witness.as_ref().map_or(0, |witness| witness.seq);
        if ends_at < last.max(witnessed) {
            return Err(Fault::CutOff { ends_at, last: last.max(witnessed) });
        }
        if ends_at > last {
            return Err(Fault::Added { seq: last + 1 });
        }
        if self.followed.hash != self.stored_head.hash {
            return Err(if ends_at == 0 { Fault::Altered { seq: 0 } } else { Fault::Rewritten { seq: ends_at } });
        }
        let genesis_forged = self.witness.as_ref().is_some_and(|head| head.seq <= 0 && head.hash != GENESIS);
        if genesis_forged { Err(Fault::NotWitnessed { seq: 0 }) } else { Ok(()) }
    }

    /// Takes a document that exists.
    pub(crate) fn document(&mut self, kind: &str, id: &str, version: i64, body: &[u8]) -> Result<(), Fault> {
        self.documents_seen += 1;
        let (kind, id) = (kind.to_owned(), id.to_owned());
        match self.documents.remove(&(kind.clone(), id.clone())) {
            None => Err(Fault::DocumentAdded { kind, id }),
            Some(written) if written.seq != version || written.sha256 != body_digest(body) => {
                Err(Fault::DocumentAltered { kind, id, seq: written.seq })
            }
            Some(_) => Ok(()),
        }
    }

    /// Says that there are no more documents.
    pub(crate) fn end_of_documents(&self) -> Result<(), Fault> {
        let first_missing = self.documents.iter().min_by_key(|(name, written)| (written.seq, (*name).clone()));
        match first_missing {
            Some(((kind, id), written)) => {
                Err(Fault::DocumentMissing { kind: kind.clone(), id: id.clone(), seq: written.seq })
            }
            None => Ok(()),
        }
    }

    /// Takes the next metric in the order of writing; none when its row cannot be read.
    pub(crate) fn metric(&mut self, row: Option<&MetricRow>) -> Result<(), Fault> {
        match row {
            Some(row) => self.metrics.take(row),
            None => Err(self.metrics.unreadable()),
        }
    }

    /// Takes the next edge in the order of the entries that added them; none when its row cannot be read.
    pub(crate) fn edge(&mut self, row: Option<&EdgeRow>) -> Result<(), Fault> {
        match row {
            Some(row) => self.edges.take(row),
            None => Err(self.edges.unreadable()),
        }
    }

    /// Says that there is no more of anything.
    pub(crate) fn end(&mut self) -> Result<AuditVerdict, Fault> {
        let metrics = self.metrics.end()?;
        let edges = self.edges.end()?;
        Ok(AuditVerdict::Intact { head: self.followed.clone(), documents: self.documents_seen, edges, metrics })
    }
}
