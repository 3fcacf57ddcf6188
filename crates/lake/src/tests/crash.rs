//! A writer that is killed at any moment: what was acknowledged is there, and nothing is there twice.
//!
//! The writer is this test binary, started again with one test to run: [`appends_land_in_order`] appends batch after batch
//! and prints each number once its write is acknowledged. After each kill a new one takes up the work without knowing how
//! far the last one came: it tries the last acknowledged write again, and the next.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const KILLS: u64 = 10;
/// How long a writer may take to begin, on a machine that is busy.
const BEGINS_MAX: Duration = Duration::from_secs(120);
/// Rows of a batch: each is known by the number of its batch.
const BATCH_ROWS: i64 = 300;
const FOLDER: &str = "MAINSPRING_TEST_CRASH_FOLDER";
const FIRST: &str = "MAINSPRING_TEST_CRASH_FIRST";

fn batch(number: i64) -> SendableRecordBatchStream {
    stream(rows(number * BATCH_ROWS..(number + 1) * BATCH_ROWS, "a"))
}

/// Appends batches of these numbers, and says when each is acknowledged.
async fn append(folder: &Path, numbers: std::ops::Range<i64>) -> Lake {
    let lake = open(folder).await;
    for number in numbers {
        let done = lake.append(&events(), batch(number), id(number)).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {number} {}", done.replayed).unwrap();
        out.flush().unwrap();
    }
    lake
}

/// Appends batches: a few in a folder of its own, or, as the writer to be killed, as many as it can. That one works in the
/// folder of who kills it, since nobody would remove its own.
#[tokio::test]
async fn appends_land_in_order() {
    if let (Ok(folder), Ok(first)) = (std::env::var(FOLDER), std::env::var(FIRST)) {
        append(Path::new(&folder), first.parse().unwrap()..i64::MAX).await;
        return;
    }
    let folder = tempfile::tempdir().unwrap();

    let lake = append(folder.path(), 0..3).await;

    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 3 * 300);
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_acknowledged_and_lands_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: i64 = -1;

    for kill in 0..KILLS {
        let mut writer = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crash::appends_land_in_order", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(FIRST, acknowledged.max(0).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = writer.stdout.take().unwrap();
        let (began, begins) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            let number = |line: String| line.strip_prefix("acknowledged ")?.split_once(' ')?.0.parse::<i64>().ok();
            let tell = |_: &i64| {
                let _nobody_waits = began.send(());
            };
            lines.filter_map(number).inspect(tell).max()
        });
        // kills fall at other points of the work each time, some of them while the lake is opened
        if kill % 3 > 0 {
            begins.recv_timeout(BEGINS_MAX).expect("the writer writes");
        }
        tokio::time::sleep(Duration::from_millis(150 + kill * 37)).await;
        writer.kill().unwrap();
        writer.wait().unwrap();
        let last = reader.join().unwrap();
        acknowledged = acknowledged.max(last.unwrap_or(-1));
        let spill = folder.path().join("spill").join(writer.id().to_string());
        assert!(last.is_none() || spill.exists(), "a writer leaves nothing outside of the folder of this test");

        let lake = open(folder.path()).await;
        assert!(!spill.exists(), "the next to open the lake clears up behind it");
        if !lake.exists(&events()).await.unwrap() {
            assert_eq!(acknowledged, -1);
            continue;
        }
        let ids: Vec<i64> =
            contents(lake.read(&events(), At::Latest).await.unwrap()).await.into_iter().map(|row| row.0).collect();
        let whole: Vec<i64> = (0..i64::try_from(ids.len()).unwrap()).collect();
        assert_eq!(ids, whole, "no row is there twice, and none is missing between others");
        assert_eq!(ids.len() as i64 % BATCH_ROWS, 0, "batches are there whole or not at all");
        assert!(ids.len() as i64 >= (acknowledged + 1) * BATCH_ROWS, "what was acknowledged is there");
    }

    assert!(acknowledged >= 0, "no writer came so far as to be killed in the middle of its work");
    let lake = open(folder.path()).await;
    let keep_none = MaintainOptions { keep: jiff::SignedDuration::ZERO, ..MaintainOptions::default() };
    lake.maintain(keep_none).await.unwrap();
    let files = std::fs::read_dir(folder.path().join("lake/sources/events")).unwrap();
    let left: Vec<_> = files.map(|file| file.unwrap().file_name()).filter(|name| name != "_delta_log").collect();
    assert_eq!(
        left.len() as u64,
        lake.statistics(&events()).await.unwrap().files,
        "maintenance removes orphans: {left:?}"
    );
}

#[tokio::test]
async fn a_file_that_a_killed_writer_was_writing_is_removed_once_it_is_old() {
    let folder = tempfile::tempdir().unwrap();
    let lake = append(folder.path(), 0..1).await;
    let table = folder.path().join("lake/sources/events");
    // as the object store names a file until it is whole
    let unfinished =
        ["a.parquet#1", "_delta_log/00000000000000000007.json#12", "day=1/b.parquet#3"].map(|name| table.join(name));
    std::fs::create_dir(table.join("day=1")).unwrap();
    for file in &unfinished {
        std::fs::write(file, "PAR1").unwrap();
    }
    let kept = |keep| MaintainOptions { keep, ..MaintainOptions::default() };

    let early = lake.maintain_table(&events(), &kept(jiff::SignedDuration::from_hours(1))).await.unwrap();
    assert_eq!(early.files_removed, 0, "a writer may still be at work");
    assert!(unfinished.iter().all(|file| file.exists()));

    let late = lake.maintain_table(&events(), &kept(jiff::SignedDuration::ZERO)).await.unwrap();
    assert_eq!(late.files_removed, 3);
    assert!(!unfinished.iter().any(|file| file.exists()));
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 300);
}
