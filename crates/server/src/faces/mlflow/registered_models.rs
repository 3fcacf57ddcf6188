//! Registered models.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::routing::{delete, get, patch, post};
use axum::{Extension, Json, Router};
use mainspring_registry::{Alias, ModelVersion, RegisteredModel, Registry, VersionStage};
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use super::error::{Code, Refused, Result};
use super::extract::Fields;
use super::model_versions::{version_json, version_number};
use super::registry_search::{IS_PROMPT, Page, search_models};
use crate::app::App;
use crate::http::Caller;

/// The most models of one page.
const PAGE_MAX: usize = 1_000;
/// How many models a page has unless the client says.
const PAGE: usize = 100;
/// The longest key and value of a label.
const TAG_KEY_MAX: usize = 250;
const TAG_VALUE_MAX: usize = 100_000;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/registered-models/create", post(create))
        .under_both("2.0/mlflow/registered-models/rename", post(rename))
        .under_both("2.0/mlflow/registered-models/update", patch(update))
        .under_both("2.0/mlflow/registered-models/delete", delete(remove))
        .under_both("2.0/mlflow/registered-models/get", get(one))
        .under_both("2.0/mlflow/registered-models/search", get(search))
        .under_both("2.0/mlflow/registered-models/get-latest-versions", get(latest).post(latest))
        .under_both("2.0/mlflow/registered-models/set-tag", post(set_tag))
        .under_both("2.0/mlflow/registered-models/delete-tag", delete(delete_tag))
        .under_both("2.0/mlflow/registered-models/alias", get(by_alias).post(set_alias).delete(delete_alias))
}

async fn create(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let name = fields.required("name")?;
    caller.may(&app, "model.create", "model", name).await?;
    let description = fields.text("description")?.unwrap_or_default();
    let tags = tags(&fields)?;
    refuse_prompt(&tags)?;
    let model = app.registry.create_model(name, description, tags, &caller.principal).await?;
    answer(&app.registry, model).await
}

async fn rename(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (name, new_name) = (fields.required("name")?, fields.required("new_name")?);
    caller.may(&app, "model.rename", "model", name).await?;
    caller.may(&app, "model.create", "model", new_name).await?;
    caller.may(&app, "model.rename", "model", new_name).await?;
    let model = app.registry.rename_model(name, new_name, &caller.principal).await?;
    answer(&app.registry, model).await
}

async fn update(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let name = fields.required("name")?;
    caller.may(&app, "model.note", "model", name).await?;
    let text = fields.text("description")?.unwrap_or_default();
    let model = app.registry.describe_model(name, text, &caller.principal).await?;
    answer(&app.registry, model).await
}

async fn remove(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let name = fields.required("name")?;
    caller.may(&app, "model.delete", "model", name).await?;
    app.registry.delete_model(name, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn one(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let name = fields.required("name")?;
    caller.may(&app, "model.read", "model", name).await?;
    let model = app.registry.model(name).await?;
    answer(&app.registry, model).await
}

async fn search(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    caller.may(&app, "model.read", "model", "*").await?;
    let most = fields.max_results(PAGE, PAGE_MAX)?;
    let order = fields.texts("order_by")?;
    let filter = fields.text("filter")?.unwrap_or_default();
    let Page { found, next } =
        search_models(app.registry.models().await?, filter, &order, fields.text("page_token")?, most)?;
    let mut models = Vec::with_capacity(found.len());
    for model in found {
        models.push(model_json(&app.registry, &model).await?);
    }
    Ok(Json(page("registered_models", models, next)))
}

/// An answer of a search: an empty list and an absent token are left out.
pub(super) fn page(name: &str, found: Vec<Value>, next: Option<String>) -> Value {
    let mut answer = serde_json::Map::new();
    if !found.is_empty() {
        answer.insert(name.into(), found.into());
    }
    if let Some(next) = next {
        answer.insert("next_page_token".into(), next.into());
    }
    answer.into()
}

async fn latest(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let name = fields.required("name")?;
    caller.may(&app, "model.read", "model", name).await?;
    app.registry.model(name).await?;
    let mut stages = vec![];
    for stage in fields.texts("stages")? {
        stages.push(stage.parse::<VersionStage>()?);
    }
    let (versions, aliases) = (app.registry.versions(name).await?, app.registry.aliases(name).await?);
    let found: Vec<Value> = newest_by_stage(&versions)
        .filter(|version| stages.is_empty() || stages.contains(&version.stage))
        .map(|version| version_json(version, &aliases))
        .collect();
    Ok(Json(page("model_versions", found, None)))
}

/// The newest version in each stage; versions come newest first.
fn newest_by_stage(versions: &[ModelVersion]) -> impl Iterator<Item = &ModelVersion> {
    VersionStage::ALL.into_iter().filter_map(|stage| versions.iter().find(|version| version.stage == stage))
}

async fn set_tag(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let name = fields.required("name")?;
    let (key, value) = tag(&fields)?;
    caller.may(&app, "model.tag", "model", name).await?;
    app.registry.tag_model(name, key, Some(value), &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn delete_tag(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let (name, key) = (fields.required("name")?, fields.required("key")?);
    caller.may(&app, "model.tag", "model", name).await?;
    app.registry.tag_model(name, key, None, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn set_alias(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let (name, alias) = (fields.required("name")?, fields.required("alias")?);
    let version = version_number(&fields)?;
    caller.may(&app, "model.promote", "model", name).await?;
    app.registry.set_alias(name, alias, version, &caller.principal, "by an MLflow client").await?;
    Ok(Json(json!({})))
}

async fn delete_alias(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let (name, alias) = (fields.required("name")?, fields.required("alias")?);
    caller.may(&app, "model.remove_alias", "model", name).await?;
    app.registry.model(name).await?;
    match app.registry.remove_alias(name, alias, &caller.principal, "by an MLflow client").await {
        // what is gone is gone: MLflow's servers say nothing either
        Ok(()) | Err(mainspring_registry::Error::NoAlias { .. }) => Ok(Json(json!({}))),
        Err(error) => Err(error.into()),
    }
}

async fn by_alias(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (name, alias) = (fields.required("name")?, fields.required("alias")?);
    caller.may(&app, "model.read", "model", name).await?;
    app.registry.model(name).await?;
    let missing = || Refused::invalid(format!("Registered model alias {alias} not found."));
    let version = match app.registry.live(name, alias).await? {
        Some(version) => version,
        None if alias.eq_ignore_ascii_case("latest") => app.registry.latest(name).await?.ok_or_else(missing)?,
        None => return Err(missing()),
    };
    let aliases = app.registry.aliases(name).await?;
    Ok(Json(json!({ "model_version": version_json(&version, &aliases) })))
}

async fn answer(registry: &Registry, model: RegisteredModel) -> Result<Json<Value>> {
    Ok(Json(json!({ "registered_model": model_json(registry, &model).await? })))
}

async fn model_json(registry: &Registry, model: &RegisteredModel) -> Result<Value> {
    let (versions, aliases) = (registry.versions(&model.name).await?, registry.aliases(&model.name).await?);
    let mut answer = json!({
        "name": model.name,
        "creation_timestamp": model.created_at.map(|at| at.as_millisecond()),
        "last_updated_timestamp": model.updated_at.map(|at| at.as_millisecond()),
    });
    if let Some(by) = &model.created_by {
        answer["user_id"] = by.name.clone().into();
    }
    if !model.description.is_empty() {
        answer["description"] = model.description.clone().into();
    }
    let latest: Vec<Value> = newest_by_stage(&versions).map(|version| version_json(version, &aliases)).collect();
    for (name, list) in [("latest_versions", latest), ("tags", pairs(&model.tags)), ("aliases", named(&aliases))] {
        if !list.is_empty() {
            answer[name] = list.into();
        }
    }
    Ok(answer)
}

fn named(aliases: &[Alias]) -> Vec<Value> {
    let named = aliases.iter().filter_map(|alias| Some((&alias.alias, alias.version?)));
    named.map(|(alias, version)| json!({ "alias": alias, "version": version.to_string() })).collect()
}

/// Labels as MLflow writes them.
pub(super) fn pairs(tags: &BTreeMap<String, String>) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// The labels of a request; of one key the last counts.
pub(super) fn tags(fields: &Fields) -> Result<BTreeMap<String, String>> {
    let pairs = fields.pairs("tags")?;
    for (key, value) in &pairs {
        check_tag(key, value)?;
    }
    Ok(pairs.into_iter().collect())
}

/// Refuses to register what its labels make a prompt, or a version of one.
pub(super) fn refuse_prompt(tags: &BTreeMap<String, String>) -> Result<()> {
    let is_prompt = tags.get(IS_PROMPT).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if is_prompt {
        let words = format!("Prompts (tag '{IS_PROMPT}') are a part of MLflow that Mainspring does not have.");
        return Err(Refused::new(Code::NotImplemented, words));
    }
    Ok(())
}

/// The label of a request.
pub(super) fn tag(fields: &Fields) -> Result<(&str, &str)> {
    let (key, value) = (fields.required("key")?, fields.required_or_empty("value")?);
    check_tag(key, value)?;
    Ok((key, value))
}

fn check_tag(key: &str, value: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Refused::missing("key"));
    }
    for (name, length, most) in [("key", key.len(), TAG_KEY_MAX), ("value", value.len(), TAG_VALUE_MAX)] {
        if length > most {
            return Err(Refused::invalid(format!(
                "'{name}' exceeds the maximum length of {most} characters: it has {length}."
            )));
        }
    }
    Ok(())
}
