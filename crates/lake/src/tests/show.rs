//! What there is, asked for in SQL.

use std::collections::BTreeMap;

use arrow::array::AsArray;

use super::*;

/// A column of texts.
async fn texts(frame: DataFrame, column: &str) -> Vec<String> {
    let batches = frame.collect().await.unwrap();
    let columns = batches.iter().map(|batch| batch.column_by_name(column).unwrap().as_string::<i32>());
    columns.flat_map(|texts| texts.iter().flatten().map(str::to_owned)).collect()
}

/// Tables called `events` in two schemas, with other columns each, and one in `features`.
async fn three_tables(lake: &Lake) {
    lake.append(&events(), stream(rows(0..3, "a")), id(1)).await.unwrap();
    let reasons = Arc::new(StringArray::from(vec!["too old"]));
    let refused = RecordBatch::try_from_iter([("reason", reasons as _)]).unwrap();
    lake.append(&"quarantine.events".parse().unwrap(), stream(refused), id(1)).await.unwrap();
    lake.append(&"features.weather".parse().unwrap(), stream(rows(0..3, "a")), id(1)).await.unwrap();
}

#[tokio::test]
async fn tables_are_listed_by_schema_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let none = lake.ask("show tables", &BTreeMap::new()).await.unwrap();
    three_tables(&lake).await;

    let all = lake.ask("SHOW TABLES", &BTreeMap::new()).await.unwrap();

    assert_eq!(count(none).await, 0);
    assert_eq!(texts(all.clone(), "table_schema").await, ["features", "quarantine", "sources"]);
    assert_eq!(texts(all, "table_name").await, ["weather", "events", "events"]);
}

#[tokio::test]
async fn columns_are_those_of_the_table_that_a_query_of_this_name_reads() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    three_tables(&lake).await;

    for (text, columns) in [
        ("show columns from events", &["id", "value"][..]),
        ("SHOW FULL COLUMNS IN EVENTS", &["id", "value"]),
        ("show columns from sources.events", &["id", "value"]),
        ("show columns from quarantine.events", &["reason"]),
        ("show columns from weather", &["id", "value"]),
        ("describe events", &["id", "value"]),
        ("desc quarantine.events", &["reason"]),
    ] {
        let shown = lake.ask(text, &BTreeMap::new()).await.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(texts(shown, "column_name").await, columns, "{text}");
    }
}

#[tokio::test]
async fn columns_of_a_pinned_table_are_those_of_that_version() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let old = lake.append(&events(), stream(rows(0..3, "a")), id(1)).await.unwrap().version;
    let ids = Arc::new(Int64Array::from(vec![7]));
    let more = Arc::new(StringArray::from(vec!["x"]));
    let wider = RecordBatch::try_from_iter([("id", ids as _), ("more", more as _)]).unwrap();
    lake.append(&events(), stream(wider), id(2)).await.unwrap();

    let then = lake.ask("show columns from events", &BTreeMap::from([(events(), old)])).await.unwrap();
    let now = lake.ask("show columns from events", &BTreeMap::new()).await.unwrap();

    assert_eq!(texts(then, "column_name").await, ["id", "value"]);
    assert_eq!(texts(now, "column_name").await, ["id", "value", "more"]);
}

#[tokio::test]
async fn what_cannot_be_shown_says_what_can_and_only_queries_are_run() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    three_tables(&lake).await;

    for (text, words) in [
        ("show columns from evnts", "did you mean sources.events?"),
        ("show tables like 'e%'", "SHOW TABLES lists all tables"),
        ("show functions", "SHOW TABLES lists the tables"),
        ("select * from information_schema.tables", "SHOW TABLES lists the tables"),
        ("drop table events", "DDL"),
        ("explain analyze insert into events select * from events", "DML"),
    ] {
        let error = lake.ask(text, &BTreeMap::new()).await.unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}
