//! Our own API under `/api/v1/`: what is, as JSON, and the few things that are done by asking.
//!
//! Reading answers the [views](crate::views) that the console shows. Changing asks the policy first and then calls one
//! function of one layer, which leaves the audit entry. Errors are [problem details](crate::http::Problem).

mod change;
mod read;

use axum::Router;
use axum::routing::{get, post};

use crate::app::App;

/// The routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/api/v1/sources", get(read::sources))
        .route("/api/v1/tables", get(read::tables))
        .route("/api/v1/tables/{name}", get(read::table))
        .route("/api/v1/files", get(read::files))
        .route("/api/v1/features", get(read::features))
        .route("/api/v1/features/{view}", get(read::feature_view))
        .route("/api/v1/models", get(read::models))
        .route("/api/v1/models/{model}", get(read::model))
        .route("/api/v1/models/{model}/versions", get(read::versions))
        .route("/api/v1/models/{model}/promote", post(change::promote))
        .route("/api/v1/models/{model}/rollback", post(change::rollback))
        .route("/api/v1/runs", get(read::runs))
        .route("/api/v1/runs/{id}", get(read::run))
        .route("/api/v1/endpoints", get(read::endpoints))
        .route("/api/v1/endpoints/{endpoint}", get(read::endpoint))
        .route("/api/v1/workflows", get(read::workflows))
        .route("/api/v1/workflows/{id}", get(read::workflow))
        .route("/api/v1/monitors", get(read::monitors))
        .route("/api/v1/monitors/{monitor}", get(read::monitor))
        .route("/api/v1/monitors/{monitor}/reports", get(read::reports))
        .route("/api/v1/alerts", get(read::alerts))
        .route("/api/v1/alerts/{id}/acknowledge", post(change::acknowledge))
        .route("/api/v1/alerts/{id}/resolve", post(change::resolve))
        .route("/api/v1/audit", get(read::audit))
        .route("/api/v1/lineage", get(read::lineage))
}
