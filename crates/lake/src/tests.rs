use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use super::*;

async fn lake(folder: &std::path::Path) -> Lake {
    Lake::open(LakeConfig {
        root: folder.join("lake").display().to_string(),
        memory_bytes: 256 << 20,
        spill_dir: folder.join("spill"),
        threads: 2,
    })
    .await
    .unwrap()
}

fn rows(ids: std::ops::Range<i64>, value: &str) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("value", DataType::Utf8, true)]);
    let values: Vec<Option<&str>> = ids.clone().map(|_| Some(value)).collect();
    RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(StringArray::from(values))],
    )
    .unwrap()
}

fn id(sequence: i64) -> WriteId {
    WriteId { app: "test".into(), sequence }
}

fn stream(batch: RecordBatch) -> datafusion::physical_plan::SendableRecordBatchStream {
    stream_of(batch.schema(), vec![batch])
}

fn events() -> TableName {
    "sources.events".parse().unwrap()
}

async fn count(frame: datafusion::prelude::DataFrame) -> usize {
    frame.count().await.unwrap()
}

#[tokio::test]
async fn every_write_is_a_version_and_lands_once() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;

    let first = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    let second = lake.append(&events(), stream(rows(10..30, "b")), id(2)).await.unwrap();
    let again = lake.append(&events(), stream(rows(10..30, "b")), id(2)).await.unwrap();

    assert_eq!((first.rows, second.rows), (10, 20));
    assert!(again.replayed && !second.replayed);
    assert_eq!(again.version, second.version);
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 30);
    assert_eq!(count(lake.read(&events(), At::Version(first.version)).await.unwrap()).await, 10);
    assert!(matches!(lake.read(&events(), At::Version(99)).await, Err(Error::NoVersion { version: 99, .. })));
}

#[tokio::test]
async fn another_process_sees_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (lake(folder.path()).await, lake(folder.path()).await);
    one.append(&events(), stream(rows(0..1, "a")), id(1)).await.unwrap();
    assert_eq!(other.version(&events()).await.unwrap(), one.version(&events()).await.unwrap());

    one.append(&events(), stream(rows(1..5, "a")), id(2)).await.unwrap();

    assert_eq!(count(other.sql("select * from events").await.unwrap()).await, 5);
}

#[tokio::test]
async fn rows_added_since_a_version_are_told_from_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let from = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap().version;
    let to = lake.append(&events(), stream(rows(10..13, "b")), id(2)).await.unwrap().version;

    assert_eq!(count(lake.added_since(&events(), Some(from), to).await.unwrap()).await, 3);
    assert_eq!(count(lake.added_since(&events(), Some(to), to).await.unwrap()).await, 0);
    assert_eq!(count(lake.added_since(&events(), None, to).await.unwrap()).await, 13);

    let rewritten = lake.overwrite(&events(), stream(rows(0..4, "c")), id(3)).await.unwrap().version;
    assert!(matches!(lake.added_since(&events(), Some(to), rewritten).await, Err(Error::Rewritten { .. })));
}

#[tokio::test]
async fn rows_with_the_same_key_are_replaced_in_one_version() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    lake.append(&events(), stream(rows(0..10, "old")), id(1)).await.unwrap();

    lake.replace_keys(&events(), &["id".into()], stream(rows(5..12, "new")), id(2)).await.unwrap();
    lake.replace_keys(&events(), &["id".into()], stream(rows(0..12, "never")), id(2)).await.unwrap();

    assert_eq!(count(lake.sql("select * from events").await.unwrap()).await, 12);
    assert_eq!(count(lake.sql("select * from events where value = 'new'").await.unwrap()).await, 7);
    assert_eq!(count(lake.sql("select * from events where value = 'never'").await.unwrap()).await, 0);
}

#[tokio::test]
async fn queries_find_tables_by_bare_name_and_keep_to_their_pins() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let weather: TableName = "features.weather".parse().unwrap();
    lake.append(&weather, stream(rows(0..3, "x")), id(1)).await.unwrap();
    let old = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap().version;
    lake.append(&events(), stream(rows(10..20, "a")), id(2)).await.unwrap();

    assert_eq!(count(lake.sql("select * from weather").await.unwrap()).await, 3);
    assert_eq!(count(lake.sql("select * from features.weather join events using (id)").await.unwrap()).await, 3);
    let pinned = lake.sql_at("select * from sources.events", &BTreeMap::from([(events(), old)])).await.unwrap();
    assert_eq!(count(pinned).await, 10);

    let error = lake.sql("select * from sources.event").await.unwrap_err().to_string();
    assert!(error.contains("did you mean sources.events?"), "{error}");
}

#[tokio::test]
async fn a_column_of_another_type_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    let schema = Schema::new(vec![Field::new("id", DataType::Float64, false)]);
    let wrong = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Float64Array::from(vec![1.5]))]).unwrap();

    let error = lake.append(&events(), stream(wrong), id(2)).await.unwrap_err().to_string();

    assert!(error.contains("`id` is Int64 in the table and Float64 in the rows"), "{error}");
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 10);
}

#[tokio::test]
async fn a_new_column_that_may_be_null_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    lake.append(&events(), stream(rows(0..2, "a")), id(1)).await.unwrap();
    let schema =
        Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("more", DataType::Float64, true)]);
    let wider = RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(Int64Array::from(vec![7])), Arc::new(Float64Array::from(vec![1.5]))],
    )
    .unwrap();

    lake.append(&events(), stream(wider), id(2)).await.unwrap();

    assert_eq!(count(lake.sql("select * from events where more is null").await.unwrap()).await, 2);
    assert_eq!(count(lake.sql("select * from events where more = 1.5 and value is null").await.unwrap()).await, 1);
}

#[tokio::test]
async fn a_stream_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    let good = rows(0..10, "a");
    let schema = good.schema();
    let broken =
        futures::stream::iter([Ok(good), Err(datafusion::error::DataFusionError::External("torn file".into()))]);
    let broken = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, broken);

    let error = lake.append(&events(), Box::pin(broken), id(1)).await.unwrap_err();

    assert!(error.to_string().contains("torn file"), "{error}");
    assert!(!lake.exists(&events()).await.unwrap());
}

#[tokio::test]
async fn maintenance_puts_small_files_together_and_keeps_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let lake = lake(folder.path()).await;
    for sequence in 0..8 {
        lake.append(&events(), stream(rows(sequence * 10..(sequence + 1) * 10, "a")), id(sequence)).await.unwrap();
    }

    let options = MaintainOptions { keep: jiff::SignedDuration::ZERO, ..MaintainOptions::default() };
    let report = lake.maintain(options).await.unwrap();

    let table = &report.tables[0];
    assert_eq!((table.files_before, table.files_after), (8, 1));
    assert!(table.files_removed >= 8, "{table:?}");
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 80);
    let history = lake.history(&events(), 100).await.unwrap();
    assert!(history.iter().any(|version| version.operation == "OPTIMIZE"), "{history:?}");
    assert_eq!(history[0].version, table.version);
}
