//! A load generator that costs as little as it can: one request at a time a connection, its bytes made beforehand, and of
//! the answer only the status and the length are looked at. Answers may be chunked, as those of some peers are.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The longest answer that is read; 100 entities of 20 features take a fortieth of it.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A connection under way, which ends with the latencies of its requests in nanoseconds.
pub type Connection = JoinHandle<anyhow::Result<Histogram<u64>>>;

/// No latencies yet, in nanoseconds, from a microsecond to a minute.
///
/// # Errors
/// Never: the bounds are valid.
pub fn latencies() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}

/// Latencies, and how long it took to gather them.
pub struct Measured {
    latency_ns: Histogram<u64>,
    seconds: f64,
}

impl Measured {
    /// Nothing measured yet.
    ///
    /// # Errors
    /// Never: the bounds are valid.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { latency_ns: latencies()?, seconds: 0.0 })
    }

    /// What the connections measured that began together, when all have ended.
    ///
    /// # Errors
    /// That of the first connection that failed.
    pub async fn gathered(started: Instant, connections: Vec<Connection>) -> anyhow::Result<Self> {
        let mut sum = Self::new()?;
        for connection in connections {
            sum.latency_ns.add(connection.await??)?;
        }
        sum.seconds = started.elapsed().as_secs_f64();
        Ok(sum)
    }

    /// Takes what another round measured.
    ///
    /// # Errors
    /// Never: all have the same bounds.
    pub fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.latency_ns.add(&other.latency_ns)?;
        self.seconds += other.seconds;
        Ok(())
    }

    /// How many requests were answered.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.latency_ns.len()
    }

    /// Requests answered in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn per_second(&self) -> f64 {
        self.requests() as f64 / self.seconds
    }

    /// The latency that a share of the requests does not exceed, in milliseconds.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "latencies far below 2^53")]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        self.latency_ns.value_at_quantile(share) as f64 / 1e6
    }
}

/// The bytes of a POST over HTTP; `headers` are whole lines.
#[must_use]
pub fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Drives a server with one request for a time.
///
/// # Errors
/// When a connection fails, or an answer is not 200.
pub async fn drive(
    address: SocketAddr,
    request: &[u8],
    connections: usize,
    time: Duration,
) -> anyhow::Result<Measured> {
    let started = Instant::now();
    let until = started + time;
    let tasks: Vec<_> = (0..connections).map(|_| tokio::spawn(connection(address, request.to_vec(), until))).collect();
    Measured::gathered(started, tasks).await
}

async fn connection(address: SocketAddr, request: Vec<u8>, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut latency = latencies()?;
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(latency);
        }
        stream.write_all(&request).await?;
        answer(&mut stream, &mut buffer).await?;
        latency.saturating_record(u64::try_from(sent.elapsed().as_nanos())?);
    }
}

/// Reads one answer to its end.
///
/// # Errors
/// When it is not 200, is longer than the buffer, or the connection ends before it.
pub async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    // Where the body begins, and how long it is; `None` when it is chunked.
    let mut head: Option<(usize, Option<usize>)> = None;
    loop {
        let read = stream.read(buffer.get_mut(filled..).context("the answer is too long")?).await?;
        if read == 0 {
            bail!("the server closed the connection, or its answer is too long");
        }
        filled += read;
        if head.is_none() {
            head = parsed_head(&buffer[..filled])?;
        }
        match head {
            Some((begin, Some(length))) if filled >= begin + length => return Ok(()),
            Some((_, None)) if buffer[..filled].ends_with(b"0\r\n\r\n") => return Ok(()),
            _ => {}
        }
    }
}

/// Where the body begins and how long it is, once the headers are there.
fn parsed_head(bytes: &[u8]) -> anyhow::Result<Option<(usize, Option<usize>)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end])?;
    if !text.starts_with("HTTP/1.1 200") {
        bail!("the server answered {}", String::from_utf8_lossy(bytes));
    }
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok(Some((end + 4, length.transpose()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_tells_where_the_body_ends() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";

        assert_eq!(parsed_head(whole).unwrap(), Some((whole.len() - 2, Some(2))));
        assert_eq!(parsed_head(chunked).unwrap(), Some((chunked.len() - 5, None)));
        assert_eq!(parsed_head(&whole[..20]).unwrap(), None);
        assert!(parsed_head(b"HTTP/1.1 500 no\r\n\r\n").is_err());
    }
}
