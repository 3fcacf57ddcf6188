//! From a change of state through the outbox to who takes the events, and back in from others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use mainspring_catalog::{Catalog, Change, Expect, ListQuery, Principal};
use mainspring_lake::{Lake, LakeConfig, WriteId};
use mainspring_spec::Project;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::metrics::Fate;
use super::*;
use crate::graph::{Task, TaskKind};

struct Stage {
    folder: tempfile::TempDir,
    catalog: Catalog,
    lake: Lake,
    project: Project,
    metrics: LineageMetrics,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(LakeConfig {
            root: folder.path().join("lake").display().to_string(),
            memory_bytes: 64 << 20,
            spill_dir: folder.path().join("spill"),
            threads: 1,
        });
        Self {
            lake: lake.await.unwrap(),
            catalog: Catalog::open("sqlite::memory:").await.unwrap(),
            project: Project::empty(folder.path()),
            metrics: LineageMetrics::default(),
            folder,
        }
    }

    fn reporter(&self) -> Reporter {
        Reporter::new(self.catalog.clone(), &self.project, &self.lake, self.metrics.clone(), Arc::default())
    }

    /// Commits the event of a moment, as the engine does; gives it back when there was room.
    async fn tell(&self, reporter: &Reporter, task: &str, moment: Moment<'_>) -> Option<Value> {
        let task = Task::new(TaskKind::Ingest, task);
        let told = Told {
            run: "01890f3c-7b3a-7cc3-98c4-dc0c0c07398f",
            run_started_at: Timestamp::UNIX_EPOCH,
            targets: &[],
            task: &task,
        };
        let queued = reporter.event(&told, moment, Datasets::default()).await.unwrap()?;
        let change = Change::new(&Principal::local_owner(), "test", "test").put(&queued, Expect::Absent).unwrap();
        self.catalog.commit(change).await.unwrap();
        Some(queued.event)
    }

    fn courier(&self, destination: Destination) -> Courier {
        Courier::new(self.catalog.clone(), destination, self.metrics.clone(), Arc::<Notify>::default()).unwrap()
    }

    async fn waiting(&self) -> usize {
        self.catalog.list::<Queued>(ListQuery::default()).await.unwrap().len()
    }

    async fn accept(&self, inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> Accepted {
        let datasets = |named: &[(&str, &str)]| named.iter().map(|named| dataset(*named, &[])).collect();
        self.accept_datasets(datasets(inputs), datasets(outputs)).await
    }

    async fn accept_datasets(&self, inputs: Vec<ObservedDataset>, outputs: Vec<ObservedDataset>) -> Accepted {
        self.accept_moment(Some("COMPLETE"), inputs, outputs).await
    }

    async fn accept_moment(
        &self,
        event_type: Option<&str>,
        inputs: Vec<ObservedDataset>,
        outputs: Vec<ObservedDataset>,
    ) -> Accepted {
        let id = identifier(json!({ "type": event_type, "inputs": inputs, "outputs": outputs }));
        let observed = Observed {
            at: Timestamp::UNIX_EPOCH,
            producer: "https://example.com".into(),
            event_type: event_type.map(ToOwned::to_owned),
            run: None,
            job: Some(("airflow".into(), "load".into())),
            inputs,
            outputs,
        };
        let caller = Principal::user("ann");
        accept(&self.catalog, &self.lake, &self.project, observed, id, &caller).await.unwrap()
    }
}

/// A dataset by its name and the others that it has.
fn dataset((namespace, name): (&str, &str), symlinks: &[(&str, &str)]) -> ObservedDataset {
    let others = symlinks.iter().map(|(namespace, name)| ((*namespace).to_owned(), (*name).to_owned()));
    ObservedDataset {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        version: None,
        symlinks: others.collect(),
    }
}

/// Far more than a delivery takes: it ends as soon as nothing waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// A receiver that answers with a status, and what it was sent.
async fn receiver() -> (String, Arc<AtomicU16>, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (status, taken) = (Arc::new(AtomicU16::new(201)), Arc::<Mutex<Vec<Value>>>::default());
    let (answers, takes) = (status.clone(), taken.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![];
            let body = loop {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).await.unwrap_or(0);
                if length == 0 {
                    // who had no more time has gone
                    break None;
                }
                request.extend_from_slice(&part[..length]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
                if let Ok(body) = serde_json::from_str::<Value>(body) {
                    break Some(body);
                }
            };
            let Some(body) = body else { continue };
            takes.lock().push(body);
            let status = answers.load(Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _may_be_gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, status, taken)
}

#[tokio::test]
async fn a_run_has_one_identifier_and_each_moment_its_kind() {
    let stage = Stage::new().await;
    let reporter = stage.reporter();

    let start = stage.tell(&reporter, "orders", Moment::Start).await.unwrap();
    let fail = stage.tell(&reporter, "orders", Moment::Fail("no such file")).await.unwrap();
    let other = stage.tell(&reporter, "shops", Moment::Complete).await.unwrap();

    assert_eq!(
        (&start["eventType"], &fail["eventType"], &other["eventType"]),
        (&json!("START"), &json!("FAIL"), &json!("COMPLETE"))
    );
    assert_eq!(start["run"]["runId"], fail["run"]["runId"]);
    assert!(start["run"]["runId"] != other["run"]["runId"]);
    assert_eq!(fail["run"]["facets"]["errorMessage"]["message"], "no such file");
    assert_eq!(start["job"]["name"], "ingest.orders");
}

#[tokio::test]
async fn events_are_taken_in_order_and_then_are_gone() {
    let stage = Stage::new().await;
    let reporter = stage.reporter();
    for name in ["a", "b", "c"] {
        stage.tell(&reporter, name, Moment::Start).await;
    }
    let (url, _, taken) = receiver().await;

    stage.courier(Destination::Url(url)).flush(PATIENCE).await.unwrap();

    let jobs: Vec<Value> = taken.lock().iter().map(|event| event["job"]["name"].clone()).collect();
    assert_eq!(jobs, ["ingest.a", "ingest.b", "ingest.c"]);
    assert_eq!((stage.waiting().await, stage.metrics.counted(Fate::Delivered)), (0, 3));
}

#[tokio::test]
async fn events_wait_for_a_receiver_that_fails_and_not_for_one_that_refuses() {
    let stage = Stage::new().await;
    stage.tell(&stage.reporter(), "a", Moment::Start).await;
    let (url, status, _) = receiver().await;
    let courier = stage.courier(Destination::Url(url));

    status.store(503, Ordering::Relaxed);
    courier.flush(Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(stage.waiting().await, 1);

    status.store(422, Ordering::Relaxed);
    courier.flush(PATIENCE).await.unwrap();
    assert_eq!((stage.waiting().await, stage.metrics.counted(Fate::Refused)), (0, 1));
}

#[tokio::test]
async fn nobody_waits_long_for_a_receiver_that_is_down() {
    let stage = Stage::new().await;
    stage.tell(&stage.reporter(), "a", Moment::Start).await;
    let (url, status, taken) = receiver().await;
    status.store(503, Ordering::Relaxed);

    let failed = stage.courier(Destination::Url(url)).flush(PATIENCE).await;

    assert!(failed.unwrap_err().contains("503"), "it is given up before there is no more time");
    assert!(taken.lock().len() <= 4, "tried again for a few seconds, not for a minute");
    assert_eq!(stage.waiting().await, 1);
}

#[tokio::test]
async fn a_full_outbox_leaves_events_out_and_counts_them() {
    let stage = Stage::new().await;
    let reporter = stage.reporter().with_room_for(2);

    let mut kept = vec![];
    for name in ["a", "b", "c"] {
        kept.push(stage.tell(&reporter, name, Moment::Start).await.is_some());
    }

    assert_eq!(kept, [true, true, false]);
    assert_eq!(stage.metrics.counted(Fate::Dropped), 1);
}

#[tokio::test]
async fn a_file_has_an_event_a_line() {
    let stage = Stage::new().await;
    let reporter = stage.reporter();
    let path = stage.folder.path().join("events.jsonl");
    for name in ["a", "b"] {
        stage.tell(&reporter, name, Moment::Start).await;
        stage.courier(Destination::File(path.clone())).flush(PATIENCE).await.unwrap();
    }

    let text = std::fs::read_to_string(path).unwrap();
    let jobs: Vec<Value> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["job"]["name"].clone()).collect();
    assert_eq!(jobs, ["ingest.a", "ingest.b"]);
}

#[tokio::test]
async fn what_a_kill_left_of_a_line_spoils_no_other() {
    let stage = Stage::new().await;
    let path = stage.folder.path().join("events.jsonl");
    std::fs::write(&path, r#"{"eventType":"STA"#).unwrap();
    stage.tell(&stage.reporter(), "a", Moment::Start).await;

    stage.courier(Destination::File(path.clone())).flush(PATIENCE).await.unwrap();

    let text = std::fs::read_to_string(path).unwrap();
    let (left, whole) = text.split_once('\n').unwrap();
    assert_eq!(left, r#"{"eventType":"STA"#);
    assert_eq!(serde_json::from_str::<Value>(whole).unwrap()["job"]["name"], "ingest.a");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn events_that_a_full_disk_did_not_take_wait() {
    let stage = Stage::new().await;
    stage.tell(&stage.reporter(), "a", Moment::Start).await;

    // three tries
    let full = stage.courier(Destination::File("/dev/full".into())).flush(Duration::from_secs(3)).await;

    // the error is that of writing: that this file cannot be made durable either is the next one
    assert!(full.unwrap_err().contains("os error 28"));
    assert_eq!((stage.waiting().await, stage.metrics.counted(Fate::Delivered)), (1, 0));
}

#[tokio::test]
async fn others_datasets_join_our_files_and_the_same_event_is_known() {
    let stage = Stage::new().await;
    let file = stage.folder.path().join("orders.csv").display().to_string();

    let first = stage.accept(&[("postgres://db", "orders")], &[("file", &file)]).await;
    let again = stage.accept(&[("postgres://db", "orders")], &[("file", &file)]).await;

    assert_eq!((first.known, again.known, &first.id), (false, true, &again.id));
    assert_eq!(first.nodes, ["dataset:postgres://db/orders", "file:orders.csv", "job:airflow/load"]);
    let edges = stage.catalog.lineage("file:orders.csv", 5).await.unwrap();
    let edges: Vec<(&str, &str)> = edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str())).collect();
    assert!(edges.contains(&("dataset:postgres://db/orders", "job:airflow/load")), "{edges:?}");
    assert!(edges.contains(&("job:airflow/load", "file:orders.csv")), "{edges:?}");
    assert_eq!(edges.len(), 2);
}

#[tokio::test]
async fn a_dataset_with_another_name_that_is_ours_is_our_node() {
    let stage = Stage::new().await;
    let table = stage.folder.path().join("lake/sources/orders").display().to_string();
    let hive = ("hive://metastore:9083", "shop.orders");

    let ours = stage.accept_datasets(vec![], vec![dataset(hive, &[("glue", "orders"), ("file", &table)])]).await;
    let theirs = stage.accept_datasets(vec![], vec![dataset(hive, &[("file", "/elsewhere/orders")])]).await;

    assert_eq!(ours.nodes, ["job:airflow/load", "table:sources.orders"]);
    assert_eq!(theirs.nodes, ["dataset:hive://metastore:9083/shop.orders", "job:airflow/load"]);
}

#[tokio::test]
async fn a_run_that_has_not_completed_has_made_no_version_of_our_table() {
    let stage = Stage::new().await;
    let orders = "sources.orders".parse().unwrap();
    let rows = stage.lake.sql("SELECT 1 AS order_id").await.unwrap().execute_stream().await.unwrap();
    let id = WriteId { app: "test".into(), sequence: 1 };
    let version = stage.lake.append(&orders, rows, id).await.unwrap().version;
    let path = stage.folder.path().join("lake/sources/orders").display().to_string();
    let ours = || vec![dataset(("file", &path), &[])];
    let newest = format!("table:sources.orders@{version}");

    for event_type in ["START", "RUNNING", "ABORT", "FAIL"] {
        let written = stage.accept_moment(Some(event_type), vec![], ours()).await;
        assert_eq!(written.nodes, ["job:airflow/load", "table:sources.orders"], "{event_type}");
    }
    assert!(stage.catalog.lineage(&newest, 5).await.unwrap().is_empty());
    // what a run reads is there when it begins
    let read = stage.accept_moment(Some("START"), ours(), vec![]).await;
    assert_eq!(read.nodes, ["job:airflow/load".to_owned(), newest.clone()]);
    for event_type in [Some("COMPLETE"), None] {
        let written = stage.accept_moment(event_type, vec![], ours()).await;
        assert_eq!(written.nodes, ["job:airflow/load".to_owned(), newest.clone()], "{event_type:?}");
    }
    let named = ObservedDataset { version: Some("7".into()), ..dataset(("file", &path), &[]) };
    let started = stage.accept_moment(Some("START"), vec![], vec![named]).await;
    assert_eq!(started.nodes, ["job:airflow/load", "table:sources.orders@7"]);
}
