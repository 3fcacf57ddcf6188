//! A project that has outgrown its disk: its raw files, its tables and what clients log lie in a bucket.

use mainspring_objects::Bucket;
use mainspring_objects::testing::bucket;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::json;
use url::Url;

use crate::client::post;
use crate::harness::Server;
use crate::project::Project;

async fn put(place: &str, name: &str, content: Vec<u8>) {
    let bucket = Bucket::open(&Url::parse(place).unwrap()).unwrap();
    bucket.store().put(&bucket.place(&Path::from(name)), content.into()).await.unwrap();
}

#[tokio::test]
async fn a_project_runs_over_a_bucket_as_it_does_over_a_folder() {
    let Some(place) = bucket() else { return };
    let project = Project::template();
    put(&place, "raw/orders.csv", project.read("data/orders.csv").into_bytes()).await;
    std::fs::remove_dir_all(project.path().join("data")).unwrap();
    project.edit("sources/orders.yaml", "path: data/*.csv", &format!("path: {place}/raw/*.csv"));
    let declared = project.read("mainspring.yaml");
    let targets = format!("targets:\n  dev:\n    lake: {place}/lake\n    files: {place}/files\n");
    project.write("mainspring.yaml", format!("{declared}\n{targets}"));

    project.say(&["apply"]).fine();
    project.run().succeeded();
    let again = project.run();

    again.succeeded();
    assert!(!project.path().join(".mainspring/lake").exists(), "nothing of the tables is on this disk");
    let rows = project.number("select count(*) as n from orders");
    assert!(rows > 0);
    project.say(&["maintain"]).fine();
    assert_eq!(project.number("select count(*) as n from orders"), rows);
    let server = Server::start(project.path());
    let row = json!({ "order_id": "o99999", "customer": "c001", "placed_at": "2025-07-01T12:00:00Z", "channel": "web",
        "items": 3, "amount": 99.5 });
    let predict = server.at("/api/v1/endpoints/returns/predict");
    let answered = post(&predict, &json!({ "rows": [row] })).await.fine().json();
    project.wait_for("select count(*) as n from predictions.returns", 1);
    server.kill();
    let server = Server::start(project.path());
    let again = post(&server.at("/api/v1/endpoints/returns/predict"), &json!({ "rows": [row] })).await.fine().json();
    let said = "/predictions/0/prediction";
    assert!(answered.pointer(said).is_some_and(|said| said.is_f64()), "{answered:#}");
    assert_eq!(again.pointer(said), answered.pointer(said));
    assert_eq!(project.number("select count(*) as n from orders"), rows);
}

#[test]
fn a_bucket_that_cannot_be_opened_is_named_with_what_to_set() {
    let project = Project::template();
    let declared = project.read("mainspring.yaml");
    project.write("mainspring.yaml", format!("{declared}\ntargets:\n  dev:\n    lake: gs://elsewhere/lake\n"));

    let refused = project.say(&["validate"]);

    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("gs://elsewhere/lake") && refused.err.contains("s3://BUCKET/FOLDER"),
        "{}",
        refused.err
    );
}
