//! What this server can do, which a client asks before it chooses the way of a large file.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use crate::app::App;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new().under_both("3.0/mlflow/server-info", get(server_info))
}

/// Over a bucket clients send and fetch large files there, without being told to; over a folder we stand between.
async fn server_info(State(app): State<App>) -> Json<Value> {
    let straight = app.registry.files().signs_addresses();
    Json(json!({
        // the name of one of MLflow's own stores, or none
        "store_type": null,
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": straight,
        "multipart_downloads_enabled": straight,
        "presigned_upload_run_id_supported": true,
        "presigned_upload_model_id_supported": true,
        "features_enabled": { "gateway": false },
    }))
}
