//! A small project whose predictions, training set and labels are written straight into the lake.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use jiff::{Span, Timestamp};
use mainspring_catalog::{Catalog, Change, Expect, Principal};
use mainspring_kernel::{Body, Encoding, Input, LinearModel, Link, ModelArtifact, Scorer, Value};
use mainspring_lake::{Lake, LakeConfig, TableName, WriteId, stream_of};
use mainspring_registry::{ModelVersion, Registry, TrainingSet, VersionStage};
use mainspring_spec::{DataType, Project, Task};
use mainspring_watch::Watch;

const FILES: [(&str, &str); 8] = [
    ("mainspring.yaml", "project: trips\n"),
    (
        "sources/trips.yaml",
        "source: trips\npath: trips.csv\nkey: [trip]\nevent_time: leaves\ncolumns:\n\
         - {name: trip, type: int64}\n- {name: leaves, type: timestamp}\n- {name: arrives, type: timestamp}\n\
         - {name: wind, type: float64}\n- {name: carrier, type: string}\n- {name: minutes, type: float64}\n",
    ),
    (
        "models/late.yaml",
        "model: late\ntask: binary\nobservations:\n  from: trips\n  at: leaves\n  label: minutes > 15\n  label_known_at: arrives\nfeatures: [wind, carrier]\ntrainer: {constant: {}}\n",
    ),
    (
        "models/minutes.yaml",
        "model: minutes\ntask: regression\nobservations:\n  from: trips\n  at: leaves\n  label: minutes\nfeatures: [wind]\ntrainer: {constant: {}}\n",
    ),
    (
        "models/grade.yaml",
        "model: grade\ntask: multiclass\nobservations:\n  from: trips\n  at: leaves\n  label: CASE WHEN minutes > 30 THEN 'bad' WHEN minutes > 15 THEN 'poor' ELSE 'good' END\nfeatures: [wind]\ntrainer: {constant: {}}\n",
    ),
    (
        "endpoints/all.yaml",
        "endpoint: late\nmodel: late\n---\nendpoint: minutes\nmodel: minutes\n---\nendpoint: grade\nmodel: grade\n",
    ),
    (
        "monitors/late.yaml",
        "monitor: late\nendpoint: late\nwindow: month\nmin_rows: 50\ndrift: {psi: 0.2}\nperformance:\n- {metric: auc, min: 0.6}\n",
    ),
    (
        "monitors/others.yaml",
        "monitor: minutes\nendpoint: minutes\nmin_rows: 1\n---\nmonitor: grade\nendpoint: grade\nmin_rows: 1\n",
    ),
];

/// A trip: what was known when it left, and what came of it.
#[derive(Debug, Clone)]
pub struct Trip {
    pub id: i64,
    pub leaves: Timestamp,
    pub arrives: Timestamp,
    pub wind: Option<f64>,
    pub carrier: &'static str,
    pub minutes: f64,
}

/// Trips spread evenly from a moment on, one each `gap_minutes`; the wind is about `wind`, and delays follow it.
pub fn trips(first_id: i64, from: &str, count: i64, gap_minutes: i64, wind: f64) -> Vec<Trip> {
    let from: Timestamp = from.parse().unwrap();
    (0..count)
        .map(|i| {
            let noise = |salt: u64| {
                // The last step of SplitMix64: numbers that have nothing to do with each other.
                let mut z = (i + first_id) as u64 * 31 + salt;
                z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                ((z ^ (z >> 27)) >> 11) as f64 / (1u64 << 53) as f64
            };
            let wind = wind + 6.0 * noise(1);
            Trip {
                id: first_id + i,
                leaves: from + Span::new().minutes(i * gap_minutes),
                arrives: from + Span::new().minutes(i * gap_minutes + 600),
                wind: (noise(2) > 0.02).then_some(wind),
                carrier: if noise(3) < 0.6 { "AA" } else { "UA" },
                minutes: (3.0 * (wind - 8.0) + 25.0 * noise(4) + 3.0).round(),
            }
        })
        .collect()
}

/// A project with nothing in its tables yet.
pub struct World {
    pub lake: Lake,
    pub catalog: Catalog,
    pub registry: Registry,
    pub watch: Watch,
    writes: std::cell::Cell<i64>,
    _folder: tempfile::TempDir,
}

pub fn principal() -> Principal {
    Principal::local_owner()
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("project");
        for (path, text) in FILES {
            for (part, text) in text.split("---\n").enumerate() {
                let path = project
                    .join(path.replace(".yaml", &if part == 0 { ".yaml".into() } else { format!("_{part}.yaml") }));
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        }
        let project: Project = mainspring_spec::load(&project).unwrap_or_else(|error| panic!("{error:?}"));
        let config = LakeConfig {
            root: folder.path().join("lake").display().to_string(),
            memory_bytes: 128 << 20,
            spill_dir: folder.path().join("spill"),
            threads: 2,
        };
        let lake = Lake::open(config).await.unwrap();
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();
        let registry = Registry::new(catalog.clone(), folder.path().join("artifacts"));
        let watch = Watch::new(lake.clone(), catalog.clone(), registry.clone(), Arc::new(project));
        Self { lake, catalog, registry, watch, writes: 0.into(), _folder: folder }
    }

    async fn append(&self, table: &str, columns: Vec<(&str, ArrayRef)>) -> u64 {
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
        self.writes.set(self.writes.get() + 1);
        let id = WriteId { app: "test".into(), sequence: self.writes.get() };
        let table: TableName = table.parse().unwrap();
        self.lake.append(&table, stream_of(batch.schema(), vec![batch]), id).await.unwrap().version
    }

    /// Writes what came of trips into the source's table.
    pub async fn land(&self, trips: &[Trip]) {
        self.append(
            "sources.trips",
            vec![
                ("trip", Arc::new(Int64Array::from_iter_values(trips.iter().map(|trip| trip.id)))),
                ("leaves", moments(trips.iter().map(|trip| trip.leaves))),
                ("arrives", moments(trips.iter().map(|trip| trip.arrives))),
                ("minutes", Arc::new(Float64Array::from_iter_values(trips.iter().map(|trip| trip.minutes)))),
            ],
        )
        .await;
    }

    /// Writes a training set of which every fifth row is held out, and registers a version trained on it.
    pub async fn register(&self, model: &str, task: Task, number: u64, trips: &[Trip]) -> ModelVersion {
        let split = |i: usize| match i % 5 {
            4 => "test",
            3 => "validation",
            _ => "train",
        };
        let table = format!("training.{model}");
        let version = self
            .append(
                &table,
                vec![
                    ("wind", Arc::new(Float64Array::from_iter(trips.iter().map(|trip| trip.wind)))),
                    ("carrier", Arc::new(StringArray::from_iter_values(trips.iter().map(|trip| trip.carrier)))),
                    ("__split", Arc::new(StringArray::from_iter_values((0..trips.len()).map(split)))),
                ],
            )
            .await;
        let rows_of = |part: &str| (0..trips.len()).filter(|i| split(*i) == part).count() as u64;
        let artifact = self.registry.artifacts().put_model("model.json", &artifact(task)).unwrap();
        let version = ModelVersion {
            model: model.into(),
            version: number,
            run: Some("run".into()),
            task: Some(task),
            artifact: Some(artifact),
            logged: None,
            training_set: Some(TrainingSet {
                table,
                version,
                train_rows: rows_of("train"),
                validation_rows: rows_of("validation"),
                test_rows: rows_of("test"),
                purged_rows: 0,
                test_from: None,
            }),
            tables: BTreeMap::new(),
            commit: None,
            fingerprint: String::new(),
            metrics: BTreeMap::new(),
            baseline: BTreeMap::new(),
            compared: None,
            gates: vec![],
            created_at: Timestamp::now(),
            created_by: principal(),
            tags: BTreeMap::new(),
            notes: vec![],
            description: String::new(),
            stage: VersionStage::None,
            updated_at: None,
        };
        let change = Change::new(&principal(), "model.register", version.node());
        self.catalog.commit(change.put(&version, Expect::Any).unwrap()).await.unwrap();
        version
    }

    /// Predicts trips with the model and logs it, as an endpoint does. Version 0 is the constant that stands in for it.
    pub async fn serve(&self, model: &str, task: Task, version: i64, trips: &[Trip]) {
        let artifact = artifact(task);
        let answers: Vec<Vec<f64>> = trips.iter().map(|trip| score(&artifact, trip)).collect();
        let class =
            |scores: &Vec<f64>| artifact.classes.get(best(scores)).filter(|_| task == Task::Multiclass).cloned();
        let probabilities = |scores: &Vec<f64>| {
            let by_class = artifact.classes.iter().cloned().zip(scores.iter().copied()).collect::<BTreeMap<_, _>>();
            (task == Task::Multiclass).then(|| serde_json::to_string(&by_class).unwrap())
        };
        let rows = trips.len();
        let text = |value: &str| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
        self.append(
            &format!("predictions.{model}"),
            vec![
                (
                    "prediction_id",
                    Arc::new(StringArray::from_iter_values(trips.iter().map(|trip| prediction_id(version, trip)))),
                ),
                ("predicted_at", moments(trips.iter().map(|trip| trip.leaves))),
                ("as_of", moments(trips.iter().map(|trip| trip.leaves))),
                ("endpoint", text(model)),
                ("model", if version == 0 { Arc::new(StringArray::new_null(rows)) } else { text(model) }),
                ("model_version", Arc::new(Int64Array::from(vec![(version != 0).then_some(version); rows]))),
                ("caller", text("user:local")),
                ("latency_us", Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|i| 100 + i % 10)))),
                ("degraded", Arc::new(BooleanArray::from_iter(trips.iter().map(|trip| Some(trip.wind.is_none()))))),
                (
                    "prediction",
                    Arc::new(Float64Array::from_iter_values(answers.iter().map(|scores| scores[best(scores)]))),
                ),
                ("predicted_class", Arc::new(StringArray::from_iter(answers.iter().map(class)))),
                ("probabilities", Arc::new(StringArray::from_iter(answers.iter().map(probabilities)))),
                ("trip", Arc::new(Int64Array::from_iter_values(trips.iter().map(|trip| trip.id)))),
                ("wind", Arc::new(Float64Array::from_iter(trips.iter().map(|trip| trip.wind)))),
                ("carrier", Arc::new(StringArray::from_iter_values(trips.iter().map(|trip| trip.carrier)))),
            ],
        )
        .await;
    }
}

pub fn prediction_id(version: i64, trip: &Trip) -> String {
    format!("v{version}-trip-{}", trip.id)
}

fn moments(at: impl Iterator<Item = Timestamp>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(at.map(Timestamp::as_microsecond)).with_timezone("UTC"))
}

fn best(scores: &[f64]) -> usize {
    (0..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best })
}

/// A model that has learned that wind makes trips late.
pub fn artifact(task: Task) -> ModelArtifact {
    let wind = Encoding::Standard { mean: 8.0, deviation: 2.0, fill: 8.0 };
    let (weights, bias, link, classes) = match task {
        Task::Binary => (vec![vec![0.8]], vec![-0.2], Link::Logistic, vec![]),
        Task::Regression => (vec![vec![2.0]], vec![18.0], Link::Identity, vec![]),
        Task::Multiclass => {
            let classes = ["bad", "good", "poor"].map(str::to_owned).to_vec();
            (vec![vec![0.9], vec![-0.9], vec![0.1]], vec![-0.5, 0.4, 0.0], Link::Softmax, classes)
        }
    };
    ModelArtifact {
        format: 1,
        task,
        classes,
        inputs: vec![Input { name: "wind".into(), data_type: DataType::Float64, encoding: wind }],
        body: Body::Linear(LinearModel { weights, bias }),
        link,
    }
}

/// What the model says of a trip.
pub fn score(artifact: &ModelArtifact, trip: &Trip) -> Vec<f64> {
    let scorer = Scorer::compile(artifact).unwrap();
    let mut row = vec![0.0; scorer.encoder().columns()];
    scorer.encoder().encode_row([trip.wind.map_or(Value::Null, Value::Float)], &mut row);
    let mut out = vec![0.0; scorer.outputs()];
    scorer.score_row(&row, &mut out).unwrap();
    out
}
