//! What is done by asking: promotions, rollbacks, labels, notes, alerts.

use std::borrow::Cow;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use mainspring_registry::{Error as RegistryError, ModelVersion, Verdict};
use mainspring_watch::{Alert, Error as WatchError, LABELS_MAX, LabelsPushed, PushedLabel};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::extract::{Body, Path};
use crate::app::App;
use crate::http::{Caller, Problem};
use crate::views::{self, CHAMPION};

/// The greatest number that every JSON parser keeps exactly.
const WHOLE_MAX: u64 = 1 << 53;

/// The number of a version. In JSON 2 and 2.0 are the same number, and both are whole.
#[derive(Debug, Clone, Copy)]
pub struct Whole(u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole = number.as_u64().or_else(|| {
            #[expect(clippy::cast_precision_loss, reason = "the bound is a power of two")]
            let in_bounds = number.as_f64().filter(|it| it.fract() == 0.0 && (0.0..=WHOLE_MAX as f64).contains(it));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in bounds")]
            let whole = in_bounds.map(|it| it as u64);
            whole
        });
        let whole = whole.filter(|whole| *whole <= WHOLE_MAX).map(Self);
        whole.ok_or_else(|| D::Error::custom(format!("{number} is no number of a version")))
    }
}

impl JsonSchema for Whole {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Whole".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": WHOLE_MAX })
    }
}

/// Who is to get an alias, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    version: Whole,
    #[serde(default = "champion")]
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-]{1,255}$"))]
    alias: String,
    #[serde(default)]
    reason: String,
}

/// Which alias goes back, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    #[serde(default = "champion")]
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-]{1,255}$"))]
    alias: String,
    /// A version that had the alias once; without, the one before.
    to: Option<Whole>,
    #[serde(default)]
    reason: String,
}

fn champion() -> String {
    CHAMPION.into()
}

/// What came of predictions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushLabels {
    #[schemars(length(max = LABELS_MAX))]
    labels: Vec<PushedLabel>,
}

/// Which version of a model.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OfVersion {
    model: String,
    #[schemars(range(max = WHOLE_MAX))]
    version: u64,
}

/// What is to be kept of a version, in words.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddNote {
    #[schemars(length(min = 1, max = 2_000))]
    text: String,
}

/// A tag of a version.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTag {
    #[schemars(length(min = 1, max = 250))]
    key: String,
    /// Null, or left out, takes the tag away.
    #[schemars(length(max = 100_000))]
    value: Option<String>,
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
    let moved = app.registry.set_alias(&model, &alias, version.0, &caller.principal, &reason).await;
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
    let live = app.registry.rollback(&model, &alias, to.map(|to| to.0), &caller.principal, &reason).await;
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
        RegistryError::Remark(_) => Problem::of(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        _ => Problem::conflict(error.to_string()),
    }
}

/// Answers `POST /api/v1/models/{m}/labels` when the labels are durable. The same labels again change nothing.
pub async fn push_labels(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(model): Path<String>,
    Body(pushed): Body<PushLabels>,
) -> Result<Json<LabelsPushed>, Problem> {
    caller.may(&app, "labels.push", "model", &model).await?;
    let layers = app.applied_layers().await?;
    layers.watch.push_labels(&model, &pushed.labels, &caller.principal).await.map(Json).map_err(not_pushed)
}

/// What stands against labels is the caller's to mend; what fails below is ours.
fn not_pushed(error: WatchError) -> Problem {
    match error {
        WatchError::UnknownModel(_) => Problem::not_found(error.to_string()),
        WatchError::InvalidLabel { .. } => Problem::of(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
        WatchError::TooManyLabels { .. } => Problem::of(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        _ => Problem::internal(&error),
    }
}

/// Answers `POST /api/v1/models/{m}/versions/{v}/notes` with the version and all its notes.
pub async fn add_note(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(of): Path<OfVersion>,
    Body(note): Body<AddNote>,
) -> Result<Json<ModelVersion>, Problem> {
    caller.may(&app, "model.note", "model", &of.model).await?;
    let noted = app.registry.note_version(&of.model, of.version, &note.text, &caller.principal).await;
    noted.map(Json).map_err(refused)
}

/// Answers `POST /api/v1/models/{m}/versions/{v}/tags` with the version and all its tags.
pub async fn set_tag(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(of): Path<OfVersion>,
    Body(tag): Body<SetTag>,
) -> Result<Json<ModelVersion>, Problem> {
    caller.may(&app, "model.tag", "model", &of.model).await?;
    let value = tag.value.as_deref();
    let tagged = app.registry.tag_version(&of.model, of.version, &tag.key, value, &caller.principal).await;
    tagged.map(Json).map_err(refused)
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
