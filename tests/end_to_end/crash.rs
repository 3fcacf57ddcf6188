//! `kill -9` at random moments: nothing is lost that was promised, nothing is done twice.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::harness::{Server, binary};
use crate::project::{Project, order_request};

/// How often a run is killed.
const KILLS: usize = 8;
/// How often at most, when no run died in its middle before: on a machine that is now slow and now fast, they may all have
/// ended already.
const KILLS_MAX: usize = 24;
/// Rows of a file that is added before each run.
const ROWS: usize = 8_000;
/// Rows of the sample that land.
const SAMPLE: usize = 1_199;
/// Predictions that a server has logged before it is killed.
const WRITTEN: i64 = 100;

/// A seed that a failure prints, so that it can be tried again.
fn seed() -> u64 {
    let given = std::env::var("MAINSPRING_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| jiff::Timestamp::now().as_nanosecond() as u64);
    println!("seed {seed}: MAINSPRING_TEST_SEED={seed} tries the same again");
    seed
}

/// A file of orders whose keys no other file has.
fn orders(file: usize, random: &mut StdRng) -> String {
    let mut text = String::from("order_id,customer,placed_at,channel,items,amount,returned,decided_at\n");
    for row in 0..ROWS {
        let (customer, items) = (random.random_range(0..300), random.random_range(1..6));
        let (day, hour) = (1 + row % 28, row % 24);
        let amount = f64::from(random.random_range(100..9_900)) / 100.0;
        let returned = random.random_bool(0.3);
        writeln!(
            text,
            "f{file}-{row},c{customer:03},2025-03-{day:02}T{hour:02}:{:02}:00Z,web,{items},{amount},{returned},2025-04-{day:02}T18:20:00Z",
            row % 60
        )
        .unwrap();
    }
    text
}

fn rows_and_keys(project: &Project, table: &str) -> (usize, usize) {
    let count = |what: &str| project.number(&format!("select count({what}) as n from {table}")) as usize;
    (count("*"), count("distinct order_id"))
}

#[test]
fn a_run_killed_at_any_moment_is_taken_up_and_lands_everything_once() {
    let mut random = StdRng::seed_from_u64(seed());
    let project = Project::applied();
    let mut files = 0;
    let mut resumed = 0;
    let mut whole = Duration::from_millis(1_500);
    for kill in 0..KILLS_MAX {
        if kill >= KILLS && resumed > 0 {
            break;
        }
        for _ in 0..2 {
            project.write(&format!("data/f{files}.csv"), orders(files, &mut random));
            files += 1;
        }
        // the moments are spread over the whole run, from the first file to the last task
        let moment = whole.mul_f64(random.random_range(0.02..1.0));
        let mut child = binary()
            .arg("-C")
            .arg(project.path())
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(moment);
        child.kill().unwrap();
        let died = !child.wait().unwrap().success();
        // what may be seen right after a crash is whole files, or nothing of them
        if project.say(&["query", "select 1 from sources.orders", "--limit", "1"]).code == 0 {
            let (rows, keys) = rows_and_keys(&project, "sources.orders");
            assert_eq!(rows, keys, "kill {kill} after {moment:?}: no row twice");
            let partial = rows.checked_sub(SAMPLE).map(|rows| rows % ROWS);
            assert!(
                rows % ROWS == 0 || partial == Some(0),
                "kill {kill} after {moment:?}: {rows} rows are no whole files"
            );
        }

        let begun = Instant::now();
        let ran = project.run().succeeded();
        whole = begun.elapsed().max(Duration::from_millis(500));

        let context = format!("kill {kill} after {moment:?} (died: {died}, resumed: {})", ran.resumed());
        resumed += ran.resumed();
        let expected = SAMPLE + files * ROWS;
        assert_eq!(rows_and_keys(&project, "sources.orders"), (expected, expected), "{context}");
        assert_eq!(project.number("select count(*) as n from quarantine.orders"), 1, "{context}");
        let timeline = project.number("select count(*) as n from features.customer_orders");
        assert_eq!(timeline as usize, expected, "{context}: the timeline has every row once");
        project.say(&["audit", "verify"]).fine();
        let again = project.run().succeeded();
        assert!(again.tasks().iter().all(|task| task["state"] == "unchanged"), "{context}: nothing is left to do");
    }
    assert!(resumed > 0, "at least one run died and was taken up again");
}

/// A prediction that was answered.
#[derive(Debug)]
struct Acknowledged {
    asked_at: Instant,
    answered_at: Instant,
    id: String,
}

/// Asks one prediction after another, and keeps those answered.
async fn keep_asking(url: String, acknowledged: Arc<Mutex<Vec<Acknowledged>>>) {
    let client = reqwest::Client::new();
    loop {
        let asked_at = Instant::now();
        let Ok(answer) = client.post(&url).json(&order_request()).send().await else { return };
        let Ok(answer) = answer.json::<Value>().await else { return };
        // what is told to come again later is promised nothing
        if let Some(id) = answer["predictions"][0]["prediction_id"].as_str() {
            let (answered_at, id) = (Instant::now(), id.to_owned());
            acknowledged.lock().unwrap().push(Acknowledged { asked_at, answered_at, id });
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_starts_again_with_every_prediction_that_was_written_and_none_twice() {
    let mut random = StdRng::seed_from_u64(seed());
    let project = Project::trained();
    let count = "select count(*) as n from predictions.returns";
    let (mut lives, mut logged) = (vec![], 0);
    for _ in 0..2 {
        let server = Server::start(project.path());
        let url = server.at("/api/v1/endpoints/returns/predict");
        let acknowledged = Arc::new(Mutex::new(vec![]));
        let clients: Vec<_> = (0..4).map(|_| tokio::spawn(keep_asking(url.clone(), acknowledged.clone()))).collect();
        // the log is written meanwhile, and the kill falls on any moment of it
        project.wait_until(count, |rows| rows >= logged + WRITTEN);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..2_000))).await;
        server.kill();
        for client in clients {
            client.await.unwrap();
        }
        lives.push(std::mem::take(&mut *acknowledged.lock().unwrap()));
        logged = project.number(count);
    }

    // it starts again, and answers, and what it answers is logged behind the rest
    let server = Server::start(project.path());
    let url = server.at("/api/v1/endpoints/returns/predict");
    let last = crate::client::post(&url, &order_request()).await.fine().json();
    let last = last["predictions"][0]["prediction_id"].as_str().unwrap().to_owned();
    let sql = format!("select count(*) as n from predictions.returns where prediction_id = '{last}'");
    project.wait_for(&sql, 1);

    let rows = project.rows("select prediction_id from predictions.returns");
    let logged: BTreeSet<&str> = rows.iter().map(|row| row["prediction_id"].as_str().unwrap()).collect();
    assert_eq!(logged.len(), rows.len(), "no prediction is logged twice");
    // a kill loses the end of what was answered, and nothing from before it: what was answered before another was asked, which
    // is logged, is logged too
    for acknowledged in lives {
        let is_logged = |one: &&Acknowledged| logged.contains(one.id.as_str());
        let last = acknowledged.iter().filter(is_logged).map(|one| one.asked_at).max().expect("some are logged");
        let must: Vec<&Acknowledged> = acknowledged.iter().filter(|one| one.answered_at < last).collect();
        assert!(must.len() as i64 > WRITTEN / 2, "only {} predictions were old enough", must.len());
        let lost: Vec<&&Acknowledged> = must.iter().filter(|one| !logged.contains(one.id.as_str())).collect();
        assert!(lost.is_empty(), "of {} predictions these are lost: {lost:?}", must.len());
    }
    project.say(&["audit", "verify"]).fine();
}
