//! `/models`: models with their champion; `/models/{m}`: versions, gates, aliases, lineage.

use std::collections::BTreeSet;

use axum::extract::Path;
use mainspring_registry::{AliasAction, GateResult, Logged};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::graph;
use super::page::{Block, Cell, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, AliasHistory, CHAMPION, Look, ModelDetail, ModelView, VersionView};

/// Answers `GET /models`.
pub async fn list(visit: Visit) -> Shown {
    visit.may_list().await?;
    let models = visit.seen(views::models(&visit.look, &views::Page::default()).await)?;
    let page = Page::new("Models", "What may answer, which version does, and how good it is on rows it has not seen")
        .with(Block::Table(models_table(&models)));
    visit.show(page)
}

fn models_table(models: &[ModelView]) -> Table {
    let rows = models.iter().map(|model| {
        let champion = match model.champion {
            Some(version) => Cell::Many(vec![Cell::Text(version.to_string()), Cell::tag(Tone::Good, CHAMPION)]),
            None => Cell::tag(Tone::Plain, "none yet"),
        };
        let metrics = ["auc", "log_loss", "accuracy", "rmse"].iter().filter_map(|metric| {
            let value = model.metrics.get(*metric)?;
            Some(format!("{} {}", words::metric_name(metric), words::decimal(*value, 4)))
        });
        vec![
            Cell::link(format!("/models/{}", in_address(&model.model)), &model.model),
            Cell::text(&model.description),
            Cell::text(model.task.map(|task| format!("{task:?}").to_lowercase()).unwrap_or_default()),
            Cell::text(model.trainer.as_deref().map(words::metric_name).unwrap_or_default()),
            Cell::count(model.versions as u64),
            champion,
            Cell::text(metrics.collect::<Vec<_>>().join(", ")),
        ]
    });
    Table::new(&["model", "what", "task", "trainer", "#versions", "champion", "on the test rows"]).rows(rows).or_else(
        "No model is declared or registered: a file under models/ declares one, an MLflow client registers one",
    )
}

/// Answers `GET /models/{m}`.
pub async fn one(visit: Visit, Path(name): Path<String>) -> Shown {
    visit.may("model.read", "model", &name).await?;
    let model = visit.seen(views::model(&visit.look, &name).await)?;
    let places = visit.seen(Places::of(&visit.look).await)?;
    let may_promote = visit.could("model.promote", "model", &name);
    visit.show(page(&model, &places, may_promote))
}

/// What has a page, so that lineage links only there.
#[derive(Debug, Default)]
pub struct Places {
    tables: BTreeSet<String>,
    views: BTreeSet<String>,
    endpoints: BTreeSet<String>,
    monitors: BTreeSet<String>,
}

impl Places {
    /// What has a page now.
    pub async fn of(look: &Look) -> views::Result<Self> {
        let project = &look.project;
        Ok(Self {
            tables: look.lake.tables().await?.iter().map(ToString::to_string).collect(),
            views: project.feature_views.keys().cloned().collect(),
            endpoints: project.endpoints.keys().cloned().collect(),
            monitors: project.monitors.keys().cloned().collect(),
        })
    }

    /// The page of a node of the lineage graph.
    pub fn page(&self, node: &str) -> Option<String> {
        let (kind, name) = node.split_once(':')?;
        let name = name.rsplit_once('@').map_or(name, |(name, _)| name);
        let within = |known: &BTreeSet<String>, page: &str| known.contains(name).then(|| format!("/{page}/{name}"));
        match kind {
            "table" => within(&self.tables, "tables"),
            "source" => {
                let table = format!("sources.{name}");
                self.tables.contains(&table).then(|| format!("/tables/{table}"))
            }
            "feature_view" => within(&self.views, "features"),
            "endpoint" => within(&self.endpoints, "endpoints"),
            "monitor" => within(&self.monitors, "monitors"),
            "model" => Some(format!("/models/{}", in_address(name))),
            "run" => Some(format!("/runs/{name}")),
            _ => None,
        }
    }
}

/// What stands for itself in an address (RFC 3986, section 2.3) beside letters and digits.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name in an address: clients name models as they like.
pub fn in_address(name: &str) -> String {
    utf8_percent_encode(name, &RESERVED).to_string()
}

/// What a client logged: by flavours, and whether it runs here.
fn logged(logged: Option<&Logged>) -> Cell {
    let Some(logged) = logged else { return Cell::Empty };
    let flavours = if logged.flavours.is_empty() { "files".into() } else { logged.flavours.join(", ") };
    let runs = match &logged.unservable {
        None => Cell::tag(Tone::Good, "runs here"),
        Some(_) => Cell::tag(Tone::Plain, "stored"),
    };
    Cell::Many(vec![Cell::Text(flavours), runs])
}

/// The page of a model.
pub fn page(detail: &ModelDetail, places: &Places, may_promote: bool) -> Page {
    let view = &detail.view;
    let mut page = Page::new(&view.model, view.description.trim()).under("Models", "/models");
    let champion = match view.champion {
        Some(version) => {
            Tile::new("Champion", format!("version {version}"), "answers where endpoints ask for the champion")
                .mark(Tone::Good, "live")
        }
        None => {
            Tile::new("Champion", "none", "no version has met its gates and been promoted").mark(Tone::Warn, "not live")
        }
    };
    // the version whose metrics the model shows
    let shown =
        view.champion.and_then(|champion| detail.all_versions.iter().find(|one| one.version.version == champion));
    let is_logged = shown.or(detail.all_versions.first()).is_some_and(|shown| shown.version.logged.is_some());
    let measured_on = if is_logged { "as its client logged it" } else { "on the test rows" };
    let mut tiles = vec![champion];
    for metric in ["auc", "log_loss", "accuracy", "rmse"] {
        if let Some(value) = view.metrics.get(metric) {
            tiles.push(Tile::new(words::metric_name(metric), words::decimal(*value, 3), measured_on));
        }
    }
    tiles.truncate(4);
    page = page.with(Block::Tiles(tiles));
    let newest = detail.all_versions.first();
    let facts = Block::Facts(vec![
        ("Task", Cell::text(view.task.map(|task| format!("{task:?}").to_lowercase()).unwrap_or_default())),
        ("Trainer", Cell::text(view.trainer.as_deref().map(words::metric_name).unwrap_or_default())),
        (
            "Served by",
            Cell::Many(detail.endpoints.iter().map(|name| Cell::link(format!("/endpoints/{name}"), name)).collect()),
        ),
        (
            "Inputs",
            match detail.inputs.len() {
                // declared nowhere: a client registered the model
                0 => Cell::Empty,
                inputs => Cell::Text(words::several(inputs as u64, "input", "inputs")),
            },
        ),
        ("Logged as", logged(newest.and_then(|newest| newest.version.logged.as_ref()))),
        (
            "Learned from",
            Cell::maybe(newest, |newest| {
                let rows = newest.version.train_rows();
                Cell::maybe(rows, |rows| Cell::Text(words::several(rows, "row", "rows")))
            }),
        ),
        (
            "Tested on",
            Cell::maybe(newest, |newest| {
                let rows = newest.version.training_set.as_ref().map(|set| set.test_rows);
                Cell::maybe(rows, |rows| Cell::Text(words::several(rows, "later row", "later rows")))
            }),
        ),
    ]);
    let gates = newest.map(|newest| gates_table(&newest.judged)).unwrap_or_else(|| gates_table(&[]));
    page = page.with(Block::Beside(vec![
        ("In short".into(), facts),
        (
            newest.map_or("Gates".into(), |newest| format!("Gates of version {}", newest.version.version)),
            Block::Table(gates),
        ),
    ]));
    page = page.section("Versions", Block::Table(versions_table(detail, may_promote)));
    let remarks = remarks_table(&detail.all_versions);
    if !remarks.rows.is_empty() {
        page = page.section("Notes and tags", Block::Table(remarks));
    }
    if let Some(lineage) = &detail.lineage {
        page = page.section("Lineage", Block::Picture(graph::draw(lineage, |node| places.page(node))));
    }
    page.section("Who made what live", Block::Table(history_table(&detail.aliases)))
}

fn gates_table(gates: &[GateResult]) -> Table {
    let rows = gates.iter().map(|gate| {
        vec![
            Cell::tag(Tone::of(gate.passed), if gate.passed { "pass" } else { "fail" }),
            Cell::text(words::metric_name(&gate.metric)),
            Cell::text(&gate.bound),
            Cell::maybe(gate.value, |value| Cell::decimal(value, 4)),
            Cell::Soft(gate.reason.clone()),
        ]
    });
    Table::new(&["", "metric", "must be", "#is", "why"]).rows(rows).or_else("No gate: any version may be promoted")
}

fn versions_table(detail: &ModelDetail, may_promote: bool) -> Table {
    let shown = ["auc", "log_loss", "brier", "accuracy", "rmse", "r2"];
    let has = |metric: &&str| detail.all_versions.iter().any(|version| version.version.metrics.contains_key(*metric));
    let named: Vec<&str> = shown.into_iter().filter(has).collect();
    let titles: Vec<String> = named.iter().map(|metric| format!("#{}", words::metric_name(metric))).collect();
    let mut headings = vec!["#version", "aliases", "gates"];
    headings.extend(titles.iter().map(String::as_str));
    headings.extend(["learned from", "run", "made", "by", ""]);
    let rows = detail.all_versions.iter().map(|version| version_row(version, &named, may_promote));
    Table::new(&headings).rows(rows).or_else("No version yet: `mainspring run` trains one, or a client registers one")
}

fn version_row(view: &VersionView, named: &[&str], may_promote: bool) -> Vec<Cell> {
    let version = &view.version;
    let failed = view.judged.iter().filter(|gate| !gate.passed).count() as u64;
    let mut cells = vec![
        Cell::count(version.version),
        Cell::Many(view.aliases.iter().map(|alias| Cell::tag(Tone::Good, alias)).collect()),
        match view.passes {
            true => Cell::tag(Tone::Good, "pass"),
            false => Cell::tag(Tone::Bad, words::several(failed, "gate failed", "gates failed")),
        },
    ];
    cells
        .extend(named.iter().map(|metric| Cell::maybe(version.metrics.get(*metric), |value| Cell::decimal(*value, 4))));
    cells.push(Cell::maybe(version.training_node(), Cell::Code));
    cells.push(Cell::maybe(version.run.as_ref(), |run| Cell::link(format!("/runs/{run}"), "run")));
    cells.push(Cell::Time(version.created_at));
    cells.push(Cell::text(version.created_by.to_string()));
    let is_champion = view.aliases.iter().any(|alias| alias == CHAMPION);
    cells.push(if may_promote && view.passes && !is_champion {
        Cell::Action {
            href: format!("/api/v1/models/{}/promote", in_address(&version.model)),
            body: serde_json::json!({"version": version.version, "alias": CHAMPION, "reason": "from the console"})
                .to_string(),
            label: "Make champion",
            ask: format!(
                "Make version {} of {} the champion? Endpoints switch to it at once.",
                version.version, version.model
            ),
        }
    } else {
        Cell::Text(String::new())
    });
    cells
}

/// What people said of the versions, those of the newest version first, and of one version the newest note first.
fn remarks_table(versions: &[VersionView]) -> Table {
    let rows = versions.iter().map(|view| &view.version).flat_map(|version| {
        let notes = version.notes.iter().rev().map(move |note| {
            let by = Cell::text(note.by.to_string());
            vec![Cell::count(version.version), Cell::text(&note.text), Cell::Time(note.at), by]
        });
        let tags = version.tags.iter().map(move |(key, value)| {
            let tag = Cell::Many(vec![Cell::tag(Tone::Plain, key), Cell::text(value)]);
            vec![Cell::count(version.version), tag, Cell::Empty, Cell::Empty]
        });
        notes.chain(tags)
    });
    Table::new(&["#version", "what", "when", "by"]).rows(rows)
}

fn history_table(aliases: &[AliasHistory]) -> Table {
    let events = aliases.iter().flat_map(|alias| alias.events.iter().rev());
    let rows = events.map(|event| {
        let (tone, action) = match event.action {
            AliasAction::Promote => (Tone::Good, "promoted"),
            AliasAction::Rollback => (Tone::Warn, "rolled back"),
            AliasAction::Remove => (Tone::Bad, "taken away"),
        };
        vec![
            Cell::Time(event.at),
            Cell::tag(Tone::Plain, &event.alias),
            Cell::tag(tone, action),
            Cell::maybe(event.from, Cell::count),
            Cell::maybe(event.to, Cell::count),
            Cell::text(event.by.to_string()),
            Cell::text(&event.reason),
        ]
    });
    Table::new(&["when", "alias", "what", "#from", "#to", "by", "why"]).rows(rows).or_else("Nothing was ever live")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_a_page_is_linked() {
        let places = Places { tables: ["sources.flights".to_owned()].into(), ..Places::default() };
        assert_eq!(places.page("table:sources.flights@3").as_deref(), Some("/tables/sources.flights"));
        assert_eq!(places.page("source:flights").as_deref(), Some("/tables/sources.flights"));
        assert_eq!(places.page("model:m@2").as_deref(), Some("/models/m"));
        assert_eq!(places.page("run:abc").as_deref(), Some("/runs/abc"));
        for nowhere in ["table:sources.gone@1", "file:data/a.csv", "feature_view:gone", "nonsense"] {
            assert_eq!(places.page(nowhere), None, "{nowhere}");
        }
    }
}
