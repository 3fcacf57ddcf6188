//! A source that is declared otherwise has its files read again, or tells what stands against it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType as ArrowType;
use mainspring_catalog::{ListQuery, Principal};
use mainspring_lake::{At, NoProgress, WriteId, stream_of};
use serde_json::{Value, json};

use super::{House, source};
use crate::documents::TableReading;
use crate::{FileOutcome, FileState, IngestReport, IngestedFile, TableVersion};

/// Two files, the later of which replaces a row of the earlier one where there is a key, and one bad row.
async fn landed(declared: &Value) -> House {
    let house = House::new().await;
    house.write("data/b.csv", "id,name\n1,a\n2,b\nx,c\n");
    house.ingest(declared).await;
    house.write("data/a.csv", "id,name\n2,d\n3,e\n");
    house.ingest(declared).await;
    house
}

fn typed(data_type: &str, more: Value) -> Value {
    let mut declared = source(more);
    declared["columns"][0]["type"] = json!(data_type);
    declared
}

impl House {
    async fn columns(&self) -> BTreeMap<String, ArrowType> {
        let schema = self.lake.schema(&crate::table_name("t").unwrap(), At::Latest).await.unwrap();
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    }

    async fn rows(&self) -> Vec<String> {
        self.texts("SELECT concat(CAST(id AS INT), name) FROM t ORDER BY 1").await
    }

    async fn ingest_anew(&self, source: &Value) -> IngestReport {
        let ingestor = self.ingestor(vec![source.clone()]);
        ingestor.ingest_anew("t", &Principal::local_owner(), &NoProgress).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_type_reads_the_files_again_into_one_version() {
    let house = landed(&source(json!({"key": ["id"]}))).await;

    let report = house.ingest(&typed("string", json!({"key": ["id"]}))).await;

    assert_eq!((report.version, report.rows_read, report.rows_landed, report.rows_superseded), (Some(2), 5, 4, 1));
    assert_eq!(house.columns().await["id"], ArrowType::Utf8);
    assert_eq!(house.texts("SELECT concat(id, name) FROM t ORDER BY 1").await, ["1a", "2d", "3e", "xc"]);
    // `x` is a text: the row that was set aside is no longer bad
    assert_eq!(house.integers("SELECT count(*) FROM quarantine.t").await, [0]);
    assert!(report.files[0].notes[0].contains("`id` was int64 and is string now"), "{:?}", report.files);
    let version = house.catalog.get::<TableVersion>("sources.t@2").await.unwrap().unwrap().document;
    assert_eq!((version.rows, version.rows_added), (4, 4));
    assert_eq!(version.files, ["data/b.csv", "data/a.csv"], "in the order in which they landed");
    assert_eq!(version.profile.unwrap().column("id").unwrap().data_type, mainspring_spec::DataType::String);

    let again = house.ingest(&typed("string", json!({"key": ["id"]}))).await;
    assert_eq!((again.version, again.rows_read), (Some(2), 0));
    assert!(again.files.iter().all(|file| file.outcome == FileOutcome::Unchanged), "{:?}", again.files);
    house.write("data/c.csv", "id,name\n1,f\n");
    assert_eq!(house.ingest(&typed("string", json!({"key": ["id"]}))).await.rows_landed, 1);
    // and once more: the order in which files landed is still known
    house.ingest(&typed("float64", json!({"key": ["id"]}))).await;
    assert_eq!(house.rows().await, ["1f", "2d", "3e"]);
    assert_eq!(house.integers("SELECT row_number FROM quarantine.t").await, [3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_key_decides_anew_which_rows_replace_which() {
    let house = landed(&source(json!({}))).await;
    assert_eq!(house.rows().await, ["1a", "2b", "2d", "3e"]);

    house.ingest(&source(json!({"key": ["id"]}))).await;
    assert_eq!(house.rows().await, ["1a", "2d", "3e"]);
    house.ingest(&source(json!({}))).await;

    assert_eq!(house.rows().await, ["1a", "2b", "2d", "3e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn derived_columns_that_come_change_and_go_are_computed_for_all_rows() {
    let house = landed(&source(json!({"key": ["id"]}))).await;
    let derived = |sql: &str| source(json!({"key": ["id"], "derive": [{"name": "more", "type": "int64", "sql": sql}]}));

    house.ingest(&derived("id * 10")).await;
    assert_eq!(house.integers("SELECT more FROM t ORDER BY id").await, [10, 20, 30]);
    house.ingest(&derived("id * 100")).await;
    assert_eq!(house.integers("SELECT more FROM t ORDER BY id").await, [100, 200, 300]);
    house.ingest(&source(json!({"key": ["id"]}))).await;

    assert_eq!(house.columns().await.into_keys().collect::<Vec<_>>(), ["id", "name"]);
    assert_eq!(house.rows().await, ["1a", "2d", "3e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_is_no_longer_declared_leaves_the_table_though_the_files_have_it() {
    let house = landed(&source(json!({"key": ["id"]}))).await;
    let mut narrow = source(json!({"key": ["id"]}));
    narrow["columns"].as_array_mut().unwrap().pop();

    let report = house.ingest(&narrow).await;

    assert_eq!(report.refused().count(), 0, "{:?}", report.files);
    assert_eq!(house.columns().await.into_keys().collect::<Vec<_>>(), ["id"]);
    assert_eq!(house.integers("SELECT id FROM t ORDER BY id").await, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_may_be_null_is_no_reason_to_read_again_and_reads_as_null_where_files_lack_it() {
    let house = landed(&source(json!({}))).await;
    let mut wide = source(json!({}));
    wide["columns"].as_array_mut().unwrap().insert(0, json!({"name": "seats", "type": "int64"}));
    let report = house.ingest(&wide).await;
    assert_eq!(report.rows_read, 0);
    house.write("data/c.csv", "id,name,seats\n4,f,7\n");
    assert_eq!(house.ingest(&wide).await.rows_landed, 1);

    wide["columns"][1]["type"] = json!("float64");
    let report = house.ingest(&wide).await;

    assert_eq!((report.refused().count(), report.rows_landed), (0, 5), "{:?}", report.files);
    assert_eq!(house.integers("SELECT coalesce(seats, -1) FROM t ORDER BY id").await, [-1, -1, -1, -1, 7]);
    // one that may not be null is asked of every file, by its name
    wide["columns"][0]["nullable"] = json!(false);
    wide["columns"].as_array_mut().unwrap().push(json!({"name": "gate", "type": "string", "nullable": false}));
    let report = house.ingest(&wide).await;
    let (_, reason) = report.refused().next().unwrap();
    assert!(reason.contains("has no column `seats`") && reason.contains("stays as it was"), "{reason}");
    assert_eq!(house.integers("SELECT count(*) FROM t").await, [5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_gone_are_named_before_anything_is_written_and_put_back_they_are_read() {
    let house = landed(&source(json!({}))).await;
    std::fs::remove_file(house.folder.path().join("data/b.csv")).unwrap();

    for report in
        [house.ingest(&typed("float64", json!({}))).await, house.ingest_anew(&typed("float64", json!({}))).await]
    {
        let refused: Vec<(&str, &str)> = report.refused().collect();
        let [("data/b.csv", reason)] = refused[..] else { panic!("{refused:?}") };
        assert!(reason.contains("is gone") && reason.contains("put the file back, or take the change"), "{reason}");
        assert!(reason.contains("`id` was int64 and is float64 now"), "{reason}");
        assert_eq!((report.version, report.rows_read, report.files.len()), (Some(1), 0, 1));
    }
    assert_eq!(house.columns().await["id"], ArrowType::Int64);
    let reading = house.catalog.get::<TableReading>("sources.t").await.unwrap().unwrap().document;
    assert_eq!((reading.rereads, reading.under_way), (0, None));
    // the change taken out, all is as before
    assert_eq!(house.ingest(&source(json!({}))).await.rows_read, 0);

    house.write("data/again.csv", "id,name\n1,a\n2,b\nx,c\n");
    let report = house.ingest(&typed("float64", json!({}))).await;

    assert_eq!(report.refused().count(), 0, "{:?}", report.files);
    assert_eq!(house.rows().await, ["1a", "2b", "2d", "3e"]);
    assert_eq!(house.texts("SELECT file FROM quarantine.t").await, ["data/again.csv"]);
    let records = house.catalog.all::<IngestedFile>(ListQuery::default()).await.unwrap();
    let mut names: Vec<String> = records.into_iter().map(|stored| stored.document.uri).collect();
    names.sort();
    assert_eq!(names, ["data/a.csv", "data/again.csv"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_that_was_written_over_is_given_up_only_when_that_is_asked_for() {
    let keyed = json!({"key": ["id"]});
    let house = landed(&source(keyed.clone())).await;
    house.write("data/b.csv", "id,name\n5,z\n");
    house.ingest(&source(keyed.clone())).await;
    assert_eq!(house.rows().await, ["1a", "2d", "3e", "5z"]);

    let report = house.ingest(&typed("float64", keyed.clone())).await;
    let (file, reason) = report.refused().next().unwrap();
    assert!(file == "data/b.csv" && reason.contains("another content") && reason.contains("--force"), "{reason}");
    assert_eq!(house.rows().await, ["1a", "2d", "3e", "5z"]);

    house.ingest_anew(&typed("float64", keyed.clone())).await;

    assert_eq!(house.rows().await, ["2d", "3e", "5z"]);
    assert_eq!(house.ingest(&typed("int64", keyed)).await.refused().count(), 0, "it is not missed any more");
    assert_eq!(house.rows().await, ["2d", "3e", "5z"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_the_new_reading_refuses_leaves_the_table_and_its_reading_as_they_were() {
    let house = landed(&source(json!({}))).await;
    let strict = json!({"checks": [{"name": "small", "sql": "id < 3", "on_fail": "fail"}]});

    let report = house.ingest(&typed("float64", strict)).await;

    let (file, reason) = report.refused().next().unwrap();
    assert!(file == "data/a.csv" && reason.contains("check `small`") && reason.contains("stays as it was"), "{reason}");
    assert_eq!(house.columns().await["id"], ArrowType::Int64);
    assert_eq!(house.integers("SELECT count(*) FROM quarantine.t").await, [1]);
    assert_eq!(house.ingest(&source(json!({}))).await.rows_read, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_before_readings_were_kept_is_read_again_where_its_columns_tell() {
    let house = landed(&source(json!({}))).await;
    let forget = async || {
        let change = mainspring_catalog::Change::new(&Principal::local_owner(), "test", "test")
            .delete::<TableReading>("sources.t", mainspring_catalog::Expect::Any);
        house.catalog.commit(change).await.unwrap();
    };
    forget().await;
    assert_eq!(house.ingest(&source(json!({}))).await.rows_read, 0);
    forget().await;

    assert_eq!(house.ingest(&typed("float64", json!({}))).await.rows_landed, 4);

    assert_eq!(house.columns().await["id"], ArrowType::Float64);
    let record = house.catalog.all::<IngestedFile>(ListQuery::default()).await.unwrap().remove(0).document;
    let mut old = serde_json::to_value(&record).unwrap();
    old.as_object_mut().unwrap().remove("place");
    old["state"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["rows_dropped", "rows_superseded"].contains(&name.as_str()));
    let old: IngestedFile = serde_json::from_value(old).unwrap();
    assert!(matches!(old.state, FileState::Landed { rows_superseded: 0, .. }), "records of before are read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_clients_pushed_are_not_lost_to_a_change() {
    let house = House::new().await;
    let pushed = |data_type: &str| {
        let mut pushed = typed(data_type, json!({"push": ["t"]}));
        pushed.as_object_mut().unwrap().remove("path");
        pushed
    };
    house.ingest(&pushed("int64")).await;
    // without rows it is made anew
    assert_eq!(house.ingestor(vec![pushed("float64")]).refusal_of_pushed("t").await.unwrap(), None);
    house.ingest(&pushed("float64")).await;
    assert_eq!(house.columns().await["id"], ArrowType::Float64);
    let table = crate::table_name("t").unwrap();
    let declared = serde_json::from_value(pushed("float64")).unwrap();
    let schema = crate::table_schema(&declared);
    let columns = schema.fields().iter().map(|field| arrow::array::new_null_array(field.data_type(), 1)).collect();
    let row = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let id = WriteId { app: crate::pushed_app("t"), sequence: 1 };
    house.lake.append(&table, stream_of(schema, vec![row]), id).await.unwrap();
    house.ingest(&pushed("float64")).await;

    let ingestor = house.ingestor(vec![pushed("int64")]);
    let foretold = ingestor.refusal_of_pushed("t").await.unwrap();
    let error = ingestor.ingest("t", &Principal::local_owner(), &NoProgress).await.unwrap_err().to_string();

    assert!(error.contains("clients pushed") && error.contains("`id` was float64 and is int64 now"), "{error}");
    assert_eq!(foretold.as_ref(), Some(&error));
    assert_eq!(house.ingestor(vec![pushed("float64")]).refusal_of_pushed("t").await.unwrap(), None);
    assert_eq!(house.integers("SELECT count(*) FROM t").await, [1]);
}
