//! What a training leaves behind.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Schema, TimestampMicrosecondType};
use mainspring_lake::At;
use mainspring_registry::RunStatus;

use super::{World, noise};
use crate::{Error, LABEL_KNOWN_AT_COLUMN, Promotion, SPLIT_COLUMN};

const COLUMNS: &str = "columns:
  - {name: id, type: int64}
  - {name: at, type: timestamp}
  - {name: known, type: timestamp}
  - {name: size, type: float64}
  - {name: town, type: string}
  - {name: late, type: bool}
key: [id]
event_time: at
";

fn model(split: &str, further: &str) -> String {
    format!(
        "task: binary
observations: {{from: t, at: at, label: late, label_known_at: known}}
features: [size, town]
split: {{{split}}}
trainer: {{boosted_trees: {{trees: 20, leaves: 8}}}}
slices: [town]
{further}"
    )
}

const BY_TIME: &str = "by: time, test: 0.25";

/// Rows a minute apart whose label depends on both inputs and becomes known half an hour later.
fn rows(ids: impl Iterator<Item = u64>) -> RecordBatch {
    let ids: Vec<u64> = ids.collect();
    let towns = ["Ahlen", "Bonn", "Celle"];
    let town = |id: u64| towns[(noise(2, id) * 3.0) as usize];
    let chance = |id: u64| noise(1, id) * 0.6 + if town(id) == "Bonn" { 0.4 } else { 0.0 };
    let minutes = |after: u64| {
        let times = ids.iter().map(|id| ((id + after) * 60_000_000) as i64);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")) as ArrayRef
    };
    let null_sometimes = |id: &u64| if noise(4, *id) < 0.1 { None } else { Some(noise(1, *id) * 100.0) };
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(ids.iter().map(|id| *id as i64))) as ArrayRef, true),
        ("at", minutes(0), true),
        ("known", minutes(30), true),
        ("size", Arc::new(ids.iter().map(null_sometimes).collect::<Float64Array>()), true),
        ("town", Arc::new(ids.iter().map(|id| Some(town(*id))).collect::<StringArray>()), true),
        ("late", Arc::new(ids.iter().map(|id| Some(noise(3, *id) < chance(*id))).collect::<BooleanArray>()), true),
    ])
    .unwrap()
}

async fn world_of(model: &str, threads: usize, batches: Vec<RecordBatch>) -> World {
    let world = World::with_views(COLUMNS, model, "", threads).await;
    let schema: Arc<Schema> = batches[0].schema();
    world.land(&schema, batches).await;
    world
}

#[tokio::test]
async fn a_version_comes_with_run_metrics_evaluation_and_lineage() {
    let world = world_of(&model(BY_TIME, ""), 2, vec![rows(0..4_000)]).await;

    let report = world.train().await.unwrap();

    let version = &report.version;
    assert_eq!(version.version, 1);
    let set = version.training_set.as_ref().unwrap();
    assert_eq!((set.table.as_str(), set.test_rows, set.purged_rows), ("training.m", 1_000, 29));
    assert_eq!(set.train_rows + set.validation_rows, 2_971);
    assert_eq!(set.test_from.unwrap().as_second(), 3_000 * 60);
    assert!(version.metrics["auc"] > 0.65, "{:?}", version.metrics);
    assert_eq!(version.baseline["auc"], 0.5);
    assert!(version.metrics["log_loss"] < version.baseline["log_loss"]);
    assert_eq!(version.tables, [("sources.t".to_string(), 0)].into());
    let evaluation = &report.evaluation;
    assert_eq!(evaluation.slices.iter().map(|slice| slice.part.rows).sum::<u64>(), 1_000);
    assert_eq!(evaluation.slices.len(), 3);
    assert!(evaluation.importance[0].share > evaluation.importance[1].share);
    assert!(evaluation.roc.len() > 10 && evaluation.calibration.len() > 3);
    assert!(evaluation.remarks.iter().any(|remark| remark.starts_with("29 rows")), "{:?}", evaluation.remarks);

    let registry = &world.context.registry;
    let run = registry.run(version.run.as_deref().unwrap()).await.unwrap();
    assert_eq!(
        (run.status, run.params["trainer"].as_str(), run.params["leaves"].as_str()),
        (RunStatus::Succeeded, "boosted_trees", "8")
    );
    let losses = registry.metrics(&run.id, Some("train_log_loss")).await.unwrap();
    assert!(losses.len() == 20 && losses[19].value < losses[0].value, "{losses:?}");
}

#[tokio::test]
async fn training_again_from_the_same_changes_nothing_and_would_give_the_same_bytes() {
    let mut world = world_of(&model(BY_TIME, ""), 2, vec![rows(0..1_000)]).await;
    let first = world.train().await.unwrap();

    let again = world.train().await.unwrap();
    let forced = world.train_again().await.unwrap();
    world.declare(&model(BY_TIME, "seed: 9"));
    let other = world.train().await.unwrap();

    assert!(again.unchanged && again.version == first.version);
    assert!(!forced.unchanged && forced.version.version == 2);
    assert!(forced.version.artifact.is_some() && forced.version.artifact == first.version.artifact);
    assert!(!other.unchanged && other.version.fingerprint != first.version.fingerprint);
}

#[tokio::test]
async fn neither_threads_nor_the_order_of_files_change_a_byte() {
    let further = "seed: 5";
    let subsampled =
        model("by: random", further).replace("leaves: 8", "leaves: 8, subsample: 0.6, columns_by_tree: 0.5");
    let logistic = model("by: group, column: town, test: 0.34", further)
        .replace("boosted_trees: {trees: 20, leaves: 8}", "logistic_regression: {}");
    for model in [model(BY_TIME, further), subsampled, logistic] {
        let one = world_of(&model, 1, vec![rows(0..3_000)]).await;
        let other = world_of(&model, 4, vec![rows((0..1_500).rev()), rows(2_000..3_000), rows(1_500..2_000)]).await;

        let (one, other) = (one.train().await.unwrap(), other.train().await.unwrap());

        assert!(one.version.artifact.is_some() && one.version.artifact == other.version.artifact, "{model}");
        assert_eq!(one.version.metrics, other.version.metrics, "{model}");
    }
}

#[tokio::test]
async fn no_row_is_learned_from_whose_label_was_not_known_when_the_test_began() {
    let world = world_of(&model(BY_TIME, ""), 2, vec![rows(0..2_000)]).await;

    let version = world.train().await.unwrap().version;

    let set = version.training_set.unwrap();
    let test_from = set.test_from.unwrap().as_microsecond();
    let table = set.table.parse().unwrap();
    let rows = world.context.lake.read(&table, At::Version(set.version)).await.unwrap();
    let (mut learned, mut purged) = (0, 0);
    for batch in rows.collect().await.unwrap() {
        let known = batch.column_by_name(LABEL_KNOWN_AT_COLUMN).unwrap().as_primitive::<TimestampMicrosecondType>();
        let split =
            arrow::compute::cast(batch.column_by_name(SPLIT_COLUMN).unwrap(), &arrow::datatypes::DataType::Utf8)
                .unwrap();
        for (known, split) in known.iter().zip(split.as_string::<i32>()) {
            match split.unwrap() {
                "train" | "validation" => {
                    learned += 1;
                    assert!(known.unwrap() <= test_from);
                }
                "purged" => {
                    purged += 1;
                    assert!(known.unwrap() > test_from);
                }
                other => assert_eq!(other, "test"),
            }
        }
    }
    assert_eq!((learned, purged), (1_471, 29));
}

#[tokio::test]
async fn a_version_that_meets_its_gates_goes_live_by_itself_and_a_worse_one_does_not() {
    let good = model(
        BY_TIME,
        "promote: auto\ngates: [{metric: auc, min: 0.6}, {metric: auc, worse_than_champion_by_at_most: 0.0}]",
    );
    let mut world = world_of(&good, 2, vec![rows(0..3_000)]).await;
    let first = world.train().await.unwrap();
    world.declare(&good.replace("features: [size, town]", "features: [town]"));
    let worse = world.train().await.unwrap();

    assert!(matches!(first.promotion, Promotion::Live), "{:?}", first.promotion);
    let Promotion::Refused(verdict) = &worse.promotion else { panic!("{:?}", worse.promotion) };
    assert!(verdict.to_string().contains("version 1 reaches"), "{verdict}");
    assert_eq!(world.context.registry.live("m", "champion").await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn a_champion_is_measured_on_the_same_rows_where_it_can_be() {
    let auto = model(BY_TIME, "promote: auto");
    let mut world = world_of(&auto, 2, vec![rows(0..2_000)]).await;
    let first = world.train().await.unwrap();

    world.declare(&model("by: time, test: 0.25, validation: 0.3", "promote: auto"));
    let second = world.train().await.unwrap();

    let compared = second.version.compared.unwrap();
    assert_eq!(compared.version, 1);
    for (metric, value) in &first.version.metrics {
        assert!((compared.metrics[metric] - value).abs() < 1e-9, "the test rows are the same: {metric}");
    }
}

#[tokio::test]
async fn what_someone_took_away_is_not_given_back_by_training_again() {
    let auto = model(BY_TIME, "promote: auto");
    let world = world_of(&auto, 2, vec![rows(0..1_000)]).await;
    world.train().await.unwrap();
    world.context.registry.remove_alias("m", "champion", &world.owner, "it is wrong").await.unwrap();

    let again = world.train().await.unwrap();

    assert!(again.unchanged && matches!(again.promotion, Promotion::Withdrawn), "{:?}", again.promotion);
    assert!(world.context.registry.live("m", "champion").await.unwrap().is_none());
}

#[tokio::test]
async fn a_training_that_fails_leaves_a_failed_run_with_the_reason() {
    let world = world_of(&model(BY_TIME, ""), 2, vec![rows(0..12)]).await;

    let error = world.train().await.unwrap_err();

    assert!(matches!(error, Error::TooFewRows { .. }), "{error}");
    let runs = world.context.registry.runs(Some("m"), 10, None).await.unwrap();
    assert_eq!(runs[0].status, RunStatus::Failed);
    assert_eq!(runs[0].error.as_deref(), Some(error.to_string().as_str()));
    assert!(world.context.registry.latest("m").await.unwrap().is_none());
}
