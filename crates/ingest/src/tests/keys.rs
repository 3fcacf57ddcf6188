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
