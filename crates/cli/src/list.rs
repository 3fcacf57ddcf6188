//! Listings: what `list` and `status` show. They read the views that console and API show, and print them.

use std::process::ExitCode;

use mainspring_catalog::AuditQuery;
use mainspring_features::FeatureStore;
use mainspring_server::views::{self, Look, Page};
use serde::Serialize;

use crate::args::{ListArgs, ListKind, Listing};
use crate::config::Place;
use crate::output::{self, BAD, BOLD, Column, Failure, GOOD, SOFT, WARN, count, size, time};
use crate::wiring::Stores;
use Column::{Left, Right};

/// The longest text in a column.
const TEXT_CHARS: usize = 60;

/// `list`.
pub async fn list(place: &Place, args: ListArgs) -> Result<ExitCode, Failure> {
    let look = look(place).await?;
    let (of, limit, json) = (args.of.as_deref(), usize::try_from(args.limit)?, args.json);
    let page = Page::first(limit);
    match args.kind {
        ListKind::Sources => print(views::sources(&look, &page).await?, json, SOURCES, source),
        ListKind::Tables => print(views::tables(&look, &page).await?, json, TABLES, table),
        ListKind::Files => print(views::files(&look, of, &page).await?, json, FILES, file),
        ListKind::Features => print(views::feature_views(&look, &page).await?, json, FEATURES, feature),
        ListKind::Models => print(views::models(&look, &page).await?, json, MODELS, model),
        ListKind::Versions => {
            let mut versions = vec![];
            for model in these(of, || look.project.models.keys().cloned().collect()) {
                versions.extend(views::versions(&look, &model, None, limit).await?);
            }
            print(first(versions, limit), json, VERSIONS, version)
        }
        ListKind::Experiments => print(views::runs(&look, of, &page).await?, json, EXPERIMENTS, run),
        ListKind::Endpoints => print(views::endpoints(&look, &page).await?, json, ENDPOINTS, endpoint),
        ListKind::Runs => print(views::workflows(&look, &page).await?, json, RUNS, workflow),
        ListKind::Tasks => {
            let newest = views::workflows(&look, &Page::first(1)).await?.into_iter().map(|run| run.run.id).collect();
            let mut tasks = vec![];
            for run in these(of, || newest) {
                tasks.extend(views::workflow(&look, &run).await?.task_runs);
            }
            print(first(tasks, limit), json, TASKS, task)
        }
        ListKind::Reports => {
            let mut reports = vec![];
            for monitor in these(of, || look.project.monitors.keys().cloned().collect()) {
                reports.extend(views::reports(&look, &monitor).await?);
            }
            reports.reverse();
            print(first(reports, limit), json, REPORTS, report)
        }
        ListKind::Alerts => print(views::alerts(&look, of, &page).await?, json, ALERTS, alert),
        ListKind::Audit => {
            let query = AuditQuery { subject: of.map(Into::into), limit: Some(limit), ..AuditQuery::default() };
            print(views::audit(&look, query).await?.entries, json, AUDIT, entry)
        }
    }
}

/// A look at what lies in a folder, without a server.
async fn look(place: &Place) -> Result<Look, Failure> {
    let stores = Stores::of_folder(place).await?;
    let project = stores.applied_or_empty().await?;
    Ok(Look {
        features: FeatureStore::offline(stores.lake.clone(), stores.catalog.clone(), project.clone()),
        watch: stores.watch(&project),
        catalog: stores.catalog,
        lake: stores.lake,
        registry: stores.registry,
        serve: None,
        project,
    })
}

/// What was named, or else all.
fn these(of: Option<&str>, all: impl FnOnce() -> Vec<String>) -> Vec<String> {
    of.map_or_else(all, |of| vec![of.to_owned()])
}

fn first<T>(mut items: Vec<T>, limit: usize) -> Vec<T> {
    items.truncate(limit);
    items
}

fn print<T: Serialize>(
    items: Vec<T>,
    json: bool,
    columns: &[Column],
    row: impl Fn(&T) -> Vec<String>,
) -> Result<ExitCode, Failure> {
    if json { output::json(&items) } else { output::listing(columns, items.iter().map(row).collect()) }
}

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= TEXT_CHARS {
        return line.to_owned();
    }
    line.chars().take(TEXT_CHARS - 1).chain(['…']).collect()
}

fn maybe<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".into(), shown)
}

fn metrics(metrics: &std::collections::BTreeMap<String, f64>) -> String {
    let known = ["auc", "log_loss", "accuracy", "rmse", "mae", "r2"];
    let shown = known.iter().filter_map(|name| Some(format!("{name} {:.4}", metrics.get(*name)?))).take(3);
    shown.collect::<Vec<_>>().join(", ")
}

const SOURCES: &[Column] =
    &[Left("source"), Right("files"), Right("rows"), Right("quarantined"), Right("version"), Left("files at")];

fn source(source: &views::SourceView) -> Vec<String> {
    vec![
        source.source.clone(),
        count(source.files),
        count(source.rows),
        count(source.quarantined),
        maybe(source.version, count),
        cut(&source.path),
    ]
}

const TABLES: &[Column] =
    &[Left("table"), Right("version"), Right("rows"), Right("size"), Right("files"), Left("changed")];

fn table(table: &views::TableView) -> Vec<String> {
    vec![
        table.table.clone(),
        count(table.version),
        count(table.rows),
        size(table.bytes),
        count(table.files),
        maybe(table.changed_at, time),
    ]
}

const FILES: &[Column] = &[
    Left("source"),
    Left("file"),
    Left("outcome"),
    Right("size"),
    Right("read"),
    Right("landed"),
    Right("superseded"),
    Right("quarantined"),
    Left("when"),
    Left("why"),
];

fn file(file: &views::FileView) -> Vec<String> {
    vec![
        file.source.clone(),
        cut(&file.uri),
        file.state.into(),
        size(file.size_bytes),
        count(file.rows_read),
        count(file.rows_landed),
        count(file.rows_superseded),
        count(file.rows_quarantined),
        time(file.ingested_at),
        cut(file.reason.as_deref().unwrap_or_default()),
    ]
}

const FEATURES: &[Column] = &[
    Left("view"),
    Left("kind"),
    Left("entity"),
    Right("features"),
    Right("rows"),
    Right("entities"),
    Left("newest event"),
    Left("computed"),
];

fn feature(view: &views::FeatureView) -> Vec<String> {
    let fresh = view.freshness.as_ref();
    vec![
        view.view.clone(),
        format!("{:?}", view.kind).to_lowercase(),
        maybe(view.entity.clone(), |entity| entity),
        count(view.features as u64),
        maybe(fresh, |fresh| count(fresh.rows)),
        maybe(fresh, |fresh| count(fresh.entities)),
        maybe(fresh.and_then(|fresh| fresh.latest_event_time), time),
        maybe(fresh.and_then(|fresh| fresh.computed_at), time),
    ]
}

const MODELS: &[Column] =
    &[Left("model"), Left("task"), Left("trainer"), Right("versions"), Right("champion"), Left("on the test rows")];

fn model(model: &views::ModelView) -> Vec<String> {
    vec![
        model.model.clone(),
        maybe(model.task, |task| format!("{task:?}").to_lowercase()),
        maybe(model.trainer.clone(), |trainer| trainer),
        count(model.versions as u64),
        maybe(model.champion, count),
        metrics(&model.metrics),
    ]
}

const VERSIONS: &[Column] = &[
    Left("model"),
    Right("version"),
    Left("aliases"),
    Left("gates"),
    Left("on the test rows"),
    Right("learned from"),
    Left("made"),
    Left("run"),
];

fn version(view: &views::VersionView) -> Vec<String> {
    let version = &view.version;
    vec![
        version.model.clone(),
        count(version.version),
        view.aliases.join(", "),
        gates(view),
        metrics(&version.metrics),
        maybe(version.train_rows(), count),
        time(version.created_at),
        maybe(version.run.clone(), |run| run),
    ]
}

/// `pass`, or what the gates that are missed say: `fail: auc is 0.6100, the gate asks for at least 0.7`.
fn gates(view: &views::VersionView) -> String {
    let missed: Vec<&str> = view.judged.iter().filter(|gate| !gate.passed).map(|gate| gate.reason.as_str()).collect();
    if view.passes { "pass".into() } else { cut(&format!("fail: {}", missed.join("; "))) }
}

const EXPERIMENTS: &[Column] = &[
    Left("run"),
    Left("model"),
    Left("status"),
    Right("version"),
    Left("on the test rows"),
    Left("started"),
    Right("seconds"),
];

fn run(view: &views::RunView) -> Vec<String> {
    let run = &view.run;
    vec![
        run.id.clone(),
        run.model.clone().or_else(|| run.name.clone()).unwrap_or_else(|| run.experiment.clone()),
        run.status.to_string(),
        maybe(run.version, count),
        metrics(&run.metrics),
        time(run.started_at),
        maybe(view.seconds, |seconds| format!("{seconds:.1}")),
    ]
}

const ENDPOINTS: &[Column] =
    &[Left("endpoint"), Left("model"), Left("alias"), Right("version"), Right("predictions"), Left("what")];

fn endpoint(endpoint: &views::EndpointView) -> Vec<String> {
    vec![
        endpoint.endpoint.clone(),
        endpoint.model.clone(),
        endpoint.alias.clone(),
        maybe(endpoint.version, count),
        count(endpoint.predictions),
        cut(&endpoint.description),
    ]
}

const RUNS: &[Column] = &[
    Left("run"),
    Left("of"),
    Left("state"),
    Right("tasks"),
    Left("started"),
    Right("seconds"),
    Right("taken up again"),
    Left("by"),
];

fn workflow(view: &views::WorkflowView) -> Vec<String> {
    let run = &view.run;
    let of = if run.targets.is_empty() { "everything".into() } else { cut(&run.targets.join(", ")) };
    vec![
        run.id.clone(),
        of,
        format!("{:?}", run.state).to_lowercase(),
        count(run.tasks.len() as u64),
        time(run.started_at),
        maybe(view.seconds, |seconds| format!("{seconds:.1}")),
        count(u64::from(run.resumed)),
        run.principal.clone(),
    ]
}

const TASKS: &[Column] = &[Left("task"), Left("state"), Right("attempts"), Right("seconds"), Left("what came of it")];

fn task(view: &views::TaskView) -> Vec<String> {
    let task = &view.task;
    let error = task.attempts.iter().rev().find_map(|attempt| attempt.error.clone());
    let figures = task.outputs.iter().map(|(name, value)| format!("{} {value}", name.replace('_', " ")));
    vec![
        task.task.to_string(),
        format!("{:?}", task.state).to_lowercase(),
        count(task.attempts.len() as u64),
        maybe(view.seconds, |seconds| format!("{seconds:.1}")),
        cut(&error.unwrap_or_else(|| figures.collect::<Vec<_>>().join(", "))),
    ]
}

const REPORTS: &[Column] = &[
    Left("monitor"),
    Left("from"),
    Right("version"),
    Right("predictions"),
    Right("labelled"),
    Left("quality"),
    Left("moved farthest"),
    Right("PSI"),
    Right("bounds broken"),
];

fn report(window: &views::WindowView) -> Vec<String> {
    let report = &window.report;
    let quality = report.performance.as_ref();
    vec![
        report.monitor.clone(),
        time(report.from),
        count(report.model_version),
        count(report.traffic.predictions),
        maybe(quality, |quality| count(quality.labelled)),
        maybe(quality, |quality| metrics(&quality.metrics)),
        maybe(window.farthest.as_ref(), |(name, _)| name.clone()),
        maybe(window.farthest.as_ref(), |(_, psi)| format!("{psi:.3}")),
        count(window.broken as u64),
    ]
}

const ALERTS: &[Column] =
    &[Left("alert"), Left("monitor"), Left("state"), Left("what"), Right("times"), Left("opened")];

fn alert(view: &views::AlertView) -> Vec<String> {
    let alert = &view.alert;
    vec![
        alert.id.clone(),
        alert.monitor.clone(),
        alert.state.as_str().into(),
        view.words.clone(),
        count(alert.count),
        time(alert.opened_at),
    ]
}

const AUDIT: &[Column] = &[Right("entry"), Left("when"), Left("who"), Left("what"), Left("to"), Left("outcome")];

fn entry(entry: &mainspring_catalog::AuditEntry) -> Vec<String> {
    vec![
        count(entry.seq.unsigned_abs()),
        time(entry.at),
        entry.principal.to_string(),
        entry.action.clone(),
        cut(&entry.subject),
        entry.outcome.as_str().into(),
    ]
}

/// `status`.
pub async fn status(place: &Place, shown: Listing) -> Result<ExitCode, Failure> {
    let look = look(place).await?;
    let seen = views::overview(&look).await?;
    if shown.json {
        return output::json(&seen);
    }
    let name = &look.project.file.project;
    output::text(&format!("{BOLD}{name}{BOLD:#} in {}", place.folder.display()))?;
    let champion = match &seen.champion {
        Some((model, version, metric, value)) => format!("{model} {version} is champion, {metric} {value:.4}"),
        None => "no champion".into(),
    };
    let alerts = match seen.open_alerts {
        0 => format!("{GOOD}no open alert{GOOD:#}"),
        open => format!("{WARN}{open} open alerts{WARN:#}"),
    };
    let run = match seen.last_workflow {
        Some((mainspring_flow::RunState::Failed, at)) => format!("the newest {BAD}failed{BAD:#} {}", time(at)),
        Some((state, at)) => format!("the newest {} {}", format!("{state:?}").to_lowercase(), time(at)),
        None => "none yet".into(),
    };
    let lines = [
        (
            "tables",
            format!(
                "{} rows in {} tables, {} quarantined, {}",
                count(seen.rows),
                seen.tables,
                count(seen.quarantined),
                size(seen.bytes)
            ),
        ),
        ("features", format!("{} in {} views, {} rows computed", seen.features, seen.views, count(seen.feature_rows))),
        ("training", format!("{} runs{}", count(seen.runs), maybe_last(seen.last_run.as_deref()))),
        ("models", format!("{} with {} versions, {champion}", seen.models, count(seen.versions))),
        ("endpoints", format!("{} with {} predictions logged", seen.endpoints, count(seen.predictions))),
        ("workflows", format!("{} runs, {run}", count(seen.workflows))),
        ("monitors", format!("{}, {alerts}", seen.monitors)),
        ("audit", format!("{} entries", count(seen.audit_entries.unsigned_abs()))),
    ];
    let lines = lines.map(|(layer, words)| format!("{SOFT}{layer:<10}{SOFT:#} {words}"));
    output::text(&lines.join("\n"))
}

fn maybe_last(status: Option<&str>) -> String {
    status.map_or_else(String::new, |status| format!(", the newest {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_the_first_line_and_between_characters() {
        assert_eq!(cut("one\ntwo"), "one");
        assert_eq!(cut(&"ü".repeat(100)).chars().count(), TEXT_CHARS);
    }

    #[test]
    fn only_known_metrics_are_shown_and_not_too_many() {
        let all = [("auc", 0.5), ("brier", 0.1), ("log_loss", 0.2), ("accuracy", 0.9), ("r2", 1.0)];
        let all = all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(metrics(&all), "auc 0.5000, log_loss 0.2000, accuracy 0.9000");
    }
}
