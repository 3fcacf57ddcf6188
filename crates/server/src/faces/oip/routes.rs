//! The protocol over HTTP.

use std::future::{Future, ready};
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use mainspring_catalog::Principal;
use mainspring_serve::{Deployed, Endpoint, Error};
use serde_json::json;

use super::body::{Form, JSON_LENGTH};
use super::error::Refused;
use super::infer::{Inferred, same_version};
use super::path::Path;
use super::{configuration, metadata, response, statistics, wire};
use crate::faces::{BODY_BYTES_MAX, Refusal, Served, body};
use crate::http::Caller;

/// What this server speaks beyond the protocol itself.
pub(super) const EXTENSIONS: [&str; 4] =
    ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];

/// The routes of inference.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(server_ready))
        .route("/v2/models/stats", get(all_statistics))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/config", get(model_configuration))
        .route("/v2/models/{model}/stats", get(model_statistics))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/config", get(version_configuration))
        .route("/v2/models/{model}/versions/{version}/stats", get(version_statistics))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version))
        .route("/v2/{*other}", any(nowhere))
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(served)
}

async fn server() -> Response {
    let version = env!("CARGO_PKG_VERSION");
    Json(json!({ "name": metadata::PLATFORM, "version": version, "extensions": EXTENSIONS })).into_response()
}

async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

async fn server_ready(State(served): State<Served>) -> Response {
    let ready = served.engine.is_ready();
    (readiness(ready), Json(json!({ "ready": ready }))).into_response()
}

fn readiness(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn nowhere() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "there is nothing at this path of the Open Inference Protocol")
}

pub(super) async fn other_method() -> Refused {
    let words = "this path does not take this method; infer and the repository take POST, the rest GET";
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, words)
}

type Asker = Option<Extension<Caller>>;
type Versioned = Path<(String, String)>;

fn principal(caller: &Asker) -> Result<&Principal, Refusal> {
    caller.as_ref().map(|Extension(caller)| &caller.principal).ok_or(Refusal::Unauthenticated)
}

/// The endpoint and what is behind it, if the caller may look at it and the version is the one that answers.
fn seen(
    served: &Served,
    model: &str,
    version: Option<&str>,
    caller: &Asker,
) -> Result<(Arc<Endpoint>, Arc<Deployed>), Refused> {
    let endpoint = served.endpoint(Some(principal(caller)?), "endpoint.read", model)?;
    let deployed = endpoint.deployed();
    same_version(&endpoint, &deployed, version)?;
    Ok((endpoint, deployed))
}

async fn model(State(served): State<Served>, Path(model): Path<String>, caller: Asker) -> Result<Response, Refused> {
    let (endpoint, deployed) = seen(&served, &model, None, &caller)?;
    Ok(Json(metadata::of(&endpoint, &deployed)).into_response())
}

async fn version(
    State(served): State<Served>,
    Path((model, version)): Versioned,
    caller: Asker,
) -> Result<Response, Refused> {
    let (endpoint, deployed) = seen(&served, &model, Some(&version), &caller)?;
    Ok(Json(metadata::of(&endpoint, &deployed)).into_response())
}

async fn model_ready(
    State(served): State<Served>,
    Path(model): Path<String>,
    caller: Asker,
) -> Result<Response, Refused> {
    let (_, deployed) = seen(&served, &model, None, &caller)?;
    Ok(is_ready(&model, &deployed))
}

async fn version_ready(
    State(served): State<Served>,
    Path((model, version)): Versioned,
    caller: Asker,
) -> Result<Response, Refused> {
    let (_, deployed) = seen(&served, &model, Some(&version), &caller)?;
    Ok(is_ready(&model, &deployed))
}

fn is_ready(model: &str, deployed: &Deployed) -> Response {
    let ready = deployed.live.is_some();
    (readiness(ready), Json(json!({ "name": model, "ready": ready }))).into_response()
}

async fn model_configuration(
    State(served): State<Served>,
    Path(model): Path<String>,
    caller: Asker,
) -> Result<Response, Refused> {
    let (endpoint, deployed) = seen(&served, &model, None, &caller)?;
    Ok(Json(configuration::of(metadata::of(&endpoint, &deployed))).into_response())
}

async fn version_configuration(
    State(served): State<Served>,
    Path((model, version)): Versioned,
    caller: Asker,
) -> Result<Response, Refused> {
    let (endpoint, deployed) = seen(&served, &model, Some(&version), &caller)?;
    Ok(Json(configuration::of(metadata::of(&endpoint, &deployed))).into_response())
}

async fn all_statistics(State(served): State<Served>, caller: Asker) -> Result<Response, Refused> {
    let caller = principal(&caller)?;
    let visible = served.engine.status().into_iter();
    let visible = visible.filter(|status| (served.gate)(caller, "endpoint.read", &status.endpoint).is_ok());
    Ok(Json(statistics::AllStatistics { model_stats: visible.map(statistics::of).collect() }).into_response())
}

async fn model_statistics(
    State(served): State<Served>,
    Path(model): Path<String>,
    caller: Asker,
) -> Result<Response, Refused> {
    let (endpoint, _) = seen(&served, &model, None, &caller)?;
    Ok(Json(statistics::AllStatistics { model_stats: vec![statistics::of(endpoint.status())] }).into_response())
}

async fn version_statistics(
    State(served): State<Served>,
    Path((model, version)): Versioned,
    caller: Asker,
) -> Result<Response, Refused> {
    let (endpoint, _) = seen(&served, &model, Some(&version), &caller)?;
    Ok(Json(statistics::AllStatistics { model_stats: vec![statistics::of(endpoint.status())] }).into_response())
}

/// What is before and behind the model in the path of a request for a prediction.
pub(crate) const INFER: (&str, &str) = ("/v2/models/", "/infer");

/// Answers a request at [`INFER`], without the router.
pub(crate) async fn infer_at_once(
    served: &Served,
    caller: &Principal,
    model: &str,
    headers: &HeaderMap,
    body: impl Future<Output = Result<Bytes, Refusal>>,
) -> Response {
    let answered = match Form::of(headers) {
        Ok(form) => answer(served, model, None, caller, form, body).await,
        Err(refused) => Err(refused),
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

async fn infer(
    State(served): State<Served>,
    Path(model): Path<String>,
    caller: Asker,
    form: Form,
    read: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    answer(&served, &model, None, principal(&caller)?, form, ready(body(read))).await
}

async fn infer_version(
    State(served): State<Served>,
    Path((model, version)): Versioned,
    caller: Asker,
    form: Form,
    read: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    answer(&served, &model, Some(&version), principal(&caller)?, form, ready(body(read))).await
}

async fn answer(
    served: &Served,
    model: &str,
    version: Option<&str>,
    caller: &Principal,
    form: Form,
    body: impl Future<Output = Result<Bytes, Refusal>>,
) -> Result<Response, Refused> {
    let endpoint = served.endpoint_to_predict(Some(caller), model).await?;
    let body = form.decoded(body.await?).await?;
    let rewritten = OnceLock::new();
    let read = || {
        wire::read(&body, form.json_bytes).or_else(|error| {
            let Some(with_nulls) = wire::nulls_for_nan(&body, form.json_bytes) else { return Err(error) };
            let (body, json_bytes) = rewritten.get_or_init(|| with_nulls);
            wire::read(body, *json_bytes)
        })
    };
    let Inferred { answer, id, wanted } = super::infer::infer(&endpoint, caller, version, read).await?;
    let written = response::write(&answer, model, id.as_deref(), &wanted)
        .map_err(|error| Error::Internal(format!("the answer cannot be written: {error}")))?;
    let Some(json_bytes) = written.json_bytes else {
        let kind = HeaderValue::from_static("application/json");
        return Ok(([(header::CONTENT_TYPE, kind)], written.body).into_response());
    };
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers = [(header::CONTENT_TYPE, kind), (JSON_LENGTH, HeaderValue::from(json_bytes))];
    Ok((headers, written.body).into_response())
}
