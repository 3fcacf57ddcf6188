//! Metrics over the wire: logged, and their histories read, whole and in bulk by time, thinned out by step.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use mainspring_registry::{Error, HistoryCursor, Point};
use serde::Serialize;
use serde_json::{Value, json};

use super::access::Asked;
use super::error::{Refused, Result};
use super::extract::{Fields, Payload};
use super::wire::{Metric, MetricOfRun};
use super::{UnderBothPrefixes, logged, token};
use crate::app::App;
use crate::http::Caller;

/// Points of a page of history when the client does not say, and the most of an answer in bulk: some megabytes.
const HISTORY_MAX: usize = 25_000;
/// The most runs of a question in bulk.
const RUNS_MAX: usize = 100;
/// The most points of a thinned-out history: more than a screen has pixels.
const SAMPLED_MAX: usize = 2_500;

pub(super) fn router() -> Router<App> {
    let interval = "mlflow/metrics/get-history-bulk-interval";
    Router::new()
        .under_both("2.0/mlflow/runs/log-metric", post(log_metric))
        .under_both("2.0/mlflow/metrics/get-history", get(history))
        .under_both("2.0/mlflow/metrics/get-history-bulk", get(history_in_bulk))
        .under_both(&format!("2.0/{interval}"), get(sampled))
        .under_both(&format!("2.11/{interval}"), get(sampled))
}

type Handed = (State<App>, Extension<Caller>);

async fn log_metric((State(app), Extension(caller)): Handed, Payload(bytes): Payload) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let fields = Fields::of_json(&bytes)?;
    let id = fields.run_id()?;
    let metric = logged::metric(&fields)?;
    asked.may_run("run.log", id).await?;
    let metrics = [metric];
    logged::check_models(&app.registry, &metrics).await?;
    asked.tracking.log_metrics(id, &metrics).await?;
    Ok(Json(json!({})))
}

async fn history((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        metrics: Vec<Metric<&'a str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<String>,
    }

    let asked = Asked::of(&app, &caller)?;
    let (id, key) = (fields.run_id()?, fields.required("metric_key")?);
    asked.may_run("run.read", id).await?;
    let limit = fields.max_results(HISTORY_MAX, HISTORY_MAX)?;
    let after = fields.text("page_token")?.filter(|text| !text.is_empty());
    let after = after.map(|text| token::read::<HistoryCursor>(text, (id, key))).transpose()?.unwrap_or_default();
    let (points, next) = page(&asked, id, key, after, limit).await?;
    let next = next.map(|next| token::write(next, (id, key))).transpose()?;
    answer(&Answer { metrics: points.iter().map(|point| Metric::of(key, point)).collect(), next_page_token: next })
}

/// A page of a history. As with MLflow, a run that is not there has none.
async fn page(
    asked: &Asked<'_>,
    run: &str,
    key: &str,
    after: HistoryCursor,
    limit: usize,
) -> Result<(Vec<Point>, Option<HistoryCursor>)> {
    match asked.tracking.history_by_time(run, key, after, limit).await {
        Ok(page) => Ok((page.points, page.next)),
        Err(Error::NoRun(_)) => Ok((vec![], None)),
        Err(error) => Err(error.into()),
    }
}

#[derive(Serialize)]
struct OfRuns<'a> {
    metrics: Vec<MetricOfRun<'a>>,
}

async fn history_in_bulk((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    let asked = Asked::of(&app, &caller)?;
    let mut runs = fields.texts("run_id")?;
    if runs.is_empty() {
        return Err(Refused::invalid("GetMetricHistoryBulk request must specify at least one run_id."));
    }
    if runs.len() > RUNS_MAX {
        return Err(Refused::invalid(format!(
            "GetMetricHistoryBulk request cannot specify more than {RUNS_MAX} run_ids. Received {} run_ids.",
            runs.len()
        )));
    }
    let key = fields.text("metric_key")?;
    let key = key.ok_or_else(|| Refused::invalid("GetMetricHistoryBulk request must specify a metric_key."))?;
    let limit = fields.max_results(HISTORY_MAX, usize::MAX)?.min(HISTORY_MAX);
    runs.sort_unstable();
    runs.dedup();
    let mut metrics = Vec::new();
    for run_id in runs {
        asked.may_run("run.read", run_id).await?;
        let (points, _) = page(&asked, run_id, key, HistoryCursor::default(), limit - metrics.len()).await?;
        metrics.extend(points.iter().map(|point| MetricOfRun { metric: Metric::of(key, point), run_id }));
        if metrics.len() == limit {
            break;
        }
    }
    answer(&OfRuns { metrics })
}

async fn sampled((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    let asked = Asked::of(&app, &caller)?;
    let runs = fields.texts("run_ids")?;
    if runs.is_empty() {
        return Err(Refused::missing("run_ids"));
    }
    if runs.len() > RUNS_MAX {
        return Err(Refused::invalid(format!(
            "GetMetricHistoryBulkInterval request must specify at most {RUNS_MAX} run_ids. Received {} run_ids.",
            runs.len()
        )));
    }
    let key = fields.required("metric_key")?;
    let most = match fields.integer("max_results")? {
        None => SAMPLED_MAX,
        Some(asked) => usize::try_from(asked)
            .ok()
            .filter(|asked| (1..=SAMPLED_MAX).contains(asked))
            .ok_or_else(|| Refused::invalid(format!("max_results must be between 1 and {SAMPLED_MAX}.")))?,
    };
    let steps = match (fields.integer("start_step")?, fields.integer("end_step")?) {
        (None, None) => None,
        (Some(start), Some(end)) if start <= end => Some((start, end)),
        (Some(start), Some(end)) => {
            return Err(Refused::invalid(format!(
                "end_step must be greater than start_step. Found start_step={start} and end_step={end}."
            )));
        }
        _ => {
            return Err(Refused::invalid("If either start step or end step are specified, both must be specified."));
        }
    };
    let mut metrics = Vec::new();
    for run_id in runs {
        asked.may_run("run.read", run_id).await?;
        let points = match asked.tracking.sampled(run_id, key, steps, most).await {
            Ok(points) => points,
            Err(Error::NoRun(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        metrics.extend(points.iter().map(|point| MetricOfRun { metric: Metric::of(key, point), run_id }));
    }
    answer(&OfRuns { metrics })
}

fn answer(answer: &impl Serialize) -> Result<Response> {
    let bytes = serde_json::to_vec(answer).map_err(|error| Refused::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}
