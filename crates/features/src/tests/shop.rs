//! A shop whose events are read from files: offline and online agree, whatever comes when.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use jiff::Timestamp;
use mainspring_catalog::{Change, Principal};
use mainspring_lake::{TableName, WriteId, stream_of};
use mainspring_spec::{InputRef, Project, Span};
use proptest::prelude::*;
use serde_json::json;

use super::world::{HOUR, MINUTE, START, World, block_on, micros};
use crate::{
    EntityValue, FeatureStore, MissReason, OnlineChange, OnlineOptions, OnlineStore, RowKey, Scope, TailRow, Value,
    ValueRef, VersionInputs,
};

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

    /// Has another project take this one's place.
    fn apply(&mut self, files: &[(&str, String)]) {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.world.features = self.world.with_project(&files);
        self.inputs = self.world.features.project().resolve_model("buys").unwrap().inputs;
    }

    /// A feature of some customers, as a feature server reads it.
    async fn read(&self, view: &str, feature: &str, customers: &[&str], at: i64) -> Vec<Value> {
        let plan = self.features.read_plan(&[(view.to_owned(), feature.to_owned())]).await.unwrap();
        let keys: Vec<EntityValue<'_>> = customers.iter().map(|&who| EntityValue::Text(who.into())).collect();
        let answer = plan.read(&[&keys], customers.len(), at).unwrap();
        let value = |row| match answer.value(0, row) {
            ValueRef::Null => Value::Null,
            ValueRef::Int(value) => Value::Int(value),
            other => panic!("no count is {other:?}"),
        };
        (0..customers.len()).map(value).collect()
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

/// The inputs of versions, all but some.
fn inputs_without(shop: &Shop, versions: &[u64], without: &[&str]) -> VersionInputs {
    let names = shop.inputs.iter().map(|input| input.name().to_owned());
    let names: BTreeSet<String> = names.filter(|name| !without.contains(&name.as_str())).collect();
    versions.iter().map(|&version| (version, names.clone())).collect()
}

/// Writes the log that a server would write of the online features of these rows, by version 1.
async fn log(shop: &Shop, rows: &[(Option<String>, i64)]) {
    log_without(shop, rows, 1, &[]).await;
}

/// Writes the log that a server would write of a version that was not given some of the inputs.
async fn log_without(shop: &Shop, rows: &[(Option<String>, i64)], version: i64, without: &[&str]) {
    use crate::value::array_of;
    let served = shop.online(rows).await;
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("prediction_id".into(), Arc::new(StringArray::from_iter_values((0..rows.len()).map(|row| format!("p{row}"))))),
        ("as_of".into(), micros(rows.iter().map(|row| row.1))),
        ("predicted_at".into(), micros(rows.iter().map(|_| Timestamp::now().as_microsecond()))),
        ("model".into(), Arc::new(StringArray::from_iter_values(rows.iter().map(|_| "buys")))),
        ("model_version".into(), Arc::new(Int64Array::from_iter_values(rows.iter().map(|_| version)))),
        ("degraded".into(), Arc::new(arrow::array::BooleanArray::from(vec![false; rows.len()]))),
        ("customer".into(), Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>())),
        ("ordered_at".into(), micros(rows.iter().map(|row| row.1))),
        ("price".into(), Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1 as f64 / 3.0)))),
    ];
    for (column, field) in served.fields.iter().enumerate() {
        let is_given = !without.contains(&field.name.as_str());
        let value = |row: usize| if is_given { served.row(row)[column].clone() } else { Value::Null };
        let values: Vec<Value> = (0..rows.len()).map(value).collect();
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

        let inputs = inputs_without(&shop, &[1], &[]);
        let good = shop.features.check("buys", 1_000, &inputs).await.unwrap();

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

        let bad = corrupted.features.check("buys", 1_000, &inputs).await.unwrap();

        assert!(bad.values_different > 0, "{bad:?}");
        assert!(bad.mismatches.iter().any(|mismatch| mismatch.feature.starts_with("spent")), "{bad:?}");
        assert!(bad.mismatches.iter().all(|mismatch| mismatch.prediction_id == "p7"), "{bad:?}");
    });
}

/// A shop whose customer ann has bought something every few minutes, backfilled and materialised; and eight requests.
async fn with_requests() -> (Shop, Vec<(Option<String>, i64)>) {
    let shop = Shop::new().await;
    let events: Vec<Event> =
        (0..40).map(|n| event("ann", START + n * HOUR / 8, START + n * HOUR / 8, n as f64 / 7.0)).collect();
    shop.add(1, &events).await;
    shop.backfill().await;
    shop.materialize(None).await;
    (shop, (32..40).map(|n| (Some("ann".to_owned()), START + n * HOUR / 8)).collect())
}

#[test]
fn check_compares_what_the_version_that_answered_was_given() {
    block_on(async {
        let (shop, rows) = with_requests().await;
        log_without(&shop, &rows, 1, &["spent_6h"]).await;
        log(&shop, &rows).await;
        log_without(&shop, &rows, 2, &[]).await;
        // Of a version that was deleted since, nobody knows what it was given.
        log_without(&shop, &rows, 9, &["spent_6h"]).await;

        let versions = shop.features.versions_logged("buys").await.unwrap();
        let whole = shop.features.check("buys", 1_000, &inputs_without(&shop, &[1, 2], &[])).await.unwrap();
        let mut inputs = inputs_without(&shop, &[1], &["spent_6h"]);
        inputs.extend(inputs_without(&shop, &[2], &[]));
        let given = shop.features.check("buys", 1_000, &inputs).await.unwrap();

        assert_eq!(versions, BTreeSet::from([1, 2, 9]));
        assert_eq!(whole.values_different, 8, "{whole:?}");
        assert!(whole.mismatches.iter().all(|found| found.feature == "spent_6h" && found.served.is_null()));
        assert_eq!((given.rows_logged, given.rows_checked, given.rows_older), (32, 24, 8), "{given:?}");
        assert_eq!((given.values_compared, given.values_different), (2 * 8 * 10 + 8 * 11, 0), "{given:?}");
    });
}

#[test]
fn check_passes_over_what_was_served_by_an_earlier_declaration() {
    block_on(async {
        let (mut shop, rows) = with_requests().await;
        let inputs = inputs_without(&shop, &[1], &[]);
        log(&shop, &rows).await;
        shop.apply(&changed("amount > -1000", "amount > 3"));

        let declared = shop.features.check("buys", 1_000, &inputs).await.unwrap();
        shop.backfill().await;
        let computed = shop.features.check("buys", 1_000, &inputs).await.unwrap();
        shop.materialize(None).await;
        log(&shop, &rows[..3]).await;
        let served = shop.features.check("buys", 1_000, &inputs).await.unwrap();

        assert_eq!((declared.rows_older, declared.rows_checked), (8, 0), "{declared:?}");
        assert_eq!((computed.rows_older, computed.rows_checked), (8, 0), "{computed:?}");
        assert_eq!((served.rows_older, served.rows_checked, served.values_different), (8, 3, 0), "{served:?}");
    });
}

#[test]
fn check_passes_over_what_was_served_by_another_function_over_the_same_rows() {
    block_on(async {
        let (mut shop, rows) = with_requests().await;
        let inputs = inputs_without(&shop, &[1], &[]);
        log(&shop, &rows).await;
        let before = shop.features.project().clone();

        // A feature more changes none of the others.
        shop.apply(&changed("of: amount, windows: [6h]", "of: amount, windows: [6h, 12h]"));
        record_apply(&shop, &before).await;
        let more = shop.features.check("buys", 1_000, &inputs).await.unwrap();
        shop.apply(&changed("function: mean", "function: max"));
        record_apply(&shop, &before).await;
        let other = shop.features.check("buys", 1_000, &inputs).await.unwrap();

        assert_eq!((more.rows_older, more.rows_checked, more.values_different), (0, 8, 0), "{more:?}");
        assert_eq!((other.rows_older, other.rows_checked), (8, 0), "{other:?}");
    });
}

/// Writes down that a shop's project took another's place, as `apply` does.
async fn record_apply(shop: &Shop, before: &Project) {
    let plan = mainspring_spec::diff(Some(before), shop.features.project());
    let change = Change::new(&Principal::local_owner(), "project.apply", "project:shop");
    let change = change.detail(serde_json::to_value(plan).unwrap());
    shop.features.catalog.commit(change).await.unwrap();
}

/// The project with other words in its feature views.
fn changed(from: &str, to: &str) -> Vec<(&'static str, String)> {
    let views = PROJECT.iter().find(|(path, _)| *path == "features/views.yaml").unwrap().1;
    assert_eq!(views.matches(from).count(), 1, "{from}");
    let other = |(path, text): &(&'static str, &'static str)| {
        (*path, if *path == "features/views.yaml" { text.replace(from, to) } else { (*text).to_owned() })
    };
    PROJECT.iter().map(other).collect()
}

#[test]
fn wider_window_is_never_answered_from_rows_kept_for_a_shorter_one() {
    block_on(async {
        let mut shop = Shop::new().await;
        let events: Vec<Event> =
            (0..300).map(|n| event("ann", START + n * HOUR / 10, START + n * HOUR / 10, 0.1 * n as f64)).collect();
        // Of bob nothing is kept for six hours.
        let old = [event("bob", START + 2 * HOUR, START + 2 * HOUR, 5.0)];
        shop.add(1, &[&events[..], &old[..]].concat()).await;
        shop.backfill().await;
        let now = START + 29 * HOUR;
        let rows = [(Some("ann".to_owned()), now), (Some("bob".to_owned()), now)];
        shop.materialize(Some(now - 2 * HOUR)).await;
        shop.materialize(Some(now)).await;
        let wide = changed("function: count, windows: [1h, 6h]", "function: count, windows: [1h, 6h, 28h]");
        let materialized = async |shop: &Shop| {
            let until = Some(Timestamp::from_microsecond(now).unwrap());
            shop.features.materialize_online("spending", until).await.unwrap()
        };

        shop.apply(&wide);
        let (truth, before) = (shop.offline(&rows).await, shop.online(&rows).await);
        let read = shop.read("spending", "events_1d4h", &["ann", "bob"], now).await;
        let first = materialized(&shop).await;
        let after = shop.online(&rows).await;
        let again = materialized(&shop).await;

        let (of_day, of_hours) = (shop.input("events_1d4h"), shop.input("events_6h"));
        for (row, truth) in truth.iter().enumerate() {
            let early = crate::Missed { row, view: "spending".into(), reason: MissReason::TooEarly };
            assert!(before.missed.contains(&early), "{:?}", before.missed);
            assert!(before.row(row)[of_day].is_null(), "{:?}", before.row(row));
            assert!(before.row(row)[of_hours].same(&truth[of_hours]), "what is whole is told");
        }
        assert!(read.iter().all(Value::is_null), "{read:?}");
        assert!(truth[1][of_day].same(&Value::Int(1)), "{truth:?}");
        assert!(first.rebuilt && !again.rebuilt && again.rows == 0, "{first:?} {again:?}");
        assert!(after.missed.iter().all(|miss| miss.view != "spending"), "{:?}", after.missed);
        assert_same(&truth, &after, "the wide window");
    });
}

#[test]
fn shorter_window_trims_what_it_does_not_count_and_a_wider_one_brings_it_back() {
    block_on(async {
        let mut shop = Shop::new().await;
        let events: Vec<Event> =
            (0..600).map(|n| event("ann", START + n * HOUR / 10, START + n * HOUR / 10, 0.1 * n as f64)).collect();
        shop.add(1, &events).await;
        shop.backfill().await;
        let of = ["[1h, 6h]", "[1h, 6h, 20h]"].map(|windows| {
            changed("function: count, windows: [1h, 6h]", &format!("function: count, windows: {windows}"))
        });

        for (hour, windows) in [(25, 1), (26, 0), (28, 0), (31, 0), (32, 1), (34, 1), (40, 0), (41, 1)] {
            shop.apply(&of[windows]);
            let now = START + hour * HOUR;
            shop.materialize(Some(now)).await;

            let rows = [(Some("ann".to_owned()), now), (Some("ann".to_owned()), now - HOUR + 1)];
            assert_same(&shop.offline(&rows).await, &shop.online(&rows).await, &format!("hour {hour}"));
        }
    });
}

#[test]
fn note_of_an_earlier_release_counts_as_of_no_reach() {
    let note = r#"{"generation":1,"fingerprint":"f","version":3,"until":null,"exact_from":7,"latest_event_time":9,
        "latest_known_at":9,"materialized_at":10}"#;

    let state: crate::OnlineState = serde_json::from_str(note).unwrap();

    assert_eq!((state.exact_from, state.reach), (7, 0));
}

#[test]
fn plain_table_is_computed_and_not_kept_online() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add(1, &[event("ann", START, START, 1.0), event("bob", START, START, 100.0)]).await;
        let big = "feature_view: big\nsql: select customer, happened, amount from events where amount > 50\n\
                   event_time: happened\n---\nfeature_view: moment\n";
        shop.apply(&changed("feature_view: moment\n", big));

        let done = shop.features.backfill("big", &Principal::local_owner()).await.unwrap();
        let refused = shop.features.materialize_online("big", None).await.unwrap_err();

        assert_eq!(done.materialization.rows_written, 1);
        assert!(matches!(refused, crate::Error::NotOnline { .. }), "{refused}");
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
