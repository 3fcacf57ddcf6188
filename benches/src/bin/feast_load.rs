//! `feast_load HOST:PORT SECONDS CONNECTIONS`: drives `POST /get-online-features` of a server with the body on stdin, and
//! prints what was measured as JSON. `benches/feast.py` starts it against both servers in turn.
//!
//! One request at a time a connection, its bytes made beforehand; of the answer the status and the length are looked at.
//! Answers may be chunked, as those of the peer's server are.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, seconds, connections] = words.as_slice() else {
        println!("feast_load HOST:PORT SECONDS CONNECTIONS < body.json; `cargo xtask bench feast` starts it");
        return Ok(());
    };
    let mut body = vec![];
    std::io::stdin().read_to_end(&mut body)?;
    let time = Duration::from_secs_f64(seconds.parse()?);
    let connections: usize = connections.parse()?;
    // One thread: the servers have the rest of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (latency, took) = runtime.block_on(drive(address.clone(), body, connections, time))?;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let figures = serde_json::json!({
        "requests": latency.len(),
        "per_second": latency.len() as f64 / took,
        "p50_ms": latency.value_at_quantile(0.5) as f64 / 1e6,
        "p99_ms": latency.value_at_quantile(0.99) as f64 / 1e6,
    });
    println!("{figures}");
    Ok(())
}

async fn drive(
    address: String,
    body: Vec<u8>,
    connections: usize,
    time: Duration,
) -> anyhow::Result<(Histogram<u64>, f64)> {
    let mut request = format!(
        "POST /get-online-features HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    let started = Instant::now();
    let tasks: Vec<_> =
        (0..connections).map(|_| tokio::spawn(connection(address.clone(), request.clone(), started + time))).collect();
    let mut all = histogram()?;
    for task in tasks {
        all.add(task.await??)?;
    }
    Ok((all, started.elapsed().as_secs_f64()))
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}

async fn connection(address: String, request: Vec<u8>, until: Instant) -> anyhow::Result<Histogram<u64>> {
    let mut latency = histogram()?;
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4 << 20];
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
async fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    // Where the body begins, and how long it is; `None` when it is chunked.
    let mut head: Option<(usize, Option<usize>)> = None;
    loop {
        let read = stream.read(buffer.get_mut(filled..).context("the answer is too long")?).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        if head.is_none() {
            let Some(end) = buffer[..filled].windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&buffer[..end])?;
            if !text.starts_with("HTTP/1.1 200") {
                bail!("the server answered {}", String::from_utf8_lossy(&buffer[..filled]));
            }
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
            });
            head = Some((end + 4, length.transpose()?));
        }
        match head {
            Some((begin, Some(length))) if filled >= begin + length => return Ok(()),
            Some((_, None)) if buffer[..filled].ends_with(b"0\r\n\r\n") => return Ok(()),
            _ => {}
        }
    }
}
