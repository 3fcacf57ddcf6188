//! The load generator of all benchmarks, which speaks gRPC besides.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
pub use mainspring_benches::load::Measured;
use mainspring_benches::load::{answer, latencies, post};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::grpc;

/// What is asked, in bytes.
#[derive(Clone)]
pub enum Call {
    Http(Vec<u8>),
    /// By gRPC, one call at a time on each connection.
    Grpc(grpc::Call),
    /// By gRPC as one client does it: all calls that are under way share its channel, which is one connection.
    Channel(grpc::Call),
}

impl Call {
    /// A POST over HTTP.
    pub fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Self {
        Self::Http(post(address, path, headers, body))
    }

    /// A POST of JSON over HTTP.
    pub fn json(address: SocketAddr, path: &str, body: &str) -> Self {
        Self::post(address, path, "content-type: application/json\r\n", body.as_bytes())
    }
}

/// Drives a server for a time, with so many calls under way.
pub async fn drive(address: SocketAddr, call: &Call, calls: usize, time: Duration) -> anyhow::Result<Measured> {
    let started = Instant::now();
    let until = started + time;
    let (connections, calls) = if let Call::Channel(_) = call { (1, calls) } else { (calls, 1) };
    let tasks = (0..connections).map(|_| tokio::spawn(connection(address, call.clone(), calls, until)));
    Measured::gathered(started, tasks.collect()).await
}

async fn connection(address: SocketAddr, call: Call, calls: usize, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut latency = latencies()?;
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    match call {
        Call::Http(request) => {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let sent = Instant::now();
                if sent >= until {
                    break;
                }
                stream.write_all(&request).await?;
                answer(&mut stream, &mut buffer).await?;
                latency.saturating_record(u64::try_from(sent.elapsed().as_nanos())?);
            }
        }
        Call::Grpc(call) | Call::Channel(call) => {
            let mut channel = grpc::Channel::over(&mut stream).await?;
            channel.drive(&mut stream, &call, calls, until, &mut latency).await?;
        }
    }
    Ok(latency)
}
