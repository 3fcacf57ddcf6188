//! Experiments over the wire.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use mainspring_registry::{Error, ExperimentChange, NewExperiment};
use serde_json::{Value, json};

use super::access::Asked;
use super::error::{Refused, Result};
use super::extract::Fields;
use super::{UnderBothPrefixes, experiment_search, limits, wire};
use crate::app::App;
use crate::http::Caller;

/// The longest place for files.
const LOCATION_CHARS_MAX: usize = 2_048;

pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/experiments/create", post(create))
        .under_both("2.0/mlflow/experiments/get", get(by_id))
        .under_both("2.0/mlflow/experiments/get-by-name", get(by_name))
        .under_both("2.0/mlflow/experiments/search", get(experiment_search::search).post(experiment_search::search))
        .under_both("2.0/mlflow/experiments/update", post(update))
        .under_both("2.0/mlflow/experiments/delete", post(delete))
        .under_both("2.0/mlflow/experiments/restore", post(restore))
        .under_both("2.0/mlflow/experiments/set-experiment-tag", post(set_tag))
        .under_both("2.0/mlflow/experiments/delete-experiment-tag", post(delete_tag))
}

type Handed = (State<App>, Extension<Caller>);

async fn create((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let name = fields.required("name")?;
    experiment_name(name)?;
    let location = fields.text("artifact_location")?.filter(|location| !location.is_empty());
    if let Some(location) = location {
        artifact_location(location)?;
    }
    let tags = fields.pairs("tags")?;
    for (key, value) in &tags {
        experiment_tag(key, value)?;
    }
    asked.may("experiment.create", name).await?;
    let new = NewExperiment {
        name: name.to_owned(),
        artifact_location: location.map(|location| location.trim_end_matches('/').to_owned()),
        tags: tags.into_iter().collect(),
    };
    let made = asked.tracking.create_experiment(new, &caller.principal).await?;
    Ok(Json(json!({ "experiment_id": made.number.to_string() })))
}

async fn by_id((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let row = asked.experiment(fields.required("experiment_id")?).await?;
    asked.may("experiment.read", &row.experiment.name).await?;
    Ok(Json(json!({ "experiment": wire::Experiment::of(&row) })))
}

async fn by_name((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let name = fields.required("experiment_name")?;
    asked.may("experiment.read", name).await?;
    let row = asked.tracking.experiment_named(name).await?;
    let row = row.ok_or_else(|| Refused::no_such(format!("Could not find experiment with name '{name}'")))?;
    Ok(Json(json!({ "experiment": wire::Experiment::of(&row) })))
}

async fn update((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let id = fields.required("experiment_id")?;
    let name = fields.required("new_name")?;
    experiment_name(name)?;
    change(&app, &caller, id, ExperimentChange::Rename(name.to_owned())).await
}

async fn delete((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    change(&app, &caller, fields.required("experiment_id")?, ExperimentChange::Delete).await
}

async fn restore((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    change(&app, &caller, fields.required("experiment_id")?, ExperimentChange::Restore).await
}

async fn set_tag((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let id = fields.required("experiment_id")?;
    let (key, value) = (fields.required("key")?, fields.required_or_empty("value")?);
    experiment_tag(key, value)?;
    change(&app, &caller, id, ExperimentChange::SetTag(key.to_owned(), value.to_owned())).await
}

async fn delete_tag((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let key = fields.required("key")?.to_owned();
    change(&app, &caller, fields.required("experiment_id")?, ExperimentChange::DeleteTag(key)).await
}

async fn change(app: &App, caller: &Caller, id: &str, what: ExperimentChange) -> Result<Json<Value>> {
    let asked = Asked::of(app, caller)?;
    let row = asked.experiment(id).await?;
    let action = match what {
        ExperimentChange::Delete | ExperimentChange::Restore => "experiment.delete",
        ExperimentChange::Rename(_) | ExperimentChange::SetTag(..) | ExperimentChange::DeleteTag(_) => {
            "experiment.update"
        }
    };
    asked.may(action, &row.experiment.name).await?;
    match asked.tracking.change_experiment(row.number, what, &caller.principal).await {
        Ok(_) => Ok(Json(json!({}))),
        // as MLflow, which looks for one to delete among the active ones, and for one to restore among the deleted
        Err(error @ Error::ExperimentStage { .. }) if action == "experiment.delete" => {
            Err(Refused::no_such(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

fn experiment_name(name: &str) -> Result<()> {
    if name.chars().count() > limits::EXPERIMENT_NAME_CHARS_MAX {
        let most = limits::EXPERIMENT_NAME_CHARS_MAX;
        return Err(Refused::invalid(format!("'name' exceeds the maximum length of {most} characters")));
    }
    if name.chars().any(char::is_control) {
        return Err(Refused::bad_value("name", &name.into(), "it holds a control character."));
    }
    Ok(())
}

fn experiment_tag(key: &str, value: &str) -> Result<()> {
    limits::name(key, "key")?;
    limits::length("key", limits::KEY_CHARS_MAX, key)?;
    limits::length("value", limits::EXPERIMENT_TAG_CHARS_MAX, value)
}

/// Clients put files there themselves; the proxied scheme is ours and leads to our store.
fn artifact_location(location: &str) -> Result<()> {
    limits::length("artifact_location", LOCATION_CHARS_MAX, location)?;
    let bad = |why: &str| Err(Refused::bad_value("artifact_location", &location.into(), why));
    if location.contains(['#', '?']) {
        return bad("it may have no query and no fragment.");
    }
    if location.split(['/', '\\']).any(|part| part == "..") || location.to_ascii_lowercase().contains("%2e") {
        return bad("it may not climb with '..'.");
    }
    if location.chars().any(char::is_control) {
        return bad("it holds a control character.");
    }
    Ok(())
}
