//! Killed at any moment and run again, a file has landed once, and is recorded.

use std::process::Command;
use std::sync::Arc;

use mainspring_catalog::{Catalog, Principal};
use mainspring_lake::NoProgress;
use serde_json::{Value, json};

use super::{House, lake_in, project_in, source};
use crate::{Ingestor, TableVersion};

const FOLDER: &str = "MAINSPRING_TEST_CRASH_FOLDER";
const MOMENT: &str = "MAINSPRING_TEST_CRASH_MOMENT";
const SOURCE: &str = "MAINSPRING_TEST_CRASH_SOURCE";

fn declared() -> Value {
    source(json!({"key": ["id"], "checks": [{"in_set": {"column": "name", "values": ["a", "b"]}}]}))
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(folder), Ok(moment)) = (std::env::var(FOLDER), std::env::var(MOMENT)) else { return };
    let folder = std::path::PathBuf::from(folder);
    let declared = std::env::var(SOURCE).map_or_else(|_| declared(), |json| serde_json::from_str(&json).unwrap());
    let lake = lake_in(&folder).await;
    let catalog = Catalog::open(&format!("sqlite:{}", folder.join(".mainspring/catalog.db").display())).await.unwrap();
    let ingestor =
        Ingestor::new(lake, catalog, project_in(&folder, vec![declared])).with_hook(Arc::new(move |reached| {
            if reached == moment {
                std::process::abort();
            }
        }));
    ingestor.ingest("t", &Principal::local_owner(), &NoProgress).await.unwrap();
}

fn killed_at(house: &House, moment: &str) {
    killed_with(house, moment, &declared());
}

fn killed_with(house: &House, moment: &str, source: &Value) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::crash::child", "--nocapture"])
        .env(FOLDER, house.folder.path())
        .env(MOMENT, moment)
        .env(SOURCE, source.to_string())
        .output()
        .unwrap()
        .status;
    assert!(!status.success(), "the process lived through `{moment}`");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_lands_once_whenever_the_process_is_killed() {
    for moment in ["rows handed over", "table committed", "quarantine committed", "recorded"] {
        let house = House::new().await;
        house.write("data/a.csv", "id,name\n1,a\n2,b\n3,z\n1,b\n");
        killed_at(&house, moment);
        killed_at_if_not_recorded(&house, moment);

        house.ingest(&declared()).await;
        let again = house.ingest(&declared()).await;

        assert_eq!(again.rows_read, 0, "{moment}");
        assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["b", "b"], "{moment}");
        assert_eq!(house.integers("SELECT row_number FROM quarantine.t").await, [3], "{moment}");
        let version = house.catalog.get::<TableVersion>("sources.t@0").await.unwrap().unwrap().document;
        assert_eq!((version.rows, version.rows_added), (2, 2), "{moment}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_files_land_once_through_many_kills() {
    let house = House::new().await;
    for file in 0..12 {
        let rows: String = (0..2_000).map(|row| format!("{},a\n", file * 2_000 + row)).collect();
        house.write(&format!("data/{file:02}.csv"), format!("id,name\n{rows}-{file},z\n"));
    }
    for wait_ms in [60, 110, 170, 240, 320] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crash::child", "--nocapture"])
            .env(FOLDER, house.folder.path())
            .env(MOMENT, "never")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait_ms));
        // SIGKILL; a child that was done already has nothing to lose.
        let _ = child.kill();
        child.wait().unwrap();
    }

    house.ingest(&declared()).await;

    let counts =
        "SELECT count(*) FROM t UNION ALL SELECT count(DISTINCT id) FROM t UNION ALL SELECT count(*) FROM quarantine.t";
    let mut counts = house.integers(counts).await;
    counts.sort_unstable();
    assert_eq!(counts, [12, 24_000, 24_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rereading_is_done_once_whenever_the_process_is_killed_and_whatever_is_declared_then() {
    let typed = |data_type: &str| {
        let mut source = declared();
        source["columns"][0]["type"] = json!(data_type);
        source
    };
    for moment in
        ["reread begun", "rows reread", "table reread", "quarantine reread", "files recorded", "reread recorded"]
    {
        for then in ["float64", "string", "int64"] {
            let house = House::new().await;
            house.write("data/a.csv", "id,name\n1,a\n2,b\n3,z\n");
            house.write("data/b.csv", "id,name\n2,a\n4,z\n");
            house.ingest(&typed("int64")).await;
            killed_with(&house, moment, &typed("float64"));

            house.ingest(&typed(then)).await;
            let again = house.ingest(&typed(then)).await;

            let context = format!("killed at `{moment}`, then {then}");
            assert_eq!(again.rows_read, 0, "{context}");
            let rows = house.texts("SELECT concat(CAST(id AS INT), name) FROM t ORDER BY 1").await;
            assert_eq!(rows, ["1a", "2a"], "{context}");
            let aside = house.texts("SELECT concat(file, row_number) FROM quarantine.t ORDER BY 1").await;
            assert_eq!(aside, ["data/a.csv3", "data/b.csv2"], "{context}");
            // a landing of the reading before is none of this table's
            house.write("data/c.csv", "id,name\n5,a\n");
            assert_eq!(house.ingest(&typed(then)).await.rows_landed, 1, "{context}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_whose_landing_was_not_recorded_lands_in_the_table_made_anew() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n");
    house.ingest(&declared()).await;
    house.write("data/b.csv", "id,name\n2,b\n");
    killed_at(&house, "table committed");
    let mut changed = declared();
    changed["columns"][0]["type"] = json!("float64");

    house.ingest(&changed).await;

    assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["a", "b"]);
    assert_eq!(house.ingest(&changed).await.rows_read, 0);
}

/// A second process dies at the same place, as long as the first left something to do.
fn killed_at_if_not_recorded(house: &House, moment: &str) {
    if moment == "quarantine committed" {
        killed_at(house, moment);
    }
}
