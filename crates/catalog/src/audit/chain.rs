//! Adding to the chain: from a change to the entry that records it.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{AuditHead, AuditRow};
use crate::change::{MAX_DETAIL_BYTES, Operation};
use crate::{Change, Committed, Edge, Error, Metric, Result};

/// The growing end of the chain, inside a transaction that holds the write lock.
pub(crate) struct Chain {
    head: AuditHead,
    at: i64,
}

impl Chain {
    pub(crate) fn at(head: AuditHead, at: i64) -> Self {
        Self { head, at }
    }

    pub(crate) fn head(&self) -> (&AuditHead, i64) {
        (&self.head, self.at)
    }

    /// The entry for a change, next in the chain. Time does not run backwards in it, even when the clock does.
    pub(crate) fn append(&mut self, change: &Change, now: Timestamp) -> Result<AuditRow> {
        let detail = canonical(&change.detail);
        if detail.len() > MAX_DETAIL_BYTES {
            return Err(Error::Invalid {
                what: format!("the detail of `{}` on {}", change.action, change.subject),
                rule: format!("has {} bytes of JSON, the most is {MAX_DETAIL_BYTES}", detail.len()),
                mend: "put the large part into a document".into(),
            });
        }
        let mut row = AuditRow {
            seq: self.head.seq + 1,
            at: self.at.max(now.as_microsecond()),
            principal_kind: change.principal.kind.as_str().into(),
            principal: change.principal.name.clone(),
            action: change.action.clone(),
            subject: change.subject.clone(),
            outcome: change.outcome.as_str().into(),
            detail,
            changes: canonical(&summary(&change.operations)),
            prev_hash: self.head.hash.clone(),
            hash: String::new(),
        };
        row.hash = row.hash_at(row.seq);
        self.head = AuditHead { seq: row.seq, hash: row.hash.clone() };
        self.at = row.at;
        Ok(row)
    }
}

impl AuditRow {
    pub(crate) fn committed(&self) -> Committed {
        // The clock gave the time, so it is in jiff's range; a corrupt head cannot make it otherwise than late.
        Committed {
            seq: self.seq,
            at: Timestamp::from_microsecond(self.at).unwrap_or(Timestamp::MAX),
            hash: self.hash.clone(),
        }
    }
}

/// What a change writes, as the audit entry says it.
fn summary(operations: &[Operation]) -> Value {
    let mut items = Vec::new();
    let mut edges = Tally::new(b"mainspring.audit.edges.v1\0");
    let mut metrics = Tally::new(b"mainspring.audit.metrics.v1\0");
    for operation in operations {
        match operation {
            Operation::Put { kind, id, body, .. } => {
                items.push(json!({"do": "put", "kind": kind, "id": id, "sha256": body_digest(body.as_bytes())}));
            }
            Operation::Delete { kind, id, .. } => items.push(json!({"do": "delete", "kind": kind, "id": id})),
            Operation::Require { .. } => {}
            Operation::Edge(Edge { from, to, kind }) => edges.add(&json!([from, to, kind])),
            Operation::Metric(Metric { run, key, step, value, at }) => {
                metrics.add(&json!([run, key, step, value.to_bits(), at.as_microsecond()]));
            }
        }
    }
    edges.finish("edges", &mut items);
    metrics.finish("metrics", &mut items);
    Value::Array(items)
}

/// The SHA-256 of a document as it is stored, in hexadecimal.
pub(super) fn body_digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// Counts and digests things that come in numbers.
struct Tally {
    count: u64,
    hasher: Sha256,
}

impl Tally {
    fn new(domain: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(domain);
        Self { count: 0, hasher }
    }

    fn add(&mut self, item: &Value) {
        self.count += 1;
        self.hasher.update(item.to_string().as_bytes());
        self.hasher.update(b"\n");
    }

    fn finish(self, what: &str, items: &mut Vec<Value>) {
        if self.count > 0 {
            items.push(json!({"do": what, "count": self.count, "sha256": hex::encode(self.hasher.finalize())}));
        }
    }
}

/// JSON with sorted keys and no spaces: equal values have equal texts.
fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Principal;

    #[test]
    fn canonical_json_does_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"b": [1, {"y": null, "x": "ä\n"}], "a": 0.1}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"a":0.1,"b":[1,{"x":"ä\n","y":null}]}"#).unwrap();

        assert_eq!(canonical(&one), canonical(&other));
        assert_eq!(canonical(&one), r#"{"a":0.1,"b":[1,{"x":"ä\n","y":null}]}"#);
    }

    #[test]
    fn time_does_not_run_backwards_in_the_chain() {
        let mut chain = Chain::at(AuditHead::empty(), 5_000_000);
        let change = Change::new(&Principal::local_owner(), "a.b", "c");

        let row = chain.append(&change, Timestamp::from_microsecond(1).unwrap()).unwrap();

        assert_eq!(row.at, 5_000_000);
    }

    /// The format is for ever: an entry hashed by the first release must verify with every later one.
    #[test]
    fn hash_of_a_known_entry_stays_what_it_is() {
        let mut chain = Chain::at(AuditHead::empty(), 0);
        let change = Change::new(&Principal::user("ada"), "model.promote", "model:m")
            .detail(json!({"reason": "better", "version": 2}));

        let row = chain.append(&change, Timestamp::from_microsecond(1_700_000_000_000_000).unwrap()).unwrap();

        let text = concat!(
            "mainspring.audit.entry.v1\0",
            r#"{"action":"model.promote","at":1700000000000000,"changes":"[]","#,
            r#""detail":"{\"reason\":\"better\",\"version\":2}","outcome":"done","#,
            r#""prev_hash":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""principal":"ada","principal_kind":"user","seq":1,"subject":"model:m"}"#
        );
        assert_eq!(row.hash, hex::encode(Sha256::digest(text)));
    }
}
