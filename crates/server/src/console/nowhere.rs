//! Where nothing is: a browser is told so on a page, everyone else as of any other error.

use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};

use super::visit::Visit;
use crate::http::Problem;

/// Answers what no route does.
pub async fn show(visit: Result<Visit, Problem>, headers: HeaderMap, uri: Uri) -> Response {
    let words = format!("there is nothing at {}; the API is under /api/v1/ and the console at /", uri.path());
    let problem = Problem::not_found(words);
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    match visit {
        Ok(visit) if accepted.contains("text/html") => visit.fail(problem).into_response(),
        _ => problem.into_response(),
    }
}
