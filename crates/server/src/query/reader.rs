//! The tables that one query of one caller sees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, Session, TableProvider};
use datafusion::common::{SchemaError, Statistics};
use datafusion::datasource::TableType;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use jiff::Timestamp;
use mainspring_catalog::Principal;
use mainspring_govern::{Denied, PrivacyMarks, Resource};
use mainspring_lake::{At, Lake, SCHEMAS, TableName};
use parking_lot::Mutex;

use super::error::{Error, Result};
use super::information;
use super::platform::{self, Platform};
use crate::app::Layers;

/// The schemas in which a bare name is looked for, in this order.
const BARE: [&str; 2] = ["sources", "features"];

/// What one query of one caller may read, and what it has read.
pub(super) struct Reader {
    pub(super) principal: Principal,
    pub(super) lake: Lake,
    pub(super) layers: Arc<Layers>,
    pub(super) marks: Arc<PrivacyMarks>,
    pub(super) platform: Platform,
    /// The versions that the query sees; a table that is met first is pinned to its newest.
    pub(super) pins: Mutex<BTreeMap<TableName, u64>>,
    /// The columns that were left out, by table.
    pub(super) withheld: Mutex<BTreeMap<String, BTreeSet<String>>>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("principal", &self.principal).finish_non_exhaustive()
    }
}

impl Reader {
    fn check(&self, action: &str, kind: &str, name: &str) -> Result<(), Denied> {
        self.layers.authorizer.check(&self.principal, action, &Resource::new(kind, name))
    }

    /// Whether the caller may read a table of a schema, as the policy says.
    pub(super) fn may_read(&self, schema: &str, name: &str) -> Result<(), Denied> {
        self.check("table.read", "table", &format!("{schema}.{name}"))?;
        if schema != platform::SCHEMA {
            return Ok(());
        }
        // what the views show is shown elsewhere under these
        if name == platform::AUDIT {
            return self.check("audit.read", "audit", "log");
        }
        self.check("project.read", "project", &self.layers.project.file.project)
    }

    /// A table by its name in a statement: `flights`, or `flights@3` for its version 3, or
    /// `flights@2024-01-31T00:00:00Z` for what stood at a moment.
    pub(super) async fn find(&self, schema: &str, written: &str) -> Result<Arc<dyn TableProvider>> {
        let (name, at) = match written.split_once('@') {
            Some((name, at)) => (name, Some(at)),
            None => (written, None),
        };
        if schema == platform::SCHEMA {
            self.may_read(schema, name)?;
            let now_only = || mainspring_lake::Error::NoTable {
                table: format!("{schema}.{written}"),
                hint: "; views of the catalog show it as it is now".into(),
            };
            let view = if at.is_none() { self.platform.table(name) } else { None };
            return view.ok_or_else(|| Error::from(now_only()));
        }
        let table = self.name_of(schema, name).await?;
        self.may_read(table.schema(), table.name())?;
        let at = match at {
            Some(at) => moment(&table, at)?,
            None => At::Version(self.pinned(&table).await?),
        };
        let whole = self.lake.provider(&table, at).await?;
        self.without_personal(&table, whole)
    }

    async fn name_of(&self, schema: &str, name: &str) -> Result<TableName> {
        let first = TableName::new(schema, name)?;
        if schema == BARE[0] && !self.lake.exists(&first).await? {
            let next = TableName::new(BARE[1], name)?;
            if self.lake.exists(&next).await? {
                return Ok(next);
            }
        }
        Ok(first)
    }

    /// Whether a bare name is one of a table.
    async fn has(&self, name: &str) -> Result<bool> {
        let table = self.name_of(BARE[0], name).await?;
        Ok(self.lake.exists(&table).await?)
    }

    async fn pinned(&self, table: &TableName) -> Result<u64> {
        let pinned = self.pins.lock().get(table).copied();
        if let Some(version) = pinned {
            return Ok(version);
        }
        let Some(version) = self.lake.version(table).await? else {
            // the lake's own words, with the nearest name
            self.lake.schema(table, At::Latest).await?;
            return Err(Error::Broken(format!("table {table} appeared while it was looked for")));
        };
        self.pins.lock().insert(table.clone(), version);
        Ok(version)
    }

    /// The table without the columns that tell of persons, unless the caller may read those.
    fn without_personal(&self, table: &TableName, whole: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
        let name = table.to_string();
        let marked = self.marks.columns(&name);
        let schema = whole.schema();
        let is_marked = |column: &str| marked.covers(column);
        let withheld: BTreeSet<String> =
            schema.fields().iter().map(|field| field.name().clone()).filter(|column| is_marked(column)).collect();
        if withheld.is_empty() {
            return Ok(whole);
        }
        let Err(denied) = self.check("table.read_personal", "table", &name) else { return Ok(whole) };
        if marked.is_undeclared() {
            return Err(Error::Undeclared { table: name, denied: Box::new(denied) });
        }
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|at| !is_marked(schema.field(*at).name())).collect();
        if kept.is_empty() {
            return Err(denied.into());
        }
        self.withheld.lock().insert(name, withheld);
        let schema = schema.project(&kept).map_err(DataFusionError::from)?;
        Ok(Arc::new(Narrowed { whole, kept, schema: Arc::new(schema) }))
    }

    /// An error in which the engine misses a column that was left out, as what it is.
    pub(super) fn explained(&self, error: Error) -> Error {
        let Error::Engine(engine) = &error else { return error };
        let DataFusionError::SchemaError(missing, _) = engine.find_root() else { return error };
        let SchemaError::FieldNotFound { field, .. } = missing.as_ref() else { return error };
        for (table, columns) in self.withheld.lock().iter() {
            if let Some(column) = columns.iter().find(|column| column.eq_ignore_ascii_case(&field.name))
                && let Err(denied) = self.check("table.read_personal", "table", table)
            {
                return Error::Withheld { column: column.clone(), table: table.clone(), denied: Box::new(denied) };
            }
        }
        error
    }
}

/// Which state of a table `flights@…` asks for.
fn moment(table: &TableName, at: &str) -> Result<At> {
    if let Ok(version) = at.parse() {
        return Ok(At::Version(version));
    }
    at.parse::<Timestamp>().map(At::Time).map_err(|_| {
        Error::from(mainspring_lake::Error::NoTable {
            table: format!("{table}@{at}"),
            hint: format!(
                "; write \"{0}@3\" for version 3, or \"{0}@2024-01-31T00:00:00Z\" for a moment",
                table.name()
            ),
        })
    })
}

/// The reader as a catalog of the engine.
#[derive(Debug)]
pub(super) struct ReaderCatalog {
    reader: Arc<Reader>,
    /// Names that stand for functions where no table has them: `generate_series(1, 10)`.
    functions: Arc<BTreeSet<String>>,
}

impl ReaderCatalog {
    pub(super) fn new(reader: Arc<Reader>, functions: impl IntoIterator<Item = String>) -> Self {
        Self { reader, functions: Arc::new(functions.into_iter().collect()) }
    }
}

impl CatalogProvider for ReaderCatalog {
    fn schema_names(&self) -> Vec<String> {
        SCHEMAS.iter().copied().chain([platform::SCHEMA, information::SCHEMA]).map(ToOwned::to_owned).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let (reader, functions) = (self.reader.clone(), self.functions.clone());
        Some(Arc::new(ReaderSchema { reader, functions, schema: name.to_owned() }))
    }
}

#[derive(Debug)]
struct ReaderSchema {
    reader: Arc<Reader>,
    functions: Arc<BTreeSet<String>>,
    schema: String,
}

#[async_trait]
impl SchemaProvider for ReaderSchema {
    /// None: tables are found by name. What there is is listed by [`information`], and by the metadata of the protocol.
    fn table_names(&self) -> Vec<String> {
        vec![]
    }

    async fn table(&self, name: &str) -> datafusion::error::Result<Option<Arc<dyn TableProvider>>> {
        if self.schema == information::SCHEMA {
            return information::table(&self.reader, name);
        }
        if self.schema == BARE[0] && self.functions.contains(name) && !self.reader.has(name).await? {
            return Ok(None);
        }
        Ok(Some(self.reader.find(&self.schema, name).await?))
    }

    fn table_exist(&self, _: &str) -> bool {
        false
    }
}

/// Some columns of a table; the others cannot be named, filtered by or counted.
#[derive(Debug)]
struct Narrowed {
    whole: Arc<dyn TableProvider>,
    kept: Vec<usize>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for Narrowed {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn statistics(&self) -> Option<Statistics> {
        self.whole.statistics().map(|statistics| statistics.project(Some(&self.kept)))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::error::Result<Vec<TableProviderFilterPushDown>> {
        self.whole.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let of_whole = match projection {
            None => self.kept.clone(),
            Some(wanted) => wanted.iter().filter_map(|at| self.kept.get(*at).copied()).collect(),
        };
        self.whole.scan(session, Some(&of_whole), filters, limit).await
    }
}
