//! What keeps a model from being trained is said precisely.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};

use super::World;
use crate::Error;

const COLUMNS: &str = "columns:
  - {name: x, type: float64}
  - {name: y, type: int64}
  - {name: word, type: string}
";

async fn error(model: &str, label: impl Fn(i64) -> Option<i64>) -> Error {
    let world = World::new(COLUMNS, model).await;
    let rows = 200;
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("x", Arc::new((0..rows).map(|row| Some(row as f64)).collect::<Float64Array>()) as ArrayRef, true),
        ("y", Arc::new((0..rows).map(label).collect::<Int64Array>()), true),
        ("word", Arc::new((0..rows).map(|row| Some(format!("w{row}"))).collect::<StringArray>()), true),
    ])
    .unwrap();
    world.land(&batch.schema(), vec![batch]).await;
    world.train().await.unwrap_err()
}

fn model(task: &str, label: &str, trainer: &str) -> String {
    format!("task: {task}\nobservations: {{from: t, label: {label}}}\nfeatures: [x]\ntrainer: {trainer}\n")
}

const TREES: &str = "{boosted_trees: {}}";

#[tokio::test]
async fn labels_that_cannot_be_learned() {
    let one = error(&model("binary", "y", TREES), |_| Some(1)).await;
    let other_numbers = error(&model("binary", "y", TREES), Some).await;
    let text = error(&model("binary", "word", TREES), Some).await;
    let none = error(&model("binary", "y", TREES), |_| None).await;
    let one_class = error(&model("multiclass", "y", TREES), |_| Some(3)).await;

    assert!(one.to_string().contains("every one of the 144 training rows has the label `true`"), "{one}");
    assert!(matches!(other_numbers, Error::Label { ref found, .. } if found.ends_with("in a row")), "{other_numbers}");
    assert!(text.to_string().contains("needs true or false"), "{text}");
    assert!(matches!(none, Error::NoRows { .. }), "{none}");
    assert!(matches!(one_class, Error::OneClass { ref label, .. } if label == "3"), "{one_class}");
}

#[tokio::test]
async fn too_few_rows() {
    let few = error(&model("binary", "y", TREES), |row| (row < 8).then_some(row % 2)).await;

    assert!(few.to_string().contains("the training part has 5 rows, at least 10 are needed"), "{few}");
}

#[tokio::test]
async fn a_table_without_data() {
    let world = World::new(COLUMNS, &model("binary", "y", TREES)).await;

    let error = world.train().await.unwrap_err();

    assert_eq!(error.to_string(), "model `m` learns from `sources.t`, which has no data yet; run `mainspring run m`");
}
