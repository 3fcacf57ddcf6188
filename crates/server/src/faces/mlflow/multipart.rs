//! Uploads in parts. The client asks for one address for each part, sends the parts to them at once, and then has them
//! joined. Those addresses are a bucket's where the files lie in one, and ours otherwise.

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
    let begun = app.registry.files().begin_parts(&path, parts).await?;
    let credentials = match &begun.urls {
        Some(urls) => urls.iter().zip(1..).map(|(url, number)| credential(url.as_str(), number, &json!({}))).collect(),
        None => own_credentials(&begun.id, &path, parts, &headers)?,
    };
    Ok(Json(json!({ "upload_id": begun.id.to_string(), "credentials": credentials })))
}

fn credential(url: &str, number: u32, headers: &Value) -> Value {
    json!({ "url": url, "part_number": number, "headers": headers })
}

/// Addresses of this server, by the name under which the client has just reached it.
fn own_credentials(id: &UploadId, path: &FilePath, parts: u32, headers: &HeaderMap) -> Result<Vec<Value>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).ok_or_else(|| Refused::invalid("The request must have a Host header."))?;
    // behind a proxy that ends TLS, parts must not leave it
    let scheme = text(header::HeaderName::from_static("x-forwarded-proto")).filter(|scheme| *scheme == "https");
    let scheme = scheme.unwrap_or("http");
    let target = super::artifacts::in_address(path);
    // the client sends parts with these headers alone: its own key must be among them
    let own = text(header::AUTHORIZATION).map_or_else(|| json!({}), |key| json!({ "Authorization": key }));
    let url = |number: u32| format!("{scheme}://{host}/api/2.0/mlflow-artifacts/mpu/part/{id}/{number}/{target}");
    Ok((1..=parts).map(|number| credential(&url(number), number, &own)).collect())
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
    let tag = app.registry.files().write_part(&id, number, &path, content).await?;
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
    app.registry.files().join_parts(&id, &path, &sent).await?;
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
    app.registry.files().drop_parts(&id, &path).await?;
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
