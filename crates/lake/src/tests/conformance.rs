//! What every root must do; a new one gets the whole suite with one line.

use std::collections::BTreeMap;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::Int64Type;

use super::*;

/// Runs the suite over lakes that are opened one after another; the number tells them apart.
async fn conforms(root_of: impl Fn(u32) -> String) {
    let spill = tempfile::tempdir().unwrap();
    let open = async |number| open_at(&root_of(number), spill.path()).await;
    every_write_is_a_version_and_lands_once(open(1).await).await;
    rows_added_since_a_version_are_told_from_the_rest(open(2).await).await;
    rows_with_the_same_key_are_replaced_in_one_version(open(3).await).await;
    queries_find_tables_by_bare_name_and_keep_to_their_pins(open(4).await).await;
    a_new_column_is_added_and_older_rows_have_null_in_it(open(5).await).await;
    maintenance_joins_small_files_in_order_and_keeps_the_rows(open(6).await).await;
    a_time_names_the_version_that_stood_then(open(7).await).await;
    rows_that_meet_a_condition_are_deleted(open(8).await).await;
    pages_follow_the_order_of_writing(open(9).await).await;
    a_write_without_rows_is_a_version(open(10).await).await;
    a_long_log_is_trimmed_and_nothing_lands_twice_for_it(open(11).await).await;
}

#[tokio::test]
async fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(|number| folder.path().join(number.to_string()).display().to_string()).await;
}

#[tokio::test]
async fn a_folder_with_an_odd_name_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(|number| folder.path().join(format!("a lake, 100% né[e]?{number}#")).display().to_string()).await;
}

#[tokio::test]
async fn a_file_url_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(|number| format!("file://{}/{number}", folder.path().display())).await;
}

#[tokio::test]
async fn memory_conforms() {
    conforms(|_| "memory://".into()).await;
}

/// On several threads, as the program runs: the reader of Delta's log waits on the thread that asks it, and what answers a
/// request to the bucket must be able to go on elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bucket_conforms() {
    let Some(root) = bucket() else { return };
    conforms(|number| format!("{root}/a lake {number}")).await;
}

async fn every_write_is_a_version_and_lands_once(lake: Lake) {
    let first = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    let second = lake.append(&events(), stream(rows(10..30, "b")), id(2)).await.unwrap();
    let third = lake.append(&events(), stream(rows(30..31, "c")), id(3)).await.unwrap();
    let again = lake.append(&events(), stream(rows(10..30, "b")), id(2)).await.unwrap();
    let last_again = lake.append(&events(), stream(rows(30..31, "c")), id(3)).await.unwrap();

    assert_eq!((first.rows, second.rows, third.rows), (10, 20, 1));
    assert!(second.bytes > 0 && !second.replayed && again.replayed);
    assert_eq!(Committed { replayed: true, ..second.clone() }, again, "a repeated write tells what it did");
    assert_eq!(Committed { replayed: true, ..third }, last_again);
    assert_eq!(lake.landed(&events(), &id(2)).await.unwrap(), Some(second.version));
    assert_eq!(lake.landed(&events(), &id(4)).await.unwrap(), None);
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 31);
    assert_eq!(count(lake.read(&events(), At::Version(first.version)).await.unwrap()).await, 10);
    let statistics = lake.statistics(&events()).await.unwrap();
    assert_eq!((statistics.rows, statistics.files), (31, 3));
    let history = lake.history(&events(), 2).await.unwrap();
    assert_eq!(history.iter().map(|entry| (entry.version, entry.rows_added)).collect::<Vec<_>>(), [(2, 1), (1, 20)]);
}

async fn rows_added_since_a_version_are_told_from_the_rest(lake: Lake) {
    let from = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap().version;
    let to = lake.append(&events(), stream(rows(10..13, "b")), id(2)).await.unwrap().version;

    assert_eq!(count(lake.added_since(&events(), Some(from), to).await.unwrap()).await, 3);
    assert_eq!(count(lake.added_since(&events(), Some(to), to).await.unwrap()).await, 0);
    assert_eq!(count(lake.added_since(&events(), None, to).await.unwrap()).await, 13);

    let keep_all = MaintainOptions::default();
    let compacted = lake.maintain_table(&events(), &keep_all).await.unwrap();
    assert_eq!((compacted.files_before, compacted.files_after), (2, 1));
    assert_eq!(count(lake.added_since(&events(), Some(from), compacted.version).await.unwrap()).await, 3);

    let keep_none = MaintainOptions { keep: jiff::SignedDuration::ZERO, ..MaintainOptions::default() };
    let vacuumed = lake.maintain_table(&events(), &keep_none).await.unwrap();
    let error = lake.added_since(&events(), Some(from), vacuumed.version).await.unwrap_err().to_string();
    assert!(error.contains("compacted files were removed at version 1"), "{error}");
    assert_eq!(count(lake.added_since(&events(), Some(vacuumed.version), vacuumed.version).await.unwrap()).await, 0);

    let rewritten = lake.overwrite(&events(), stream(rows(0..4, "c")), id(3)).await.unwrap().version;
    let error = lake.added_since(&events(), Some(vacuumed.version), rewritten).await.unwrap_err().to_string();
    assert!(error.contains("rows were rewritten"), "{error}");
}

async fn rows_with_the_same_key_are_replaced_in_one_version(lake: Lake) {
    lake.append(&events(), stream(rows(0..10, "old")), id(1)).await.unwrap();
    lake.append(&events(), stream(rows(20..30, "far")), id(2)).await.unwrap();

    let done = lake.replace_keys(&events(), &["id".into()], stream(rows(5..12, "new")), id(3)).await.unwrap();
    let again = lake.replace_keys(&events(), &["id".into()], stream(rows(0..12, "never")), id(3)).await.unwrap();

    assert_eq!((done.version, done.rows, again.replayed), (2, 7, true));
    let mut expected: Vec<(i64, String)> = (0..5).map(|id| (id, "old".into())).collect();
    expected.extend((5..12).map(|id| (id, "new".into())));
    expected.extend((20..30).map(|id| (id, "far".into())));
    assert_eq!(contents(lake.read(&events(), At::Latest).await.unwrap()).await, expected);
    // the file in which no key was met stays as it is
    let last = &lake.history(&events(), 1).await.unwrap()[0];
    assert_eq!((last.files_removed, last.files_added), (1, 2));
}

async fn queries_find_tables_by_bare_name_and_keep_to_their_pins(lake: Lake) {
    let weather: TableName = "features.weather".parse().unwrap();
    lake.append(&weather, stream(rows(0..3, "x")), id(1)).await.unwrap();
    let old = lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap().version;
    let new = lake.append(&events(), stream(rows(10..20, "a")), id(2)).await.unwrap().version;

    assert_eq!(count(lake.sql("select * from weather").await.unwrap()).await, 3);
    assert_eq!(count(lake.sql("select * from features.weather join events using (id)").await.unwrap()).await, 3);
    let pins = BTreeMap::from([(events(), old)]);
    assert_eq!(count(lake.sql_at("select * from sources.events", &pins).await.unwrap()).await, 10);
    let (frame, seen) =
        lake.sql_versions("with w as (select * from weather) select * from w, events", &pins).await.unwrap();
    assert_eq!(count(frame).await, 30);
    assert_eq!(seen, BTreeMap::from([(events(), old), (weather.clone(), 0)]));
    let (_, seen) = lake.sql_versions("select count(*) from events", &BTreeMap::new()).await.unwrap();
    assert_eq!(seen, BTreeMap::from([(events(), new)]));
    assert_eq!(lake.tables().await.unwrap(), [weather, events()]);

    let session = lake.session();
    session.register_batch("own", rows(0..5, "mine")).unwrap();
    let joined = session.sql("select own.value from own join events on own.id = events.id").await.unwrap();
    assert_eq!(count(joined).await, 5);
}

async fn a_new_column_is_added_and_older_rows_have_null_in_it(lake: Lake) {
    lake.append(&events(), stream(rows(0..2, "a")), id(1)).await.unwrap();
    let schema =
        Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("more", DataType::Float64, false)]);
    let wider = RecordBatch::try_new(
        Arc::new(schema),
        vec![Arc::new(Int64Array::from(vec![7])), Arc::new(Float64Array::from(vec![1.5]))],
    )
    .unwrap();

    lake.append(&events(), stream(wider), id(2)).await.unwrap();
    lake.append(&events(), stream(rows(8..9, "narrow")), id(3)).await.unwrap();

    assert_eq!(count(lake.sql("select * from events where more is null").await.unwrap()).await, 3);
    assert_eq!(count(lake.sql("select * from events where more = 1.5 and value is null").await.unwrap()).await, 1);
    assert_eq!(lake.schema(&events(), At::Latest).await.unwrap().fields().len(), 3);
    assert_eq!(lake.schema(&events(), At::Version(0)).await.unwrap().fields().len(), 2);
}

async fn maintenance_joins_small_files_in_order_and_keeps_the_rows(lake: Lake) {
    for sequence in 0..8 {
        lake.append(&events(), stream(rows(sequence * 10..(sequence + 1) * 10, "a")), id(sequence)).await.unwrap();
    }

    let options = MaintainOptions { keep: jiff::SignedDuration::ZERO, ..MaintainOptions::default() };
    let report = lake.maintain(options.clone()).await.unwrap();

    let table = &report.tables[0];
    assert_eq!((table.files_before, table.files_after, table.files_removed), (8, 1, 8));
    assert!(table.bytes_after < table.bytes_before, "{table:?}");
    let rows = lake.scan_rows(&events(), At::Latest, 0, 1000).await.unwrap();
    let ids: Vec<i64> =
        rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(ids, (0..80).collect::<Vec<_>>());
    let history = lake.history(&events(), 100).await.unwrap();
    assert!(history.iter().any(|version| version.operation == "OPTIMIZE"), "{history:?}");
    assert_eq!(history[0].version, table.version);
    // files of old versions are gone, and that is told
    assert!(lake.read(&events(), At::Version(3)).await.unwrap().collect().await.is_err());

    let again = lake.maintain(options).await.unwrap();
    assert_eq!(again.tables[0].version, table.version, "maintenance with nothing to do makes no version");
}

async fn a_time_names_the_version_that_stood_then(lake: Lake) {
    let mut moments = vec![];
    let before = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
    for sequence in 0..5 {
        lake.append(&events(), stream(rows(sequence..sequence + 1, "a")), id(sequence)).await.unwrap();
        moments.push(lake.history(&events(), 1).await.unwrap()[0].at.unwrap());
        // commits are told apart by milliseconds
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    }

    for (version, moment) in moments.into_iter().enumerate() {
        assert_eq!(count(lake.read(&events(), At::Time(moment)).await.unwrap()).await, version + 1);
    }
    assert_eq!(count(lake.read(&events(), At::Time(jiff::Timestamp::MAX)).await.unwrap()).await, 5);
    assert!(matches!(lake.read(&events(), At::Time(before)).await, Err(Error::BeforeFirst { .. })));
}

async fn rows_that_meet_a_condition_are_deleted(lake: Lake) {
    lake.append(&events(), stream(rows(0..10, "a")), id(1)).await.unwrap();
    lake.append(&events(), stream(rows(10..20, "b")), id(2)).await.unwrap();

    lake.delete(&events(), "value = 'a' and id >= 3", id(3)).await.unwrap();
    lake.delete(&events(), "id < 100", id(3)).await.unwrap();

    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 13);
    assert_eq!(count(lake.sql("select * from events where value = 'a'").await.unwrap()).await, 3);
    assert!(lake.delete(&events(), "no_such_column = 1", id(4)).await.is_err());
}

async fn pages_follow_the_order_of_writing(lake: Lake) {
    for sequence in 0..4 {
        lake.append(&events(), stream(rows(sequence * 10..(sequence + 1) * 10, "a")), id(sequence)).await.unwrap();
    }

    for (offset, limit, expected) in [(0, 5, 0..5), (8, 4, 8..12), (25, 100, 25..40), (40, 10, 40..40), (99, 1, 99..99)]
    {
        let page = lake.scan_rows(&events(), At::Latest, offset, limit).await.unwrap();
        let ids: Vec<i64> =
            page.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect();
        assert_eq!(ids, expected.collect::<Vec<_>>(), "{limit} after {offset}");
    }
}

async fn a_write_without_rows_is_a_version(lake: Lake) {
    let made = lake.append(&events(), stream(rows(0..0, "a")), id(1)).await.unwrap();

    assert_eq!((made.version, made.rows, made.bytes), (0, 0, 0));
    assert_eq!(count(lake.sql("select id from events").await.unwrap()).await, 0);
    assert_eq!(lake.statistics(&events()).await.unwrap().files, 0);
    assert!(lake.landed(&events(), &id(1)).await.unwrap().is_some());
}

async fn a_long_log_is_trimmed_and_nothing_lands_twice_for_it(lake: Lake) {
    for sequence in 0..60 {
        lake.append(&events(), stream(rows(sequence..sequence + 1, "a")), id(sequence)).await.unwrap();
    }
    let other = WriteId { app: "other".into(), sequence: 7 };
    lake.append(&events(), stream(rows(60..61, "a")), other.clone()).await.unwrap();

    let options = MaintainOptions { log_entries: 5, ..MaintainOptions::default() };
    lake.maintain(options).await.unwrap();

    assert!(matches!(lake.read(&events(), At::Version(10)).await, Err(Error::NoVersion { version: 10, .. })));
    assert_eq!(count(lake.read(&events(), At::Version(57)).await.unwrap()).await, 58);
    let again = lake.append(&events(), stream(rows(3..4, "a")), id(3)).await.unwrap();
    assert!(again.replayed);
    assert!(lake.append(&events(), stream(rows(60..61, "a")), other).await.unwrap().replayed);
    assert_eq!(count(lake.read(&events(), At::Latest).await.unwrap()).await, 61);
    let told = lake.added_since(&events(), Some(2), 60).await.unwrap_err().to_string();
    assert!(told.contains("its log entry was cleaned up"), "{told}");
}
