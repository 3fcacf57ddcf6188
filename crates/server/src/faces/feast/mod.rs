//! The face of Feast's feature server: the JSON that its clients send and expect (Feast 0.67, `feast serve`).
//!
//! A read is on the hot path: its names are resolved once for each shape of request ([`shape`]), its body is read straight
//! into typed columns ([`request`]), and the answer is written from where the values lie ([`answer`]). Writes become
//! columns of a source ([`frame`]) and one push.

mod answer;
mod body;
mod error;
mod frame;
mod materialize;
mod names;
mod request;
mod shape;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, routing::MethodRouter};
use jiff::Timestamp;

use crate::app::{App, Layers};
use crate::http::{Caller, Problem};
use body::JsonBody;
use error::Refused;
use shape::Shapes;

/// The largest body: ten thousand entities by a few keys take less than a tenth of it, and so does a push of as many rows.
const BODY_BYTES_MAX: usize = 16 << 20;
/// An answer of more values than this is made off the request runtime, as it takes milliseconds.
const VALUES_INLINE: usize = 20_000;

/// What the handlers of this face share.
#[derive(Clone)]
struct Face {
    app: App,
    shapes: Arc<Shapes>,
}

impl Face {
    /// What is found in the layers, with those it was found in. A name that they do not know may have come with an `apply` of
    /// this moment: it is then looked for once more, in what is applied by now.
    async fn found<T, F>(&self, find: impl Fn(Arc<Layers>) -> F) -> Result<(T, Arc<Layers>), Refused>
    where
        F: Future<Output = Result<T, Refused>>,
    {
        let layers = self.app.layers();
        match find(layers.clone()).await {
            Err(refused) if refused.names_nothing() => {}
            found => return Ok((found?, layers)),
        }
        let applied = self.app.applied_layers().await?;
        Ok((find(applied.clone()).await?, applied))
    }
}

/// The routes of this face.
pub fn router(app: App) -> Router {
    let face = Face { app, shapes: Arc::default() };
    let gone: fn() -> MethodRouter<Face> = || post(search);
    Router::new()
        .route("/get-online-features", post(get_online_features))
        .route("/push", post(write::push))
        .route("/write-to-online-store", post(write::write_to_online_store))
        .route("/materialize", post(materialize::materialize))
        .route("/materialize-incremental", post(materialize::materialize_incremental))
        .route("/search", gone())
        .route("/retrieve-online-documents", gone())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(face)
}

/// Whether a path is of this face.
#[must_use]
pub fn has_path(path: &str) -> bool {
    matches!(
        path,
        "/get-online-features"
            | "/push"
            | "/write-to-online-store"
            | "/materialize"
            | "/materialize-incremental"
            | "/search"
            | "/retrieve-online-documents"
    )
}

/// A refusal from before this face was reached, in its form.
#[must_use]
pub fn refused(problem: Problem) -> Response {
    Refused::from(problem).into_response()
}

/// Answers `POST /get-online-features`.
async fn get_online_features(
    State(face): State<Face>,
    Extension(caller): Extension<Caller>,
    JsonBody(body): JsonBody,
) -> Result<Response, Refused> {
    let asked = request::read_features(&body)?;
    let (shapes, features) = (&face.shapes, &asked);
    let (shape, layers) = face.found(|layers| async move { shapes.of(&layers, features).await }).await?;
    for view in shape.views() {
        layers.authorizer.check_named(&caller.principal, "view.read", "view", view)?;
    }
    let at = Timestamp::now().as_microsecond();
    let bytes = if asked.rows() * shape.outputs.len() > VALUES_INLINE {
        // The body is read once more over there: its values point into it.
        let (shape, body) = (shape.clone(), body.clone());
        let work = move || answer::answer(&shape, &request::read_features(&body)?, at);
        tokio::task::spawn_blocking(work).await.map_err(|error| Refused::internal(&error))??
    } else {
        answer::answer(&shape, &asked, at)?
    };
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], bytes).into_response())
}

/// Vectors are not searched here; said so, rather than by a page that is not found.
async fn search() -> Refused {
    Refused::NotImplemented("this server does not search vectors; read features with POST /get-online-features")
}
