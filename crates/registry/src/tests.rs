//! The registry over a catalog in memory.

use std::collections::BTreeMap;

use mainspring_catalog::{AuditQuery, Catalog, Change, Metric, Outcome, Principal};
use mainspring_kernel::{ARTIFACT_FORMAT, Body, Link, ModelArtifact};
use mainspring_spec::{Gate, Task};

use crate::version::tests::version;
use crate::{Error, Evaluation, ModelVersion, NewRun, Part, Registration, Registry, RunStatus};

struct Fixture {
    _folder: tempfile::TempDir,
    registry: Registry,
    owner: Principal,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let registry = Registry::new(catalog, folder.path().join("artifacts"));
    Fixture { _folder: folder, registry, owner: Principal::local_owner() }
}

fn constant(value: f64) -> ModelArtifact {
    ModelArtifact {
        format: ARTIFACT_FORMAT,
        task: Task::Binary,
        classes: vec![],
        inputs: vec![],
        body: Body::Constant(vec![value]),
        link: Link::Identity,
    }
}

impl Fixture {
    async fn registration(&self, auc: f64, gates: Vec<Gate>) -> Registration {
        let new = NewRun { experiment: "delay".into(), model: Some("delay".into()), ..NewRun::default() };
        let run = self.registry.start_run(new, &self.owner).await.unwrap();
        let artifact = self.registry.artifacts().put_model("model.json", &constant(0.25)).unwrap();
        let metrics = BTreeMap::from([("auc".to_string(), auc)]);
        Registration {
            version: ModelVersion {
                run: Some(run.id.clone()),
                artifact: Some(artifact),
                metrics: metrics.clone(),
                gates,
                tables: BTreeMap::from([("sources.flights".into(), 3)]),
                ..version("delay", 0)
            },
            description: "late or not".into(),
            evaluation: Evaluation {
                run: run.id.clone(),
                model: "delay".into(),
                task: Task::Binary,
                classes: vec!["false".into(), "true".into()],
                test: Part { rows: 10, mean_label: Some(0.5), metrics },
                validation: None,
                train: Part::default(),
                baseline: BTreeMap::new(),
                calibration: vec![],
                roc: vec![],
                precision_recall: vec![],
                confusion: None,
                by_class: vec![],
                residuals: None,
                slices: vec![],
                importance: vec![],
                remarks: vec![],
            },
            metrics: vec![Metric {
                run: run.id,
                key: "train_log_loss".into(),
                step: 1,
                value: 0.5,
                at: jiff::Timestamp::now(),
            }],
            artifacts: vec![],
            made_from: vec!["table:sources.flights@3".into()],
        }
    }

    async fn register(&self, auc: f64) -> u64 {
        let registration = self.registration(auc, vec![]).await;
        self.registry.register(registration, &self.owner).await.unwrap().version
    }

    async fn promote(&self, version: u64) -> crate::Result<crate::Verdict> {
        self.registry.set_alias("delay", "champion", version, &self.owner, "for the test").await
    }

    async fn live(&self) -> Option<u64> {
        self.registry.live("delay", "champion").await.unwrap().map(|version| version.version)
    }
}

fn at_least(auc: f64) -> Gate {
    Gate { metric: "auc".into(), min: Some(auc), max: None, worse_than_champion_by_at_most: None }
}

#[tokio::test]
async fn a_registration_ends_the_run_and_links_version_run_training_set_and_tables() {
    let f = fixture().await;

    let number = f.register(0.7).await;

    let version = f.registry.version("delay", number).await.unwrap();
    let run = f.registry.run(version.run.as_deref().unwrap()).await.unwrap();
    assert_eq!((run.status, run.version), (RunStatus::Succeeded, Some(1)));
    assert_eq!(f.registry.metrics(&run.id, None).await.unwrap().len(), 1);
    assert_eq!(f.registry.evaluation(&run.id).await.unwrap().unwrap().test.rows, 10);
    assert_eq!(f.registry.open_model(&version).await.unwrap(), constant(0.25));
    let lineage = f.registry.catalog.lineage("model:delay@1", 8).await.unwrap();
    let nodes: Vec<&str> = lineage.iter().map(|edge| edge.from.as_str()).collect();
    assert!(nodes.contains(&"table:sources.flights@3"), "{nodes:?}");
    assert!(nodes.contains(&"table:training.delay@0"), "{nodes:?}");
}

#[tokio::test]
async fn a_run_ends_once() {
    let f = fixture().await;
    let registration = f.registration(0.7, vec![]).await;
    let run = registration.evaluation.run.clone();
    f.registry.fail_run(&run, "the disk was full", &f.owner).await.unwrap();

    let again = f.registry.register(registration, &f.owner).await;
    let metrics = f.registry.log_metrics(&run, vec![], &f.owner).await;

    assert!(matches!(again, Err(Error::RunEnded { .. })));
    assert!(matches!(metrics, Err(Error::RunEnded { .. })));
    assert!(matches!(f.registry.version("delay", 1).await, Err(Error::NoModel(_))));
}

#[tokio::test]
async fn versions_registered_at_once_get_numbers_of_their_own() {
    let f = fixture().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let registration = f.registration(0.7, vec![]).await;
        let (registry, owner) = (f.registry.clone(), f.owner.clone());
        tasks.spawn(async move { registry.register(registration, &owner).await.unwrap().version });
    }

    let mut numbers = tasks.join_all().await;

    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
    let versions = f.registry.versions("delay").await.unwrap();
    assert_eq!(versions.first().map(|version| version.version), Some(8));
}

#[tokio::test]
async fn a_version_without_its_file_is_not_registered() {
    let f = fixture().await;
    let mut registration = f.registration(0.7, vec![]).await;
    registration.version.artifact.as_mut().unwrap().sha256 = "1".repeat(64);

    let refused = f.registry.register(registration, &f.owner).await;

    assert!(matches!(refused, Err(Error::ArtifactMissing { .. })));
}

#[tokio::test]
async fn a_gate_not_met_refuses_and_the_attempt_is_in_the_audit_log() {
    let f = fixture().await;
    let registration = f.registration(0.69, vec![at_least(0.71)]).await;
    let version = f.registry.register(registration, &f.owner).await.unwrap().version;

    let error = f.promote(version).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "version 1 of model `delay` may not have the alias `champion`: auc is 0.6900, the gate asks for at least 0.71"
    );
    assert_eq!(f.live().await, None);
    let audit = f.registry.catalog.audit(AuditQuery::default()).await.unwrap();
    let refusals: Vec<_> = audit.iter().filter(|entry| entry.outcome == Outcome::Refused).collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].action, "model.promote");
}

#[tokio::test]
async fn gates_declared_now_count_before_those_of_the_training() {
    let f = fixture().await;
    let registration = f.registration(0.69, vec![at_least(0.5)]).await;
    let version = f.registry.register(registration, &f.owner).await.unwrap().version;
    let model = serde_json::from_value(serde_json::json!({
        "model": "delay", "task": "binary", "features": [], "trainer": { "constant": {} },
        "observations": { "from": "flights", "label": "late" }, "gates": [{ "metric": "auc", "min": 0.9 }]
    }))
    .unwrap();
    let project = mainspring_spec::Project {
        file: serde_json::from_value(serde_json::json!({ "project": "p" })).unwrap(),
        folder: std::path::PathBuf::new(),
        sources: BTreeMap::new(),
        entities: BTreeMap::new(),
        feature_views: BTreeMap::new(),
        feature_services: BTreeMap::new(),
        models: BTreeMap::from([("delay".into(), model)]),
        endpoints: BTreeMap::new(),
        monitors: BTreeMap::new(),
        workflows: BTreeMap::new(),
        policies: BTreeMap::new(),
    };
    let change = Change::new(&f.owner, "project.apply", "project:p").declare(&project).unwrap();
    f.registry.catalog.commit(change).await.unwrap();

    assert!(matches!(f.promote(version).await, Err(Error::Refused(_))));
}

#[tokio::test]
async fn promotion_rollback_and_history() {
    let f = fixture().await;
    for auc in [0.70, 0.72, 0.74] {
        let version = f.register(auc).await;
        f.promote(version).await.unwrap();
    }
    assert_eq!(f.live().await, Some(3));

    let back = f.registry.rollback("delay", "champion", None, &f.owner, "it is slow").await.unwrap();
    assert_eq!((back.version, f.live().await), (2, Some(2)));
    f.registry.rollback("delay", "champion", None, &f.owner, "worse").await.unwrap();
    assert_eq!(f.live().await, Some(1));
    let nothing = f.registry.rollback("delay", "champion", None, &f.owner, "").await;
    assert!(matches!(nothing, Err(Error::NothingBefore { version: 1, .. })));

    let history = f.registry.history("delay", "champion").await.unwrap();
    let versions: Vec<u64> = history.iter().map(|span| span.version).collect();
    assert_eq!(versions, [1, 2, 3, 2, 1]);
    assert!(history[..4].iter().all(|span| span.until.is_some()) && history[4].until.is_none());
    assert_eq!(history[3].reason, "it is slow");
}

#[tokio::test]
async fn a_rollback_reaches_only_what_was_live_once() {
    let f = fixture().await;
    let (first, second, never) = (f.register(0.7).await, f.register(0.7).await, f.register(0.7).await);
    f.promote(first).await.unwrap();
    f.promote(second).await.unwrap();

    let refused = f.registry.rollback("delay", "champion", Some(never), &f.owner, "").await;
    let done = f.registry.rollback("delay", "champion", Some(first), &f.owner, "").await;

    assert!(matches!(refused, Err(Error::NeverLive { version: 3, .. })));
    assert_eq!(done.unwrap().version, first);
    f.registry.rollback("delay", "champion", Some(second), &f.owner, "forward again").await.unwrap();
    let back = f.registry.rollback("delay", "champion", None, &f.owner, "").await.unwrap();
    assert_eq!(back.version, first, "what was live before the named rollback");
}

#[tokio::test]
async fn of_promotions_at_once_each_is_either_in_the_history_or_told_that_it_lost() {
    let f = fixture().await;
    for _ in 0..8 {
        f.register(0.7).await;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for version in 1..=8 {
        let (registry, owner) = (f.registry.clone(), f.owner.clone());
        tasks.spawn(async move { registry.set_alias("delay", "champion", version, &owner, "race").await });
    }

    let outcomes = tasks.join_all().await;

    let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Raced { .. }))).count();
    assert_eq!(won + lost, 8);
    let events = f.registry.events("delay", "champion").await.unwrap();
    assert_eq!(events.len(), won, "every success is an event, and nothing else is");
    assert!(events.windows(2).all(|pair| pair[0].to == pair[1].from), "no event starts from what was not live");
    assert_eq!(events.last().unwrap().to, f.live().await);
}

#[tokio::test]
async fn promoting_what_is_live_and_unknown_things() {
    let f = fixture().await;
    let version = f.register(0.7).await;
    f.promote(version).await.unwrap();

    f.promote(version).await.unwrap();

    assert_eq!(f.registry.events("delay", "champion").await.unwrap().len(), 1);
    assert!(matches!(f.promote(9).await, Err(Error::NoVersion { version: 9, .. })));
    assert!(matches!(f.registry.set_alias("x", "champion", 1, &f.owner, "").await, Err(Error::NoModel(_))));
    assert!(matches!(f.registry.set_alias("delay", "not so", 1, &f.owner, "").await, Err(Error::AliasName(_))));
    f.registry.remove_alias("delay", "champion", &f.owner, "retired").await.unwrap();
    assert_eq!(f.live().await, None);
    assert!(f.registry.aliases("delay").await.unwrap().is_empty());
}

#[tokio::test]
async fn tags_notes_and_the_audit_chain() {
    let f = fixture().await;
    let version = f.register(0.7).await;

    f.registry.tag_version("delay", version, "region", Some("east"), &f.owner).await.unwrap();
    f.registry.note_version("delay", version, "checked by eye", &f.owner).await.unwrap();
    let cleared = f.registry.tag_version("delay", version, "region", None, &f.owner).await.unwrap();

    assert!(cleared.tags.is_empty());
    assert_eq!(cleared.notes[0].text, "checked by eye");
    assert_eq!(cleared.notes[0].by, f.owner);
}

#[tokio::test]
async fn notes_made_at_once_are_all_kept_and_those_that_break_a_rule_are_refused() {
    let f = fixture().await;
    let version = f.register(0.7).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (registry, owner) = (f.registry.clone(), f.owner.clone());
        tasks.spawn(async move { registry.note_version("delay", version, &format!("{number}"), &owner).await });
    }

    let outcomes = tasks.join_all().await;

    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(f.registry.version("delay", version).await.unwrap().notes.len(), 4);
    for text in ["", " \n", &*"x".repeat(2_001)] {
        let refused = f.registry.note_version("delay", version, text, &f.owner).await;
        assert!(matches!(refused, Err(Error::Remark(_))), "{refused:?}");
    }
    for number in 4..100 {
        f.registry.note_version("delay", version, &format!("{number}"), &f.owner).await.unwrap();
    }
    let full = f.registry.note_version("delay", version, "one more", &f.owner).await;
    assert!(matches!(full, Err(Error::Remark(_))), "{full:?}");
    for (key, value) in [("", "x"), (&*"k".repeat(251), "x"), ("k", &*"v".repeat(100_001))] {
        let refused = f.registry.tag_version("delay", version, key, Some(value), &f.owner).await;
        assert!(matches!(refused, Err(Error::Remark(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_run_whose_process_died_is_marked_by_the_next_one() {
    let f = fixture().await;
    let new = || NewRun { experiment: "delay".into(), ..NewRun::default() };
    let alive = f.registry.start_run(new(), &f.owner).await.unwrap();
    let mut dead = f.registry.start_run(new(), &f.owner).await.unwrap();
    dead.environment.process = u32::MAX;
    let change = Change::new(&f.owner, "test", "run").put(&dead, mainspring_catalog::Expect::Any).unwrap();
    f.registry.catalog.commit(change).await.unwrap();

    f.registry.start_run(new(), &f.owner).await.unwrap();

    assert_eq!(f.registry.run(&dead.id).await.unwrap().status, RunStatus::Interrupted);
    assert_eq!(f.registry.run(&alive.id).await.unwrap().status, RunStatus::Running);
}

#[tokio::test]
async fn a_sweep_keeps_what_versions_name() {
    let f = fixture().await;
    f.register(0.7).await;
    f.registry.artifacts().put_file("left by a crash", b"orphan").unwrap();

    let removed = f.registry.sweep_artifacts(std::time::Duration::ZERO).await.unwrap();

    assert_eq!(removed, 1);
    let version = f.registry.version("delay", 1).await.unwrap();
    assert!(f.registry.open_model(&version).await.is_ok());
}

#[tokio::test]
async fn table_versions_that_models_were_trained_from_are_pinned() {
    let f = fixture().await;
    f.register(0.7).await;
    let mut registration = f.registration(0.7, vec![]).await;
    registration.version.training_set.as_mut().unwrap().version = 4;
    f.registry.register(registration, &f.owner).await.unwrap();

    let pinned = f.registry.pinned_tables().await.unwrap();

    assert_eq!(pinned, BTreeMap::from([("sources.flights".into(), vec![3]), ("training.delay".into(), vec![0, 4])]));
}
