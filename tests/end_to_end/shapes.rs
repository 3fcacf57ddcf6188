//! `init --from` on files of several shapes: each validates, plans, applies, trains and serves as it stands.

use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::client::post;
use crate::harness::{Server, mainspring};
use crate::project::{Project, Ran};

/// Makes a project of a file, runs it, and asks for one prediction with the request that `init` names.
async fn from_file(file: &str, text: &str, words: &[&str], request: Option<Value>) -> (Ran, Value) {
    let project = Project::empty();
    project.write(file, text);
    // the file lies beside the project, as a user's would
    let path = project.path().join(file);
    let folder = project.path().join("made");
    let path = path.to_str().unwrap();
    let inside = |words: &[&str]| mainspring(&folder, words);
    let made = inside(&[&["init", "--from", path], words].concat()).fine();

    inside(&["validate"]).fine();
    assert_eq!(inside(&["plan"]).code, 2);
    inside(&["apply"]).fine();
    inside(&["plan"]).fine();
    let ran = Ran::of(&inside(&["run", "--json"])).succeeded();
    let (endpoint, named) = answers_to(&made.err);
    let server = Server::start(&folder);
    let url = server.at(&format!("/api/v1/endpoints/{endpoint}/predict"));
    let answer = post(&url, &request.unwrap_or(named)).await.fine().json();
    assert_eq!((&answer["version"], &answer["degraded"]), (&json!(1), &json!(false)), "{answer}");
    (ran, answer)
}

/// The endpoint and the request that `init` tells of.
fn answers_to(talk: &str) -> (String, Value) {
    let line = talk.lines().find_map(|line| line.strip_prefix("endpoint ")).unwrap_or_else(|| panic!("{talk}"));
    let (endpoint, request) = line.split_once(" answers to: ").unwrap();
    (endpoint.to_owned(), serde_json::from_str(request).unwrap())
}

fn prediction(answer: &Value) -> f64 {
    answer["predictions"][0]["prediction"].as_f64().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn rows_without_a_time_are_split_at_random_and_learned_from() {
    let mut random = StdRng::seed_from_u64(1);
    let mut text = String::from("id,a,b,label\n");
    for id in 0..600 {
        let (a, b): (f64, f64) = (random.random(), random.random());
        writeln!(text, "{id},{a},{b},{}", i32::from(a + 0.2 * b > 0.6)).unwrap();
    }

    let asked = json!({ "rows": [{ "id": 1000, "a": 0.99, "b": 0.9 }] });
    let (ran, answer) = from_file("plain.csv", &text, &[], Some(asked)).await;

    assert!(ran.figure("train", "label", "auc") > 0.9);
    assert!(prediction(&answer) > 0.5, "{answer}");
}

#[tokio::test]
async fn text_categories_are_learned_and_unknown_ones_answered() {
    let mut random = StdRng::seed_from_u64(2);
    let mut text = String::from("customer_id,city,colour,churned\n");
    for id in 0..800 {
        let city = ["Rome", "São Paulo", "\"Oslo, NO\"", "\"New \"\"York\"\"\""][random.random_range(0..4)];
        let share = if city == "Rome" { 0.9 } else { 0.1 };
        let churned = if random.random_bool(share) { "yes" } else { "no" };
        writeln!(text, "C{id:04},{city},{},{churned}", ["red", "blue"][random.random_range(0..2)]).unwrap();
    }
    let asked = |city: &str| json!({ "rows": [{ "customer_id": "C9", "city": city, "colour": "red" }] });

    let (ran, rome) = from_file("people.csv", &text, &["--key", "customer_id"], Some(asked("Rome"))).await;
    let (_, elsewhere) = from_file("people.csv", &text, &["--key", "customer_id"], Some(asked("Atlantis"))).await;

    assert!(ran.figure("train", "churned", "auc") > 0.7);
    assert!(prediction(&rome) > 0.5, "{rome}");
    assert!((0.0..=1.0).contains(&prediction(&elsewhere)), "{elsewhere}");
}

#[tokio::test]
async fn many_nulls_are_no_hindrance_and_a_row_of_nulls_is_answered() {
    let mut random = StdRng::seed_from_u64(3);
    let mut text = String::from("id,at,x,y,note,label\n");
    for id in 0..600 {
        let x: f64 = random.random();
        let shown = if random.random_bool(0.5) { x.to_string() } else { String::new() };
        let y = if random.random_bool(0.05) { "3.5" } else { "NA" };
        writeln!(text, "{id},2024-01-{:02} 10:00:00,{shown},{y},,{}", 1 + id % 28, x > 0.5).unwrap();
    }
    let asked = json!({ "rows": [{ "id": 1, "at": "2024-02-01T00:00:00Z", "x": null, "y": null }] });

    let (ran, answer) = from_file("holes.csv", &text, &["--label", "label"], Some(asked)).await;

    assert!(ran.figure("train", "label", "auc") > 0.6);
    assert!((0.0..=1.0).contains(&prediction(&answer)), "{answer}");
}

#[tokio::test]
async fn a_thousand_columns_are_learned_from() {
    let mut random = StdRng::seed_from_u64(4);
    let names: Vec<String> = (0..999).map(|column| format!("c{column:03}")).collect();
    let mut text = format!("{},label\n", names.join(","));
    for _ in 0..200 {
        let row: Vec<f64> = (0..999).map(|_| f64::from(random.random_range(0..1000)) / 1000.0).collect();
        let cells: Vec<String> = row.iter().map(f64::to_string).collect();
        writeln!(text, "{},{}", cells.join(","), i32::from(row[7] > 0.5)).unwrap();
    }

    let (ran, answer) = from_file("wide.csv", &text, &["--label", "label"], None).await;

    assert!(ran.figure("train", "label", "auc") > 0.9);
    assert!((0.0..=1.0).contains(&prediction(&answer)), "{answer}");
}

#[tokio::test]
async fn classes_of_json_lines_come_with_their_probabilities() {
    let mut random = StdRng::seed_from_u64(5);
    let mut text = String::new();
    for id in 0..600 {
        let x: f64 = random.random();
        let species = if x < 0.33 {
            "adelie"
        } else if x < 0.67 {
            "chinstrap"
        } else {
            "gentoo"
        };
        let at = format!("2024-03-{:02}T08:00:00Z", 1 + id % 28);
        let note = (id % 3 == 0).then_some("seen twice");
        writeln!(text, "{}", json!({ "id": id, "at": at, "x": x, "note": note, "species": species })).unwrap();
    }
    let asked = json!({ "rows": [{ "id": 1, "at": "2024-05-01T00:00:00Z", "x": 0.99, "note": null }] });

    let (ran, answer) = from_file("birds.jsonl", &text, &["--label", "species"], Some(asked)).await;

    assert!(ran.figure("train", "species", "accuracy") > 0.9);
    let first = &answer["predictions"][0];
    assert_eq!(first["class"], "gentoo", "{answer}");
    let shares: Vec<f64> = first["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
    assert_eq!(shares.len(), 3);
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{answer}");
}

#[tokio::test]
async fn an_amount_is_predicted_whatever_its_columns_are_called() {
    let mut random = StdRng::seed_from_u64(6);
    let mut text = String::from("House ID,Area m2,rooms,sold on,price\n");
    for id in 0..600 {
        let area = f64::from(random.random_range(200..2000)) / 10.0;
        let price = area * 3000.0 + random.random_range(-5000.0..5000.0);
        let sold = format!("20{:02}-{:02}-{:02}", 20 + id / 200, 1 + id % 12, 1 + id % 28);
        writeln!(text, "h{id},{area},{},{sold},{price:.2}", random.random_range(1..6)).unwrap();
    }
    let asked =
        json!({ "rows": [{ "House ID": "h", "Area m2": 100.0, "rooms": 3, "sold on": "2023-02-01T00:00:00Z" }] });

    let (ran, answer) = from_file("houses.csv", &text, &["--label", "price", "--key", "House ID"], Some(asked)).await;

    assert!(ran.figure("train", "price", "r2") > 0.9);
    assert!((250_000.0..350_000.0).contains(&prediction(&answer)), "{answer}");
}

#[tokio::test]
async fn local_dates_and_a_label_too_rare_to_judge_by_still_train_and_serve() {
    let mut random = StdRng::seed_from_u64(7);
    let mut text = String::from("when;fee;plan;churned\n");
    for id in 0..300 {
        let (day, month) = (1 + id % 28, 1 + id / 28);
        let plan = ["basic", "plus"][random.random_range(0..2)];
        let churned = if id < 2 { "yes" } else { "no" };
        writeln!(text, "{day:02}/{month:02}/2024;{},5;{plan};{churned}", random.random_range(10..40)).unwrap();
    }

    let (_, answer) = from_file("rare.csv", &text, &["--label", "churned"], None).await;

    assert!((0.0..=1.0).contains(&prediction(&answer)), "{answer}");
}
