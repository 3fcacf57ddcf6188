//! Every route of the one HTTP port.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use mainspring_catalog::Principal;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::timeout::TimeoutLayer;

use crate::app::App;
use crate::faces::Served;
use crate::http::{Problem, asset, guard};
use crate::{api, console, faces, operate};

/// The largest request body; a thousand rows of a hundred numbers take about 1 MB.
const BODY_BYTES_MAX: usize = 32 << 20;
/// The longest an answer may take; predictions have their own, shorter limits.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Smaller answers are not worth compressing: a prediction is one packet.
const COMPRESS_ABOVE: u16 = 4_096;

/// Every route.
pub fn router(app: App) -> Router {
    let compressed = SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::const_new("application/octet-stream"));
    let slow = Router::new()
        .merge(console::router())
        .merge(api::router())
        .merge(operate::router())
        .method_not_allowed_fallback(other_method)
        .with_state(app.clone())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_MAX))
        .layer(CompressionLayer::new().compress_when(compressed.clone()));
    // in one step: each layer of its own is a box, and a boxed future, more in the way of every request
    let bounded = ServiceBuilder::new().layer(CatchPanicLayer::new()).layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let guarded = bounded.clone().layer(middleware::from_fn_with_state(app.clone(), guard));
    Router::new()
        .merge(faces::oip::router(served(&app)))
        .merge(faces::oip::repository_router(app.clone()))
        .merge(faces::predict::router(served(&app)).method_not_allowed_fallback(other_method))
        .merge(faces::mlflow::router(app.clone()))
        .merge(faces::feast::router(app))
        .merge(slow)
        .fallback(unknown)
        .layer(guarded)
        // who asks does not matter for these
        .merge(
            Router::new()
                .route("/health", get(|| async { "OK" }))
                .merge(
                    Router::new()
                        .route("/assets/{name}", get(asset))
                        .layer(CompressionLayer::new().compress_when(compressed)),
                )
                .layer(bounded),
        )
}

/// What the faces of inference are given: the engine, and the policy as it is at each request.
pub(crate) fn served(app: &App) -> Served {
    let layers = app.layers.clone();
    let gate = move |principal: &Principal, action: &'static str, endpoint: &str| {
        layers.load().authorizer.check_named(principal, action, "endpoint", endpoint)
    };
    Served { engine: app.serve.clone(), gate: Arc::new(gate) }
}

async fn other_method(method: Method, uri: Uri) -> impl IntoResponse {
    Problem::of(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} is not answered at {}; the header `allow` says what is", method, uri.path()),
    )
}

async fn unknown(uri: Uri) -> impl IntoResponse {
    Problem::not_found(format!("there is nothing at {}; the API is under /api/v1/ and the console at /", uri.path()))
}

/// Answers requests until told to stop; those under way are answered still.
pub async fn serve(app: App, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) {
    crate::listener::serve(router(app), listener, stop).await;
}
