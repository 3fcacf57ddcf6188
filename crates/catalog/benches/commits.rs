//! Durable commits a second, by number of callers. Run with `cargo bench -p mainspring-catalog`.
//!
//! Each commit is one change with one metric, as a training loop reports it, answered only when it is on disk; above
//! them stands what the disk itself allows, as the time of one `fsync` of an appended page.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark is run by hand and prints its figures")]

use std::io::Write;
use std::time::{Duration, Instant};

use mainspring_catalog::{Catalog, Change, Metric, Principal};

const LASTING: Duration = Duration::from_secs(3);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!("one fsync of an appended page: {:.0} µs", fsync_micros(folder.path()));
    for callers in [1, 4, 16, 64, 256] {
        for metrics in [1, 1_000] {
            let url = format!("sqlite:{}", folder.path().join(format!("{callers}-{metrics}.db")).display());
            let (commits, seconds) = runtime.block_on(measure(&url, callers, metrics));
            let rate = commits as f64 / seconds;
            println!("{callers:>4} callers, {metrics:>5} metrics a commit: {rate:>8.0} commits/s");
        }
    }
}

async fn measure(url: &str, callers: usize, metrics: usize) -> (usize, f64) {
    let catalog = Catalog::open(url).await.unwrap();
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                let principal = Principal::service("bench");
                let run = format!("run-{caller}");
                let mut commits = 0;
                while started.elapsed() < LASTING {
                    let rows = (0..metrics).map(|index| Metric {
                        run: run.clone(),
                        key: "loss".into(),
                        step: (commits * metrics + index) as i64,
                        value: 0.5,
                        at: jiff::Timestamp::now(),
                    });
                    let change = Change::new(&principal, "run.log", format!("run:{run}")).metrics(rows);
                    catalog.commit(change).await.unwrap();
                    commits += 1;
                }
                commits
            })
        })
        .collect();
    let mut commits = 0;
    for task in tasks {
        commits += task.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    catalog.close().await;
    (commits, seconds)
}

fn fsync_micros(folder: &std::path::Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("fsync")).unwrap();
    let rounds = 200;
    let started = Instant::now();
    for _ in 0..rounds {
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
    }
    started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
}
