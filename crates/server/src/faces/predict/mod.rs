//! The native face: `POST /api/v1/endpoints/{name}/predict` takes entity keys and request values, and has the features
//! looked up.

mod answer;
mod described;
#[cfg(test)]
mod tests;

use std::future::{Future, ready};

use axum::Extension;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use mainspring_catalog::Principal;
use mainspring_serve::parse_request;

use super::{BODY_BYTES_MAX, Refusal, Served, body};
use crate::http::{Caller, Problem};

pub use described::{PredictAnswer, PredictRequest, PredictedRow};

/// The routes of this face.
pub fn router(served: Served) -> Router {
    Router::new()
        .route("/api/v1/endpoints/{name}/predict", post(predict))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(served)
}

/// What is before and behind the endpoint in the path of a request for a prediction.
pub(crate) const PREDICT: (&str, &str) = ("/api/v1/endpoints/", "/predict");

/// Answers a request at [`PREDICT`], without the router.
pub(crate) async fn predict_at_once(
    served: &Served,
    caller: &Principal,
    endpoint: &str,
    body: impl Future<Output = Result<Bytes, Refusal>>,
) -> Response {
    answer(served, endpoint, Some(caller), body).await.unwrap_or_else(IntoResponse::into_response)
}

async fn predict(
    State(served): State<Served>,
    Path(name): Path<String>,
    caller: Option<Extension<Caller>>,
    read: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let caller = caller.as_ref().map(|Extension(caller)| &caller.principal);
    answer(&served, &name, caller, ready(body(read))).await
}

async fn answer(
    served: &Served,
    name: &str,
    caller: Option<&Principal>,
    body: impl Future<Output = Result<Bytes, Refusal>>,
) -> Result<Response, Refused> {
    let endpoint = served.endpoint_to_predict(caller, name).await?;
    let caller = caller.ok_or(Refusal::Unauthenticated)?;
    let body = body.await?;
    let parse = |deployed: &mainspring_serve::Deployed, rows_max| parse_request(&body, &deployed.plan, name, rows_max);
    let answer = endpoint.answer(caller, parse).await.map_err(Refusal::from)?;
    let bytes = answer::to_json(&answer, &endpoint.declared().model).map_err(|error| {
        Refusal::from(mainspring_serve::Error::Internal(format!("the answer cannot be written: {error}")))
    })?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
}

/// A refusal as problem details.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let title = match status.as_u16() {
            500 => return Problem::internal(&self.0).into_response(),
            401 => "not authenticated",
            403 => "forbidden",
            404 => "not found",
            413 => "too large",
            429 => "overloaded",
            503 => "unavailable",
            504 => "timed out",
            _ => "bad request",
        };
        let problem = Problem { status, title, detail: self.0.to_string(), trace_id: None };
        let mut response = problem.into_response();
        if let Some(seconds) = self.0.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }
}
