//! Following the chain: is every entry, and every document, what was once written?

use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;

use super::chain::body_digest;
use super::entry::GENESIS;
use super::{AuditHead, AuditRow};

/// How many places are tried to tell a moved entry from an altered one; a million hashes take about a second.
const MAX_PLACES_TRIED: i64 = 1_000_000;

/// What following the audit chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum AuditVerdict {
    /// Every entry stands where it was written, and every document is as its last change left it.
    Intact {
        /// The end of the chain.
        head: AuditHead,
        /// How many documents were held against it.
        documents: u64,
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
            Self::Intact { head, documents } => {
                write!(f, "the audit log is whole: {} entries, {documents} documents, head {}", head.seq, head.hash)
            }
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
}

/// Is fed all entries in order, then all documents, of one snapshot.
///
/// Keeps the digest of every document that should exist: about 200 bytes each.
pub(crate) struct Verifier {
    followed: AuditHead,
    stored_head: AuditHead,
    witness: Option<AuditHead>,
    documents: HashMap<(String, String), Written>,
    documents_seen: u64,
}

struct Written {
    seq: i64,
    sha256: String,
}

/// One item of an entry's `changes`.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum Item {
    Put { kind: String, id: String, sha256: String },
    Delete { kind: String, id: String },
    Edges {},
    Metrics {},
}

impl Verifier {
    pub(crate) fn new(stored_head: AuditHead, witness: Option<AuditHead>) -> Self {
        Self { followed: AuditHead::empty(), stored_head, witness, documents: HashMap::new(), documents_seen: 0 }
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
        for item in items {
            match item {
                Item::Put { kind, id, sha256 } => {
                    self.documents.insert((kind, id), Written { seq: row.seq, sha256 });
                }
                Item::Delete { kind, id } => {
                    self.documents.remove(&(kind, id));
                }
                Item::Edges {} | Item::Metrics {} => {}
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
    pub(crate) fn end_of_documents(self) -> AuditVerdict {
        let first_missing = self.documents.iter().min_by_key(|(name, written)| (written.seq, (*name).clone()));
        match first_missing {
            Some(((kind, id), written)) => {
                self.broken(Fault::DocumentMissing { kind: kind.clone(), id: id.clone(), seq: written.seq })
            }
            None => AuditVerdict::Intact { head: self.followed, documents: self.documents_seen },
        }
    }
}
