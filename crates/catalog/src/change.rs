//! A change: what is written together, by whom, and why.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Document, Error, Expect, Principal, Result};

/// The largest document, as JSON. Larger things are artifacts or tables, and the catalog keeps their digest.
pub const MAX_DOCUMENT_BYTES: usize = 16 << 20;
/// The most operations in one change: it holds the write lock while it is applied.
pub const MAX_CHANGE_OPERATIONS: usize = 100_000;
/// The longest id, subject, action, node or metric key: they are index keys.
pub(crate) const MAX_NAME_BYTES: usize = 2_048;
/// The longest detail of an audit entry.
const MAX_DETAIL_BYTES: usize = 256 << 10;

/// What was made from what: `to` was made from, or with, `from`.
///
/// Nodes are written `kind:name` or `kind:name@version`: `table:sources.flights@3`, `model:arrival_delay@2`, `run:ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Edge {
    /// The input.
    pub from: String,
    /// The output.
    pub to: String,
    /// What joins them, in one word: `reads`, `trains`, `serves`.
    pub kind: String,
}

impl Edge {
    /// An edge from an input to an output.
    #[must_use]
    pub fn new(from: impl Into<String>, to: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), kind: kind.into() }
    }
}

/// A number that a run reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The run's id.
    pub run: String,
    /// The metric's name.
    pub key: String,
    /// The iteration.
    pub step: i64,
    /// The value; NaN and infinities are kept, and -0 reads back as 0.
    pub value: f64,
    /// When it was measured, in microseconds.
    pub at: Timestamp,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    #[default]
    Done,
    /// A rule of the domain stood against it, such as a gate.
    Refused,
    /// The principal may not do it.
    Denied,
}

impl Outcome {
    /// The outcome as one lower-case word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Denied => "denied",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Refused, Self::Denied].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// One thing that a change does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    Put { kind: &'static str, id: String, parent: Option<String>, body: String, expect: Expect },
    Delete { kind: &'static str, id: String, expect: Expect },
    Require { kind: &'static str, id: String, expect: Expect },
    Edge(Edge),
    Metric(Metric),
}

/// What is written together, by whom, and why. Built up, then given to [`Catalog::commit`](crate::Catalog::commit).
///
/// A change without operations is an audit entry alone: an attempt that was [refused](Self::refused) or
/// [denied](Self::denied), or an act whose effect lies outside the catalog.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a change does nothing until it is committed"]
pub struct Change {
    pub(crate) principal: Principal,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) outcome: Outcome,
    pub(crate) detail: Value,
    pub(crate) operations: Vec<Operation>,
}

impl Change {
    /// A change by `principal` that does `action` (`model.promote`) to `subject` (`model:arrival_delay`).
    pub fn new(principal: &Principal, action: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            principal: principal.clone(),
            action: action.into(),
            subject: subject.into(),
            outcome: Outcome::Done,
            detail: Value::Null,
            operations: Vec::new(),
        }
    }

    /// Says more in the audit entry: the reason given, the version chosen. No secrets: it is kept for ever.
    pub fn detail(mut self, detail: impl Into<Value>) -> Self {
        self.detail = detail.into();
        self
    }

    /// Marks an attempt that a rule stood against. The operations, if any, are still applied.
    pub fn refused(mut self) -> Self {
        self.outcome = Outcome::Refused;
        self
    }

    /// Marks an attempt of somebody who may not. The operations, if any, are still applied.
    pub fn denied(mut self) -> Self {
        self.outcome = Outcome::Denied;
        self
    }

    /// Writes a document, whole.
    ///
    /// # Errors
    /// [`Error::Unwritable`] when it is not JSON or would not read back, [`Error::Invalid`] when it is too large.
    pub fn put<D: Document>(mut self, document: &D, expect: Expect) -> Result<Self> {
        let id = document.id();
        let unwritable = |error: serde_json::Error| Error::Unwritable {
            kind: D::KIND.into(),
            id: id.clone(),
            reason: error.to_string(),
        };
        let body = serde_json::to_string(document).map_err(unwritable)?;
        // JSON writes NaN as null: better refused now than unreadable for ever.
        serde_json::from_str::<D>(&body).map_err(unwritable)?;
        if body.len() > MAX_DOCUMENT_BYTES {
            return Err(Error::Invalid {
                what: format!("{} `{id}`", D::KIND),
                rule: format!("has {} bytes of JSON, the most is {MAX_DOCUMENT_BYTES}", body.len()),
                mend: "keep it as an artifact or a table".into(),
            });
        }
        self.operations.push(Operation::Put { kind: D::KIND, id, parent: document.parent(), body, expect });
        Ok(self)
    }

    /// Deletes a document. Under [`Expect::Any`] it may be missing.
    pub fn delete<D: Document>(mut self, id: impl Into<String>, expect: Expect) -> Self {
        self.operations.push(Operation::Delete { kind: D::KIND, id: id.into(), expect });
        self
    }

    /// Makes the whole change depend on the state of a document that it does not write.
    pub fn require<D: Document>(mut self, id: impl Into<String>, expect: Expect) -> Self {
        self.operations.push(Operation::Require { kind: D::KIND, id: id.into(), expect });
        self
    }

    /// Adds a lineage edge. The same edge again changes nothing.
    pub fn edge(mut self, edge: Edge) -> Self {
        self.operations.push(Operation::Edge(edge));
        self
    }

    /// Adds lineage edges.
    pub fn edges(mut self, edges: impl IntoIterator<Item = Edge>) -> Self {
        self.operations.extend(edges.into_iter().map(Operation::Edge));
        self
    }

    /// Adds a metric.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.operations.push(Operation::Metric(metric));
        self
    }

    /// Adds metrics.
    pub fn metrics(mut self, metrics: impl IntoIterator<Item = Metric>) -> Self {
        self.operations.extend(metrics.into_iter().map(Operation::Metric));
        self
    }

    /// Checks the bounds that every backend relies on.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.operations.len() > MAX_CHANGE_OPERATIONS {
            return Err(Error::Invalid {
                what: format!("the change `{}` of {}", self.action, self.subject),
                rule: format!("has {} operations, the most is {MAX_CHANGE_OPERATIONS}", self.operations.len()),
                mend: "split it into several changes".into(),
            });
        }
        let detail_bytes = self.detail.to_string().len();
        if detail_bytes > MAX_DETAIL_BYTES {
            return Err(Error::Invalid {
                what: format!("the detail of `{}` on {}", self.action, self.subject),
                rule: format!("has {detail_bytes} bytes of JSON, the most is {MAX_DETAIL_BYTES}"),
                mend: "put the large part into a document".into(),
            });
        }
        check_name("the action of a change", &self.action)?;
        check_name("the subject of a change", &self.subject)?;
        check_name("the name of a principal", &self.principal.name)?;
        for operation in &self.operations {
            match operation {
                Operation::Put { id, parent, .. } => {
                    check_name("the id of a document", id)?;
                    parent.as_deref().map_or(Ok(()), |parent| check_name("the parent of a document", parent))?;
                }
                Operation::Delete { id, .. } | Operation::Require { id, .. } => check_name("the id of a document", id)?,
                Operation::Edge(edge) => {
                    check_name("the start of a lineage edge", &edge.from)?;
                    check_name("the end of a lineage edge", &edge.to)?;
                    check_name("the kind of a lineage edge", &edge.kind)?;
                }
                Operation::Metric(metric) => {
                    check_name("the run of a metric", &metric.run)?;
                    check_name("the key of a metric", &metric.key)?;
                }
            }
        }
        Ok(())
    }
}

fn check_name(what: &str, name: &str) -> Result<()> {
    let rule = if name.is_empty() {
        "is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "is longer than 2,048 bytes"
    } else if name.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    let what = if name.is_empty() { what.to_owned() } else { format!("{what}, {:?},", shortened(name)) };
    Err(Error::Invalid { what, rule: rule.into(), mend: "give it a short printable name".into() })
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

/// What a committed change left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The number of the audit entry, and the version of every document that the change wrote.
    pub seq: i64,
    /// When it was committed.
    pub at: Timestamp,
    /// The hash of the audit entry: with `seq`, a head that can be kept elsewhere.
    pub hash: String,
}
