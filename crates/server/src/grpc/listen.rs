//! The listener, and its limits.

use std::future::Future;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic_health::server::HealthReporter;

use super::front::Front;
use super::{health, services};
use crate::app::App;
use crate::listener::{self, Manner};

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
/// The longest that calls under way may take when the server ends.
const LAST_CALLS: Duration = Duration::from_secs(4);

/// Answers calls until told to stop; those under way are answered still, within a bound.
///
/// # Errors
///
/// When a service cannot start.
pub async fn serve(
    app: App,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let health = HealthReporter::new();
    let routes = services::services(&app, health.clone())?;
    health::tell(&health, app.serve.is_ready()).await;
    let reporting = tokio::spawn(health::report(app.clone(), health.clone()));
    let front = Front::new(app, routes.into_axum_router());
    let (stopping, stopped) = oneshot::channel();
    let answer = move |peer, request| front.clone().answer(peer, request);
    let served = listener::serve(manner(), answer, listener, async move {
        stop.await;
        health::end(health).await;
        let _nobody_waits = stopping.send(());
    });
    let last_calls = async move {
        let _stopped = stopped.await;
        tokio::time::sleep(LAST_CALLS).await;
    };
    tokio::select! {
        () = served => {}
        () = last_calls => {}
    }
    reporting.abort();
    Ok(())
}

fn manner() -> Manner {
    let mut builder = Builder::new(TokioExecutor::new()).http2_only();
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_ANSWER);
    // clients keep a connection open to call on it later
    Manner { builder, connections_max: CONNECTIONS_MAX, sweeps: false }
}
