//! `/`: the eight layers with live numbers.

use mainspring_catalog::AuditQuery;
use mainspring_flow::RunState;

use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit, fragment};
use super::{audit, monitors, words};
use crate::views::{self, Overview};

/// The most entries and alerts beside the tiles.
const LATELY: usize = 8;

/// Answers `GET /`.
pub async fn show(visit: Visit) -> Shown {
    visit.may_list().await?;
    let seen = visit.seen(views::overview(&visit.look).await)?;
    let declared = &visit.look.project.file;
    let lead = match declared.description.as_str() {
        "" => "Raw rows in, monitored predictions out".to_owned(),
        description => description.trim().to_owned(),
    };
    let mut page = Page::new("Overview", lead).with(Block::Live { href: "/live/overview", blocks: vec![tiles(&seen)] });
    if seen.views + seen.endpoints + seen.models + seen.tables == 0 {
        page = page.with(Block::Note(
            "Nothing is declared here yet. `mainspring init` writes a small project, `mainspring init --from FILE` one \
             from your own data, and `mainspring demo` shows a year of flights from end to end."
                .into(),
        ));
    }
    let alerts = visit.seen(views::alerts(&visit.look, None, &views::Page::first(LATELY)).await)?;
    let mut beside = vec![("Newest alerts".to_owned(), Block::Table(monitors::alerts_in_short(&visit, &alerts)))];
    if visit.could("audit.read", "audit", "log") {
        let query = AuditQuery { limit: Some(LATELY), ..AuditQuery::default() };
        let entries = visit.seen(views::audit(&visit.look, query).await)?.entries;
        let rows = entries.iter().map(|entry| {
            vec![Cell::Time(entry.at), Cell::Code(entry.action.clone()), audit::subject(&visit.look, &entry.subject)]
        });
        let table = Table::new(&["when", "what", "to"]).rows(rows).or_else("Nothing was done yet");
        beside.push(("Lately".to_owned(), Block::Table(table)));
    }
    let page = page.with(Block::Beside(beside));
    visit.show(page)
}

/// Answers `GET /live/overview` with the tiles alone.
pub async fn live(visit: Visit) -> Shown {
    visit.may_list().await?;
    let seen = visit.seen(views::overview(&visit.look).await)?;
    fragment(&[tiles(&seen)])
}

/// A tile for each layer.
pub fn tiles(seen: &Overview) -> Block {
    Block::Tiles(vec![
        lake(seen),
        features(seen),
        runs(seen),
        models(seen),
        serving(seen),
        flow(seen),
        watch(seen),
        govern(seen),
    ])
}

fn lake(seen: &Overview) -> Tile {
    let rows: Vec<f64> = seen.rows_by_table.iter().map(|(_, rows)| words::number(*rows)).collect();
    let note = format!("in {}, {}", words::several(seen.tables as u64, "table", "tables"), words::size(seen.bytes));
    let mut tile = Tile::new("Tables", words::count(seen.rows), note).unit("rows").to("/tables");
    // tables differ by powers of ten: a bar is as high as the number is long
    let lengths: Vec<f64> = rows.iter().map(|rows| (rows + 1.0).log10()).collect();
    tile.spark = super::picture::bars(&lengths, "spark bars");
    match seen.quarantined {
        0 => tile,
        bad => tile.mark(Tone::Warn, format!("{} quarantined", words::count(bad))),
    }
}

fn features(seen: &Overview) -> Tile {
    let note = format!(
        "in {}, {} rows computed",
        words::several(seen.views as u64, "view", "views"),
        words::count(seen.feature_rows)
    );
    Tile::new("Features", words::count(seen.features as u64), note).unit("features").to("/features")
}

fn runs(seen: &Overview) -> Tile {
    let note = match &seen.last_run {
        Some(status) => format!("the newest {}", if status == "running" { "is running" } else { status }),
        None => "nothing was trained yet".into(),
    };
    Tile::new("Training", words::count(seen.runs), note)
        .unit(if seen.runs == 1 { "run" } else { "runs" })
        .to("/runs")
        .course(&seen.last_curve)
}

fn models(seen: &Overview) -> Tile {
    let versions = words::several(seen.versions, "version", "versions");
    match &seen.champion {
        Some((model, version, metric, value)) => {
            let note = format!("{model} {version} is champion; {versions}");
            let name = metric.replace("auc", "AUC");
            Tile { name: "Models".into(), value: words::decimal(*value, 3), note, ..Tile::default() }
                .unit(unit_of(&name))
                .to("/models")
        }
        None => {
            let note = format!("{versions}, none of them champion");
            Tile::new("Models", words::count(seen.models as u64), note).unit("models").to("/models")
        }
    }
}

fn unit_of(metric: &str) -> &'static str {
    match metric {
        "AUC" => "AUC",
        "accuracy" => "accuracy",
        "r2" => "R²",
        _ => "RMSE",
    }
}

fn serving(seen: &Overview) -> Tile {
    let latency =
        seen.latency_p99_us.map(|micros| format!(", 99% within {}", words::span(words::number(micros) / 1e6)));
    let note = format!(
        "logged by {}{}",
        words::several(seen.endpoints as u64, "endpoint", "endpoints"),
        latency.unwrap_or_default()
    );
    let tile = Tile::new("Endpoints", words::count(seen.predictions), note)
        .unit("predictions")
        .to("/endpoints")
        .course(&seen.predictions_by_window);
    match (seen.endpoints, seen.live) {
        (0, _) => tile,
        (all, live) if all == live => tile.mark(Tone::Good, "live"),
        (all, live) => tile.mark(Tone::Bad, format!("{live} of {all} live")),
    }
}

fn flow(seen: &Overview) -> Tile {
    let note = if seen.workflows == 0 { "`mainspring run` starts the first" } else { "of the dependency graph" };
    let tile = Tile::new("Workflows", words::count(seen.workflows), note)
        .unit(if seen.workflows == 1 { "run" } else { "runs" })
        .to("/workflows")
        .course(&seen.workflow_seconds);
    match seen.last_workflow {
        Some((RunState::Running, _)) => tile.mark(Tone::Info, "running"),
        Some((RunState::Succeeded, _)) => tile.mark(Tone::Good, "succeeded"),
        Some((RunState::Failed, _)) => tile.mark(Tone::Bad, "failed"),
        None => tile,
    }
}

fn watch(seen: &Overview) -> Tile {
    let note = match seen.drift.last() {
        Some(psi) => format!("greatest PSI of the newest window {}", words::decimal(*psi, 2)),
        None => format!("{}, no window yet", words::several(seen.monitors as u64, "monitor", "monitors")),
    };
    let tile = Tile::new("Monitors", words::count(seen.open_alerts as u64), note)
        .unit(if seen.open_alerts == 1 { "open alert" } else { "open alerts" })
        .to("/monitors")
        .course(&seen.drift);
    match (seen.monitors, seen.open_alerts) {
        (0, _) => tile,
        (_, 0) => tile.mark(Tone::Good, "calm"),
        _ => tile.mark(Tone::Warn, "look"),
    }
}

fn govern(seen: &Overview) -> Tile {
    let entries = seen.audit_entries.unsigned_abs();
    Tile::new("Audit", words::count(entries), "each change with who, when and what, in a hash chain")
        .unit(if entries == 1 { "entry" } else { "entries" })
        .to("/audit")
}
