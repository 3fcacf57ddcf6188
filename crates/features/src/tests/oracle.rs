//! The point-in-time join against a slow oracle: for each observation, look at every row.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::datasource::MemTable;
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation, UnboundedMemoryPool};
use datafusion::physical_plan::displayable;
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use mainspring_spec::{AggregateFunction, DataType, Field};
use proptest::prelude::*;

use crate::fold::{Fold, LatestFold, WindowFold};
use crate::plan::{FeaturePlan, From, Output, ViewUse};
use crate::schema::ViewSchema;
use crate::table::PointInTimeTable;
use crate::value::Value;

#[derive(Debug, Clone)]
struct Event {
    key: Option<u8>,
    event_time: i64,
    known_at: i64,
    row_id: i64,
    value: Option<f64>,
}

#[derive(Debug, Clone)]
struct Case {
    events: Vec<Event>,
    observations: Vec<(Option<u8>, Option<i64>)>,
    ttl: Option<i64>,
    hindsight: bool,
    batch_rows: usize,
    partitions: usize,
}

const WINDOWS: [i64; 3] = [1, 7, 40];
const FUNCTIONS: [AggregateFunction; 7] = [
    AggregateFunction::Count,
    AggregateFunction::Sum,
    AggregateFunction::Mean,
    AggregateFunction::Min,
    AggregateFunction::Max,
    AggregateFunction::Last,
    AggregateFunction::Distinct,
];

fn cases() -> impl Strategy<Value = Case> {
    let key = prop::option::weighted(0.9, 0..4_u8);
    let value =
        prop::option::weighted(0.8, prop_oneof![Just(0.1), Just(0.2), Just(0.3), Just(1e16), Just(-1e16), -5.0..5.0]);
    let event = (key.clone(), -20..60_i64, -5..30_i64, value);
    let observation = (key, prop::option::weighted(0.95, -25..90_i64));
    (
        prop::collection::vec(event, 0..80),
        prop::collection::vec(observation, 1..40),
        prop::option::of(0..20_i64),
        any::<bool>(),
        1..9_usize,
        1..4_usize,
    )
        .prop_map(|(events, observations, ttl, hindsight, batch_rows, partitions)| {
            let events = events.into_iter().enumerate().map(|(number, (key, event_time, lag, value))| Event {
                key,
                event_time,
                known_at: if hindsight { event_time + lag } else { event_time },
                // Far from the order of the rows, and now and then equal.
                row_id: i64::try_from(number).unwrap().wrapping_mul(7919) % 61,
                value,
            });
            Case { events: events.collect(), observations, ttl, hindsight, batch_rows, partitions }
        })
}

/// The oracle: rows of the key that had happened and were known, in order.
fn known(case: &Case, key: Option<u8>, at: Option<i64>) -> Vec<&Event> {
    let (Some(key), Some(at)) = (key, at) else { return vec![] };
    let mut rows: Vec<&Event> = case
        .events
        .iter()
        .filter(|event| event.key == Some(key) && event.event_time <= at && event.known_at <= at)
        .collect();
    rows.sort_by_key(|event| (event.event_time, event.known_at, event.row_id));
    rows
}

fn expected_latest(case: &Case, key: Option<u8>, at: Option<i64>) -> Value {
    let rows = known(case, key, at);
    let latest = rows.last().filter(|row| case.ttl.is_none_or(|ttl| at.unwrap_or_default() - row.event_time <= ttl));
    latest.and_then(|row| row.value).map_or(Value::Null, Value::Float)
}

fn expected_aggregate(
    case: &Case,
    key: Option<u8>,
    at: Option<i64>,
    function: AggregateFunction,
    window: i64,
) -> Value {
    let (Some(_), Some(moment)) = (key, at) else { return Value::Null };
    let rows = known(case, key, at);
    let values: Vec<f64> =
        rows.iter().filter(|row| row.event_time > moment - window).filter_map(|row| row.value).collect();
    let float = |value: Option<f64>| value.map_or(Value::Null, Value::Float);
    let mut sum = 0.0;
    for value in &values {
        sum += value;
    }
    match function {
        AggregateFunction::Count => Value::Int(values.len() as i64),
        AggregateFunction::Sum => Value::Float(sum),
        AggregateFunction::Mean => float((!values.is_empty()).then(|| sum / values.len() as f64)),
        AggregateFunction::Min => float(values.iter().copied().min_by(f64::total_cmp)),
        AggregateFunction::Max => float(values.iter().copied().max_by(f64::total_cmp)),
        AggregateFunction::Last => float(values.last().copied()),
        AggregateFunction::Distinct => Value::Int(
            values.iter().map(|value| value.to_bits()).collect::<std::collections::BTreeSet<_>>().len() as i64,
        ),
    }
}

fn frame(session: &SessionContext, columns: Vec<(&str, ArrayRef)>, batch_rows: usize) -> DataFrame {
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, of)| (name, of, true))).unwrap();
    let rows = batch.num_rows();
    let mut partitions = vec![vec![], vec![]];
    for (number, start) in (0..rows).step_by(batch_rows).enumerate() {
        partitions[number % 2].push(batch.slice(start, batch_rows.min(rows - start)));
    }
    session.read_table(Arc::new(MemTable::try_new(batch.schema(), partitions).unwrap())).unwrap()
}

/// A pool that gives what is asked for, and says that it is small.
#[derive(Debug)]
struct Stingy(UnboundedMemoryPool);

impl std::fmt::Display for Stingy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stingy")
    }
}

impl MemoryPool for Stingy {
    fn name(&self) -> &'static str {
        "stingy"
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.0.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.0.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> datafusion::common::Result<()> {
        self.0.try_grow(reservation, additional)
    }

    fn reserved(&self) -> usize {
        self.0.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(0)
    }
}

fn field(name: &str, data_type: DataType) -> Field {
    Field { name: name.into(), data_type }
}

fn plan(case: &Case) -> (FeaturePlan, Vec<Field>) {
    let mut fold = WindowFold::default();
    let mut features = vec![];
    for function in FUNCTIONS {
        for window in WINDOWS {
            fold.push(window, function, Some(0));
            let of = crate::fold::aggregate_type(function, Some(DataType::Float64)).unwrap();
            features.push(field(&format!("{function:?}_{window}"), of));
        }
    }
    let schema = |view: &str| ViewSchema {
        view: view.into(),
        fingerprint: String::new(),
        keys: vec![field("key", DataType::String)],
        event_time: Some("event_time".into()),
        known_at: case.hindsight.then(|| "known_at".into()),
        payload: vec![field("value", DataType::Float64)],
        features: vec![],
    };
    let latest = Fold::Latest(LatestFold { columns: vec![0], ttl: case.ttl });
    let uses =
        [("latest", latest, vec![field("value", DataType::Float64)]), ("windows", Fold::Windows(fold), features)];
    let mut outputs = vec![];
    let mut views = vec![];
    for (place, (view, fold, features)) in uses.into_iter().enumerate() {
        let from =
            features.iter().enumerate().map(|(at, of)| Output { field: of.clone(), from: From::Stored(place, at) });
        outputs.extend(from);
        views.push(ViewUse { schema: schema(view), keys: vec![0], features, fold: Arc::new(fold), online: true });
    }
    let fields = outputs.iter().map(|output| output.field.clone()).collect();
    (FeaturePlan { fields: vec![field("key", DataType::String)], views, outputs }, fields)
}

fn text(key: Option<u8>) -> Option<String> {
    key.map(|key| format!("k{key}"))
}

/// How the latest rows are found.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// With the observations in memory.
    Gather,
    /// With both sides sorted.
    Merge,
}

async fn run(case: &Case, way: Way) -> Vec<(i64, Vec<Value>)> {
    let config = SessionConfig::new().with_target_partitions(case.partitions).with_batch_size(case.batch_rows);
    let runtime = datafusion::execution::runtime_env::RuntimeEnvBuilder::new();
    let runtime = match way {
        Way::Gather => runtime,
        // Gathering may take only a part of the pool, and that is less than it takes to hold anything.
        Way::Merge => runtime.with_memory_pool(Arc::new(Stingy(UnboundedMemoryPool::default()))),
    };
    let session = SessionContext::new_with_config_rt(config, runtime.build_arc().unwrap());
    let micros =
        |times: Vec<Option<i64>>| Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")) as ArrayRef;
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(StringArray::from_iter(case.events.iter().map(|event| text(event.key))))),
        ("event_time", micros(case.events.iter().map(|event| Some(event.event_time)).collect())),
    ];
    if case.hindsight {
        columns.push(("known_at", micros(case.events.iter().map(|event| Some(event.known_at)).collect())));
    }
    columns.push(("row_id", Arc::new(Int64Array::from_iter_values(case.events.iter().map(|event| event.row_id)))));
    columns.push(("value", Arc::new(Float64Array::from_iter(case.events.iter().map(|event| event.value)))));
    let timeline = frame(&session, columns, case.batch_rows);
    let observed = vec![
        ("number", Arc::new(Int64Array::from_iter_values(0..case.observations.len() as i64)) as ArrayRef),
        ("key", Arc::new(StringArray::from_iter(case.observations.iter().map(|(key, _)| text(*key))))),
        ("at", micros(case.observations.iter().map(|(_, at)| *at).collect())),
    ];
    let observations = frame(&session, observed, case.batch_rows);
    let (plan, fields) = plan(case);
    let timelines = vec![timeline.clone().into_unoptimized_plan(), timeline.into_unoptimized_plan()];
    let table = PointInTimeTable::new(observations.into_unoptimized_plan(), Some("at"), plan, timelines).unwrap();
    let joined = session.read_table(Arc::new(table)).unwrap();
    let shown = displayable(joined.clone().create_physical_plan().await.unwrap().as_ref()).indent(true).to_string();
    assert_eq!(shown.contains("GatherLatestExec"), way == Way::Gather, "{shown}");
    let batches = joined.collect().await.unwrap();
    let mut rows = vec![];
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let Value::Int(number) = Value::from_array(batch.column(0), row) else { panic!("numbers are not null") };
            let values = fields.iter().map(|of| Value::from_array(batch.column_by_name(&of.name).unwrap(), row));
            rows.push((number, values.collect()));
        }
    }
    rows.sort_by_key(|(number, _)| *number);
    rows
}

/// What the online side computes: the folds over all rows of the entity, the future ones too.
fn fold_whole_tail(case: &Case, key: u8, at: i64) -> Vec<Value> {
    let mut rows: Vec<&Event> = case.events.iter().filter(|event| event.key == Some(key)).collect();
    rows.sort_by_key(|event| (event.event_time, event.known_at, event.row_id));
    let mut tail = crate::fold::Tail::new([DataType::Float64]);
    for row in rows {
        tail.push(row.event_time, row.known_at, &[row.value.map_or(Value::Null, Value::Float)]);
    }
    let mut values = vec![];
    for view in plan(case).0.views {
        view.fold.at(&tail, at, &mut values);
    }
    values
}

fn check(case: &Case) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for way in [Way::Gather, Way::Merge] {
        compare(case, &runtime.block_on(run(case, way)))?;
    }
    Ok(())
}

fn compare(case: &Case, rows: &[(i64, Vec<Value>)]) -> Result<(), TestCaseError> {
    prop_assert_eq!(rows.len(), case.observations.len(), "rows out are rows in");
    for ((number, values), (place, (key, at))) in rows.iter().zip(case.observations.iter().enumerate()) {
        prop_assert_eq!(*number, place as i64);
        // Rows equal in key, times and id are in no order; which of them is the latest is open.
        let mut wanted = vec![expected_latest(case, *key, *at)];
        for function in FUNCTIONS {
            wanted.extend(WINDOWS.map(|window| expected_aggregate(case, *key, *at, function, window)));
        }
        for (column, (found, wanted)) in values.iter().zip(&wanted).enumerate() {
            prop_assert!(found.same(wanted), "observation {place}, feature {column}: {found:?} is not {wanted:?}");
        }
        if let (Some(key), Some(at)) = (key, at) {
            let online = fold_whole_tail(case, *key, *at);
            prop_assert!(online.iter().zip(values).all(|(a, b)| a.same(b)), "online {online:?}, offline {values:?}");
        }
    }
    Ok(())
}

/// Gives rows of one key and times different ids, since of equal ones any may come first.
fn with_distinct_places(mut case: Case) -> Case {
    let mut seen = std::collections::BTreeSet::new();
    for event in &mut case.events {
        while !seen.insert((event.key, event.event_time, event.known_at, event.row_id)) {
            event.row_id += 1;
        }
    }
    case
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn join_agrees_with_looking_at_every_row(case in cases().prop_map(with_distinct_places)) {
        check(&case)?;
    }
}

#[test]
fn one_key_with_far_more_rows_than_a_batch() {
    let events = (0..3_000).map(|number| Event {
        key: Some(0),
        event_time: number / 3,
        known_at: number / 3 + number % 50,
        row_id: number,
        value: Some(number as f64 * 0.1),
    });
    let observations = (0..1_200).map(|at| (Some(0), Some(at)));
    let case = Case {
        events: events.collect(),
        observations: observations.collect(),
        ttl: None,
        hindsight: true,
        batch_rows: 7,
        partitions: 2,
    };

    check(&case).unwrap();
}
