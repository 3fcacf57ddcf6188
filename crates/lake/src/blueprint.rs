//! Tables without rows: SQL compiles over them as it would over the lake, before there is one.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider};
use datafusion::common::SchemaError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::{DataFrame, SessionContext};
use mainspring_spec::UnknownName;

use crate::functions::guarded;
use crate::lake::{CATALOG, session_config};
use crate::name::SCHEMAS;
use crate::read::only_queries;

/// The schemas in which a bare name is looked for, as in the lake.
const BARE: &str = "sources";

/// The shapes of tables, and the engine over them. Nothing is read or written.
pub struct Blueprint {
    session: SessionContext,
    catalog: Arc<MemoryCatalogProvider>,
}

impl Default for Blueprint {
    fn default() -> Self {
        let catalog = Arc::new(MemoryCatalogProvider::new());
        for schema in SCHEMAS {
            // a catalog in memory takes every schema
            let _none_before = catalog.register_schema(schema, Arc::new(MemorySchemaProvider::new()));
        }
        let engine = SessionStateBuilder::new().with_config(session_config(1)).with_default_features();
        let session = SessionContext::new_with_state(guarded(engine).build());
        session.register_catalog(CATALOG, catalog.clone());
        Self { session, catalog }
    }
}

impl Blueprint {
    /// Adds a table; its bare name means it unless a source is called so.
    ///
    /// # Errors
    /// When there is no such schema, or the table is there already.
    pub fn add(&self, schema: &str, name: &str, columns: &SchemaRef) -> Result<(), DataFusionError> {
        let provider = |schema: &str| -> Result<Arc<dyn SchemaProvider>, DataFusionError> {
            self.catalog
                .schema(schema)
                .ok_or_else(|| DataFusionError::Plan(format!("the lake has no schema `{schema}`")))
        };
        let table = Arc::new(EmptyTable::new(Arc::clone(columns)));
        provider(schema)?.register_table(name.to_owned(), table.clone())?;
        let bare = provider(BARE)?;
        if schema != BARE && !bare.table_exist(name) {
            bare.register_table(name.to_owned(), table)?;
        }
        Ok(())
    }

    /// Compiles a query.
    ///
    /// # Errors
    /// What the engine says of it; a statement that is no query is refused.
    pub async fn sql(&self, query: &str) -> Result<DataFrame, DataFusionError> {
        self.session.sql_with_options(query, only_queries()).await
    }

    /// A table, by its bare name or as `schema.table`.
    ///
    /// # Errors
    /// When there is none.
    pub async fn table(&self, name: &str) -> Result<DataFrame, DataFusionError> {
        self.session.table(name).await
    }

    /// The engine's state, to compile expressions with.
    #[must_use]
    pub fn state(&self) -> SessionState {
        self.session.state()
    }
}

/// The name that an error of the engine calls unknown, where it is about one.
#[must_use]
pub fn unknown_name(error: &DataFusionError) -> Option<Box<UnknownName>> {
    let DataFusionError::SchemaError(schema, _) = error.find_root() else { return None };
    let SchemaError::FieldNotFound { field, valid_fields } = schema.as_ref() else { return None };
    let known = valid_fields.iter().map(|column| column.name.clone()).collect();
    Some(Box::new(UnknownName { name: field.name.clone(), known }))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn columns(name: &str) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new(name, DataType::Int64, true)]))
    }

    #[tokio::test]
    async fn names_mean_what_they_mean_in_the_lake() {
        let blueprint = Blueprint::default();
        blueprint.add("sources", "flights", &columns("delay")).unwrap();
        blueprint.add("features", "weather", &columns("wind")).unwrap();
        blueprint.add("features", "flights", &columns("other")).unwrap();

        blueprint.sql("select delay + wind from flights, weather").await.unwrap();
        blueprint.sql("select other from features.flights").await.unwrap();
        let wrong = blueprint.sql("select dealy from sources.flights").await.unwrap_err();

        let unknown = unknown_name(&wrong).unwrap();
        assert_eq!((unknown.name.as_str(), unknown.known.as_slice()), ("dealy", &["delay".to_owned()][..]));
        assert!(blueprint.sql("create table t as select 1").await.is_err());
    }
}
