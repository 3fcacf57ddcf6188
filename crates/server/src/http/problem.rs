//! Errors as problem details (RFC 9457): 4xx is the caller's, 5xx is ours, is logged, and carries its trace id.

use std::error::Error;

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::listener::Stalled;

/// An error on its way to the caller.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Problem {
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schemars(with = "u16")]
    pub status: StatusCode,
    /// The kind of problem, the same for every occurrence.
    pub title: &'static str,
    /// What was wrong this time, and what would mend it.
    pub detail: String,
    /// Names this occurrence in our log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// What lies in the request, of a kind that has a status of its own.
    pub fn of(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = match status {
            StatusCode::METHOD_NOT_ALLOWED => "method not allowed",
            StatusCode::REQUEST_TIMEOUT => "too slow",
            StatusCode::GATEWAY_TIMEOUT => "took too long",
            StatusCode::PAYLOAD_TOO_LARGE => "too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported media type",
            StatusCode::UNPROCESSABLE_ENTITY => "not as expected",
            _ => "bad request",
        };
        Self { status, title, detail: detail.into(), trace_id: None }
    }

    /// A body that did not arrive whole.
    pub fn unread(rejection: &BytesRejection) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = Some(rejection);
        while let Some(error) = cause {
            if error.is::<Stalled>() {
                return Self::of(StatusCode::REQUEST_TIMEOUT, error.to_string());
            }
            cause = error.source();
        }
        Self::of(rejection.status(), rejection.body_text())
    }

    /// The caller asked for something that cannot be.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, title: "bad request", detail: detail.into(), trace_id: None }
    }

    /// The caller did not say who they are.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, title: "not authenticated", detail: detail.into(), trace_id: None }
    }

    /// The caller may not do that.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, title: "forbidden", detail: detail.into(), trace_id: None }
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, title: "not found", detail: detail.into(), trace_id: None }
    }

    /// It cannot be done as things stand.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, title: "conflict", detail: detail.into(), trace_id: None }
    }

    /// It cannot be done now, and perhaps later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, title: "unavailable", detail: detail.into(), trace_id: None }
    }

    /// Something of ours failed: logged here, and named to the caller by its trace id.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let trace_id = uuid::Uuid::now_v7().to_string();
        let mut words = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            words = format!("{words}: {next}");
            cause = next.source();
        }
        tracing::error!(%trace_id, error = %words, "a request failed");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "internal error",
            detail: words,
            trace_id: Some(trace_id),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        challenged(response)
    }
}

/// Tells who was not let in how to show a key, as every answer of 401 must
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1>).
pub(crate) fn challenged(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
