//! Open Inference Protocol V2 over HTTP, as KServe, Triton, MLServer and Seldon speak it
//! (<https://github.com/kserve/open-inference-protocol>): the model's name is the endpoint's.
//!
//! A request brings either the model's inputs, one named tensor each, or all of them as one number tensor `input` of shape
//! `[rows, inputs]`; nothing is then looked up. It may also bring the fields of the native request as named tensors, and
//! features are looked up as there. Binary tensors are not spoken yet and are refused by name.

mod answer;
mod error;
mod metadata;
mod question;
mod tensor;
#[cfg(test)]
mod tests;
mod wire;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use mainspring_catalog::Principal;
use mainspring_serve::{Endpoint, Error};
use serde_json::json;

use super::{BODY_BYTES_MAX, Refusal, Served, body};
use crate::http::Caller;
use error::Refused;

/// The header by which Triton's client says that tensors follow the JSON as bytes.
const BINARY_HEADER: &str = "inference-header-content-length";

/// Whether tensors follow as bytes. Looked up in the headers as they lie: taking them out would copy them all.
struct HasBinary(bool);

impl<S: Send + Sync> FromRequestParts<S> for HasBinary {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.headers.contains_key(BINARY_HEADER)))
    }
}

/// The routes of this face.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(live))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/{model}", get(model))
        .route("/v2/models/{model}/ready", get(model_ready))
        .route("/v2/models/{model}/infer", post(infer))
        .route("/v2/models/{model}/versions/{version}", get(version))
        .route("/v2/models/{model}/versions/{version}/ready", get(version_ready))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer_version))
        .route("/v2/{*other}", any(nowhere))
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(served)
}

async fn server() -> Response {
    Json(json!({ "name": "mainspring", "version": env!("CARGO_PKG_VERSION"), "extensions": [] })).into_response()
}

async fn live() -> Response {
    Json(json!({ "live": true })).into_response()
}

async fn ready(State(served): State<Served>) -> Response {
    let ready = served.engine.is_ready();
    (readiness(ready), Json(json!({ "ready": ready }))).into_response()
}

fn readiness(ready: bool) -> StatusCode {
    if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn nowhere() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "there is nothing at this path of the Open Inference Protocol")
}

async fn other_method() -> Refused {
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method; infer takes POST, the rest GET")
}

type Asker = Option<Extension<Caller>>;

async fn model(State(served): State<Served>, Path(model): Path<String>, caller: Asker) -> Result<Response, Refused> {
    describe(&served, &model, None, caller)
}

async fn version(
    State(served): State<Served>,
    Path((model, version)): Path<(String, String)>,
    caller: Asker,
) -> Result<Response, Refused> {
    describe(&served, &model, Some(&version), caller)
}

fn describe(served: &Served, model: &str, version: Option<&str>, caller: Asker) -> Result<Response, Refused> {
    let endpoint = served.endpoint(principal(&caller), "endpoint.read", model)?;
    let deployed = endpoint.deployed();
    same_version(&endpoint, &deployed, version)?;
    Ok(Json(metadata::of(&endpoint, &deployed)).into_response())
}

async fn model_ready(
    State(served): State<Served>,
    Path(model): Path<String>,
    caller: Asker,
) -> Result<Response, Refused> {
    is_ready(&served, &model, None, caller)
}

async fn version_ready(
    State(served): State<Served>,
    Path((model, version)): Path<(String, String)>,
    caller: Asker,
) -> Result<Response, Refused> {
    is_ready(&served, &model, Some(&version), caller)
}

fn is_ready(served: &Served, model: &str, version: Option<&str>, caller: Asker) -> Result<Response, Refused> {
    let endpoint = served.endpoint(principal(&caller), "endpoint.read", model)?;
    let deployed = endpoint.deployed();
    same_version(&endpoint, &deployed, version)?;
    let ready = deployed.live.is_some();
    Ok((readiness(ready), Json(json!({ "name": model, "ready": ready }))).into_response())
}

async fn infer(
    State(served): State<Served>,
    Path(model): Path<String>,
    caller: Asker,
    binary: HasBinary,
    read: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    answer(&served, &model, None, caller, binary, read).await
}

async fn infer_version(
    State(served): State<Served>,
    Path((model, version)): Path<(String, String)>,
    caller: Asker,
    binary: HasBinary,
    read: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    answer(&served, &model, Some(&version), caller, binary, read).await
}

async fn answer(
    served: &Served,
    model: &str,
    version: Option<&str>,
    caller: Asker,
    binary: HasBinary,
    read: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let endpoint = served.endpoint(principal(&caller), "endpoint.predict", model)?;
    let caller = principal(&caller).ok_or(Refusal::Unauthenticated)?;
    if binary.0 {
        let words = "binary tensors are not supported; send the tensors as JSON (`binary_data=False` in tritonclient)";
        return Err(Refused::new(StatusCode::BAD_REQUEST, words));
    }
    let body = body(read)?;
    let mut request = None;
    let answered = endpoint
        .answer(caller, |deployed, rows_max| {
            same_version(&endpoint, deployed, version)?;
            let read = wire::InferRequest::parse(&body)?;
            let question = question::of(&read, &deployed.plan, model, rows_max)?;
            request =
                Some(wire::Asked { id: read.id.map(Into::into), outputs: answer::wanted(read.outputs, deployed)? });
            Ok(question)
        })
        .await
        .map_err(Refusal::from)?;
    let asked = request.unwrap_or_default();
    let bytes = answer::to_json(&answered, model, &asked)
        .map_err(|error| Refusal::from(Error::Internal(format!("the answer cannot be written: {error}"))))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
}

fn principal(caller: &Asker) -> Option<&Principal> {
    caller.as_ref().map(|Extension(caller)| &caller.principal)
}

/// A version in the path must be the one that answers.
fn same_version(endpoint: &Endpoint, deployed: &mainspring_serve::Deployed, asked: Option<&str>) -> Result<(), Error> {
    let serving = deployed.live.as_ref().map(|live| live.version_text.as_str());
    match asked {
        Some(asked) if serving != Some(asked) => Err(Error::OtherVersion {
            endpoint: endpoint.name().to_owned(),
            asked: asked.to_owned(),
            serving: serving.map_or_else(|| "none".to_owned(), |version| format!("version {version}")),
        }),
        _ => Ok(()),
    }
}
