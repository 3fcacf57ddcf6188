//! Data of many shapes.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};

use super::{World, noise};
use crate::TrainReport;

fn numbers(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}

fn texts(values: impl Iterator<Item = Option<String>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

/// Trains over the columns given; the types in the declaration are told by the arrays.
async fn trained(columns: Vec<(&str, ArrayRef)>, label: &str, task: &str, trainer: &str) -> TrainReport {
    let named: Vec<String> = columns
        .iter()
        .map(|(name, array)| {
            let kind = match array.data_type() {
                arrow::datatypes::DataType::Boolean => "bool",
                arrow::datatypes::DataType::Int64 => "int64",
                arrow::datatypes::DataType::Float64 => "float64",
                _ => "string",
            };
            format!("  - {{name: {name}, type: {kind}}}")
        })
        .collect();
    let inputs: Vec<&str> = columns.iter().map(|(name, _)| *name).filter(|name| *name != label).collect();
    let model = format!(
        "task: {task}\nobservations: {{from: t, label: {label}}}\nfeatures: [{}]\nsplit: {{by: random}}\ntrainer: {trainer}\n",
        inputs.join(", ")
    );
    let world = World::new(&format!("columns:\n{}\n", named.join("\n")), &model).await;
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    world.land(&batch.schema(), vec![batch]).await;
    world.train().await.unwrap()
}

const TREES: &str = "{boosted_trees: {trees: 30}}";

#[tokio::test]
async fn rows_without_time_with_texts_nulls_constants_and_nothing_at_all() {
    let rows = 2_000u64;
    let word = |row: u64| format!("word {}", (noise(1, row) * 20.0) as u32);
    for trainer in [TREES, "{logistic_regression: {}}"] {
        let columns = || {
            vec![
                ("word", texts((0..rows).map(|row| (noise(2, row) > 0.3).then(|| word(row))))),
                ("mostly_null", numbers((0..rows).map(|row| (noise(3, row) > 0.95).then_some(1.0)))),
                ("nothing", numbers((0..rows).map(|_| None))),
                ("no_text", texts((0..rows).map(|_| None))),
                ("constant", numbers((0..rows).map(|_| Some(4.0)))),
                ("whole", Arc::new((0..rows).map(|row| Some(row as i64)).collect::<Int64Array>()) as ArrayRef),
                (
                    "flag",
                    Arc::new((0..rows).map(|row| Some(noise(1, row) < 0.5)).collect::<BooleanArray>()) as ArrayRef,
                ),
                (
                    "y",
                    Arc::new(
                        (0..rows).map(|row| Some(noise(1, row) + noise(4, row) * 0.3 > 0.6)).collect::<BooleanArray>(),
                    ),
                ),
            ]
        };

        let report = trained(columns(), "y", "binary", trainer).await;

        assert!(report.version.metrics["auc"] > 0.85, "{trainer}: {:?}", report.version.metrics);
        assert_eq!(report.evaluation.test.rows, 400);
    }
}

#[tokio::test]
async fn many_classes_some_of_them_rare() {
    let rows = 3_000u64;
    let class = |row: u64| match row {
        7 => "once".to_string(),
        8 | 9 => "twice".to_string(),
        _ => format!("class {}", (noise(1, row) * 4.0) as u32),
    };
    for trainer in ["{boosted_trees: {trees: 15}}", "{logistic_regression: {l2: 0.1}}", "{constant: {}}"] {
        let columns = vec![
            ("x", numbers((0..rows).map(|row| Some(noise(1, row) * 100.0)))),
            ("noise", numbers((0..rows).map(|row| Some(noise(5, row))))),
            ("y", texts((0..rows).map(|row| Some(class(row))))),
        ];

        let report = trained(columns, "y", "multiclass", trainer).await;

        let least = if trainer.contains("constant") { 0.2 } else { 0.8 };
        assert!(report.version.metrics["accuracy"] > least, "{trainer}: {:?}", report.version.metrics);
        assert!(report.version.metrics.contains_key("macro_f1"));
        assert!(report.evaluation.classes.len() >= 4);
        let confusion = report.evaluation.confusion.unwrap();
        assert_eq!(confusion.counts.len(), report.evaluation.classes.len());
    }
}

#[tokio::test]
async fn numbers_are_predicted() {
    let rows = 2_000u64;
    for (trainer, least) in [(TREES, 0.9), ("{linear_regression: {l2: 0.01}}", 0.95)] {
        let columns = vec![
            ("x", numbers((0..rows).map(|row| Some(noise(1, row))))),
            ("z", numbers((0..rows).map(|row| (noise(2, row) > 0.05).then(|| noise(3, row))))),
            (
                "y",
                numbers(
                    (0..rows).map(|row| (row % 50 != 0).then(|| 1e6 + 4e3 * noise(1, row) + 100.0 * noise(9, row))),
                ),
            ),
        ];

        let report = trained(columns, "y", "regression", trainer).await;

        assert!(report.version.metrics["r2"] > least, "{trainer}: {:?}", report.version.metrics);
        assert!(report.evaluation.residuals.is_some());
        assert_eq!(
            report.evaluation.train.rows + report.evaluation.validation.unwrap().rows + report.evaluation.test.rows,
            1_960
        );
    }
}

#[tokio::test]
async fn a_thousand_columns() {
    let (rows, names): (u64, Vec<String>) = (300, (0..1_000).map(|column| format!("c{column}")).collect());
    let mut columns: Vec<(&str, ArrayRef)> = names
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let array = if column % 10 == 0 {
                texts((0..rows).map(|row| Some(format!("v{}", (noise(column as u64, row) * 5.0) as u32))))
            } else {
                numbers((0..rows).map(|row| Some(noise(column as u64, row))))
            };
            (name.as_str(), array)
        })
        .collect();
    columns.push(("y", numbers((0..rows).map(|row| Some(noise(501, row) * 10.0)))));

    let report = trained(columns, "y", "regression", "{boosted_trees: {trees: 30, learning_rate: 0.3}}").await;

    assert_eq!(report.evaluation.importance[0].input, "c501");
    assert!(report.version.metrics["r2"] > 0.8, "{:?}", report.version.metrics);
}

#[tokio::test]
async fn ones_and_zeros_and_few_rows() {
    let columns = vec![
        ("x", numbers((0..40).map(|row| Some(noise(1, row))))),
        ("y", Arc::new((0..40).map(|row| Some(i64::from(noise(1, row) > 0.5))).collect::<Int64Array>()) as ArrayRef),
    ];

    let report = trained(columns, "y", "binary", "{constant: {}}").await;

    assert_eq!(report.version.train_rows(), Some(29));
    assert_eq!(report.version.metrics.get("auc"), Some(&0.5));
}
