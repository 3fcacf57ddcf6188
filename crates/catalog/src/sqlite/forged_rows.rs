//! Metrics and edges changed behind Mainspring's back: verifying names the entry that wrote them, or the row that none did.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use crate::conformance::change;
use crate::{AuditQuery, AuditVerdict, Catalog, Edge, Fault, Metric};

fn metric(run: &str, step: i64, value: f64) -> Metric {
    Metric { run: run.into(), key: "auc".into(), step, value, at: Timestamp::UNIX_EPOCH }
}

/// A closed catalog: two entries with metrics, two with edges, the second of which repeats one of the first.
async fn written(folder: &Path) -> PathBuf {
    let path = folder.join("catalog.db");
    let catalog = Catalog::open(&url(&path)).await.unwrap();
    catalog.commit(change("run:a").metrics((0..3).map(|step| metric("a", step, 0.6)))).await.unwrap();
    let (raw, made) = (Edge::new("file:a", "table:t@1", "ingested"), Edge::new("table:t@1", "model:m@1", "trains"));
    catalog.commit(change("table:t").edges([made.clone(), raw])).await.unwrap();
    catalog.commit(change("run:b").metrics((0..700).map(|step| metric("b", step, 0.0)))).await.unwrap();
    catalog.commit(change("model:m").edges([Edge::new("run:b", "model:m@1", "registers"), made])).await.unwrap();
    catalog.close().await;
    path
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

async fn spoil(path: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn verdict_after(sql: &str) -> AuditVerdict {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path()).await;
    spoil(&path, sql).await;
    let catalog = Catalog::open(&url(&path)).await.unwrap();
    let verdict = catalog.verify_audit().await.unwrap();
    catalog.close().await;
    verdict
}

#[tokio::test]
async fn metrics_and_edges_that_nobody_touched_are_held() {
    let verdict = verdict_after("SELECT 1").await;

    assert!(matches!(verdict, AuditVerdict::Intact { edges: 3, metrics: 703, .. }), "{verdict}");
}

#[tokio::test]
async fn each_forged_metric_is_named() {
    let altered = |subject: &str, seq| Fault::MetricsAltered { subject: subject.into(), seq };
    let missing = |subject: &str, seq| Fault::MetricsMissing { subject: subject.into(), seq };
    let added = |run: &str, step| Fault::MetricAdded { run: run.into(), key: "auc".into(), step };
    let cases = [
        ("UPDATE metrics SET value = 0.99 WHERE ordinal = 2", altered("run:a", 1)),
        ("UPDATE metrics SET value = 0.99", altered("run:a", 1)),
        ("UPDATE metrics SET value = NULL WHERE ordinal = 600", altered("run:b", 3)),
        ("UPDATE metrics SET run = 'a' WHERE ordinal = 4", altered("run:b", 3)),
        ("UPDATE metrics SET at = 1 WHERE ordinal = 703", altered("run:b", 3)),
        ("DELETE FROM metrics WHERE ordinal = 3", missing("run:a", 1)),
        ("DELETE FROM metrics WHERE ordinal = 703", missing("run:b", 3)),
        ("DELETE FROM metrics", missing("run:a", 1)),
        ("INSERT INTO metrics (run, key, step, value, at) VALUES ('c', 'auc', 7, 0.9, 0)", added("c", 7)),
        ("INSERT INTO metrics (ordinal, run, key, step, value, at) VALUES (-1, 'c', 'auc', 7, 0.9, 0)", added("c", 7)),
    ];
    for (sql, expected) in cases {
        assert_eq!(verdict_after(sql).await, AuditVerdict::Broken { fault: expected, whole_until: 4 }, "{sql}");
    }
}

#[tokio::test]
async fn each_forged_edge_is_named() {
    let altered = |subject: &str, seq| Fault::EdgesAltered { subject: subject.into(), seq };
    let missing =
        |subject: &str, seq, written, found| Fault::EdgesMissing { subject: subject.into(), seq, written, found };
    let added = Fault::EdgeAdded { from: "x".into(), to: "y".into(), kind: "reads".into() };
    let cases = [
        ("UPDATE edges SET from_node = 'file:b' WHERE from_node = 'file:a'", altered("table:t", 2)),
        ("UPDATE edges SET kind = 'x' WHERE seq = 4", altered("model:m", 4)),
        ("UPDATE edges SET at = 1 WHERE seq = 4", altered("model:m", 4)),
        ("DELETE FROM edges WHERE from_node = 'file:a'", missing("table:t", 2, 2, 1)),
        ("DELETE FROM edges WHERE seq = 4", missing("model:m", 4, 1, 0)),
        ("DELETE FROM edges", missing("table:t", 2, 2, 0)),
        ("INSERT INTO edges VALUES ('x', 'y', 'reads', 0, 0)", added.clone()),
        ("INSERT INTO edges VALUES ('x', 'y', 'reads', 0, 3)", added.clone()),
        ("INSERT INTO edges VALUES ('x', 'y', 'reads', 0, 9)", added),
        (
            "INSERT INTO edges VALUES ('x', 'y', 'reads', 0, 2)",
            Fault::EdgesAdded { subject: "table:t".into(), seq: 2, written: 2, found: 3 },
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(verdict_after(sql).await, AuditVerdict::Broken { fault: expected, whole_until: 4 }, "{sql}");
    }
}

/// A catalog of a release that did not say which entry added an edge.
#[tokio::test]
async fn edges_of_an_older_release_are_sealed_when_they_are_first_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.db");
    let catalog = Catalog::open(&url(&path)).await.unwrap();
    catalog.commit(change("a")).await.unwrap();
    catalog.close().await;
    spoil(&path, "ALTER TABLE edges DROP COLUMN seq; DELETE FROM migrations WHERE version = 3;").await;
    spoil(&path, "INSERT INTO edges VALUES ('b', 'c', 'reads', 2), ('a', 'b', 'reads', 1);").await;

    let catalog = Catalog::open(&url(&path)).await.unwrap();
    let sealed = catalog.audit(AuditQuery::about("catalog:edges")).await.unwrap();
    let whole = catalog.verify_audit().await.unwrap();
    catalog.close().await;
    spoil(&path, "UPDATE edges SET to_node = 'x' WHERE from_node = 'a'").await;
    let catalog = Catalog::open(&url(&path)).await.unwrap();
    let forged = catalog.verify_audit().await.unwrap();

    assert_eq!(sealed.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2]);
    assert!(matches!(whole, AuditVerdict::Intact { edges: 2, .. }), "{whole}");
    let fault = Fault::EdgesAltered { subject: "catalog:edges".into(), seq: 2 };
    assert_eq!(forged, AuditVerdict::Broken { fault, whole_until: 2 });
}
