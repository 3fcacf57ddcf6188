//! What is done by asking: promotions, rollbacks, alerts.

use axum::extract::State;
use axum::{Extension, Json};
use mainspring_registry::{Error as RegistryError, ModelVersion, Verdict};
use mainspring_watch::{Alert, Error as WatchError};
use schemars::JsonSchema;
use serde::Deserialize;

use super::extract::{Body, Path};
use crate::app::App;
use crate::http::{Caller, Problem};
use crate::views::{self, CHAMPION};

/// Who is to get an alias, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    version: u64,
    #[serde(default = "champion")]
    alias: String,
    #[serde(default)]
    reason: String,
}

/// Which alias goes back, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    #[serde(default = "champion")]
    alias: String,
    /// A version that had the alias once; without, the one before.
    to: Option<u64>,
    #[serde(default)]
    reason: String,
}

fn champion() -> String {
    CHAMPION.into()
}

/// Answers `POST /api/v1/models/{m}/promote` with how the gates were judged.
pub async fn promote(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(model): Path<String>,
    Body(wanted): Body<Promote>,
) -> Result<Json<Verdict>, Problem> {
    caller.may(&app, "model.promote", "model", &model).await?;
    let Promote { version, alias, reason } = wanted;
    let moved = app.registry.set_alias(&model, &alias, version, &caller.principal, &reason).await;
    moved.map(Json).map_err(refused)
}

/// Answers `POST /api/v1/models/{m}/rollback` with the version that is live now.
pub async fn rollback(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(model): Path<String>,
    Body(wanted): Body<Rollback>,
) -> Result<Json<ModelVersion>, Problem> {
    caller.may(&app, "model.rollback", "model", &model).await?;
    let Rollback { alias, to, reason } = wanted;
    let live = app.registry.rollback(&model, &alias, to, &caller.principal, &reason).await;
    live.map(Json).map_err(refused)
}

/// What stands against a move of an alias is the caller's to mend; what fails below is ours.
fn refused(error: RegistryError) -> Problem {
    match error {
        RegistryError::Catalog(error) if error.is_conflict() => Problem::conflict(error.to_string()),
        RegistryError::Catalog(_) | RegistryError::Io { .. } | RegistryError::ArtifactAltered { .. } => {
            Problem::internal(&error)
        }
        RegistryError::NoModel(_) | RegistryError::NoVersion { .. } | RegistryError::NoRun(_) => {
            views::Error::Registry(error).into()
        }
        RegistryError::AliasName(_) => Problem::bad_request(error.to_string()),
        _ => Problem::conflict(error.to_string()),
    }
}

/// Answers `POST /api/v1/alerts/{id}/acknowledge`.
pub async fn acknowledge(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Alert>, Problem> {
    caller.may(&app, "alert.acknowledge", "alert", &id).await?;
    app.layers().watch.acknowledge(&id, &caller.principal).await.map(Json).map_err(unchanged)
}

/// Answers `POST /api/v1/alerts/{id}/resolve`.
pub async fn resolve(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<Alert>, Problem> {
    caller.may(&app, "alert.resolve", "alert", &id).await?;
    app.layers().watch.resolve(&id, &caller.principal).await.map(Json).map_err(unchanged)
}

fn unchanged(error: WatchError) -> Problem {
    match error {
        WatchError::UnknownAlert(_) => Problem::not_found(error.to_string()),
        WatchError::Catalog(_) => Problem::internal(&error),
        _ => Problem::conflict(error.to_string()),
    }
}
