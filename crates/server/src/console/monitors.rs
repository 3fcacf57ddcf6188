//! `/monitors`: what is watched; `/monitors/{m}`: drift and quality over time, features, alerts.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::Path;
use mainspring_spec::Window;
use mainspring_watch::{AlertState, Role};

use super::chart::{Chart, Mark, Series};
use super::page::{Block, Cell, Figure, Heading, Page, Table, Tile, Tone};
use super::picture;
use super::visit::{Shown, Visit};
use super::words;
use crate::views::{self, AlertView, MonitorDetail, MonitorView, WindowView};

/// The most windows that tables and charts show.
const WINDOWS_SHOWN: usize = 60;
/// The most windows beside each other in the table of features.
const WINDOWS_BESIDE: usize = 12;
/// A PSI from which the ground is darkest: by custom 0.2 is already much.
const PSI_DARKEST: f64 = 1.0;
/// The most alerts that are listed.
const ALERTS_SHOWN: usize = 100;

/// Answers `GET /monitors`.
pub async fn list(visit: Visit) -> Shown {
    visit.may_list().await?;
    let monitors = visit.seen(views::monitors(&visit.look, &views::Page::default()).await)?;
    let alerts = visit.seen(views::alerts(&visit.look, None, &views::Page::first(ALERTS_SHOWN)).await)?;
    let page = Page::new(
        "Monitors",
        "Whether the world still looks like the one that was learned from, and whether answers are still right",
    )
    .with(Block::Table(monitors_table(&monitors)))
    .section("Alerts", Block::Table(alerts_table(&visit, &alerts)));
    visit.show(page)
}

fn monitors_table(monitors: &[MonitorView]) -> Table {
    let rows = monitors.iter().map(|monitor| {
        let newest = monitor.newest.as_ref();
        let farthest = newest.and_then(|window| window.farthest.clone());
        vec![
            Cell::link(format!("/monitors/{}", monitor.monitor), &monitor.monitor),
            Cell::text(&monitor.description),
            Cell::link(format!("/endpoints/{}", monitor.endpoint), &monitor.endpoint),
            Cell::text(format!("{:?}", monitor.window).to_lowercase()),
            Cell::count(monitor.windows as u64),
            Cell::maybe(newest, |window| Cell::text(window_name(window, monitor.window))),
            Cell::maybe(farthest, |(name, psi)| Cell::Text(format!("{name}, PSI {}", words::decimal(psi, 2)))),
            match monitor.open_alerts {
                0 => Cell::tag(Tone::Good, "none"),
                open => Cell::tag(Tone::Warn, words::count(open as u64)),
            },
        ]
    });
    Table::new(&["monitor", "asks", "endpoint", "window", "#windows", "newest", "moved farthest", "open alerts"])
        .rows(rows)
        .or_else("No monitor is declared: a file under monitors/ declares one")
}

/// Alerts with what may be done about them.
pub fn alerts_table(visit: &Visit, alerts: &[AlertView]) -> Table {
    let rows = alerts.iter().map(|view| {
        let alert = &view.alert;
        let tone = tone_of(alert.state);
        let action = |verb: &'static str, label: &'static str| {
            let permitted = visit.could(&format!("alert.{verb}"), "alert", &alert.id);
            permitted.then(|| Cell::Action {
                href: format!("/api/v1/alerts/{}/{verb}", alert.id),
                body: "{}".into(),
                label,
                ask: String::new(),
            })
        };
        let actions = match alert.state {
            AlertState::Open => {
                [action("acknowledge", "Acknowledge"), action("resolve", "Resolve")].into_iter().flatten().collect()
            }
            AlertState::Acknowledged => action("resolve", "Resolve").into_iter().collect(),
            AlertState::Resolved => vec![],
        };
        vec![
            Cell::tag(tone, alert.state.as_str()),
            Cell::text(words_of(view)),
            Cell::count(alert.count),
            Cell::Time(alert.first_window),
            Cell::Many(actions),
        ]
    });
    Table::new(&["state", "what", "#times", "since", ""]).rows(rows).or_else("No alert was ever raised")
}

/// Alerts in a few words.
pub fn alerts_in_short(visit: &Visit, alerts: &[AlertView]) -> Table {
    let rows = alerts.iter().map(|view| {
        let tone = tone_of(view.alert.state);
        let monitor = &view.alert.monitor;
        vec![
            Cell::tag(tone, view.alert.state.as_str()),
            match (view.alert.source(), visit.look.project.monitors.contains_key(monitor)) {
                (Some(_), _) => Cell::link("/tables", words_of(view)),
                (None, true) => Cell::link(format!("/monitors/{monitor}"), words_of(view)),
                (None, false) => Cell::text(words_of(view)),
            },
            Cell::text(view.alert.last_window.strftime("%Y-%m-%d").to_string()),
        ]
    });
    Table::new(&["state", "what", "window"]).rows(rows).or_else("No alert was ever raised")
}

const fn tone_of(state: AlertState) -> Tone {
    match state {
        AlertState::Open => Tone::Bad,
        AlertState::Acknowledged => Tone::Warn,
        AlertState::Resolved => Tone::Good,
    }
}

fn words_of(view: &AlertView) -> String {
    let alert = &view.alert;
    if let Some(detail) = &alert.detail {
        return detail.clone();
    }
    let rule = words::metric_name(&alert.rule.to_string());
    let of = alert.column.as_deref().map(|column| format!(" of {column}")).unwrap_or_default();
    format!("{rule}{of} is {}, allowed is {}", words::figure(alert.value), alert.bound)
}

fn window_name(window: &WindowView, length: Window) -> String {
    let format = match length {
        Window::Hour => "%Y-%m-%d %H:00",
        Window::Day | Window::Week => "%Y-%m-%d",
        Window::Month => "%Y-%m",
    };
    window.report.from.strftime(format).to_string()
}

/// Answers `GET /monitors/{m}`.
pub async fn one(visit: Visit, Path(name): Path<String>) -> Shown {
    visit.may("monitor.read", "monitor", &name).await?;
    let monitor = visit.seen(views::monitor(&visit.look, &name).await)?;
    let alerts: Vec<AlertView> = monitor.alerts.iter().take(ALERTS_SHOWN).cloned().map(AlertView::from).collect();
    let alerts = alerts_table(&visit, &alerts);
    visit.show(page(&monitor, alerts))
}

/// The page of a monitor.
pub fn page(detail: &MonitorDetail, alerts: Table) -> Page {
    let view = &detail.view;
    let first = detail.reports.len().saturating_sub(WINDOWS_SHOWN);
    let windows: Vec<&WindowView> = detail.reports.iter().skip(first).collect();
    let mut page = Page::new(&view.monitor, view.description.trim()).under("Monitors", "/monitors");
    let Some(newest) = windows.last() else {
        return page.with(Block::Note(
            "No window was evaluated yet: predictions come first, then `mainspring monitor` or a run of the workflow."
                .into(),
        ));
    };
    page = page.with(Block::Tiles(tiles(newest, view)));
    let names = names_of(&windows, view.window);
    page = page.charts("Over time", figures(detail, &windows, &names));
    page.section("Windows", Block::Table(windows_table(&windows, &names)))
        .section("Drift of each input, by PSI", Block::Table(heat_table(detail, &windows, &names)))
        .section("Alerts", Block::Table(alerts))
}

/// The windows' names; where several versions answered in one, with the version.
fn names_of(windows: &[&WindowView], length: Window) -> Vec<String> {
    let mut count: BTreeMap<jiff::Timestamp, usize> = BTreeMap::new();
    for window in windows {
        *count.entry(window.report.from).or_default() += 1;
    }
    let name = |window: &&WindowView| {
        let name = window_name(window, length);
        let shared = count.get(&window.report.from).is_some_and(|several| *several > 1);
        if shared { format!("{name} v{}", window.report.model_version) } else { name }
    };
    windows.iter().map(name).collect()
}

fn tiles(newest: &WindowView, view: &MonitorView) -> Vec<Tile> {
    let report = &newest.report;
    let traffic = &report.traffic;
    let alerts = Tile::new(
        "Open alerts",
        words::count(view.open_alerts as u64),
        format!("{} broken in the newest window", words::several(newest.broken as u64, "bound", "bounds")),
    );
    let mut tiles = vec![
        if view.open_alerts == 0 { alerts.mark(Tone::Good, "calm") } else { alerts.mark(Tone::Warn, "look") },
        Tile::new("Predictions", words::count(traffic.predictions), format!("in {}", window_name(newest, view.window)))
            .to(format!("/endpoints/{}", view.endpoint)),
    ];
    if let Some((name, psi)) = &newest.farthest {
        tiles.push(Tile::new("Moved farthest", words::decimal(*psi, 3), format!("PSI of {name}")));
    }
    let quality = report.performance.as_ref().and_then(|performance| {
        let metric = ["auc", "accuracy", "r2", "rmse"]
            .into_iter()
            .find_map(|name| Some((name, *performance.metrics.get(name)?)))?;
        Some((metric, performance))
    });
    tiles.push(match quality {
        Some(((name, value), performance)) => Tile::new(
            words::metric_name(name),
            words::decimal(value, 4),
            format!("{} of the labels are known", words::share(performance.coverage)),
        ),
        None => Tile::new("Quality", "–", "labels have not come yet"),
    });
    tiles
}

fn figures(detail: &MonitorDetail, windows: &[&WindowView], names: &[String]) -> Vec<Figure> {
    let words_of = |chart: Chart| chart.words("window", names.iter().cloned());
    let psi_of = |window: &&WindowView, column: &str| window.report.column(column).and_then(|column| column.psi);
    let mut drift = words_of(Chart::new("drift", "Drift")).note("population stability index").series(Series::new(
        "farthest input",
        Mark::Points,
        windows.iter().map(|w| w.farthest.as_ref().map(|(_, psi)| *psi)),
    ));
    let medians = windows.iter().map(|window| {
        let columns = window.report.columns.iter().filter(|column| column.role == Role::Feature);
        let mut values: Vec<f64> = columns.filter_map(|column| column.psi).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    });
    drift = drift.series(Series::new("median input", Mark::Points, medians));
    let prediction =
        windows.iter().flat_map(|window| &window.report.columns).find(|column| column.role == Role::Prediction);
    if let Some(prediction) = prediction.map(|column| column.name.clone()) {
        drift = drift.series(Series::new("prediction", Mark::Points, windows.iter().map(|w| psi_of(w, &prediction))));
    }
    if let Some(bound) = detail.drift.psi {
        drift = drift.bound(bound);
    }
    let mut figures = vec![drift.axis("yaxis", serde_json::json!({"rangemode": "tozero"})).figure()];
    let metrics: BTreeSet<&String> =
        windows.iter().filter_map(|window| window.report.performance.as_ref()).flat_map(|p| p.metrics.keys()).collect();
    if !metrics.is_empty() {
        let mut quality =
            words_of(Chart::new("quality", "Quality")).note("once labels are known; dotted are the bounds");
        for metric in metrics {
            let values =
                windows.iter().map(|w| w.report.performance.as_ref().and_then(|p| p.metrics.get(metric).copied()));
            quality = quality.series(Series::new(words::metric_name(metric), Mark::Points, values));
        }
        for bound in &detail.performance {
            quality = [bound.min, bound.max].into_iter().flatten().fold(quality, Chart::bound);
        }
        figures.push(quality.figure());
    }
    let traffic = words_of(Chart::new("traffic", "Predictions and labels"))
        .small()
        .series(Series::new(
            "predictions",
            Mark::Bars,
            windows.iter().map(|w| Some(words::number(w.report.traffic.predictions))),
        ))
        .series(Series::new(
            "labelled",
            Mark::Bars,
            windows
                .iter()
                .map(|w| w.report.performance.as_ref().map(|performance| words::number(performance.labelled))),
        ));
    figures.push(traffic.figure());
    let rates = words_of(Chart::new("rates", "What is said and what happens"))
        .small()
        .series(Series::new("mean prediction", Mark::Points, windows.iter().map(|w| w.report.traffic.mean_prediction)))
        .series(Series::new(
            "mean label",
            Mark::Points,
            windows.iter().map(|w| w.report.performance.as_ref().and_then(|p| p.mean_label)),
        ));
    figures.push(rates.figure());
    figures
}

fn windows_table(windows: &[&WindowView], names: &[String]) -> Table {
    let rows = windows.iter().zip(names).rev().map(|(window, name)| {
        let report = &window.report;
        let traffic = &report.traffic;
        let metric = |name: &str| {
            let value = report.performance.as_ref().and_then(|performance| performance.metrics.get(name).copied());
            Cell::maybe(value, |value| Cell::decimal(value, 4))
        };
        let first =
            if report.performance.as_ref().is_some_and(|p| p.metrics.contains_key("rmse")) { "rmse" } else { "auc" };
        vec![
            Cell::text(name),
            Cell::count(report.model_version),
            Cell::count(traffic.predictions),
            Cell::count(traffic.degraded),
            Cell::maybe(report.performance.as_ref(), |performance| Cell::count(performance.labelled)),
            metric(first),
            metric("log_loss"),
            Cell::maybe(window.farthest.clone(), |(name, psi)| {
                Cell::Text(format!("{name}, PSI {}", words::decimal(psi, 2)))
            }),
            match (report.closed, window.broken) {
                (_, 0) => Cell::tag(Tone::Good, "within bounds"),
                (true, broken) => Cell::tag(Tone::Bad, words::several(broken as u64, "bound broken", "bounds broken")),
                (false, broken) => Cell::tag(Tone::Warn, format!("{broken} so far")),
            },
        ]
    });
    let quality =
        if windows.iter().any(|w| w.report.performance.as_ref().is_some_and(|p| p.metrics.contains_key("rmse"))) {
            "#RMSE"
        } else {
            "#AUC"
        };
    Table::new(&[
        "window",
        "#version",
        "#predictions",
        "#degraded",
        "#labelled",
        quality,
        "#log loss",
        "moved farthest",
        "bounds",
    ])
    .rows(rows)
}

/// Inputs by windows, the farthest first, with the shape of the newest window over the reference's.
fn heat_table(detail: &MonitorDetail, windows: &[&WindowView], names: &[String]) -> Table {
    let from = windows.len().saturating_sub(WINDOWS_BESIDE);
    let (windows, names) = (windows.get(from..).unwrap_or_default(), names.get(from..).unwrap_or_default());
    let heading = |name: &str, is_number| Heading { name: name.into(), is_number };
    let mut headings = vec![heading("input", false), heading("learned from", false), heading("newest window", false)];
    headings.extend(names.iter().map(|name| heading(name, true)));
    headings.extend(["missing before", "missing now"].map(|name| heading(name, true)));
    let Some(newest) = windows.last() else { return Table::new(&[]) };
    let mut columns: Vec<_> = newest.report.columns.iter().collect();
    columns.sort_by(|a, b| b.psi.unwrap_or(-1.0).total_cmp(&a.psi.unwrap_or(-1.0)));
    let rows = columns.into_iter().map(|column| {
        let histogram = detail.histograms.as_ref().and_then(|histograms| histograms.columns.get(&column.name));
        let (before, now) = histogram.map(shapes).unwrap_or_default();
        let name = match column.role {
            Role::Feature => Cell::Code(column.name.clone()),
            Role::Prediction => Cell::Many(vec![Cell::Code(column.name.clone()), Cell::tag(Tone::Info, "answer")]),
        };
        let mut cells = vec![name, Cell::Drawn(before), Cell::Drawn(now)];
        cells.extend(windows.iter().map(|window| {
            let psi = window.report.column(&column.name).and_then(|column| column.psi);
            Cell::maybe(psi, |psi| Cell::Heat((psi / PSI_DARKEST).sqrt(), words::decimal(psi, 3), psi))
        }));
        cells.push(Cell::share(column.reference.null_share()));
        cells.push(Cell::share(column.current.null_share()));
        cells
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    Table { headings, ..Table::new(&[]) }.rows(rows).filtered("inputs")
}

fn shapes(histogram: &mainspring_watch::drift::Histogram) -> (picture::Picture, picture::Picture) {
    use mainspring_watch::drift::Histogram;
    let (Histogram::Numeric { reference, current, .. } | Histogram::Categories { reference, current, .. }) = histogram;
    (picture::bars(reference, "histogram words"), picture::bars(current, "histogram"))
}
