//! Webhooks.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use mainspring_registry::{EventKind, NewWebhook, Tried, Webhook, WebhookEdit};
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use super::error::{Refused, Result};
use super::extract::{Fields, Path};
use super::registered_models::page;
use super::registry_search::{Page, cut};
use crate::app::App;
use crate::http::Caller;

/// The most webhooks of one page, and how many it has unless the client says.
const PAGE_MAX: usize = 1_000;
const PAGE: usize = 100;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/webhooks", get(list).post(create))
        .under_both("2.0/mlflow/webhooks/{id}", get(one).patch(update).delete(remove))
        .under_both("2.0/mlflow/webhooks/{id}/test", post(test))
}

async fn create(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let new = NewWebhook {
        name: fields.required("name")?.into(),
        url: fields.required("url")?.into(),
        events: events(&fields)?,
        description: fields.text("description")?.filter(|text| !text.is_empty()).map(str::to_owned),
        secret: fields.text("secret")?.filter(|text| !text.is_empty()).map(str::to_owned),
        disabled: status(&fields)? == Some(false),
    };
    caller.may(&app, "webhook.create", "webhook", &new.name).await?;
    let webhook = app.registry.create_webhook(new, app.webhooks.reach(), &caller.principal).await?;
    Ok(Json(json!({ "webhook": webhook_json(&webhook) })))
}

async fn list(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    caller.may(&app, "webhook.read", "webhook", "*").await?;
    let most = fields.max_results(PAGE, PAGE_MAX)?;
    let Page { found, next } = cut(app.registry.webhooks().await?, "webhooks", fields.text("page_token")?, most)?;
    Ok(Json(page("webhooks", found.iter().map(webhook_json).collect(), next)))
}

async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    caller.may(&app, "webhook.read", "webhook", &id).await?;
    Ok(Json(json!({ "webhook": webhook_json(&app.registry.webhook(&id).await?) })))
}

async fn update(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    caller.may(&app, "webhook.update", "webhook", &id).await?;
    let given = |name: &str| fields.text(name).map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned));
    let events = events(&fields)?;
    let edit = WebhookEdit {
        name: given("name")?,
        url: given("url")?,
        description: fields.text("description")?.map(str::to_owned),
        events: (!events.is_empty()).then_some(events),
        secret: fields.text("secret")?.map(str::to_owned),
        active: status(&fields)?,
    };
    let webhook = app.registry.edit_webhook(&id, edit, app.webhooks.reach(), &caller.principal).await?;
    Ok(Json(json!({ "webhook": webhook_json(&webhook) })))
}

async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    caller.may(&app, "webhook.delete", "webhook", &id).await?;
    app.registry.delete_webhook(&id, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn test(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    caller.may(&app, "webhook.test", "webhook", &id).await?;
    let webhook = app.registry.webhook(&id).await?;
    let wanted = fields.get("event").map(event).transpose()?;
    let kind = wanted.or_else(|| webhook.events.first().copied()).ok_or_else(|| Refused::missing("event"))?;
    let tried = app.webhooks.try_out(&webhook, kind).await?;
    let success = tried.is_taken();
    let result = match tried {
        Tried::Answered { status, body } => {
            json!({ "success": success, "response_status": status, "response_body": body })
        }
        Tried::Failed { reason, .. } => {
            json!({ "success": false, "error_message": format!("Failed to test webhook: {reason}") })
        }
    };
    Ok(Json(json!({ "result": result })))
}

fn events(fields: &Fields) -> Result<Vec<EventKind>> {
    match fields.get("events") {
        None => Ok(vec![]),
        Some(Value::Array(all)) => all.iter().map(event).collect(),
        Some(other) => Err(Refused::bad_value("events", other, "it must be a list of events.")),
    }
}

fn event(value: &Value) -> Result<EventKind> {
    let word = |name: &str| value.get(name).and_then(Value::as_str);
    let known = word("entity").zip(word("action")).and_then(|(entity, action)| EventKind::named(entity, action));
    known.ok_or_else(|| {
        let kinds: Vec<String> = EventKind::ALL.iter().map(ToString::to_string).collect();
        Refused::bad_value("events", value, format!("this server tells of {}.", kinds.join(", ")))
    })
}

/// Whether the request says that the webhook is active.
fn status(fields: &Fields) -> Result<Option<bool>> {
    match fields.get("status") {
        None => Ok(None),
        Some(Value::String(word)) if word == "ACTIVE" => Ok(Some(true)),
        Some(Value::String(word)) if word == "DISABLED" => Ok(Some(false)),
        Some(other) => Err(Refused::bad_value("status", other, "it must be ACTIVE or DISABLED.")),
    }
}

fn webhook_json(webhook: &Webhook) -> Value {
    let events = webhook.events.iter().map(
        |kind| json!({ "entity": kind.entity().to_ascii_uppercase(), "action": kind.action().to_ascii_uppercase() }),
    );
    let mut answer = json!({
        "webhook_id": webhook.id,
        "name": webhook.name,
        "url": webhook.url,
        "events": events.collect::<Vec<_>>(),
        "status": if webhook.active { "ACTIVE" } else { "DISABLED" },
        "creation_timestamp": webhook.created_at.as_millisecond(),
        "last_updated_timestamp": webhook.updated_at.as_millisecond(),
    });
    if let Some(text) = &webhook.description {
        answer["description"] = text.clone().into();
    }
    answer
}
