//! Adding to the chain: from a change to the entry that records it.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::rows::kept_bits;
use super::tally::Tally;
use super::{AuditHead, AuditRow};
use crate::change::Operation;
use crate::{Change, Committed};

/// The growing end of the chain, inside a transaction that holds the write lock.
pub(crate) struct Chain {
    head: AuditHead,
    at: i64,
}

/// Where an entry stands, known before it is made: what its change writes is marked with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub seq: i64,
    pub at: i64,
}

impl Chain {
    pub(crate) fn at(head: AuditHead, at: i64) -> Self {
        Self { head, at }
    }

    pub(crate) fn head(&self) -> (&AuditHead, i64) {
        (&self.head, self.at)
    }

    /// Where the next entry stands. Time does not run backwards in the chain, even when the clock does.
    pub(crate) fn next(&self, now: Timestamp) -> Place {
        Place { seq: self.head.seq + 1, at: self.at.max(now.as_microsecond()) }
    }

    /// The entry for a change, at the place that [`Self::next`] gave, with the edges that were not there before it.
    pub(crate) fn append(&mut self, change: &Change, place: Place, added_edges: Tally) -> AuditRow {
        debug_assert_eq!(place.seq, self.head.seq + 1, "no entry was added since the place was taken");
        let mut row = AuditRow {
            seq: place.seq,
            at: place.at,
            principal_kind: change.principal.kind.as_str().into(),
            principal: change.principal.name.clone(),
            action: change.action.clone(),
            subject: change.subject.clone(),
            outcome: change.outcome.as_str().into(),
            detail: canonical(&change.detail),
            changes: canonical(&summary(&change.operations, added_edges)),
            prev_hash: self.head.hash.clone(),
            hash: String::new(),
        };
        row.hash = row.hash_at(row.seq);
        self.head = AuditHead { seq: row.seq, hash: row.hash.clone() };
        self.at = row.at;
        row
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
fn summary(operations: &[Operation], added_edges: Tally) -> Value {
    let mut items = Vec::new();
    let mut edges = Tally::edges();
    let mut metrics = Tally::metrics();
    for operation in operations {
        match operation {
            Operation::Put { kind, id, body, .. } => {
                items.push(json!({"do": "put", "kind": kind, "id": id, "sha256": body_digest(body.as_bytes())}));
            }
            Operation::Delete { kind, id, .. } => items.push(json!({"do": "delete", "kind": kind, "id": id})),
            Operation::Require { .. } => {}
            Operation::Edge(edge) => edges.edge(edge),
            Operation::Metric(metric) => {
                let (bits, at) = (kept_bits(metric.value), metric.at.as_microsecond());
                metrics.metric(&metric.run, &metric.key, metric.step, bits, at);
            }
        }
    }
    edges.finish("edges", &mut items);
    added_edges.finish("added_edges", &mut items);
    metrics.finish("metrics", &mut items);
    Value::Array(items)
}

/// The SHA-256 of a document as it is stored, in hexadecimal.
pub(super) fn body_digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
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

        let place = chain.next(Timestamp::from_microsecond(1).unwrap());
        let row = chain.append(&change, place, Tally::added_edges());

        assert_eq!(row.at, 5_000_000);
    }

    /// The format is for ever: an entry hashed by the first release must verify with every later one.
    #[test]
    fn hash_of_a_known_entry_stays_what_it_is() {
        let mut chain = Chain::at(AuditHead::empty(), 0);
        let change = Change::new(&Principal::user("ada"), "model.promote", "model:m")
            .detail(json!({"reason": "better", "version": 2}));

        let place = chain.next(Timestamp::from_microsecond(1_700_000_000_000_000).unwrap());
        let row = chain.append(&change, place, Tally::added_edges());

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
