//! Params, tags, and batches of all that a run reports.

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};
use mainspring_registry::BatchOfLabels;
use serde_json::{Value, json};

use super::access::Asked;
use super::error::{Refused, Result};
use super::extract::{Fields, Payload};
use super::logged::{Batch, PlainBatch, check_models};
use super::{UnderBothPrefixes, limits};
use crate::app::App;
use crate::http::Caller;

pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow/runs/log-parameter", post(log_param))
        .under_both("2.0/mlflow/runs/set-tag", post(set_tag))
        .under_both("2.0/mlflow/runs/delete-tag", post(delete_tag))
        .under_both("2.0/mlflow/runs/log-batch", post(log_batch))
}

type Handed = (State<App>, Extension<Caller>);

async fn log_param((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let id = fields.run_id()?;
    let (key, value) = (fields.required("key")?, fields.text("value")?.unwrap_or_default());
    let value = limits::param(key, value, "")?;
    asked.may_run("run.log", id).await?;
    let labels = BatchOfLabels { params: vec![(key.to_owned(), value.to_owned())], tags: vec![] };
    asked.tracking.label_run(id, labels, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn set_tag((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let id = fields.run_id()?;
    let (key, value) = (fields.required("key")?, fields.text("value")?.unwrap_or_default());
    let value = limits::run_tag(key, value, "")?;
    asked.may_run("run.log", id).await?;
    let labels = BatchOfLabels { params: vec![], tags: vec![(key.to_owned(), value.to_owned())] };
    asked.tracking.label_run(id, labels, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn delete_tag((State(app), Extension(caller)): Handed, fields: Fields) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    let (id, key) = (fields.run_id()?, fields.required("key")?);
    asked.may_run("run.log", id).await?;
    asked.tracking.unlabel_run(id, key, &caller.principal).await?;
    Ok(Json(json!({})))
}

/// A batch is checked whole before any of it is written. Params and tags go first, in one change of the catalog; then the
/// metrics. A batch that was cut short between them was not acknowledged, and may be sent again: the same twice is once.
async fn log_batch((State(app), Extension(caller)): Handed, Payload(bytes): Payload) -> Result<Json<Value>> {
    let asked = Asked::of(&app, &caller)?;
    if bytes.len() > limits::BATCH_BYTES_MAX {
        return Err(Refused::invalid(format!(
            "Batched logging API requests must be at most {} bytes, got a request of size {}.",
            limits::BATCH_BYTES_MAX,
            bytes.len()
        )));
    }
    let fields;
    let batch = match PlainBatch::of(&bytes) {
        Some(plain) => Batch::of_plain(plain)?,
        None => {
            fields = Fields::of_json(&bytes)?;
            Batch::of_fields(&fields)?
        }
    };
    asked.may_run("run.log", batch.run).await?;
    check_models(&app.registry, &batch.metrics).await?;
    if !batch.labels.params.is_empty() || !batch.labels.tags.is_empty() {
        asked.tracking.label_run(batch.run, batch.labels, &caller.principal).await?;
    }
    asked.tracking.log_metrics(batch.run, &batch.metrics).await?;
    Ok(Json(json!({})))
}
