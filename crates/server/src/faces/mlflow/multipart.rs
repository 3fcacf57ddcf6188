//! Uploads in parts. The client asks for one address for each part, sends the parts to them at once, and then has them
//! joined. Those addresses are ours too.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Extension, Json, Router};
use mainspring_registry::{FilePath, SentPart, UPLOAD_PARTS_MAX, UploadId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use super::artifacts::{Wanted, owner, refused};
use super::error::{Refused, Result};
use super::extract::{Fields, Path};
use crate::app::App;
use crate::http::Caller;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow-artifacts/mpu/create/{*path}", post(create))
        .under_both("2.0/mlflow-artifacts/mpu/complete/{*path}", post(complete))
        .under_both("2.0/mlflow-artifacts/mpu/abort/{*path}", post(abort))
        .under_both("2.0/mlflow-artifacts/mpu/part/{id}/{number}/{*path}", put(part))
}

async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(folder): Wanted,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Json<Value>> {
    let path = file(folder, &fields)?;
    let asked = fields.integer("num_parts")?.unwrap_or(1);
    let parts = u32::try_from(asked).ok().filter(|parts| (1..=UPLOAD_PARTS_MAX).contains(parts)).ok_or_else(|| {
        Refused::invalid(format!(
            "Invalid value {asked} for parameter 'num_parts': it must be 1 to {UPLOAD_PARTS_MAX}."
        ))
    })?;
    caller.may(&app, "run.log", "run", owner(&path)).await?;
    let id = UploadId::new();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).ok_or_else(|| Refused::invalid("The request must have a Host header."))?;
    // behind a proxy that ends TLS, parts must not leave it
    let scheme = text(header::HeaderName::from_static("x-forwarded-proto")).filter(|scheme| *scheme == "https");
    let scheme = scheme.unwrap_or("http");
    let target = super::artifacts::in_address(&path);
    // the client sends parts with these headers alone: its own key must be among them
    let own: serde_json::Map<String, Value> =
        text(header::AUTHORIZATION).map(|key| ("Authorization".to_owned(), key.into())).into_iter().collect();
    let credentials = (1..=parts).map(|number| {
        let url = format!("{scheme}://{host}/api/2.0/mlflow-artifacts/mpu/part/{id}/{number}/{target}");
        json!({ "url": url, "part_number": number, "headers": own })
    });
    Ok(Json(json!({ "upload_id": id.to_string(), "credentials": credentials.collect::<Vec<_>>() })))
}

async fn part(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(path): Wanted,
    Path((id, number, _)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response> {
    let (id, number) = (UploadId::parse(&id)?, number.parse().unwrap_or_default());
    caller.may(&app, "run.log", "run", owner(&path)).await?;
    let content = request.into_body().into_data_stream();
    let tag = app.registry.files().write_part(id, number, &path, content).await?;
    Ok(([(header::ETAG, format!("\"{tag}\""))], Body::empty()).into_response())
}

/// A part as the client names it.
#[derive(Deserialize)]
struct Part {
    part_number: u32,
    #[serde(default)]
    etag: String,
}

async fn complete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(folder): Wanted,
    fields: Fields,
) -> Result<Json<Value>> {
    let (path, id) = (file(folder, &fields)?, UploadId::parse(fields.required("upload_id")?)?);
    let parts: Vec<Part> = fields.list("parts")?;
    caller.may(&app, "run.log", "run", owner(&path)).await?;
    let sent: Vec<SentPart> =
        parts.into_iter().map(|part| SentPart { number: part.part_number, tag: part.etag }).collect();
    app.registry.files().join_parts(id, &path, &sent).await?;
    Ok(Json(json!({})))
}

async fn abort(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(folder): Wanted,
    fields: Fields,
) -> Result<Json<Value>> {
    let (path, id) = (file(folder, &fields)?, UploadId::parse(fields.required("upload_id")?)?);
    caller.may(&app, "run.log", "run", owner(&path)).await?;
    app.registry.files().drop_parts(id).await?;
    Ok(Json(json!({})))
}

/// The file that an upload becomes: in the folder of the address, under the last part of the client's own path.
fn file(folder: FilePath, fields: &Fields) -> Result<FilePath> {
    let local = fields.required("path")?;
    let name = local.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = FilePath::parse(name).map_err(refused)?;
    if name.is_root() {
        return Err(Refused::missing("path"));
    }
    Ok(folder.join(&name))
}
