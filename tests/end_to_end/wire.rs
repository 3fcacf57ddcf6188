//! The wire: Open Inference Protocol V2, predict, metrics, and who may come in.

use serde_json::{Value, json};

use crate::client::{Manner, ask, get, post};
use crate::harness::Server;
use crate::project::{Project, order, order_request};

const PREDICT: &str = "/api/v1/endpoints/returns/predict";
const INFER: &str = "/v2/models/returns/infer";

fn tensor(name: &str, datatype: &str, data: Value) -> Value {
    json!({ "name": name, "datatype": datatype, "shape": [data.as_array().unwrap().len()], "data": data })
}

/// The fields of `order` as named tensors.
fn fields() -> Vec<Value> {
    vec![
        tensor("customer", "BYTES", json!(["c001"])),
        tensor("placed_at", "BYTES", json!(["2025-07-07T00:00:00Z"])),
        tensor("channel", "BYTES", json!(["web"])),
        tensor("items", "INT64", json!([3])),
        tensor("amount", "FP64", json!([99.5])),
    ]
}

#[tokio::test]
async fn open_inference_describes_server_and_model() {
    let project = Project::trained();
    let server = Server::start(project.path());

    for path in
        ["/v2/health/live", "/v2/health/ready", "/v2/models/returns/ready", "/v2/models/returns/versions/1/ready"]
    {
        get(&server.at(path)).await.fine();
    }
    let about = get(&server.at("/v2")).await.fine().json();
    assert!(about["name"].is_string() && about["version"].is_string() && about["extensions"].is_array(), "{about}");
    let model = get(&server.at("/v2/models/returns")).await.fine().json();
    assert_eq!((&model["name"], &model["versions"]), (&json!("returns"), &json!(["1"])));
    for tensor in model["inputs"].as_array().unwrap().iter().chain(model["outputs"].as_array().unwrap()) {
        assert!(tensor["name"].is_string() && tensor["datatype"].is_string() && tensor["shape"].is_array(), "{tensor}");
    }
    for path in ["/v2/models/retruns", "/v2/models/returns/versions/7", "/v2/models/nothing/ready"] {
        let missing = get(&server.at(path)).await;
        assert_eq!(missing.status, 404, "{path}");
        assert!(missing.json()["error"].is_string(), "{missing:?}");
    }
}

#[tokio::test]
async fn open_inference_and_predict_answer_the_same() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let request =
        json!({ "id": "r-1", "inputs": fields(), "outputs": [{ "name": "prediction" }, { "name": "prediction_id" }] });

    let inferred = post(&server.at(INFER), &request).await.fine().json();
    // without `as_of` both are asked as of now
    let predicted = post(&server.at(PREDICT), &json!({ "rows": [order()] })).await.fine().json();

    assert_eq!(
        (&inferred["model_name"], &inferred["model_version"], &inferred["id"]),
        (&json!("returns"), &json!("1"), &json!("r-1"))
    );
    let outputs = inferred["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 2, "{inferred}");
    assert_eq!((&outputs[0]["datatype"], &outputs[0]["shape"]), (&json!("FP64"), &json!([1])));
    assert_eq!(outputs[0]["data"][0], predicted["predictions"][0]["prediction"]);
    assert_eq!(outputs[1]["data"][0].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn what_is_wrong_with_an_inference_is_said_with_the_right_status() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let without = |name: &str| fields().into_iter().filter(|tensor| tensor["name"] != name).collect::<Vec<_>>();
    let with = |changed: Value| {
        let mut all = without(changed["name"].as_str().unwrap());
        all.push(changed);
        json!({ "inputs": all })
    };
    let wrong_shape = json!({ "name": "items", "datatype": "INT64", "shape": [2], "data": [3] });
    for (body, word) in [
        (json!({ "inputs": without("items") }), "items"),
        (with(wrong_shape), "shape"),
        (with(tensor("items", "INT64", json!(["three"]))), "items"),
        (with(tensor("items", "INT99", json!([3]))), "INT99"),
        (with(tensor("itmes", "INT64", json!([3]))), "itmes"),
        (with(tensor("items", "INT64", json!([3, 4]))), "items"),
        (json!({ "inputs": fields(), "outputs": [{ "name": "oracle" }] }), "oracle"),
        (json!({ "inputs": [] }), ""),
        (json!({}), "inputs"),
    ] {
        let refused = post(&server.at(INFER), &body).await;

        assert_eq!(refused.status, 400, "{body}: {refused:?}");
        let error = refused.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(word), "expected `{word}` in: {error}");
    }
    let broken = ask(&server.at(INFER), Some("{\"inputs\":".into()), Manner::default()).await;
    assert_eq!(broken.status, 400, "{broken:?}");
    assert_eq!(post(&server.at("/v2/models/nothing/infer"), &json!({ "inputs": fields() })).await.status, 404);
}

#[tokio::test]
async fn what_is_wrong_with_a_prediction_is_a_problem_with_the_right_status() {
    let project = Project::template();
    project.write("endpoints/returns.yaml", project.read("endpoints/returns.yaml") + "limits: {rows: 3}\n");
    project.say(&["apply"]).fine();
    project.run().succeeded();
    let server = Server::start(project.path());
    let row = |change: fn(&mut Value)| {
        let mut row = order();
        change(&mut row);
        json!({ "rows": [row] }).to_string()
    };
    let many = json!({ "rows": vec![order(); 4] }).to_string();
    for (endpoint, body, status, word) in [
        ("retruns", order_request().to_string(), 404, "returns"),
        ("returns", row(|row| drop(row.as_object_mut().unwrap().remove("customer"))), 400, "`customer` is missing"),
        ("returns", row(|row| row["custoner"] = json!("c001")), 400, "custoner"),
        ("returns", row(|row| row["items"] = json!("three")), 400, "`items`"),
        ("returns", row(|row| row["placed_at"] = json!("yesterday")), 400, "`placed_at`"),
        ("returns", "{\"rows\":".to_owned(), 400, "cannot be read"),
        ("returns", "[1,2]".to_owned(), 400, "cannot be read"),
        ("returns", json!({ "rows": [order()], "as_of": "once upon a time" }).to_string(), 400, "as_of"),
        ("returns", many, 413, "3"),
    ] {
        let refused =
            ask(&server.at(&format!("/api/v1/endpoints/{endpoint}/predict")), Some(body.clone()), Manner::default())
                .await;

        assert_eq!(refused.status, status, "{body}: {refused:?}");
        assert_eq!(refused.headers["content-type"], "application/problem+json", "{body}");
        let problem = refused.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains(word)),
            "expected `{word}` in: {problem}"
        );
    }
    post(&server.at(PREDICT), &json!({ "rows": vec![order(); 3] })).await.fine();
}

#[tokio::test]
async fn metrics_count_what_was_answered() {
    let project = Project::trained();
    let server = Server::start(project.path());
    for _ in 0..7 {
        post(&server.at(PREDICT), &order_request()).await.fine();
    }

    let metrics = get(&server.at("/metrics")).await.fine();

    assert!(metrics.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(metrics.text.ends_with("# EOF\n"), "{}", metrics.text);
    let counted =
        metrics.text.lines().filter(|line| !line.starts_with('#') && line.contains("returns") && line.ends_with(" 7"));
    assert!(counted.count() > 0, "{}", metrics.text);
    for line in metrics.text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("mainspring_"), "{line}");
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
async fn a_server_answers_only_to_its_own_names() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let named = |host: &'static str| Manner { host: Some(host), ..Manner::default() };

    for path in ["/", "/v2", "/metrics", "/v2/models/returns"] {
        let refused = ask(&server.at(path), None, named("evil.example")).await;
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
        assert!(!refused.text.contains("returns\""), "{refused:?}");
    }
    let body = Some(order_request().to_string());
    assert_eq!(ask(&server.at(PREDICT), body, named("evil.example:7878")).await.status, 403);
    let port = server.url.rsplit(':').next().unwrap();
    let local: &'static str = Box::leak(format!("localhost:{port}").into_boxed_str());
    ask(&server.at("/v2"), None, named(local)).await.fine();
}

#[tokio::test]
async fn keys_open_what_their_role_may_and_wrong_ones_nothing() {
    let project = Project::trained();
    let make =
        |name: &str, role: &str| project.say(&["key", "create", name, "--role", role]).fine().out.trim().to_owned();
    let (owner, caller, gone) = (make("ann", "owner"), make("app", "caller"), make("bob", "owner"));
    project.say(&["key", "revoke", "bob"]).fine();
    let listed = project.say(&["key", "list", "--json"]).fine().out;
    assert!(![&owner, &caller, &gone].iter().any(|key| listed.contains(key.as_str())), "a listing shows no secret");
    let twice = project.say(&["key", "create", "eve", "--role", "king"]);
    assert!(twice.code == 1 && twice.err.contains("king"), "{}", twice.err);

    let server = Server::start(project.path());
    let as_key = |key| Manner { key: Some(key), ..Manner::default() };
    let predict = || Some(order_request().to_string());
    let start = || Some(json!({ "targets": [] }).to_string());
    let runs = server.at("/api/v1/workflows/runs");

    let longer = format!("{owner}0");
    for wrong in ["nope", &gone, &longer, ""] {
        let refused = ask(&server.at(PREDICT), predict(), as_key(wrong)).await;
        assert_eq!(refused.status, 401, "`{wrong}`: {refused:?}");
        assert!(refused.headers.contains_key("www-authenticate"), "{refused:?}");
    }
    ask(&server.at(PREDICT), predict(), as_key(&owner)).await.fine();
    ask(&server.at(PREDICT), predict(), as_key(&caller)).await.fine();
    assert_eq!(ask(&runs, start(), as_key(&caller)).await.status, 403, "who may only ask may not run");
    assert_eq!(ask(&runs, start(), as_key(&owner)).await.status, 202);
    project.wait_for("select count(distinct caller) as n from predictions.returns", 2);
}

#[tokio::test]
async fn paths_that_are_not_there_are_problems() {
    let project = Project::empty();
    let server = Server::start(project.path());

    let missing = get(&server.at("/api/v1/nothing")).await;

    assert_eq!(missing.status, 404);
    assert_eq!(missing.headers["content-type"], "application/problem+json");
    assert_eq!(missing.headers["x-content-type-options"], "nosniff");
}
