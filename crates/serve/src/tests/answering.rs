//! The way of a prediction, its bounds and its fallbacks.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::{ErrorKind, Given, Question};

#[tokio::test]
async fn fields_and_looked_up_features_reach_the_model() {
    let engine = engine(&Arc::default());
    let endpoint = engine.deploy(declared(|_| {}), &linear(1.0, 2.0, 10.0), 7, plan(), here(windy)).await.unwrap();

    let answer = ask(&endpoint, r#"{"rows":[{"origin":"JFK","distance":100},{"distance":null,"origin":"EWR"}]}"#);
    let answer = answer.await.unwrap();

    assert_eq!(values(&answer), [231.0, 31.0]);
    assert_eq!((answer.version(), answer.degraded), (Some("7"), false));
    assert_eq!(answer.ids.len(), 2);
    assert_ne!(answer.ids[0], answer.ids[1]);
}

#[tokio::test]
async fn given_inputs_are_not_looked_up() {
    let engine = engine(&Arc::default());
    let store = here(|_| panic!("nobody asked the store"));
    let endpoint = engine.deploy(declared(|_| {}), &linear(0.0, 1.0, 10.0), 1, plan(), store).await.unwrap();
    let ask = async |given| {
        let question = Question { rows: 2, as_of: None, given };
        values(&endpoint.answer(&Principal::local_owner(), |_, _| Ok(question)).await.unwrap())
    };

    let numbers = ask(Given::Numbers(vec![1.0, 2.0, 3.0, f64::NAN])).await;
    let typed = ask(Given::Inputs(vec![Value::Float(1.0), Value::Int(2), Value::Float(3.0), Value::Null])).await;

    assert_eq!(numbers, [21.0, 53.0]);
    assert_eq!(typed, numbers);
}

#[tokio::test]
async fn without_the_store_the_answer_is_degraded_or_refused_as_declared() {
    let engine = engine(&Arc::default());
    let store = || here(|_| Err("it is away".into()));
    let deploy = async |declared| engine.deploy(declared, &linear(0.0, 0.0, 1.0), 1, plan(), store()).await.unwrap();

    let going_on = ask(&*deploy(declared(|_| {})).await, ONE_ROW).await.unwrap();
    assert_eq!((values(&going_on), going_on.degraded), (vec![5.0], true));

    let strict = deploy(declared(|it| it.fallback.missing_features = false)).await;
    let refused = ask(&strict, ONE_ROW).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("it is away"), "{refused}");

    let constant = declared(|it| {
        it.fallback.missing_features = false;
        it.fallback.constant = Some(0.25);
    });
    let fallback = ask(&*deploy(constant).await, &rows(3)).await.unwrap();
    assert_eq!((values(&fallback), fallback.degraded), (vec![0.25; 3], true));
    assert_eq!(fallback.version(), None);
}

#[tokio::test]
async fn each_request_counts_under_one_outcome() {
    let engine = engine(&Arc::default());
    let mut registry = prometheus_client::registry::Registry::default();
    engine.register_metrics(&mut registry);
    let away = || here(|_| Err("it is away".into()));
    let deploy =
        async |declared, store| engine.deploy(declared, &linear(0.0, 0.0, 1.0), 1, plan(), store).await.unwrap();

    ask(&*deploy(declared(|_| {}), here(windy)).await, ONE_ROW).await.unwrap();
    ask(&*deploy(declared(|_| {}), away()).await, ONE_ROW).await.unwrap();
    let strict = deploy(declared(|it| it.fallback.missing_features = false), away()).await;
    ask(&strict, ONE_ROW).await.err().unwrap();
    ask(&strict, "{").await.err().unwrap();

    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let counts: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("endpoint_requests_total")).collect();
    for (outcome, count) in [("answered", 1), ("degraded", 1), ("refused", 0), ("invalid", 1), ("failed", 1)] {
        let wanted = format!("{{endpoint=\"delay\",outcome=\"{outcome}\"}} {count}");
        assert!(counts.contains(&wanted.as_str()), "{wanted} among {counts:?}");
    }
}

#[tokio::test]
async fn more_requests_than_the_bound_are_refused_at_once() {
    let engine = engine(&Arc::default());
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let store = elsewhere(move |fields| {
        wait.lock().recv().ok();
        windy(fields)
    });
    let bounded = declared(|it| it.limits.concurrency = 2);
    let endpoint = engine.deploy(bounded, &linear(0.0, 0.0, 1.0), 1, plan(), store).await.unwrap();
    let inside: Vec<_> = (0..2)
        .map(|_| {
            let endpoint = Arc::clone(&endpoint);
            tokio::spawn(async move { ask(&endpoint, ONE_ROW).await.is_ok() })
        })
        .collect();
    while endpoint.status().inside < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let started = Instant::now();
    let refused = ask(&endpoint, ONE_ROW).await.err().unwrap();

    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(started.elapsed() < Duration::from_secs(60), "a tenth of what the others may take");
    drop(release);
    for answered in inside {
        assert!(answered.await.unwrap());
    }
    ask(&endpoint, ONE_ROW).await.unwrap();
    assert_eq!((endpoint.status().refused, endpoint.status().answered), (1, 3));
}

#[tokio::test]
async fn a_store_that_hangs_costs_the_timeout_and_keeps_its_place() {
    let engine = engine(&Arc::default());
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let hanging = elsewhere(move |fields| {
        wait.lock().recv().ok();
        windy(fields)
    });
    let hasty = declared(|it| {
        it.limits.concurrency = 2;
        it.limits.timeout = spec::Span::from_micros(30_000);
        it.fallback.constant = Some(0.5);
    });
    let without_constant = spec::Endpoint { fallback: spec::Fallback::default(), ..hasty.clone() };
    let endpoint = engine.deploy(hasty, &linear(0.0, 0.0, 1.0), 1, plan(), hanging).await.unwrap();

    let fallback = ask(&endpoint, ONE_ROW).await.unwrap();
    assert_eq!((values(&fallback), fallback.degraded), (vec![0.5], true));

    endpoint.declare(without_constant);
    assert_eq!(ask(&endpoint, ONE_ROW).await.err().unwrap().kind(), ErrorKind::TimedOut);
    assert_eq!(ask(&endpoint, ONE_ROW).await.err().unwrap().kind(), ErrorKind::Overloaded);

    drop(release);
    while endpoint.status().inside > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn too_many_rows_are_refused() {
    let engine = engine(&Arc::default());
    let small = declared(|it| it.limits.rows = 3);
    let endpoint = engine.deploy(small, &linear(0.0, 0.0, 1.0), 1, plan(), here(windy)).await.unwrap();

    assert_eq!(ask(&endpoint, &rows(3)).await.unwrap().ids.len(), 3);
    assert_eq!(ask(&endpoint, &rows(4)).await.err().unwrap().kind(), ErrorKind::TooLarge);
    assert_eq!(endpoint.status().invalid, 1);
}

#[tokio::test]
async fn many_rows_have_the_answers_that_few_have() {
    let engine = engine(&Arc::default());
    let endpoint = engine.deploy(declared(|_| {}), &linear(1.0, 2.0, 10.0), 1, plan(), here(windy)).await.unwrap();

    let few = values(&ask(&endpoint, &rows(2)).await.unwrap());
    let many = values(&ask(&endpoint, &rows(5_000)).await.unwrap());

    assert_eq!(many.len(), 5_000);
    assert!(many.iter().all(|value| *value == few[0]));
}

#[tokio::test]
async fn a_model_whose_inputs_are_not_planned_for_is_not_deployed() {
    let engine = engine(&Arc::default());
    let mut other = linear(0.0, 0.0, 0.0);
    other.inputs[1].name = "rain".into();

    let renamed = engine.deploy(declared(|_| {}), &other, 1, plan(), here(windy)).await;
    let without_store = engine.deploy(declared(|_| {}), &linear(0.0, 0.0, 0.0), 1, plan(), None).await;

    assert!(matches!(renamed, Err(Error::Unservable { .. })));
    assert!(matches!(without_store, Err(Error::Unservable { .. })));
    assert!(matches!(engine.endpoint("dely"), Err(Error::UnknownEndpoint { .. })));
}

/// The model of version `v` answers `v`: an answer whose value is not its version was made by two.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn switching_versions_under_load_fails_no_request_and_mixes_no_answer() {
    let sink = Arc::new(Memory::default());
    let engine = engine(&sink);
    let quiet = || declared(|it| it.log.enabled = false);
    let endpoint = engine.deploy(quiet(), &linear(0.0, 0.0, 0.0), 0, plan(), here(windy)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = [1, 3, 70]
        .into_iter()
        .map(|count| {
            let (endpoint, done) = (Arc::clone(&endpoint), Arc::clone(&done));
            let body = rows(count);
            tokio::spawn(async move {
                let mut versions = std::collections::BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    let answer = ask(&endpoint, &body).await.unwrap();
                    let version: f64 = answer.version().unwrap().parse().unwrap();
                    assert!(values(&answer).iter().all(|value| *value == version));
                    versions.insert(answer.version().unwrap().to_owned());
                }
                versions.len()
            })
        })
        .collect();

    for version in 1..=300u32 {
        let model = linear(f64::from(version), 0.0, 0.0);
        engine.deploy(quiet(), &model, version.into(), plan(), here(windy)).await.unwrap();
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    done.store(true, Ordering::Relaxed);

    for asker in askers {
        assert!(asker.await.unwrap() > 1, "the versions were switched while answering");
    }
    assert_eq!(endpoint.status().failed + endpoint.status().invalid, 0);
    assert_eq!(endpoint.status().version, Some(300));
}
