//! The way in of the HTTP port: every request passes the guard here. One for predictions then goes to its handler at once,
//! all others through the router.
//!
//! A router matches the path, and runs layers and handlers as boxed futures that find things in maps. For a prediction of one
//! row that took a third of the server's time, more than reading it and scoring together; so the paths that are asked most do
//! without. Their routes are there all the same, for names that a path cannot say plainly, and run the same handler.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Request};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use mainspring_serve::Error;
use tower::Service;

use crate::app::App;
use crate::faces::{BODY_BYTES_MAX, Served, feast, mlflow, oip, predict, read_body};
use crate::http::{Caller, Problem, admit, secured};

/// What answers the requests of the port. Clones share it.
#[derive(Clone)]
pub(crate) struct Front(Arc<Parts>);

struct Parts {
    app: App,
    served: Served,
    router: Router,
}

impl Front {
    /// The guard of an app before its routes.
    pub(crate) fn new(app: App, served: Served, router: Router) -> Self {
        Self(Arc::new(Parts { app, served, router }))
    }

    /// Answers a request that came from a peer; also when its handler panics.
    pub(crate) async fn answer<B>(self, peer: SocketAddr, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let answered = AssertUnwindSafe(self.0.answer(peer.ip(), request)).catch_unwind().await;
        answered.unwrap_or_else(|_| Problem::internal(&Error::Internal("a handler panicked".into())).into_response())
    }
}

impl Parts {
    async fn answer<B>(&self, peer: IpAddr, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        if is_open(request.uri().path()) {
            return self.route(request).await;
        }
        let principal = match admit(&self.app, request.headers(), peer) {
            Ok(principal) => principal,
            // the clients of these faces read errors in their own form alone
            Err(refused) if mlflow::has_path(request.uri().path()) => return secured(mlflow::refused(refused)),
            Err(refused) if oip::has_path(request.uri().path()) => return secured(oip::refused(refused)),
            Err(refused) if feast::has_path(request.uri().path()) => return secured(feast::refused(refused)),
            Err(refused) => return secured(refused.into_response()),
        };
        let (parts, body) = request.into_parts();
        let (method, path) = (&parts.method, parts.uri.path());
        if let Some(model) = asked(method, path, oip::INFER) {
            let body = read_body(body);
            return secured(oip::infer_at_once(&self.served, &principal, model, &parts.headers, body).await);
        }
        if let Some(endpoint) = asked(method, path, predict::PREDICT) {
            return secured(predict::predict_at_once(&self.served, &principal, endpoint, read_body(body)).await);
        }
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(Caller { principal });
        secured(self.route(request).await)
    }

    async fn route<B>(&self, mut request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        DefaultBodyLimit::max(BODY_BYTES_MAX).apply(&mut request);
        let answered: Result<Response, Infallible> = self.router.clone().call(request.map(Body::new)).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// The name that a POST asks at a path, when it is said plainly: one segment between the two parts, nothing encoded.
fn asked<'a>(method: &Method, path: &'a str, (before, after): (&str, &str)) -> Option<&'a str> {
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (*method == Method::POST && !name.is_empty() && !name.contains(['/', '%'])).then_some(name)
}

/// Whether a path is for everyone: who asks does not matter there.
fn is_open(path: &str) -> bool {
    path == "/health" || path == "/favicon.ico" || path.starts_with("/assets/")
}
