//! The crate as its callers see it: a folder of files, a lake and a catalog.

mod checks;
mod crash;
mod files;
mod infer;
mod keys;
mod properties;
mod reread;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use mainspring_catalog::{Catalog, Principal};
use mainspring_lake::{Lake, LakeConfig, NoProgress};
use mainspring_spec::{Project, ProjectFile, Source};
use serde_json::Value;

use crate::{FileOutcome, IngestReport, Ingestor};

/// A project folder with a lake and a catalog in it.
pub(crate) struct House {
    pub folder: tempfile::TempDir,
    pub lake: Lake,
    pub catalog: Catalog,
}

pub(crate) async fn lake_in(folder: &Path) -> Lake {
    let config = LakeConfig {
        root: folder.join(".mainspring/lake").display().to_string(),
        memory_bytes: 256 << 20,
        spill_dir: folder.join(".mainspring/spill"),
        threads: 2,
    };
    Lake::open(config).await.unwrap()
}

pub(crate) fn project_in(folder: &Path, sources: Vec<Value>) -> Arc<Project> {
    let sources = sources.into_iter().map(|source| serde_json::from_value::<Source>(source).unwrap());
    let file = serde_json::from_value::<ProjectFile>(serde_json::json!({"project": "test"})).unwrap();
    Arc::new(Project {
        file,
        folder: folder.to_path_buf(),
        sources: sources.map(|source| (source.name.clone(), source)).collect(),
        entities: BTreeMap::new(),
        feature_views: BTreeMap::new(),
        feature_services: BTreeMap::new(),
        models: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        monitors: BTreeMap::new(),
        workflows: BTreeMap::new(),
        policies: BTreeMap::new(),
    })
}

impl House {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = lake_in(folder.path()).await;
        let url = format!("sqlite:{}", folder.path().join(".mainspring/catalog.db").display());
        Self { lake, catalog: Catalog::open(&url).await.unwrap(), folder }
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn ingestor(&self, sources: Vec<Value>) -> Ingestor {
        Ingestor::new(self.lake.clone(), self.catalog.clone(), project_in(self.folder.path(), sources))
    }

    pub async fn ingest(&self, source: &Value) -> IngestReport {
        let name = source["source"].as_str().unwrap();
        let report =
            self.ingestor(vec![source.clone()]).ingest(name, &Principal::local_owner(), &NoProgress).await.unwrap();
        assert_eq!(
            report.rows_read,
            report.rows_landed + report.rows_superseded + report.rows_quarantined + report.rows_dropped,
            "every row is accounted for"
        );
        report
    }

    /// The first column of a query's result, as integers.
    pub async fn integers(&self, query: &str) -> Vec<i64> {
        let batches = self.lake.sql(query).await.unwrap().collect().await.unwrap();
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    /// The first column of a query's result, as text.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let batches = self.lake.sql(query).await.unwrap().collect().await.unwrap();
        let column = |batch: &arrow::array::RecordBatch| -> Vec<String> {
            batch.column(0).as_string::<i32>().iter().map(|text| text.unwrap_or("null").to_owned()).collect()
        };
        batches.iter().flat_map(column).collect()
    }
}

/// A source `t` of `data/*` with columns `id int64` and `name string`, and what else is given.
pub(crate) fn source(more: Value) -> Value {
    let mut source = serde_json::json!({
        "source": "t",
        "path": "data/*",
        "columns": [{"name": "id", "type": "int64"}, {"name": "name", "type": "string"}],
    });
    for (key, value) in more.as_object().unwrap() {
        source[key] = value.clone();
    }
    source
}

/// Why the only file was refused.
pub(crate) fn refusal(report: &IngestReport) -> &str {
    match &report.files[..] {
        [file] => match &file.outcome {
            FileOutcome::Refused { reason } => reason,
            other => panic!("not refused but {other:?}"),
        },
        files => panic!("{} files", files.len()),
    }
}
