//! An audit entry: as it is stored, hashed and shown.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Error, MAX_PAGE, Outcome, Principal, PrincipalKind, Result};

/// What the hash of the first entry stands on.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const DOMAIN: &[u8] = b"mainspring.audit.entry.v1\0";

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// When the change was committed; never before the entry before it.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Who did it.
    pub principal: Principal,
    /// What was done: `model.promote`.
    pub action: String,
    /// To what: `model:arrival_delay`.
    pub subject: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What else the doer said, for example the reason.
    pub detail: Value,
    /// What was written: the documents with their SHA-256, and how many edges and metrics with theirs.
    pub changes: Value,
    /// The hash of the entry before; 64 zeros for the first.
    pub prev_hash: String,
    /// The hash of this entry, in hexadecimal.
    pub hash: String,
}

/// The end of the chain at some moment. Kept elsewhere, it proves later that nothing up to it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditHead {
    /// How many entries there were.
    pub seq: i64,
    /// The hash of the last; 64 zeros when there was none.
    pub hash: String,
}

impl AuditHead {
    pub(crate) fn empty() -> Self {
        Self { seq: 0, hash: GENESIS.into() }
    }
}

/// Which audit entries to read; newest first. The default is all, up to [`MAX_PAGE`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those about this subject.
    pub subject: Option<String>,
    /// Only those by a principal of this name.
    pub principal: Option<String>,
    /// Only those whose action is this, or starts with this and a dot: `model` finds `model.promote`.
    pub action: Option<String>,
    /// Only those before this sequence number: the last one of the page before.
    pub before: Option<i64>,
    /// At most so many; never more than [`MAX_PAGE`].
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Entries about a subject.
    #[must_use]
    pub fn about(subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..Self::default() }
    }

    /// At most so many.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn page(&self) -> usize {
        self.limit.unwrap_or(MAX_PAGE).min(MAX_PAGE)
    }
}

/// An entry as it is stored, every field as the text or number that the hash covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditRow {
    pub seq: i64,
    pub at: i64,
    pub principal_kind: String,
    pub principal: String,
    pub action: String,
    pub subject: String,
    pub outcome: String,
    pub detail: String,
    pub changes: String,
    pub prev_hash: String,
    pub hash: String,
}

impl AuditRow {
    /// The hash that the row's fields ask for, if it stood at `seq`.
    pub(crate) fn hash_at(&self, seq: i64) -> String {
        // The keys stand in alphabetical order, so the text is canonical however maps are ordered.
        let fields = json!({
            "action": self.action,
            "at": self.at,
            "changes": self.changes,
            "detail": self.detail,
            "outcome": self.outcome,
            "prev_hash": self.prev_hash,
            "principal": self.principal,
            "principal_kind": self.principal_kind,
            "seq": seq,
            "subject": self.subject,
        });
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(fields.to_string().as_bytes());
        hex::encode(hasher.finalize())
    }

    pub(crate) fn entry(self) -> Result<AuditEntry> {
        let unreadable =
            |reason: String| Error::Unreadable { kind: "audit entry".into(), id: self.seq.to_string(), reason };
        let kind = PrincipalKind::parse(&self.principal_kind)
            .ok_or_else(|| unreadable(format!("`{}` is no kind of principal", self.principal_kind)))?;
        let outcome =
            Outcome::parse(&self.outcome).ok_or_else(|| unreadable(format!("`{}` is no outcome", self.outcome)))?;
        let at = Timestamp::from_microsecond(self.at).map_err(|error| unreadable(error.to_string()))?;
        let detail = serde_json::from_str(&self.detail).map_err(|error| unreadable(error.to_string()))?;
        let changes = serde_json::from_str(&self.changes).map_err(|error| unreadable(error.to_string()))?;
        Ok(AuditEntry {
            seq: self.seq,
            at,
            principal: Principal { kind, name: self.principal },
            action: self.action,
            subject: self.subject,
            outcome,
            detail,
            changes,
            prev_hash: self.prev_hash,
            hash: self.hash,
        })
    }
}
