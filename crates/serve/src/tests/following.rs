//! Endpoints follow their aliases in the registry.

use std::path::Path;

use mainspring_catalog::{Catalog, Change, Expect};
use mainspring_features::{FeatureStore, FjallStore};
use mainspring_lake::{Lake, LakeConfig};
use mainspring_registry::{Alias, ModelVersion, Registry, TrainingSet, VersionStage};

use super::*;
use crate::{ErrorKind, Sources};

const PROJECT: [(&str, &str); 4] = [
    ("mainspring.yaml", "project: flights\n"),
    (
        "sources/flights.yaml",
        "source: flights\npath: data/flights.csv\nkey: [flight]\ncolumns:\n  - {name: flight, type: string}\n  \
         - {name: distance, type: float64}\n  - {name: delay, type: float64}\n",
    ),
    (
        "models/delay.yaml",
        "model: delay\ntask: regression\nobservations: {from: flights, label: delay}\nfeatures: [distance]\n\
         trainer: {constant: {}}\n",
    ),
    ("endpoints/delay.yaml", "endpoint: delay\nmodel: delay\n"),
];

struct World {
    folder: tempfile::TempDir,
    catalog: Catalog,
    sources: Sources,
    engine: Arc<ServeEngine>,
}

async fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in PROJECT {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/flights.csv"), "flight,distance,delay\n").unwrap();
    let project = Arc::new(spec::load(folder.path()).unwrap());
    let catalog = Catalog::open("sqlite::memory:").await.unwrap();
    let lake = Lake::open(LakeConfig {
        root: folder.path().join("lake").display().to_string(),
        memory_bytes: 64 << 20,
        spill_dir: folder.path().join("spill"),
        threads: 2,
    });
    let online = Arc::new(FjallStore::open(folder.path().join("online")).unwrap());
    let features = FeatureStore::open(lake.await.unwrap(), catalog.clone(), online, Arc::clone(&project));
    let registry = Registry::new(catalog.clone(), artifacts(folder.path()));
    let engine = engine(&Arc::default());
    World { folder, catalog, sources: Sources { project, registry, features }, engine }
}

fn artifacts(folder: &Path) -> std::path::PathBuf {
    folder.join("artifacts")
}

/// A model of the distance that answers its version's number.
fn constant(version: u64) -> ModelArtifact {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let mut model = linear(version as f64, 0.0, 0.0);
    model.inputs.truncate(1);
    let Body::Linear(linear) = &mut model.body else { unreachable!() };
    linear.weights[0].truncate(1);
    model
}

impl World {
    /// Registers a version and gives it the alias, as a promotion does.
    async fn promote(&self, version: u64, model: &ModelArtifact) {
        let artifact = self.sources.registry.artifacts().put_model("model.json", model).unwrap();
        let owner = Principal::local_owner();
        let document = ModelVersion {
            model: "delay".into(),
            version,
            run: Some("run".into()),
            task: Some(Task::Regression),
            artifact: Some(artifact),
            logged: None,
            training_set: Some(TrainingSet {
                table: "training.delay".into(),
                version: 0,
                train_rows: 1,
                validation_rows: 0,
                test_rows: 0,
                purged_rows: 0,
                test_from: None,
            }),
            tables: Default::default(),
            commit: None,
            fingerprint: String::new(),
            metrics: Default::default(),
            baseline: Default::default(),
            compared: None,
            gates: vec![],
            created_at: jiff::Timestamp::now(),
            created_by: owner.clone(),
            tags: Default::default(),
            notes: vec![],
            description: String::new(),
            stage: VersionStage::None,
            updated_at: None,
        };
        let alias =
            Alias { model: "delay".into(), alias: "champion".into(), version: Some(version), sequence: version };
        let change = Change::new(&owner, "model.promote", "model:delay");
        let change = change.put(&document, Expect::Any).unwrap().put(&alias, Expect::Any).unwrap();
        self.catalog.commit(change).await.unwrap();
    }

    async fn ask(&self) -> Result<Answer, Error> {
        ask(&*self.engine.endpoint("delay")?, r#"{"rows":[{"distance":100}]}"#).await
    }
}

#[tokio::test]
async fn an_endpoint_follows_its_alias_and_keeps_what_it_has_when_it_cannot() {
    let world = world().await;

    assert!(matches!(world.ask().await, Err(Error::UnknownEndpoint { .. })));
    let report = world.engine.refresh(&world.sources).await;
    assert!(report.failed.is_empty(), "{:?}", report.failed);
    assert_eq!(world.ask().await.err().unwrap().kind(), ErrorKind::Unavailable);
    assert!(!world.engine.is_ready());

    world.promote(1, &constant(1)).await;
    let report = world.engine.refresh(&world.sources).await;
    assert_eq!(report.switched, [("delay".to_owned(), Some(1))]);
    assert_eq!(values(&world.ask().await.unwrap()), [1.0]);
    assert!(world.engine.is_ready());
    assert!(world.engine.refresh(&world.sources).await.switched.is_empty());

    let mut unknown = constant(2);
    unknown.inputs[0].name = "rain".into();
    world.promote(2, &unknown).await;
    let report = world.engine.refresh(&world.sources).await;
    let (_, error) = &report.failed[0];
    assert!(error.to_string().contains("trained with the input `rain`"), "{error}");
    assert_eq!(values(&world.ask().await.unwrap()), [1.0]);

    world.promote(3, &constant(3)).await;
    std::fs::rename(artifacts(world.folder.path()), world.folder.path().join("away")).unwrap();
    assert_eq!(world.engine.refresh(&world.sources).await.failed.len(), 1);
    assert_eq!(values(&world.ask().await.unwrap()), [1.0]);
    std::fs::rename(world.folder.path().join("away"), artifacts(world.folder.path())).unwrap();
    assert_eq!(world.engine.refresh(&world.sources).await.switched, [("delay".to_owned(), Some(3))]);
    assert_eq!(world.ask().await.unwrap().version(), Some("3"));
}

#[tokio::test]
async fn an_endpoint_without_a_version_says_so_whatever_it_is_asked_and_leaves_the_others_ready() {
    let world = world().await;
    world.engine.refresh(&world.sources).await;
    let delay = world.engine.endpoint("delay").unwrap();

    let owner = Principal::local_owner();
    let asked = delay.answer(&owner, |_, _| Err(Error::Invalid("there is no such field".into()))).await;
    assert_eq!(asked.err().unwrap().kind(), ErrorKind::Unavailable);
    assert!(!world.engine.is_ready());

    let other = declared(|endpoint| endpoint.name = "other".into());
    world.engine.deploy(other, &linear(0.0, 1.0, 1.0), 1, plan(), here(windy)).await.unwrap();
    assert!(world.engine.is_ready());
}

#[tokio::test]
async fn another_project_changes_limits_at_once_and_takes_endpoints_away() {
    let world = world().await;
    world.promote(1, &constant(1)).await;
    world.engine.refresh(&world.sources).await;
    let mut project = (*world.sources.project).clone();
    project.endpoints.get_mut("delay").unwrap().limits.rows = 0;
    let tighter = Sources { project: Arc::new(project.clone()), ..world.sources.clone() };

    let report = world.engine.refresh(&tighter).await;

    assert!(report.switched.is_empty() && report.failed.is_empty(), "{report:?}");
    assert_eq!(world.ask().await.err().unwrap().kind(), ErrorKind::TooLarge);
    project.endpoints.clear();
    world.engine.refresh(&Sources { project: Arc::new(project), ..world.sources.clone() }).await;
    assert_eq!(world.ask().await.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn following_sees_a_promotion_by_itself_and_metrics_name_the_version() {
    let world = world().await;
    let mut metrics = prometheus_client::registry::Registry::with_prefix("mainspring");
    world.engine.register_metrics(&mut metrics);
    let sources = world.sources.clone();
    let following = world.engine.follow(Duration::from_millis(5), move || sources.clone());

    world.promote(4, &constant(4)).await;
    while world.ask().await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    following.abort();

    world.engine.sample_metrics();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    let version = r#"mainspring_endpoint_version{endpoint="delay",model="delay",version="4"} 1"#;
    assert!(text.contains(version), "{text}");
    assert!(text.contains(r#"mainspring_endpoint_seconds_count{endpoint="delay",stage="score"} 1"#), "{text}");
}
