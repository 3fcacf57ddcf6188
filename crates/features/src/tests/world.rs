//! The whole store over a small project: a lake, a catalog, an online store, and what a user declares.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use jiff::Timestamp;
use mainspring_catalog::{Catalog, Principal};
use mainspring_lake::{Lake, LakeConfig};
use mainspring_spec::{InputRef, Project, ViewKind};

use crate::{FeatureStore, FjallStore, OnlineOptions, Value};

/// A minute in microseconds.
pub(super) const MINUTE: i64 = 60_000_000;
/// An hour in microseconds.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// 2013-07-01.
pub(super) const START: i64 = 1_372_636_800_000_000;

/// The paths and texts of a project's files.
pub(super) type Files<'a> = &'a [(&'a str, &'a str)];

pub(super) struct World {
    _folder: Option<tempfile::TempDir>,
    pub(super) lake: Lake,
    pub(super) features: FeatureStore,
    pub(super) online: Arc<FjallStore>,
}

impl World {
    pub(super) async fn new(files: Files<'_>, options: OnlineOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Self::open(folder.path(), files, options).await;
        Self { _folder: Some(folder), ..world }
    }

    /// Opens a world in a folder, as a process does that begins.
    pub(super) async fn open(folder: &Path, files: Files<'_>, options: OnlineOptions) -> Self {
        let project = Arc::new(project(folder, files));
        let config = LakeConfig {
            root: folder.join("lake").to_str().unwrap().into(),
            memory_bytes: 256 << 20,
            spill_dir: folder.join("spill"),
            threads: 2,
        };
        let lake = Lake::open(config).await.unwrap();
        let catalog = Catalog::open(&format!("sqlite:{}", folder.join("catalog.db").display())).await.unwrap();
        let online = Arc::new(FjallStore::open(folder.join("online")).unwrap());
        let features = FeatureStore::open_with(lake.clone(), catalog, online.clone(), project, options);
        Self { _folder: None, lake, features, online }
    }

    /// The same world with another feature store over it.
    pub(super) fn with_features(self, features: FeatureStore) -> Self {
        Self { features, ..self }
    }

    /// The feature store when another project is applied.
    pub(super) fn with_project(&self, files: Files<'_>) -> FeatureStore {
        let folder = tempfile::tempdir().unwrap();
        self.features.with_project(Arc::new(project(folder.path(), files)))
    }

    fn stored_views(&self) -> impl Iterator<Item = &str> {
        let views = self.features.project().feature_views.values();
        views.filter(|view| view.kind() != ViewKind::Request).map(|view| view.name.as_str())
    }

    pub(super) async fn backfill(&self) {
        self.features.land_all_pushed().await.unwrap();
        for view in self.stored_views() {
            self.features.backfill(view, &Principal::local_owner()).await.unwrap();
        }
    }

    pub(super) async fn materialize(&self, until: Option<i64>) {
        for view in self.stored_views() {
            let until = until.map(|until| Timestamp::from_microsecond(until).unwrap());
            self.features.materialize_online(view, until).await.unwrap();
        }
    }

    /// What training would be given for observations at the moments in their column `at`.
    pub(super) async fn joined(&self, observations: RecordBatch, inputs: &[InputRef]) -> Vec<Vec<Value>> {
        let observations = self.lake.session().read_batch(observations).unwrap();
        let pins = BTreeMap::new();
        let joined = self.features.point_in_time_ordered(observations, Some("at"), inputs, &pins).await.unwrap();
        let mut found = vec![];
        for batch in joined.collect().await.unwrap() {
            for row in 0..batch.num_rows() {
                let column = |input: &InputRef| Value::from_array(batch.column_by_name(input.name()).unwrap(), row);
                found.push(inputs.iter().map(column).collect());
            }
        }
        found
    }
}

/// Writes a project's files, and loads it.
fn project(folder: &Path, files: Files<'_>) -> Project {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    mainspring_spec::load(folder).unwrap_or_else(|wrong| panic!("{wrong:?}"))
}

pub(super) fn micros(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(future)
}
