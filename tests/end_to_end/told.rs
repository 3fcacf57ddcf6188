//! What people tell a server: what came of predictions, and what is to be known of a version.

use serde_json::{Value, json};

use crate::client::{Manner, ask, get, post};
use crate::harness::Server;
use crate::project::{Project, Ran, order_request};

const MODEL: &str = "models/returns.yaml";
const LABELS: &str = "/api/v1/models/returns/labels";
const VERSION: &str = "/api/v1/models/returns/versions/1";

/// Asks for a prediction, and says what it is called.
async fn predicted(server: &Server) -> String {
    let answer = post(&server.at("/api/v1/endpoints/returns/predict"), &order_request()).await.fine().json();
    answer["predictions"][0]["prediction_id"].as_str().unwrap().to_owned()
}

/// How many predictions have a label, and what the monitor makes of them.
fn performance(project: &Project) -> Value {
    let reports = project.say(&["monitor", "returns", "--json"]).fine().json();
    let reports = reports.as_array().unwrap();
    assert_eq!(reports.len(), 1, "{reports:#?}");
    reports[0]["performance"].clone()
}

#[tokio::test]
async fn labels_pushed_by_the_id_of_their_prediction_are_joined_and_land_once() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let ids = [predicted(&server).await, predicted(&server).await, predicted(&server).await];
    project.wait_for("select count(*) as n from predictions.returns", 3);
    let labels =
        json!({ "labels": [{ "prediction_id": ids[0], "label": true }, { "prediction_id": ids[1], "label": false }] });

    let pushed = post(&server.at(LABELS), &labels).await.fine().json();
    let again = post(&server.at(LABELS), &labels).await.fine().json();

    assert_eq!((pushed, again), (json!({ "given": 2, "landed": 2 }), json!({ "given": 2, "landed": 0 })));
    assert_eq!(project.number("select count(*) as n from monitoring.labels"), 2);
    let found = performance(&project);
    assert_eq!(found["labelled"], 2, "{found:#}");
    assert!(found["metrics"]["auc"].is_number(), "{found:#}");

    let file = project.path().join("labels.jsonl");
    let lines = format!(
        "{}\n\n{}\n",
        json!({ "prediction_id": ids[1], "label": 0 }),
        json!({ "prediction_id": ids[2], "label": 1 })
    );
    project.write("labels.jsonl", lines);
    let from_file = project.say(&["labels", "push", "returns", file.to_str().unwrap(), "--json"]).fine().json();
    assert_eq!(from_file, json!({ "given": 2, "landed": 1 }));
    assert_eq!(performance(&project)["labelled"], 3);
    let audit = project.say(&["list", "audit", "model:returns", "--json"]).fine().json();
    let pushes = audit.as_array().unwrap().iter().filter(|entry| entry["action"] == "labels.push").count();
    assert_eq!(pushes, 3, "{audit:#}");
}

#[tokio::test]
async fn a_label_pushed_by_key_is_joined() {
    let project = Project::trained();
    let server = Server::start(project.path());
    predicted(&server).await;
    project.wait_for("select count(*) as n from predictions.returns", 1);

    post(&server.at(LABELS), &json!({ "labels": [{ "key": { "order_id": "o99999" }, "label": true }] })).await.fine();

    assert_eq!(performance(&project)["labelled"], 1);
}

#[tokio::test]
async fn labels_that_cannot_be_used_are_told_by_row_and_field_and_none_lands() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let good = json!({ "prediction_id": "p", "label": true });
    let many = vec![good.clone(); 10_001];
    for (labels, status, words) in [
        (json!([good, { "label": true }]), 422, "label 2 of those pushed"),
        (json!([good, { "prediction_id": "q", "label": "late" }]), 422, "neither true nor false"),
        (json!([good, { "key": { "order": "o1" }, "label": true }]), 422, "the key is order_id"),
        (json!([good, { "prediction_id": "q", "lable": true }]), 422, "labels[1]"),
        (json!([good, { "prediction_id": "p", "label": false }]), 422, "contradicts label 1"),
        (json!(many), 413, "10000"),
    ] {
        let refused = post(&server.at(LABELS), &json!({ "labels": labels })).await;

        assert_eq!(refused.status, status, "{refused:?}");
        let problem = refused.json();
        assert!(problem["detail"].as_str().unwrap().contains(words), "expected `{words}` in {problem}");
    }
    let body = json!({ "labels": [good] });
    assert_eq!(post(&server.at("/api/v1/models/retruns/labels"), &body).await.status, 404);
    let tables = project.say(&["list", "tables", "--json"]).fine();
    assert!(!tables.out.contains("monitoring.labels"), "{}", tables.out);
}

#[tokio::test]
async fn notes_and_tags_of_a_version_are_kept_and_shown() {
    let project = Project::trained();
    let server = Server::start(project.path());

    let noted = post(&server.at(&format!("{VERSION}/notes")), &json!({ "text": "checked by eye" })).await.fine().json();
    let tag = json!({ "key": "region", "value": "east" });
    let tagged = post(&server.at(&format!("{VERSION}/tags")), &tag).await.fine().json();

    assert_eq!((&noted["notes"][0]["text"], &tagged["tags"]), (&json!("checked by eye"), &json!({ "region": "east" })));
    let listed = project.say(&["list", "versions", "returns", "--json"]).fine().json();
    assert_eq!(listed[0]["notes"][0]["by"]["name"], "local", "{listed:#}");
    assert_eq!(listed[0]["tags"]["region"], "east");
    let page = get(&server.at("/models/returns")).await.fine().text;
    assert!(page.contains("Notes and tags") && page.contains("checked by eye") && page.contains("region"), "{page}");

    let cleared = post(&server.at(&format!("{VERSION}/tags")), &json!({ "key": "region" })).await.fine().json();
    assert_eq!(cleared["tags"], json!({}));
    for (path, body, status) in [
        ("/api/v1/models/returns/versions/9/notes", json!({ "text": "x" }), 404),
        ("/api/v1/models/retruns/versions/1/notes", json!({ "text": "x" }), 404),
        ("/api/v1/models/returns/versions/one/notes", json!({ "text": "x" }), 400),
        ("/api/v1/models/returns/versions/1/notes", json!({ "text": " " }), 422),
        ("/api/v1/models/returns/versions/1/notes", json!({ "txet": "x" }), 422),
        ("/api/v1/models/returns/versions/9/tags", json!({ "key": "k", "value": "v" }), 404),
        ("/api/v1/models/returns/versions/1/tags", json!({ "key": "", "value": "v" }), 422),
    ] {
        let refused = post(&server.at(path), &body).await;
        assert_eq!(refused.status, status, "{path} {body}: {refused:?}");
    }
}

#[tokio::test]
async fn who_may_only_see_tells_nothing() {
    let project = Project::trained();
    let make =
        |name: &str, role: &str| project.say(&["key", "create", name, "--role", role]).fine().out.trim().to_owned();
    let (viewer, editor) = (make("ann", "viewer"), make("bob", "editor"));
    let server = Server::start(project.path());
    let labels = json!({ "labels": [{ "prediction_id": "p", "label": true }] });
    let (note, tag) = (json!({ "text": "fine" }), json!({ "key": "k", "value": "v" }));
    for (path, body) in
        [(LABELS.to_owned(), labels), (format!("{VERSION}/notes"), note), (format!("{VERSION}/tags"), tag)]
    {
        let with = |key| Manner { key: Some(key), ..Manner::default() };

        let refused = ask(&server.at(&path), Some(body.to_string()), with(viewer.as_str())).await;
        let done = ask(&server.at(&path), Some(body.to_string()), with(editor.as_str())).await;

        assert_eq!(refused.status, 403, "{path}: {refused:?}");
        done.fine();
    }
    let denied = project.say(&["list", "audit", "--json"]).fine().json();
    let denied = denied.as_array().unwrap().iter().filter(|entry| entry["outcome"] == "denied").count();
    assert_eq!(denied, 3);
}

#[test]
fn a_run_right_after_an_apply_beside_a_server_runs_what_was_applied() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let mut trees = 60;
    for round in 1..=8 {
        project.edit(MODEL, &format!("trees: {trees}"), &format!("trees: {}", 5 + round));
        trees = 5 + round;

        project.say(&["apply", "--yes"]).fine();
        let said = project.say(&["run", "returns", "--json"]);

        assert!(said.err.contains(&server.url), "{}", said.err);
        let ran = Ran::of(&said).succeeded();
        assert_eq!(ran.task("train", "returns")["state"], "succeeded", "round {round} trained what was applied before");
        assert_eq!(ran.figure("train", "returns", "version") as i64, round + 1);
    }
}

#[test]
fn a_bare_rollback_after_a_named_one_goes_to_what_was_live_before() {
    let project = Project::trained();
    project.edit(MODEL, "trees: 60", "trees: 20");
    project.say(&["apply", "--yes"]).fine();
    project.run().succeeded();
    for (words, live) in [(&["rollback", "returns"][..], 1), (&["rollback", "returns", "--to", "2"], 2)] {
        let said = project.say(words).fine();
        assert!(said.out.contains(&format!("returns {live} is now champion")), "{}", said.out);
    }

    let back = project.say(&["rollback", "returns"]).fine();

    assert!(back.out.contains("returns 1 is now champion"), "{}", back.out);
}
