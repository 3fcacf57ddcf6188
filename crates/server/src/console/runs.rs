//! `/runs`: training runs, alone or compared; `/runs/{id}`: parameters, curves, evaluation.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, RawQuery};
use mainspring_registry::{Origin, Run, RunStatus};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::chart::{Chart, Mark, Series};
use super::evaluation::evaluated;
use super::models::in_address;
use super::page::{Block, Cell, Figure, Heading, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, ExperimentSeen, RunAround, RunDetail, RunView};

/// The most runs that are listed.
const RUNS_SHOWN: usize = 200;
/// The most runs that are compared.
const COMPARED_MAX: usize = 6;
/// The longest name of a run, and value of a parameter, where runs stand beside each other.
const BESIDE_CHARACTERS: usize = 40;
/// The most metrics that the list of runs shows, so that it stays within a screen.
const METRICS_LISTED: usize = 5;
/// The most metrics of a client's run that stand out; all of them are in its table.
const TILES_SHOWN: usize = 4;
/// The longest value of a label that is shown whole: some hold whole documents.
const VALUE_CHARACTERS: usize = 160;
/// The label in which MLflow's clients keep the description of a run.
const DESCRIPTION: &str = "mlflow.note.content";
/// The metrics that lists show first, as far as runs have them.
pub const HEADLINES: [&str; 7] = ["auc", "log_loss", "brier", "accuracy", "rmse", "mae", "r2"];

/// Answers `GET /runs`.
pub async fn list(visit: Visit, RawQuery(query): RawQuery) -> Shown {
    visit.may_list().await?;
    let query = query.unwrap_or_default();
    let of = match asked_experiment(&query) {
        Some(asked) => Some(visit.seen(views::experiment_asked(&visit.look, &asked).await)?),
        None => None,
    };
    let key = of.as_ref().map(|experiment| experiment.key.as_str());
    let runs = visit.seen(views::runs(&visit.look, key, &views::Page::first(RUNS_SHOWN)).await)?;
    let runs = under_their_parents(runs);
    let mut page = match &of {
        Some(experiment) => {
            Page::new(&experiment.name, "The runs of one experiment, the newest first").under("Runs", "/runs")
        }
        None => {
            Page::new("Runs", "Each training with its parameters, its curves, and the exact versions it learned from")
        }
    };
    let mut compared = vec![];
    for id in chosen(&query) {
        // a run that is gone is left out
        if let Ok(run) = views::run(&visit.look, &id).await {
            compared.push(run);
        }
    }
    if compared.len() > 1 {
        page = comparison(page, &compared);
    }
    if compared.len() == COMPARED_MAX {
        page = page.with(Block::Note(format!("At most {COMPARED_MAX} runs are compared at once")));
    }
    // those of one experiment need not name it
    let named = runs.iter().filter(|_| of.is_none());
    let keys: BTreeSet<&str> = named.map(|run| run.run.experiment.as_str()).collect();
    let experiments = keys.into_iter().map(|key| (key.to_owned(), views::experiment(&visit.look, key)));
    let experiments: BTreeMap<String, ExperimentSeen> = experiments.collect();
    let heading = if of.is_some() { "Its runs" } else { "All runs" };
    let mut page = page.section(heading, Block::Table(runs_table(&runs, &experiments)));
    if runs.len() == RUNS_SHOWN {
        page = page.with(Block::Note(format!("These are the newest {RUNS_SHOWN}; /api/v1/runs lists all")));
    }
    visit.show(page)
}

/// The experiment that a query asks for, by number or name.
fn asked_experiment(query: &str) -> Option<String> {
    let asked = query.split('&').find_map(|pair| pair.strip_prefix("experiment="))?.replace('+', " ");
    let asked = percent_decode_str(&asked).decode_utf8().ok()?;
    (!asked.is_empty()).then(|| asked.into_owned())
}

/// The address of an experiment's runs.
fn experiment_href(experiment: &ExperimentSeen) -> String {
    let asked = experiment.number.map_or_else(|| experiment.key.clone(), |number| number.to_string());
    format!("/runs?experiment={}", in_query(&asked))
}

/// A text as the value of a query.
fn in_query(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The runs that a query names: `compare=a,b` and `compare=a&compare=b` are the same.
fn chosen(query: &str) -> Vec<String> {
    let mut ids: Vec<String> = vec![];
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("compare="));
    for id in named.flat_map(|value| value.split([',', '+'])).flat_map(|value| value.split("%2C")) {
        if !id.is_empty() && !ids.iter().any(|known| known == id) && ids.len() < COMPARED_MAX {
            ids.push(id.to_owned());
        }
    }
    ids
}

/// Runs in their order, but those that another one started right behind that one, as far as both are listed.
fn under_their_parents(runs: Vec<RunView>) -> Vec<RunView> {
    let listed: BTreeSet<String> = runs.iter().map(|view| view.run.id.clone()).collect();
    let mut nested: BTreeMap<String, Vec<RunView>> = BTreeMap::new();
    let mut waiting = vec![];
    for view in runs.into_iter().rev() {
        match view.run.parent.clone().filter(|parent| listed.contains(parent)) {
            Some(parent) => nested.entry(parent).or_default().push(view),
            None => waiting.push(view),
        }
    }
    let mut ordered = vec![];
    while let Some(view) = waiting.pop() {
        waiting.extend(nested.remove(&view.run.id).unwrap_or_default());
        ordered.push(view);
    }
    // those that name each other
    ordered.extend(nested.into_values().flatten());
    ordered
}

/// Runs, each with its name and what was measured of it, and with its experiment where experiments are given.
pub fn runs_table(runs: &[RunView], experiments: &BTreeMap<String, ExperimentSeen>) -> Table {
    let named = listed_metrics(runs);
    let heading = |name: &str, is_number| Heading { name: name.into(), is_number };
    let has_versions = runs.iter().any(|view| view.run.version.is_some());
    let mut headings = vec![heading("", false), heading("run", false)];
    headings.extend((!experiments.is_empty()).then(|| heading("experiment", false)));
    headings.push(heading("status", false));
    headings.extend(has_versions.then(|| heading("version", true)));
    headings.extend(named.iter().map(|metric| heading(&words::metric_name(metric), true)));
    headings.extend([heading("started", false), heading("took", true), heading("by", false)]);
    let rows = runs.iter().map(|view| {
        let run = &view.run;
        let link = Cell::link(format!("/runs/{}", run.id), words::cut(&called(run), BESIDE_CHARACTERS));
        let name = match &run.parent {
            Some(_) => Cell::Many(vec![Cell::Soft("↳".into()), link]),
            None => link,
        };
        let mut cells = vec![Cell::Check("compare", run.id.clone()), name];
        cells.extend((!experiments.is_empty()).then(|| match experiments.get(&run.experiment) {
            Some(seen) => Cell::link(experiment_href(seen), words::cut(&seen.name, BESIDE_CHARACTERS)),
            None => Cell::text(&run.experiment),
        }));
        cells.push(status(run.status));
        cells.extend(has_versions.then(|| Cell::maybe(run.version, Cell::count)));
        cells.extend(named.iter().map(|metric| Cell::maybe(view.last(metric), |value| measured(metric, value))));
        cells.extend([
            Cell::Time(run.started_at),
            Cell::maybe(view.seconds, Cell::span),
            Cell::text(run.user.clone().unwrap_or_else(|| run.by.to_string())),
        ]);
        cells
    });
    let form = (runs.len() > 1).then_some(("/runs", "Compare the chosen runs"));
    Table { headings, form, ..Table::new(&[]) }
        .rows(rows)
        .or_else(
            "No run yet: `mainspring run` trains the declared models, and MLflow's clients log here with this address as their tracking URI",
        )
        .filtered("runs")
}

/// The metrics that a list of runs shows: the usual ones, then those that most runs have.
fn listed_metrics(runs: &[RunView]) -> Vec<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for metric in runs.iter().flat_map(RunView::measured) {
        *counts.entry(metric).or_default() += 1;
    }
    let mut named: Vec<&str> = HEADLINES.into_iter().filter(|metric| counts.remove(metric).is_some()).collect();
    let mut others: Vec<(&str, usize)> = counts.into_iter().collect();
    // stable: of two that as many runs have, the first by name
    others.sort_by_key(|(_, runs)| std::cmp::Reverse(*runs));
    let room = METRICS_LISTED.saturating_sub(named.len());
    named.extend(others.into_iter().take(room).map(|(metric, _)| metric));
    named
}

/// A metric's value: with four decimals where its size is known, else with the digits that matter, or by its name.
fn measured(metric: &str, value: f64) -> Cell {
    if HEADLINES.contains(&metric) { decimal(value) } else { Cell::Number(words::measured(value), value) }
}

/// A value with four decimals, or by its name when it is no finite number.
fn decimal(value: f64) -> Cell {
    if value.is_finite() { Cell::decimal(value, 4) } else { Cell::Number(words::measured(value), value) }
}

/// What a run is called: by its name, by the model it trained, else by the end of its identifier.
fn called(run: &Run) -> String {
    run.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| short(&run.id))
}

/// The end of an identifier, by which people tell runs apart.
fn short(id: &str) -> String {
    format!("…{}", id.chars().skip(id.chars().count().saturating_sub(8)).collect::<String>())
}

fn status(status: RunStatus) -> Cell {
    let tone = match status {
        RunStatus::Scheduled | RunStatus::Running => Tone::Info,
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed => Tone::Bad,
        RunStatus::Interrupted => Tone::Warn,
    };
    Cell::tag(tone, status.to_string())
}

/// Runs side by side: what differs first.
pub fn comparison(page: Page, runs: &[RunDetail]) -> Page {
    let names = called_apart(runs);
    let headings = |is_number| {
        let names = names.iter().map(|name| Heading { name: name.clone(), is_number });
        std::iter::once(Heading { name: String::new(), is_number: false }).chain(names).collect::<Vec<_>>()
    };
    let links = runs.iter().map(|run| Cell::link(format!("/runs/{}", run.view.run.id), short(&run.view.run.id)));
    let links: Vec<Cell> = std::iter::once(Cell::Soft("run".into())).chain(links).collect();
    let metrics: BTreeSet<&str> = runs.iter().flat_map(|run| run.view.measured()).collect();
    let metrics = metrics.into_iter().map(|metric| {
        let cells = runs.iter().map(|run| Cell::maybe(run.view.last(metric), |value| measured(metric, value)));
        std::iter::once(Cell::Code(metric.to_owned())).chain(cells).collect::<Vec<_>>()
    });
    let params: BTreeSet<&String> = runs.iter().flat_map(|run| run.view.run.params.keys()).collect();
    let params = params.into_iter().map(|param| {
        let values: Vec<Option<&String>> = runs.iter().map(|run| run.view.run.params.get(param)).collect();
        let differs = values.windows(2).any(|pair| pair.first() != pair.last());
        let cells = values.iter().map(|value| match value.map(|value| words::cut(value, BESIDE_CHARACTERS)) {
            Some(value) if differs => Cell::tag(Tone::Warn, value),
            Some(value) => Cell::text(value),
            None => Cell::Empty,
        });
        (differs, std::iter::once(Cell::Code(param.clone())).chain(cells).collect::<Vec<_>>())
    });
    let (different, alike): (Vec<_>, Vec<_>) = params.partition(|(differs, _)| *differs);
    let params = different.into_iter().chain(alike).map(|(_, cells)| cells);
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.curves.iter().map(|curve| &curve.key)).collect();
    let figures = keys.into_iter().enumerate().map(|(number, key)| {
        let curves = runs.iter().zip(&names).map(|(run, name)| {
            let curve = run.curves.iter().find(|curve| curve.key == *key);
            (name.clone(), curve.map(|curve| curve.points.clone()).unwrap_or_default())
        });
        curves_figure(format!("compared-{number}"), &words::metric_name(key), &curves.collect::<Vec<_>>())
    });
    let figures: Vec<Figure> = figures.collect();
    let metrics = Table { headings: headings(true), ..Table::new(&[]) }.rows(std::iter::once(links).chain(metrics));
    let params = Table { headings: headings(false), ..Table::new(&[]) }.rows(params).or_else("None were set");
    page.with(Block::Beside(vec![
        ("Metrics compared".into(), Block::Table(metrics)),
        ("Parameters compared".into(), Block::Table(params)),
    ]))
    .charts("Curves compared", figures)
}

/// What runs are called beside each other: by name, and where several have one name by the end of their identifier.
fn called_apart(runs: &[RunDetail]) -> Vec<String> {
    let names: Vec<String> = runs.iter().map(|run| words::cut(&called(&run.view.run), BESIDE_CHARACTERS)).collect();
    let is_shared = |name: &String| names.iter().filter(|other| *other == name).count() > 1;
    let apart = names.iter().zip(runs).map(|(name, run)| match is_shared(name) {
        true => short(&run.view.run.id),
        false => name.clone(),
    });
    apart.collect()
}

/// A name with steps and values.
type NamedCurve = (String, Vec<(i64, f64)>);

/// Curves over steps in one chart.
fn curves_figure(id: String, title: &str, curves: &[NamedCurve]) -> Figure {
    let steps: BTreeSet<i64> = curves.iter().flat_map(|(_, points)| points.iter().map(|(step, _)| *step)).collect();
    let x = steps.iter().map(|step| (serde_json::json!(step), Cell::Text(step.to_string())));
    let mut chart = Chart::new(id, title).small().x("step", x);
    for (name, points) in curves {
        let known: BTreeMap<i64, f64> = points.iter().copied().collect();
        chart = chart.series(Series::new(name, Mark::Line, steps.iter().map(|step| known.get(step).copied())));
    }
    chart.figure()
}

/// Answers `GET /runs/{id}`.
pub async fn one(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.may("run.read", "run", &id).await?;
    let run = visit.seen(views::run(&visit.look, &id).await)?;
    let tables = visit.seen(visit.look.lake.tables().await.map_err(views::Error::from))?;
    let tables: BTreeSet<String> = tables.iter().map(ToString::to_string).collect();
    let around = visit.seen(views::run_around(&visit.look, &run.view.run).await)?;
    visit.show(page(&run, &around, &tables))
}

/// The page of a run; `tables` are those that can be linked to.
pub fn page(detail: &RunDetail, around: &RunAround, tables: &BTreeSet<String>) -> Page {
    let run = &detail.view.run;
    let title = run.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("Run {}", short(&run.id)));
    let described = run.tags.get(DESCRIPTION).map(|text| text.trim()).filter(|text| !text.is_empty());
    let lead = match (&run.error, described, &run.model) {
        (Some(error), ..) => error.clone(),
        (None, Some(description), _) => description.to_owned(),
        (None, None, Some(model)) => format!("A training of {model}"),
        (None, None, None) => format!("A run of the experiment {}", around.experiment.name),
    };
    let mut page = Page::new(title, lead).under("Runs", "/runs");
    let tiles = tiles(detail);
    let shown: BTreeSet<&str> = tiles.iter().map(|(metric, _)| *metric).collect();
    let last = last_values(detail);
    let has_others = run.origin == Origin::Client || last.keys().any(|metric| !shown.contains(metric));
    if !tiles.is_empty() {
        page = page.with(Block::Tiles(tiles.into_iter().map(|(_, tile)| tile).collect()));
    }
    let mut parts = vec![("In short".into(), facts(detail, around, tables))];
    if has_others && !last.is_empty() {
        parts.push(("Metrics".into(), Block::Table(metrics_table(detail))));
    }
    parts.push(("Parameters".into(), Block::Table(labels_table("parameter", "params", run.params.iter()))));
    let (kept_by_clients, own): (Vec<_>, Vec<_>) = run
        .tags
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), DESCRIPTION | "mlflow.runName"))
        .partition(|(name, _)| name.starts_with("mlflow."));
    if !own.is_empty() || !kept_by_clients.is_empty() {
        let tags = own.into_iter().chain(kept_by_clients);
        parts.push(("Tags".into(), Block::Table(labels_table("tag", "tags", tags))));
    }
    page = page.with(Block::Beside(parts));
    page = page.charts("Learning", curves_by_metric(detail));
    if !around.nested.is_empty() {
        page = page.section("Runs it started", Block::Table(runs_table(&around.nested, &BTreeMap::new())));
    }
    if !around.datasets.is_empty() {
        page = page.section("Datasets it read", Block::Table(datasets_table(around)));
    }
    if !around.models_made.is_empty() || !around.models_read.is_empty() {
        page = page.section("Logged models", Block::Table(logged_models_table(around)));
    }
    if run.origin == Origin::Client {
        page = files(page, &run.id, around);
    }
    match &detail.evaluation {
        Some(evaluation) => evaluated(page, evaluation),
        None => page,
    }
}

/// The last value of every metric, by name, with its step where that is known; also of those that are no finite numbers.
fn last_values(detail: &RunDetail) -> BTreeMap<&str, (f64, Option<i64>)> {
    let step = |metric: &str| {
        let curve = detail.curves.iter().find(|curve| curve.key == metric);
        curve.and_then(|curve| curve.points.last()).map(|(step, _)| *step)
    };
    let RunView { run, not_finite, .. } = &detail.view;
    let finite = run.metrics.iter().map(|(metric, value)| (metric.as_str(), (*value, step(metric))));
    let others = not_finite.iter().map(|(metric, last)| (metric.as_str(), (last.value, Some(last.step))));
    finite.chain(others).collect()
}

/// The metrics that stand out, by name: the usual ones, and of a client's run some of its own.
fn tiles(detail: &RunDetail) -> Vec<(&str, Tile)> {
    let last = last_values(detail);
    let usual = HEADLINES.iter().filter_map(|metric| last.get_key_value(*metric));
    if detail.view.run.origin == Origin::Client {
        let others = last.iter().filter(|(metric, _)| !HEADLINES.contains(*metric));
        let tiles = usual.chain(others).take(TILES_SHOWN).map(|(metric, (value, step))| {
            let step = step.map(|step| format!("at step {step}"));
            (*metric, Tile::new(words::metric_name(metric), words::measured(*value), step.unwrap_or_default()))
        });
        return tiles.collect();
    }
    let tiles = usual.map(|(metric, (value, _))| {
        let baseline = detail.evaluation.as_ref().and_then(|evaluation| evaluation.baseline.get(*metric));
        let note = match baseline {
            Some(baseline) => format!("{} by always saying the same", words::decimal(*baseline, 4)),
            None => "on the test rows".into(),
        };
        (*metric, Tile::new(words::metric_name(metric), words::decimal(*value, 4), note))
    });
    tiles.collect()
}

/// What is to say of a run in a line each.
fn facts(detail: &RunDetail, around: &RunAround, tables: &BTreeSet<String>) -> Block {
    let run = &detail.view.run;
    let pins = run.tables.iter().map(|(table, version)| match tables.contains(table) {
        true => Cell::link(format!("/tables/{table}"), format!("{table}@{version}")),
        false => Cell::text(format!("{table}@{version}")),
    });
    let version = match (&run.model, run.version) {
        (Some(model), Some(version)) => Cell::link(format!("/models/{model}"), format!("{model} {version}")),
        _ => Cell::Empty,
    };
    let commit = run.commit.as_ref().map(|commit| {
        let changed = if commit.dirty { " with changes" } else { "" };
        Cell::Code(format!("{}{changed}", commit.id.chars().take(12).collect::<String>()))
    });
    let mut facts = vec![
        ("Run", Cell::Code(run.id.clone())),
        ("Experiment", Cell::link(experiment_href(&around.experiment), &around.experiment.name)),
        ("Status", status(run.status)),
    ];
    let is_clients = run.origin == Origin::Client;
    if !is_clients {
        facts.push(("Version", version));
    }
    if !around.registered.is_empty() {
        let link = |(model, version): &(String, u64)| {
            Cell::link(format!("/models/{}", in_address(model)), format!("{model} {version}"))
        };
        facts.push(("Registered as", Cell::Many(around.registered.iter().map(link).collect())));
    }
    facts.push(("By", Cell::text(run.by.to_string())));
    if let Some(user) = &run.user {
        facts.push(("User", Cell::text(user)));
    }
    if let Some(parent) = &run.parent {
        facts.push(("Started by", Cell::link(format!("/runs/{}", in_query(parent)), short(parent))));
    }
    facts.extend([("Started", Cell::Time(run.started_at)), ("Took", Cell::maybe(detail.view.seconds, Cell::span))]);
    if is_clients {
        let tag = |name: &str| run.tags.get(name).map(|value| Cell::Code(words::cut(value, VALUE_CHARACTERS)));
        facts.extend(tag("mlflow.source.name").map(|source| ("Source", source)));
        facts.extend(tag("mlflow.source.git.commit").map(|commit| ("Code", commit)));
        return Block::Facts(facts);
    }
    let files = run.artifacts.iter().map(|file| Cell::Text(format!("{} ({})", file.name, words::size(file.bytes))));
    let made_on = &run.environment;
    facts.extend([
        ("Learned from", Cell::Many(pins.collect())),
        ("Code", commit.unwrap_or(Cell::Empty)),
        ("Made by", Cell::Soft(format!("mainspring {} on {} {}", made_on.mainspring, made_on.os, made_on.arch))),
        ("Files", Cell::Many(files.collect())),
    ]);
    Block::Facts(facts)
}

/// All metrics with their last values.
fn metrics_table(detail: &RunDetail) -> Table {
    let rows = last_values(detail).into_iter().map(|(metric, (value, step))| {
        let step = Cell::maybe(step, |step| Cell::Text(step.to_string()));
        vec![Cell::Code(metric.to_owned()), Cell::Number(words::measured(value), value), step]
    });
    Table::new(&["metric", "#last value", "#step"]).rows(rows).filtered("metrics")
}

/// Names and values.
fn labels_table<'a>(heading: &str, id: &'static str, labels: impl Iterator<Item = (&'a String, &'a String)>) -> Table {
    let rows =
        labels.map(|(name, value)| vec![Cell::Code(name.clone()), Cell::text(words::cut(value, VALUE_CHARACTERS))]);
    Table::new(&[heading, "value"]).rows(rows).or_else("None were set").filtered(id)
}

/// The datasets that a client says the run read.
fn datasets_table(around: &RunAround) -> Table {
    let rows = around.datasets.iter().map(|(input, known)| {
        // MLflow's clients say what a dataset was used for in this label
        let used_for = input.tags.get("mlflow.data.context");
        vec![
            Cell::text(&input.name),
            Cell::Code(input.digest.clone()),
            Cell::maybe(used_for, |context| Cell::tag(Tone::Plain, context)),
            Cell::maybe(known.as_ref(), |known| Cell::Soft(known.source_type.clone())),
            Cell::maybe(known.as_ref(), |known| Cell::Long(words::cut(&known.source, VALUE_CHARACTERS))),
        ]
    });
    Table::new(&["dataset", "digest", "used for", "kind of source", "source"]).rows(rows)
}

/// The logged models that a run made, and those that it read.
fn logged_models_table(around: &RunAround) -> Table {
    let made = around.models_made.iter().map(|(model, step)| (model, "made", Cell::Text(step.to_string())));
    let read = around.models_read.iter().map(|model| (model, "read", Cell::Empty));
    let rows = made.chain(read).map(|(model, how, step)| {
        let by = model.run.as_ref().map(|run| Cell::link(format!("/runs/{}", in_query(run)), short(run)));
        vec![
            Cell::text(&model.name),
            Cell::Code(model.id.clone()),
            Cell::text(how),
            step,
            Cell::Soft(model.model_type.clone()),
            by.unwrap_or(Cell::Empty),
            Cell::Time(model.created_at),
        ]
    });
    Table::new(&["model", "id", "", "#step", "type", "logged by", "logged"]).rows(rows)
}

/// The files that a client logged, each to be downloaded.
fn files(page: Page, run: &str, around: &RunAround) -> Page {
    if let Some(elsewhere) = &around.elsewhere {
        return page.section("Files", Block::Note(format!("Its client keeps them itself, at {elsewhere}")));
    }
    let rows = around.files.iter().map(|(path, bytes)| {
        let href = format!("/get-artifact?run_uuid={}&path={}", in_query(run), in_query(path));
        vec![Cell::link(href, path), Cell::size(*bytes)]
    });
    let table = Table::new(&["file", "#size"]).rows(rows).or_else("None were logged").filtered("files");
    let page = page.section("Files", Block::Table(table));
    if around.has_more_files {
        return page.with(Block::Note("There are more files than are listed here; MLflow's client lists all".into()));
    }
    page
}

/// Curves of the same metric on other rows, `train/log_loss` and `validation/log_loss`, in one chart.
fn curves_by_metric(detail: &RunDetail) -> Vec<Figure> {
    let mut grouped: BTreeMap<String, Vec<NamedCurve>> = BTreeMap::new();
    for curve in &detail.curves {
        let parts = ["train", "validation", "test"];
        let part = parts.iter().find(|part| curve.key.split(['/', '.', '_', ' ']).any(|word| word == **part));
        let metric = part.map_or(curve.key.clone(), |part| curve.key.replacen(part, "", 1));
        let metric = metric.trim_matches(['/', '.', '_', ' ']).to_owned();
        let name = part.map_or_else(|| words::metric_name(&curve.key), |part| (*part).to_owned());
        grouped.entry(metric).or_default().push((name, curve.points.clone()));
    }
    let figures = grouped.iter().enumerate();
    figures
        .map(|(number, (metric, curves))| curves_figure(format!("curve-{number}"), &words::metric_name(metric), curves))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_to_compare_are_named_in_either_way_once_and_not_too_many() {
        assert_eq!(chosen("compare=a,b"), ["a", "b"]);
        assert_eq!(chosen("compare=a&x=1&compare=b&compare=a"), ["a", "b"]);
        assert_eq!(chosen("compare=a%2Cb"), ["a", "b"]);
        assert!(chosen("").is_empty() && chosen("compare=").is_empty());
        assert_eq!(chosen("compare=1,2,3,4,5,6,7,8,9").len(), COMPARED_MAX);
    }

    /// A run of a client, by its identifier, its name and who started it.
    fn run(id: &str, name: &str, parent: Option<&str>) -> RunView {
        let document = serde_json::json!({
            "id": id, "experiment": "1", "name": name, "origin": "client", "model": null, "parent": parent,
            "status": "succeeded", "params": { "zeta": id, "seed": "7" }, "tags": {},
            "by": { "kind": "user", "name": "local" },
            "started_at": "2026-11-27T01:00:00Z", "ended_at": null, "commit": null,
            "environment": mainspring_registry::Environment::current(),
            "metrics": { "rows": 1_234_567.0, "tiny": 1e-9 }, "version": null, "error": null,
        });
        serde_json::from_value::<Run>(document).unwrap().into()
    }

    #[test]
    fn runs_stand_behind_the_run_that_started_them() {
        let runs =
            [("e", None), ("d", Some("a")), ("c", Some("b")), ("b", Some("a")), ("a", None), ("z", Some("gone"))];
        let runs = runs.map(|(id, parent)| run(id, "", parent));

        let ordered = under_their_parents(runs.into());

        assert_eq!(ordered.iter().map(|view| view.run.id.as_str()).collect::<Vec<_>>(), ["e", "a", "d", "b", "c", "z"]);
        let circle = under_their_parents(vec![run("x", "", Some("y")), run("y", "", Some("x"))]);
        assert_eq!(circle.len(), 2, "none is lost");
    }

    #[test]
    fn compared_runs_go_by_name_where_that_tells_them_apart() {
        let detail = |view| RunDetail { view, curves: vec![], evaluation: None };
        let runs = [run("1", "shallow", None), run("2", "deep", None), run("3", "deep", None)].map(detail);

        assert_eq!(called_apart(&runs), ["shallow", "…2", "…3"]);

        let text = comparison(Page::new("", ""), &runs).blocks[0].to_string();
        for there in ["shallow", "/runs/3", "1,234,567<", "1.00e-9"] {
            assert!(text.contains(there), "{there:?} is not in\n{text}");
        }
        let place = |param: &str| text.find(param).unwrap();
        assert!(place("<code>zeta</code>") < place("<code>seed</code>"), "what differs comes first");
    }

    #[test]
    fn an_experiment_is_asked_for_by_number_or_by_any_name() {
        assert_eq!(asked_experiment("compare=a&experiment=28").as_deref(), Some("28"));
        assert_eq!(asked_experiment("experiment=Gr%C3%B6%C3%9Fe+2").as_deref(), Some("Größe 2"));
        assert_eq!(asked_experiment("experiment="), None);
        assert_eq!(asked_experiment("experiment=%FF"), None);
        let named = ExperimentSeen { key: "a & b".into(), name: "a & b".into(), number: None };
        assert_eq!(experiment_href(&named), "/runs?experiment=a%20%26%20b");
    }
}
