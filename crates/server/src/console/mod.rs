//! The web console: pages rendered here, from the binary alone, that need a script only for charts and comfort.
//!
//! A page is made of [blocks](page::Block): its module asks a [view](crate::views) for what is so, and says it in
//! tiles, tables, charts and pictures. Nothing here decides anything about the domain.

mod api;
mod audit;
mod chart;
mod endpoints;
mod evaluation;
mod features;
mod graph;
mod models;
mod monitors;
mod nowhere;
mod overview;
mod page;
mod picture;
mod runs;
mod tables;
#[cfg(test)]
mod tests;
mod visit;
mod words;
mod workflows;

use axum::Router;
use axum::routing::get;

use crate::app::App;

pub(crate) use nowhere::show as nowhere;

/// The routes.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(overview::show))
        .route("/live/overview", get(overview::live))
        .route("/tables", get(tables::list))
        .route("/tables/{table}", get(tables::one))
        .route("/features", get(features::list))
        .route("/features/{view}", get(features::one))
        .route("/runs", get(runs::list))
        .route("/runs/{id}", get(runs::one))
        .route("/models", get(models::list))
        .route("/models/{model}", get(models::one))
        .route("/endpoints", get(endpoints::list))
        .route("/endpoints/{endpoint}", get(endpoints::one))
        .route("/workflows", get(workflows::list))
        .route("/workflows/{id}", get(workflows::one))
        .route("/monitors", get(monitors::list))
        .route("/monitors/{monitor}", get(monitors::one))
        .route("/audit", get(audit::show))
        .route("/api", get(api::show))
}
