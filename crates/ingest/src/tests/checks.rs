//! Checks: every rule a row broke is named, and each check's severity and `on_fail` are done.

use serde_json::{Value, json};

use super::{House, refusal, source};

fn checked(checks: Value) -> Value {
    source(json!({"checks": checks}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantined_row_names_every_rule_it_broke() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n5,abc\n-1,XY\n,\n");
    let checks = json!([
        {"range": {"column": "id", "min": 0, "max": 10}},
        {"name": "lower", "regex": {"column": "name", "pattern": "^[a-z]+$"}},
        {"in_set": {"column": "name", "values": ["abc", "def"]}, "severity": "warn"},
        {"name": "small", "sql": "id < 4 OR name = 'abc'"},
        {"not_null": ["id", "name"]}
    ]);

    let report = house.ingest(&checked(checks)).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (1, 2));
    let kept = house.texts("SELECT concat(row_number, ': ', rules) FROM quarantine.t ORDER BY row_number").await;
    assert_eq!(kept, ["2: range(id), lower, in_set(name)", "3: not_null(id, name)"]);
    let failed: Vec<(&str, u64)> = report.checks.iter().map(|c| (c.name.as_str(), c.rows_failed)).collect();
    assert_eq!(failed, [("range(id)", 1), ("lower", 1), ("in_set(name)", 1), ("small", 0), ("not_null(id, name)", 1)]);
    assert!(report.checks[0].examples[0].contains("data/a.csv row 2: `id` is -1"), "{:?}", report.checks[0].examples);
    assert!(!report.is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_dropped_or_kept_as_the_check_says() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n-1,b\n-2,c\n");
    let checks = json!([
        {"range": {"column": "id", "min": 0}, "on_fail": "drop"},
        {"in_set": {"column": "name", "values": ["a", "b"]}},
        {"name": "loud", "sql": "name = 'z'", "severity": "warn", "on_fail": "fail"}
    ]);

    let report = house.ingest(&checked(checks)).await;

    assert_eq!((report.rows_landed, report.rows_dropped, report.rows_quarantined), (1, 1, 1));
    assert_eq!(report.checks[2].rows_failed, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_fails_the_file_leaves_nothing_of_it() {
    let house = House::new().await;
    let mut rows = String::from("id,name\nx,quarantined\n");
    for id in 0..50_000 {
        rows.push_str(&format!("{id},a\n"));
    }
    rows.push_str("-7,a\n");
    house.write("data/a.csv", rows);

    let report = house.ingest(&checked(json!([{"range": {"column": "id", "min": 0}, "on_fail": "fail"}]))).await;

    assert!(refusal(&report).contains("row 50002: `id` is -7"), "{}", refusal(&report));
    assert_eq!(report.version, None);
    assert!(!house.lake.exists(&crate::quarantine_name("t").unwrap()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_rows_refuse_the_file_or_only_warn() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n");

    let report = house.ingest(&checked(json!([{"row_count": {"min": 2}}]))).await;
    assert!(refusal(&report).contains("has 1 rows"), "{}", refusal(&report));
    let report = house.ingest(&checked(json!([{"row_count": {"min": 2}, "severity": "warn"}]))).await;

    assert_eq!((report.rows_landed, report.checks[0].passed), (1, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freshness_is_asked_of_the_table_also_when_nothing_came() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name,at\n1,a,2013-01-01T00:00:00Z\n");
    let mut fresh = checked(json!([{"freshness": {"column": "at", "max_age": "1d"}}]));
    fresh["columns"].as_array_mut().unwrap().push(json!({"name": "at", "type": "timestamp"}));

    for _ in 0..2 {
        let report = house.ingest(&fresh).await;
        assert!(!report.checks[0].passed);
        assert!(report.checks[0].examples[0].contains("2013-01-01"), "{:?}", report.checks[0].examples);
    }
    house.write("data/b.csv", format!("id,name,at\n2,b,{}\n", jiff::Timestamp::now()));
    assert!(house.ingest(&fresh).await.checks[0].passed);
    fresh["checks"][0]["on_fail"] = json!("fail");
    house.write("data/c.csv", "id,name,at\n3,a,2013-01-01T00:00:00Z\n");
    assert_eq!(house.ingest(&fresh).await.refused().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_a_table_stands_is_kept_also_when_it_gets_old_by_itself() {
    let house = House::new().await;
    let declared = |max_age: &str| {
        let checks = json!([
            {"name": "recent", "freshness": {"column": "at", "max_age": max_age}},
            {"name": "small", "range": {"column": "id", "max": 5}}
        ]);
        let mut declared = checked(checks);
        declared["columns"].as_array_mut().unwrap().push(json!({"name": "at", "type": "timestamp"}));
        declared
    };
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(2);
    house.write("data/a.csv", format!("id,name,at\n1,a,{at}\n9,b,{at}\n"));
    let standing = async || {
        let judged = house.catalog.get::<crate::JudgedTable>("sources.t").await.unwrap().unwrap().document;
        judged.checks.into_iter().map(|check| (check.name, check.passed)).collect::<Vec<_>>()
    };
    let stands = |recent, small| [("recent".to_owned(), recent), ("small".to_owned(), small)];

    house.ingest(&declared("1h")).await;
    assert_eq!(standing().await, stands(false, false));
    let version = house.catalog.get::<crate::TableVersion>("sources.t@0").await.unwrap().unwrap().document;
    assert!(!version.checks[0].passed, "the landing's own record says so too: {:?}", version.checks);
    // no row came: what rows broke stays told, and the table is judged by the clock
    house.ingest(&declared("1h")).await;
    assert_eq!(standing().await, stands(false, false));

    house.write("data/b.csv", format!("id,name,at\n2,a,{}\n", jiff::Timestamp::now()));
    house.ingest(&declared("1h")).await;
    assert_eq!(standing().await, stands(true, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_columns_land_with_a_profile_that_the_next_file_extends() {
    let house = House::new().await;
    let columns: Vec<String> = (0..1000).map(|column| format!("c{column}")).collect();
    let mut wide = checked(json!([{"freshness": {"column": "at", "max_age": "1d"}}]));
    wide["columns"] = columns.iter().map(|name| json!({"name": name, "type": "float64"})).collect();
    wide["columns"].as_array_mut().unwrap().push(json!({"name": "at", "type": "timestamp"}));
    for (file, shift) in [("data/a.csv", 0.0), ("data/b.csv", 0.5)] {
        let mut text = columns.join(",") + ",at\n";
        for row in 0..800_u32 {
            for column in 0..1000_u32 {
                text.push_str(&format!("{},", f64::from(row * 1000 + column).sqrt() + shift));
            }
            text.push_str(&format!("{}\n", jiff::Timestamp::now()));
        }
        house.write(file, text);

        let report = house.ingest(&wide).await;

        assert_eq!(report.rows_landed, 800);
        assert!(report.checks[0].passed, "the newest time is known: {:?}", report.checks[0].examples);
    }
    assert_eq!(house.integers("SELECT count(*) FROM sources.t").await, [1600]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn derived_columns_see_earlier_ones_and_are_checked() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n2,b\n0,c\n");
    let mut derived = checked(json!([{"range": {"column": "Tens", "max": 15}}]));
    derived["derive"] = json!([
        {"name": "Tens", "type": "int64", "sql": "id * 10"},
        {"name": "share", "type": "float64", "sql": "100 / \"Tens\""}
    ]);

    let report = house.ingest(&derived).await;

    assert_eq!((report.rows_landed, report.rows_quarantined), (1, 2));
    let kept = house.texts("SELECT concat(row_number, ': ', rules) FROM quarantine.t ORDER BY row_number").await;
    assert_eq!(kept, ["2: range(Tens)", "3: derive"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_and_checks_that_do_not_compile_say_where() {
    let house = House::new().await;
    house.write("data/a.csv", "id,name\n1,a\n");
    for (check, words) in [
        (json!({"sql": "idd > 1"}), "idd"),
        (json!({"sql": "id +"}), "`id +` does not compile"),
        (json!({"range": {"column": "name", "min": 1}}), "`name` is string"),
        (json!({"regex": {"column": "name", "pattern": "("}}), "regex"),
        (json!({"range": {"column": "nope", "min": 1}}), "no column `nope`"),
    ] {
        let ingestor = house.ingestor(vec![checked(json!([check]))]);
        let owner = mainspring_catalog::Principal::local_owner();
        let error = ingestor.ingest("t", &owner, &mainspring_lake::NoProgress).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
