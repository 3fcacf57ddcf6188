//! Errors as V2 writes them: `{"error": "..."}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mainspring_serve::Error;
use serde_json::json;

use crate::faces::Refusal;
use crate::http::{Problem, challenged};

/// An error on its way to the caller.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    words: String,
    retry_after: Option<&'static str>,
}

impl Refused {
    pub(super) fn new(status: StatusCode, words: &str) -> Self {
        Self { status, words: words.to_owned(), retry_after: None }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let status = refusal.status();
        let words = refusal.logged();
        Self { status, words, retry_after: refusal.retry_after() }
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let words = match problem.trace_id {
            Some(trace) => format!("{} (trace {trace})", problem.detail),
            None => problem.detail,
        };
        Self { status: problem.status, words, retry_after: None }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refusal::from(error).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.words }))).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        challenged(response)
    }
}
