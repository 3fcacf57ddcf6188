//! Whatever is wrong with a file has a precise outcome, and the table is never half-written.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, LargeStringArray, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use serde_json::json;

use super::{House, refusal, source};

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_with_mark_and_carriage_returns_and_newlines_in_quotes_lands() {
    let house = House::new().await;
    house.write("data/a.csv", b"\xef\xbb\xbfname,id\r\n\"two\r\nlines, and a \"\"quote\"\"\",1\r\n,2\r\nNA,3\r\n");

    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_landed, report.rows_quarantined, report.version), (3, 0, Some(0)));
    let names = house.texts("SELECT name FROM sources.t ORDER BY id").await;
    assert_eq!(names, ["two\r\nlines, and a \"quote\"", "null", "null"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_rows_cost_themselves_and_are_kept_with_their_text() {
    let house = House::new().await;
    house.write("data/a.csv", b"id,name\n1,a\n2\n3,b,c\n4,\xff\xfe\n5.0,e\n5.5,f\nsix,g\n");

    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_read, report.rows_landed, report.rows_quarantined), (7, 2, 5));
    assert_eq!(house.integers("SELECT id FROM t ORDER BY id").await, [1, 5]);
    let kept = house
        .texts("SELECT concat(row_number, '|', rules, '|', reason, '|', \"row\") FROM quarantine.t ORDER BY row_number")
        .await;
    assert_eq!(
        kept,
        [
            "2|malformed|line 3 has 1 field and the header 2|\"2\"",
            "3|malformed|line 4 has 3 fields and the header 2|\"3,b,c\"",
            "4|malformed|line 5, byte 3: not UTF-8|\"4,\u{fffd}\u{fffd}\"",
            "6|type|`id` is 5.5, which is not int64|{\"id\":\"5.5\",\"name\":\"f\"}",
            "7|type|`id` is six, which is not int64|{\"id\":\"six\",\"name\":\"g\"}",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_with_other_columns_are_refused_by_name() {
    for (content, words) in [
        ("id\n1\n", "has no column `name`"),
        ("id,nme\n1,a\n", "it has `nme`"),
        ("id;name\n1;a\n", "parted by ';'"),
        ("id,name,extra\n1,a,b\n", "does not declare: `extra`"),
        ("id,name,id\n1,a,2\n", "two columns called `id`"),
        ("", "is empty"),
        ("\u{1f}", "has no column"),
    ] {
        let house = House::new().await;
        house.write("data/a.csv", content);

        let report = house.ingest(&source(json!({}))).await;

        assert!(refusal(&report).contains(words), "{content:?}: {}", refusal(&report));
        assert_eq!((report.version, report.rows_read), (None, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn extra_columns_may_be_ignored_and_that_is_said() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name,extra\n1,a,b\n");

    let report = house.ingest(&source(json!({"extra_columns": "ignore"}))).await;

    assert_eq!(report.rows_landed, 1);
    assert!(report.files[0].notes[0].contains("`extra`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_alone_makes_an_empty_table() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n");

    let report = house.ingest(&source(json!({}))).await;

    assert!(report.refused().next().is_none());
    assert_eq!(house.integers("SELECT count(*) FROM t").await, [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_lines_land_with_missing_keys_null_and_bad_lines_kept() {
    let house = House::new().await;
    let lines =
        "{\"id\": 1, \"name\": \"a\"}\n\n{\"id\": 2}\r\n[3]\n{\"id\": 4.0, \"name\": 5}\n{\"id\": \"x\"}\n{\"id\": 6";
    house.write("data/a.jsonl", lines);

    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_read, report.rows_landed, report.rows_quarantined), (6, 3, 3));
    assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["a", "null", "5"]);
    assert_eq!(house.integers("SELECT row_number FROM quarantine.t ORDER BY 1").await, [3, 5, 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undeclared_key_in_the_middle_refuses_a_json_file_whole() {
    let house = House::new().await;
    let mut lines = String::new();
    for id in 0..40_000 {
        lines.push_str(&format!("{{\"id\": {id}, \"name\": \"a\"}}\n"));
    }
    lines.push_str("{\"id\": 1, \"nmae\": \"b\"}\n");
    house.write("data/a.jsonl", lines);

    let report = house.ingest(&source(json!({}))).await;

    assert!(refusal(&report).contains("`nmae`") && refusal(&report).contains("line 40001"), "{}", refusal(&report));
    assert_eq!(report.version, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parquet_columns_come_in_any_order_and_wider_types() {
    let house = House::new().await;
    let names: ArrayRef = Arc::new(LargeStringArray::from(vec!["a", "b", "c"]));
    let ids: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(2.5), None]));
    house.write("data/a.parquet", parquet(vec![("name", names), ("id", ids)]));

    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (2, 1));
    assert_eq!(house.texts("SELECT name FROM t ORDER BY id NULLS LAST").await, ["a", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_parquet_and_another_type_altogether_are_refused() {
    let ids: ArrayRef = Arc::new(Float64Array::from_iter_values((0..50_000).map(f64::from)));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values((0..50_000).map(|i| format!("name {i}"))));
    let whole = parquet(vec![("id", ids), ("name", Arc::clone(&names))]);
    let lists: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>((0..50_000).map(|_| Some(vec![Some(1)]))));
    let mut flipped = whole.clone();
    for byte in &mut flipped[4..60] {
        *byte ^= 0x5a;
    }
    for (content, words) in [
        (whole[..whole.len() / 2].to_vec(), "not a whole Parquet file"),
        (vec![], "is empty"),
        (flipped, "is damaged"),
        (parquet(vec![("id", lists), ("name", names)]), "column `id` is List"),
    ] {
        let house = House::new().await;
        house.write("data/a.parquet", content);

        let report = house.ingest(&source(json!({}))).await;

        assert!(refusal(&report).contains(words), "{words}: {}", refusal(&report));
        assert_eq!(report.version, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_file_among_good_ones_is_refused_alone_and_tried_again() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n");
    house.write("data/b.csv", "id\n2\n");
    house.write("data/c.csv", "id,name\n3,c\n");
    let report = house.ingest(&source(json!({}))).await;
    assert_eq!((report.rows_landed, report.refused().count()), (2, 1));

    house.write("data/b.csv", "id,name\n2,b\n");
    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_landed, report.refused().count()), (1, 0));
    assert_eq!(house.integers("SELECT id FROM t ORDER BY id").await, [1, 2, 3]);
}
