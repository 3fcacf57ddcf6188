//! Views over a small catalog, asked by SQL.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Float64Type, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::prelude::SessionContext;
use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Edge, Metric, Principal};
use mainspring_registry::{NewRun, Registry};

use super::table::PAGE;
use super::*;

async fn platform(folder: &tempfile::TempDir) -> Platform {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let registry = Registry::new(catalog.clone(), folder.path());
    Platform { catalog, registry }
}

async fn ask(platform: &Platform, sql: &str) -> RecordBatch {
    let session = SessionContext::new();
    for name in names() {
        session.register_table(name, platform.table(name).unwrap()).unwrap();
    }
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let schema = batches[0].schema();
    datafusion::arrow::compute::concat_batches(&schema, &batches).unwrap()
}

async fn count(platform: &Platform, from: &str) -> i64 {
    ask(platform, &format!("SELECT count(*) FROM {from}")).await.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn every_page_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let platform = platform(&folder).await;
    let edges = (0..2 * PAGE + 7).map(|n| Edge::new(format!("a{}", n % 3), format!("b{n}"), "makes"));
    let change = Change::new(&Principal::local_owner(), "test", "edges").edges(edges);
    platform.catalog.commit(change).await.unwrap();
    for n in 0..PAGE {
        let change = Change::new(&Principal::local_owner(), "test.note", format!("note:{}", n % 2));
        platform.catalog.commit(change).await.unwrap();
    }

    assert_eq!(count(&platform, "lineage").await, 2 * PAGE as i64 + 7);
    assert_eq!(count(&platform, "(SELECT DISTINCT to_node FROM lineage)").await, 2 * PAGE as i64 + 7);
    assert_eq!(count(&platform, "lineage WHERE from_node = 'a2'").await, (2 * PAGE as i64 + 7) / 3);
    assert_eq!(count(&platform, "lineage WHERE from_node = 'a'").await, 0);
    assert_eq!(count(&platform, "audit").await, PAGE as i64 + 1);
    assert_eq!(count(&platform, "audit WHERE subject = 'note:1'").await, PAGE as i64 / 2);
    assert_eq!(count(&platform, "(SELECT * FROM audit LIMIT 5)").await, 5);
}

#[tokio::test]
async fn metrics_are_those_of_the_runs_asked_for_and_keep_every_float() {
    let folder = tempfile::tempdir().unwrap();
    let platform = platform(&folder).await;
    let owner = Principal::local_owner();
    let mut ids = vec![];
    for value in [f64::NAN, f64::INFINITY, 0.25] {
        let new = NewRun {
            experiment: format!("e{}", ids.len()),
            params: [("depth".to_owned(), "3".to_owned())].into(),
            ..NewRun::default()
        };
        let run = platform.registry.start_run(new, &owner).await.unwrap().id;
        let metric =
            |key: &str| Metric { run: run.clone(), key: key.into(), step: 1, value, at: Timestamp::UNIX_EPOCH };
        platform.registry.log_metrics(&run, vec![metric("loss"), metric("auc")], &owner).await.unwrap();
        ids.push(run);
    }

    assert_eq!(count(&platform, "metrics").await, 6);
    let narrowed = format!("metrics WHERE run_id = '{}'", ids[0]);
    let values = ask(&platform, &format!("SELECT value FROM {narrowed} AND key = 'loss'")).await;
    let values = values.column(0).as_primitive::<Float64Type>();
    assert!(values.len() == 1 && values.value(0).is_nan());
    assert_eq!(count(&platform, "metrics WHERE value > 1e300 AND value < 'Infinity'::double").await, 0);
    assert_eq!(count(&platform, &format!("metrics WHERE run_id IN ('{}', '{}')", ids[1], ids[2])).await, 4);
    assert_eq!(count(&platform, "metrics WHERE run_id = 'none'").await, 0);
    assert_eq!(count(&platform, "params WHERE key = 'depth'").await, 3);
    let joined = "runs r JOIN metrics m ON m.run_id = r.run_id JOIN params p ON p.run_id = r.run_id";
    assert_eq!(count(&platform, joined).await, 6);
}

#[tokio::test]
async fn a_view_of_nothing_has_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    let platform = platform(&folder).await;

    for view in View::ALL {
        assert_eq!(count(&platform, view.name()).await, 0, "{view:?}");
        let schema = view.schema();
        let known = |column: &&str| schema.index_of(column).is_ok();
        assert!(view.key().iter().all(&known), "{view:?}");
        assert!(view.looked_up_by().iter().all(known), "{view:?}");
    }
}
