//! `/runs`: training runs, alone or compared; `/runs/{id}`: parameters, curves, evaluation.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, RawQuery};
use mainspring_registry::{Confusion, Evaluation, Importance, RunStatus, SliceReport};

use super::chart::{Chart, Mark, Series};
use super::page::{Block, Cell, Figure, Heading, Page, Table, Tile, Tone};
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, RunDetail, RunView};

/// The most runs that are listed.
const RUNS_SHOWN: usize = 200;
/// The most runs that are compared.
const COMPARED_MAX: usize = 6;
/// The most inputs whose importance is drawn.
const INPUTS_SHOWN: usize = 14;
/// The metrics that lists show, as far as runs have them.
const HEADLINES: [&str; 7] = ["auc", "log_loss", "brier", "accuracy", "rmse", "mae", "r2"];

/// Answers `GET /runs`.
pub async fn list(visit: Visit, RawQuery(query): RawQuery) -> Shown {
    visit.may_list().await?;
    let runs = visit.seen(views::runs(&visit.look, None, &views::Page::first(RUNS_SHOWN)).await)?;
    let mut page =
        Page::new("Runs", "Each training with its parameters, its curves, and the exact versions it learned from");
    let mut compared = vec![];
    for id in chosen(query.as_deref().unwrap_or_default()) {
        // a run that is gone is left out
        if let Ok(run) = views::run(&visit.look, &id).await {
            compared.push(run);
        }
    }
    if compared.len() > 1 {
        page = comparison(page, &compared);
    }
    let page = page.section("All runs", Block::Table(runs_table(&runs)));
    visit.show(page)
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

fn runs_table(runs: &[RunView]) -> Table {
    let named: Vec<&str> =
        HEADLINES.into_iter().filter(|metric| runs.iter().any(|run| run.run.metrics.contains_key(*metric))).collect();
    let heading = |name: &str, is_number| Heading { name: name.into(), is_number };
    let mut headings =
        vec![heading("", false), heading("run", false), heading("model", false), heading("status", false)];
    headings.push(heading("version", true));
    headings.extend(named.iter().map(|metric| heading(&words::metric_name(metric), true)));
    headings.extend([heading("started", false), heading("took", true), heading("by", false)]);
    let rows = runs.iter().map(|view| {
        let run = &view.run;
        let mut cells = vec![
            Cell::Check("compare", run.id.clone()),
            Cell::link(format!("/runs/{}", run.id), short(&run.id)),
            Cell::text(run.model.clone().or_else(|| run.name.clone()).unwrap_or_else(|| run.experiment.clone())),
            status(run.status),
            Cell::maybe(run.version, Cell::count),
        ];
        cells
            .extend(named.iter().map(|metric| Cell::maybe(run.metrics.get(*metric), |value| Cell::decimal(*value, 4))));
        cells.extend([
            Cell::Time(run.started_at),
            Cell::maybe(view.seconds, Cell::span),
            Cell::text(run.by.to_string()),
        ]);
        cells
    });
    let form = (runs.len() > 1).then_some(("/runs", "Compare the chosen runs"));
    Table { headings, form, ..Table::new(&[]) }
        .rows(rows)
        .or_else("Nothing was trained yet: `mainspring run` trains the declared models")
        .filtered("runs")
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
fn comparison(page: Page, runs: &[RunDetail]) -> Page {
    let headings = || {
        let name = Heading { name: String::new(), is_number: false };
        let runs = runs.iter().map(|run| Heading { name: short(&run.view.run.id), is_number: true });
        std::iter::once(name).chain(runs).collect::<Vec<_>>()
    };
    let metrics: BTreeSet<&String> = runs.iter().flat_map(|run| run.view.run.metrics.keys()).collect();
    let metrics = metrics.into_iter().map(|metric| {
        let values = runs.iter().map(|run| run.view.run.metrics.get(metric));
        let cells = values.map(|value| Cell::maybe(value, |value| Cell::decimal(*value, 4)));
        std::iter::once(Cell::text(words::metric_name(metric))).chain(cells).collect()
    });
    let params: BTreeSet<&String> = runs.iter().flat_map(|run| run.view.run.params.keys()).collect();
    let params = params.into_iter().map(|param| {
        let values: Vec<Option<&String>> = runs.iter().map(|run| run.view.run.params.get(param)).collect();
        let differs = values.windows(2).any(|pair| pair.first() != pair.last());
        let cells = values.iter().map(|value| match value {
            Some(value) if differs => Cell::tag(Tone::Warn, *value),
            Some(value) => Cell::text(*value),
            None => Cell::Empty,
        });
        std::iter::once(Cell::Code(param.clone())).chain(cells).collect()
    });
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.curves.iter().map(|curve| &curve.key)).collect();
    let figures = keys.into_iter().enumerate().map(|(number, key)| {
        let curves = runs.iter().map(|run| {
            let curve = run.curves.iter().find(|curve| curve.key == *key);
            (short(&run.view.run.id), curve.map(|curve| curve.points.clone()).unwrap_or_default())
        });
        curves_figure(format!("compared-{number}"), &words::metric_name(key), &curves.collect::<Vec<_>>())
    });
    let table = |rows: Vec<Vec<Cell>>| Table { headings: headings(), ..Table::new(&[]) }.rows(rows);
    page.with(Block::Beside(vec![
        ("Metrics compared".into(), Block::Table(table(metrics.collect()))),
        ("Parameters compared".into(), Block::Table(table(params.collect()))),
    ]))
    .charts("Curves compared", figures.collect())
}

/// A name with iterations and values.
type NamedCurve = (String, Vec<(i64, f64)>);

/// Curves over iterations in one chart.
fn curves_figure(id: String, title: &str, curves: &[NamedCurve]) -> Figure {
    let steps: BTreeSet<i64> = curves.iter().flat_map(|(_, points)| points.iter().map(|(step, _)| *step)).collect();
    let x = steps.iter().map(|step| (serde_json::json!(step), Cell::Text(step.to_string())));
    let mut chart = Chart::new(id, title).small().x("iteration", x);
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
    visit.show(page(&run, &tables))
}

/// The page of a run; `tables` are those that can be linked to.
pub fn page(detail: &RunDetail, tables: &BTreeSet<String>) -> Page {
    let run = &detail.view.run;
    let title = format!("Run {}", short(&run.id));
    let lead = match (&run.error, &run.model) {
        (Some(error), _) => error.clone(),
        (None, Some(model)) => format!("A training of {model}"),
        (None, None) => format!("A run of {}", run.experiment),
    };
    let mut page = Page::new(title, lead).under("Runs", "/runs");
    let tiles = HEADLINES.iter().filter_map(|metric| {
        let value = *run.metrics.get(*metric)?;
        let baseline = detail.evaluation.as_ref().and_then(|evaluation| evaluation.baseline.get(*metric));
        let note = match baseline {
            Some(baseline) => format!("{} by always saying the same", words::decimal(*baseline, 4)),
            None => "on the test rows".into(),
        };
        Some(Tile::new(words::metric_name(metric), words::decimal(value, 4), note))
    });
    let tiles: Vec<Tile> = tiles.collect();
    if !tiles.is_empty() {
        page = page.with(Block::Tiles(tiles));
    }
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
    let facts = Block::Facts(vec![
        ("Run", Cell::Code(run.id.clone())),
        ("Status", status(run.status)),
        ("Version", version),
        ("By", Cell::text(run.by.to_string())),
        ("Started", Cell::Time(run.started_at)),
        ("Took", Cell::maybe(detail.view.seconds, Cell::span)),
        ("Learned from", Cell::Many(pins.collect())),
        ("Code", commit.unwrap_or(Cell::Empty)),
        (
            "Made by",
            Cell::Soft(format!(
                "mainspring {} on {} {}",
                run.environment.mainspring, run.environment.os, run.environment.arch
            )),
        ),
        (
            "Files",
            Cell::Many(
                run.artifacts
                    .iter()
                    .map(|file| Cell::Text(format!("{} ({})", file.name, words::size(file.bytes))))
                    .collect(),
            ),
        ),
    ]);
    let params =
        run.params.iter().map(|(name, value)| vec![Cell::Code(name.clone()), Cell::text(words::cut(value, 120))]);
    page = page.with(Block::Beside(vec![
        ("In short".into(), facts),
        ("Parameters".into(), Block::Table(Table::new(&["parameter", "value"]).rows(params).or_else("None were set"))),
    ]));
    let figures = curves_by_metric(detail);
    page = page.charts("Learning", figures);
    match &detail.evaluation {
        Some(evaluation) => evaluated(page, evaluation),
        None => page,
    }
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

fn evaluated(mut page: Page, evaluation: &Evaluation) -> Page {
    for remark in &evaluation.remarks {
        page = page.with(Block::Note(remark.clone()));
    }
    let mut figures = vec![];
    if !evaluation.roc.is_empty() {
        let auc = evaluation.test.metrics.get("auc").map(|auc| format!("area {}", words::decimal(*auc, 4)));
        let chart = curve("roc", "ROC", "false positive rate", "true positive rate", &evaluation.roc);
        figures.push(chart.note(auc.unwrap_or_default()).guide("chance", [0.0, 1.0], [0.0, 1.0]).figure());
    }
    if !evaluation.precision_recall.is_empty() {
        let chart =
            curve("precision-recall", "Precision and recall", "recall", "precision", &evaluation.precision_recall);
        let share = evaluation.test.mean_label.unwrap_or(0.0);
        figures.push(chart.guide("chance", [0.0, 1.0], [share, share]).figure());
    }
    if !evaluation.calibration.is_empty() {
        let bins = &evaluation.calibration;
        let chart = Chart::new("calibration", "Calibration")
            .note("on the dotted line, what is said is what happens")
            .numbers("predicted", bins.iter().map(|bin| bin.predicted))
            .series(Series::new("observed", Mark::Points, bins.iter().map(|bin| Some(bin.observed))))
            .guide("perfect", [0.0, 1.0], [0.0, 1.0])
            .y("observed");
        figures.push(chart.figure());
    }
    if let Some(residuals) = &evaluation.residuals {
        let middle = |bin: usize| residuals.from + residuals.width * (words::number(bin as u64) + 0.5);
        let chart = Chart::new("residuals", "Residuals")
            .numbers("label less prediction", (0..residuals.counts.len()).map(middle))
            .series(Series::new("rows", Mark::Bars, residuals.counts.iter().map(|count| Some(words::number(*count)))));
        figures.push(chart.figure());
    }
    if !evaluation.importance.is_empty() {
        figures.push(importance(&evaluation.importance));
    }
    page = page.charts("On the test rows", figures);
    if let Some(confusion) = &evaluation.confusion {
        page = page.section("Confusion", Block::Table(confusion_table(confusion)));
    }
    if !evaluation.by_class.is_empty() {
        let rows = evaluation.by_class.iter().map(|class| {
            let figures = [class.precision, class.recall, class.f1].map(|value| Cell::decimal(value, 4));
            [Cell::text(&class.class), Cell::count(class.rows)].into_iter().chain(figures).collect()
        });
        let table = Table::new(&["class", "#rows", "#precision", "#recall", "#F1"]).rows(rows);
        page = page.section("By class", Block::Table(table));
    }
    if evaluation.slices.is_empty() {
        return page;
    }
    page.section("By slice", Block::Table(slices_table(&evaluation.slices)))
}

fn curve(id: &str, title: &str, x: &str, y: &str, points: &[mainspring_registry::CurvePoint]) -> Chart {
    Chart::new(id, title)
        .numbers(x, points.iter().map(|point| point.x))
        .series(Series::new(y, Mark::Line, points.iter().map(|point| Some(point.y))))
        .y(y)
}

fn importance(shares: &[Importance]) -> Figure {
    let mut shares: Vec<&Importance> = shares.iter().collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares.truncate(INPUTS_SHOWN);
    Chart::new("importance", "What it looks at")
        .note("each input's share of the gain")
        .x("input", shares.iter().map(|input| (serde_json::json!(input.input), Cell::Code(input.input.clone()))))
        .series(Series::new("share", Mark::Across, shares.iter().map(|input| Some(input.share))))
        .axis("xaxis", serde_json::json!({"tickformat": ".0%"}))
        .figure()
}

fn confusion_table(confusion: &Confusion) -> Table {
    let classes = confusion.classes.iter();
    let first = Heading { name: "actually".into(), is_number: false };
    let headings = classes.map(|class| Heading { name: format!("said {class}"), is_number: true });
    let most = confusion.counts.iter().flatten().max().copied().unwrap_or(0).max(1);
    let rows = confusion.classes.iter().zip(&confusion.counts).map(|(class, counts)| {
        let cells = counts.iter().map(|count| {
            let number = words::number(*count);
            Cell::Heat(number / words::number(most), words::count(*count), number)
        });
        std::iter::once(Cell::text(class)).chain(cells).collect()
    });
    Table { headings: std::iter::once(first).chain(headings).collect(), ..Table::new(&[]) }.rows(rows)
}

fn slices_table(slices: &[SliceReport]) -> Table {
    let named: Vec<&str> = HEADLINES
        .into_iter()
        .filter(|metric| slices.iter().any(|slice| slice.part.metrics.contains_key(*metric)))
        .collect();
    let heading = |name: String, is_number| Heading { name, is_number };
    let fixed = [("slice", false), ("value", false), ("rows", true), ("mean label", true)];
    let headings = fixed.map(|(name, is_number)| heading(name.into(), is_number)).into_iter();
    let headings = headings.chain(named.iter().map(|metric| heading(words::metric_name(metric), true)));
    let rows = slices.iter().map(|slice| {
        let fixed = [
            Cell::Code(slice.column.clone()),
            Cell::text(&slice.value),
            Cell::count(slice.part.rows),
            Cell::maybe(slice.part.mean_label, |mean| Cell::decimal(mean, 4)),
        ];
        let metrics =
            named.iter().map(|metric| Cell::maybe(slice.part.metrics.get(*metric), |value| Cell::decimal(*value, 4)));
        fixed.into_iter().chain(metrics).collect()
    });
    Table { headings: headings.collect(), ..Table::new(&[]) }.rows(rows).filtered("slices")
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
}
