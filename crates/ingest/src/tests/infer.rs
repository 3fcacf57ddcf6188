//! Inference, on shapes that are not the flights: what is written validates, ingests, and means what was meant.

use std::sync::Arc;

use mainspring_catalog::{Catalog, Principal};
use mainspring_lake::NoProgress;
use mainspring_spec::{DataType, Project, Task};

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
        ("a,b\nx,1\ny,2\n", InferOptions { time: Some("a".into()), ..label("b") }, "RFC 3339"),
        ("a,b\n1,1\n1,2\n", label("b"), "no column is left"),
    ] {
        std::fs::write(&file, content).unwrap();
        let error = init_from(&folder.path().join("p"), path, &options).await.unwrap_err().to_string();
        assert!(error.contains(words), "{content:?}: {error}");
    }
    assert!(!folder.path().join("p").exists());
}
