//! The table of the API.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::Value;

use super::describe::With;
use super::extract::{Body, Path};
use super::table::Table;
use super::{change, read, run};
use crate::app::App;
use crate::faces::lineage;
use crate::faces::predict::{PredictAnswer, PredictRequest};

/// The document that describes the API, in OpenAPI 3.1.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| table().into_parts().1);

/// The document as it is sent.
static DOCUMENT_TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

/// The document that describes the API.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// The routes, and their description at `/api/v1/openapi.json`.
pub fn router() -> Router<App> {
    let (router, _described) = table().into_parts();
    router.route("/api/v1/openapi.json", get(openapi))
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT_TEXT.as_str())
}

fn table() -> Table {
    Table::new()
        .get("/api/v1/sources", "Lists the sources and what landed of them", read::sources)
        .get("/api/v1/tables", "Lists the tables of the lake", read::tables)
        .get("/api/v1/tables/{name}", "Shows a table with its profile, checks, quarantine and versions", read::table)
        .get("/api/v1/files", "Lists the files that were read, of one source or of all", read::files)
        .get("/api/v1/features", "Lists the feature views and how fresh they are", read::features)
        .get("/api/v1/features/{view}", "Shows a feature view with its features and computations", read::feature_view)
        .get("/api/v1/models", "Lists the models", read::models)
        .get("/api/v1/models/{model}", "Shows a model with its versions, aliases and lineage", read::model)
        .get(
            "/api/v1/models/{model}/versions",
            "Lists the versions of a model and how they fare with its gates",
            read::versions,
        )
        .post(
            "/api/v1/models/{model}/labels",
            "Takes what came of predictions, by prediction or by key",
            change::push_labels,
        )
        .post("/api/v1/models/{model}/versions/{version}/notes", "Adds a note to a version", change::add_note)
        .post(
            "/api/v1/models/{model}/versions/{version}/tags",
            "Sets a tag of a version, or takes it away",
            change::set_tag,
        )
        .post("/api/v1/models/{model}/promote", "Gives a version an alias, if its gates permit", change::promote)
        .post("/api/v1/models/{model}/rollback", "Gives an alias back to a version that had it", change::rollback)
        .get("/api/v1/runs", "Lists the training runs, of one experiment or of all", read::runs)
        .get("/api/v1/runs/{id}", "Shows a training run with its curves and evaluation", read::run)
        .get("/api/v1/endpoints", "Lists the endpoints and what they answered", read::endpoints)
        .get("/api/v1/endpoints/{endpoint}", "Shows an endpoint with its request fields and traffic", read::endpoint)
        .elsewhere::<(Path<String>, Body<PredictRequest>), With<200, PredictAnswer>>(
            "post",
            "/api/v1/endpoints/{endpoint}/predict",
            "Predicts for rows of entity keys and request values",
        )
        .get("/api/v1/workflows", "Lists the workflow runs", read::workflows)
        .post("/api/v1/workflows/runs", "Starts a workflow run, or takes up the one that died", run::start)
        .get("/api/v1/workflows/{id}", "Shows a workflow run with its tasks", read::workflow)
        .get("/api/v1/monitors", "Lists the monitors", read::monitors)
        .get("/api/v1/monitors/{monitor}", "Shows a monitor with its windows and alerts", read::monitor)
        .get("/api/v1/monitors/{monitor}/reports", "Lists the windows of a monitor in the order of time", read::reports)
        .get("/api/v1/alerts", "Lists the alerts, of one monitor or of all", read::alerts)
        .post("/api/v1/alerts/{id}/acknowledge", "Notes that the caller has seen an alert", change::acknowledge)
        .post("/api/v1/alerts/{id}/resolve", "Resolves an alert", change::resolve)
        .get("/api/v1/audit", "Lists the entries of the audit log, the newest first", read::audit)
        .get("/api/v1/lineage", "Shows what a thing was made from, and what was made from it", read::lineage)
        .post("/api/v1/lineage", "Takes an OpenLineage event of another tool into the lineage graph", lineage::take)
        .post(
            "/api/v1/lineage/batch",
            "Takes OpenLineage events of other tools, each for itself, and tells which it could not take",
            lineage::take_batch,
        )
}
