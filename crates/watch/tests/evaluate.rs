//! Monitors over real tables: every figure of a report against a slow, plain computation of the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests stop at the first surprise"
)]

mod support;

use jiff::Timestamp;
use mainspring_catalog::{Change, Expect};
use mainspring_spec::Task;
use mainspring_watch::drift::{Categories, NumericColumn, Sample, compare_categories, compare_numeric};
use mainspring_watch::{Alert, AlertQuery, AlertState, PushedLabel, ReportQuery, Rule, WindowReport};
use serde_json::json;
use support::{Trip, World, artifact, prediction_id, principal, score, trips};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A year that trains on the spring, with a windy August.
struct Year {
    world: World,
    training: Vec<Trip>,
    july: Vec<Trip>,
    august: Vec<Trip>,
    september: Vec<Trip>,
}

async fn year() -> Year {
    let year = Year {
        world: World::new().await,
        training: trips(0, "2013-03-01T00:00:00Z", 6_000, 20, 5.0),
        july: trips(10_000, "2013-07-01T00:00:00Z", 740, 60, 5.0),
        august: trips(20_000, "2013-08-01T00:00:00Z", 740, 60, 9.0),
        september: trips(30_000, "2013-09-01T00:00:00Z", 700, 60, 5.0),
    };
    year.world.register("late", Task::Binary, 1, &year.training).await;
    for trips in [&year.july, &year.august, &year.september] {
        year.world.serve("late", Task::Binary, 1, trips).await;
        year.world.land(trips).await;
    }
    year
}

async fn evaluate(world: &World, monitor: &str, until: &str) -> Vec<WindowReport> {
    world.watch.evaluate(monitor, Some(at(until)), &principal()).await.unwrap()
}

fn winds(trips: &[Trip]) -> NumericColumn {
    let nulls = trips.iter().filter(|trip| trip.wind.is_none()).count() as u64;
    NumericColumn::Exact(Sample::new(trips.iter().filter_map(|trip| trip.wind).collect(), nulls))
}

fn carriers(trips: &[Trip]) -> Categories {
    let mut categories = Categories::default();
    trips.iter().for_each(|trip| categories.add(Some(trip.carrier), 1));
    categories
}

fn predictions(trips: &[Trip]) -> NumericColumn {
    let model = artifact(Task::Binary);
    NumericColumn::Exact(Sample::new(trips.iter().map(|trip| score(&model, trip)[0]).collect(), 0))
}

fn learned(trips: &[Trip]) -> Vec<Trip> {
    trips.iter().enumerate().filter(|(i, _)| i % 5 != 4).map(|(_, trip)| trip.clone()).collect()
}

/// The share of pairs of a late and a punctual trip in which the late one was given the higher probability.
fn slow_auc(trips: &[Trip]) -> f64 {
    let model = artifact(Task::Binary);
    let scored: Vec<(f64, bool)> = trips.iter().map(|trip| (score(&model, trip)[0], trip.minutes > 15.0)).collect();
    let (mut right, mut pairs) = (0.0, 0.0);
    for (late, _) in scored.iter().filter(|row| row.1) {
        for (punctual, _) in scored.iter().filter(|row| !row.1) {
            pairs += 1.0;
            right += if late > punctual {
                1.0
            } else if late == punctual {
                0.5
            } else {
                0.0
            };
        }
    }
    right / pairs
}

#[tokio::test]
async fn report_has_the_figures_of_its_window() {
    let Year { world, training, july, .. } = year().await;

    let reports = evaluate(&world, "late", "2013-08-01T00:00:00Z").await;

    let [report] = reports.as_slice() else { panic!("one month, one version: {reports:?}") };
    assert_eq!((report.from, report.to), (at("2013-07-01T00:00:00Z"), at("2013-08-01T00:00:00Z")));
    assert!(report.closed);
    assert_eq!(report.traffic.predictions, 740);
    assert_eq!(report.traffic.degraded, july.iter().filter(|trip| trip.wind.is_none()).count() as u64);
    let (half, most) = (report.traffic.latency_us_p50.unwrap(), report.traffic.latency_us_p99.unwrap());
    assert!((104.0..=105.0).contains(&half) && (108.0..=109.0).contains(&most), "{half} {most}");

    let expected = compare_numeric(&winds(&learned(&training)), &winds(&july));
    let wind = report.column("wind").unwrap();
    assert_eq!((wind.psi, wind.ks, wind.wasserstein), (expected.psi, expected.ks, expected.wasserstein));
    assert_eq!((&wind.reference, &wind.current), (&expected.reference, &expected.current));
    let expected = compare_categories(&carriers(&learned(&training)), &carriers(&july));
    let carrier = report.column("carrier").unwrap();
    assert_eq!((carrier.psi, carrier.chi_square), (expected.psi, expected.chi_square));
    let expected = compare_numeric(&predictions(&learned(&training)), &predictions(&july));
    assert_eq!(report.column("prediction").unwrap().ks, expected.ks);
    let missing = report.traffic.missing_feature_share;
    assert!((missing - wind.current.nulls as f64 / 1_480.0).abs() < 1e-15, "{missing}");

    let performance = report.performance.as_ref().unwrap();
    let known: Vec<Trip> = july.iter().filter(|trip| trip.arrives <= at("2013-08-01T00:00:00Z")).cloned().collect();
    assert_eq!((performance.labelled, performance.coverage), (known.len() as u64, known.len() as f64 / 740.0));
    assert!((performance.metrics["auc"] - slow_auc(&known)).abs() < 1e-12, "{performance:?}");
    assert!(performance.metrics["auc"] > 0.6 && report.breaches().next().is_none(), "{:?}", report.judgements);

    let histograms = world.watch.histograms(report).await.unwrap().unwrap();
    assert_eq!(histograms.columns.keys().collect::<Vec<_>>(), ["carrier", "prediction", "wind"]);
}

#[tokio::test]
async fn same_inputs_are_not_computed_again() {
    let Year { world, .. } = year().await;
    let first = evaluate(&world, "late", "2013-10-15T00:00:00Z").await;
    assert_eq!(first.len(), 3);

    let again = evaluate(&world, "late", "2013-10-15T00:00:00Z").await;
    let stored = world.watch.reports("late", &ReportQuery::default()).await.unwrap();

    assert!(again.is_empty(), "{again:?}");
    assert_eq!(stored, first);
    let september = ReportQuery { from: Some(at("2013-09-01T00:00:00Z")), ..ReportQuery::default() };
    assert_eq!(world.watch.reports("late", &september).await.unwrap(), first[2..]);
}

#[tokio::test]
async fn windy_month_opens_an_alert_and_a_calm_one_resolves_it() {
    let Year { world, .. } = year().await;
    let everything = AlertQuery::default();

    evaluate(&world, "late", "2013-08-20T00:00:00Z").await;
    assert!(world.watch.alerts(&everything).await.unwrap().is_empty(), "a window that is open raises nothing");
    evaluate(&world, "late", "2013-09-01T00:00:00Z").await;
    let opened = world.watch.alerts(&everything).await.unwrap();
    evaluate(&world, "late", "2013-10-01T00:00:00Z").await;
    let resolved = world.watch.alerts(&everything).await.unwrap();

    let wind = opened.iter().find(|alert| alert.column.as_deref() == Some("wind")).unwrap();
    assert_eq!((&wind.rule, wind.state, wind.count), (&Rule::Psi, AlertState::Open, 1));
    assert_eq!(wind.first_window, at("2013-08-01T00:00:00Z"));
    assert!(opened.iter().all(|alert| alert.column.as_deref() != Some("carrier")), "{opened:?}");
    assert_eq!(resolved.len(), opened.len());
    assert!(resolved.iter().all(|alert| alert.state == AlertState::Resolved), "{resolved:?}");
}

#[tokio::test]
async fn person_may_acknowledge_and_resolve() {
    let Year { world, .. } = year().await;
    evaluate(&world, "late", "2013-09-01T00:00:00Z").await;
    let unresolved = AlertQuery { unresolved: true, ..AlertQuery::default() };
    let alert = world.watch.alerts(&unresolved).await.unwrap().remove(0);

    let known = world.watch.acknowledge(&alert.id, &principal()).await.unwrap();
    let twice = world.watch.acknowledge(&alert.id, &principal()).await.unwrap_err().to_string();
    let over = world.watch.resolve(&alert.id, &principal()).await.unwrap();
    world.serve("late", Task::Binary, 1, &trips(90_000, "2013-08-02T00:00:00Z", 60, 60, 9.0)).await;
    evaluate(&world, "late", "2013-09-01T00:00:00Z").await;

    assert_eq!((known.state, over.state), (AlertState::Acknowledged, AlertState::Resolved));
    assert!(twice.contains("is acknowledged"), "{twice}");
    let after = world.watch.alerts(&unresolved).await.unwrap();
    assert!(after.iter().all(|other| other.column != alert.column), "the same window opened it again: {after:?}");
}

/// The alerts, the newest first, after a run that refused these files.
async fn judge(world: &World, refused: &[(&str, &str)]) -> Vec<Alert> {
    world.watch.judge_files("trips", refused, &principal()).await.unwrap();
    world.watch.alerts(&AlertQuery::default()).await.unwrap()
}

#[tokio::test]
async fn refused_files_are_one_alert_until_a_run_refuses_none() {
    let world = World::new().await;
    let (bad, worse) = (("b.csv", "has no column `wind`"), ("c.csv", "is empty"));

    let before = judge(&world, &[]).await;
    let opened = judge(&world, &[bad]).await;
    let again = judge(&world, &[bad, worse]).await;
    let resolved = judge(&world, &[]).await;
    let anew = judge(&world, &[worse]).await;

    assert!(before.is_empty(), "a source that never refused a file has no alert: {before:?}");
    let [open] = &opened[..] else { panic!("{opened:?}") };
    assert_eq!((&open.rule, open.state, open.count), (&Rule::FilesRefused, AlertState::Open, 1));
    assert_eq!(open.source(), Some("trips"));
    assert_eq!(open.title(), "source trips refused a file: b.csv has no column `wind`");
    let [still] = &again[..] else { panic!("{again:?}") };
    assert_eq!((&still.id, still.state, still.count, still.value), (&open.id, AlertState::Open, 2, 2.0));
    assert!(still.title().contains("refused 2 files"), "{}", still.title());
    let [over] = &resolved[..] else { panic!("{resolved:?}") };
    assert_eq!((&over.id, over.state), (&open.id, AlertState::Resolved));
    assert_eq!(anew.iter().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Open, AlertState::Resolved]);
    let of_source = AlertQuery { monitor: Some("source:trips".into()), unresolved: true, ..AlertQuery::default() };
    assert_eq!(world.watch.alerts(&of_source).await.unwrap().len(), 1);
    assert!(world.catalog.verify_audit().await.unwrap().is_intact());
}

#[tokio::test]
async fn late_labels_change_performance_and_nothing_else() {
    let Year { world, july, .. } = year().await;

    let before = evaluate(&world, "late", "2013-08-01T00:00:00Z").await.remove(0);
    let after = evaluate(&world, "late", "2013-08-01T06:00:00Z").await;

    let july_again = after.iter().find(|report| report.from == before.from).unwrap();
    assert!(before.performance.as_ref().unwrap().coverage < 1.0);
    assert_eq!(july_again.performance.as_ref().unwrap().coverage, 1.0);
    assert!((july_again.performance.as_ref().unwrap().metrics["auc"] - slow_auc(&july)).abs() < 1e-12);
    assert_eq!((&july_again.columns, july_again.traffic), (&before.columns, before.traffic));
}

#[tokio::test]
async fn pushed_labels_win_over_the_source() {
    let Year { world, july, .. } = year().await;
    let until = "2013-08-02T00:00:00Z";
    let share = |reports: &[WindowReport]| reports[0].performance.as_ref().unwrap().mean_label.unwrap() * 740.0;
    let late = share(&evaluate(&world, "late", until).await).round();
    let punctual: Vec<&Trip> = july.iter().filter(|trip| trip.minutes <= 15.0).collect();
    let known_at = Some(at("2013-08-01T12:00:00Z"));

    let by_id =
        PushedLabel { prediction_id: Some(prediction_id(1, punctual[0])), key: None, label: json!(true), known_at };
    let key = json!({"trip": punctual[1].id}).as_object().cloned();
    let by_key = PushedLabel { prediction_id: None, key, label: json!(1), known_at };
    let unknown = PushedLabel { prediction_id: Some("nobody".into()), key: None, label: json!(true), known_at };
    let too_late = PushedLabel { prediction_id: Some(prediction_id(1, punctual[2])), known_at: None, ..by_id.clone() };
    let labels = [by_id, by_key, unknown, too_late];
    let first = world.watch.push_labels("late", &labels, &principal()).await.unwrap();
    let again = world.watch.push_labels("late", &labels, &principal()).await.unwrap();
    let reports = evaluate(&world, "late", until).await;

    assert_eq!((first.given, first.landed, again.given, again.landed), (4, 4, 4, 0), "a push may be tried again");
    assert_eq!(share(&reports).round(), late + 2.0);
    let listed = world.watch.labels("late", 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].pushed_by.as_str()), (4, "user:local"));
}

#[tokio::test]
async fn versions_in_one_window_are_told_apart() {
    let Year { world, training, july, .. } = year().await;
    world.register("late", Task::Binary, 2, &training).await;
    world.serve("late", Task::Binary, 2, &july[640..]).await;
    world.serve("late", Task::Binary, 7, &july[..3]).await;
    world.serve("late", Task::Binary, 0, &july[..5]).await;

    let reports = evaluate(&world, "late", "2013-08-01T00:00:00Z").await;

    let counts: Vec<_> = reports.iter().map(|report| (report.model_version, report.traffic.predictions)).collect();
    assert_eq!(counts, [(0, 5), (1, 740), (2, 100), (7, 3)]);
    assert!(reports[3].reference.is_none() && reports[3].columns.is_empty(), "nobody registered version 7");
}

#[tokio::test]
async fn version_whose_training_set_is_gone_still_has_traffic_and_performance() {
    let Year { world, july, .. } = year().await;
    let mut version = world.registry.version("late", 1).await.unwrap();
    version.version = 3;
    version.training_set.as_mut().unwrap().version = 99;
    let change = Change::new(&principal(), "model.register", version.node()).put(&version, Expect::Absent).unwrap();
    world.catalog.commit(change).await.unwrap();
    world.serve("late", Task::Binary, 3, &july[..200]).await;

    let reports = evaluate(&world, "late", "2013-08-02T00:00:00Z").await;

    assert!(reports[0].reference.is_some() && reports[1].reference.is_none() && reports[1].columns.is_empty());
    assert_eq!((reports[1].traffic.predictions, reports[1].performance.as_ref().unwrap().labelled), (200, 200));
}

#[tokio::test]
async fn regression_and_classes_have_their_own_metrics() {
    let world = World::new().await;
    let july = trips(10_000, "2013-07-01T00:00:00Z", 400, 60, 5.0);
    for (model, task) in [("minutes", Task::Regression), ("grade", Task::Multiclass)] {
        world.register(model, task, 1, &trips(0, "2013-03-01T00:00:00Z", 1_000, 20, 5.0)).await;
        world.serve(model, task, 1, &july).await;
    }
    world.land(&july).await;

    let minutes = evaluate(&world, "minutes", "2013-08-02T00:00:00Z").await.remove(0);
    let grade = evaluate(&world, "grade", "2013-08-02T00:00:00Z").await.remove(0);

    let model = artifact(Task::Regression);
    let errors: Vec<f64> = july.iter().map(|trip| score(&model, trip)[0] - trip.minutes).collect();
    let mean = july.iter().map(|trip| trip.minutes).sum::<f64>() / 400.0;
    let spread = july.iter().map(|trip| (trip.minutes - mean).powi(2)).sum::<f64>();
    let squares = errors.iter().map(|error| error.powi(2)).sum::<f64>();
    let found = &minutes.performance.as_ref().unwrap().metrics;
    assert!((found["rmse"] - (squares / 400.0).sqrt()).abs() < 1e-9, "{found:?}");
    assert!((found["mae"] - errors.iter().map(|error| error.abs()).sum::<f64>() / 400.0).abs() < 1e-9);
    assert!((found["r2"] - (1.0 - squares / spread)).abs() < 1e-9);

    let model = artifact(Task::Multiclass);
    let (mut right, mut log_loss) = (0.0, 0.0);
    for trip in &july {
        let scores = score(&model, trip);
        let label = if trip.minutes > 30.0 {
            0
        } else if trip.minutes > 15.0 {
            2
        } else {
            1
        };
        right += f64::from(u8::from(scores.iter().all(|other| *other <= scores[label])));
        log_loss -= scores[label].ln() / 400.0;
    }
    let found = &grade.performance.as_ref().unwrap().metrics;
    assert!((found["accuracy"] - right / 400.0).abs() < 1e-9, "{found:?}");
    assert!((found["log_loss"] - log_loss).abs() < 1e-9, "{found:?}");
    assert!(grade.column("predicted_class").unwrap().chi_square.is_some());
}

#[tokio::test]
async fn monitor_without_predictions_has_nothing_to_say() {
    let world = World::new().await;

    assert!(evaluate(&world, "late", "2013-08-02T00:00:00Z").await.is_empty());
    let error = world.watch.evaluate("early", None, &principal()).await.unwrap_err().to_string();
    assert!(error.contains("no monitor `early`"), "{error}");
}
