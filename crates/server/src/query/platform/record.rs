//! The audit log and the lineage.

use arrow::datatypes::SchemaRef;
use mainspring_catalog::{AuditEntry, AuditQuery, Edge};
use serde::Serialize;

use super::Platform;
use super::table::{Batches, Narrowing, PAGE, batches, columns, number, pages, text, time};
use crate::query::error::Error;

#[derive(Serialize)]
struct AuditRow {
    seq: i64,
    at: i64,
    principal_kind: &'static str,
    principal: String,
    action: String,
    subject: String,
    outcome: &'static str,
    detail: String,
    changes: String,
    prev_hash: String,
    hash: String,
}

pub(super) fn audit_schema() -> SchemaRef {
    columns(vec![
        number("seq"),
        time("at"),
        text("principal_kind"),
        text("principal"),
        text("action"),
        text("subject"),
        text("outcome"),
        text("detail"),
        text("changes"),
        text("prev_hash"),
        text("hash"),
    ])
}

/// The entries, the newest first.
pub(super) fn audit(from: &Platform, only: Narrowing) -> Batches {
    let (catalog, subject, principal) = (from.catalog.clone(), only.get("subject"), only.get("principal"));
    let row = |is: AuditEntry| AuditRow {
        seq: is.seq,
        at: is.at.as_microsecond(),
        principal_kind: is.principal.kind.as_str(),
        principal: is.principal.name,
        action: is.action,
        subject: is.subject,
        outcome: is.outcome.as_str(),
        detail: is.detail.to_string(),
        changes: is.changes.to_string(),
        prev_hash: is.prev_hash,
        hash: is.hash,
    };
    let read = move |before: Option<i64>| {
        let (catalog, subject, principal) = (catalog.clone(), subject.clone(), principal.clone());
        async move {
            let query = AuditQuery { subject, principal, before, action: None, limit: Some(PAGE) };
            let page = catalog.audit(query).await?;
            let next = (page.len() == PAGE).then(|| page.last().map(|last| last.seq)).flatten();
            Ok::<_, Error>((page.into_iter().map(row).collect::<Vec<_>>(), next))
        }
    };
    batches(audit_schema(), pages(read))
}

#[derive(Serialize)]
struct EdgeRow {
    from_node: String,
    to_node: String,
    kind: String,
}

pub(super) fn lineage_schema() -> SchemaRef {
    columns(vec![text("from_node"), text("to_node"), text("kind")])
}

/// What was made from what, by the input.
pub(super) fn lineage(from: &Platform, only: Narrowing) -> Batches {
    let (catalog, input) = (from.catalog.clone(), only.get("from_node"));
    let row = |edge: Edge| EdgeRow { from_node: edge.from, to_node: edge.to, kind: edge.kind };
    let read = move |after: Option<Edge>| {
        let (catalog, input) = (catalog.clone(), input.clone());
        async move {
            let page = catalog.edges(after.as_ref(), input.as_deref(), PAGE).await?;
            let next = (page.len() == PAGE).then(|| page.last().cloned()).flatten();
            Ok::<_, Error>((page.into_iter().map(row).collect::<Vec<_>>(), next))
        }
    };
    batches(lineage_schema(), pages(read))
}
