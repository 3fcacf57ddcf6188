//! The loop that accepts connections, and what happens on one.

use std::convert::Infallible;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};

use super::crowd::{Crowd, Place, Told};
use super::pace::{Answering, Patient};

/// The most connections at once over HTTP; an idle one holds about 10 kB.
const CONNECTIONS_MAX: usize = 16_384;
/// Open files that are left to the stores.
const FILES_RESERVED: usize = 2_048;
/// The most bytes of a request's line and headers together, and the buffer of a connection.
const HEADERS_BYTES_MAX: usize = 64 << 10;
/// The most requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 256;
/// How often the other side of an HTTP/2 connection is asked whether it is there.
const PING: Duration = Duration::from_secs(10);
/// The wait after an accept that failed for want of something: files, memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How a port speaks with those who connect.
pub struct Manner {
    /// The protocol and its bounds.
    pub builder: Builder<TokioExecutor>,
    /// The most connections at once.
    pub connections_max: usize,
    /// Whether one on which nothing is asked for a while is closed.
    pub sweeps: bool,
}

impl Manner {
    /// HTTP/1 and HTTP/2, as the other side has it.
    pub fn http() -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().max_buf_size(HEADERS_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(u32::try_from(HEADERS_BYTES_MAX).unwrap_or(u32::MAX));
        Self { builder, connections_max: CONNECTIONS_MAX, sweeps: true }
    }
}

/// Answers requests until told to stop; those under way are answered still.
pub async fn serve<F, A, B>(
    manner: Manner,
    answer: F,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) where
    F: Fn(SocketAddr, Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
{
    let crowd = Crowd::new(places(manner.connections_max));
    let builder = Arc::new(manner.builder);
    let accepting = async {
        loop {
            crowd.make_room().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    tokio::spawn(converse(builder.clone(), answer.clone(), stream, peer, crowd.join()));
                }
                Err(error) if is_of_one_connection(error.kind()) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    };
    let sweeping = async { if manner.sweeps { crowd.sweep().await } else { std::future::pending().await } };
    tokio::select! {
        () = stop => {}
        () = accepting => {}
        () = sweeping => {}
    }
    drop(listener);
    crowd.finish().await;
}

/// How many connections there may be, with as many open files as the system lets this process have.
fn places(most: usize) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the bound on open files stays as it is");
        rlimit::Resource::NOFILE.get_soft().unwrap_or(1_024)
    });
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    most.min(files - FILES_RESERVED.min(files / 2))
}

/// Whether the other side went before it was accepted, which says nothing about us.
fn is_of_one_connection(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset)
}

/// Answers the requests of one connection.
async fn converse<F, A, B>(
    builder: Arc<Builder<TokioExecutor>>,
    answer: F,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
) where
    F: Fn(SocketAddr, Request<Incoming>) -> A,
    A: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<axum::BoxError>> + Send + Unpin + 'static,
{
    // answers are small and awaited: they are not held back for company
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let member = place.member.clone();
    let service = service_fn(|request: Request<Incoming>| {
        let under_way = member.begin();
        let answer = answer(peer, request);
        async move { Ok::<_, Infallible>(answer.await.map(|body| Answering::new(body, under_way))) }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(Patient::new(stream, member.clone())), service));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended with an error");
                }
                return;
            }
            () = place.member.called() => match place.member.told() {
                Told::Nothing => {}
                Told::Finish => connection.as_mut().graceful_shutdown(),
                Told::Leave => return,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use http_body_util::Full;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;

    /// A port that answers without reading what is sent to it, and that stops when the sender is dropped.
    async fn refusing() -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let answer = |_, _| async {
            let mut answer = Response::new(Full::new(Bytes::from_static(b"too large")));
            *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            answer
        };
        let served = serve(Manner::http(), answer, listener, async { drop(stopped.await) });
        (address, stop, tokio::spawn(served))
    }

    #[tokio::test]
    async fn who_sends_all_of_a_refused_body_before_reading_gets_the_answer() {
        let (address, _stop, _served) = refusing().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let body = vec![0; 32 << 20];
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());

        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();

        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("too large"), "{answer}");
    }

    #[tokio::test]
    async fn a_server_that_stops_waits_for_nobody_who_has_his_answer() {
        let (address, stop, served) = refusing().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.unwrap();

        drop(stop);

        tokio::time::timeout(Duration::from_secs(8), served).await.expect("before it would stop lingering").unwrap();
    }
}
