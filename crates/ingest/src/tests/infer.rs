//! Inference, on shapes that are not the flights: what is written validates, ingests, and means what was meant.

use std::sync::Arc;

use mainspring_catalog::{Catalog, Principal};
use mainspring_lake::NoProgress;
use mainspring_spec::{DataType, Project, SplitBy, Task};

use super::lake_in;
use crate::infer::{InferOptions, Initialised, init_from};
use crate::{IngestReport, Ingestor};

struct Made {
    folder: tempfile::TempDir,
    made: Initialised,
    project: Project,
    report: IngestReport,
}

async fn make(name: &str, content: &str, options: InferOptions) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    let made = init_from(folder.path(), file.to_str().unwrap(), &options).await.unwrap();
    let project = mainspring_spec::load(folder.path()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let lake = lake_in(folder.path()).await;
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let ingestor = Ingestor::new(lake.clone(), catalog, Arc::new(project.clone()));
    let source = &made.inferred.source.name;
    let report = ingestor.ingest(source, &Principal::local_owner(), &NoProgress).await.unwrap();
    assert!(report.refused().next().is_none() && report.rows_quarantined == 0, "{report:?}");
    assert!(report.checks.iter().all(|check| check.passed), "the file passes its own checks: {:?}", report.checks);
    // The label is what it is said to be.
    let query = format!("SELECT {} AS label FROM {source}", made.inferred.label.sql);
    lake.sql(&query).await.unwrap().collect().await.unwrap();
    Made { folder, made, project, report }
}

fn label(name: &str) -> InferOptions {
    InferOptions { label: Some(name.into()), ..InferOptions::default() }
}

fn keyed(key: &str) -> InferOptions {
    InferOptions { key: vec![key.into()], ..label("y") }
}

fn timed(time: &str) -> InferOptions {
    InferOptions { time: Some(time.into()), ..label("y") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn customers_with_a_time_and_odd_names_and_nulls() {
    let mut csv = String::from("Customer ID;Signed up;Plan;Monthly €;Zip;model;Churned?\n");
    for i in 0..300 {
        let plan = ["basic", "plus", "it's all"][i % 3];
        let fee = if i % 4 == 0 { "?".into() } else { format!("{}.5", i % 50) };
        let churned = if i % 7 == 0 { "yes" } else { "no" };
        csv.push_str(&format!(
            "C{i};2024-01-{:02} {:02}:00:00;{plan};{fee};0{:04};m{};{churned}\n",
            1 + i % 28,
            i % 24,
            i,
            i % 3
        ));
    }

    let Made { made, project, report, folder } = make("customers.csv", &csv, label("Churned?")).await;

    let source = &project.sources["customers"];
    assert_eq!((source.csv.delimiter, source.path.as_str(), report.rows_landed), (';', "customers.csv", 300));
    assert_eq!((&source.key[..], source.event_time.as_deref()), (&["Customer ID".to_owned()][..], Some("Signed up")));
    let types: Vec<DataType> = source.columns.iter().map(|c| c.data_type).collect();
    assert_eq!(types[1..5], [DataType::Timestamp, DataType::String, DataType::Float64, DataType::String]);
    assert_eq!(made.inferred.label.sql, "\"Churned?\" = 'yes'");
    assert_eq!(made.inferred.label.task, Task::Binary);
    assert_eq!(made.inferred.inputs, ["Plan", "Monthly €", "model_given"]);
    assert!(made.request.contains("model_given") && made.request.contains("Signed up"), "{}", made.request);
    let again =
        init_from(folder.path(), folder.path().join("customers.csv").to_str().unwrap(), &label("Churned?")).await;
    assert!(again.unwrap_err().to_string().contains("there already"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flowers_without_time_or_key_in_three_classes() {
    let mut csv = String::from("sepal,petal,species\n");
    for i in 0..150 {
        csv.push_str(&format!(
            "{},{},{}\n",
            4.0 + f64::from(i % 30) / 10.0,
            f64::from(i) / 25.0,
            ["setosa", "versicolor", "virginica"][i as usize / 50]
        ));
    }

    let Made { made, project, .. } = make("iris.csv", &csv, InferOptions::default()).await;

    assert_eq!((made.inferred.label.column.as_str(), made.inferred.label.task), ("species", Task::Multiclass));
    assert_eq!(made.inferred.inputs, ["sepal", "petal"]);
    assert!(project.sources["iris"].key.is_empty() && project.sources["iris"].event_time.is_none());
    assert!(made.notes.iter().any(|note| note.contains("--label")), "{:?}", made.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn house_prices_from_json_lines_with_epoch_seconds() {
    let mut lines = String::new();
    for i in 0..200_i64 {
        let garden = if i % 3 == 0 { String::new() } else { format!(", \"garden\": {}", i % 2 == 0) };
        lines.push_str(&format!(
            "{{\"house_id\": {i}, \"sold\": {}, \"rooms\": {}, \"street\": \"{i} High St\"{garden}, \"price\": {}}}\n",
            1_600_000_000 + i * 86_400,
            i % 6,
            100_000 + i * 777
        ));
    }
    let options = InferOptions { time: Some("sold".into()), ..label("price") };

    let Made { made, project, .. } = make("houses.jsonl", &lines, options).await;

    let source = &project.sources["houses"];
    assert_eq!((made.inferred.label.task, source.event_time.as_deref()), (Task::Regression, Some("sold_at")));
    assert_eq!(made.inferred.inputs, ["rooms", "garden"]);
    assert_eq!(source.key, ["house_id"]);
    assert!(made.inferred.left_out.iter().any(|(name, why)| name == "street" && why.contains("too many")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_columns() {
    let names: Vec<String> = (0..1_000).map(|c| format!("f{c}")).collect();
    let mut csv = format!("{},target\n", names.join(","));
    for row in 0..60 {
        let values: Vec<String> = (0..1_000).map(|c| ((row * 31 + c * 17) % 101).to_string()).collect();
        csv.push_str(&format!("{},{}\n", values.join(","), row % 2));
    }

    let Made { made, project, .. } = make("wide.csv", &csv, InferOptions::default()).await;

    assert_eq!((made.inferred.inputs.len(), made.inferred.label.sql.as_str()), (1_000, "target = 1"));
    assert!(project.sources["wide"].checks.len() < 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_inferred_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.csv");
    let path = file.to_str().unwrap();
    for (content, options, words) in [
        ("a,b\n1,2\n3,4\n", label("c"), "no column `c`"),
        ("a,b\n1,2\n3,2\n", label("b"), "only one value"),
        ("a,b\n", label("b"), "no rows"),
        ("", label("b"), "is empty"),
        ("a,y\nx,1\ny,2\n", timed("a"), "RFC 3339"),
        ("a,b\n1,1\n1,2\n", label("b"), "no column is left"),
        ("id,plan,y\n1,a,0\n2,b,1\n3,a,1\n", keyed("plan"), "of 3 rows only 2 would stay"),
        ("id,plan,y\n1,,0\n2,b,1\n", keyed("plan"), "1 of 2 rows have no `plan`"),
        ("id,plan,y\n1,a,0\n2,b,1\n", keyed("y"), "`y` is the label"),
        ("Plan,plan,y\na,b,1\nb,c,0\n", label("y"), "differ only in case"),
        ("0.246,13,x\n0.5,14,y\n", InferOptions::default(), "first line looks like data (line 1: `0.246`, `13`"),
        ("0,1,0\n3,4,5\n", InferOptions::default(), "add a header line"),
        ("when,y\n01/02/2024,1\n03/04/2024,0\n", timed("when"), "cannot be told apart"),
        ("when,y\n13/01/24,1\n14/01/24,0\n", timed("when"), "cannot be read, as `13/01/24`"),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = init_from(&folder.path().join("p"), path, &options).await.unwrap_err().to_string();
        assert!(error.contains(words), "{content:?}: {error}");
    }
    assert!(!folder.path().join("p").exists());
}

/// What is said of a file of 300 rows, some of which are written as `bad` has them.
async fn said_of_rows(bad: impl Fn(usize) -> Option<&'static [u8]>) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let mut content = b"id,name,y\n".to_vec();
    for i in 0..300 {
        match bad(i) {
            Some(row) => content.extend_from_slice(row),
            None => content.extend_from_slice(format!("{},{},{}\n", 10_000 + i, i % 5, i % 2 == 0).as_bytes()),
        }
    }
    std::fs::write(&file, content).unwrap();
    let made = init_from(&folder.path().join("p"), file.to_str().unwrap(), &label("y")).await;
    made.map(|made| made.notes).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_read_are_counted_with_the_reason_of_the_first() {
    const LATIN: &[u8] = b"10000,caf\xe9,true\n";
    let none = said_of_rows(|_| Some(LATIN)).await.unwrap_err();
    let third = said_of_rows(|i| (i % 3 == 1).then_some(LATIN)).await.unwrap();
    let ragged = said_of_rows(|i| (i < 14).then_some(&b"1,2\n"[..])).await.unwrap();
    let all = said_of_rows(|_| None).await.unwrap();

    let words = "none of its 300 rows can be read: line 2, byte 10: not UTF-8; convert the file to UTF-8";
    assert!(none.contains(words), "{none}");
    let has = |notes: &[String], words: &[&str]| notes.iter().any(|note| words.iter().all(|word| note.contains(word)));
    assert!(has(&third, &["100 of 300 rows", "line 3, byte 10: not UTF-8"]), "{third:?}");
    assert!(has(&ragged, &["14 of 300 rows", "line 2 has 2 fields and the header 3"]), "{ragged:?}");
    assert!(!has(&all, &["cannot be read"]), "{all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_dates_and_decimal_commas_are_read_and_told_of() {
    let mut csv = String::from("when;born;fee;code;y\n");
    for i in 0..300 {
        let (day, month) = (1 + i % 28, 1 + i / 28);
        let y = if i % 3 == 0 { "yes" } else { "no" };
        csv.push_str(&format!("{day:02}/{month:02}/2024;{day:02}.{month:02}.1980 10:00;{},5;T{i};{y}\n", i % 40));
    }

    let Made { made, project, .. } = make("visits.csv", &csv, label("y")).await;

    let source = &project.sources["visits"];
    assert_eq!(source.event_time.as_deref(), Some("when_at"));
    let derived: Vec<&str> = source.derive.iter().map(|derived| derived.sql.as_str()).collect();
    assert_eq!(
        derived,
        [
            "to_timestamp_seconds(to_unixtime(when, '%d/%m/%Y'))",
            "to_timestamp_seconds(to_unixtime(born, '%d.%m.%Y %H:%M'))",
            "CAST(replace(fee, ',', '.') AS DOUBLE)"
        ]
    );
    let column = |name: &str| made.inferred.profile.column(name).unwrap();
    assert_eq!(column("when_at").min, Some("2024-01-01T00:00:00Z".into()));
    assert_eq!(column("born_at").max, Some("1980-11-20T10:00:00Z".into()));
    assert_eq!(column("fee_number").max, Some(serde_json::Value::from(39.5)));
    assert_eq!(made.inferred.inputs, ["fee_number"]);
    assert_eq!(project.models["y"].split.by, SplitBy::Time);
    for words in ["read `when` as times", "read `fee` as numbers", "left `code` out", "left `born` out"] {
        assert!(made.notes.iter().any(|note| note.contains(words)), "{words}: {:?}", made.notes);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_with_a_decimal_comma_is_predicted_as_a_number() {
    let mut csv = String::from("size;price\n");
    for i in 0..100 {
        csv.push_str(&format!("{};{},25\n", i % 9, i));
    }

    let Made { made, .. } = make("prices.csv", &csv, InferOptions::default()).await;

    let told = &made.inferred.label;
    assert_eq!((told.column.as_str(), told.sql.as_str(), told.task), ("price", "price_number", Task::Regression));
    assert_eq!(made.inferred.inputs, ["size"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dates_that_could_be_read_two_ways_stay_text_and_are_told_of() {
    let mut csv = String::from("when,x,y\n");
    for i in 0..200 {
        csv.push_str(&format!("{:02}/{:02}/2024,{},{}\n", 1 + i % 12, 1 + i % 11, i % 7, i % 2));
    }

    let Made { made, project, .. } = make("ambiguous.csv", &csv, label("y")).await;

    assert!(project.sources["ambiguous"].event_time.is_none());
    assert!(made.notes.iter().any(|note| note.contains("`when` has dates whose day and month")), "{:?}", made.notes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_that_the_last_fifth_lacks_is_split_and_gated_so_that_a_version_is_promoted() {
    let csv = |positives: i64| {
        let mut csv = String::from("at,x,churned\n");
        for i in 0..300_i64 {
            let churned = if i < positives { "yes" } else { "no" };
            csv.push_str(&format!("2024-{:02}-{:02} 10:00:00,{},{churned}\n", 1 + i / 28, 1 + i % 28, i * 7 % 50));
        }
        csv
    };

    let few = make("few.csv", &csv(2), label("churned")).await;
    let early = make("early.csv", &csv(20), label("churned")).await;

    let few = &few.project.models["churned"];
    assert_eq!((few.split.by, few.gates.len()), (SplitBy::Time, 0));
    let model = &early.project.models["churned"];
    assert_eq!((model.split.by, model.gates[0].metric.as_str()), (SplitBy::Random, "log_loss"));
    let readme = std::fs::read_to_string(early.folder.path().join("README.md")).unwrap();
    assert!(readme.contains("split at random and not by time"), "{readme}");
}
