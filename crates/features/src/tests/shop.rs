//! A shop whose events are read from files: offline and online agree, whatever comes when.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use mainspring_catalog::Principal;
use mainspring_lake::{TableName, WriteId, stream_of};
use mainspring_spec::{InputRef, Span};
use proptest::prelude::*;
use serde_json::json;

use super::world::{HOUR, MINUTE, START, World, block_on, micros};
use crate::{FeatureStore, MissReason, OnlineChange, OnlineOptions, OnlineStore, RowKey, Scope, TailRow, Value};

const PROJECT: &[(&str, &str)] = &[
    ("mainspring.yaml", "project: shop\n"),
    (
        "sources/events.yaml",
        r"
source: events
path: events/*.parquet
columns:
  - {name: customer, type: string}
  - {name: happened, type: timestamp, nullable: false}
  - {name: known, type: timestamp, nullable: false}
  - {name: amount, type: float64}
  - {name: item, type: string}
derive:
  - {name: ordered_at, type: timestamp, sql: happened}
  - {name: price, type: float64, sql: amount}
event_time: happened
known_at: known
---
source: customers
path: customers.parquet
columns:
  - {name: customer, type: string, nullable: false}
  - {name: born, type: int64}
key: [customer]
",
    ),
    (
        "features/views.yaml",
        r"
entity: customer
keys: [{name: customer, type: string}]
---
feature_view: last_event
entity: customer
sql: select customer, happened, known, amount, item from events
event_time: happened
known_at: known
ttl: 2h
features: {amount: how much, item: of what}
---
feature_view: spending
entity: customer
from: events
where: amount is null or amount > -1000
aggregates:
  - {name: events, function: count, windows: [1h, 6h]}
  - {name: spent, function: sum, of: amount, windows: [1h, 6h]}
  - {name: spent_mean, function: mean, of: amount, windows: [6h]}
  - {name: items, function: distinct, of: item, windows: [6h]}
---
feature_view: person
entity: customer
sql: select customer, born from customers
features: {born: year of birth}
---
feature_view: moment
request: [{name: ordered_at, type: timestamp}, {name: price, type: float64}]
uses: [person.born, spending.spent_6h]
expressions:
  - name: age
    sql: date_part('year', ordered_at) - born
  - {name: share, sql: price / (spent_6h + price)}
",
    ),
    (
        "models/buys.yaml",
        r"
model: buys
task: regression
observations: {from: events, at: happened, label: amount}
features: [last_event.*, spending.*, person.*, moment.*]
trainer: {linear_regression: {}}
",
    ),
    ("endpoints/buys.yaml", "endpoint: buys\nmodel: buys\n"),
];

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) customer: Option<String>,
    pub(super) happened: i64,
    pub(super) known: i64,
    pub(super) amount: Option<f64>,
    pub(super) item: Option<String>,
}

fn event(customer: &str, happened: i64, known: i64, amount: f64) -> Event {
    let item = Some(format!("item-{}", happened % 3));
    Event { customer: Some(customer.into()), happened, known, amount: Some(amount), item }
}

pub(super) struct Shop {
    world: World,
    inputs: Vec<InputRef>,
}

impl std::ops::Deref for Shop {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Shop {
    pub(super) async fn new() -> Self {
        let shop = Self::of(World::new(PROJECT, Self::options()).await);
        let born = RecordBatch::try_from_iter([
            ("customer", Arc::new(StringArray::from(vec!["ann", "bob", "eve"])) as ArrayRef),
            ("born", Arc::new(Int64Array::from(vec![Some(1980), Some(1990), None]))),
        ])
        .unwrap();
        let customers = TableName::new("sources", "customers").unwrap();
        let id = WriteId { app: "test".into(), sequence: 0 };
        shop.lake.append(&customers, stream_of(born.schema(), vec![born]), id).await.unwrap();
        shop
    }

    pub(super) async fn open(folder: &Path) -> Self {
        Self::of(World::open(folder, PROJECT, Self::options()).await)
    }

    fn of(world: World) -> Self {
        let inputs = world.features.project().resolve_model("buys").unwrap().inputs;
        Self { world, inputs }
    }

    fn options() -> OnlineOptions {
        OnlineOptions { slack: Span::from_micros(HOUR), ..OnlineOptions::default() }
    }

    pub(super) async fn add(&self, sequence: i64, events: &[Event]) {
        let batch = RecordBatch::try_from_iter_with_nullable([
            (
                "customer",
                Arc::new(events.iter().map(|e| e.customer.clone()).collect::<StringArray>()) as ArrayRef,
                true,
            ),
            ("happened", micros(events.iter().map(|e| e.happened)), true),
            ("known", micros(events.iter().map(|e| e.known)), true),
            ("amount", Arc::new(events.iter().map(|e| e.amount).collect::<Float64Array>()), true),
            ("item", Arc::new(events.iter().map(|e| e.item.clone()).collect::<StringArray>()), true),
        ])
        .unwrap();
        let table = TableName::new("sources", "events").unwrap();
        let id = WriteId { app: "events".into(), sequence };
        self.lake.append(&table, stream_of(batch.schema(), vec![batch]), id).await.unwrap();
    }

    /// What training would be given for these customers and moments.
    pub(super) async fn offline(&self, rows: &[(Option<String>, i64)]) -> Vec<Vec<Value>> {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("customer", Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>()) as ArrayRef, true),
            ("at", micros(rows.iter().map(|row| row.1)), true),
            ("ordered_at", micros(rows.iter().map(|row| row.1)), true),
            ("price", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1 as f64 / 3.0))), true),
        ])
        .unwrap();
        self.joined(batch, &self.inputs).await
    }

    /// What a request would be given.
    pub(super) async fn online(&self, rows: &[(Option<String>, i64)]) -> crate::FeatureRows {
        let reader = self.features.online_reader(&self.inputs).await.unwrap();
        let request: Vec<_> = rows
            .iter()
            .map(|(customer, at)| {
                let ordered_at = Value::Timestamp(*at).to_json();
                let row = json!({"customer": customer, "ordered_at": ordered_at, "price": *at as f64 / 3.0});
                row.as_object().unwrap().clone()
            })
            .collect();
        reader.read(&request, &rows.iter().map(|row| row.1).collect::<Vec<_>>()).unwrap()
    }

    fn input(&self, name: &str) -> usize {
        self.inputs.iter().position(|input| input.name() == name).unwrap()
    }
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    let customer = prop::option::weighted(0.95, prop_oneof!["ann", "bob", "eve", "zoe"]);
    let amount = prop::option::weighted(0.9, prop_oneof![Just(0.1), Just(0.2), Just(1e15), -50.0..50.0]);
    let item = prop::option::weighted(0.9, "[ab]");
    let event = (customer, 0..600_i64, 0..90_i64, amount, item);
    prop::collection::vec(event, 1..120).prop_map(|events| {
        let of = events.into_iter().map(|(customer, happened, lag, amount, item)| {
            let happened = START + happened * MINUTE;
            // Every second row is known at once.
            let known = if lag < 45 { happened } else { happened + lag * MINUTE };
            Event { customer, happened, known, amount, item }
        });
        of.collect()
    })
}

pub(super) fn assert_same(offline: &[Vec<Value>], online: &crate::FeatureRows, why: &str) {
    assert_eq!(offline.len(), online.len());
    for (row, values) in offline.iter().enumerate() {
        for (column, (a, b)) in values.iter().zip(online.row(row)).enumerate() {
            assert!(a.same(b), "{why}: row {row}, {}: offline {a:?}, online {b:?}", online.fields[column].name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn online_agrees_with_offline_bit_for_bit_while_time_goes_on(
        events in events(), late in events(), moments in prop::collection::vec(0..60_i64, 1..12)
    ) {
        block_on(async {
            let shop = Shop::new().await;
            shop.add(1, &events).await;
            shop.backfill().await;
            for step in 1..=12 {
                let now = START + step * HOUR;
                if step == 6 {
                    shop.add(2, &late).await;
                    shop.backfill().await;
                }
                shop.materialize(Some(now)).await;
                // Requests ask for moments in the last hour, among customers one of whom nobody knows.
                let customers = [Some("ann"), Some("bob"), Some("eve"), Some("zoe"), Some("nobody"), None];
                let rows: Vec<(Option<String>, i64)> = moments
                    .iter()
                    .flat_map(|minute| customers.map(|who| (who.map(str::to_owned), now - minute * MINUTE)))
                    .collect();
                assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("hour {step}"));
            }
        });
    }

    #[test]
    fn what_is_known_later_changes_nothing(events in events(), other in events(), at in 0..600_i64) {
        block_on(async {
            let at = START + at * MINUTE;
            let rows: Vec<_> = ["ann", "bob", "eve", "zoe"].map(|who| (Some(who.to_owned()), at)).to_vec();
            let before: Vec<Event> = events.iter().filter(|event| event.known <= at).cloned().collect();
            // Another future: rows of other values, known only after the moment.
            let future = other.into_iter().map(|event| Event { known: event.known.max(at + 1), ..event });
            let mut changed = before.clone();
            changed.extend(future);

            let (one, two) = (Shop::new().await, Shop::new().await);
            one.add(1, &events).await;
            two.add(1, &changed).await;
            one.backfill().await;
            two.backfill().await;

            let (one, two) = (one.offline(&rows).await, two.offline(&rows).await);
            for (row, (a, b)) in one.iter().zip(&two).enumerate() {
                assert!(a.iter().zip(b).all(|(a, b)| a.same(b)), "row {row}: {a:?} {b:?}");
            }
        });
    }
}

#[test]
fn values_are_those_one_computes_by_hand() {
    block_on(async {
        let shop = Shop::new().await;
        let noon = START + 12 * HOUR;
        let events = [
            event("ann", noon - 5 * HOUR, noon - 5 * HOUR, 10.0),
            event("ann", noon - HOUR / 2, noon - HOUR / 2, 4.0),
            // Happened before, known only in half an hour.
            event("ann", noon - HOUR / 4, noon + HOUR / 2, 100.0),
            event("bob", noon - 3 * HOUR, noon - 3 * HOUR, 7.0),
            // An equal event is another event.
            event("bob", noon - 3 * HOUR, noon - 3 * HOUR, 7.0),
        ];
        shop.add(1, &events).await;
        shop.backfill().await;
        let rows =
            [(Some("ann".to_owned()), noon), (Some("ann".to_owned()), noon + HOUR), (Some("bob".to_owned()), noon)];

        let found = shop.offline(&rows).await;

        let value = |row: usize, name: &str| found[row][shop.input(name)].clone();
        assert!(value(0, "amount").same(&Value::Float(4.0)), "{found:?}");
        assert!(value(0, "spent_1h").same(&Value::Float(4.0)));
        assert!(value(0, "spent_6h").same(&Value::Float(14.0)));
        assert!(value(0, "events_6h").same(&Value::Int(2)));
        assert!(value(0, "age").same(&Value::Int(33)), "{:?}", value(0, "age"));
        assert!(value(1, "amount").same(&Value::Float(100.0)));
        assert!(value(1, "spent_6h").same(&Value::Float(104.0)));
        assert!(value(2, "amount").is_null(), "three hours are more than the two it lives");
        assert!(value(2, "events_6h").same(&Value::Int(2)));
        assert!(value(2, "born").same(&Value::Int(1990)));
    });
}

#[test]
fn new_files_are_folded_in_and_the_same_twice_does_nothing() {
    block_on(async {
        let shop = Shop::new().await;
        let owner = Principal::local_owner();
        let first: Vec<Event> = (0..50).map(|number| event("ann", START + number, START + number, 0.1)).collect();
        shop.add(1, &first).await;
        let whole = shop.features.backfill("spending", &owner).await.unwrap();
        shop.add(2, &first[..5]).await;

        let added = shop.features.backfill("spending", &owner).await.unwrap();
        let again = shop.features.backfill("spending", &owner).await.unwrap();

        assert_eq!((whole.materialization.scope, whole.materialization.rows_written), (Scope::Whole, 50));
        assert_eq!((added.materialization.scope, added.materialization.rows_written), (Scope::New, 5));
        assert!(again.unchanged);
        let fresh = shop.features.freshness("spending").await.unwrap();
        assert_eq!((fresh.rows, fresh.entities, fresh.version), (55, 1, Some(added.materialization.version)));
        assert_eq!(fresh.latest_event_time.unwrap().as_microsecond(), START + 49);
    });
}

#[test]
fn misses_say_why() {
    block_on(async {
        let shop = Shop::new().await;
        shop.add(1, &[event("ann", START, START, 1.0), event("ann", START + 100 * HOUR, START + 100 * HOUR, 1.0)])
            .await;
        shop.backfill().await;
        let rows =
            [(Some("ann".to_owned()), START), (Some("who".to_owned()), START + 100 * HOUR), (None, START + 100 * HOUR)];

        let before = shop.online(&rows[..1]).await;
        shop.materialize(None).await;
        let after = shop.online(&rows).await;

        let reasons = |found: &crate::FeatureRows, row: usize| {
            found
                .missed
                .iter()
                .filter(|miss| miss.row == row && miss.view == "spending")
                .map(|miss| miss.reason)
                .collect::<Vec<_>>()
        };
        assert_eq!(reasons(&before, 0), [MissReason::NotMaterialized]);
        assert_eq!(reasons(&after, 0), [MissReason::TooEarly]);
        assert_eq!(reasons(&after, 1), [MissReason::UnknownEntity]);
        assert_eq!(reasons(&after, 2), [MissReason::NoKey]);
    });
}

/// Writes the log that a server would write of the online features of these rows.
async fn log(shop: &Shop, rows: &[(Option<String>, i64)]) {
    use crate::value::array_of;
    let served = shop.online(rows).await;
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("prediction_id".into(), Arc::new(StringArray::from_iter_values((0..rows.len()).map(|row| format!("p{row}"))))),
        ("as_of".into(), micros(rows.iter().map(|row| row.1))),
        ("degraded".into(), Arc::new(arrow::array::BooleanArray::from(vec![false; rows.len()]))),
        ("customer".into(), Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>())),
        ("ordered_at".into(), micros(rows.iter().map(|row| row.1))),
        ("price".into(), Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1 as f64 / 3.0)))),
    ];
    for (column, field) in served.fields.iter().enumerate() {
        let values: Vec<Value> = (0..rows.len()).map(|row| served.row(row)[column].clone()).collect();
        columns.push((field.name.clone(), array_of(&values, field.data_type)));
    }
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, of)| (name, of, true))).unwrap();
    let table = TableName::new("predictions", "buys").unwrap();
    let id = WriteId {
        app: "server".into(),
        sequence: shop.lake.version(&table).await.unwrap().map_or(0, |v| v as i64 + 1),
    };
    shop.lake.append(&table, stream_of(batch.schema(), vec![batch]), id).await.unwrap();
}

#[test]
fn check_finds_nothing_until_a_value_is_corrupted() {
    block_on(async {
        let shop = Shop::new().await;
        let events: Vec<Event> =
            (0..40).map(|n| event("ann", START + n * HOUR / 8, START + n * HOUR / 8, n as f64 / 7.0)).collect();
        shop.add(1, &events).await;
        shop.backfill().await;
        shop.materialize(None).await;
        let rows: Vec<_> = (32..40).map(|n| (Some("ann".to_owned()), START + n * HOUR / 8)).collect();
        log(&shop, &rows).await;

        let good = shop.features.check("buys", 1_000).await.unwrap();

        assert_eq!((good.rows_logged, good.rows_checked, good.values_different), (8, 8, 0), "{good:?}");
        assert!(good.values_compared == 8 * 11, "{good:?}");

        // The bug: one row of the online store is overwritten by one of another amount.
        let mut entity = vec![];
        assert!(crate::key::encode([&Value::Text("ann".into())], &mut entity));
        let space = "spending#1";
        let row: TailRow = shop.online.tail(space, &entity).unwrap().pop().unwrap();
        let key: RowKey = row.key;
        let mut payload = row.payload;
        payload[6] ^= 1;
        shop.online.write(space, vec![OnlineChange::Put { entity, row: TailRow { key, payload } }], None).unwrap();
        let reopened = FeatureStore::open(
            shop.lake.clone(),
            shop.features.catalog.clone(),
            shop.online.clone(),
            shop.features.project.clone(),
        );
        let corrupted = Shop { world: shop.world.with_features(reopened), ..shop };
        log(&corrupted, &rows).await;

        let bad = corrupted.features.check("buys", 1_000).await.unwrap();

        assert!(bad.values_different > 0, "{bad:?}");
        assert!(bad.mismatches.iter().any(|mismatch| mismatch.feature.starts_with("spent")), "{bad:?}");
        assert!(bad.mismatches.iter().all(|mismatch| mismatch.prediction_id == "p7"), "{bad:?}");
    });
}

#[test]
fn old_rows_are_trimmed_and_answers_stay_exact() {
    block_on(async {
        let shop = Shop::new().await;
        let events: Vec<Event> =
            (0..2_000).map(|n| event("ann", START + n * HOUR / 10, START + n * HOUR / 10, 0.1 * n as f64)).collect();
        shop.add(1, &events).await;
        shop.backfill().await;

        for hour in (10..=190).step_by(3) {
            let now = START + hour * HOUR;
            shop.materialize(Some(now)).await;
            let rows = [(Some("ann".to_owned()), now), (Some("ann".to_owned()), now - HOUR + 1)];
            assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("hour {hour}"));
        }

        let mut kept = 0;
        let mut count = |_: &[u8], _| {
            kept += 1;
            Ok(())
        };
        shop.online.scan("spending#1", &mut count).unwrap();
        assert!((60..150).contains(&kept), "kept {kept} of 2,000 rows: 6 hours of window and 1 to 5 of slack and step");
    });
}
