//! The real thing: a year of flights through the demo, and what must hold of it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::{Said, copy_folder, mainspring};
use crate::project::Ran;

/// What the demo left behind.
struct Demo {
    folder: PathBuf,
    /// A copy of the folder with its state, to change things in. It is made before anybody looks at the folder: who does makes
    /// and removes files there, which a copy would miss halfway.
    copy: PathBuf,
    said: Said,
    report: Value,
}

/// The first 31 days of July; made once, and then only read.
fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (folder, copy, report) = (base.join("flights"), base.join("flights-moved"), base.join("flights.json"));
        let shown = [folder.to_str().unwrap(), report.to_str().unwrap()];
        let said = mainspring(
            base,
            &["demo", "--once", "--days", "31", "--listen", "127.0.0.1:0", "--dir", shown[0], "--report", shown[1]],
        );
        let report = std::fs::read(&report).unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err));
        let _none_yet = std::fs::remove_dir_all(&copy);
        copy_folder(&folder, &copy);
        Demo { folder, copy, said, report: serde_json::from_slice(&report).unwrap() }
    })
}

fn number(folder: &Path, sql: &str) -> u64 {
    let said = mainspring(folder, &["query", sql, "--json"]).fine();
    let row: Value = serde_json::from_str(said.out.trim()).unwrap();
    row["n"].as_u64().unwrap_or_else(|| panic!("{sql}: {row}"))
}

#[test]
fn the_demo_holds_and_its_figures_are_those_of_the_tables() {
    let Demo { folder, said, report, .. } = demo();
    let figure =
        |path: &str| report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {report:#}"));
    let whole = |path: &str| figure(path) as u64;

    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    assert_eq!((&report["held"], &report["complaints"]), (&Value::Bool(true), &serde_json::json!([])));
    assert!(said.out.contains("Every step held"), "{}", said.out);

    // nothing is lost between files, tables and quarantine
    assert_eq!(whole("/tables/flights/rows_read"), 336_776);
    for table in ["airlines", "airports", "flights", "planes", "weather"] {
        let aside = whole(&format!("/tables/{table}/rows_quarantined"));
        let landed = number(folder, &format!("select count(*) as n from sources.{table}"));
        let read = whole(&format!("/tables/{table}/rows_read"));
        let left_out = ["rows_dropped", "rows_superseded"].map(|rows| whole(&format!("/tables/{table}/{rows}")));
        assert_eq!(landed + aside + left_out.iter().sum::<u64>(), read, "{table}");
        if aside > 0 {
            assert_eq!(number(folder, &format!("select count(*) as n from quarantine.{table}")), aside, "{table}");
        }
    }
    // the rows that the hand-written checks are there for
    let aside: Vec<u64> =
        ["airports", "flights", "planes", "weather"].map(|t| whole(&format!("/tables/{t}/rows_quarantined"))).into();
    assert_eq!(aside, [3, 1, 3, 1]);
    for view in ["airport_departures", "carrier_departures", "weather_at_origin", "plane_facts"] {
        let rows = number(folder, &format!("select count(*) as n from features.{view}"));
        assert_eq!(rows, whole(&format!("/feature_rows/{view}")), "{view}");
    }

    // honest: better than the schedule alone could be, worse than anything that knows the future
    assert!((0.71..0.80).contains(&figure("/test/auc")), "{report:#}");
    assert!(figure("/test/log_loss") < 0.55);
    // a flight of the last evening of June that had not landed by its end is in no part: its label was not known
    let split = ["rows", "validation_rows", "test_rows"].map(|part| whole(&format!("/training/{part}")));
    let labelled =
        |when: &str| number(folder, &format!("select count(*) as n from flights where arr_delay is not null {when}"));
    let border = "timestamp '2013-07-01T00:00:00Z'";
    let before = labelled(&format!("and sched_dep_at - interval '1 hour' < {border} and arr_at <= {border}"));
    let after = labelled(&format!("and sched_dep_at - interval '1 hour' >= {border}"));
    assert_eq!((split[0] + split[1], split[2]), (before, after), "{report:#}");
    assert!(whole("/training/inputs") >= 20);

    // every prediction was made, logged, and is what the offline definition says
    let made = whole("/predictions/made");
    assert!(made > 20_000, "{made}");
    assert_eq!((whole("/predictions/failed"), whole("/predictions/degraded")), (0, 0));
    assert_eq!(number(folder, "select count(*) as n from predictions.arrival_delay"), made);
    assert_eq!(number(folder, "select count(distinct prediction_id) as n from predictions.arrival_delay"), made);
    assert!(figure("/predictions/latency_p50_ms") > 0.0);
    assert!(figure("/predictions/latency_p99_ms") >= figure("/predictions/latency_p50_ms"));
    assert!(whole("/consistency/rows") >= 1_000);
    assert_eq!(whole("/consistency/mismatches"), 0);

    // July is judged when its arrivals are known
    let july = &report["months"][0];
    assert_eq!(july["month"], "2013-07");
    assert_eq!(july["predictions"].as_u64(), Some(made));
    let labelled = july["labelled"].as_u64().unwrap();
    assert!(labelled > made * 9 / 10 && labelled <= made, "{july:#}");
    let auc = july["quality"]["auc"].as_f64().unwrap();
    assert!((0.68..0.80).contains(&auc), "{july:#}");
    assert!(july["drift_psi"].as_f64().is_some_and(|psi| psi > 0.2), "summer is no winter: {july:#}");

    let steps: Vec<&str> =
        report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["declare", "ingest", "features", "train", "serve", "replay", "verify"]);
    assert!(figure("/peak_memory_bytes") < 1e9, "the issue allows 1 GB");
}

#[test]
fn july_judged_again_from_the_log_is_what_the_demo_said() {
    let Demo { folder, report, .. } = demo();

    // the area under the curve, by ranks, in SQL over the log and the truth
    let sql = "with judged as (
            select p.prediction as score, f.arr_delay > 15 as late
            from predictions.arrival_delay p
            join sources.flights f on p.carrier = f.carrier and p.flight = f.flight and p.origin = f.origin
              and p.sched_dep_at = f.sched_dep_at
            where f.arr_delay is not null),
        ranked as (select late, rank() over (order by score) + (count(*) over (partition by score) - 1) / 2.0 as place from judged),
        sums as (select sum(case when late then place end) as places, sum(case when late then 1.0 else 0.0 end) as yes,
            sum(case when late then 0.0 else 1.0 end) as no from ranked)
        select (places - yes * (yes + 1) / 2) / (yes * no) as auc from sums";
    let said = mainspring(folder, &["query", sql, "--json"]);

    if said.err.contains("p.flight") || said.err.contains("p.sched_dep_at") {
        panic!("the log has no key of the observation, so that labels cannot be joined by it: {}", said.err);
    }
    let row: Value = serde_json::from_str(said.fine().out.trim()).unwrap();
    let ours = row["auc"].as_f64().unwrap();
    let told = report["months"][0]["quality"]["auc"].as_f64().unwrap();
    assert!((ours - told).abs() < 1e-9, "recomputed {ours}, told {told}");
}

#[test]
fn learned_on_the_first_four_fifths_of_the_year_it_is_honest_about_the_last() {
    let folder = demo().copy.as_path();
    let model = folder.join("models/arrival_delay.yaml");
    let declared = std::fs::read_to_string(&model).unwrap();
    let changed = declared.replace("  test_from: 2013-07-01T00:00:00Z\n", "  test: 0.2\n");
    assert_ne!(changed, declared);
    std::fs::write(&model, changed).unwrap();
    mainspring(folder, &["apply", "--yes"]).fine();

    let ran = Ran::of(&mainspring(folder, &["run", "model:arrival_delay", "--json"])).succeeded();

    // an independent reference with these features reached 0.719; above 0.80 the future leaked in
    let auc = ran.figure("train", "arrival_delay", "auc");
    assert!((0.71..0.80).contains(&auc), "{auc}");
    let (train, test) =
        (ran.figure("train", "arrival_delay", "train_rows"), ran.figure("train", "arrival_delay", "test_rows"));
    assert!(test / 327_345.0 > 0.19 && test / 327_345.0 < 0.21, "{train} and {test}");
    // a folder that was moved is still whole: nothing is read or computed again
    assert_eq!(ran.task("ingest", "flights")["state"], "unchanged");
    mainspring(folder, &["audit", "verify"]).fine();
}

#[test]
fn the_demo_does_not_touch_a_folder_it_did_not_make() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("thesis.txt"), "years of work").unwrap();

    let shown = folder.path().to_str().unwrap();
    let refused = mainspring(Path::new("."), &["demo", "--once", "--listen", "127.0.0.1:0", "--dir", shown]);

    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("not empty"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(folder.path().join("thesis.txt")).unwrap(), "years of work");
}
