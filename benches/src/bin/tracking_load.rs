//! `tracking_load HOST:PORT SECONDS single|batch RUN STEP`: logs metrics of a run over one kept-alive connection, and prints
//! how long each request took, in microseconds, as JSON. `benches/tracking.py` starts as many as there are to be clients,
//! against both servers in turn.
//!
//! It says `ready` and begins when a line comes on stdin, so that all begin together. Each request carries points of its own
//! behind those before, beginning at STEP: one, or a thousand of one metric.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;
use mainspring_benches::load;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The longest answer that is read: of an error.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Points of a batch.
const BATCH: u64 = 1_000;
/// 2023, in milliseconds.
const TIME: u64 = 1_700_000_000_000;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, seconds, what, run, step] = words.as_slice() else {
        println!("tracking_load HOST:PORT SECONDS single|batch RUN STEP; `cargo xtask bench tracking` starts it");
        return Ok(());
    };
    let (address, time) = (address.parse()?, Duration::from_secs_f64(seconds.parse()?));
    let body = match what.as_str() {
        "single" => single,
        "batch" => batch,
        other => bail!("`{other}` is neither `single` nor `batch`"),
    };
    let path = if what == "single" { "log-metric" } else { "log-batch" };
    let path = format!("/api/2.0/mlflow/runs/{path}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = |step| body(run, step).map(|body| post(address, &path, body.as_bytes()));
    let took = runtime.block_on(drive(address, time, step.parse()?, request))?;
    println!("{}", serde_json::to_string(&took)?);
    Ok(())
}

async fn drive(
    address: SocketAddr,
    time: Duration,
    mut step: u64,
    request: impl Fn(u64) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u64>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; ANSWER_BYTES_MAX];
    let mut took = vec![];
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    let until = Instant::now() + time;
    loop {
        let sent = Instant::now();
        if sent >= until {
            return Ok(took);
        }
        stream.write_all(&request(step)?).await?;
        load::answer(&mut stream, &mut buffer).await?;
        took.push(u64::try_from(sent.elapsed().as_micros())?);
        step += 1;
    }
}

fn post(address: SocketAddr, path: &str, body: &[u8]) -> Vec<u8> {
    load::post(address, path, "content-type: application/json\r\n", body)
}

fn single(run: &str, step: u64) -> anyhow::Result<String> {
    let mut body = format!(r#"{{"run_id": "{run}", "#);
    point(&mut body, step)?;
    body.push('}');
    Ok(body)
}

fn batch(run: &str, step: u64) -> anyhow::Result<String> {
    let mut body = format!(r#"{{"run_id": "{run}", "metrics": ["#);
    for step in step * BATCH..(step + 1) * BATCH {
        body.push_str(if step % BATCH == 0 { "{" } else { ", {" });
        point(&mut body, step)?;
        body.push('}');
    }
    body.push_str("]}");
    Ok(body)
}

fn point(body: &mut String, step: u64) -> anyhow::Result<()> {
    let (whole, half) = (step / 2, if step.is_multiple_of(2) { 0 } else { 5 });
    Ok(write!(body, r#""key": "loss", "value": {whole}.{half}, "timestamp": {}, "step": {step}"#, TIME + step)?)
}
