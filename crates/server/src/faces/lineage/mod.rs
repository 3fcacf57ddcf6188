//! OpenLineage: `POST /api/v1/lineage` takes the events of other tools, as their clients send them, and
//! `POST /api/v1/lineage/batch` many at once.
//!
//! Source: <https://openlineage.io/apidocs/openapi>, version 2-0-2. The routes stand in the table of our own
//! [API](crate::api), where others read the lineage that events become.

mod batch;
mod wire;

use axum::Extension;
use axum::extract::State;
use mainspring_flow::openlineage;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::{Body, With};
use crate::app::App;
use crate::http::{Caller, Problem};
use wire::Received;

pub use batch::take_batch;

/// The most bytes of an event, or of a batch of them, once it is decompressed: four times the most of ours. Facets may
/// hold anything, and in memory a list of small things takes some forty times its text.
const BYTES_MAX: usize = 4 << 20;

/// What became of an event.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Taken {
    /// Names the event: the same for the same event.
    event: String,
    /// Whether it was known before.
    known: bool,
    /// The nodes of the lineage graph that it speaks of.
    nodes: Vec<String>,
}

/// Answers `POST /api/v1/lineage`.
pub async fn take(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Body(received): Body<Received, BYTES_MAX>,
) -> Result<With<201, Taken>, Problem> {
    let layers = app.layers();
    caller.may(&app, "lineage.observe", "project", &layers.project.file.project).await?;
    let Received { observed, id } = received;
    let (project, principal) = (&layers.project, &caller.principal);
    let taken = openlineage::accept(&app.catalog, &app.lake, project, observed, id, principal).await;
    let openlineage::Accepted { id, known, nodes } = taken.map_err(|error| Problem::internal(&error))?;
    Ok(With(Taken { event: id, known, nodes }))
}
