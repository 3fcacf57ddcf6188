//! What was served is computed again offline: a value that differs is found, and no other is called different.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use jiff::Timestamp;
use mainspring_catalog::{Change, Principal};
use mainspring_lake::{TableName, WriteId, stream_of};
use mainspring_spec::Project;

use super::shop::{Event, Shop, changed, event};
use super::world::{HOUR, START, block_on, micros};
use crate::{FeatureStore, OnlineChange, OnlineStore, RowKey, TailRow, Value, VersionInputs};

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
