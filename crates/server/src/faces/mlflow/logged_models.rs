//! Logged models.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Json, Router};
use mainspring_registry::{LoggedModel, LoggedStatus, ModelMetric, NewLoggedModel, NumberTest, TextTest};
use serde_json::{Value, json};

use super::access::{Asked, number};
use super::error::{Refused, Result};
use super::extract::{Fields, Path};
use super::filter::{Clause, parse};
use super::registered_models::{page, pairs};
use super::registry_search::{Found, Page, cut, number_test, text_test};
use super::{UnderBothPrefixes, limits};
use crate::app::App;
use crate::http::Caller;

/// The most models of one page, and how many it has unless the client says.
const PAGE_MAX: usize = 5_000;
const PAGE: usize = 50;
/// The most experiments of one search.
const EXPERIMENTS_MAX: usize = 1_000;
/// The most keys of an order, and the most datasets of a search.
const KEYS_MAX: usize = 20;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/logged-models", post(create))
        .under_both("2.0/mlflow/logged-models/search", post(search))
        .under_both("2.0/mlflow/logged-models/{id}", get(one).patch(finish).delete(remove))
        .under_both("2.0/mlflow/logged-models/{id}/tags", patch(set_tags))
        .under_both("2.0/mlflow/logged-models/{id}/tags/{key}", delete(delete_tag))
        .under_both("2.0/mlflow/logged-models/{id}/params", post(log_params))
}

async fn create(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let row = asked.experiment(fields.required("experiment_id")?).await?;
    asked.may("run.log", &row.experiment.name).await?;
    let given = |name: &str| fields.text(name).map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned));
    let new = NewLoggedModel {
        experiment: row.experiment.key().to_owned(),
        root: row.experiment.artifact_location(),
        name: given("name")?,
        model_type: given("model_type")?.unwrap_or_default(),
        run: given("source_run_id")?,
        params: fields.pairs("params")?.into_iter().collect(),
        tags: fields.pairs("tags")?.into_iter().collect(),
    };
    answer(&app, app.registry.create_logged_model(new, &caller.principal).await?).await
}

async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let model = match fields.flag("allow_deleted")? {
        Some(true) => app.registry.logged_model_or_deleted(&id).await?,
        _ => app.registry.logged_model(&id).await?,
    };
    caller.may(&app, "run.read", "run", owner(&model)).await?;
    answer(&app, model).await
}

async fn finish(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let status = status(&fields)?;
    may_log(&app, &caller, &id).await?;
    answer(&app, app.registry.finish_logged_model(&id, status, &caller.principal).await?).await
}

async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    may_log(&app, &caller, &id).await?;
    app.registry.delete_logged_model(&id, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn set_tags(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let tags: BTreeMap<String, String> = fields.pairs("tags")?.into_iter().collect();
    may_log(&app, &caller, &id).await?;
    answer(&app, app.registry.tag_logged_model(&id, &tags, &caller.principal).await?).await
}

async fn delete_tag(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    may_log(&app, &caller, &id).await?;
    app.registry.untag_logged_model(&id, &key, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn log_params(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let params: BTreeMap<String, String> = fields.pairs("params")?.into_iter().collect();
    may_log(&app, &caller, &id).await?;
    app.registry.log_model_params(&id, &params, &caller.principal).await?;
    Ok(Json(json!({})))
}

/// A logged model is its run's; one without a run stands for itself.
fn owner(model: &LoggedModel) -> &str {
    model.run.as_deref().unwrap_or(&model.id)
}

async fn may_log(app: &App, caller: &Caller, id: &str) -> Result<()> {
    let model = app.registry.logged_model(id).await?;
    Ok(caller.may(app, "run.log", "run", owner(&model)).await?)
}

async fn answer(app: &App, model: LoggedModel) -> Result<Json<Value>> {
    let metrics = app.registry.tracking()?.model_metrics(&model.id).await?;
    let tracking = app.registry.tracking()?;
    let number = tracking.experiment_of_key(&model.experiment).map(|row| row.number);
    Ok(Json(json!({ "model": model_json(&model, number, &metrics) })))
}

/// The status of a request, by name or by MLflow's number.
fn status(fields: &Fields) -> Result<LoggedStatus> {
    match fields.get("status") {
        None => Err(Refused::missing("status")),
        Some(Value::String(word)) if word == "LOGGED_MODEL_READY" || word == "2" => Ok(LoggedStatus::Ready),
        Some(Value::String(word)) if word == "LOGGED_MODEL_UPLOAD_FAILED" || word == "3" => {
            Ok(LoggedStatus::UploadFailed)
        }
        Some(Value::String(word)) if word == "LOGGED_MODEL_PENDING" || word == "1" => Ok(LoggedStatus::Pending),
        Some(Value::Number(number)) if number.as_u64() == Some(2) => Ok(LoggedStatus::Ready),
        Some(Value::Number(number)) if number.as_u64() == Some(3) => Ok(LoggedStatus::UploadFailed),
        Some(Value::Number(number)) if number.as_u64() == Some(1) => Ok(LoggedStatus::Pending),
        Some(other) => {
            Err(Refused::bad_value("status", other, "it must be LOGGED_MODEL_READY or LOGGED_MODEL_UPLOAD_FAILED."))
        }
    }
}

const fn status_name(status: LoggedStatus) -> &'static str {
    match status {
        LoggedStatus::Pending => "LOGGED_MODEL_PENDING",
        LoggedStatus::Ready => "LOGGED_MODEL_READY",
        LoggedStatus::UploadFailed => "LOGGED_MODEL_UPLOAD_FAILED",
    }
}

fn model_json(model: &LoggedModel, experiment: Option<u64>, metrics: &[ModelMetric]) -> Value {
    let mut info = json!({
        "model_id": model.id,
        "experiment_id": experiment.map_or_else(|| model.experiment.clone(), |number| number.to_string()),
        "name": model.name,
        "creation_timestamp_ms": model.created_at.as_millisecond(),
        "last_updated_timestamp_ms": model.updated_at.as_millisecond(),
        "artifact_uri": model.artifact_uri,
        "status": status_name(model.status),
        "model_type": model.model_type,
        "source_run_id": model.run.clone().unwrap_or_default(),
    });
    if !model.tags.is_empty() {
        info["tags"] = pairs(&model.tags).into();
    }
    let mut data = serde_json::Map::new();
    if !model.params.is_empty() {
        data.insert("params".into(), pairs(&model.params).into());
    }
    if !metrics.is_empty() {
        data.insert("metrics".into(), metrics.iter().map(|metric| metric_json(metric, &model.id)).collect());
    }
    json!({ "info": info, "data": data })
}

fn metric_json(metric: &ModelMetric, model: &str) -> Value {
    let mut answer = json!({
        "key": metric.key,
        "value": super::wire::Number(metric.point.value),
        "timestamp": metric.point.at_ms,
        "step": metric.point.step,
        "model_id": model,
        "run_id": metric.run,
    });
    if let Some((name, digest)) = &metric.dataset {
        answer["dataset_name"] = name.clone().into();
        answer["dataset_digest"] = digest.clone().into();
    }
    answer
}

/// A dataset that metrics are to be measured on.
#[derive(Debug, serde::Deserialize)]
struct On {
    dataset_name: String,
    #[serde(default)]
    dataset_digest: Option<String>,
}

impl On {
    fn meets(&self, metric: &ModelMetric) -> bool {
        let digest = self.dataset_digest.as_deref().filter(|digest| !digest.is_empty());
        metric
            .dataset
            .as_ref()
            .is_some_and(|(name, found)| *name == self.dataset_name && digest.is_none_or(|digest| digest == found))
    }
}

/// A key of the order.
#[derive(Debug, serde::Deserialize)]
struct By {
    field_name: String,
    #[serde(default)]
    ascending: Option<bool>,
    #[serde(default)]
    dataset_name: Option<String>,
    #[serde(default)]
    dataset_digest: Option<String>,
}

impl By {
    fn check(&self) -> Result<()> {
        let is_digest_alone = self.dataset_digest.as_ref().is_some_and(|digest| !digest.is_empty())
            && self.dataset_name.as_ref().is_none_or(String::is_empty);
        if is_digest_alone {
            return Err(Refused::invalid(
                "`dataset_digest` can only be specified if `dataset_name` is also specified.",
            ));
        }
        match self.field_name.split_once('.') {
            Some(("metrics", key)) if !key.is_empty() => Ok(()),
            Some((entity, _)) => Err(Refused::invalid(format!(
                "Invalid order by field name: {entity}, only `metrics.<name>` is allowed."
            ))),
            None if ATTRIBUTES.contains(&self.field_name.trim()) => Ok(()),
            None => Err(Refused::invalid(format!("Invalid order by field name: {}.", self.field_name))),
        }
    }

    fn value(&self, model: &LoggedModel, experiment: u64, metrics: &[ModelMetric]) -> Found {
        match self.field_name.split_once('.') {
            None => attribute(model, experiment, self.field_name.trim()),
            Some((_, key)) => {
                let on = self.dataset_name.clone().filter(|name| !name.is_empty());
                let on = on.map(|dataset_name| On { dataset_name, dataset_digest: self.dataset_digest.clone() });
                let fits = |metric: &&ModelMetric| metric.key == key && on.as_ref().is_none_or(|on| on.meets(metric));
                let latest = metrics.iter().filter(fits).max_by(|a, b| by_time(a, b));
                latest.map_or(Found::Absent, |metric| Found::Number(metric.point.value))
            }
        }
    }
}

/// Which of a metric's values is the later one: MLflow goes by time, then by step, then by the first run.
fn by_time(a: &ModelMetric, b: &ModelMetric) -> Ordering {
    (a.point.at_ms, a.point.step).cmp(&(b.point.at_ms, b.point.step)).then_with(|| b.run.cmp(&a.run))
}

const ATTRIBUTES: [&str; 13] = [
    "name",
    "model_id",
    "model_type",
    "status",
    "source_run_id",
    "artifact_location",
    "experiment_id",
    "creation_timestamp",
    "creation_timestamp_ms",
    "creation_time",
    "last_updated_timestamp",
    "last_updated_timestamp_ms",
    "last_updated_time",
];

/// Whether an attribute is compared as a number.
fn is_number(key: &str) -> bool {
    key == "experiment_id" || key.contains("_time")
}

fn attribute(model: &LoggedModel, experiment: u64, key: &str) -> Found {
    match key {
        "name" => Found::text(&model.name),
        "model_id" => Found::text(&model.id),
        "model_type" => Found::text(&model.model_type),
        "status" => Found::text(status_name(model.status).trim_start_matches("LOGGED_MODEL_")),
        "source_run_id" => model.run.as_ref().map_or(Found::Absent, Found::text),
        "artifact_location" => Found::text(&model.artifact_uri),
        "experiment_id" => Found::whole(i64::try_from(experiment).unwrap_or(i64::MAX)),
        "creation_timestamp" | "creation_timestamp_ms" | "creation_time" => {
            Found::whole(model.created_at.as_millisecond())
        }
        "last_updated_timestamp" | "last_updated_timestamp_ms" | "last_updated_time" => {
            Found::whole(model.updated_at.as_millisecond())
        }
        _ => Found::Absent,
    }
}

/// A condition.
enum Test {
    Metric(String, NumberTest),
    Param(String, TextTest),
    Tag(String, TextTest),
    Number(String, NumberTest),
    Text(String, TextTest),
}

impl Test {
    fn of(clause: Clause) -> Result<Self> {
        let Clause { entity, key, comparison } = clause;
        match entity.as_deref() {
            Some("metric" | "metrics") => {
                limits::length("Metric name", limits::KEY_CHARS_MAX, &key)?;
                let test = number_test(comparison, &key)?;
                Ok(Self::Metric(key, test))
            }
            Some("param" | "params" | "parameter" | "parameters") => {
                Ok(Self::Param(key, text_test(comparison, "param")?))
            }
            Some("tag" | "tags") => Ok(Self::Tag(key, text_test(comparison, "tag")?)),
            None | Some("attribute" | "attributes" | "attr") if ATTRIBUTES.contains(&key.as_str()) => {
                match is_number(&key) {
                    true => {
                        let test = number_test(comparison, &key)?;
                        Ok(Self::Number(key, test))
                    }
                    false => Ok(Self::Text(key, text_test(comparison, "attribute")?)),
                }
            }
            None | Some("attribute" | "attributes" | "attr") => {
                Err(Refused::invalid(format!("Invalid logged model search key '{key}'")))
            }
            Some(other) => Err(Refused::invalid(format!(
                "Invalid entity type '{other}'. Valid values are ['metric', 'parameter', 'tag', 'attribute']"
            ))),
        }
    }

    fn holds(&self, model: &LoggedModel, experiment: u64, metrics: &[ModelMetric], on: &[On]) -> bool {
        match self {
            Self::Metric(key, test) => metrics
                .iter()
                .filter(|metric| metric.key == *key)
                .filter(|metric| on.is_empty() || on.iter().any(|on| on.meets(metric)))
                .any(|metric| test.holds(metric.point.value)),
            Self::Param(key, test) => test.holds(model.params.get(key).map(String::as_str)),
            Self::Tag(key, test) => test.holds(model.tags.get(key).map(String::as_str)),
            Self::Number(key, test) => match attribute(model, experiment, key) {
                Found::Number(number) => test.holds(number),
                _ => false,
            },
            Self::Text(key, test) => match attribute(model, experiment, key) {
                Found::Text(text) => test.holds(Some(&text)),
                _ => false,
            },
        }
    }
}

async fn search(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let ids = fields.texts("experiment_ids")?;
    if ids.is_empty() {
        return Err(Refused::missing("experiment_ids"));
    }
    if ids.len() > EXPERIMENTS_MAX {
        return Err(Refused::invalid(format!("At most {EXPERIMENTS_MAX} experiments can be searched at once.")));
    }
    let (by, on): (Vec<By>, Vec<On>) = (fields.list("order_by")?, fields.list("datasets")?);
    if by.len() > KEYS_MAX || on.len() > KEYS_MAX {
        return Err(Refused::invalid(format!("At most {KEYS_MAX} order_by keys and {KEYS_MAX} datasets are taken.")));
    }
    by.iter().try_for_each(By::check)?;
    let filter = fields.text("filter")?.unwrap_or_default();
    let tests = parse(filter)?.into_iter().map(Test::of).collect::<Result<Vec<_>>>()?;
    let measured = |test: &Test| match test {
        Test::Metric(key, _) => Some(key.clone()),
        _ => None,
    };
    let measured: BTreeSet<String> = tests.iter().filter_map(measured).collect();
    let most = fields.max_results(PAGE, PAGE_MAX)?;

    let asked = Asked::of(&app, &caller)?;
    let tracking = asked.tracking;
    let mut found = vec![];
    for id in &ids {
        // experiments that are not there have no models
        let row = match tracking.experiment(number(id)?).await {
            Ok(row) => row,
            Err(mainspring_registry::Error::NoExperiment(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        asked.may("experiment.read", &row.experiment.name).await?;
        for model in app.registry.logged_models(row.experiment.key()).await? {
            let metrics = tracking.model_metrics(&model.id).await?;
            let on_them = |metric: &ModelMetric| on.iter().any(|on| on.meets(metric));
            let is_on = on.is_empty() || !measured.is_empty() || metrics.iter().any(on_them);
            // a condition on a metric holds for any value that was logged, not for the latest alone
            let mut logged = metrics.clone();
            for key in &measured {
                logged.extend(tracking.model_history(&model.id, key).await?);
            }
            if is_on && tests.iter().all(|test| test.holds(&model, row.number, &logged, &on)) {
                found.push((model, row.number, metrics));
            }
        }
    }
    found.sort_by(|(a, in_a, of_a), (b, in_b, of_b)| {
        let by_keys = by.iter().fold(Ordering::Equal, |before, by| {
            before.then_with(|| by.value(a, *in_a, of_a).order(&by.value(b, *in_b, of_b), by.ascending.unwrap_or(true)))
        });
        by_keys.then_with(|| b.created_at.cmp(&a.created_at)).then_with(|| a.id.cmp(&b.id))
    });
    let question = (filter, &ids, format!("{by:?}{on:?}"));
    let Page { found, next } = cut(found, question, fields.text("page_token")?, most)?;
    let shown = found.iter().map(|(model, number, metrics)| model_json(model, Some(*number), metrics)).collect();
    Ok(Json(page("models", shown, next)))
}
