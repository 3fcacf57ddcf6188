//! Bad rows and bad files: each gets its own outcome, and the table is never left half written.

use serde_json::{Value, json};

use crate::project::{Project, Ran};

const HEADER: &str = "order_id,customer,placed_at,channel,items,amount,returned,decided_at";
const ROW: &str = "2025-02-01T01:03:00Z,store,3,42.66,false,2025-02-12T18:20:00Z";
/// Rows of the sample that land.
const SAMPLE: i64 = 1_199;

/// The sample landed; then a file is delivered and ingested.
fn deliver(file: &str, bytes: impl AsRef<[u8]>) -> (Project, Ran) {
    let project = Project::applied();
    project.say(&["run", "orders"]).fine();
    project.write(file, bytes);
    let ran = Ran::of(&project.say(&["run", "orders", "--json"]));
    (project, ran)
}

fn landed(project: &Project) -> i64 {
    let rows = project.number("select count(*) as n from sources.orders");
    let keys = project.number("select count(distinct order_id) as n from sources.orders");
    assert_eq!(rows, keys, "no row lands twice");
    rows
}

/// What the quarantine keeps of a file: row number, rules and reason.
fn set_aside(project: &Project, file: &str) -> Vec<(i64, String, String)> {
    let sql = format!("select row_number, rules, reason from quarantine.orders where file = '{file}' order by 1");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = project.rows(&sql);
    rows.iter().map(|row| (row["row_number"].as_i64().unwrap(), text(&row["rules"]), text(&row["reason"]))).collect()
}

#[track_caller]
fn refused(file: &str, bytes: impl AsRef<[u8]>, words: &[&str]) {
    let (project, ran) = deliver(file, bytes);

    // the sample is there, so what depends on the source goes on with it, and the file is told of
    assert_eq!(ran.state(), "succeeded", "{ran:?}");
    assert_eq!(ran.figure("ingest", "orders", "files_refused") as i64, 1);
    let task = ran.task("ingest", "orders");
    let told = task["outputs"]["refused"].as_str().unwrap();
    assert!(told.contains(file) && words.iter().all(|word| told.contains(word)), "{told}");
    assert!(task["attempts"][0]["log"].to_string().contains(&format!("refused {file}")), "{task:#}");
    assert_eq!(landed(&project), SAMPLE, "a refused file leaves the table as it was");
    assert_eq!(set_aside(&project, file), []);
    // mended, it lands; and the rest of the graph goes on
    std::fs::remove_file(project.path().join(file)).unwrap();
    project.write("data/mended.csv", format!("{HEADER}\nm1,c010,{ROW}\n"));
    project.run().succeeded();
    assert_eq!(landed(&project), SAMPLE + 1);
}

#[track_caller]
fn one_of_two_is_set_aside(file: &str, bytes: impl AsRef<[u8]>, row: i64, rule: &str, words: &str) {
    let (project, ran) = deliver(file, bytes);

    assert_eq!(ran.state(), "succeeded", "{ran:?}");
    assert_eq!(landed(&project), SAMPLE + 1, "the good row lands");
    let aside = set_aside(&project, file);
    assert_eq!(aside.len(), 1, "{aside:?}");
    let (number, rules, reason) = &aside[0];
    assert_eq!((*number, rules.as_str()), (row, rule), "{reason}");
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn a_file_with_a_column_too_many_is_refused_by_the_columns_name() {
    refused("data/more.csv", format!("{HEADER},weight\nx1,c010,{ROW},7\n"), &["`weight`", "extra_columns: ignore"]);
}

#[test]
fn a_file_with_a_column_missing_is_refused_by_the_columns_name() {
    let text =
        "order_id,customer,placed_at,channel,items,amount,returned\nx1,c010,2025-02-01T01:03:00Z,web,3,4.2,false\n";

    refused("data/less.csv", text, &["`decided_at`"]);
}

#[test]
fn an_empty_file_is_refused() {
    refused("data/nothing.csv", "", &[]);
}

#[test]
fn one_refused_file_does_not_hold_up_what_depends_on_the_others() {
    let project = Project::applied();
    project.write("data/bad.csv", "order_id\nx1\n");

    let ran = project.run().succeeded();

    assert_eq!(landed(&project), SAMPLE);
    assert_eq!(ran.figure("ingest", "orders", "files_refused") as i64, 1);
    assert!(ran.figure("train", "returns", "auc") > 0.55, "the rest of the graph went on");
    let again = project.run().succeeded();
    assert_eq!(again.figure("ingest", "orders", "files_refused") as i64, 1, "it is told of as long as it lies there");
}

#[test]
fn a_source_all_of_whose_files_are_refused_fails_at_once() {
    let project = Project::applied();
    project.write("data/orders.csv", "order_id\nx1\n");

    let ran = project.run();

    assert_eq!(ran.state(), "failed");
    assert!(ran.error("ingest", "orders").contains("data/orders.csv"), "{ran:?}");
    let attempts = ran.task("ingest", "orders")["attempts"].as_array().unwrap().len();
    assert_eq!(attempts, 1, "what cannot pass is not tried again");
}

/// A source of small files, applied; `rest` is what its declaration says beside path and columns.
fn points(rest: &str, files: &[(&str, &str)]) -> Project {
    let project = Project::empty();
    project.write("mainspring.yaml", "project: points\n");
    let columns = "columns:\n  - {name: id, type: int64, nullable: false}\n  - {name: x, type: float64}\n";
    project.write("sources/points.yaml", format!("source: points\npath: data/*.csv\n{columns}{rest}"));
    for (file, text) in files {
        project.write(file, text);
    }
    project.say(&["apply"]).fine();
    project
}

#[test]
fn a_refused_file_is_one_alert_until_it_is_mended() {
    let check = "checks:\n  - {range: {column: x, min: 0}, on_fail: fail}\n";
    let project = points(check, &[("data/a.csv", "id,x\n1,0.5\n"), ("data/b.csv", "id,x\n2,-0.5\n")]);
    let alerts_after_a_run = || {
        project.run().succeeded();
        let listed = project.say(&["list", "alerts", "--json"]).fine().json();
        listed.as_array().unwrap().clone()
    };

    let opened = alerts_after_a_run();
    let again = alerts_after_a_run();
    project.write("data/b.csv", "id,x\n2,0.5\n");
    let mended = alerts_after_a_run();

    let [open] = &opened[..] else { panic!("{opened:#?}") };
    assert_eq!((&open["rule"], &open["monitor"]), (&json!("files_refused"), &json!("source:points")));
    assert_eq!((&open["state"], &open["count"]), (&json!("open"), &json!(1)));
    let detail = open["detail"].as_str().unwrap();
    assert!(detail.contains("data/b.csv") && detail.contains("on_fail: fail"), "{detail}");
    let [still] = &again[..] else { panic!("{again:#?}") };
    assert_eq!((&still["id"], &still["state"], &still["count"]), (&open["id"], &json!("open"), &json!(2)));
    let [over] = &mended[..] else { panic!("{mended:#?}") };
    assert_eq!((&over["id"], &over["state"]), (&open["id"], &json!("resolved")));
    assert_eq!(project.number("select count(*) as n from sources.points"), 2);
}

#[test]
fn a_file_tells_how_many_of_its_rows_gave_way_to_later_ones_of_their_key() {
    let project = points("key: [id]\n", &[("data/a.csv", "id,x\n1,0.5\n2,0.5\n1,0.7\n")]);

    project.run().succeeded();

    let files = project.say(&["list", "files", "--json"]).fine().json();
    let rows = ["rows_read", "rows_landed", "rows_superseded", "rows_quarantined"].map(|rows| files[0][rows].as_u64());
    assert_eq!(rows, [3, 2, 1, 0].map(Some), "{files:#}");
}

#[test]
fn a_missing_file_is_not_looked_for_again_and_again() {
    let project = Project::empty();
    project.write("mainspring.yaml", "project: points\n");
    project
        .write("sources/points.yaml", "source: points\npath: data/none.csv\ncolumns:\n  - {name: id, type: int64}\n");
    project.say(&["apply"]).fine();

    let ran = project.run();

    assert_eq!(ran.state(), "failed");
    assert!(ran.error("ingest", "points").contains("there is no such file"), "{ran:?}");
    assert_eq!(ran.task("ingest", "points")["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_row_that_is_not_utf8_is_set_aside_with_its_line() {
    let mut bytes = format!("{HEADER}\nx1,c010,{ROW}\nx2,c").into_bytes();
    bytes.extend(b"\xff\xfe");
    bytes.extend(format!(",{ROW}\n").as_bytes());

    one_of_two_is_set_aside("data/bytes.csv", bytes, 2, "malformed", "line 3");
}

#[test]
fn a_row_with_too_few_fields_is_set_aside_with_its_line() {
    let text = format!("{HEADER}\nx1,c010,2025-02-01T01:03:00Z\nx2,c010,{ROW}\n");

    one_of_two_is_set_aside("data/few.csv", text, 1, "malformed", "line 2 has 3 fields and the header 8");
}

#[test]
fn a_row_with_too_many_fields_is_set_aside_with_its_line() {
    let text = format!("{HEADER}\nx1,c010,{ROW}\nx2,c010,{ROW},7,8\n");

    one_of_two_is_set_aside("data/many.csv", text, 2, "malformed", "line 3 has 10 fields and the header 8");
}

#[test]
fn a_value_of_another_type_sets_its_row_aside() {
    let text = format!("{HEADER}\nx1,c010,{}\nx2,c010,{ROW}\n", ROW.replace("store,3", "store,three"));

    one_of_two_is_set_aside("data/typed.csv", text, 1, "type", "`items` is three");
}

#[test]
fn a_row_tells_of_every_rule_it_breaks() {
    let text = format!("{HEADER}\nx1,c010,{ROW}\nx2,c010,{}\n", ROW.replace("store,3,42.66", "fax,1000,-1"));
    let (project, ran) = deliver("data/rules.csv", text);

    assert_eq!(ran.state(), "succeeded");
    let aside = set_aside(&project, "data/rules.csv");
    let rules = &aside[0].1;
    assert!(["in_set", "range(items)", "range(amount)"].iter().all(|rule| rules.contains(rule)), "{aside:?}");
}

#[test]
fn the_same_file_lands_once_under_whatever_name() {
    let sample = Project::template().read("data/orders.csv");
    let (project, ran) = deliver("data/again.csv", &sample);

    assert_eq!(ran.task("ingest", "orders")["state"], "unchanged");
    assert_eq!(landed(&project), SAMPLE);
    let versions = project.say(&["run", "orders", "--json"]).fine();
    assert_eq!(Ran::of(&versions).figure("ingest", "orders", "rows_read") as i64, 0);
}

#[test]
fn rows_of_a_known_key_replace_the_earlier_ones() {
    let (project, ran) = deliver("data/later.csv", format!("{HEADER}\no00001,c777,{ROW}\n"));

    assert_eq!(ran.state(), "succeeded", "{ran:?}");
    assert_eq!(landed(&project), SAMPLE);
    let rows = project.rows("select customer from sources.orders where order_id = 'o00001'");
    assert_eq!(rows, [json!({ "customer": "c777" })]);
}

#[test]
fn a_source_that_is_declared_otherwise_has_its_files_read_again_or_says_which_are_gone() {
    let project = Project::applied();
    project.say(&["run", "orders"]).fine();
    let before = project.read("sources/orders.yaml");
    let derived = |sql: &str| {
        let derive = format!("derive:\n  - {{name: per_item, type: float64, sql: {sql}}}\nkey: [order_id]\n");
        project.write("sources/orders.yaml", before.replace("key: [order_id]\n", &derive));
        project.say(&["apply", "--yes"]).fine();
        Ran::of(&project.say(&["run", "orders", "--json"]))
    };

    let ran = derived("amount / items");
    assert_eq!(ran.figure("ingest", "orders", "rows_landed") as i64, SAMPLE, "{ran:?}");
    assert_eq!(project.number("select count(*) as n from sources.orders where per_item = amount / items"), SAMPLE);
    let ran = Ran::of(&project.say(&["run", "orders", "--json"]));
    assert_eq!(ran.task("ingest", "orders")["state"], "unchanged");

    let sample = project.read("data/orders.csv");
    std::fs::remove_file(project.path().join("data/orders.csv")).unwrap();
    let ran = derived("amount * 2");
    let error = ran.error("ingest", "orders");
    assert!(error.contains("data/orders.csv is gone") && error.contains("put the file back"), "{error}");
    assert_eq!(project.number("select count(*) as n from sources.orders where per_item = amount / items"), SAMPLE);

    project.write("data/orders.csv", sample);
    Ran::of(&project.say(&["run", "orders", "--json"])).succeeded();
    assert_eq!(project.number("select count(*) as n from sources.orders where per_item = amount * 2"), SAMPLE);
    assert_eq!(landed(&project), SAMPLE);
}

/// Writes a Parquet file with one row, whole or cut short.
fn parquet(length: f64) -> Vec<u8> {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
    use datafusion::parquet::arrow::ArrowWriter;

    let columns: [(&str, ArrayRef); 2] = [
        ("id", Arc::new(Int64Array::from_iter_values(0..1000))),
        ("x", Arc::new(Float64Array::from_iter_values((0..1000).map(f64::from)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = vec![];
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes.truncate((bytes.len() as f64 * length) as usize);
    bytes
}

#[test]
fn a_truncated_parquet_file_is_refused_and_the_whole_one_lands() {
    let project = Project::empty();
    project.write("mainspring.yaml", "project: points\n");
    project.write(
        "sources/points.yaml",
        "source: points\npath: data/*.parquet\ncolumns:\n  - {name: id, type: int64}\n  - {name: x, type: float64}\n",
    );
    project.write("data/good.parquet", parquet(1.0));
    for (file, length) in [("data/cut.parquet", 0.6), ("data/stub.parquet", 0.001)] {
        project.write(file, parquet(length));
    }
    project.say(&["apply"]).fine();

    // the good file is enough for what depends on the source
    let ran = project.run().succeeded();

    assert_eq!(ran.figure("ingest", "points", "files_refused") as i64, 2);
    let log = ran.task("ingest", "points").to_string();
    assert!(log.contains("data/cut.parquet") && log.contains("data/stub.parquet"), "{log}");
    assert_eq!(project.number("select count(*) as n from sources.points"), 1000, "the good file lands, whole, once");
}
