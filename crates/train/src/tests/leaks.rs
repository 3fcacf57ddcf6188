//! Nothing that became known after the moment of a prediction is learned from.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::Float64Type;
use mainspring_lake::At;

use super::{World, noise};
use crate::TrainReport;

const COLUMNS: &str = "columns:
  - {name: id, type: int64, nullable: false}
  - {name: at, type: timestamp, nullable: false}
  - {name: known, type: timestamp}
  - {name: truth, type: bool}
key: [id]
event_time: at
known_at: known
";

const MODEL: &str = "task: binary
observations: {from: t, at: at, label: truth, label_known_at: known}
features: [hint]
split: {by: time, test: 0.25}
trainer: {boosted_trees: {trees: 10}}
";

/// A view whose only feature is the label itself, known from `known_at` on.
fn hint(known_at: &str) -> String {
    format!(
        "entity: thing
keys: [{{name: id, type: int64}}]
---
feature_view: hints
entity: thing
sql: select id, at as happened, {known_at} as told, case when truth then 1.0 else 0.0 end as hint from t
event_time: happened
known_at: told
features: {{hint: What came of it}}
"
    )
}

async fn trained_on_a_hint(known_at: &str) -> (TrainReport, World) {
    let world = World::with_views(COLUMNS, MODEL, &hint(known_at), 2).await;
    let rows = 2_000u64;
    let times = |after: u64| {
        let times = (0..rows).map(|row| ((row + after) * 60_000_000) as i64);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")) as ArrayRef
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64)) as ArrayRef, true),
        ("at", times(0), true),
        ("known", times(30), true),
        ("truth", Arc::new((0..rows).map(|row| Some(noise(1, row) < 0.4)).collect::<BooleanArray>()), true),
    ])
    .unwrap();
    world.land(&batch.schema(), vec![batch]).await;
    world.context.features.backfill("hints", &world.owner).await.unwrap();
    (world.train().await.unwrap(), world)
}

#[tokio::test]
async fn a_fact_that_became_known_later_is_not_used() {
    let (report, world) = trained_on_a_hint("known").await;

    let set = report.version.training_set.as_ref().unwrap();
    let rows = world.context.lake.read(&set.table.parse().unwrap(), At::Version(set.version)).await.unwrap();
    for batch in rows.collect().await.unwrap() {
        let hints = batch.column_by_name("hint").unwrap().as_primitive::<Float64Type>();
        assert!(hints.iter().all(|hint| hint.is_none()), "it was told half an hour later");
    }
    assert_eq!(report.version.metrics["auc"], 0.5, "nothing is known, so nothing is told apart");
}

#[tokio::test]
async fn the_same_fact_known_in_time_tells_everything() {
    let (report, _) = trained_on_a_hint("at").await;

    assert_eq!(report.version.metrics["auc"], 1.0);
}
