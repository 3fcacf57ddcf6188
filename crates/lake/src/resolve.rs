//! How names in queries become tables: lazily, only those that a query names.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::{DataFusionError, Result};

use crate::error::Error;
use crate::lake::Lake;
use crate::name::{SCHEMAS, TableName};
use crate::read::At;

/// The lake as a DataFusion catalog.
#[derive(Debug)]
pub(crate) struct LakeCatalog {
    lake: Lake,
    pins: Arc<BTreeMap<TableName, u64>>,
}

impl LakeCatalog {
    pub(crate) fn new(lake: Lake, pins: BTreeMap<TableName, u64>) -> Self {
        Self { lake, pins: Arc::new(pins) }
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        SCHEMAS.iter().map(ToString::to_string).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let schema = LakeSchema { lake: self.lake.clone(), pins: self.pins.clone(), schema: name.to_owned() };
        TableName::new(name, "t").is_ok().then(|| Arc::new(schema) as _)
    }
}

/// One schema of the lake.
#[derive(Debug)]
struct LakeSchema {
    lake: Lake,
    pins: Arc<BTreeMap<TableName, u64>>,
    schema: String,
}

impl LakeSchema {
    async fn find(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>, Error> {
        let Ok(table) = TableName::new(schema, name) else { return Ok(None) };
        if !self.lake.exists(&table).await? {
            return Ok(None);
        }
        let at = self.pins.get(&table).map_or(At::Latest, |version| At::Version(*version));
        self.lake.provider(&table, at).await.map(Some)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn table_names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.lake.folder().join(&self.schema)) else { return vec![] };
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let outside = |error: Error| DataFusionError::External(Box::new(error));
        if let Some(found) = self.find(&self.schema, name).await.map_err(outside)? {
            return Ok(Some(found));
        }
        // a bare name is looked for in `sources`, then in `features`
        if self.schema == "sources"
            && let Some(found) = self.find("features", name).await.map_err(outside)?
        {
            return Ok(Some(found));
        }
        match TableName::new(self.schema.clone(), name) {
            Ok(table) => Err(outside(
                self.lake.require(&table).await.err().unwrap_or(Error::NoTable { table, hint: String::new() }),
            )),
            Err(error) => Err(outside(error)),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
