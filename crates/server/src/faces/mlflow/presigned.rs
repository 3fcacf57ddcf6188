//! Signed addresses: where a bucket keeps the files, a client may fetch and send them there, without this server between.
//! Who asks for an address must be allowed to do what it lets its bearer do.

use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use mainspring_registry::FilePath;
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use super::artifacts::{Wanted, folder_at, folder_of, owner, refused};
use super::error::{Code, Refused, Result};
use super::extract::Fields;
use crate::app::App;
use crate::http::Caller;

/// How long an address for a download lasts when the client does not say, as in MLflow's own server.
const DOWNLOAD_LASTS: i64 = 300;
/// The same for an upload.
const UPLOAD_LASTS: i64 = 900;
/// The longest that a bucket allows: 7 days.
const LASTS_MAX: i64 = 604_800;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow-artifacts/presigned/{*path}", get(of_store))
        .under_both("2.0/mlflow/artifacts/presigned-upload-url", post(upload))
        .under_both("2.0/mlflow/artifacts/presigned-download-url", post(download))
}

async fn of_store(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(path): Wanted,
) -> Result<Json<Value>> {
    caller.may(&app, "run.read", "run", owner(&path)).await?;
    let lasting = Duration::from_secs(DOWNLOAD_LASTS.unsigned_abs());
    let signed = app.registry.files().signed_download(&path, lasting).await?.ok_or_else(unsupported)?;
    Ok(Json(json!({ "url": signed.url, "headers": {}, "file_size": signed.bytes })))
}

async fn download(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let (run, below) = (fields.run_id()?, wanted(&fields)?);
    let lasting = lasting(&fields, DOWNLOAD_LASTS)?;
    caller.may(&app, "run.read", "run", run).await?;
    let root = folder_of(&app, run).await?;
    let signed = app.registry.files().signed_download(&root.join(&below), lasting).await?.ok_or_else(unsupported)?;
    Ok(Json(json!({ "presigned_url": signed.url, "headers": {}, "file_size": signed.bytes })))
}

async fn upload(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let named = |name: &str| Ok::<_, Refused>(fields.text(name)?.filter(|id| !id.is_empty()));
    let below = wanted(&fields)?;
    let lasting = lasting(&fields, UPLOAD_LASTS)?;
    let root = match (named("run_id")?, named("model_id")?) {
        (Some(run), None) => {
            caller.may(&app, "run.log", "run", run).await?;
            folder_of(&app, run).await?
        }
        (None, Some(id)) => {
            let model = app.registry.logged_model(id).await?;
            caller.may(&app, "run.log", "run", model.run.as_deref().unwrap_or(id)).await?;
            folder_at(&model.artifact_uri)?
        }
        _ => return Err(Refused::invalid("Exactly one of run_id and model_id must be provided.")),
    };
    let url = app.registry.files().signed_upload(&root.join(&below), lasting).await?.ok_or_else(unsupported)?;
    Ok(Json(json!({ "presigned_url": url, "headers": {} })))
}

fn wanted(fields: &Fields) -> Result<FilePath> {
    let path = FilePath::parse(fields.required("path")?).map_err(refused)?;
    if path.is_root() { Err(Refused::missing("path")) } else { Ok(path) }
}

fn lasting(fields: &Fields, unsaid: i64) -> Result<Duration> {
    let seconds = fields.integer("expiration")?.unwrap_or(unsaid);
    if !(1..=LASTS_MAX).contains(&seconds) {
        let words = format!("expiration must be between 1 and {LASTS_MAX} seconds (got {seconds}).");
        return Err(Refused::invalid(words));
    }
    Ok(Duration::from_secs(seconds.unsigned_abs()))
}

/// A folder of this machine has no address but through us.
fn unsupported() -> Refused {
    Refused::new(
        Code::NotImplemented,
        "Presigned transfers are not supported for the current artifact repository; send and fetch the artifact under \
         mlflow-artifacts/artifacts.",
    )
}
