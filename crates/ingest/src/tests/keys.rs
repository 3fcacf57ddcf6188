//! The same content lands once; keys replace; what is unique stays so.

use mainspring_catalog::{ListQuery, Principal};
use mainspring_lake::NoProgress;
use serde_json::json;

use super::{House, source};
use crate::{FileOutcome, IngestedFile};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_content_lands_once_under_any_name() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n");
    house.ingest(&source(json!({}))).await;
    house.write("data/b.csv", "id,name\n1,a\n");

    let report = house.ingest(&source(json!({}))).await;

    assert!(report.files.iter().all(|file| file.outcome == FileOutcome::Unchanged));
    assert_eq!(house.integers("SELECT count(*) FROM t").await, [1]);
    let records = house.catalog.all::<IngestedFile>(ListQuery::default()).await.unwrap();
    assert_eq!(records.len(), 2);
    assert_eq!(house.ingest(&source(json!({}))).await.version, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_new_files_are_read_and_extend_the_profile() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n2,b\n");
    house.ingest(&source(json!({}))).await;
    house.write("data/b.csv", "id,name\n3,c\n");

    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_read, report.version), (1, Some(1)));
    let version = house.catalog.get::<crate::TableVersion>("sources.t@1").await.unwrap().unwrap().document;
    assert_eq!((version.rows, version.rows_added), (3, 1));
    let profile = version.profile.unwrap();
    assert_eq!(profile.column("id").unwrap().distinct, 3);
    assert_eq!(profile.column("id").unwrap().max, Some(json!(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_row_of_a_key_stays_within_a_file_and_between_files() {
    let house = House::new().await;
    let keyed = source(json!({"key": ["id"]}));
    house.write("data/a.csv", "id,name\n1,a\n2,b\n1,c\n");
    let report = house.ingest(&keyed).await;
    assert_eq!((report.rows_landed, report.rows_superseded), (2, 1));
    house.write("data/b.csv", "id,name\n2,d\n3,e\n");

    house.ingest(&keyed).await;

    assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["c", "d", "e"]);
    let version = house.catalog.get::<crate::TableVersion>("sources.t@1").await.unwrap().unwrap().document;
    assert_eq!((version.rows, version.profile.unwrap().column("name").unwrap().distinct), (3, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_and_changes_back_is_followed_when_keyed() {
    let house = House::new().await;
    let keyed = source(json!({"key": ["id"]}));
    for (name, notes) in [("a", 0), ("b", 1), ("a", 1), ("b", 1)] {
        house.write("data/a.csv", format!("id,name\n1,{name}\n"));
        let report = house.ingest(&keyed).await;
        assert_eq!((report.rows_landed, report.files[0].notes.len()), (1, notes));
        assert_eq!(house.texts("SELECT name FROM t").await, [name]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_null_in_the_key_breaks_the_row() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n,a\n1,b\n");

    let report = house.ingest(&source(json!({"key": ["id"]}))).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (1, 1));
    assert_eq!(house.texts("SELECT reason FROM quarantine.t").await, ["`id` is null"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unique_holds_within_a_file_and_against_the_table_and_the_first_stays() {
    let house = House::new().await;
    let unique = source(json!({"checks": [{"unique": ["id", "name"]}]}));
    house.write("data/a.csv", "id,name\n1,a\n1,b\n1,a\n,a\n,a\n");
    let report = house.ingest(&unique).await;
    assert_eq!((report.rows_landed, report.rows_quarantined), (4, 1));
    house.write("data/b.csv", "id,name\n1,b\n2,b\n");

    let report = house.ingest(&unique).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (1, 1));
    let kept = house.texts("SELECT concat(file, ' ', row_number, ' ', rules) FROM quarantine.t ORDER BY 1").await;
    assert_eq!(kept, ["data/a.csv 3 unique(id, name)", "data/b.csv 1 unique(id, name)"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unique_over_the_key_holds_within_a_file_and_a_later_file_replaces() {
    let house = House::new().await;
    let unique = |more: serde_json::Value| {
        let mut check = json!({"unique": ["id"]});
        check.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        source(json!({"key": ["id"], "checks": [check]}))
    };
    house.write("data/a.csv", "id,name\n1,a\n2,b\n2,c\n");

    let report = house.ingest(&unique(json!({}))).await;

    assert_eq!((report.rows_landed, report.rows_quarantined, report.rows_superseded), (2, 1, 0));
    assert_eq!((report.checks[0].passed, report.checks[0].rows_failed), (false, 1));
    let kept = house.texts("SELECT concat(row_number, ' ', rules, ': ', reason) FROM quarantine.t").await;
    assert_eq!(kept, ["3 unique(id): `id` is 2, and the rule is id unique in a file"]);

    // read three times, as keys of the table come again: the first of each key in the file is taken all the same
    house.write("data/b.csv", "id,name\n2,d\n3,e\n2,f\n3,g\n");
    let report = house.ingest(&unique(json!({"on_fail": "drop"}))).await;
    assert_eq!((report.rows_read, report.rows_landed, report.rows_dropped), (4, 2, 2));
    assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["a", "d", "e"]);

    house.write("data/c.csv", "id,name\n4,h\n4,i\n");
    let report = house.ingest(&unique(json!({"severity": "warn"}))).await;
    assert_eq!((report.rows_landed, report.rows_superseded, report.checks[0].rows_failed), (1, 1, 1));
    assert_eq!(house.texts("SELECT name FROM t WHERE id = 4").await, ["i"]);

    house.write("data/d.csv", "id,name\n5,j\n5,k\n");
    let report = house.ingest(&unique(json!({"on_fail": "fail"}))).await;
    let (_, reason) = report.refused().next().unwrap();
    assert!(reason.contains("breaks check `unique(id)` in row 2"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_gets_another_unique_value_lets_go_of_the_one_it_had() {
    let house = House::new().await;
    let both = source(json!({"key": ["id"], "checks": [{"unique": ["name"]}]}));
    house.write("data/a.csv", "id,name\n1,a\n2,b\n");
    house.ingest(&both).await;
    house.write("data/b.csv", "id,name\n1,c\n2,a\n3,b\n3,c\n");

    let report = house.ingest(&both).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (3, 1));
    assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["c", "a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_replaced_may_keep_its_unique_value() {
    let house = House::new().await;
    let both = source(json!({"key": ["id"], "checks": [{"unique": ["name"]}]}));
    house.write("data/a.csv", "id,name\n1,a\n2,b\n");
    house.ingest(&both).await;
    house.write("data/b.csv", "id,name\n1,a\n2,a\n");

    let report = house.ingest(&both).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (1, 1));
    assert_eq!(house.texts("SELECT name FROM t ORDER BY id").await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_look_into_the_other_table() {
    let house = House::new().await;
    house.write("planes/p.csv", "tail\nN1\nN2\n");
    house.write("data/a.csv", "id,name\n1,N1\n2,N3\n3,\n");
    let planes = json!({"source": "planes", "path": "planes/*.csv", "columns": [{"name": "tail", "type": "string"}]});
    let rule = json!({"columns": ["name"], "source": "planes", "to": ["tail"]});
    let ingestor = house.ingestor(vec![planes, source(json!({"checks": [{"references": rule}]}))]);
    let owner = Principal::local_owner();
    let early = ingestor.ingest("t", &owner, &NoProgress).await.unwrap_err().to_string();
    assert!(early.contains("ingest `planes` first"), "{early}");
    ingestor.ingest("planes", &owner, &NoProgress).await.unwrap();

    let report = ingestor.ingest("t", &owner, &NoProgress).await.unwrap();

    assert_eq!((report.rows_landed, report.rows_quarantined), (2, 1));
    assert_eq!(house.texts("SELECT rules FROM quarantine.t").await, ["references(planes)"]);
}
