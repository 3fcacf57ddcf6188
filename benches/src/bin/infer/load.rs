//! The load generator of all benchmarks, which speaks gRPC besides.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;
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
    Grpc(grpc::Call),
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

/// Drives a server for a time.
pub async fn drive(address: SocketAddr, call: &Call, connections: usize, time: Duration) -> anyhow::Result<Measured> {
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(connection(address, call.clone(), until))).collect();
    Measured::gathered(started, tasks).await
}

async fn connection(address: SocketAddr, call: Call, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut latency = latencies()?;
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut channel = match &call {
        Call::Http(_) => None,
        Call::Grpc(_) => Some(grpc::Channel::over(&mut stream).await?),
    };
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(latency);
        }
        match (&call, &mut channel) {
            (Call::Grpc(call), Some(channel)) => channel.exchange(&mut stream, call).await?,
            (Call::Http(request), _) => {
                stream.write_all(request).await?;
                answer(&mut stream, &mut buffer).await?;
            }
            (Call::Grpc(_), None) => bail!("a gRPC call needs a channel"),
        }
        latency.saturating_record(u64::try_from(sent.elapsed().as_nanos())?);
    }
}
