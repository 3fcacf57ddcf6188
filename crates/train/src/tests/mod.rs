//! Training end to end: a project folder, a lake, a catalog in memory.

mod errors;
mod flights;
mod leaks;
mod outcomes;
mod shapes;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mainspring_catalog::{Catalog, Principal};
use mainspring_features::{FeatureStore, FjallStore};
use mainspring_lake::{Lake, LakeConfig, NoProgress, TableName, WriteId, stream_of};
use mainspring_registry::Registry;

use crate::{Error, TrainContext, TrainOptions, TrainReport, train};

/// A project with one model `m` over one source `t`, and everything it needs.
pub(super) struct World {
    folder: tempfile::TempDir,
    pub(super) catalog: Catalog,
    pub(super) context: TrainContext,
    pub(super) owner: Principal,
}

impl World {
    /// `columns` and `model` are YAML: the source's columns, and the model's declaration without its name.
    pub(super) async fn new(columns: &str, model: &str) -> Self {
        Self::with_views(columns, model, "", 2).await
    }

    pub(super) async fn with_views(columns: &str, model: &str, views: &str, threads: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("mainspring.yaml", "project: p\n");
        write("sources/t.yaml", &format!("source: t\npath: data/*.csv\n{columns}"));
        write("models/m.yaml", &format!("model: m\n{model}"));
        for (number, view) in views.split("---").map(str::trim).filter(|view| !view.is_empty()).enumerate() {
            write(&format!("features/{number}.yaml"), view);
        }
        Self::of_folder(folder, threads).await
    }

    /// The project in a folder, with its state beside it.
    pub(super) async fn of_folder(folder: tempfile::TempDir, threads: usize) -> Self {
        let project = Arc::new(mainspring_spec::load(folder.path()).unwrap_or_else(|error| panic!("{error:?}")));
        let path = |name: &str| folder.path().join(".mainspring").join(name);
        let config = LakeConfig {
            root: path("lake").display().to_string(),
            memory_bytes: 256 << 20,
            spill_dir: path("spill"),
            threads,
        };
        let lake = Lake::open(config).await.unwrap();
        let catalog = Catalog::open("sqlite::memory:").await.unwrap();
        let registry = Registry::new(catalog.clone(), path("artifacts"));
        let online = Arc::new(FjallStore::open(path("online")).unwrap());
        let features = FeatureStore::open(lake.clone(), catalog.clone(), online, project.clone());
        let context = TrainContext { lake, features, registry, project };
        Self { folder, catalog, context, owner: Principal::local_owner() }
    }

    /// Puts rows into the source's table; each batch is a file.
    pub(super) async fn land(&self, schema: &SchemaRef, batches: Vec<RecordBatch>) {
        let table: TableName = "sources.t".parse().unwrap();
        for (sequence, batch) in (0..).zip(batches) {
            let id = WriteId { app: "test".into(), sequence };
            self.context.lake.append(&table, stream_of(schema.clone(), vec![batch]), id).await.unwrap();
        }
    }

    pub(super) async fn train(&self) -> Result<TrainReport, Error> {
        self.train_model("m").await
    }

    pub(super) async fn train_model(&self, model: &str) -> Result<TrainReport, Error> {
        train(&self.context, model, &TrainOptions::default(), &self.owner, &NoProgress).await
    }

    pub(super) async fn train_again(&self) -> Result<TrainReport, Error> {
        let options = TrainOptions { force: true, ..TrainOptions::default() };
        train(&self.context, "m", &options, &self.owner, &NoProgress).await
    }

    /// Reads the project anew after its model was declared otherwise.
    pub(super) fn declare(&mut self, model: &str) {
        std::fs::write(self.folder.path().join("models/m.yaml"), format!("model: m\n{model}")).unwrap();
        self.context.project = Arc::new(mainspring_spec::load(self.folder.path()).unwrap());
        self.context.features = self.context.features.with_project(self.context.project.clone());
    }
}

/// Numbers that look drawn and are always the same.
pub(super) fn noise(seed: u64, row: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(row.wrapping_mul(0xbf58_476d_1ce4_e5b9));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}
