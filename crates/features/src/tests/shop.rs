//! A shop whose events are read from files: what is declared, its customers and events, and how it is asked.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use mainspring_lake::{TableName, WriteId, stream_of};
use mainspring_spec::{InputRef, Span};
use proptest::prelude::*;
use serde_json::json;

use super::world::{HOUR, MINUTE, START, World, micros};
use crate::{EntityValue, OnlineOptions, Value, ValueRef};

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

pub(super) fn event(customer: &str, happened: i64, known: i64, amount: f64) -> Event {
    let item = Some(format!("item-{}", happened % 3));
    Event { customer: Some(customer.into()), happened, known, amount: Some(amount), item }
}

pub(super) struct Shop {
    pub(super) world: World,
    pub(super) inputs: Vec<InputRef>,
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
    pub(super) fn apply(&mut self, files: &[(&str, String)]) {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        self.world.features = self.world.with_project(&files);
        self.inputs = self.world.features.project().resolve_model("buys").unwrap().inputs;
    }

    /// A feature of some customers, as a feature server reads it.
    pub(super) async fn read(&self, view: &str, feature: &str, customers: &[&str], at: i64) -> Vec<Value> {
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

    pub(super) fn input(&self, name: &str) -> usize {
        self.inputs.iter().position(|input| input.name() == name).unwrap()
    }
}

/// The project with other words in its feature views.
pub(super) fn changed(from: &str, to: &str) -> Vec<(&'static str, String)> {
    let views = PROJECT.iter().find(|(path, _)| *path == "features/views.yaml").unwrap().1;
    assert_eq!(views.matches(from).count(), 1, "{from}");
    let other = |(path, text): &(&'static str, &'static str)| {
        (*path, if *path == "features/views.yaml" { text.replace(from, to) } else { (*text).to_owned() })
    };
    PROJECT.iter().map(other).collect()
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
