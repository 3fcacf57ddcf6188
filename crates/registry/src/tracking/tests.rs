//! Experiments, runs and metrics over a catalog and a store of points in a temporary folder.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Expect, Principal};

use super::*;
use crate::experiment::ExperimentName;
use crate::{Error, Experiment, NewRun, Registry, RunStatus, Stage};

fn ada() -> Principal {
    Principal::user("ada")
}

async fn opened(folder: &std::path::Path) -> (Catalog, Tracking, Registry) {
    let catalog = Catalog::open(&format!("sqlite:{}", folder.join("catalog.db").display())).await.unwrap();
    let begun = Instant::now();
    let tracking = loop {
        match Tracking::open(catalog.clone(), &folder.join("tracking")).await {
            Ok(tracking) => break tracking,
            // who had it open before gives it back on a thread of its own
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let registry = Registry::new(catalog.clone(), folder.join("artifacts")).with_tracking(tracking.clone());
    (catalog, tracking, registry)
}

fn new_run(experiment: u64) -> NewClientRun {
    NewClientRun {
        experiment,
        name: "swift".into(),
        user: None,
        parent: None,
        started_at: Timestamp::now(),
        tags: BTreeMap::new(),
    }
}

fn named(name: &str) -> NewExperiment {
    NewExperiment { name: name.into(), ..NewExperiment::default() }
}

fn logged(key: &str, step: i64, value: f64) -> LoggedPoint<'_> {
    LoggedPoint { key, point: Point { step, at_ms: step, value }, source: None }
}

fn steps(points: &[Point]) -> Vec<i64> {
    points.iter().map(|point| point.step).collect()
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = {
        let (_, tracking, _) = opened(folder.path()).await;
        let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
        tracking.log_metrics(&run.id, &[logged("loss", 1, 0.5), logged("loss", 2, f64::NAN)]).await.unwrap();
        tracking.log_metrics(&run.id, &[logged("auc", 7, f64::INFINITY)]).await.unwrap();
        run.id.to_string()
    };

    let (_, tracking, _) = opened(folder.path()).await;
    let row = tracking.run(&run).await.unwrap();
    let metrics = tracking.named_metrics(&row);
    tracking.log_metrics(&run, &[logged("new", 1, 1.0)]).await.unwrap();

    assert_eq!(metrics.len(), 2);
    assert!(metrics[0].1.value.is_infinite() && metrics[1].1.value.is_nan());
    assert_eq!(steps(&tracking.history(&run, "loss", None, 10).await.unwrap()), [1, 2]);
    assert_eq!(
        steps(&tracking.history(&run, "new", None, 10).await.unwrap()),
        [1],
        "new series get numbers of their own"
    );
}

#[tokio::test]
async fn the_same_point_twice_is_one_and_late_points_do_not_become_the_latest() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();

    for step in [5, 5, 3, 5, 3] {
        tracking.log_metrics(&run.id, &[logged("loss", step, step as f64)]).await.unwrap();
    }

    assert_eq!(steps(&tracking.history(&run.id, "loss", None, 10).await.unwrap()), [3, 5]);
    assert_eq!(tracking.named_metrics(&tracking.run(&run.id).await.unwrap())[0].1.step, 5);
}

#[tokio::test]
async fn histories_page_and_thin_out() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    for start in 0..30 {
        let points: Vec<_> = (start * 1_000..(start + 1) * 1_000).map(|step| logged("m", step, 1.0)).collect();
        tracking.log_metrics(&run.id, &points).await.unwrap();
    }

    let first = tracking.history(&run.id, "m", None, 3).await.unwrap();
    let second = tracking.history(&run.id, "m", first.last().copied(), 3).await.unwrap();
    let long = steps(&tracking.sampled(&run.id, "m", None, 100).await.unwrap());
    let short = steps(&tracking.sampled(&run.id, "m", Some((100, 299)), 3).await.unwrap());
    let last = steps(&tracking.sampled(&run.id, "m", None, 1).await.unwrap());

    assert_eq!((steps(&first), steps(&second)), (vec![0, 1, 2], vec![3, 4, 5]));
    assert_eq!((long.len(), long[0], long[99]), (100, 0, 29_999));
    assert!(long.windows(2).all(|pair| (200..=400).contains(&(pair[1] - pair[0]))), "{long:?}");
    assert_eq!((short, last), (vec![100, 199, 299], vec![29_999]));
}

#[tokio::test]
async fn a_long_history_of_one_step_thins_out_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    for start in 0..12 {
        let points: Vec<_> = (start * 1_000..(start + 1) * 1_000)
            .map(|at_ms| LoggedPoint { key: "m", point: Point { step: 0, at_ms, value: 1.0 }, source: None })
            .collect();
        tracking.log_metrics(&run.id, &points).await.unwrap();
    }

    let sampled = tracking.sampled(&run.id, "m", None, 10).await.unwrap();

    assert_eq!((sampled.len(), sampled[0].at_ms, sampled[9].at_ms), (10, 0, 11_999));
}

#[tokio::test]
async fn metrics_of_a_model_are_the_latest_by_run_and_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    let of = |dataset| Some(MetricSource { model: "m-1", dataset });
    let point = |step, dataset| LoggedPoint { source: of(dataset), ..logged("auc", step, step as f64) };

    let data = Some(("flights", "abc"));
    tracking.log_metrics(&run.id, &[point(2, None), point(1, None), point(3, data)]).await.unwrap();
    tracking.log_metrics(&run.id, &[point(4, data), point(1, data)]).await.unwrap();
    let mut metrics = tracking.model_metrics("m-1").await.unwrap();

    metrics.sort_by_key(|metric| metric.point.step);
    let seen: Vec<_> = metrics.iter().map(|metric| (metric.point.step, metric.dataset.is_some())).collect();
    assert_eq!(seen, [(2, false), (4, true)]);
    assert!(tracking.model_metrics("m-").await.unwrap().is_empty());
    let history = tracking.model_history("m-1", "auc").await.unwrap();
    let seen: Vec<_> = history.iter().map(|metric| (metric.dataset.is_some(), metric.point.step)).collect();
    assert_eq!(seen, [(false, 1), (false, 2), (true, 1), (true, 3), (true, 4)]);
    assert!(tracking.model_history("m-1", "au").await.unwrap().is_empty());
}

#[tokio::test]
async fn names_of_experiments_are_unique_and_move() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let first = tracking.create_experiment(named("first"), &ada()).await.unwrap();
    let second = tracking.create_experiment(named("second"), &ada()).await.unwrap();

    let again = tracking.create_experiment(named("first"), &ada()).await.unwrap_err();
    let rename = ExperimentChange::Rename("first".into());
    let onto = tracking.change_experiment(second.number, rename.clone(), &ada()).await.unwrap_err();
    tracking.change_experiment(first.number, ExperimentChange::Rename("third".into()), &ada()).await.unwrap();
    tracking.change_experiment(second.number, rename, &ada()).await.unwrap();

    assert!(matches!(again, Error::ExperimentTaken(_)) && matches!(onto, Error::ExperimentTaken(_)));
    assert_eq!((first.number, second.number), (1, 2));
    assert_eq!(tracking.experiment_named("first").await.unwrap().unwrap().number, 2);
    assert!(tracking.experiment_named("second").await.unwrap().is_none());
}

#[tokio::test]
async fn experiments_made_at_once_get_numbers_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let all: Vec<_> = (0..12)
        .map(|at| {
            let tracking = tracking.clone();
            tokio::spawn(async move {
                tracking.create_experiment(named(&format!("e{at}")), &ada()).await.map(|row| row.number)
            })
        })
        .collect();

    let mut numbers = Vec::new();
    for each in all {
        numbers.push(each.await.unwrap().unwrap());
    }

    numbers.sort_unstable();
    assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
}

#[tokio::test]
async fn runs_of_trainers_and_of_clients_are_found_together() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, registry) = opened(folder.path()).await;
    let native = NewRun { experiment: "delays".into(), ..NewRun::default() };

    let native = registry.start_run(native, &ada()).await.unwrap();
    let experiment = tracking.experiment_named("delays").await.unwrap().unwrap();
    let client = tracking.start_run(new_run(experiment.number), &ada()).await.unwrap();
    let query = RunQuery {
        experiments: vec![experiment.number],
        view: StageView::Active,
        clauses: vec![],
        order: vec![],
        after: None,
        limit: 10,
    };
    let found = tracking.search_runs(query).await.unwrap();
    let ended = RunChange { status: Some(RunStatus::Failed), ..RunChange::default() };
    let refused = tracking.update_run(&native.id, ended, &ada()).await.err();

    assert_eq!(found.runs.len(), 2);
    assert_eq!(registry.runs(Some("delays"), 10, None).await.unwrap().len(), 2);
    assert_eq!(registry.run(&client.id).await.unwrap().name.as_deref(), Some("swift"));
    assert!(matches!(refused, Some(Error::TrainersRun(_))), "{refused:?}");
}

#[tokio::test]
async fn a_trainer_joins_the_experiment_that_a_client_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, registry) = opened(folder.path()).await;
    let made = tracking.create_experiment(named("delays"), &ada()).await.unwrap();

    let run = registry.start_run(NewRun { experiment: "delays".into(), ..NewRun::default() }, &ada()).await.unwrap();

    assert_eq!(run.experiment, made.experiment.key());
    assert_eq!(registry.runs(Some("delays"), 10, None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn experiments_of_before_there_were_numbers_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let (catalog, tracking, _) = opened(folder.path()).await;
    let old = Experiment { name: "old".into(), ..Experiment::default() };
    catalog.commit(Change::new(&ada(), "run.start", "run:x").put(&old, Expect::Absent).unwrap()).await.unwrap();

    let taken = tracking.create_experiment(named("old"), &ada()).await.unwrap_err();
    let row = tracking.experiment_named("old").await.unwrap().unwrap();

    assert!(matches!(taken, Error::ExperimentTaken(_)));
    assert_eq!((row.number, row.experiment.key()), (1, "old"));
    assert!(catalog.get::<ExperimentName>("old").await.unwrap().is_some());
}

#[tokio::test]
async fn params_stay_and_a_refused_batch_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    let batch = |params: &[(&str, &str)]| BatchOfLabels {
        params: params.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        tags: vec![("t".into(), "1".into())],
    };

    tracking.label_run(&run.id, batch(&[("depth", "3")]), &ada()).await.unwrap();
    let refused = tracking.label_run(&run.id, batch(&[("new", "1"), ("depth", "5")]), &ada()).await.err();
    let row = tracking.run(&run.id).await.unwrap();

    assert!(matches!(refused, Some(Error::ParamChanged { .. })));
    assert_eq!(tracking.named_params(&row).len(), 1);
}

#[tokio::test]
async fn the_label_of_a_name_names_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    let tags = |value: &str| BatchOfLabels { params: vec![], tags: vec![("mlflow.runName".into(), value.into())] };

    let named = tracking.label_run(&run.id, tags("slow"), &ada()).await.unwrap();
    let unnamed = tracking.label_run(&run.id, tags(""), &ada()).await.unwrap();

    assert_eq!((run.name.as_deref(), named.name.as_deref()), (Some("swift"), Some("slow")));
    assert_eq!(unnamed.name.as_deref(), Some("slow"), "a run keeps a name");
}

#[tokio::test]
async fn writers_of_one_run_do_not_lose_each_others_tags() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    let writers: Vec<_> = (0..16)
        .map(|at| {
            let (tracking, id) = (tracking.clone(), run.id.to_string());
            tokio::spawn(async move {
                let labels = BatchOfLabels { params: vec![], tags: vec![(format!("t{at}"), "1".into())] };
                tracking.label_run(&id, labels, &ada()).await.map(drop)
            })
        })
        .collect();

    for writer in writers {
        writer.await.unwrap().unwrap();
    }

    let row = tracking.run(&run.id).await.unwrap();
    assert_eq!(tracking.named_tags(&row).len(), 16);
}

#[tokio::test]
async fn the_record_of_a_run_that_ended_holds_its_last_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, registry) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();
    tracking.log_metrics(&run.id, &[logged("loss", 1, 0.5), logged("bad", 1, f64::NAN)]).await.unwrap();

    let ended = RunChange { status: Some(RunStatus::Succeeded), ..RunChange::default() };
    tracking.update_run(&run.id, ended, &ada()).await.unwrap();

    let record = registry.run(&run.id).await.unwrap();
    assert_eq!((record.status, record.metrics), (RunStatus::Succeeded, BTreeMap::from([("loss".to_owned(), 0.5)])));
    assert_eq!(tracking.named_metrics(&tracking.run(&run.id).await.unwrap()).len(), 2);
}

#[tokio::test]
async fn a_deleted_run_takes_nothing_until_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, _) = opened(folder.path()).await;
    let run = tracking.start_run(new_run(0), &ada()).await.unwrap();

    tracking.set_run_stage(&run.id, Stage::Deleted, &ada()).await.unwrap();
    let refused = tracking.log_metrics(&run.id, &[logged("a", 1, 1.0)]).await;
    tracking.set_run_stage(&run.id, Stage::Active, &ada()).await.unwrap();

    assert!(matches!(refused, Err(Error::RunDeleted(_))));
    tracking.log_metrics(&run.id, &[logged("a", 1, 1.0)]).await.unwrap();
}

#[tokio::test]
async fn a_trainer_starts_anew_when_its_experiment_was_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let (_, tracking, registry) = opened(folder.path()).await;
    let native = || NewRun { experiment: "delays".into(), ..NewRun::default() };
    let first = registry.start_run(native(), &ada()).await.unwrap();
    let made = tracking.experiment_named("delays").await.unwrap().unwrap();
    tracking.change_experiment(made.number, ExperimentChange::Rename("old".into()), &ada()).await.unwrap();

    let second = registry.start_run(native(), &ada()).await.unwrap();

    assert_ne!(first.experiment, second.experiment);
    assert_eq!(registry.runs(Some("delays"), 10, None).await.unwrap().len(), 1);
    assert_eq!(registry.runs(Some("old"), 10, None).await.unwrap().len(), 1);
}
