//! A load generator that costs as little as it can: one request at a time a connection, its bytes made beforehand, and of
//! the answer only the status and the length are looked at.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::grpc;

/// Latencies, and how long it took to gather them.
pub struct Measured {
    latency_ns: Histogram<u64>,
    seconds: f64,
}

impl Measured {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { latency_ns: Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?, seconds: 0.0 })
    }

    pub fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency_ns.add(&other.latency_ns)?;
        self.seconds += other.seconds;
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn per_second(&self) -> f64 {
        self.latency_ns.len() as f64 / self.seconds
    }

    /// In microseconds.
    #[expect(clippy::cast_precision_loss, reason = "latencies far below 2^53")]
    pub fn p99(&self) -> f64 {
        self.latency_ns.value_at_quantile(0.99) as f64 / 1_000.0
    }
}

/// What is asked, in bytes.
#[derive(Clone)]
pub enum Call {
    Http(Vec<u8>),
    Grpc(grpc::Call),
}

impl Call {
    /// A POST over HTTP.
    pub fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Self {
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {}\r\n\r\n", body.len());
        Self::Http([head.as_bytes(), body].concat())
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
    let mut sum = Measured::new()?;
    for task in tasks {
        sum.latency_ns.add(task.await??)?;
    }
    sum.seconds = started.elapsed().as_secs_f64();
    Ok(sum)
}

async fn connection(address: SocketAddr, call: Call, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut latency = Measured::new()?.latency_ns;
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

/// Reads one answer to its end.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(buffer.get_mut(filled..).context("the answer is too long")?).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        let Some(head) = buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?;
        if !text.starts_with("HTTP/1.1 200") {
            bail!("the server answered {}", String::from_utf8_lossy(&buffer[..filled]));
        }
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        let length = length.context("the answer has no length")??;
        if filled >= head + 4 + length {
            return Ok(());
        }
    }
}
