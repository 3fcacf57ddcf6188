//! Killed at any moment, a writer loses nothing that was acknowledged.
//!
//! The test starts itself again as a writer that commits without end and says each acknowledged change on its
//! standard output; kills it with SIGKILL at a random moment; then opens what is left and holds it against the list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop at the first surprise")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use mainspring_catalog::{Catalog, Change, Document, Edge, Expect, Metric, Principal};
use serde::{Deserialize, Serialize};

const KILLS: u64 = 10;
const WRITERS: usize = 4;
/// The longest that a writer may take until its first word, which on a machine that is busy is its start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where the started writer finds the catalog; it also tells it that it is one.
const URL_VARIABLE: &str = "MAINSPRING_CRASH_TEST_CATALOG";

/// A counter that grows by one with each commit: a gap or a step back is a lost write.
#[derive(Serialize, Deserialize)]
struct Counter {
    name: String,
    count: u64,
}

impl Document for Counter {
    const KIND: &'static str = "counter";

    fn id(&self) -> String {
        self.name.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut acknowledged: HashMap<String, u64> = HashMap::new();
    let mut last_seq = 0;

    for kill in 0..KILLS {
        let delay = Duration::from_millis(scrambled(seed ^ kill) % 150);
        // some are killed while they open the catalog, the others in the middle of their work
        let of = if kill % 3 == 0 { Moment::Start } else { Moment::FirstWord };
        for line in acknowledged_until_killed(&url, of, delay) {
            let [name, count, seq] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            acknowledged.insert(name.to_owned(), count.parse().unwrap());
            last_seq = last_seq.max(seq.parse::<i64>().unwrap());
        }

        let catalog = Catalog::open(&url).await.unwrap();
        let words = format!("kill {kill} of seed {seed}");
        assert!(catalog.audit_head().await.unwrap().seq >= last_seq, "{words}: an acknowledged change is gone");
        let verdict = catalog.verify_audit().await.unwrap();
        assert!(verdict.is_intact(), "{words}: {verdict}");
        for (name, &count) in &acknowledged {
            let stored =
                catalog.get::<Counter>(name).await.unwrap().expect("acknowledged, so it exists").document.count;
            // What was committed but not yet said when the kill came may be there too: one change a writer.
            assert!(stored == count || stored == count + 1, "{words}: {name} is {stored}, said was {count}");
            let metrics = catalog.metrics(name, None).await.unwrap();
            assert_eq!(metrics.len() as u64, stored, "{words}: metrics landed without their change, or not with it");
            assert_eq!(catalog.edges_to(name).await.unwrap().len() as u64, stored, "{words}");
        }
        // What is seen once must stay, said or not.
        last_seq = catalog.audit_head().await.unwrap().seq;
        for (name, count) in &mut acknowledged {
            *count = catalog.get::<Counter>(name).await.unwrap().unwrap().document.count;
        }
        catalog.close().await;
    }

    assert!(last_seq > KILLS as i64 / 2, "the writers were killed before they wrote anything");
}

/// From when on a writer's last moments are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Start,
    FirstWord,
}

/// Starts a writer, kills it a while after a moment, and returns the lines it said.
fn acknowledged_until_killed(url: &str, of: Moment, delay: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer_without_end", "--nocapture", "--test-threads=1"])
        .env(URL_VARIABLE, url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let (word, heard) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        // The harness writes lines of its own before ours.
        BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("done ").map(str::to_owned))
            .inspect(|_| {
                let _nobody_listens = word.send(());
            })
            .collect::<Vec<_>>()
    });
    let goes_on = of == Moment::Start || heard.recv_timeout(PATIENCE).is_ok();
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(goes_on, "the writer wrote nothing within {PATIENCE:?}");
    // The last line may be cut in the middle; it has then no end of line, and no writer was told more than is here.
    reader.join().unwrap().into_iter().filter_map(|line| line.strip_suffix(" .").map(str::to_owned)).collect()
}

/// Not a test by itself: the writer that the test above starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer_without_end() {
    let Ok(url) = std::env::var(URL_VARIABLE) else { return };
    let catalog = Catalog::open(&url).await.unwrap();
    let writer = |number: usize| {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            let name = format!("writer-{number}");
            loop {
                let stored = catalog.get::<Counter>(&name).await.unwrap();
                let (count, expect) =
                    stored.map_or((0, Expect::Absent), |stored| (stored.document.count, stored.unchanged()));
                let next = Counter { name: name.clone(), count: count + 1 };
                let at = jiff::Timestamp::now();
                let change = Change::new(&Principal::system("crash"), "counter.increment", name.as_str())
                    .edge(Edge::new(format!("step-{count}"), name.as_str(), "counts"))
                    .metric(Metric { run: name.clone(), key: "count".into(), step: count as i64, value: 0.5, at })
                    .put(&next, expect)
                    .unwrap();
                let committed = catalog.commit(change).await.unwrap();
                let mut output = std::io::stdout().lock();
                writeln!(output, "\ndone {name} {} {} .", next.count, committed.seq).unwrap();
                output.flush().unwrap();
            }
        })
    };
    let (ended, ..) = futures::future::select_all((0..WRITERS).map(writer)).await;
    panic!("a writer ended, though it has no end: {ended:?}");
}

/// SplitMix64: a well-mixed number from a poor one.
fn scrambled(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
