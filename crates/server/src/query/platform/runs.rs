//! Experiments, runs, their parameters, tags and metrics.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, SchemaRef};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use mainspring_catalog::{Document, ListQuery, Metric, Stored};
use mainspring_registry::{Experiment, Origin, Point, Run, Tracking};
use serde::Serialize;

use super::Platform;
use super::table::{Batches, Narrowing, PAGE, batches, columns, number, pages, text, time};
use crate::query::error::{Error, Result};

#[derive(Serialize)]
struct ExperimentRow {
    experiment: String,
    name: String,
    number: Option<u64>,
    stage: &'static str,
    description: String,
}

pub(super) fn experiments_schema() -> SchemaRef {
    columns(vec![text("experiment"), text("name"), number("number"), text("stage"), text("description")])
}

pub(super) fn experiments(from: &Platform) -> Batches {
    let catalog = from.catalog.clone();
    let read = move |after: Option<String>| {
        let catalog = catalog.clone();
        async move {
            let query = ListQuery { after, ..ListQuery::default().limit(PAGE) };
            let page: Vec<Stored<Experiment>> = catalog.list(query).await?;
            let next = (page.len() == PAGE).then(|| page.last().map(|last| last.document.id())).flatten();
            let rows = page.into_iter().map(|stored| stored.document);
            let row = |is: Experiment| ExperimentRow {
                experiment: is.key().to_owned(),
                name: is.name,
                number: is.number,
                stage: is.stage.as_str(),
                description: is.description,
            };
            Ok::<_, Error>((rows.map(row).collect::<Vec<_>>(), next))
        }
    };
    batches(experiments_schema(), pages(read))
}

#[derive(Serialize)]
struct RunRow {
    run_id: String,
    experiment: String,
    name: Option<String>,
    origin: &'static str,
    stage: &'static str,
    model: Option<String>,
    parent_run_id: Option<String>,
    status: String,
    started_by: String,
    started_at: i64,
    ended_at: Option<i64>,
    code_commit: Option<String>,
    version: Option<u64>,
    error: Option<String>,
}

pub(super) fn runs_schema() -> SchemaRef {
    columns(vec![
        text("run_id"),
        text("experiment"),
        text("name"),
        text("origin"),
        text("stage"),
        text("model"),
        text("parent_run_id"),
        text("status"),
        text("started_by"),
        time("started_at"),
        time("ended_at"),
        text("code_commit"),
        number("version"),
        text("error"),
    ])
}

/// Pages of runs: of one, of one experiment, or of all.
fn run_pages(from: &Platform, only: &Narrowing) -> impl futures::Stream<Item = Result<Vec<Run>>> + Send + 'static {
    let (catalog, one, experiment) = (from.catalog.clone(), only.get("run_id"), only.get("experiment"));
    let read = move |after: Option<String>| {
        let (catalog, one, experiment) = (catalog.clone(), one.clone(), experiment.clone());
        async move {
            if let Some(id) = one {
                let found = catalog.get::<Run>(&id).await?;
                return Ok::<_, Error>((found.into_iter().map(|stored| stored.document).collect::<Vec<_>>(), None));
            }
            let query = ListQuery { after, parent: experiment, ..ListQuery::default().limit(PAGE) };
            let page: Vec<Stored<Run>> = catalog.list(query).await?;
            let next = (page.len() == PAGE).then(|| page.last().map(|last| last.document.id.clone())).flatten();
            Ok((page.into_iter().map(|stored| stored.document).collect(), next))
        }
    };
    pages(read)
}

pub(super) fn runs(from: &Platform, only: Narrowing) -> Batches {
    let row = |run: Run| RunRow {
        run_id: run.id,
        experiment: run.experiment,
        name: run.name,
        origin: match run.origin {
            Origin::Trainer => "trainer",
            Origin::Client => "client",
        },
        stage: run.stage.as_str(),
        model: run.model,
        parent_run_id: run.parent,
        status: run.status.to_string(),
        started_by: run.by.to_string(),
        started_at: run.started_at.as_microsecond(),
        ended_at: run.ended_at.map(|at| at.as_microsecond()),
        code_commit: run.commit.map(|commit| commit.id),
        version: run.version,
        error: run.error,
    };
    let rows = run_pages(from, &only).map_ok(move |page| page.into_iter().map(row).collect::<Vec<_>>());
    batches(runs_schema(), rows)
}

/// A parameter or a tag of a run.
#[derive(Serialize)]
struct PairRow {
    run_id: String,
    experiment: String,
    key: String,
    value: String,
}

pub(super) fn pairs_schema() -> SchemaRef {
    columns(vec![text("run_id"), text("experiment"), text("key"), text("value")])
}

pub(super) fn params(from: &Platform, only: Narrowing) -> Batches {
    pairs(from, only, |run| std::mem::take(&mut run.params))
}

pub(super) fn tags(from: &Platform, only: Narrowing) -> Batches {
    pairs(from, only, |run| std::mem::take(&mut run.tags))
}

fn pairs(from: &Platform, only: Narrowing, of: fn(&mut Run) -> std::collections::BTreeMap<String, String>) -> Batches {
    let rows = move |mut run: Run| {
        let (run_id, experiment) = (run.id.clone(), run.experiment.clone());
        of(&mut run).into_iter().map(move |(key, value)| PairRow {
            run_id: run_id.clone(),
            experiment: experiment.clone(),
            key,
            value,
        })
    };
    let rows = run_pages(from, &only).map_ok(move |page| page.into_iter().flat_map(rows).collect::<Vec<_>>());
    batches(pairs_schema(), rows)
}

#[derive(Serialize)]
struct MetricRow {
    run_id: String,
    key: String,
    step: i64,
    value: f64,
    at: i64,
}

pub(super) fn metrics_schema() -> SchemaRef {
    let value = Field::new("value", DataType::Float64, true);
    columns(vec![text("run_id"), text("key"), number("step"), value, time("at")])
}

/// A metric of a run, from which its points are read page by page.
struct Series {
    run: String,
    key: String,
}

/// The metrics of one run after another. Points that clients logged are read in pages; those of a trainer of ours, some
/// thousands at most, at once.
pub(super) fn metrics(from: &Platform, only: Narrowing) -> Batches {
    let (registry, key) = (from.registry.clone(), only.get("key"));
    let of_run = move |run: Run| {
        let (registry, key) = (registry.clone(), key.clone());
        async move {
            Ok::<_, Error>(match (run.origin, registry.tracking()) {
                (Origin::Client, Ok(tracking)) => {
                    let row = tracking.run(&run.id).await?;
                    let keys = tracking.named_metrics(&row).into_iter().map(|(name, _)| name.to_string());
                    let wanted = keys.filter(|name| key.as_ref().is_none_or(|key| key == name));
                    let series: Vec<Series> = wanted.map(|key| Series { run: run.id.clone(), key }).collect();
                    let tracking = tracking.clone();
                    let points = series.into_iter().map(move |of| Ok::<_, Error>(points_of(tracking.clone(), of)));
                    futures::stream::iter(points).try_flatten().boxed()
                }
                _ => {
                    let recorded = registry.metrics(&run.id, key.as_deref()).await?;
                    let rows: Vec<MetricRow> = recorded.into_iter().map(recorded_row).collect();
                    futures::stream::iter([Ok(rows)]).boxed()
                }
            })
        }
    };
    let runs = run_pages(from, &only).map_ok(|page| futures::stream::iter(page.into_iter().map(Ok::<_, Error>)));
    batches(metrics_schema(), runs.try_flatten().and_then(of_run).try_flatten().boxed())
}

fn recorded_row(is: Metric) -> MetricRow {
    MetricRow { run_id: is.run, key: is.key, step: is.step, value: is.value, at: is.at.as_microsecond() }
}

/// The points of one metric, in the order of step, time and value.
fn points_of(tracking: Tracking, of: Series) -> BoxStream<'static, Result<Vec<MetricRow>>> {
    let of = Arc::new(of);
    let read = move |after: Option<Point>| {
        let (tracking, of) = (tracking.clone(), of.clone());
        async move {
            let page = tracking.history(&of.run, &of.key, after, PAGE).await?;
            let next = (page.len() == PAGE).then(|| page.last().copied()).flatten();
            let row = |point: Point| MetricRow {
                run_id: of.run.clone(),
                key: of.key.clone(),
                step: point.step,
                value: point.value,
                at: point.at_ms.saturating_mul(1_000),
            };
            Ok::<_, Error>((page.into_iter().map(row).collect::<Vec<_>>(), next))
        }
    };
    pages(read).boxed()
}
