//! `/audit`: who did what, and whether the log is whole.

use axum::extract::Query;
use mainspring_catalog::{AuditEntry, AuditQuery, AuditVerdict, Outcome};
use serde::Deserialize;

use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, Look};

/// Entries on a page.
const ENTRIES: usize = 100;
/// The most of an entry's detail that is shown.
const DETAIL_CHARS: usize = 90;

/// Which entries.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    before: Option<i64>,
}

/// Answers `GET /audit`.
pub async fn show(visit: Visit, Query(which): Query<Which>) -> Shown {
    visit.may("audit.read", "audit", "log").await?;
    let query = AuditQuery { before: which.before, limit: Some(ENTRIES), ..AuditQuery::default() };
    let seen = visit.seen(views::audit(&visit.look, query).await)?;
    let verdict = visit.seen(views::verdict(&visit.look).await)?;
    let head = visit.seen(visit.look.catalog.audit_head().await.map_err(views::Error::from))?;
    let whole = verdict.is_intact();
    let sealed = match &verdict {
        AuditVerdict::Intact { head, documents, edges, metrics } => {
            let seal: String = head.hash.chars().take(12).collect();
            format!(
                "{}, {} and {} match it; the last seal is {seal}…",
                words::several(*documents, "document", "documents"),
                words::several(*edges, "edge", "edges"),
                words::several(*metrics, "metric", "metrics")
            )
        }
        broken @ AuditVerdict::Broken { .. } => broken.to_string(),
    };
    let tiles = vec![
        Tile::new("Entries", words::count(head.seq.unsigned_abs()), "one for each change, in the same transaction"),
        Tile::new("Chain", if whole { "whole" } else { "broken" }, sealed)
            .mark(Tone::of(whole), if whole { "verified" } else { "look" }),
    ];
    let mut page =
        Page::new("Audit", "Every change with who made it, each entry sealed with the hash of the one before")
            .with(Block::Tiles(tiles))
            .section("Entries", Block::Table(entries_table(&visit.look, &seen.entries)));
    if let Some(before) = seen.before {
        let older = vec![vec![Cell::link(format!("/audit?before={before}"), "Older entries")]];
        page = page.with(Block::Table(Table::new(&[""]).rows(older)));
    }
    visit.show(page)
}

fn entries_table(look: &Look, entries: &[AuditEntry]) -> Table {
    let rows = entries.iter().map(|entry| {
        let tone = match entry.outcome {
            Outcome::Done => Tone::Good,
            Outcome::Refused => Tone::Warn,
            Outcome::Denied => Tone::Bad,
        };
        let detail = if entry.detail.is_null() { String::new() } else { entry.detail.to_string() };
        vec![
            Cell::count(entry.seq.unsigned_abs()),
            Cell::Time(entry.at),
            Cell::text(entry.principal.to_string()),
            Cell::Code(entry.action.clone()),
            subject(look, &entry.subject),
            Cell::tag(tone, entry.outcome.as_str()),
            Cell::Long(words::cut(&detail, DETAIL_CHARS)),
            Cell::Soft(entry.hash.chars().take(10).collect()),
        ]
    });
    Table::new(&["#entry", "when", "who", "what", "to", "outcome", "detail", "seal"])
        .rows(rows)
        .or_else("Nothing was done yet")
        .filtered("audit")
}

/// What an entry is about, as a link where it has a page.
pub fn subject(look: &Look, subject: &str) -> Cell {
    let (kind, name) = subject.split_once(':').unwrap_or(("", subject));
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let shown = words::cut(&without_identifiers(subject), 48);
    match kind {
        "model" if look.project.models.contains_key(name) => Cell::link(format!("/models/{name}"), shown),
        "monitor" if look.project.monitors.contains_key(name) => Cell::link(format!("/monitors/{name}"), shown),
        "endpoint" if look.project.endpoints.contains_key(name) => Cell::link(format!("/endpoints/{name}"), shown),
        "feature_view" | "view" if look.project.feature_views.contains_key(name) => {
            Cell::link(format!("/features/{name}"), shown)
        }
        "flow_run" => Cell::link(format!("/workflows/{name}"), shown),
        "task_run" => {
            let run = name.split_once('/').map_or(name, |(run, _)| run);
            Cell::link(format!("/workflows/{run}"), shown)
        }
        _ => Cell::Code(shown),
    }
}

/// A name with its identifiers cut to their ends, by which people tell them apart.
fn without_identifiers(name: &str) -> String {
    let parts = name.split_inclusive([':', '/', '@']).map(|part| {
        let bare = part.trim_end_matches([':', '/', '@']);
        let is_identifier = bare.len() == 36 && bare.bytes().filter(|byte| *byte == b'-').count() == 4;
        match (is_identifier, part.get(28..)) {
            (true, Some(end)) => format!("…{end}"),
            _ => part.to_owned(),
        }
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::without_identifiers;

    #[test]
    fn identifiers_are_cut_to_their_ends() {
        let task = "task_run:01a20f6f-32f7-7794-8833-8266a39f2a1c/train:arrival_delay";
        assert_eq!(without_identifiers(task), "task_run:…a39f2a1c/train:arrival_delay");
        assert_eq!(without_identifiers("model:arrival_delay@1"), "model:arrival_delay@1");
    }
}
