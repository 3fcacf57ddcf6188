//! `/features`: views with freshness; `/features/{view}`: features, definition, computations.

use axum::extract::Path;
use jiff::Timestamp;

use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, FeatureDetail, FeatureServiceSeen, FeatureView};

/// Answers `GET /features`.
pub async fn list(visit: Visit) -> Shown {
    visit.may_list().await?;
    let shown = visit.seen(views::feature_views(&visit.look, &views::Page::default()).await)?;
    let lead =
        "One definition each, for training as things were known at the time and for requests as they are known now";
    let services = visit.seen(views::feature_services(&visit.look))?;
    let mut page = Page::new("Features", lead).with(Block::Table(views_table(&shown)));
    if !services.is_empty() {
        page = page.section("Services", Block::Table(services_table(&services)));
    }
    visit.show(page)
}

fn services_table(shown: &[FeatureServiceSeen]) -> Table {
    let rows = shown.iter().map(|service| {
        let views = service.views.iter().map(|view| Cell::link(format!("/features/{view}"), view));
        vec![
            Cell::Code(service.service.clone()),
            Cell::text(&service.description),
            Cell::count(service.features.len() as u64),
            Cell::Many(views.collect()),
        ]
    });
    Table::new(&["service", "what", "#features", "of"]).rows(rows)
}

fn views_table(shown: &[FeatureView]) -> Table {
    let rows = shown.iter().map(|view| {
        let fresh = view.freshness.as_ref();
        vec![
            Cell::link(format!("/features/{}", view.view), &view.view),
            Cell::text(&view.description),
            Cell::tag(Tone::Plain, kind(view)),
            Cell::maybe(view.entity.clone(), Cell::text),
            Cell::count(view.features as u64),
            Cell::maybe(fresh, |fresh| Cell::count(fresh.rows)),
            Cell::maybe(fresh, |fresh| Cell::count(fresh.entities)),
            Cell::maybe(fresh.and_then(|fresh| fresh.latest_event_time), Cell::Time),
            online(view),
        ]
    });
    Table::new(&["view", "what", "kind", "entity", "#features", "#rows", "#entities", "newest event", "online"])
        .rows(rows)
        .or_else("No feature view is declared: a file under features/ declares one")
}

const fn kind(view: &FeatureView) -> &'static str {
    match view.kind {
        mainspring_spec::ViewKind::Sql => "SQL",
        mainspring_spec::ViewKind::Windowed => "windowed",
        mainspring_spec::ViewKind::Request => "on request",
    }
}

/// Whether requests see what training saw.
fn online(view: &FeatureView) -> Cell {
    let Some(fresh) = &view.freshness else { return Cell::tag(Tone::Good, "computed on request") };
    match (view.online, fresh.version, fresh.online_version) {
        (false, ..) => Cell::tag(Tone::Plain, "offline only"),
        (true, None, _) => Cell::tag(Tone::Warn, "not computed yet"),
        (true, Some(_), None) if fresh.online_at.is_some() => Cell::tag(Tone::Info, "what was pushed"),
        (true, Some(_), None) => Cell::tag(Tone::Warn, "not materialised"),
        (true, Some(offline), Some(online)) if online < offline => {
            Cell::tag(Tone::Warn, words::several(offline - online, "version behind", "versions behind"))
        }
        (true, ..) => match fresh.online_until {
            Some(until) => Cell::Many(vec![Cell::tag(Tone::Info, "until"), Cell::Time(until)]),
            None => Cell::tag(Tone::Good, "up to date"),
        },
    }
}

/// Answers `GET /features/{view}`.
pub async fn one(visit: Visit, Path(name): Path<String>) -> Shown {
    visit.may("view.read", "view", &name).await?;
    let view = visit.seen(views::feature_view(&visit.look, &name).await)?;
    visit.show(page(&view))
}

fn page(detail: &FeatureDetail) -> Page {
    let view = &detail.view;
    let mut page = Page::new(&view.view, view.description.trim()).under("Features", "/features");
    if let Some(fresh) = &view.freshness {
        page = page.with(Block::Tiles(vec![
            Tile::new("Features", words::count(view.features as u64), kind(view)),
            Tile::new("Rows", words::count(fresh.rows), words::several(fresh.entities, "entity", "entities")),
            Tile::new("Newest event", day(fresh.latest_event_time), "offline, by event time"),
            Tile::new("Online until", day(fresh.online_latest_event_time), "newest event that requests see"),
        ]));
    }
    let facts = [
        ("Kind", Cell::tag(Tone::Plain, kind(view))),
        ("Entity", Cell::maybe(view.entity.clone(), Cell::text)),
        ("Key", Cell::tags(detail.keys.clone())),
        ("Event time", Cell::maybe(detail.event_time.clone(), Cell::Code)),
        ("Known at", Cell::maybe(detail.known_at.clone(), Cell::Code)),
        ("Holds for", Cell::maybe(detail.ttl.clone(), Cell::text)),
        ("Online", online(view)),
        ("Computed", Cell::maybe(detail.computed_at, Cell::Time)),
        (
            "Used by",
            Cell::Many(view.used_by.iter().map(|model| Cell::link(format!("/models/{model}"), model)).collect()),
        ),
    ];
    let facts = facts.into_iter().filter(|(_, cell)| !is_nothing(cell)).collect();
    let fields = detail.fields.iter().map(|field| {
        vec![
            Cell::Code(field.name.clone()),
            Cell::Soft(field.data_type.clone().unwrap_or_default()),
            Cell::text(&field.description),
        ]
    });
    let fields = Table::new(&["feature", "type", "what"]).rows(fields).filtered("features");
    page = page
        .section("In short", Block::Facts(facts))
        .section("Features", Block::Table(fields))
        .section("Definition", Block::Pre(detail.definition.clone()));
    if view.freshness.is_none() {
        return page;
    }
    let computations = detail.computations.iter().map(|done| {
        let inputs = done.inputs.iter().map(|(table, version)| format!("{table}@{version}"));
        vec![
            Cell::count(done.version),
            Cell::Time(done.at),
            Cell::count(done.rows_written),
            Cell::text(match done.scope {
                mainspring_features::Scope::Whole => "everything",
                mainspring_features::Scope::New => "what was new",
            }),
            Cell::tags(inputs),
        ]
    });
    let computations = Table::new(&["#version", "when", "#rows written", "computed", "from"])
        .rows(computations)
        .or_else("Not computed yet: `mainspring run` does it");
    page.section("Computations", Block::Table(computations))
}

fn is_nothing(cell: &Cell) -> bool {
    match cell {
        Cell::Empty => true,
        Cell::Many(cells) => cells.is_empty(),
        _ => false,
    }
}

fn day(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".into(), |at| at.strftime("%Y-%m-%d").to_string())
}
