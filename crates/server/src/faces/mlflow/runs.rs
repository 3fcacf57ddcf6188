//! Runs over the wire: made, read, changed, searched.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use jiff::Timestamp;
use mainspring_registry::{NewClientRun, RunChange, RunQuery, RunStatus, Stage, StageView};
use serde::Serialize;
use serde_json::{Value, json};

use super::access::{Asked, number};
use super::error::{Refused, Result};
use super::extract::Fields;
use super::wire::{self, Datasets};
use super::{UnderBothPrefixes, limits, names, run_filter, token};
use crate::app::App;
use crate::http::Caller;

/// The tag that carries a run's name, beside the field.
const NAME_TAG: &str = "mlflow.runName";
/// The tag that names the run above.
const PARENT_TAG: &str = "mlflow.parentRunId";
/// Runs on a page when the client does not say.
const DEFAULT_RESULTS: usize = 1_000;
/// The most runs on a page.
const RESULTS_MAX: usize = 50_000;
/// The most experiments searched at once.
const EXPERIMENTS_MAX: usize = 10_000;

pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/runs/create", post(create))
        .under_both("2.0/mlflow/runs/get", get(by_id))
        .under_both("2.0/mlflow/runs/update", post(update))
        .under_both("2.0/mlflow/runs/delete", post(delete))
        .under_both("2.0/mlflow/runs/restore", post(restore))
        .under_both("2.0/mlflow/runs/search", post(search))
}

type Handed = (State<App>, Extension<Caller>);

async fn create((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    let asked = Asked::of(&app, &caller)?;
    let id = fields.text("experiment_id")?.filter(|id| !id.is_empty()).unwrap_or("0");
    let experiment = asked.experiment(id).await?;
    asked.may("run.start", &experiment.experiment.name).await?;
    let mut tags: std::collections::BTreeMap<String, String> = fields.pairs("tags")?.into_iter().collect();
    for (key, value) in &mut tags {
        let kept = limits::run_tag(key, value, "tags")?.len();
        value.truncate(kept);
    }
    let given = fields.text("run_name")?.filter(|name| !name.is_empty());
    let name = match (given, tags.get(NAME_TAG)) {
        (Some(given), Some(tag)) if given != tag => {
            return Err(Refused::invalid(format!(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values \
                 (run_name='{given}', mlflow.runName='{tag}')."
            )));
        }
        (Some(given), _) => given.to_owned(),
        (None, Some(tag)) if !tag.is_empty() => tag.clone(),
        (None, _) => names::random(),
    };
    limits::length("run_name", limits::TAG_CHARS_MAX, &name)?;
    tags.entry(NAME_TAG.to_owned()).or_insert_with(|| name.clone());
    let new = NewClientRun {
        experiment: experiment.number,
        name,
        user: fields.text("user_id")?.filter(|user| !user.is_empty()).map(ToOwned::to_owned),
        parent: tags.get(PARENT_TAG).cloned(),
        started_at: time(&fields, "start_time")?.unwrap_or(Timestamp::UNIX_EPOCH),
        tags,
    };
    let row = asked.tracking.start_run(new, &caller.principal).await?;
    Ok(Json(json!({ "run": wire::Run::of(&row, asked.tracking, &Datasets::default()) })).into_response())
}

async fn by_id((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    let asked = Asked::of(&app, &caller)?;
    let row = asked.run(fields.run_id()?).await?;
    let mut datasets = Datasets::default();
    datasets.take_up(&row, asked.tracking).await?;
    Ok(Json(json!({ "run": wire::Run::of(&row, asked.tracking, &datasets) })).into_response())
}

async fn update((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    let asked = Asked::of(&app, &caller)?;
    let id = fields.run_id()?;
    asked.may_run("run.end", id).await?;
    let status = fields.get("status").map(status).transpose()?;
    let name = fields.text("run_name")?.filter(|name| !name.is_empty());
    if let Some(name) = name {
        limits::length("run_name", limits::TAG_CHARS_MAX, name)?;
    }
    let change = RunChange {
        status,
        ended_at: time(&fields, "end_time")?,
        name: name.map(ToOwned::to_owned),
        tags: name.map(|name| (NAME_TAG.to_owned(), name.to_owned())).into_iter().collect(),
    };
    let row = asked.tracking.update_run(id, change, &caller.principal).await?;
    Ok(Json(json!({ "run_info": wire::RunInfo::of(&row, asked.tracking) })).into_response())
}

async fn delete((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    set_stage(&app, &caller, fields.run_id()?, Stage::Deleted).await
}

async fn restore((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    set_stage(&app, &caller, fields.run_id()?, Stage::Active).await
}

async fn set_stage(app: &App, caller: &Caller, id: &str, stage: Stage) -> Result<Json<Value>> {
    let asked = Asked::of(app, caller)?;
    asked.may_run("run.delete", id).await?;
    asked.tracking.set_run_stage(id, stage, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn search((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Response> {
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        runs: Vec<wire::Run<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_page_token: Option<String>,
    }

    let asked = Asked::of(&app, &caller)?;
    let ids = fields.texts("experiment_ids")?;
    if ids.len() > EXPERIMENTS_MAX {
        return Err(Refused::invalid(format!("experiment_ids has more than {EXPERIMENTS_MAX} entries.")));
    }
    let mut experiments = Vec::with_capacity(ids.len());
    let known = asked.tracking.experiments().await?;
    for id in &ids {
        let number = number(id)?;
        // as MLflow: an experiment that is not there has no runs
        let Ok(at) = known.binary_search_by_key(&number, |row| row.number) else { continue };
        let Some(row) = known.get(at) else { continue };
        asked.may("experiment.read", &row.experiment.name).await?;
        experiments.push(number);
    }
    let filter = fields.text("filter")?.unwrap_or_default();
    let order_by = fields.texts("order_by")?;
    let view = run_filter::view(fields.get("run_view_type"), "run_view_type")?.unwrap_or(StageView::Active);
    let question = (&experiments, filter, &order_by, view as u8);
    let after = fields.text("page_token")?.filter(|text| !text.is_empty());
    let query = RunQuery {
        experiments: experiments.clone(),
        view,
        clauses: run_filter::clauses(filter)?,
        order: run_filter::order(&order_by)?,
        after: after.map(|text| token::read(text, question)).transpose()?,
        limit: fields.max_results(DEFAULT_RESULTS, RESULTS_MAX)?,
    };
    let found = asked.tracking.search_runs(query).await?;
    let mut datasets = Datasets::default();
    for (row, _) in &found.runs {
        datasets.take_up(row, asked.tracking).await?;
    }
    let answer = Answer {
        runs: found.runs.iter().map(|(row, _)| wire::Run::of(row, asked.tracking, &datasets)).collect(),
        next_page_token: found.next.map(|next| token::write(next, question)).transpose()?,
    };
    // straight to bytes: a page of runs is large, and a tree of values in between costs as much again
    let bytes = serde_json::to_vec(&answer).map_err(|error| Refused::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// A status as MLflow writes it: its name or its number.
fn status(value: &Value) -> Result<RunStatus> {
    let by_number = match value.as_i64() {
        Some(1) => Some(RunStatus::Running),
        Some(2) => Some(RunStatus::Scheduled),
        Some(3) => Some(RunStatus::Succeeded),
        Some(4) => Some(RunStatus::Failed),
        Some(5) => Some(RunStatus::Interrupted),
        _ => None,
    };
    by_number.or_else(|| RunStatus::of_mlflow_word(value.as_str()?)).ok_or_else(|| {
        Refused::bad_value("status", value, "it must be RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.")
    })
}

fn time(fields: &Fields, name: &str) -> Result<Option<Timestamp>> {
    let Some(at_ms) = fields.integer(name)? else { return Ok(None) };
    let at = Timestamp::from_millisecond(at_ms);
    at.map(Some).map_err(|_| Refused::bad_value(name, &at_ms.into(), "it must be milliseconds since 1970."))
}
