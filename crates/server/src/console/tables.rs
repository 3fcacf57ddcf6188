//! `/tables`: sources and tables; `/tables/{schema.table}`: profile, checks, quarantine, versions.

use axum::extract::Path;
use mainspring_ingest::{CheckResult, ColumnProfile};
use mainspring_spec::{DataType, Severity};

use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::picture;
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, FileView, Personal, SourceView, TableDetail, TableView};

/// The most files that are listed.
const FILES_SHOWN: usize = 50;

/// Answers `GET /tables`.
pub async fn list(visit: Visit) -> Shown {
    visit.may_list().await?;
    let sources = visit.seen(views::sources(&visit.look, &views::Page::default()).await)?;
    let tables = visit.seen(views::tables(&visit.look, &views::Page::default()).await)?;
    let files = visit.seen(views::files(&visit.look, None, &views::Page::first(FILES_SHOWN)).await)?;
    let page = Page::new("Tables", "What was read, what was made of it, and what was set aside on the way")
        .section("Sources", Block::Table(sources_table(&sources)))
        .section("All tables", Block::Table(tables_table(&tables)))
        .section("Files read", Block::Table(files_table(&files)));
    visit.show(page)
}

fn sources_table(sources: &[SourceView]) -> Table {
    let rows = sources.iter().map(|source| {
        let name = match source.version {
            Some(_) => Cell::link(format!("/tables/{}", source.table), &source.source),
            None => Cell::text(&source.source),
        };
        let bad = match source.quarantined {
            0 => Cell::count(0),
            some => Cell::Number(words::count(some), words::number(some)),
        };
        vec![
            name,
            Cell::text(&source.description),
            Cell::Code(source.path.clone()),
            Cell::count(source.columns as u64),
            Cell::count(source.checks as u64),
            Cell::count(source.files),
            Cell::count(source.rows),
            bad,
        ]
    });
    Table::new(&["source", "what", "files at", "#columns", "#checks", "#files", "#rows", "#quarantined"])
        .rows(rows)
        .or_else("No source is declared: a file under sources/ declares one")
}

fn tables_table(tables: &[TableView]) -> Table {
    let rows = tables.iter().map(|table| {
        vec![
            Cell::link(format!("/tables/{}", table.table), &table.table),
            Cell::count(table.version),
            Cell::count(table.rows),
            Cell::size(table.bytes),
            Cell::count(table.files),
            Cell::maybe(table.changed_at, Cell::Time),
        ]
    });
    Table::new(&["table", "#version", "#rows", "#size", "#files", "changed"])
        .rows(rows)
        .or_else("No table yet: `mainspring run` reads the sources")
        .filtered("tables")
}

fn files_table(files: &[FileView]) -> Table {
    let rows = files.iter().map(|file| {
        let tone = match file.state {
            "landed" => Tone::Good,
            "refused" => Tone::Bad,
            _ => Tone::Plain,
        };
        vec![
            Cell::text(&file.source),
            Cell::Code(file.uri.clone()),
            Cell::tag(tone, file.state),
            Cell::size(file.size_bytes),
            Cell::count(file.rows_read),
            Cell::count(file.rows_landed),
            Cell::count(file.rows_superseded),
            Cell::count(file.rows_quarantined),
            Cell::Time(file.ingested_at),
            Cell::maybe(file.reason.clone(), Cell::text),
        ]
    });
    let headings =
        ["source", "file", "outcome", "#size", "#read", "#landed", "#superseded", "#quarantined", "when", "why"];
    Table::new(&headings).rows(rows).or_else("No file was read yet").filtered("files")
}

/// Answers `GET /tables/{schema.table}`.
pub async fn one(visit: Visit, Path(name): Path<String>) -> Shown {
    visit.may("table.read", "table", &name).await?;
    let personal = match visit.could("table.read_personal", "table", &name) {
        true => Personal::Shown,
        false => Personal::Withheld,
    };
    let table = visit.seen(views::table(&visit.look, &name, personal).await)?;
    visit.show(page(&name, &table))
}

/// The page of a table.
pub fn page(name: &str, table: &TableDetail) -> Page {
    let lead = match table.description.trim() {
        "" => "A table of the lake; every change of it is a version that can be read again",
        description => description,
    };
    let is = &table.table;
    let mut tiles = vec![
        Tile::new(
            "Rows",
            words::count(is.rows),
            format!("{}, {}", words::several(table.columns.len() as u64, "column", "columns"), words::size(is.bytes)),
        ),
        Tile::new(
            "Version",
            words::count(is.version),
            words::several(table.versions.len() as u64, "version kept", "versions kept"),
        ),
    ];
    if is.schema == "sources" {
        let broken = table.checks.iter().filter(|check| !check.passed).count() as u64;
        let tile = Tile::new("Quarantined", words::count(table.quarantined), "rows that broke a rule");
        tiles.push(if table.quarantined == 0 { tile.mark(Tone::Good, "none") } else { tile.mark(Tone::Warn, "below") });
        let held = table.checks.len() as u64 - broken;
        let tile = Tile::new("Checks", format!("{held} of {}", table.checks.len()), "held for the newest rows");
        tiles.push(tile.mark(Tone::of(broken == 0), if broken == 0 { "all" } else { "broken" }));
    }
    let mut page = Page::new(name, lead).under("Tables", "/tables").with(Block::Tiles(tiles));
    page = match &table.profile {
        Some(profile) => page.section("Profile", Block::Table(profile_table(&profile.columns, profile.rows))),
        None => page.section("Columns", Block::Table(columns_table(table))),
    };
    if is.schema == "sources" {
        page = page.section("Checks", Block::Table(checks_table(&table.checks)));
        page = page.section(
            format!("Quarantine: {}", words::several(table.quarantined, "row", "rows")),
            Block::Table(quarantine_table(table)),
        );
    }
    page.section("Versions", Block::Table(versions_table(table)))
}

fn profile_table(columns: &[ColumnProfile], rows: u64) -> Table {
    let lines = columns.iter().map(|column| {
        let nulls = if rows == 0 { 0.0 } else { words::number(column.nulls) / words::number(rows) };
        let is_number = matches!(column.data_type, DataType::Int64 | DataType::Float64);
        let about = if column.distinct_is_exact { "" } else { "≈ " };
        let quantile = |share: f64| {
            let found = column.quantiles.iter().find(|quantile| (quantile.share - share).abs() < 1e-9);
            Cell::maybe(found.filter(|_| is_number).map(|quantile| quantile.value), Cell::figure)
        };
        let bound = |value: &Option<serde_json::Value>| match value {
            Some(serde_json::Value::String(text)) => Cell::text(words::cut(text, 20)),
            value => Cell::maybe(value.as_ref(), Cell::json),
        };
        vec![
            Cell::Code(column.name.clone()),
            Cell::Soft(column.data_type.to_string()),
            shape(column),
            Cell::Number(words::share(nulls), nulls),
            Cell::Number(format!("{about}{}", words::count(column.distinct)), words::number(column.distinct)),
            bound(&column.min),
            quantile(0.5),
            Cell::maybe(column.mean.filter(|_| is_number), Cell::figure),
            bound(&column.max),
            Cell::Soft(top(column)),
        ]
    });
    Table::new(&["column", "type", "values", "#null", "#distinct", "#min", "#median", "#mean", "#max", "most frequent"])
        .rows(lines)
        .filtered("profile")
}

/// The shape of a column's values: bars over its range, or of its most frequent values.
fn shape(column: &ColumnProfile) -> Cell {
    let counts: Vec<f64> = match &column.histogram {
        Some(histogram) => histogram.counts.iter().map(|count| words::number(*count)).collect(),
        None => column.top.iter().take(20).map(|top| words::number(top.count)).collect(),
    };
    Cell::Drawn(picture::bars(&counts, if column.histogram.is_some() { "histogram" } else { "histogram words" }))
}

fn top(column: &ColumnProfile) -> String {
    // where no value comes twice, none is frequent
    if column.histogram.is_some() || column.top.first().is_none_or(|top| top.count < 2) {
        return String::new();
    }
    let words = column.top.iter().take(3).map(|top| words::cut(&top.value, 12));
    words.collect::<Vec<_>>().join(", ")
}

fn columns_table(table: &TableDetail) -> Table {
    let rows = table.columns.iter();
    Table::new(&["column", "type"])
        .rows(rows.map(|column| vec![Cell::Code(column.name.clone()), Cell::Soft(column.data_type.clone())]))
        .filtered("profile")
}

fn checks_table(checks: &[CheckResult]) -> Table {
    let rows = checks.iter().map(|check| {
        let mark = match (check.passed, check.severity) {
            (true, _) => Cell::tag(Tone::Good, "held"),
            (false, Severity::Warn) => Cell::tag(Tone::Warn, "warned"),
            (false, Severity::Error) => Cell::tag(Tone::Bad, "broken"),
        };
        let examples = check.examples.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        vec![
            mark,
            Cell::text(&check.name),
            Cell::Code(check.rule.clone()),
            Cell::count(check.rows_failed),
            Cell::Soft(words::cut(&examples, 200)),
        ]
    });
    Table::new(&["", "check", "asks", "#rows that broke it", "for example"]).rows(rows).or_else("No check is declared")
}

fn quarantine_table(table: &TableDetail) -> Table {
    let rows = table.quarantine.iter().map(|row| {
        vec![
            Cell::Code(row.file.clone()),
            Cell::count(row.row_number.unsigned_abs()),
            Cell::Many(row.rules.iter().map(|rule| Cell::tag(Tone::Warn, rule)).collect()),
            Cell::text(&row.reason),
            Cell::Long(words::cut(&row.row, 400)),
        ]
    });
    Table::new(&["file", "#row", "rules", "why", "the row as it was"])
        .rows(rows)
        .or_else("No row broke a rule")
        .filtered("quarantine")
}

fn versions_table(table: &TableDetail) -> Table {
    let rows = table.versions.iter().map(|version| {
        vec![
            Cell::count(version.version),
            Cell::maybe(version.at, Cell::Time),
            Cell::Soft(version.operation.clone()),
            Cell::count(version.rows_added),
            Cell::maybe(version.by.clone(), Cell::text),
        ]
    });
    Table::new(&["#version", "when", "operation", "#rows added", "by"]).rows(rows)
}
