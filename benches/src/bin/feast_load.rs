//! `feast_load HOST:PORT SECONDS CONNECTIONS`: drives `POST /get-online-features` of a server with the body on stdin, and
//! prints what was measured as JSON. `benches/feast.py` starts it against both servers in turn.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::io::Read;
use std::time::Duration;

use mainspring_benches::load::{drive, post};

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
    let (address, connections) = (address.parse()?, connections.parse()?);
    let request = post(address, "/get-online-features", "content-type: application/json\r\n", &body);
    // One thread: the servers have the rest of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured =
        runtime.block_on(drive(address, &request, connections, Duration::from_secs_f64(seconds.parse()?)))?;
    let figures = serde_json::json!({
        "requests": measured.requests(),
        "per_second": measured.per_second(),
        "p50_ms": measured.quantile_ms(0.5),
        "p99_ms": measured.quantile_ms(0.99),
    });
    println!("{figures}");
    Ok(())
}
