//! What is refused, and in which words.

use arrow::array::{Float64Array, Int32Array};

use super::*;

#[tokio::test]
async fn a_column_of_another_type_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    let schema = Schema::new(vec![Field::new("id", DataType::Float64, false)]);
    let wrong = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Float64Array::from(vec![1.5]))]).unwrap();

    let error = lake.append(&events(), stream(wrong), id(2)).await.unwrap_err().to_string();

    assert_eq!(
        error,
        "rows cannot be written to table sources.events: column `id` is Int64 in the table and Float64 in the rows; cast it, \
         or give the column another name"
    );
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 10);
}

#[tokio::test]
async fn a_narrower_number_is_widened_and_a_null_where_none_may_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int32, true)]));
    let narrow = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int32Array::from(vec![77]))]).unwrap();
    let null = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int32Array::from(vec![Some(78), None]))]).unwrap();

    lake.append(&events(), stream(narrow.clone()), id(2)).await.unwrap();
    let error = lake.append(&events(), stream_of(schema, vec![narrow, null]), id(3)).await.unwrap_err();

    assert!(matches!(error, Error::Schema { .. }), "{error}");
    assert!(error.to_string().contains("column `id` may not be null, and 1 of 2 rows have no value in it"), "{error}");
    assert_eq!(count(lake.sql("select * from events where id = 77").await.unwrap()).await, 1);
}

#[tokio::test]
async fn a_stream_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let good = rows(0..10, "a");
    let schema = good.schema();
    let broken =
        futures::stream::iter([Ok(good), Err(datafusion::error::DataFusionError::External("torn file".into()))]);
    let broken = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema, broken);

    let error = lake.append(&events(), Box::pin(broken), id(1)).await.unwrap_err();

    assert!(error.to_string().contains("torn file"), "{error}");
    assert!(!lake.exists(&events()).await.unwrap());
    let again = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    assert!(!again.replayed, "a write that failed has not landed");
}

#[tokio::test]
async fn a_table_that_is_not_there_is_told_with_the_nearest_that_is() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();

    for (query, told) in [
        ("select * from sources.event", "there is no table event; did you mean sources.events?"),
        ("select * from evens", "there is no table evens; did you mean sources.events?"),
        ("select * from features.events", "there is no table features.events; did you mean sources.events?"),
        ("select * from planes", "there is no table planes; tables are made by `mainspring run`"),
        ("select * from \"../../etc\".passwd", "there is no table ../../etc.passwd; tables are made by"),
    ] {
        let error = lake.sql(query).await.unwrap_err();
        assert!(matches!(error, Error::NoTable { .. }), "{error:?}");
        assert!(error.to_string().starts_with(told), "{error}");
    }
    let error = lake.read(&events(), At::Version(99)).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "table sources.events has no version 99 any more or yet; the newest is 0, and old ones are removed by maintenance"
    );
}

#[tokio::test]
async fn queries_that_would_change_something_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    let outside = folder.path().join("out.csv");

    for query in [
        "create table x as select 1".to_owned(),
        "drop table events".to_owned(),
        "insert into events values (1, 'x')".to_owned(),
        format!("copy events to '{}'", outside.display()),
        format!("create external table x stored as csv location '{}'", outside.display()),
        "set datafusion.execution.batch_size = 1".to_owned(),
        "select * from '/etc/passwd'".to_owned(),
    ] {
        assert!(lake.sql(&query).await.is_err(), "{query}");
    }
    assert!(!outside.exists());
}

#[tokio::test]
async fn roots_that_cannot_be_used_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();

    for (root, told) in [
        ("gs://bucket/lake".to_owned(), "the scheme `gs` is not built in"),
        ("s3://key:secret@bucket/lake".to_owned(), "write s3://BUCKET/FOLDER"),
        (file.display().to_string(), "cannot be used"),
        ("file://otherhost/lake".to_owned(), "names no folder of this machine"),
    ] {
        let config = LakeConfig { root, memory_bytes: 64 << 20, spill_dir: folder.path().join("spill"), threads: 1 };
        let error = Lake::open(config).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn key_columns_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    lake.append(&events(), stream(rows(0..1, "a")), id(1)).await.unwrap();

    for (key, told) in [(vec!["no".to_owned()], "key column `no` is not among them"), (vec![], "needs key columns")] {
        let error = lake.replace_keys(&events(), &key, stream(rows(0..1, "b")), id(2)).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_write_that_turns_out_to_have_no_name_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;

    let nameless = lake.append_named_late(&events(), stream(rows(0..10, "a")), async { None }).await.unwrap();

    assert_eq!(nameless, None);
    assert!(!lake.exists(&events()).await.unwrap());
    let left = std::fs::read_dir(folder.path().join("lake/sources/events")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "what was staged is removed");
    let named = lake.append_named_late(&events(), stream(rows(0..10, "a")), async { Some(id(1)) }).await.unwrap();
    let again = lake.append_named_late(&events(), stream(rows(0..10, "a")), async { Some(id(1)) }).await.unwrap();
    assert!(!named.unwrap().replayed && again.unwrap().replayed);
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 10);
}
