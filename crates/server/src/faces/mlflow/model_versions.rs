//! Versions of registered models.

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Json, Router};
use jiff::Timestamp;
use mainspring_registry::{Alias, ModelVersion, NewVersion, Others, VersionStage};
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use super::error::{Refused, Result};
use super::extract::Fields;
use super::registered_models::{page, pairs, refuse_prompt, tag, tags};
use super::registry_search::{Page, search_versions};
use crate::app::App;
use crate::http::Caller;

/// The most versions of one page, which is also what clients ask for when they do not say.
const PAGE_MAX: usize = 200_000;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/model-versions/create", post(create))
        .under_both("2.0/mlflow/model-versions/update", patch(update))
        .under_both("2.0/mlflow/model-versions/transition-stage", post(transition))
        .under_both("2.0/mlflow/model-versions/delete", delete(remove))
        .under_both("2.0/mlflow/model-versions/get", get(one))
        .under_both("2.0/mlflow/model-versions/search", get(search))
        .under_both("2.0/mlflow/model-versions/get-download-uri", get(download_uri))
        .under_both("2.0/mlflow/model-versions/set-tag", post(set_tag))
        .under_both("2.0/mlflow/model-versions/delete-tag", delete(delete_tag))
}

async fn create(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let text = |name: &str| fields.text(name).map(|text| text.unwrap_or_default().to_owned());
    let given = |name: &str| fields.text(name).map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned));
    let new = NewVersion {
        model: fields.required("name")?.into(),
        source: fields.required("source")?.into(),
        run: given("run_id")?,
        model_id: given("model_id")?,
        description: text("description")?,
        tags: tags(&fields)?,
        run_link: text("run_link")?,
    };
    caller.may(&app, "model.register", "model", &new.model).await?;
    refuse_prompt(&new.tags)?;
    let version = app.registry.register_logged(new, &caller.principal).await?;
    answer(&app, &version).await
}

async fn update(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    caller.may(&app, "model.note", "model", name).await?;
    let text = fields.text("description")?.unwrap_or_default();
    let version = app.registry.describe_version(name, number, text, &caller.principal).await?;
    answer(&app, &version).await
}

async fn transition(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    let stage: VersionStage = fields.required("stage")?.parse()?;
    let archive = fields.flag("archive_existing_versions")?.unwrap_or_default();
    let others = match (archive, stage) {
        (false, _) => Others::Kept,
        (true, VersionStage::Staging | VersionStage::Production) => Others::Archived,
        (true, VersionStage::None | VersionStage::Archived) => {
            return Err(Refused::invalid(format!(
                "Model version transition cannot archive existing model versions because '{}' is not an Active stage. \
                 Valid stages are ['Staging', 'Production']",
                stage.as_str()
            )));
        }
    };
    caller.may(&app, "model.tag", "model", name).await?;
    let version = app.registry.set_stage((name, number), stage, others, &caller.principal).await?;
    answer(&app, &version).await
}

async fn remove(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    caller.may(&app, "model.delete", "model", name).await?;
    app.registry.delete_version(name, number, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn one(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    caller.may(&app, "model.read", "model", name).await?;
    let version = app.registry.version(name, number).await?;
    answer(&app, &version).await
}

async fn search(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    caller.may(&app, "model.read", "model", "*").await?;
    let most = fields.max_results(PAGE_MAX, PAGE_MAX)?;
    let order = fields.texts("order_by")?;
    let filter = fields.text("filter")?.unwrap_or_default();
    let all = app.registry.all_versions().await?;
    let Page { found, next } = search_versions(all, filter, &order, fields.text("page_token")?, most)?;
    let aliases = app.registry.all_aliases().await?;
    let shown = found.iter().map(|version| version_json(version, &aliases)).collect();
    Ok(Json(page("model_versions", shown, next)))
}

async fn download_uri(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    caller.may(&app, "model.read", "model", name).await?;
    let version = app.registry.version(name, number).await?;
    let uri = match &version.logged {
        Some(logged) => format!("mlflow-artifacts:/{}", logged.folder),
        None => {
            return Err(Refused::invalid(format!(
                "Version {number} of model {name} was trained by Mainspring and has no MLflow files to download; ask an \
                 endpoint for its predictions."
            )));
        }
    };
    Ok(Json(json!({ "artifact_uri": uri })))
}

async fn set_tag(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    let (key, value) = tag(&fields)?;
    caller.may(&app, "model.tag", "model", name).await?;
    app.registry.tag_version(name, number, key, Some(value), &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn delete_tag(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let (name, number) = (fields.required("name")?, version_number(&fields)?);
    let key = fields.required("key")?;
    caller.may(&app, "model.tag", "model", name).await?;
    app.registry.tag_version(name, number, key, None, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn answer(app: &App, version: &ModelVersion) -> Result<Json<Value>> {
    let aliases = app.registry.aliases(&version.model).await?;
    Ok(Json(json!({ "model_version": version_json(version, &aliases) })))
}

/// A version as MLflow writes it.
pub(super) fn version_json(version: &ModelVersion, aliases: &[Alias]) -> Value {
    let updated_at: Timestamp = version.updated_at.unwrap_or(version.created_at);
    let mut answer = json!({
        "name": version.model,
        "version": version.version.to_string(),
        "creation_timestamp": version.created_at.as_millisecond(),
        "last_updated_timestamp": updated_at.as_millisecond(),
        "user_id": version.created_by.name,
        "current_stage": version.stage.as_str(),
        "description": version.description,
        "source": version.source(),
        "run_id": version.run.clone().unwrap_or_default(),
        "status": "READY",
        "run_link": version.logged.as_ref().map(|logged| logged.run_link.clone()).unwrap_or_default(),
    });
    if let Some(id) = version.logged.as_ref().and_then(|logged| logged.model_id.as_ref()) {
        answer["model_id"] = id.clone().into();
    }
    let is_named = |alias: &&Alias| alias.model == version.model && alias.version == Some(version.version);
    let names: Vec<Value> = aliases.iter().filter(is_named).map(|alias| alias.alias.clone().into()).collect();
    for (name, list) in [("tags", pairs(&version.tags)), ("aliases", names)] {
        if !list.is_empty() {
            answer[name] = list.into();
        }
    }
    answer
}

/// The version of a request: a number, which MLflow writes as text.
pub(super) fn version_number(fields: &Fields) -> Result<u64> {
    let number = match fields.get("version") {
        None => return Err(Refused::missing("version")),
        Some(Value::String(text)) if text.is_empty() => return Err(Refused::missing("version")),
        Some(Value::String(text)) => text.parse().ok(),
        Some(other) => other.as_u64(),
    };
    number.ok_or_else(|| {
        let shown = fields.get("version").map(Value::to_string).unwrap_or_default();
        let shown: String = shown.chars().take(80).collect();
        Refused::invalid(format!("Parameter 'version' must be an integer, got {shown}."))
    })
}
