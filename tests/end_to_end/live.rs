//! What is live, who says so, and what is written down of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, Row, SqliteConnection};

use crate::client::{Manner, ask, get, post};
use crate::harness::Server;
use crate::project::{PATIENCE, Project, order_request};

const MODEL: &str = "models/returns.yaml";
const PREDICT: &str = "/api/v1/endpoints/returns/predict";

/// A project whose model has two versions, the second of which is live.
fn with_two_versions() -> Project {
    let project = Project::trained();
    project.edit(MODEL, "trees: 60", "trees: 20");
    project.say(&["apply", "--yes"]).fine();
    let ran = project.run().succeeded();
    assert_eq!(ran.figure("train", "returns", "version") as i64, 2);
    project
}

async fn database(project: &Project) -> SqliteConnection {
    let file = project.path().join(".mainspring/catalog.db");
    SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap()
}

/// The newest audit entry of an action, as outcome and detail.
async fn newest(project: &Project, action: &str, subject: &str) -> (String, String) {
    let sql = "select outcome, detail from audit where action = ? and subject like ? order by seq desc limit 1";
    let row = sqlx::query(sql).bind(action).bind(subject).fetch_one(&mut database(project).await).await.unwrap();
    (row.get(0), row.get(1))
}

async fn live_version(server: &Server) -> Value {
    post(&server.at(PREDICT), &order_request()).await.fine().json()["version"].clone()
}

async fn wait_for_version(server: &Server, version: u64) {
    let begun = Instant::now();
    loop {
        let answered = post(&server.at(PREDICT), &order_request()).await;
        if answered.json()["version"] == json!(version) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "version {version} did not come live: {answered:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_version_that_misses_a_gate_is_refused_the_alias_and_the_attempt_is_written_down() {
    let project = Project::trained();
    project.edit(MODEL, "{metric: auc, min: 0.55}", "{metric: auc, min: 0.999}");
    project.edit(MODEL, "trees: 60", "trees: 5");
    project.say(&["apply", "--yes"]).fine();

    let trained = project.run().succeeded();
    let refused = project.say(&["promote", "returns", "2"]);

    let promotion = trained.task("train", "returns")["outputs"]["promotion"].as_str().unwrap();
    assert!(promotion.contains("refused"), "{promotion}");
    let missed = trained.task("train", "returns")["outputs"]["gates_missed"].as_str().unwrap();
    assert!(missed.contains("auc is ") && missed.contains("at least 0.999"), "{missed}");
    let listed = project.say(&["list", "versions"]).fine();
    assert!(listed.out.contains("fail: auc is "), "{}", listed.out);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("auc") && refused.err.contains("0.999"), "{}", refused.err);
    let (outcome, detail) = newest(&project, "model.promote", "model:returns@2").await;
    assert!(outcome != "done", "{outcome}: {detail}");
    let server = Server::start(project.path());
    assert_eq!(live_version(&server).await, json!(1), "the version that is live stays");
    project.say(&["audit", "verify"]).fine();
}

#[tokio::test]
async fn promote_and_rollback_switch_a_running_server_and_are_written_down() {
    let project = with_two_versions();
    let server = Server::start(project.path());
    assert_eq!(live_version(&server).await, json!(2));

    project.say(&["rollback", "returns", "--reason", "it was better"]).fine();
    wait_for_version(&server, 1).await;
    let (outcome, detail) = newest(&project, "model.rollback", "model:returns%").await;
    assert!(outcome == "done" && detail.contains("it was better"), "{outcome}: {detail}");

    project.say(&["promote", "returns", "2", "--reason", "it is better now"]).fine();
    wait_for_version(&server, 2).await;
    let (outcome, detail) = newest(&project, "model.promote", "model:returns@2").await;
    assert!(outcome == "done" && detail.contains("it is better now"), "{outcome}: {detail}");

    for words in [&["promote", "returns", "9"][..], &["promote", "retruns", "1"], &["rollback", "returns", "--to", "7"]]
    {
        let refused = project.say(words);
        assert_eq!(refused.code, 1, "{words:?}: {}", refused.out);
        assert!(refused.err.starts_with("error:") && !refused.err.contains("panicked"), "{words:?}: {}", refused.err);
    }
}

#[tokio::test]
async fn a_prediction_that_a_policy_denies_is_written_down_and_one_that_it_allows_is_not() {
    let project = Project::template();
    let forbid = "forbid (principal == User::\"ann\", action == Action::\"endpoint.predict\", resource);\n";
    project.write("policies/default.cedar", project.read("policies/default.cedar") + forbid);
    project.say(&["apply"]).fine();
    project.run().succeeded();
    let key = |name| project.say(&["key", "create", name, "--role", "caller"]).fine().out.trim().to_owned();
    let (ann, bob) = (key("ann"), key("bob"));
    let server = Server::start(project.path());
    for (path, answered) in [(PREDICT, 200), ("/v2/models/returns/infer", 400)] {
        for (key, status) in [(&ann, 403), (&bob, answered)] {
            let manner = Manner { key: Some(key.as_str()), ..Manner::default() };
            let said = ask(&server.at(path), Some(order_request().to_string()), manner).await;
            assert_eq!(said.status, status, "{path}: {said:?}");
        }
    }

    let audit = project.say(&["list", "audit", "endpoint:returns", "--json"]).fine().json();
    let predictions = audit.as_array().unwrap().iter().filter(|entry| entry["action"] == "endpoint.predict");
    let by: Vec<_> = predictions.map(|entry| (&entry["principal"]["name"], &entry["outcome"])).collect();
    assert_eq!(by, [(&json!("ann"), &json!("denied"))], "once a minute, however often it is tried");
    project.say(&["audit", "verify"]).fine();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_versions_under_load_fails_no_request() {
    let project = with_two_versions();
    let server = Server::start(project.path());
    let done = Arc::new(AtomicBool::new(false));
    // the version that each client was answered by last
    let seen: Arc<[AtomicI64; 8]> = Arc::new(std::array::from_fn(|_| AtomicI64::new(2)));
    let clients: Vec<_> = (0..seen.len())
        .map(|client| {
            let (url, done, seen) = (server.at(PREDICT), done.clone(), seen.clone());
            tokio::spawn(async move {
                let http = reqwest::Client::new();
                let (mut answered, mut switches) = (0, 0);
                while !done.load(Ordering::Relaxed) {
                    let answer = http.post(&url).json(&order_request()).send().await.expect("the server answers");
                    assert_eq!(answer.status(), 200);
                    let answer: Value = answer.json().await.unwrap();
                    assert_eq!(answer["degraded"], false, "{answer}");
                    let version = answer["version"].as_i64().unwrap();
                    switches += i32::from(seen[client].swap(version, Ordering::Relaxed) != version);
                    answered += 1;
                }
                (answered, switches)
            })
        })
        .collect();

    for version in ["1", "2", "1", "2", "1"] {
        let path = project.path().to_owned();
        let said =
            tokio::task::spawn_blocking(move || crate::harness::mainspring(&path, &["promote", "returns", version]));
        said.await.unwrap().fine();
        wait_for_version(&server, version.parse().unwrap()).await;
        // each client meets each switch
        let number: i64 = version.parse().unwrap();
        let begun = Instant::now();
        while !seen.iter().all(|last| last.load(Ordering::Relaxed) == number) {
            assert!(!clients.iter().any(tokio::task::JoinHandle::is_finished), "a client was not answered well");
            assert!(begun.elapsed() < PATIENCE, "version {version} did not come to all clients: {seen:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    done.store(true, Ordering::Relaxed);

    let mut answers = 0;
    for client in clients {
        let (answered, switches) = client.await.expect("no request failed");
        assert_eq!(switches, 5, "an answer is of the version before or of the next");
        answers += answered;
    }
    assert!(answers > 100, "{answers} answers are no load");
}

#[tokio::test]
async fn a_prediction_can_be_queried_once_it_is_logged() {
    let project = Project::trained();
    let server = Server::start(project.path());
    for expected in 1..=3 {
        let answer = post(&server.at(PREDICT), &order_request()).await.fine().json();

        let id = answer["predictions"][0]["prediction_id"].as_str().unwrap();
        let sql = format!("select count(*) as n from predictions.returns where prediction_id = '{id}'");
        project.wait_for(&sql, 1);
        assert_eq!(project.number("select count(*) as n from predictions.returns"), expected);
    }
    let rows = project.rows("select endpoint, model_version, caller, channel, amount_per_item, prediction, latency_us from predictions.returns");
    let row = &rows[0];
    assert_eq!(
        (&row["endpoint"], &row["model_version"], &row["channel"]),
        (&json!("returns"), &json!(1), &json!("web"))
    );
    assert!((row["amount_per_item"].as_f64().unwrap() - 99.5 / 3.0).abs() < 1e-9, "{row}");
    assert!(
        row["latency_us"].as_i64().unwrap() > 0 && row["caller"].as_str().is_some_and(|caller| !caller.is_empty()),
        "{row}"
    );
}

#[tokio::test]
async fn the_check_agrees_with_what_was_served_and_finds_a_row_that_was_known_but_not_served() {
    let project = Project::trained();
    let server = Server::start(project.path());
    for customer in 0..30 {
        let mut request = order_request();
        request["rows"][0]["customer"] = json!(format!("c{customer:03}"));
        post(&server.at(PREDICT), &request).await.fine();
    }
    project.wait_for("select count(*) as n from predictions.returns", 30);

    let agrees = project.say(&["features", "check", "--json"]).fine().json();
    let report = &agrees[0]["report"];
    assert_eq!((&report["rows_checked"], &report["values_different"]), (&json!(30), &json!(0)), "{report:#}");

    // the bug: an order of days before was known, but the online store never had it when it answered
    let header = "order_id,customer,placed_at,channel,items,amount,returned,decided_at";
    let row = "late1,c007,2025-07-05T12:00:00Z,web,1,1000,false,2025-07-20T00:00:00Z";
    project.write("data/late.csv", format!("{header}\n{row}\n"));
    project.run().succeeded();
    let differs = project.say(&["features", "check", "--json"]);

    assert_eq!(differs.code, 1);
    let report = differs.json()[0]["report"].clone();
    let features: Vec<&str> =
        report["mismatches"].as_array().unwrap().iter().map(|found| found["feature"].as_str().unwrap()).collect();
    assert_eq!(features, ["amount_mean_30d", "orders_30d", "orders_7d"], "{report:#}");
    let shown = project.say(&["features", "check"]);
    assert!(shown.code == 1 && shown.out.contains("orders_7d"), "{}", shown.out);
}

#[tokio::test]
async fn the_check_agrees_after_a_window_was_added_and_a_plain_table_fails_no_run() {
    let project = Project::trained();
    let server = Server::start(project.path());
    post(&server.at(PREDICT), &order_request()).await.fine();
    project.wait_for("select count(*) as n from predictions.returns", 1);
    project.edit("features/customer.yaml", "windows: [7d, 30d]", "windows: [7d, 30d, 60d]");
    let big = "feature_view: big_orders\nsql: select order_id, placed_at, amount from orders where amount > 50\n\
               event_time: placed_at\n";
    project.write("features/big.yaml", big);
    project.say(&["apply", "--yes"]).fine();

    let ran = project.run().succeeded();
    wait_for_version(&server, 2).await;
    let of_second = "select count(*) as n from predictions.returns where model_version = 2 and orders_60d is not null";
    project.wait_for(of_second, 1);
    let report = project.say(&["features", "check", "--json"]).fine().json()[0]["report"].clone();

    assert!(ran.figure("backfill", "big_orders", "rows") > 0.0);
    assert!(ran.tasks().iter().all(|task| task["task"] != json!({ "kind": "materialize", "name": "big_orders" })));
    assert!(ran.figure("materialize", "customer_orders", "entities") > 0.0, "the rows of 60 days are brought online");
    let counts = ["rows_older", "values_different"].map(|name| report[name].as_i64().unwrap());
    assert_eq!(counts, [0, 0], "{report:#}");
    assert!(report["rows_checked"].as_i64().unwrap() >= 2, "{report:#}");
}

#[tokio::test]
async fn predictions_from_given_inputs_are_no_mismatch() {
    let project = Project::trained();
    let server = Server::start(project.path());
    let metadata = get(&server.at("/v2/models/returns")).await.fine().json();
    let tensor = |input: &Value| {
        let value = if input["datatype"] == "BYTES" { json!("web") } else { json!(3) };
        json!({ "name": input["name"], "datatype": input["datatype"], "shape": [1], "data": [value] })
    };
    let inputs: Vec<Value> = metadata["inputs"].as_array().unwrap().iter().map(tensor).collect();
    post(&server.at("/v2/models/returns/infer"), &json!({ "inputs": inputs })).await.fine();
    post(&server.at(PREDICT), &order_request()).await.fine();
    project.wait_for("select count(*) as n from predictions.returns", 2);

    let report = project.say(&["features", "check", "--json"]).fine().json()[0]["report"].clone();

    let counts =
        ["rows_logged", "rows_given", "rows_checked", "values_different"].map(|name| report[name].as_i64().unwrap());
    assert_eq!(counts, [2, 1, 1, 0], "{report:#}");
}

#[tokio::test]
async fn an_audit_entry_that_was_altered_is_named() {
    let project = Project::trained();
    let whole = project.say(&["audit", "verify", "--json"]).fine();
    assert!(!whole.out.is_empty());
    let mut catalog = database(&project).await;
    let sql = "select seq from audit where action = 'model.promote'";
    let seq: i64 = sqlx::query(sql).fetch_one(&mut catalog).await.unwrap().get(0);
    let alter = "update audit set principal = 'somebody-else' where seq = ?";
    sqlx::query(alter).bind(seq).execute(&mut catalog).await.unwrap();

    let altered = project.say(&["audit", "verify"]);

    assert_eq!(altered.code, 1);
    assert!(altered.out.contains(&seq.to_string()) && altered.out.contains("altered"), "{}", altered.out);
}

#[tokio::test]
async fn an_audit_entry_that_is_missing_is_named() {
    let project = Project::applied();
    project.say(&["run"]).fine();
    let mut catalog = database(&project).await;
    sqlx::query("delete from audit where seq = 5").execute(&mut catalog).await.unwrap();

    let cut = project.say(&["audit", "verify"]);

    assert_eq!(cut.code, 1);
    assert!(cut.out.contains('5') && cut.out.contains("missing"), "{}", cut.out);
}

#[tokio::test]
async fn an_audit_log_whose_newest_entries_are_cut_off_is_noticed() {
    let project = Project::trained();
    let mut catalog = database(&project).await;
    sqlx::query("delete from audit where seq > 10").execute(&mut catalog).await.unwrap();

    let cut = project.say(&["audit", "verify"]);

    assert_eq!(cut.code, 1);
    assert!(cut.out.contains("11"), "{}", cut.out);
}

#[tokio::test]
async fn a_document_changed_behind_the_log_is_noticed() {
    let project = Project::trained();
    let mut catalog = database(&project).await;
    let sql = "update documents set body = replace(body, 'champion', 'champian') where kind = 'alias'";
    let touched = sqlx::query(sql).execute(&mut catalog).await.unwrap().rows_affected();
    assert_eq!(touched, 1);

    let altered = project.say(&["audit", "verify"]);

    assert_eq!(altered.code, 1, "{}", altered.out);
    assert!(altered.out.contains("alias"), "{}", altered.out);
}

#[tokio::test]
async fn a_run_on_a_served_folder_is_done_by_the_server() {
    let project = Project::applied();
    let server = Server::start(project.path());

    let said = project.say(&["run"]).fine();

    assert!(said.err.contains(&server.url), "{}", said.err);
    wait_for_version(&server, 1).await;
}
