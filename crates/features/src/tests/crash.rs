//! `kill -9` while the online store is written.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::shop::{Event, Shop, assert_same};
use super::world::{HOUR, START, block_on};

const FOLDER: &str = "MAINSPRING_TEST_CRASH_FOLDER";
/// What the process below says of each materialisation that it has finished.
const FINISHED: &str = "materialised";

/// Materialises on and on, from where the store is, until it is killed. Does nothing when it is not started by the test below.
#[test]
fn child_that_materialises() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    block_on(async {
        let shop = Shop::open(std::path::Path::new(&folder)).await;
        let state = shop.features.online_state("spending").await.unwrap();
        let mut until = state.and_then(|state| state.until).unwrap_or(START);
        loop {
            shop.materialize(Some(until)).await;
            until += HOUR / 10;
            // The harness may have begun a line.
            let mut output = std::io::stdout().lock();
            writeln!(output, "\n{FINISHED}").unwrap();
            output.flush().unwrap();
        }
    });
}

#[test]
fn killed_materialisation_is_taken_up_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let shop = Shop::open(folder.path()).await;
        let customers = arrow::array::RecordBatch::try_from_iter([
            ("customer", std::sync::Arc::new(arrow::array::StringArray::from(vec!["c1"])) as arrow::array::ArrayRef),
            ("born", std::sync::Arc::new(arrow::array::Int64Array::from(vec![1980]))),
        ])
        .unwrap();
        let table = mainspring_lake::TableName::new("sources", "customers").unwrap();
        let id = mainspring_lake::WriteId { app: "test".into(), sequence: 0 };
        let rows = mainspring_lake::stream_of(customers.schema(), vec![customers]);
        shop.lake.append(&table, rows, id).await.unwrap();
        let events: Vec<_> = (0..20_000_i64)
            .map(|number| Event {
                customer: Some(format!("c{}", number % 40)),
                happened: START + number * HOUR / 100,
                known: START + number * HOUR / 100,
                amount: Some(number as f64 / 3.0),
                item: None,
            })
            .collect();
        shop.add(1, &events).await;
        shop.backfill().await;
    });

    let mut furthest = 0;
    for round in 0..4_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["tests::crash::child_that_materialises", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(said.any(|line| line == FINISHED), "it ended before a materialisation did");
        // Somewhere in one of the next.
        std::thread::sleep(Duration::from_millis(90 + 170 * round));
        child.kill().unwrap();
        child.wait().unwrap();

        block_on(async {
            let shop = Shop::open(folder.path()).await;
            let Some(state) = shop.features.online_state("spending").await.unwrap() else { return };
            let until = state.until.unwrap();
            furthest = furthest.max(until);
            assert_eq!(until, furthest, "a state that was synced is not lost");
            // The other views may be a step behind: brought to the same moment, all agree with the tables.
            shop.materialize(Some(until)).await;
            let rows: Vec<_> = (0..40).map(|c| (Some(format!("c{c}")), until - i64::from(c) * 1_000_000)).collect();
            assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("round {round}"));
        });
    }
    assert!(furthest > START, "no materialisation finished in four rounds");
}
