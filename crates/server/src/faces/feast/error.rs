//! Refusals as Feast's server words them: a list of details for a body that is not as it should be (FastAPI's form), a text
//! of JSON in JSON for an error that the SDK raises again by its class, and plain text for the rest.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mainspring_features::Error as FeatureError;
use mainspring_govern::Denied;
use serde::Serialize;
use serde_json::Value;

use crate::http::{Problem, challenged};

/// The class of Feast's error for a push to a source that is not there: 422, where its others of that kind are 404.
const PUSH_SOURCE_NOT_FOUND: &str = "PushSourceNotFoundException";

/// The class of Feast's error for a caller who may not, or did not say who they are.
const PERMISSION_ERROR: &str = "FeastPermissionError";

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refused {
    /// The body is not as it should be: 422.
    Invalid(Vec<Detail>),
    /// An error that Feast's SDK knows by its class.
    Feast { status: StatusCode, class: &'static str, message: String },
    /// The body is larger than it may be: 413.
    TooLarge { most: usize },
    /// This server does not do that: 501.
    NotImplemented(&'static str),
    /// Come again later: 503 or 409.
    Later(StatusCode, String),
    /// Something of ours failed: 500, with the id under which it is in the log.
    Internal(String),
}

/// What is wrong with one place of a body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Detail {
    /// The rule broken, as one word.
    #[serde(rename = "type")]
    pub(super) rule: &'static str,
    /// Where: keys and places, from `body` on.
    pub(super) loc: Vec<Value>,
    /// What is wrong, and what mends it.
    pub(super) msg: String,
    /// What stands there.
    pub(super) input: Value,
}

impl Detail {
    pub(super) fn new(rule: &'static str, at: &[&str], msg: impl Into<String>, input: Value) -> Self {
        let loc = std::iter::once("body").chain(at.iter().copied()).map(Value::from).collect();
        Self { rule, loc, msg: msg.into(), input }
    }
}

impl Refused {
    pub(super) fn invalid(rule: &'static str, at: &[&str], msg: impl Into<String>) -> Self {
        Self::Invalid(vec![Detail::new(rule, at, msg, Value::Null)])
    }

    pub(super) fn body(reason: String) -> Self {
        Self::invalid("body", &[], format!("the body could not be read: {reason}"))
    }

    pub(super) fn content_type(kind: &str) -> Self {
        let kind: String = kind.chars().take(80).collect();
        let message =
            format!("the body is sent as `{kind}`; send JSON with the header `content-type: application/json`");
        Self::Invalid(vec![Detail::new("model_attributes_type", &[], message, kind.into())])
    }

    pub(super) fn not_found(class: &'static str, message: impl Into<String>) -> Self {
        Self::Feast { status: StatusCode::NOT_FOUND, class, message: message.into() }
    }

    /// Whether the request names what is not known, which an `apply` of this moment may have brought.
    pub(super) fn names_nothing(&self) -> bool {
        let Self::Feast { status, class, .. } = self else { return false };
        *status == StatusCode::NOT_FOUND || *class == PUSH_SOURCE_NOT_FOUND
    }

    pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let problem = Problem::internal(error);
        Self::Internal(format!("{} (trace {})", problem.detail, problem.trace_id.unwrap_or_default()))
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Feast { status: StatusCode::FORBIDDEN, class: PERMISSION_ERROR, message: denied.to_string() }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        match problem.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Self::Feast { status: problem.status, class: PERMISSION_ERROR, message: problem.detail }
            }
            // Feast has no class for it: the one of which all others are
            StatusCode::TOO_MANY_REQUESTS => {
                Self::Feast { status: problem.status, class: "FeastError", message: problem.detail }
            }
            StatusCode::SERVICE_UNAVAILABLE => Self::Later(problem.status, problem.detail),
            status if status.is_server_error() => Self::Internal(problem.detail),
            status => Self::Later(status, problem.detail),
        }
    }
}

impl From<FeatureError> for Refused {
    fn from(error: FeatureError) -> Self {
        let message = error.to_string();
        match error {
            FeatureError::UnknownView { .. } | FeatureError::UnknownFeature { .. } => {
                Self::not_found("FeatureViewNotFoundException", message)
            }
            FeatureError::UnknownPush { .. } => {
                Self::Feast { status: StatusCode::UNPROCESSABLE_ENTITY, class: PUSH_SOURCE_NOT_FOUND, message }
            }
            FeatureError::RequestField { row, field, .. } => {
                let mut detail = Detail::new("value_type", &["entities", &field], message, Value::Null);
                detail.loc.push(row.into());
                Self::Invalid(vec![detail])
            }
            FeatureError::NotOnline { .. } | FeatureError::NothingStored { .. } => {
                Self::invalid("feature_view", &["features"], message)
            }
            FeatureError::NotWritable { .. } => Self::invalid("feature_view", &["feature_view_name"], message),
            FeatureError::Push { .. } | FeatureError::Ingest(mainspring_ingest::Error::Pushed { .. }) => {
                Self::invalid("df", &["df"], message)
            }
            FeatureError::PushesWaiting { .. } => Self::Later(StatusCode::SERVICE_UNAVAILABLE, message),
            FeatureError::Project(_) | FeatureError::NotComputed { .. } | FeatureError::NoInput { .. } => {
                Self::Later(StatusCode::CONFLICT, message)
            }
            other => Self::internal(&other),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(detail) => {
                (StatusCode::UNPROCESSABLE_ENTITY, Json(serde_json::json!({ "detail": detail }))).into_response()
            }
            Self::Feast { status, class, message } => {
                let inner = serde_json::json!({ "module": "feast.errors", "class": class, "message": message });
                challenged((status, Json(inner.to_string())).into_response())
            }
            Self::TooLarge { most } => {
                let message = format!("the body is larger than the {most} bytes allowed; send it in parts");
                (StatusCode::PAYLOAD_TOO_LARGE, Json(message)).into_response()
            }
            Self::NotImplemented(message) => (StatusCode::NOT_IMPLEMENTED, Json(message)).into_response(),
            Self::Later(status, message) => (status, Json(message)).into_response(),
            Self::Internal(message) => (StatusCode::INTERNAL_SERVER_ERROR, Json(message)).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    #[tokio::test]
    async fn who_is_not_let_in_is_told_by_an_error_that_the_sdk_raises() {
        let too_many = Problem::of(StatusCode::TOO_MANY_REQUESTS, "it was tried too often");
        for (problem, class) in [
            (Problem::unauthenticated("there is no such key"), "FeastPermissionError"),
            (Problem::forbidden("this host is not served"), "FeastPermissionError"),
            (too_many, "FeastError"),
        ] {
            let (status, message) = (problem.status, problem.detail.clone());

            let response = Refused::from(problem).into_response();

            assert_eq!(response.status(), status);
            let asks_for_a_key = response.headers().contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(asks_for_a_key, status == StatusCode::UNAUTHORIZED);
            let body = axum::body::to_bytes(response.into_body(), 1_000).await.unwrap();
            let text: String = serde_json::from_slice(&body).unwrap();
            let inner: Value = serde_json::from_str(&text).unwrap();
            let expected = serde_json::json!({ "module": "feast.errors", "class": class, "message": message });
            assert_eq!(inner, expected);
        }
    }
}
