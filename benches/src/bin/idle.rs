//! How soon a server answers its first prediction after its process starts, and how much memory it holds when idle.
//!
//! Takes a folder that the demo made. Bars: first prediction within 1 s, under 100 MB resident when idle.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// A flight of the one day that the demo replayed.
const BODY: &str = r#"{"as_of":"2013-07-01T21:00:00Z","rows":[{"carrier":"B6","origin":"JFK","dest":"BOS",
    "tailnum":"N184JB","distance":187,"flight":1018,"sched_dep_at":"2013-07-01T22:00:00Z"}]}"#;
/// How long the server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> anyhow::Result<()> {
    let own = std::env::current_exe()?;
    let binary = own.parent().context("a folder")?.join("mainspring");
    ensure!(binary.is_file(), "build the binary first: cargo build --release --package mainspring-cli");
    let folder = match std::env::args().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => bail!("name a project folder that `mainspring demo --once --dir FOLDER` made"),
    };
    let begun = Instant::now();
    let mut server = start(&binary, &folder)?;
    let outcome = measure(&mut server, begun);
    server.kill()?;
    server.wait()?;
    outcome
}

fn start(binary: &Path, folder: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new(binary);
    command.arg("-C").arg(folder).args(["serve", "--listen", "127.0.0.1:0"]);
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

fn measure(server: &mut Child, begun: Instant) -> anyhow::Result<()> {
    let mut line = String::new();
    BufReader::new(server.stdout.take().context("stdout is piped")?).read_line(&mut line)?;
    let address =
        line.split("http://").nth(1).context("the server says where it listens")?.trim().trim_end_matches('/');
    let listening = begun.elapsed();
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "POST /api/v1/endpoints/arrival_delay/predict HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let answered = begun.elapsed();
    ensure!(answer.starts_with("HTTP/1.1 200"), "the prediction failed: {answer}");
    std::thread::sleep(IDLE);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()))?;
    let kib: u64 = (status.lines().find_map(|line| line.strip_prefix("VmRSS:")))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .context("the kernel tells the resident memory")?;
    println!("listening after        {:>8.0} ms", listening.as_secs_f64() * 1000.0);
    println!("first prediction after {:>8.0} ms   bar 1000 ms", answered.as_secs_f64() * 1000.0);
    println!("resident when idle     {:>8.1} MB   bar 100 MB", kib as f64 * 1024.0 / 1e6);
    Ok(())
}
