use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;

use mainspring_spec::Project;
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::graph::TaskKind;

/// Does nothing but remember, and fail where it is told to.
#[derive(Default)]
struct Script {
    done: Mutex<Vec<String>>,
    failures: Mutex<HashMap<String, Vec<WorkError>>>,
    unchanged: Mutex<HashSet<String>>,
    /// A task that never ends, as one whose process is about to be killed.
    stuck: Mutex<Option<String>>,
    /// Told when that task has begun.
    got_stuck: Notify,
    panics: Mutex<Option<String>>,
}

#[async_trait::async_trait]
impl Work for Script {
    async fn perform(&self, task: &Task, context: &TaskContext) -> Result<Outcome, WorkError> {
        let name = task.to_string();
        let is_stuck = self.stuck.lock().unwrap().as_deref() == Some(name.as_str());
        if is_stuck {
            self.got_stuck.notify_one();
            std::future::pending::<()>().await;
        }
        if let Some(error) = self.failures.lock().unwrap().get_mut(&name).and_then(Vec::pop) {
            return Err(error);
        }
        let panics = self.panics.lock().unwrap().as_deref() == Some(name.as_str());
        assert!(!panics, "as it was told to");
        if !context.force && self.unchanged.lock().unwrap().contains(&name) {
            return Ok(Outcome::unchanged());
        }
        context.log(format!("did {name}"));
        self.done.lock().unwrap().push(name);
        Ok(Outcome::default().figure("rows", 7))
    }
}

fn project() -> Project {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("mainspring.yaml", "project: p\n");
    write(
        "sources/s.yaml",
        "source: events\npath: events.csv\nkey: [id]\nevent_time: at\ncolumns:\n- {name: id, type: int64}\n- {name: shop, type: string}\n- {name: at, type: timestamp}\n- {name: y, type: float64}\n---\nsource: shops\npath: shops.csv\ncolumns:\n- {name: shop, type: string}\n- {name: size, type: float64}\n",
    );
    write(
        "features/f.yaml",
        "entity: shop\nkeys: [{name: shop, type: string}]\n---\nfeature_view: busy\nentity: shop\nfrom: events\nevent_time: at\naggregates:\n- {name: sales, function: count, windows: [1h]}\n---\nfeature_view: sizes\nentity: shop\nsql: select shop, size from shops\nfeatures: {size: how big}\n",
    );
    write(
        "models/m.yaml",
        "model: m\ntask: regression\nobservations: {from: events, at: at, label: y}\nfeatures: [busy.*, size]\ntrainer: {constant: {}}\n",
    );
    write("endpoints/e.yaml", "endpoint: e\nmodel: m\n");
    write("monitors/w.yaml", "monitor: w\nendpoint: e\n");
    mainspring_spec::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn request(targets: &[&str]) -> RunRequest {
    let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
    RunRequest { graph: TaskGraph::of(&project(), &targets).unwrap(), targets, retries: 2, force: false }
}

struct Stage {
    catalog: Catalog,
    script: Arc<Script>,
    engine: Engine,
}

async fn stage() -> Stage {
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let script = Arc::new(Script::default());
    Stage { engine: Engine::new(catalog.clone(), script.clone(), 2), catalog, script }
}

impl Stage {
    async fn run(&self, request: &RunRequest) -> FlowRun {
        let (events, _nobody) = unbounded_channel();
        self.engine.run(request, &Principal::local_owner(), &events).await.unwrap()
    }

    async fn task(&self, run: &FlowRun, kind: TaskKind, name: &str) -> TaskRun {
        let id = TaskRun::id_of(&run.id, &Task::new(kind, name));
        self.catalog.get::<TaskRun>(&id).await.unwrap().unwrap().document
    }

    fn done(&self) -> Vec<String> {
        self.script.done.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn every_task_is_done_once_and_after_what_it_needs() {
    let stage = stage().await;
    let request = request(&[]);

    let run = stage.run(&request).await;

    assert_eq!(run.state, RunState::Succeeded);
    let done = stage.done();
    assert_eq!(done.iter().collect::<BTreeSet<_>>().len(), done.len());
    assert_eq!(done.len(), request.graph.order().len());
    let place = |task: &Task| done.iter().position(|name| *name == task.to_string()).unwrap();
    for task in request.graph.order() {
        for needed in request.graph.needs(task) {
            assert!(place(needed) < place(task), "{needed} before {task}");
        }
    }
    assert!(done.contains(&"materialize:busy".to_owned()) && done.contains(&"monitor:w".to_owned()));
}

#[tokio::test]
async fn a_target_brings_only_what_it_needs() {
    let stage = stage().await;

    stage.run(&request(&["sizes"])).await;

    assert_eq!(stage.done(), ["ingest:shops", "backfill:sizes", "materialize:sizes"]);
}

#[tokio::test]
async fn passing_failures_are_tried_again_and_lasting_ones_block_what_follows() {
    let stage = stage().await;
    let mut failures = HashMap::new();
    failures.insert("ingest:events".to_owned(), vec![WorkError::Passing("busy".into())]);
    failures.insert("backfill:sizes".to_owned(), vec![WorkError::Lasting("no column size".into())]);
    *stage.script.failures.lock().unwrap() = failures;

    let run = stage.run(&request(&[])).await;

    assert_eq!(run.state, RunState::Failed);
    let ingested = stage.task(&run, TaskKind::Ingest, "events").await;
    assert_eq!((ingested.state, ingested.attempts.len()), (TaskState::Succeeded, 2));
    assert_eq!(ingested.attempts[0].error.as_deref(), Some("busy"));
    assert_eq!(ingested.attempts[1].log, ["did ingest:events"]);
    let failed = stage.task(&run, TaskKind::Backfill, "sizes").await;
    assert_eq!((failed.state, failed.attempts.len()), (TaskState::Failed, 1));
    assert_eq!(stage.task(&run, TaskKind::Train, "m").await.state, TaskState::Blocked);
    assert_eq!(stage.task(&run, TaskKind::Monitor, "w").await.state, TaskState::Blocked);
}

#[tokio::test]
async fn retries_end() {
    let stage = stage().await;
    let errors = (0..9).map(|n| WorkError::Passing(format!("busy {n}"))).collect();
    stage.script.failures.lock().unwrap().insert("ingest:shops".to_owned(), errors);

    let run = stage.run(&request(&["shops"])).await;

    let task = stage.task(&run, TaskKind::Ingest, "shops").await;
    assert_eq!((task.state, task.attempts.len()), (TaskState::Failed, 3));
}

#[tokio::test]
async fn what_has_not_changed_is_said_so_unless_forced() {
    let stage = stage().await;
    let request = request(&["shops"]);
    stage.script.unchanged.lock().unwrap().insert("ingest:shops".to_owned());

    let run = stage.run(&request).await;
    assert_eq!(run.state, RunState::Succeeded);
    assert_eq!(stage.task(&run, TaskKind::Ingest, "shops").await.state, TaskState::Unchanged);
    assert!(stage.done().is_empty());

    let forced = stage.run(&RunRequest { force: true, ..request }).await;
    assert_eq!(stage.task(&forced, TaskKind::Ingest, "shops").await.state, TaskState::Succeeded);
}

#[tokio::test]
async fn a_task_that_panics_fails_alone() {
    let stage = stage().await;
    *stage.script.panics.lock().unwrap() = Some("ingest:shops".into());

    let run = stage.run(&request(&[])).await;

    let task = stage.task(&run, TaskKind::Ingest, "shops").await;
    assert_eq!(task.state, TaskState::Failed);
    assert!(task.attempts[0].error.as_deref().is_some_and(|error| error.contains("as it was told to")));
    assert_eq!(stage.task(&run, TaskKind::Materialize, "busy").await.state, TaskState::Succeeded);
}

#[tokio::test]
async fn a_run_that_died_is_taken_up_where_it_was() {
    let stage = stage().await;
    let request = request(&["sizes"]);
    *stage.script.stuck.lock().unwrap() = Some("backfill:sizes".into());
    tokio::select! {
        run = stage.run(&request) => panic!("it was to be cut off in the middle: {run:?}"),
        () = stage.script.got_stuck.notified() => {}
    }
    *stage.script.stuck.lock().unwrap() = None;

    let run = stage.run(&request).await;

    assert_eq!((run.state, run.resumed), (RunState::Succeeded, 1));
    assert_eq!(stage.done(), ["ingest:shops", "backfill:sizes", "materialize:sizes"]);
    let task = stage.task(&run, TaskKind::Backfill, "sizes").await;
    assert_eq!(task.attempts.len(), 2);
    assert_eq!(task.attempts[0].error.as_deref(), Some("its process died"));
    assert_eq!(stage.catalog.count::<FlowRun>(None).await.unwrap(), 1);
}

#[tokio::test]
async fn an_unknown_target_is_named_with_the_nearest_known_one() {
    let error = TaskGraph::of(&project(), &["sizez".into()]).unwrap_err();

    assert!(error.to_string().contains("did you mean `sizes`?"), "{error}");
}
