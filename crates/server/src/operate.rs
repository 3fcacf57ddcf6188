//! What operators and machines ask of a server: how is it.

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::app::App;
use crate::http::Problem;

/// The routes.
pub fn router() -> Router<App> {
    Router::new().route("/metrics", get(metrics))
}

/// Answers `GET /metrics` in the OpenMetrics text format.
async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    app.serve.sample_metrics();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &app.metrics).map_err(|error| Problem::internal(&error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
