//! What runs read and made, over the wire.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};
use mainspring_registry::{BatchOfLabels, Dataset, ModelOutput};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Asked, number};
use super::error::{Refused, Result};
use super::extract::Fields;
use super::{UnderBothPrefixes, limits};
use crate::app::App;
use crate::http::Caller;

/// The most datasets, or models, of one request.
const INPUTS_MAX: usize = 1_000;
/// The most experiments of a question for datasets.
const EXPERIMENTS_MAX: usize = 20;
/// The most datasets of an answer.
const SUMMARIES_MAX: usize = 1_000;
/// The tag that lists the models a run logged, as MLflow had it before logged models.
const MODELS_TAG: &str = "mlflow.log-model.history";

pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/runs/log-inputs", post(log_inputs))
        .under_both("2.0/mlflow/runs/outputs", post(log_outputs))
        .under_both("2.0/mlflow/runs/log-model", post(log_model))
        .under_both("2.0/mlflow/experiments/search-datasets", post(search_datasets))
        // the path as MLflow's own description of its API has it, without the slash
        .under_both("2.0mlflow/experiments/search-datasets", post(search_datasets))
}

type Handed = (State<App>, Extension<Caller>);

#[derive(Deserialize)]
struct WireInput {
    #[serde(default)]
    tags: Vec<WireTag>,
    dataset: WireDataset,
}

#[derive(Deserialize)]
struct WireTag {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct WireDataset {
    #[serde(default)]
    name: String,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    source_type: String,
    #[serde(default)]
    source: String,
    schema: Option<String>,
    profile: Option<String>,
}

#[derive(Deserialize)]
struct WireModel {
    model_id: String,
    #[serde(default)]
    step: Option<Value>,
}

async fn log_inputs((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let id = fields.run_id()?;
    let inputs: Vec<WireInput> = fields.list("datasets")?;
    let models: Vec<WireModel> = fields.list("models")?;
    bounded("datasets", inputs.len())?;
    bounded("models", models.len())?;
    let datasets = inputs.into_iter().enumerate().map(dataset).collect::<Result<Vec<_>>>()?;
    asked.may_run("run.log", id).await?;
    let models = models.into_iter().map(|model| model.model_id).collect();
    asked.tracking.log_inputs(id, datasets, models, &caller.principal).await?;
    Ok(Json(json!({})))
}

fn dataset((at, input): (usize, WireInput)) -> Result<(Dataset, BTreeMap<String, String>)> {
    let WireInput { tags, dataset } = input;
    let path = |field: &str| format!("datasets[{at}].dataset.{field}");
    for (field, text, most) in [
        ("name", &dataset.name, limits::DATASET_NAME_CHARS_MAX),
        ("digest", &dataset.digest, limits::DATASET_DIGEST_CHARS_MAX),
        ("source_type", &dataset.source_type, 500),
        ("source", &dataset.source, 65_535),
    ] {
        if text.is_empty() {
            return Err(Refused::missing(&path(field)));
        }
        limits::length(&path(field), most, text)?;
    }
    limits::length(&path("schema"), 1_048_575, dataset.schema.as_deref().unwrap_or_default())?;
    limits::length(&path("profile"), 15_000_000, dataset.profile.as_deref().unwrap_or_default())?;
    bounded("tags", tags.len())?;
    for tag in &tags {
        limits::length(&format!("datasets[{at}].tags.key"), 255, &tag.key)?;
        limits::length(&format!("datasets[{at}].tags.value"), 500, &tag.value)?;
    }
    let dataset = Dataset {
        experiment: String::new(),
        name: dataset.name,
        digest: dataset.digest,
        source_type: dataset.source_type,
        source: dataset.source,
        schema: dataset.schema,
        profile: dataset.profile,
    };
    Ok((dataset, tags.into_iter().map(|tag| (tag.key, tag.value)).collect()))
}

async fn log_outputs((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let id = fields.run_id()?;
    let models: Vec<WireModel> = fields.list("models")?;
    bounded("models", models.len())?;
    asked.may_run("run.log", id).await?;
    let models = models.into_iter().map(|model| {
        let step = model.step.as_ref().and_then(super::extract::integer).unwrap_or_default();
        ModelOutput { model_id: model.model_id, step }
    });
    asked.tracking.log_outputs(id, models.collect(), &caller.principal).await?;
    Ok(Json(json!({})))
}

/// MLflow's way of noting a model before logged models: one more entry in a tag.
async fn log_model((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let (id, text) = (fields.run_id()?, fields.required("model_json")?);
    let malformed = || {
        let shown: String = text.chars().take(200).collect();
        Refused::invalid(format!("Malformed model info. \n {shown} \n is not a valid JSON."))
    };
    let mut model: Value = serde_json::from_str(text).map_err(|_| malformed())?;
    let fields = model.as_object_mut().ok_or_else(malformed)?;
    let wanted = ["artifact_path", "flavors", "utc_time_created", "run_id"];
    let missing: Vec<&str> = wanted.into_iter().filter(|name| !fields.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(Refused::invalid(format!("Model json is missing mandatory fields: {missing:?}")));
    }
    asked.may_run("run.log", id).await?;
    let row = asked.tracking.active_run(id).await?;
    let mut models: Vec<Value> =
        asked.tracking.tag(&row, MODELS_TAG).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    models.push(model);
    let value = Value::Array(models).to_string();
    limits::run_tag(MODELS_TAG, &value, "")?;
    let labels = BatchOfLabels { params: vec![], tags: vec![(MODELS_TAG.to_owned(), value)] };
    asked.tracking.label_run(id, labels, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn search_datasets((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    asked.may_look().await?;
    let ids = fields.texts("experiment_ids")?;
    if ids.is_empty() {
        return Err(Refused::invalid("SearchDatasets request must specify at least one experiment_id."));
    }
    if ids.len() > EXPERIMENTS_MAX {
        return Err(Refused::invalid(format!(
            "SearchDatasets request cannot specify more than {EXPERIMENTS_MAX} experiment_ids. Received {} \
             experiment_ids.",
            ids.len()
        )));
    }
    let numbers = ids.into_iter().map(number).collect::<Result<Vec<_>>>()?;
    let found = asked.tracking.datasets_of(&numbers, SUMMARIES_MAX).await?;
    let summaries = found.into_iter().map(|dataset| {
        let mut summary = json!({
            "experiment_id": dataset.experiment.to_string(), "name": dataset.name, "digest": dataset.digest,
        });
        if let Some(context) = dataset.context {
            summary["context"] = context.into();
        }
        summary
    });
    Ok(Json(json!({ "dataset_summaries": summaries.collect::<Vec<_>>() })))
}

fn bounded(what: &str, count: usize) -> Result<()> {
    if count <= INPUTS_MAX {
        return Ok(());
    }
    Err(Refused::invalid(format!(
        "A request can contain at most {INPUTS_MAX} {what}. Got {count}; send them in parts."
    )))
}
