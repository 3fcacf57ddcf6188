//! Pushes: online at once, in the lake once, and the same in both.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use mainspring_catalog::Principal;
use mainspring_lake::TableName;
use proptest::prelude::*;

use super::world::{MINUTE, START, World, block_on, micros};
use crate::{EntityValue, OnlineOptions, Push, PushTo, Status, Value, ValueRef};

const PROJECT: [(&str, &str); 3] = [
    ("mainspring.yaml", "project: sensors\n"),
    (
        "sources/all.yaml",
        r"
source: readings
push: [sensors]
columns:
  - {name: sensor, type: int64, nullable: false}
  - {name: at, type: timestamp, nullable: false}
  - {name: heat, type: float64}
  - {name: state, type: string}
checks:
  - range: {column: heat, min: -1000, max: 1000}
event_time: at
---
source: corrections
push: [sensors]
columns:
  - {name: sensor, type: int64, nullable: false}
  - {name: at, type: timestamp, nullable: false}
  - {name: heat, type: float64}
key: [sensor, at]
event_time: at
",
    ),
    (
        "features/all.yaml",
        r#"
entity: sensor
keys: [{name: sensor, type: int64}]
---
feature_view: last_reading
entity: sensor
sql: select sensor, at, pushed_at, heat, state from readings
event_time: at
written_at: pushed_at
ttl: 2h
features: {heat: how hot, state: of what}
---
feature_view: seen
entity: sensor
sql: select sensor, at, pushed_at, now() as seen_at from readings
event_time: at
written_at: pushed_at
features: {seen_at: when it was seen}
---
feature_view: hours
entity: sensor
from: readings
aggregates:
  - {name: seen, function: count, windows: [1h]}
  - {name: heat_sum, function: sum, of: heat, windows: [1h, 3h]}
---
feature_view: corrected
entity: sensor
from: corrections
aggregates: [{name: fixed, function: sum, of: heat, windows: [3h]}]
---
feature_view: extremes
entity: sensor
sql: select sensor, max(at) as at, max(heat) as peak from readings group by sensor
event_time: at
features: {peak: the most}
---
entity: no_entity
keys: [{name: __dummy_id, type: string}]
---
feature_view: anywhere
entity: no_entity
sql: select '' as "__dummy_id", at, pushed_at, heat from readings
event_time: at
written_at: pushed_at
features: {heat: how hot}
---
feature_service: board
features: [last_reading.*, hours.seen_1h]
"#,
    ),
];

/// Sensors that push what they read.
struct Sensors(World);

impl std::ops::Deref for Sensors {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

#[derive(Debug, Clone)]
struct Reading {
    sensor: i64,
    at: i64,
    heat: Option<f64>,
    state: Option<String>,
}

impl Sensors {
    async fn new() -> Self {
        Self(World::new(&PROJECT, OnlineOptions::default()).await)
    }

    /// Pushes to both sources, as one push of the name they share.
    async fn push(&self, readings: &[Reading], to: PushTo) -> crate::Result<crate::PushReport> {
        let at = micros(readings.iter().map(|reading| reading.at));
        let sensor: ArrayRef = Arc::new(Int64Array::from_iter_values(readings.iter().map(|reading| reading.sensor)));
        let heat: ArrayRef = Arc::new(readings.iter().map(|reading| reading.heat).collect::<Float64Array>());
        let state: ArrayRef = Arc::new(readings.iter().map(|reading| reading.state.clone()).collect::<StringArray>());
        let targets = self.features.push_targets("sensors")?;
        assert_eq!(targets.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(), ["corrections", "readings"]);
        let common = [("sensor", sensor, true), ("at", at, true), ("heat", heat, true)];
        let short = RecordBatch::try_from_iter_with_nullable(common.clone()).unwrap();
        let whole =
            RecordBatch::try_from_iter_with_nullable(common.into_iter().chain([("state", state, true)])).unwrap();
        let pushes =
            vec![Push { source: "corrections".into(), rows: short }, Push { source: "readings".into(), rows: whole }];
        self.features.push(pushes, to, &Principal::local_owner()).await
    }

    /// All features of some views for some sensors, as a feature server reads them.
    async fn online(&self, views: &[&str], sensors: &[i64], at: i64) -> Vec<Vec<(Value, Status, i64)>> {
        let mut features = vec![];
        for view in views {
            let names = self.features.project().view_features(view);
            features.extend(names.into_iter().map(|feature| ((*view).to_owned(), feature)));
        }
        let plan = self.features.read_plan(&features).await.unwrap();
        let keys: Vec<EntityValue<'_>> = sensors.iter().map(|&sensor| EntityValue::Int(sensor)).collect();
        let answer = plan.read(&[&keys], sensors.len(), at).unwrap();
        let cell = |feature, row| {
            let value = match answer.value(feature, row) {
                ValueRef::Null => Value::Null,
                ValueRef::Int(value) => Value::Int(value),
                ValueRef::Float(value) => Value::Float(value),
                ValueRef::Text(text) => Value::Text(text.into()),
                ValueRef::Timestamp(at) => Value::Timestamp(at),
                other => panic!("no feature is {other:?}"),
            };
            (value, answer.row_status(feature, row), answer.event_time(feature, row))
        };
        (0..sensors.len()).map(|row| (0..features.len()).map(|feature| cell(feature, row)).collect()).collect()
    }

    async fn offline(&self, views: &[&str], sensors: &[i64], at: i64) -> Vec<Vec<Value>> {
        let mut inputs = vec![];
        for view in views {
            let names = self.features.project().view_features(view);
            let of = |feature| mainspring_spec::InputRef::Feature { view: (*view).to_owned(), feature };
            inputs.extend(names.into_iter().map(of));
        }
        let batch = RecordBatch::try_from_iter([
            ("sensor", Arc::new(Int64Array::from(sensors.to_vec())) as ArrayRef),
            ("at", micros(sensors.iter().map(|_| at))),
        ]);
        self.joined(batch.unwrap(), &inputs).await
    }

    async fn rows_of(&self, table: &str) -> usize {
        let table = TableName::new("sources", table).unwrap();
        self.lake.read(&table, mainspring_lake::At::Latest).await.unwrap().count().await.unwrap()
    }
}

fn reading(sensor: i64, minute: i64, heat: f64) -> Reading {
    Reading { sensor, at: START + minute * MINUTE, heat: Some(heat), state: Some("ok".into()) }
}

#[test]
fn pushed_row_is_online_at_once_and_newest_event_wins_whatever_the_order() {
    block_on(async {
        let world = Sensors::new().await;
        let now = START + 60 * MINUTE;

        let report = world.push(&[reading(1, 30, 3.0)], PushTo::Online).await.unwrap();
        world.push(&[reading(1, 10, 1.0)], PushTo::Online).await.unwrap();

        assert_eq!(report.later, ["extremes"], "an aggregate over all rows waits for its turn");
        let found = &world.online(&["last_reading", "hours"], &[1, 2], now).await;
        assert!(found[0][0].0.same(&Value::Float(3.0)), "{found:?}");
        assert_eq!(found[0][0].1, Status::Present);
        assert_eq!(found[0][0].2, START + 30 * MINUTE);
        assert!(found[0][2].0.same(&Value::Int(2)), "both are events of the last hour: {found:?}");
        assert!(found[1].iter().all(|cell| cell.1 == Status::NotFound), "{found:?}");
        assert!(found[1][0].0.is_null() && found[1][2].0.same(&Value::Int(0)), "{found:?}");
    });
}

#[test]
fn of_two_rows_of_one_moment_the_one_pushed_last_wins() {
    block_on(async {
        let world = Sensors::new().await;
        for heat in [5.0, 9.0, 2.0, 7.0] {
            world.push(&[reading(1, 0, heat)], PushTo::Online).await.unwrap();
        }

        let online = world.online(&["last_reading", "corrected"], &[1], START).await;
        world.backfill().await;
        let offline = world.offline(&["last_reading", "corrected"], &[1], START).await;

        assert!(online[0][0].0.same(&Value::Float(7.0)), "{online:?}");
        assert!(online[0][2].0.same(&Value::Float(7.0)), "a row of the same key takes the former's place: {online:?}");
        for (on, off) in online[0].iter().zip(&offline[0]) {
            assert!(on.0.same(off), "{online:?} {offline:?}");
        }
    });
}

#[test]
fn view_whose_key_is_one_text_has_one_row_for_all_pushes() {
    block_on(async {
        let world = Sensors::new().await;
        world.push(&[reading(1, 10, 1.0), reading(2, 30, 3.0)], PushTo::Online).await.unwrap();
        world.push(&[reading(3, 20, 2.0)], PushTo::Online).await.unwrap();
        let feature = [("anywhere".to_owned(), "heat".to_owned())];
        let key = [EntityValue::Text("".into())];

        let mut found = vec![];
        for _ in ["as pushed", "as materialised"] {
            let plan = world.features.read_plan(&feature).await.unwrap();
            let answer = plan.read(&[&key], 1, START + 60 * MINUTE).unwrap();
            found.push((answer.value(0, 0) == ValueRef::Float(3.0), answer.row_status(0, 0)));
            world.backfill().await;
            world.materialize(None).await;
        }

        assert_eq!(found, [(true, Status::Present); 2]);
    });
}

#[test]
fn value_too_old_says_so_and_is_null() {
    block_on(async {
        let world = Sensors::new().await;
        world.push(&[reading(1, 0, 5.0)], PushTo::Online).await.unwrap();

        let fresh = world.online(&["last_reading"], &[1], START + 120 * MINUTE).await;
        let old = world.online(&["last_reading"], &[1], START + 121 * MINUTE).await;

        assert_eq!(fresh[0][0].1, Status::Present);
        assert_eq!(old[0][0].1, Status::OutsideMaxAge);
        assert!(old[0][0].0.is_null());
        assert_eq!(old[0][0].2, START);
    });
}

#[test]
fn push_with_one_bad_row_is_refused_whole() {
    block_on(async {
        let world = Sensors::new().await;

        let hot = world.push(&[reading(1, 0, 5.0), reading(1, 1, 5_000.0)], PushTo::Online).await.unwrap_err();

        assert!(hot.to_string().contains("row 2") && hot.to_string().contains("5000"), "{hot}");
        assert_eq!(world.online(&["hours"], &[1], START + MINUTE).await[0][2].1, Status::NotFound);
        assert_eq!(world.features.land_all_pushed().await.unwrap(), 0);
    });
}

#[test]
fn rows_for_the_lake_only_come_online_with_the_next_materialisation() {
    block_on(async {
        let world = Sensors::new().await;
        world.push(&[reading(1, 0, 5.0)], PushTo::Online).await.unwrap();
        world.push(&[reading(2, 0, 6.0)], PushTo::Lake).await.unwrap();

        let before = world.online(&["last_reading"], &[1, 2], START).await;
        world.backfill().await;
        world.materialize(None).await;
        let after = world.online(&["last_reading"], &[1, 2], START).await;

        assert_eq!((before[0][0].1, before[1][0].1), (Status::Present, Status::NotFound));
        assert_eq!((after[0][0].1, after[1][0].1), (Status::Present, Status::Present));
    });
}

#[test]
fn pushes_land_once_also_when_they_are_found_again_after_they_landed() {
    block_on(async {
        let world = Sensors::new().await;
        world.push(&[reading(1, 0, 5.0), reading(2, 0, 5.0)], PushTo::Online).await.unwrap();
        let store = world.features.online.store();
        let space = "push!readings";
        let waiting = store.tail(space, b"").unwrap();

        let first = world.features.land_pushed("readings").await.unwrap();
        // As after a kill between the lake's commit and the store's.
        let again = waiting.iter().map(|row| crate::OnlineChange::Put { entity: vec![], row: row.clone() });
        store.write(space, again.collect(), None).unwrap();
        world.push(&[reading(3, 0, 5.0)], PushTo::Online).await.unwrap();
        let second = world.features.land_pushed("readings").await.unwrap();

        assert_eq!((first, second), (2, 1));
        assert_eq!(world.rows_of("readings").await, 3);
        assert!(store.tail(space, b"").unwrap().is_empty());
    });
}

#[test]
fn what_is_pushed_while_views_are_computed_stays_online() {
    block_on(async {
        let world = Sensors::new().await;
        world.push(&[reading(1, 0, 1.0)], PushTo::Online).await.unwrap();
        world.backfill().await;
        world.push(&[reading(1, 5, 2.0)], PushTo::Online).await.unwrap();

        // From tables that do not have the second row yet.
        world.materialize(None).await;

        let found = world.online(&["last_reading", "hours"], &[1], START + 5 * MINUTE).await;
        assert!(found[0][0].0.same(&Value::Float(2.0)), "{found:?}");
        assert!(found[0][3].0.same(&Value::Float(3.0)), "{found:?}");
    });
}

#[test]
fn another_project_is_pushed_to_by_its_own_queries() {
    block_on(async {
        let mut world = Sensors::new().await;
        world.push(&[reading(1, 0, 1.0)], PushTo::Online).await.unwrap();
        let readings = world.features.project().sources["readings"].clone();
        let planned = world.features.live_views(&readings).await.unwrap().as_ptr();
        world.push(&[reading(1, 1, 2.0)], PushTo::Online).await.unwrap();
        let planned_later = world.features.live_views(&readings).await.unwrap().as_ptr();
        let before = world.online(&["last_reading"], &[1], START + MINUTE).await;
        let doubled = PROJECT
            .map(|(path, text)| (path, text.replace("pushed_at, heat, state", "pushed_at, heat * 2 as heat, state")));
        let doubled: Vec<(&str, &str)> = doubled.iter().map(|(path, text)| (*path, text.as_str())).collect();

        world.0.features = world.with_project(&doubled);
        world.push(&[reading(1, 2, 4.0)], PushTo::Online).await.unwrap();
        let after = world.online(&["last_reading"], &[1], START + 2 * MINUTE).await;

        assert_eq!(planned, planned_later, "queries are planned once");
        assert!(before[0][0].0.same(&Value::Float(2.0)), "{before:?}");
        assert!(after[0][0].0.same(&Value::Float(8.0)), "{after:?}");
    });
}

#[test]
fn query_that_asks_the_time_is_told_that_of_each_push() {
    block_on(async {
        let world = Sensors::new().await;
        let mut seen = vec![];
        for minute in 0..3 {
            world.push(&[reading(1, minute, 1.0)], PushTo::Online).await.unwrap();
            let found = world.online(&["seen"], &[1], START + minute * MINUTE).await;
            let Value::Timestamp(at) = found[0][0].0 else { panic!("no time is {found:?}") };
            seen.push(at);
        }

        assert!(seen.is_sorted_by(|former, latter| former < latter), "{seen:?}");
    });
}

fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let heat = prop::option::weighted(0.9, prop_oneof![Just(0.1), Just(0.2), Just(1e-9), -50.0..50.0]);
    let state = prop::option::weighted(0.8, "[ab]");
    let one = (0..3_i64, 0..20_i64, heat, state).prop_map(|(sensor, minute, heat, state)| {
        let at = START + minute * 10 * MINUTE;
        Reading { sensor, at, heat, state }
    });
    prop::collection::vec(one, 1..8)
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<Reading>),
    Land,
    Compute,
    Materialize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => readings().prop_map(Step::Push),
        1 => Just(Step::Land),
        1 => Just(Step::Compute),
        1 => Just(Step::Materialize),
    ];
    prop::collection::vec(step, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    #[test]
    fn online_agrees_with_offline_bit_for_bit_however_rows_came(steps in steps()) {
        block_on(async {
            let world = Sensors::new().await;
            let live = ["last_reading", "hours", "corrected"];
            world.push(&[reading(0, 0, 1.0)], PushTo::Online).await.unwrap();
            for step in steps {
                match step {
                    Step::Push(readings) => {
                        world.push(&readings, PushTo::Online).await.unwrap();
                    }
                    Step::Land => {
                        world.features.land_all_pushed().await.unwrap();
                    }
                    Step::Compute => world.backfill().await,
                    Step::Materialize => {
                        world.backfill().await;
                        world.materialize(None).await;
                    }
                }
            }
            let sensors = [0, 1, 2, 3];
            let moments = [START + 45 * MINUTE, START + 190 * MINUTE];
            let mut online = vec![];
            for at in moments {
                online.push(world.online(&live, &sensors, at).await);
            }

            world.backfill().await;

            for (at, online) in moments.into_iter().zip(online) {
                let offline = world.offline(&live, &sensors, at).await;
                for (sensor, (on, off)) in online.iter().zip(&offline).enumerate() {
                    for (feature, (on, off)) in on.iter().zip(off).enumerate() {
                        assert!(on.0.same(off), "sensor {sensor}, feature {feature}: online {on:?}, offline {off:?}");
                    }
                }
            }
        });
    }
}
