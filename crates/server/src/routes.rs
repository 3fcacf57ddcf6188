//! Every route of the one HTTP port.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, Request, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt;
use hyper::body::Incoming;
use mainspring_catalog::Principal;
use mainspring_govern::Denied;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::app::App;
use crate::faces::Served;
use crate::front::Front;
use crate::http::{Problem, asset, icon};
use crate::listener::{self, Manner, Paced};
use crate::{api, console, faces, operate};

/// The longest an answer may take; predictions have their own, shorter limits.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Smaller answers are not worth compressing: a prediction is one packet.
const COMPRESS_ABOVE: u16 = 4_096;

/// Every route. All but `/health` and the assets expect the guard before them.
fn router(app: App, served: Served) -> Router {
    let compressed = SizeAbove::new(COMPRESS_ABOVE).and(NotForContentType::const_new("application/octet-stream"));
    let slow = Router::new()
        .merge(console::router())
        .merge(api::router())
        .merge(operate::router())
        .method_not_allowed_fallback(other_method)
        .with_state(app.clone())
        .layer(from_fn(|request: axum::extract::Request, next: Next| in_time(ANSWER_MAX, next.run(request))))
        .layer(CompressionLayer::new().compress_when(compressed.clone()));
    let assets = Router::new()
        .route("/assets/{name}", get(asset))
        .route("/favicon.ico", get(icon))
        .layer(CompressionLayer::new().compress_when(compressed));
    Router::new()
        .merge(faces::oip::router(served.clone()))
        .merge(faces::oip::repository_router(app.clone()))
        .merge(faces::predict::router(served).method_not_allowed_fallback(other_method))
        .merge(faces::mlflow::router(app.clone()))
        .merge(faces::feast::router(app.clone()))
        .merge(slow)
        .route("/health", get(|| async { "OK" }))
        .merge(assets)
        .fallback_service(console::nowhere.with_state(app))
}

/// What the faces of inference are given: the engine, the policy as it is at each request, and the audit log.
pub(crate) fn served(app: &App) -> Served {
    let layers = app.layers.clone();
    let gate = move |principal: &Principal, action: &'static str, endpoint: &str| {
        layers.load().authorizer.check_named(principal, action, "endpoint", endpoint)
    };
    let whole = app.clone();
    let record = move |denied: Denied| {
        let app = whole.clone();
        async move { app.denials().record(&denied).await }.boxed()
    };
    Served { engine: app.serve.clone(), gate: Arc::new(gate), record: Arc::new(record) }
}

/// An answer, or that it takes too long.
async fn in_time(most: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(most, answer).await {
        Ok(response) => response,
        Err(_) => {
            let words = format!("there is no answer after {} s; ask for less at once", most.as_secs());
            Problem::of(StatusCode::GATEWAY_TIMEOUT, words).into_response()
        }
    }
}

async fn other_method(method: Method, uri: Uri) -> impl IntoResponse {
    Problem::of(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} is not answered at {}; the header `allow` says what is", method, uri.path()),
    )
}

/// Answers requests until told to stop; those under way are answered still.
pub async fn serve(app: App, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) {
    let served = served(&app);
    let front = Front::new(app.clone(), served.clone(), router(app, served));
    let answer = move |peer, request: Request<Incoming>| front.clone().answer(peer, request.map(Paced::new));
    listener::serve(Manner::http(), answer, listener, stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_that_takes_too_long_is_said_to_in_our_form() {
        let late = in_time(Duration::ZERO, std::future::pending()).await;

        assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(late.headers()["content-type"], "application/problem+json");
        let said = axum::body::to_bytes(late.into_body(), 1_000).await.unwrap();
        assert!(String::from_utf8_lossy(&said).contains("ask for less"), "{said:?}");
    }
}
