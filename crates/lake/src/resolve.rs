//! How names in queries become tables: lazily, only those that a query names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::Result;
use parking_lot::Mutex;

use crate::error::Error;
use crate::lake::Lake;
use crate::name::{SCHEMAS, TableName};
use crate::read::At;

/// The schema that bare names mean, and the one that they are looked for in next.
const BARE: [&str; 2] = ["sources", "features"];

/// Which versions a session sees.
#[derive(Debug, Clone)]
pub(crate) struct Versions {
    pins: Arc<Mutex<BTreeMap<TableName, u64>>>,
    /// A version that was looked up stays for the session.
    is_fixed: bool,
}

impl Versions {
    /// The newest at each look.
    pub(crate) fn newest() -> Self {
        Self::pinned(BTreeMap::new())
    }

    /// Those pinned, else the newest at each look.
    pub(crate) fn pinned(pins: BTreeMap<TableName, u64>) -> Self {
        Self { pins: Arc::new(Mutex::new(pins)), is_fixed: false }
    }

    /// Those pinned, else the newest at the first look, which then stays: one query sees one version of each table.
    pub(crate) fn fixed(pins: BTreeMap<TableName, u64>) -> Self {
        Self { is_fixed: true, ..Self::pinned(pins) }
    }

    /// The versions known so far.
    pub(crate) fn known(&self) -> BTreeMap<TableName, u64> {
        self.pins.lock().clone()
    }
}

/// Tables that a session brings itself, beside those of the lake.
type Own = Arc<Mutex<HashMap<(String, String), Arc<dyn TableProvider>>>>;

/// The lake as a DataFusion catalog.
#[derive(Debug)]
pub(crate) struct LakeCatalog {
    lake: Lake,
    versions: Versions,
    own: Own,
}

impl LakeCatalog {
    pub(crate) fn new(lake: Lake, versions: Versions) -> Self {
        Self { lake, versions, own: Own::default() }
    }
}

impl CatalogProvider for LakeCatalog {
    fn schema_names(&self) -> Vec<String> {
        SCHEMAS.iter().map(ToString::to_string).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        Some(Arc::new(LakeSchema {
            lake: self.lake.clone(),
            versions: self.versions.clone(),
            own: self.own.clone(),
            schema: name.to_owned(),
        }))
    }
}

/// One schema of the lake.
#[derive(Debug)]
struct LakeSchema {
    lake: Lake,
    versions: Versions,
    own: Own,
    schema: String,
}

impl LakeSchema {
    fn own_key(&self, name: &str) -> (String, String) {
        (self.schema.clone(), name.to_owned())
    }

    async fn find(&self, schema: &str, name: &str) -> Result<Option<Arc<dyn TableProvider>>, Error> {
        let Ok(table) = TableName::new(schema, name) else { return Ok(None) };
        let pinned = self.versions.pins.lock().get(&table).copied();
        let state = match pinned {
            Some(version) => self.lake.state(&table, At::Version(version)).await?,
            None => match self.lake.newest(&table).await? {
                Some(state) => state,
                None => return Ok(None),
            },
        };
        if self.versions.is_fixed {
            self.versions.pins.lock().insert(table, state.version());
        }
        self.lake.provider_of(&state).await.map(Some)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    /// Those that the session brings: the lake's are found by name, not listed.
    fn table_names(&self) -> Vec<String> {
        let own = self.own.lock();
        own.keys().filter(|(schema, _)| *schema == self.schema).map(|(_, name)| name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let own = self.own.lock().get(&self.own_key(name)).cloned();
        if own.is_some() {
            return Ok(own);
        }
        let is_bare = self.schema == BARE[0];
        let schemas: &[&str] = if is_bare { &BARE } else { &[&self.schema] };
        for schema in schemas {
            if let Some(found) = self.find(schema, name).await? {
                return Ok(Some(found));
            }
        }
        let wanted = if is_bare { name.to_owned() } else { format!("{}.{name}", self.schema) };
        Err(self.lake.no_table(&wanted).await.into())
    }

    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.own.lock().insert((self.schema.clone(), name), table))
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(self.own.lock().remove(&self.own_key(name)))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.own.lock().contains_key(&self.own_key(name))
    }
}
