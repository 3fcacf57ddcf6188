//! The prediction log: bounded, once, and in time.

use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use mainspring_lake::{Lake, LakeConfig};

use super::*;
use crate::{Given, LakeSink, Question};

async fn endpoint(engine: &ServeEngine, queue: u32) -> Arc<Endpoint> {
    let declared = declared(|it| it.log.queue = queue);
    engine.deploy(declared, &linear(1.0, 2.0, 10.0), 7, plan(), here(windy)).await.unwrap()
}

#[tokio::test]
async fn an_entry_says_what_was_asked_known_and_answered() {
    let sink = Arc::new(Memory::default());
    let engine = engine(&sink);
    let endpoint = endpoint(&engine, 100).await;

    let body = r#"{"as_of":"2013-07-01T00:00:00Z","rows":[{"origin":"JFK","distance":100}]}"#;
    let answer = ask(&endpoint, body).await.unwrap();
    endpoint.flush().await;

    let batches = sink.batches.lock();
    let rows = &batches[0].rows;
    let text = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>().value(0).to_owned();
    let number = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>().value(0);
    assert_eq!(text("prediction_id"), answer.ids[0].to_string());
    assert_eq!(
        (text("endpoint"), text("model"), text("caller")),
        ("delay".into(), "delay".into(), "user:local".into())
    );
    assert_eq!((text("origin"), number("distance"), number("wind")), ("JFK".into(), 100.0, 3.0));
    assert_eq!(number("prediction"), 231.0);
    let as_of = rows.column_by_name("as_of").unwrap();
    assert_eq!(arrow::util::display::array_value_to_string(as_of, 0).unwrap(), "2013-07-01T00:00:00Z");
    assert!(rows.column_by_name("probabilities").unwrap().is_null(0));
}

#[tokio::test]
async fn what_does_not_fit_is_shed_and_counted_and_the_rest_lands_once() {
    let sink = Arc::new(Memory::default());
    let engine = engine(&sink);
    let endpoint = endpoint(&engine, 10).await;
    sink.set_down(true);

    for _ in 0..25 {
        ask(&endpoint, ONE_ROW).await.unwrap();
    }
    let status = endpoint.status();
    assert_eq!((status.log_waiting, status.log_shed, status.log_written), (10, 15, 0));

    while sink.tries.lock().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sink.set_down(false);
    endpoint.flush().await;

    let status = endpoint.status();
    assert_eq!((status.log_waiting, status.log_shed, status.log_written), (0, 15, 10));
    assert_eq!(sink.rows(), 10);
    let sequences: Vec<i64> = sink.batches.lock().iter().map(|batch| batch.sequence).collect();
    assert!(sequences.windows(2).all(|pair| pair[0] < pair[1]), "{sequences:?}");
    assert!(sink.tries.lock().iter().filter(|sequence| **sequence == 1).count() >= 3, "a retry keeps its number");
}

#[tokio::test]
async fn a_batch_that_can_never_be_written_does_not_hold_up_the_others() {
    struct Choosy(Memory);
    #[async_trait]
    impl LogSink for Choosy {
        async fn write(&self, batch: &LogBatch) -> Result<(), SinkError> {
            if batch.sequence == 1 {
                return Err(SinkError::Refused("the column `wind` is text in the table".into()));
            }
            self.0.write(batch).await
        }
    }
    let sink = Arc::new(Choosy(Memory::default()));
    let engine = ServeEngine::new(ServeConfig::default(), Arc::clone(&sink) as Arc<dyn LogSink>);
    let endpoint = endpoint(&engine, 100).await;

    ask(&endpoint, ONE_ROW).await.unwrap();
    endpoint.flush().await;
    ask(&endpoint, ONE_ROW).await.unwrap();
    endpoint.flush().await;

    let status = endpoint.status();
    assert_eq!((status.log_shed, status.log_written, status.log_waiting), (1, 1, 0));
}

#[tokio::test]
async fn batches_are_written_without_being_asked_for_when_old_or_full() {
    let sink = Arc::new(Memory::default());
    let engine = engine(&sink);
    let endpoint = endpoint(&engine, 10_000).await;

    for _ in 0..250 {
        ask(&endpoint, ONE_ROW).await.unwrap();
    }
    while sink.rows() < 250 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    assert!(sink.batches.lock().iter().all(|batch| batch.rows.num_rows() <= 100));
}

#[tokio::test]
async fn rows_of_all_forms_and_callers_keep_what_is_theirs_in_whatever_order_they_come() {
    let sink = Arc::new(Memory::default());
    let whenever_asked = ServeConfig { log_flush_every: Duration::from_secs(3600), log_flush_rows: 3_000 };
    let engine = ServeEngine::new(whenever_asked, Arc::clone(&sink) as Arc<dyn LogSink>);
    let endpoint = endpoint(&engine, 10_000).await;
    let callers = ["ann", "bob"].map(Principal::user);
    let mut expected = HashMap::new();
    for number in 0..1_500 {
        let (caller, rows) = (&callers[number / 7 % 2], 1 + number % 2);
        let distances: Vec<f64> = (0..rows).map(|row| (2 * number + row) as f64).collect();
        let given = match number % 3 {
            0 => Given::Numbers(distances.iter().flat_map(|distance| [*distance, 2.0]).collect()),
            1 => Given::Inputs(distances.iter().flat_map(|distance| [*distance, 2.0].map(Value::Float)).collect()),
            _ => {
                let fields = |distance: &f64| [Value::Text("JFK".into()), Value::Float(*distance)];
                Given::Fields(distances.iter().flat_map(fields).collect())
            }
        };
        let wind = if number % 3 == 2 { 3.0 } else { 2.0 };
        let answer = endpoint.answer(caller, |_, _| Ok(Question { rows, as_of: None, given })).await.unwrap();
        for (id, distance) in answer.ids.iter().zip(distances) {
            let predicted = 1.0 + 2.0 * distance + 10.0 * wind;
            expected.insert(id.to_string(), (caller.to_string(), distance, wind, predicted, number % 3 != 2));
        }
    }
    endpoint.flush().await;

    let mut logged = HashMap::new();
    for LogBatch { rows, .. } in sink.batches.lock().iter() {
        let text = |name: &str| rows.column_by_name(name).unwrap().as_string::<i32>();
        let number = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        let (ids, callers, given) =
            (text("prediction_id"), text("caller"), rows.column_by_name("inputs_given").unwrap());
        let (distances, winds, predicted) = (number("distance"), number("wind"), number("prediction"));
        for row in 0..rows.num_rows() {
            let values = (distances.value(row), winds.value(row), predicted.value(row));
            let entry = (callers.value(row).to_owned(), values.0, values.1, values.2, given.as_boolean().value(row));
            assert!(logged.insert(ids.value(row).to_owned(), entry).is_none(), "a row is logged once");
        }
    }
    assert_eq!(logged.len(), 2_250);
    assert!(logged == expected);
}

#[tokio::test]
async fn a_shutdown_writes_what_waits() {
    let sink = Arc::new(Memory::default());
    let slow = ServeConfig { log_flush_every: Duration::from_secs(3600), log_flush_rows: 1_000_000 };
    let engine = ServeEngine::new(slow, Arc::clone(&sink) as Arc<dyn LogSink>);
    let endpoint = endpoint(&engine, 100).await;
    ask(&endpoint, &rows(5)).await.unwrap();

    engine.shutdown().await;

    assert_eq!(sink.rows(), 5);
    assert!(engine.endpoints().is_empty());
}

#[tokio::test]
async fn versions_with_other_inputs_are_logged_with_their_own_columns() {
    let sink = Arc::new(Memory::default());
    let engine = engine(&sink);
    let endpoint = endpoint(&engine, 100).await;
    ask(&endpoint, ONE_ROW).await.unwrap();
    let mut other = linear(0.0, 0.0, 0.0);
    other.inputs[1].name = "rain".into();
    let mut planned = plan();
    planned.inputs[1].name = "rain".into();
    engine.deploy(declared(|_| {}), &other, 8, planned, here(windy)).await.unwrap();
    ask(&endpoint, ONE_ROW).await.unwrap();

    endpoint.flush().await;

    let batches = sink.batches.lock();
    let has = |batch: &LogBatch, name: &str| batch.rows.column_by_name(name).is_some();
    assert!(has(&batches[0], "wind") && !has(&batches[0], "rain"));
    let last = batches.last().unwrap();
    assert!(has(last, "rain") && !has(last, "wind"));
}

#[tokio::test(flavor = "multi_thread")]
async fn predictions_are_rows_of_the_lake_and_new_columns_join_them() {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(LakeConfig {
        root: folder.path().join("lake").display().to_string(),
        memory_bytes: 64 << 20,
        spill_dir: folder.path().join("spill"),
        threads: 2,
    });
    let lake = lake.await.unwrap();
    let engine = ServeEngine::new(ServeConfig::default(), Arc::new(LakeSink::new(lake.clone())));
    let endpoint = endpoint(&engine, 1_000).await;
    ask(&endpoint, &rows(40)).await.unwrap();
    endpoint.flush().await;
    let mut other = linear(0.0, 0.0, 0.0);
    other.inputs[1].name = "rain".into();
    let mut planned = plan();
    planned.inputs[1].name = "rain".into();
    engine.deploy(declared(|_| {}), &other, 8, planned, here(windy)).await.unwrap();
    ask(&endpoint, &rows(2)).await.unwrap();

    let started = std::time::Instant::now();
    let query = "select count(*) as n, count(wind) as with_wind, count(rain) as with_rain, \
                 count(distinct prediction_id) as ids from predictions.delay";
    let mut counted = String::new();
    while !counted.contains("42") && started.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(frame) = lake.sql(query).await else { continue };
        counted = arrow::util::pretty::pretty_format_batches(&frame.collect().await.unwrap()).unwrap().to_string();
    }

    let figures: Vec<&str> = counted.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty()).collect();
    assert_eq!(figures, ["42", "40", "2", "42"], "{counted}");
    engine.shutdown().await;
}
