//! What the catalog knows of a table after an ingest.

use mainspring_spec::DataType;
use serde_json::json;

use super::{House, source};
use crate::TableVersion;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lineage_profile_and_audit_go_with_the_version() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n2,a\n3,\n");

    house.ingest(&source(json!({}))).await;

    let version = house.catalog.get::<TableVersion>("sources.t@0").await.unwrap().unwrap().document;
    assert_eq!((version.by.as_str(), &version.files[..]), ("user:local", &["data/a.csv".to_owned()][..]));
    let profile = version.profile.unwrap();
    let name = profile.column("name").unwrap();
    assert_eq!((name.data_type, name.nulls, name.distinct), (DataType::String, 1, 1));
    let edges = house.catalog.edges_to("table:sources.t@0").await.unwrap();
    assert!(edges.iter().any(|edge| edge.from == "file:data/a.csv"), "{edges:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_was_removed_is_made_again_from_its_files() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n");
    house.ingest(&source(json!({}))).await;
    std::fs::remove_dir_all(house.folder.path().join(".mainspring/lake/sources/t")).unwrap();
    let lake = super::lake_in(house.folder.path()).await;
    let house = House { lake, ..house };

    let report = house.ingest(&source(json!({}))).await;

    assert_eq!((report.rows_landed, report.version), (1, Some(0)));
}
