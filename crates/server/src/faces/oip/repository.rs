//! The model repository extension: what is served or could be, and taking models in and out of service.
//!
//! A model in service is an endpoint. `load` puts the registered model of a name behind an endpoint of that name, as
//! `mainspring deploy` does: through its gates, into the catalog, for good. `unload` takes such an endpoint away; one that
//! the project's folder declares stays.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use mainspring_registry::{Deploy, Error as RegistryError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::Refused;
use super::path::Path;
use super::routes::other_method;
use crate::app::App;
use crate::faces::{Refusal, body};
use crate::http::{Caller, Problem};

/// A request names a model and a few parameters.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The most models that an index lists; clients read it whole.
const INDEX_MAX: usize = 10_000;
/// The alias that a model is put into service by.
const ALIAS: &str = "champion";

/// The routes of the extension.
pub fn repository_router(app: App) -> Router {
    Router::new()
        .route("/v2/repository/index", post(index_over_http))
        .route("/v2/repository/models/{model}/load", post(load_over_http))
        .route("/v2/repository/models/{model}/unload", post(unload_over_http))
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

/// `POST /v2/repository/index`, and, with other keys, the requests to load and unload.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    parameters: Map<String, Value>,
}

/// A model of the repository.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) state: &'static str,
    pub(super) reason: String,
}

impl Entry {
    fn ready(name: &str, version: &str) -> Self {
        Self { name: name.to_owned(), version: version.to_owned(), state: "READY", reason: String::new() }
    }

    fn unavailable(name: &str, reason: String) -> Self {
        Self { name: name.to_owned(), version: String::new(), state: "UNAVAILABLE", reason }
    }
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Asked, Refusal> {
    let body = self::body(body)?;
    if body.is_empty() {
        return Ok(Asked::default());
    }
    serde_json::from_slice(&body).map_err(|error| Refusal::Body(format!("it is no object of the extension: {error}")))
}

type Asker = Option<Extension<Caller>>;

fn caller(asker: Asker) -> Result<Caller, Refusal> {
    asker.map(|Extension(caller)| caller).ok_or(Refusal::Unauthenticated)
}

async fn index_over_http(
    State(app): State<App>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let caller = caller(asker)?;
    Ok(Json(index(&app, &caller, read(body)?.ready).await?).into_response())
}

async fn load_over_http(
    State(app): State<App>,
    Path(model): Path<String>,
    asker: Asker,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let caller = caller(asker)?;
    load(&app, &caller, &model, read(body)?.parameters.keys()).await?;
    Ok(Json(json!({})).into_response())
}

async fn unload_over_http(
    State(app): State<App>,
    Path(model): Path<String>,
    asker: Asker,
) -> Result<Response, Refused> {
    unload(&app, &caller(asker)?, &model).await?;
    Ok(Json(json!({})).into_response())
}

/// The models that the caller may see: those in service first, then the registered ones that could be.
///
/// # Errors
/// When the registry fails.
pub(super) async fn index(app: &App, caller: &Caller, only_ready: bool) -> Result<Vec<Entry>, Problem> {
    let authorizer = &app.layers().authorizer;
    let may_see = |action: &str, kind: &str, name: &str| {
        authorizer.check(&caller.principal, action, &mainspring_govern::Resource::new(kind, name)).is_ok()
    };
    let mut entries = Vec::new();
    for endpoint in app.serve.endpoints() {
        if !may_see("endpoint.read", "endpoint", endpoint.name()) {
            continue;
        }
        match &endpoint.deployed().live {
            Some(live) => entries.push(Entry::ready(endpoint.name(), &live.version_text)),
            None => {
                let declared = endpoint.declared();
                let reason = format!("no version of `{}` has the alias `{}`", declared.model, declared.alias);
                entries.push(Entry::unavailable(endpoint.name(), reason));
            }
        }
    }
    if only_ready {
        entries.retain(|entry| entry.state == "READY");
        return Ok(entries);
    }
    for model in app.registry.models().await.map_err(told)? {
        let is_in_service = app.serve.endpoint(&model.name).is_ok();
        if entries.len() < INDEX_MAX && !is_in_service && may_see("model.read", "model", &model.name) {
            entries.push(Entry::unavailable(&model.name, "it is registered and not loaded".into()));
        }
    }
    Ok(entries)
}

/// Sees to it that a model is in service, and waits until it is.
///
/// # Errors
/// When there is no such model, the caller may not, its gates are not met, or a parameter asks for what we do not do.
pub(super) async fn load(
    app: &App,
    caller: &Caller,
    name: &str,
    parameters: impl Iterator<Item = &String>,
) -> Result<(), Problem> {
    if let Some(other) = parameters.into_iter().next() {
        return Err(Problem::bad_request(format!(
            "the parameter `{other}` is to change how a model is loaded; a model is loaded as it is registered, without \
             parameters"
        )));
    }
    let (model, alias) = match app.serve.endpoint(name) {
        Ok(endpoint) if endpoint.deployed().live.is_some() => {
            return caller.may(app, "endpoint.read", "endpoint", name).await;
        }
        Ok(endpoint) => {
            let declared = endpoint.declared();
            (declared.model.clone(), declared.alias.clone())
        }
        Err(_) => (name.to_owned(), ALIAS.to_owned()),
    };
    caller.may(app, "endpoint.deploy", "endpoint", name).await?;
    caller.may(app, "model.promote", "model", &model).await?;
    let wanted = Deploy {
        model,
        endpoint: Some(name.to_owned()),
        version: None,
        alias,
        reason: "loaded through the model repository".into(),
    };
    app.deploy(&wanted, &caller.principal).await.map_err(told)?;
    Ok(())
}

/// Takes a model out of service, and waits until it is.
///
/// # Errors
/// When there is no such model in service, the caller may not, or the project declares its endpoint.
pub(super) async fn unload(app: &App, caller: &Caller, name: &str) -> Result<(), Problem> {
    caller.may(app, "endpoint.undeploy", "endpoint", name).await?;
    app.undeploy(name, &caller.principal).await.map_err(told)
}

/// What the registry refuses, as the caller is told.
fn told(error: RegistryError) -> Problem {
    match &error {
        RegistryError::NoModel(_) | RegistryError::NoVersion { .. } | RegistryError::NoEndpoint(_) => {
            Problem::not_found(error.to_string())
        }
        RegistryError::EndpointName { .. } | RegistryError::NotServable { .. } => {
            Problem::bad_request(error.to_string())
        }
        RegistryError::Catalog(inner) if inner.is_conflict() => Problem::conflict(error.to_string()),
        RegistryError::Catalog(_) | RegistryError::Io { .. } | RegistryError::ArtifactAltered { .. } => {
            Problem::internal(&error)
        }
        _ => Problem::conflict(error.to_string()),
    }
}
