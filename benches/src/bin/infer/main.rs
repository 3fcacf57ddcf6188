//! `cargo run --release -p mainspring-benches --bin infer -- [--seconds 5] [--rounds 3]`
//!
//! One row of 28 features against 100 trees of 31 leaves, by Open Inference Protocol V2 over loopback HTTP: our whole server,
//! with its guard, its policy and its prediction log, beside a bare axum handler that parses the same JSON and answers a
//! constant. Both take turns on the same machine, driven by the same load generator, so the ratio holds on any machine; what
//! the generator itself takes is in both. The bar: at least 70% of the bare handler's throughput and at most 1.5 times its
//! p99, at 1, 16 and 64 connections.
//!
//! Then the same rows as bytes over HTTP and by gRPC, one and 1,024 a request, against JSON on the same server: at least as
//! many requests a second for one row, at least 5 times as many for a batch, with the prediction log off; with the log on the
//! writer of the log shares the cores, and what does not fit is shed. A bare tonic service that decodes the same message and a
//! bare axum handler that takes the same bytes, both answering a constant, show what the protocols themselves take.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark prints, and stops at the first surprise"
)]

mod bare;
mod bare_grpc;
mod forms;
mod grpc;
mod load;
mod model;
mod other;
mod ours;

use std::net::SocketAddr;
use std::time::Duration;

use load::{Call, Measured};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The least share of the bare handler's throughput.
const THROUGHPUT_BAR: f64 = 0.7;
/// The most its p99 may be multiplied by.
const P99_BAR: f64 = 1.5;

struct Arguments {
    seconds: u64,
    rounds: u32,
}

fn main() -> anyhow::Result<()> {
    if let Some(drive) = other::Drive::asked()? {
        return drive.run();
    }
    let arguments = arguments()?;
    // The servers have one runtime, the load another, as if they were two processes.
    let servers = runtime()?;
    let clients = runtime()?;
    let folder = tempfile::tempdir()?;
    let bare = servers.block_on(bare::start())?;
    let with_log = servers.block_on(ours::start(&folder.path().join("logged"), true))?;
    let without_log = servers.block_on(ours::start(&folder.path().join("unlogged"), false))?;
    let body = model::request(&model::numbers(1));

    println!("one row, {} bytes of JSON; {} rounds of {} s", body.len(), arguments.rounds, arguments.seconds);
    println!(
        "{:>11}  {:<22} {:>10} {:>8} {:>8} {:>8}",
        "connections", "server", "requests/s", "ratio", "p99 us", "ratio"
    );
    let mut holds = true;
    for connections in [1, 16, 64] {
        let mut measured = [Measured::new()?, Measured::new()?, Measured::new()?];
        for round in 0..=arguments.rounds {
            let targets: [(SocketAddr, &str); 3] =
                [(bare, bare::PATH), (with_log.address, ours::PATH), (without_log.address, ours::PATH)];
            for ((address, path), sum) in targets.into_iter().zip(&mut measured) {
                let took = Duration::from_secs(if round == 0 { 1 } else { arguments.seconds });
                let one =
                    clients.block_on(load::drive(address, &Call::json(address, path, &body), connections, took))?;
                // the first round only warms up
                if round > 0 {
                    sum.add(&one)?;
                }
            }
        }
        let [bare, logged, unlogged] = &measured;
        show(connections, "bare axum", bare, bare);
        show(connections, "mainspring", logged, bare);
        show(connections, "mainspring, log off", unlogged, bare);
        holds &= logged.per_second() / bare.per_second() >= THROUGHPUT_BAR;
        holds &= logged.quantile_ms(0.99) <= P99_BAR * bare.quantile_ms(0.99);
    }
    let status = with_log.engine.status();
    println!("logged {} rows, shed {}", status[0].log_written, status[0].log_shed);
    println!("bar: at least {THROUGHPUT_BAR} of the throughput, at most {P99_BAR} times the p99: {}", verdict(holds));

    let bares = forms::Bares { http: bare, grpc: servers.block_on(bare_grpc::start())? };
    forms::compare(&clients, "log on", &with_log, bares, &arguments)?;
    let holds = forms::compare(&clients, "log off", &without_log, bares, &arguments)?;
    println!(
        "bar: bytes and gRPC at least as many as JSON for one row, 5 times for a batch, log off: {}",
        verdict(holds)
    );
    Ok(())
}

fn verdict(holds: bool) -> &'static str {
    if holds { "held" } else { "missed" }
}

fn show(connections: usize, name: &str, measured: &Measured, bare: &Measured) {
    println!(
        "{connections:>11}  {name:<22} {:>10.0} {:>8.2} {:>8.0} {:>8.2}",
        measured.per_second(),
        measured.per_second() / bare.per_second(),
        measured.quantile_ms(0.99) * 1_000.0,
        measured.quantile_ms(0.99) / bare.quantile_ms(0.99),
    );
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

fn arguments() -> anyhow::Result<Arguments> {
    let mut arguments = Arguments { seconds: 5, rounds: 3 };
    let mut given = std::env::args().skip(1);
    while let Some(flag) = given.next() {
        let value = given.next().ok_or_else(|| anyhow::anyhow!("{flag} needs a number"))?;
        match flag.as_str() {
            "--seconds" => arguments.seconds = value.parse()?,
            "--rounds" => arguments.rounds = value.parse()?,
            _ => anyhow::bail!("{flag} is not known; there are --seconds and --rounds"),
        }
    }
    Ok(arguments)
}
