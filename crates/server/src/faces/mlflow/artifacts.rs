//! Artifacts: files that clients log, through this server.
//!
//! Bodies are streams in both directions; the limits and the time limit of other routes do not hold here, but a stream on
//! which nothing moves is given up. Answers are always attachments, so that no browser shows a logged file as a page of ours.

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures::TryStreamExt;
use mainspring_registry::{FileInfo, FilePath, logged_folder};
use serde_json::{Value, json};

use super::UnderBothPrefixes;
use super::error::{Code, Refused, Result};
use super::extract::{Fields, Path};
use crate::app::App;
use crate::http::Caller;

/// The largest file by the browser's way of uploading, as in MLflow's own server.
const BROWSER_BYTES_MAX: u64 = 10 << 20;

/// The routes.
pub(super) fn router() -> Router<App> {
    Router::new()
        .under_both("2.0/mlflow-artifacts/artifacts", get(list_store))
        .under_both("2.0/mlflow-artifacts/artifacts/{*path}", get(download).put(upload).delete(remove))
        .under_both("2.0/mlflow/artifacts/list", get(list_run))
        .under_both("2.0/mlflow/upload-artifact", post(upload_by_browser))
        .under_both("2.0/mlflow/logged-models/{id}/artifacts/directories", get(list_logged_model))
        .under_both("2.0/mlflow/logged-models/{id}/artifacts/files", get(of_logged_model))
        .route("/get-artifact", get(of_run))
        .route("/model-versions/get-artifact", get(of_version))
}

async fn list_store(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    fields: Fields,
) -> Result<Json<Value>> {
    let path = FilePath::parse(fields.text("path")?.unwrap_or_default()).map_err(refused)?;
    caller.may(&app, "run.read", "run", owner(&path)).await?;
    let files = app.registry.files().list(&path).await?;
    Ok(Json(listing(None, &FilePath::root(), &files)))
}

async fn download(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(path): Wanted,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    caller.may(&app, "run.read", "run", owner(&path)).await?;
    attachment(&app, &path, &method, &headers).await
}

async fn upload(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(path): Wanted,
    request: Request,
) -> Result<Json<Value>> {
    caller.may(&app, "run.log", "run", owner(&path)).await?;
    app.registry.files().write(&path, request.into_body().into_data_stream()).await?;
    Ok(Json(json!({})))
}

async fn remove(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Wanted(path): Wanted,
) -> Result<Json<Value>> {
    caller.may(&app, "run.log", "run", owner(&path)).await?;
    app.registry.delete_files(&path, &caller.principal).await?;
    Ok(Json(json!({})))
}

async fn list_run(State(app): State<App>, Extension(caller): Extension<Caller>, fields: Fields) -> Result<Json<Value>> {
    let run = fields.run_id()?;
    let below = FilePath::parse(fields.text("path")?.unwrap_or_default()).map_err(refused)?;
    caller.may(&app, "run.read", "run", run).await?;
    let uri = app.registry.run_artifact_uri(run).await?;
    let root = folder_at(&uri)?;
    let files = app.registry.files().list(&root.join(&below)).await?;
    Ok(Json(listing(Some(&uri), &below, &files)))
}

async fn list_logged_model(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let below = FilePath::parse(fields.text("artifact_directory_path")?.unwrap_or_default()).map_err(refused)?;
    let model = app.registry.logged_model(&id).await?;
    caller.may(&app, "run.read", "run", model.run.as_deref().unwrap_or(&id)).await?;
    let root = folder_at(&model.artifact_uri)?;
    let files = app.registry.files().list(&root.join(&below)).await?;
    Ok(Json(listing(Some(&model.artifact_uri), &below, &files)))
}

async fn of_logged_model(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response> {
    let below = FilePath::parse(fields.required("artifact_file_path")?).map_err(refused)?;
    let model = app.registry.logged_model(&id).await?;
    caller.may(&app, "run.read", "run", model.run.as_deref().unwrap_or(&id)).await?;
    let root = folder_at(&model.artifact_uri)?;
    attachment(&app, &root.join(&below), &method, &headers).await
}

async fn of_run(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    method: Method,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response> {
    let run = fields.run_id()?;
    let below = FilePath::parse(fields.required("path")?).map_err(refused)?;
    caller.may(&app, "run.read", "run", run).await?;
    let root = folder_of(&app, run).await?;
    attachment(&app, &root.join(&below), &method, &headers).await
}

async fn of_version(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    method: Method,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response> {
    let (name, number) = (fields.required("name")?, super::model_versions::version_number(&fields)?);
    let below = FilePath::parse(fields.required("path")?).map_err(refused)?;
    caller.may(&app, "model.read", "model", name).await?;
    let version = app.registry.version(name, number).await?;
    let logged = version.logged.ok_or_else(|| {
        Refused::no_such(format!("Version {number} of model {name} was trained by Mainspring and has no logged files."))
    })?;
    let root = FilePath::parse(&logged.folder).map_err(refused)?;
    attachment(&app, &root.join(&below), &method, &headers).await
}

async fn upload_by_browser(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Value>> {
    let fields = Fields::of_query(request.uri().query().unwrap_or_default())?;
    let run = fields.text("run_uuid")?.filter(|run| !run.is_empty());
    let run = run.ok_or_else(|| Refused::invalid("Request must specify run_uuid."))?;
    let path = fields.text("path")?.filter(|path| !path.is_empty());
    let path = path.ok_or_else(|| Refused::invalid("Request must specify path."))?;
    let below = FilePath::parse(path).map_err(refused)?;
    caller.may(&app, "run.log", "run", run).await?;
    let root = folder_of(&app, run).await?;
    let body = axum::body::to_bytes(request.into_body(), BROWSER_BYTES_MAX as usize).await;
    let body = body.map_err(|_| Refused::invalid("Artifact size is too large. Max size is 10MB."))?;
    if body.is_empty() {
        return Err(Refused::invalid("Request must specify data."));
    }
    let whole = futures::stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    app.registry.files().write(&root.join(&below), whole).await?;
    Ok(Json(json!({})))
}

/// A file as an answer, or the part of it that is asked for, read as fast as the client takes it.
async fn attachment(app: &App, path: &FilePath, method: &Method, headers: &HeaderMap) -> Result<Response> {
    let whole = app.registry.files().read(path).await?;
    let size = whole.bytes;
    let (status, file, range) = match part(method, headers, size) {
        Part::Whole => (StatusCode::OK, whole, None),
        Part::Bytes(start, last) => {
            let file = app.registry.files().read_range(path, start..last + 1).await?;
            (StatusCode::PARTIAL_CONTENT, file, Some(format!("bytes {start}-{last}/{size}")))
        }
        Part::Outside => {
            let words = format!("The file has {size} bytes, and the range asked for lies outside of them.");
            let refused = Refused::with_status(StatusCode::RANGE_NOT_SATISFIABLE, Code::InvalidParameterValue, words);
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{size}"))], refused).into_response());
        }
    };
    let name = path.name().unwrap_or_default();
    let kind = mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream");
    // a page, a script or a drawing with a script would be ours to the browser
    let kind = if kind.starts_with("text/") || kind.contains("xml") || kind.contains("javascript") {
        "text/plain"
    } else {
        kind
    };
    let content = file.content.inspect_err(|error| tracing::error!(%error, "an artifact could not be read to its end"));
    let mut response = (status, Body::from_stream(content)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(range) = range.and_then(|range| HeaderValue::from_str(&range).ok()) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_LENGTH, file.bytes.into());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // the first for clients that do not read RFC 8187, which all others prefer
    let disposition = format!("attachment; filename=\"{}\"; filename*=UTF-8''{}", in_ascii(name), encoded(name));
    let disposition = HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    /// From the first byte through the last.
    Bytes(u64, u64),
    /// Nothing that it has.
    Outside,
}

/// Reads the `Range` of a request (RFC 9110, section 14.2). What is of another form, or more than one range, means the whole
/// file; so does `If-Range`, since no validator was given with a file, and any method but `GET`, for which alone a range is
/// defined.
fn part(method: &Method, headers: &HeaderMap, size: u64) -> Part {
    let said = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let holds = *method == Method::GET && !headers.contains_key(header::IF_RANGE);
    let Some(said) = said.filter(|_| holds) else { return Part::Whole };
    let Some((first, last)) = said.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Part::Whole;
    };
    let (first, last) = (first.trim(), last.trim());
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // more digits than fit are more bytes than any file has
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (start, end) = match (first, last) {
        ("", count) if is_number(count) => (size - number(count).min(size), size),
        (first, "") if is_number(first) => (number(first), size),
        (first, last) if is_number(first) && is_number(last) && number(first) <= number(last) => {
            (number(first), number(last).saturating_add(1).min(size))
        }
        _ => return Part::Whole,
    };
    if start < end { Part::Bytes(start, end - 1) } else { Part::Outside }
}

/// A name in letters that any client reads, without what would end the quotes.
fn in_ascii(name: &str) -> String {
    let plain = |letter: char| (letter.is_ascii_graphic() || letter == ' ') && !matches!(letter, '"' | '\\' | '%');
    name.chars().map(|letter| if plain(letter) { letter } else { '_' }).collect()
}

/// A path in an address.
pub(super) fn in_address(path: &FilePath) -> String {
    path.parts().iter().map(|part| encoded(part)).collect::<Vec<_>>().join("/")
}

/// A name for a header (RFC 8187) or an address.
fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Files as MLflow lists them: those of the store by name, those of a run or model by their path below its root.
fn listing(root: Option<&str>, below: &FilePath, files: &[FileInfo]) -> Value {
    let prefix = if below.is_root() { String::new() } else { format!("{below}/") };
    let files: Vec<Value> = files
        .iter()
        .map(|file| match file.bytes {
            Some(bytes) => json!({ "path": format!("{prefix}{}", file.name), "is_dir": false, "file_size": bytes }),
            None => json!({ "path": format!("{prefix}{}", file.name), "is_dir": true }),
        })
        .collect();
    let mut answer = serde_json::Map::new();
    if let Some(root) = root {
        answer.insert("root_uri".into(), root.into());
    }
    if !files.is_empty() {
        answer.insert("files".into(), files.into());
    }
    answer.into()
}

/// The `{*path}` of an address, checked.
pub(super) struct Wanted(pub(super) FilePath);

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|error| Refused::invalid(format!("Invalid path: {error}.")))?;
        let path = params.iter().find(|(name, _)| *name == "path").map(|(_, path)| path).unwrap_or_default();
        FilePath::parse(path).map(Self).map_err(refused)
    }
}

/// Whose files a path of the store names: `1/RUN/artifacts/…` and `1/models/MODEL/artifacts/…`.
pub(super) fn owner(path: &FilePath) -> &str {
    match path.parts() {
        [_, models, model, ..] if models == "models" => model,
        [_, run, ..] => run,
        _ => "*",
    }
}

pub(super) fn refused(error: mainspring_registry::FilePathError) -> Refused {
    Refused::invalid(format!("Invalid path: {error}."))
}

/// The folder of a run's files, as [`folder_at`].
pub(super) async fn folder_of(app: &App, run: &str) -> Result<FilePath> {
    folder_at(&app.registry.run_artifact_uri(run).await?)
}

/// The folder that an address of artifacts names, or why they are not in our store.
pub(super) fn folder_at(uri: &str) -> Result<FilePath> {
    logged_folder(uri).ok_or_else(|| {
        let words = format!(
            "The files lie at {uri}, which its client keeps itself; this server proxies mlflow-artifacts:/ alone."
        );
        Refused::with_status(StatusCode::NOT_IMPLEMENTED, Code::NotImplemented, words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_whatever_else_means_the_whole_file() {
        let of = |range: &'static str, size| {
            part(&Method::GET, &HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]), size)
        };

        assert_eq!(of("bytes=0-3", 10), Part::Bytes(0, 3));
        assert_eq!(of("bytes=4-", 10), Part::Bytes(4, 9));
        assert_eq!(of("bytes=-4", 10), Part::Bytes(6, 9));
        assert_eq!(of("bytes=-40", 10), Part::Bytes(0, 9));
        assert_eq!(of("bytes=9-99999999999999999999999", 10), Part::Bytes(9, 9));
        for outside in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of(outside, 10), Part::Outside, "{outside}");
        }
        assert_eq!(of("bytes=0-", 0), Part::Outside);
        for whole in ["bytes=", "bytes=-", "bytes=3-2", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=+1-2"] {
            assert_eq!(of(whole, 10), Part::Whole, "{whole}");
        }
        let validated = [(header::RANGE, "bytes=0-3"), (header::IF_RANGE, "\"x\"")];
        let validated = validated.map(|(name, value)| (name, HeaderValue::from_static(value)));
        assert_eq!(part(&Method::GET, &HeaderMap::from_iter(validated), 10), Part::Whole);
    }

    #[test]
    fn a_head_request_has_no_range() {
        for range in ["bytes=0-3", "bytes=10-"] {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);

            assert_eq!(part(&Method::HEAD, &headers, 10), Part::Whole, "{range}");
        }
    }

    #[test]
    fn a_name_is_given_in_ascii_too() {
        assert_eq!(in_ascii("plot é\"1\".png"), "plot __1_.png");
    }
}
