//! What there is to query, for clients that draw a tree of it.

use arrow::datatypes::SchemaRef;
use mainspring_catalog::Principal;
use mainspring_lake::SCHEMAS;

use super::engine::Queries;
use super::error::Result;
use super::platform;
use super::reader::Reader;
use super::result::plain_schema;

/// The one catalog, by the name that clients show.
pub const CATALOG: &str = "mainspring";
/// The most tables that are listed.
const LISTED_MAX: usize = 10_000;

/// What kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// A table of the lake.
    Table,
    /// A view of the catalog.
    View,
}

impl TableKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Table, Self::View];

    /// The kind as clients call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "TABLE",
            Self::View => "VIEW",
        }
    }
}

/// A table that the caller may read.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What kind it is.
    pub kind: TableKind,
}

/// The schemas, in the order in which data flows through them.
pub fn schemas() -> impl Iterator<Item = &'static str> {
    SCHEMAS.into_iter().chain([platform::SCHEMA])
}

impl Reader {
    /// The tables that the caller may read, by name.
    pub(super) async fn tables(&self) -> Result<Vec<Listed>> {
        let of_lake = self.lake.tables().await?.into_iter().map(|table| Listed {
            schema: table.schema().to_owned(),
            name: table.name().to_owned(),
            kind: TableKind::Table,
        });
        let views = platform::names().map(|name| Listed {
            schema: platform::SCHEMA.to_owned(),
            name: name.to_owned(),
            kind: TableKind::View,
        });
        let readable = of_lake.chain(views).filter(|table| self.may_read(&table.schema, &table.name).is_ok());
        Ok(readable.take(LISTED_MAX).collect())
    }

    /// The columns of a table as the caller sees them.
    pub(super) async fn columns(&self, table: &Listed) -> Result<SchemaRef> {
        let found = self.find(&table.schema, &table.name).await?;
        Ok(plain_schema(&found.schema()))
    }
}

impl Queries {
    /// The tables that a caller may read, by name.
    ///
    /// # Errors
    /// When the lake fails.
    pub async fn tables(&self, principal: &Principal) -> Result<Vec<Listed>> {
        self.reader(principal, [].into()).tables().await
    }

    /// The columns of a table as a caller sees them.
    ///
    /// # Errors
    /// When there is no such table, or the caller may not read it.
    pub async fn columns(&self, principal: &Principal, table: &Listed) -> Result<SchemaRef> {
        self.reader(principal, [].into()).columns(table).await
    }

    /// The columns that tell the rows of a table apart, where that is declared.
    #[must_use]
    pub fn key(&self, table: &Listed) -> Vec<String> {
        match table.kind {
            TableKind::View => platform::key(&table.name).iter().map(ToString::to_string).collect(),
            TableKind::Table if table.schema == "sources" => {
                let layers = self.app().layers();
                layers.project.sources.get(&table.name).map(|source| source.key.clone()).unwrap_or_default()
            }
            TableKind::Table => vec![],
        }
    }
}
