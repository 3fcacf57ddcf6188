//! MLflow's REST API (<https://mlflow.org/docs/latest/rest-api.html>), version 3, outside of its GenAI part: an unchanged
//! `mlflow` client with this server as its tracking URI works.
//!
//! Each path exists twice, under `/api/` for clients and under `/ajax-api/` for browsers. A path that we do not have
//! answers in MLflow's own form: 501 when MLflow has it and we leave it out, 404 otherwise.

mod access;
mod artifacts;
mod error;
mod experiment_search;
mod experiments;
mod extract;
mod filter;
mod inputs;
mod labels;
mod limits;
mod logged;
mod logged_models;
mod metrics;
mod model_versions;
mod multipart;
mod names;
mod presigned;
mod registered_models;
mod registry_search;
mod run_filter;
mod runs;
mod server_info;
mod token;
mod webhooks;
mod wire;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};

use crate::app::App;
use crate::http::Problem;
use error::{Code, Refused};

/// The release of MLflow whose API this is; clients compare it with their own.
const VERSION: &str = "3.17.2";

/// What MLflow has under these and we leave out: traces, prompts, judges, data sets of prompts, gateways, workspaces.
const LEFT_OUT: [&str; 12] = [
    "traces",
    "unified-traces",
    "get-online-trace-details",
    "datasets",
    "gateway",
    "issues",
    "label-schemas",
    "prompt-optimization",
    "review-queues",
    "scorers",
    "workspaces",
    "graphql",
];

/// The routes of this face. Each part of it is a module with a `router()` of its own.
pub fn router(app: App) -> Router {
    let routes = Router::new()
        .route("/version", get(|| async { VERSION }))
        .route("/graphql", any(unknown))
        .merge(experiments::router())
        .merge(runs::router())
        .merge(labels::router())
        .merge(metrics::router())
        .merge(inputs::router())
        .merge(registered_models::router())
        .merge(model_versions::router())
        .merge(logged_models::router())
        .merge(artifacts::router())
        .merge(multipart::router())
        .merge(presigned::router())
        .merge(server_info::router())
        .merge(webhooks::router());
    ["/api", "/ajax-api"]
        .iter()
        .flat_map(|prefix| ["2.0", "2.11", "3.0"].map(|version| format!("{prefix}/{version}/{{*path}}")))
        .fold(routes, |routes, path| routes.route(&path, any(unknown)))
        .method_not_allowed_fallback(other_method)
        .with_state(app)
}

/// Whether a path is of this face.
#[must_use]
pub fn has_path(path: &str) -> bool {
    let ours = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['2', '3']));
    ours("/api/") || ours("/ajax-api/")
}

/// A refusal from before this face was reached, in its form.
#[must_use]
pub fn refused(problem: Problem) -> Response {
    Refused::from(problem).into_response()
}

/// Registers routes under both prefixes.
trait UnderBothPrefixes {
    /// Adds a route at `/api/PATH` and at `/ajax-api/PATH`: `2.0/mlflow/runs/create`.
    fn under_both(self, path: &str, methods: MethodRouter<App>) -> Self;
}

impl UnderBothPrefixes for Router<App> {
    fn under_both(self, path: &str, methods: MethodRouter<App>) -> Self {
        self.route(&format!("/api/{path}"), methods.clone()).route(&format!("/ajax-api/{path}"), methods)
    }
}

async fn unknown(uri: Uri) -> Refused {
    let path = uri.path();
    let part = path.split_once("/mlflow/").map_or_else(|| path.trim_matches('/'), |(_, rest)| rest);
    let first = part.split('/').next().unwrap_or_default();
    if LEFT_OUT.contains(&first) {
        let words = format!("{path} is a part of MLflow that Mainspring does not have (GenAI, gateway, workspaces).");
        return Refused::new(Code::NotImplemented, words);
    }
    Refused::new(Code::EndpointNotFound, format!("There is no endpoint {path} in the MLflow API of this server."))
}

async fn other_method(uri: Uri) -> Refused {
    Refused::with_status(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::BadRequest,
        format!("{} does not take this method.", uri.path()),
    )
}
