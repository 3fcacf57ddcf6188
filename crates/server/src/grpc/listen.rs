//! The listener, and its limits.

use std::future::Future;
use std::time::Duration;

use axum::middleware;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::HealthReporter;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::guard::guard;
use super::{connections, health, services};
use crate::app::App;

/// The largest message, in either direction: as large as a body over HTTP.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// Connections open at once; each takes some 20 kB.
const CONNECTIONS_MAX: usize = 4_096;
/// Calls under way on one connection; further ones wait in the client.
const STREAMS_MAX: u32 = 256;
/// What a peer may send on a stream before it is read: a batch of 1,024 rows of 28 doubles and room.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same for all streams of a connection together.
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Metadata of a call: a key and some tracing headers take less than a kilobyte.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A connection on which nothing comes is asked this often whether its peer is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// The longest the peer may take to say so.
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(20);
/// The longest until a call is answered, or begins to be; as over HTTP.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The longest that calls under way may take when the server ends.
const LAST_CALLS: Duration = Duration::from_secs(4);

/// Answers calls until told to stop; those under way are answered still, within a bound.
///
/// # Errors
///
/// When the listener fails.
pub async fn serve(
    app: App,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let health = HealthReporter::new();
    let routes = services::services(&app, health.clone())?;
    // in one step: each layer of its own is a box, and a boxed future, more in the way of every call
    let guarding = ServiceBuilder::new()
        .layer(CatchPanicLayer::custom(broken))
        .layer(middleware::from_fn_with_state(app.clone(), guard));
    let guarded = routes.into_axum_router().layer(guarding);
    health::tell(&health, app.serve.is_ready()).await;
    let reporting = tokio::spawn(health::report(app, health.clone()));
    let (stopping, stopped) = oneshot::channel();
    let served = Server::builder()
        .timeout(ANSWER_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .add_routes(Routes::from(guarded))
        .serve_with_incoming_shutdown(connections::accept(listener, CONNECTIONS_MAX), async move {
            stop.await;
            health::end(health).await;
            let _nobody_waits = stopping.send(());
        });
    let last_calls = async move {
        let _stopped = stopped.await;
        tokio::time::sleep(LAST_CALLS).await;
    };
    let ended = tokio::select! {
        ended = served => ended.map_err(std::io::Error::other),
        () = last_calls => Ok(()),
    };
    reporting.abort();
    ended
}

/// What a caller is told when a handler breaks down.
fn broken(_: Box<dyn std::any::Any + Send>) -> axum::http::Response<axum::body::Body> {
    tracing::error!("a gRPC handler panicked");
    Status::internal("the server broke down over this call; its log has more").into_http()
}
