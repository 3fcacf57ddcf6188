//! What clients register, over a catalog and a file store in memory.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use jiff::Timestamp;
use mainspring_catalog::{AuditQuery, Catalog, Change, Expect, Outcome, Principal};
use mainspring_spec::{Endpoint, Project};
use serde_json::json;

use crate::{
    Deployment, Error, FilePath, LoggedStatus, NewLoggedModel, NewRun, NewVersion, Others, Registry, Run, VersionStage,
};

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

impl Fixture {
    async fn run(&self) -> Run {
        let new = NewRun { experiment: "e".into(), ..NewRun::default() };
        self.registry.start_run(new, &self.owner).await.unwrap()
    }

    async fn put(&self, folder: &FilePath, name: &str, text: &str) {
        let content = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(text.as_bytes()))]);
        self.registry.files().write(&folder.join(&FilePath::parse(name).unwrap()), content).await.unwrap();
    }

    async fn model(&self, name: &str) {
        self.registry.create_model(name, "", BTreeMap::new(), &self.owner).await.unwrap();
    }

    async fn register(&self, name: &str, run: &Run) -> crate::Result<crate::ModelVersion> {
        let source = format!("runs:/{}/model", run.id);
        let new = NewVersion { model: name.into(), source, run: Some(run.id.clone()), ..NewVersion::default() };
        self.registry.register_logged(new, &self.owner).await
    }
}

#[tokio::test]
async fn what_is_not_of_a_format_that_runs_here_is_stored_and_says_so() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    let folder = f.registry.run_folder(&run.id).await.unwrap().unwrap();
    f.put(&folder, "model/MLmodel", "flavors:\n  sklearn: {pickled_model: model.pkl}\n").await;
    f.put(&folder, "model/model.pkl", "\u{80}").await;

    let version = f.register("m", &run).await.unwrap();

    let logged = version.logged.clone().unwrap();
    assert_eq!((version.version, logged.flavours.as_slice()), (1, ["sklearn".to_string()].as_slice()));
    assert!(logged.unservable.unwrap().contains("sklearn"));
    let refused = f.registry.open_model(&version).await.unwrap_err();
    assert!(matches!(&refused, Error::NotServable { .. }) && refused.to_string().contains("sklearn"), "{refused}");
    let lineage = f.registry.catalog.edges_to("model:m@1").await.unwrap();
    assert_eq!(lineage[0].from, format!("run:{}", run.id));
}

#[tokio::test]
async fn a_model_that_is_not_there_and_files_of_others_are_refused() {
    let f = fixture().await;
    let (mine, other) = (f.run().await, f.run().await);
    assert!(matches!(f.register("m", &mine).await, Err(Error::NoModel(_))));
    f.model("m").await;
    let new =
        |source: String| NewVersion { model: "m".into(), source, run: Some(mine.id.clone()), ..NewVersion::default() };
    let theirs = f.registry.run_artifact_uri(&other.id).await.unwrap();

    for source in
        [format!("{theirs}/model"), format!("runs:/{}/model", other.id), "models:/m-none".into(), "/etc".into()]
    {
        let refused = f.registry.register_logged(new(source.clone()), &f.owner).await;
        assert!(matches!(refused, Err(Error::Source { .. })), "{source}: {refused:?}");
    }

    assert!(f.registry.versions("m").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_logged_model_is_registered_by_its_id_with_its_run() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    let new = NewLoggedModel {
        experiment: "e".into(),
        root: "mlflow-artifacts:/e".into(),
        run: Some(run.id.clone()),
        ..NewLoggedModel::default()
    };
    let logged = f.registry.create_logged_model(new, &f.owner).await.unwrap();
    f.put(&logged.folder().unwrap(), "MLmodel", "flavors: {onnx: {}}").await;
    f.registry.finish_logged_model(&logged.id, LoggedStatus::Ready, &f.owner).await.unwrap();

    let new = NewVersion { model: "m".into(), source: format!("models:/{}", logged.id), ..NewVersion::default() };
    let version = f.registry.register_logged(new.clone(), &f.owner).await.unwrap();
    let by_files = NewVersion { source: logged.artifact_uri.clone(), model_id: Some(logged.id.clone()), ..new };
    let second = f.registry.register_logged(by_files, &f.owner).await.unwrap();
    f.registry.delete_logged_model(&logged.id, &f.owner).await.unwrap();

    assert_eq!((version.run.as_ref(), second.version), (Some(&run.id), 2));
    let said = version.logged.unwrap();
    assert_eq!(
        (said.model_id.as_deref(), said.folder),
        (Some(logged.id.as_str()), format!("e/models/{}/artifacts", logged.id))
    );
    assert!(matches!(f.registry.logged_model(&logged.id).await, Err(Error::NoLoggedModel(_))));
    assert!(f.registry.logged_models("e").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_renamed_model_keeps_versions_aliases_and_history() {
    let f = fixture().await;
    f.model("old").await;
    let run = f.run().await;
    for _ in 0..2 {
        f.register("old", &run).await.unwrap();
    }
    f.registry.set_alias("old", "champion", 1, &f.owner, "").await.unwrap();
    f.registry.set_alias("old", "champion", 2, &f.owner, "").await.unwrap();

    f.registry.rename_model("old", "new", &f.owner).await.unwrap();

    assert!(matches!(f.registry.model("old").await, Err(Error::NoModel(_))));
    assert!(
        f.registry.versions("old").await.unwrap().is_empty() && f.registry.aliases("old").await.unwrap().is_empty()
    );
    assert_eq!(f.registry.versions("new").await.unwrap().len(), 2);
    let back = f.registry.rollback("new", "champion", None, &f.owner, "").await.unwrap();
    assert_eq!(back.version, 1);
    f.model("old").await;
    assert!(matches!(f.registry.rename_model("new", "old", &f.owner).await, Err(Error::ModelExists(_))));
    assert!(matches!(f.registry.rename_model("new", "a/b", &f.owner).await, Err(Error::ModelName { .. })));
}

#[tokio::test]
async fn a_deleted_version_takes_its_aliases_and_its_number_with_it() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    for _ in 0..2 {
        f.register("m", &run).await.unwrap();
    }
    f.registry.set_alias("m", "champion", 1, &f.owner, "").await.unwrap();
    f.registry.set_alias("m", "champion", 2, &f.owner, "").await.unwrap();

    f.registry.delete_version("m", 2, &f.owner).await.unwrap();

    assert_eq!(f.registry.live("m", "champion").await.unwrap(), None);
    assert_eq!(f.registry.latest("m").await.unwrap().unwrap().version, 1);
    assert_eq!(f.register("m", &run).await.unwrap().version, 3);
    assert!(matches!(f.registry.delete_version("m", 2, &f.owner).await, Err(Error::NoVersion { .. })));
    f.registry.delete_model("m", &f.owner).await.unwrap();
    assert!(f.registry.versions("m").await.unwrap().is_empty());
    assert!(f.registry.events("m", "champion").await.unwrap().is_empty());
    f.model("m").await;
    assert_eq!(f.register("m", &run).await.unwrap().version, 1);
}

#[tokio::test]
async fn a_stage_is_given_to_one_and_taken_from_others_if_wanted() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    for _ in 0..3 {
        f.register("m", &run).await.unwrap();
    }
    let stage = |number, others| f.registry.set_stage(("m", number), VersionStage::Production, others, &f.owner);

    stage(1, Others::Kept).await.unwrap();
    stage(2, Others::Kept).await.unwrap();
    stage(3, Others::Archived).await.unwrap();

    let stages: Vec<_> = f.registry.versions("m").await.unwrap().iter().map(|version| version.stage).collect();
    assert_eq!(stages, [VersionStage::Production, VersionStage::Archived, VersionStage::Archived]);
}

#[tokio::test]
async fn versions_registered_by_clients_at_once_get_numbers_of_their_own() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (registry, owner, run) = (f.registry.clone(), f.owner.clone(), run.id.clone());
        tasks.spawn(async move {
            let source = format!("runs:/{run}/model");
            let new = NewVersion { model: "m".into(), source, run: Some(run), ..NewVersion::default() };
            registry.register_logged(new, &owner).await.unwrap().version
        });
    }

    let mut numbers = tasks.join_all().await;

    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn versions_of_one_model_are_staged_and_deleted_at_once() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    for _ in 0..8 {
        f.register("m", &run).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=8 {
        let (registry, owner) = (f.registry.clone(), f.owner.clone());
        tasks.spawn(async move {
            if number % 2 == 0 {
                return registry.delete_version("m", number, &owner).await;
            }
            registry.set_stage(("m", number), VersionStage::Staging, Others::Kept, &owner).await.map(|_| ())
        });
    }

    let outcomes = tasks.join_all().await;

    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let left = f.registry.versions("m").await.unwrap();
    assert_eq!(left.iter().map(|version| version.version).collect::<Vec<_>>(), [7, 5, 3, 1]);
    assert!(left.iter().all(|version| version.stage == VersionStage::Staging));
}

#[tokio::test]
async fn labels_of_one_version_that_are_set_at_once_are_all_kept() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    f.register("m", &run).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (registry, owner) = (f.registry.clone(), f.owner.clone());
        tasks.spawn(async move { registry.tag_version("m", 1, &format!("key{number}"), Some("x"), &owner).await });
    }

    let outcomes = tasks.join_all().await;

    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(f.registry.version("m", 1).await.unwrap().tags.len(), 8);
}

#[tokio::test]
async fn every_change_leaves_its_entry() {
    let f = fixture().await;
    f.model("m").await;
    let run = f.run().await;
    f.register("m", &run).await.unwrap();
    f.registry.describe_model("m", "what", &f.owner).await.unwrap();
    f.registry.tag_model("m", "a", Some("b"), &f.owner).await.unwrap();
    f.registry.describe_version("m", 1, "what", &f.owner).await.unwrap();
    f.registry.delete_version("m", 1, &f.owner).await.unwrap();

    let audit = f.registry.catalog.audit(AuditQuery::default()).await.unwrap();

    let actions: Vec<&str> = audit.iter().rev().map(|entry| entry.action.as_str()).collect();
    let wanted = ["model.register", "model.describe", "model.tag", "model.describe", "model.delete_version"];
    assert_eq!(actions[actions.len() - 5..], wanted);
}

/// A project with a model `late`, whose gate asks for an AUC of 0.9, and some endpoints.
fn project(endpoints: impl IntoIterator<Item = Endpoint>) -> Project {
    let model = serde_json::from_value(json!({
        "model": "late", "task": "binary", "features": [], "trainer": { "constant": {} },
        "observations": { "from": "flights", "label": "late" }, "gates": [{ "metric": "auc", "min": 0.9 }]
    }))
    .unwrap();
    Project {
        file: serde_json::from_value(json!({ "project": "p" })).unwrap(),
        folder: std::path::PathBuf::new(),
        sources: BTreeMap::new(),
        entities: BTreeMap::new(),
        feature_views: BTreeMap::new(),
        feature_services: BTreeMap::new(),
        models: BTreeMap::from([("late".into(), model)]),
        endpoints: endpoints.into_iter().map(|endpoint| (endpoint.name.clone(), endpoint)).collect(),
        monitors: BTreeMap::new(),
        workflows: BTreeMap::new(),
        policies: BTreeMap::new(),
    }
}

impl Fixture {
    async fn declare(&self, project: &Project) {
        let change = Change::new(&self.owner, "project.apply", "project:p").declare(project).unwrap();
        self.registry.catalog.commit(change).await.unwrap();
    }

    /// A run that reached an AUC.
    async fn measured(&self, auc: f64) -> Run {
        let run = Run { metrics: BTreeMap::from([("auc".into(), auc)]), ..self.run().await };
        let change = Change::new(&self.owner, "run.update", format!("run:{}", run.id)).put(&run, Expect::Any);
        self.registry.catalog.commit(change.unwrap()).await.unwrap();
        run
    }
}

#[tokio::test]
async fn a_new_name_with_gates_takes_only_what_meets_them() {
    let f = fixture().await;
    f.declare(&project([])).await;
    for (name, aucs) in [("bad", vec![0.1]), ("once_bad", vec![0.1, 0.95]), ("good", vec![0.95])] {
        f.model(name).await;
        for auc in aucs {
            let version = f.register(name, &f.measured(auc).await).await.unwrap().version;
            f.registry.set_alias(name, "champion", version, &f.owner, "").await.unwrap();
        }
    }

    let bad = f.registry.rename_model("bad", "late", &f.owner).await;
    let once_bad = f.registry.rename_model("once_bad", "late", &f.owner).await;

    assert!(matches!(&bad, Err(Error::Refused(verdict)) if verdict.model == "late"), "{bad:?}");
    assert!(matches!(once_bad, Err(Error::Refused(_))), "a rollback would bring it back: {once_bad:?}");
    assert!(f.registry.live("bad", "champion").await.unwrap().is_some());
    let audit = f.registry.catalog.audit(AuditQuery::default()).await.unwrap();
    let refusals = audit.iter().filter(|entry| entry.outcome == Outcome::Refused && entry.action == "model.rename");
    assert_eq!(refusals.count(), 2);
    f.registry.rename_model("bad", "other", &f.owner).await.unwrap();
    f.registry.rename_model("good", "late", &f.owner).await.unwrap();
    assert_eq!(f.registry.live("late", "champion").await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn what_an_endpoint_follows_stays() {
    let f = fixture().await;
    f.model("asked").await;
    f.model("declared").await;
    let run = f.run().await;
    for name in ["asked", "declared"] {
        for _ in 0..2 {
            f.register(name, &run).await.unwrap();
        }
        f.registry.set_alias(name, "champion", 1, &f.owner, "").await.unwrap();
        f.registry.set_alias(name, "spare", 2, &f.owner, "").await.unwrap();
    }
    f.declare(&project([Endpoint::over_registered("of_folder", "declared", "champion")])).await;
    let endpoint = Endpoint::over_registered("of_request", "asked", "champion");
    let deployment = Deployment { endpoint, by: f.owner.clone(), at: Timestamp::now() };
    let change = Change::new(&f.owner, "endpoint.deploy", "endpoint:of_request").put(&deployment, Expect::Absent);
    f.registry.catalog.commit(change.unwrap()).await.unwrap();

    for (name, endpoint, mend) in
        [("asked", "of_request", "undeploy of_request"), ("declared", "of_folder", "endpoints/of_folder.yaml")]
    {
        let refusals = [
            f.registry.rename_model(name, "new", &f.owner).await.err(),
            f.registry.delete_model(name, &f.owner).await.err(),
            f.registry.delete_version(name, 1, &f.owner).await.err(),
            f.registry.remove_alias(name, "champion", &f.owner, "").await.err(),
        ];
        for refusal in refusals {
            let words = refusal.as_ref().map(ToString::to_string).unwrap_or_default();
            assert!(matches!(refusal, Some(Error::Followed { .. })), "{name}: {refusal:?}");
            assert!(words.contains(&format!("`{endpoint}`")) && words.contains(mend), "{words}");
        }
        f.registry.remove_alias(name, "spare", &f.owner, "nobody follows it").await.unwrap();
        f.registry.delete_version(name, 2, &f.owner).await.unwrap();
    }

    let of_folder = f.registry.undeploy("of_folder", &f.owner).await.unwrap_err();
    assert!(matches!(of_folder, Error::EndpointDeclared(_)), "{of_folder:?}");
    assert!(of_folder.to_string().contains("endpoints/of_folder.yaml"), "{of_folder}");
    f.registry.undeploy("of_request", &f.owner).await.unwrap();
    let audit = f.registry.catalog.audit(AuditQuery::default()).await.unwrap();
    assert!(audit.iter().any(|e| e.action == "endpoint.undeploy" && e.subject == "endpoint:of_request"));
    let twice = f.registry.undeploy("of_request", &f.owner).await.unwrap_err();
    assert!(matches!(twice, Error::NoEndpoint(_)), "{twice:?}");
    f.registry.delete_version("asked", 1, &f.owner).await.unwrap();
    f.registry.rename_model("asked", "new", &f.owner).await.unwrap();
}
