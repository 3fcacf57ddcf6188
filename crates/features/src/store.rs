//! The feature store: one object over the lake, the catalog and the online store.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::prelude::DataFrame;
use mainspring_catalog::{Catalog, Principal};
use mainspring_lake::{Lake, TableName};
use mainspring_spec::{FeatureView, Field, InputRef, Project, Span, ViewKind};

use crate::base::{base, inputs_of, table_of};
use crate::error::{Error, Result};
use crate::online::{OnlineReader, OnlineState, OnlineStore, OnlineViews};
use crate::plan::{FeaturePlan, stored_views};
use crate::push::LiveViews;
use crate::schema::{ViewSchema, find_view, fingerprint};

/// Bounds of the online side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnlineOptions {
    /// How far before the newest row requests may still ask and get exact answers. Rows are kept that much longer than
    /// the longest window.
    pub slack: Span,
    /// The most memory for tails of entities, in bytes. Beyond it those not asked for lately are read from the store.
    pub cache_bytes: u64,
}

impl Default for OnlineOptions {
    fn default() -> Self {
        Self { slack: Span::from_micros(2 * 86_400_000_000), cache_bytes: 64 << 20 }
    }
}

/// Computes, stores and serves the features of a project. Cheap to clone.
#[derive(Clone)]
pub struct FeatureStore {
    pub(crate) lake: Lake,
    pub(crate) catalog: Catalog,
    pub(crate) project: Arc<Project>,
    pub(crate) online: Arc<OnlineViews>,
    pub(crate) options: OnlineOptions,
    pub(crate) live: Arc<LiveViews>,
}

impl FeatureStore {
    /// Opens the feature store of a project.
    #[must_use]
    pub fn open(lake: Lake, catalog: Catalog, store: Arc<dyn OnlineStore>, project: Arc<Project>) -> Self {
        Self::open_with(lake, catalog, store, project, OnlineOptions::default())
    }

    /// Opens the feature store of a project with other bounds.
    #[must_use]
    pub fn open_with(
        lake: Lake,
        catalog: Catalog,
        store: Arc<dyn OnlineStore>,
        project: Arc<Project>,
        options: OnlineOptions,
    ) -> Self {
        let online = Arc::new(OnlineViews::new(store, options.cache_bytes));
        let live = Arc::new(LiveViews::new(&project));
        Self { lake, catalog, project, online, options, live }
    }

    /// Opens the feature store of a project without its online store, which one process at a time may hold.
    #[must_use]
    pub fn offline(lake: Lake, catalog: Catalog, project: Arc<Project>) -> Self {
        Self::open(lake, catalog, Arc::new(crate::online::NoStore::default()), project)
    }

    /// The same store for the project as it is declared now.
    #[must_use]
    pub fn with_project(&self, project: Arc<Project>) -> Self {
        Self { live: Arc::new(LiveViews::new(&project)), project, ..self.clone() }
    }

    /// The project.
    #[must_use]
    pub fn project(&self) -> &Arc<Project> {
        &self.project
    }

    /// The tails in memory and the state of each view, for metrics.
    #[must_use]
    pub fn online(&self) -> &OnlineViews {
        &self.online
    }

    /// The compiled shape of a SQL or windowed view: as recorded when it was computed, or else as the engine tells now.
    ///
    /// # Errors
    /// When there is no such view, or its tables do not exist yet.
    pub async fn view_schema(&self, view: &str) -> Result<ViewSchema> {
        let declared = self.stored_view(view, "a table")?;
        if let Some(stored) = self.catalog.get::<ViewSchema>(view).await?
            && stored.document.fingerprint == fingerprint(&self.project, declared)
        {
            // Which features there are, and over which windows, is not part of what rows depend on.
            let features = crate::schema::feature_fields(declared, &stored.document.payload)?;
            return Ok(ViewSchema { features, ..stored.document });
        }
        match base(&self.lake, &self.project, declared, &BTreeMap::new()).await {
            Ok(base) => Ok(base.schema),
            // Before the tables are there, the declared columns of sources tell the same.
            Err(error) => self.schema_of_declared(declared).await?.ok_or(error),
        }
    }

    /// The features of any view with their types.
    ///
    /// # Errors
    /// When there is no such view, or the tables below it do not exist yet.
    pub async fn features(&self, view: &str) -> Result<Vec<Field>> {
        let declared = find_view(&self.project, view)?;
        if declared.kind() != ViewKind::Request {
            return Ok(self.view_schema(view).await?.features);
        }
        let inputs: Vec<InputRef> = declared
            .feature_names()
            .into_iter()
            .map(|feature| InputRef::Feature { view: view.to_owned(), feature })
            .collect();
        let plan = self.plan(&inputs).await?;
        Ok(plan.outputs.into_iter().map(|output| output.field).collect())
    }

    /// Compiles what some inputs need.
    ///
    /// # Errors
    /// When a name means nothing, an expression does not compile, or the tables below do not exist yet.
    pub async fn plan(&self, inputs: &[InputRef]) -> Result<FeaturePlan> {
        let mut schemas = BTreeMap::new();
        for view in stored_views(&self.project, inputs)? {
            schemas.insert(view.clone(), self.view_schema(&view).await?);
        }
        FeaturePlan::compile(&self.project, &schemas, &self.lake.session().state(), inputs)
    }

    /// Compiles a reader of some inputs for requests.
    ///
    /// # Errors
    /// As [`Self::plan`], and when a view is not kept online.
    pub async fn online_reader(&self, inputs: &[InputRef]) -> Result<OnlineReader> {
        OnlineReader::new(self.plan(inputs).await?, &self.online)
    }

    /// The newest versions of the tables from which some inputs are computed, to pin them.
    ///
    /// # Errors
    /// When a view has not been computed yet.
    pub async fn current_pins(&self, inputs: &[InputRef]) -> Result<BTreeMap<TableName, u64>> {
        let mut pins = BTreeMap::new();
        for view in stored_views(&self.project, inputs)? {
            let table = table_of(&view)?;
            let version = self.lake.version(&table).await?.ok_or(Error::NotComputed { view })?;
            pins.insert(table, version);
        }
        Ok(pins)
    }

    /// Adds a column for each input to observations: its value as it was known at the moment in the column `at`, or, without
    /// one, the latest that is known. Rows out are rows in, in any order. Tables not in `pins` are read at their newest
    /// version.
    ///
    /// # Errors
    /// When the observations lack a column, or a view has not been computed yet.
    pub async fn point_in_time(
        &self,
        observations: DataFrame,
        at: Option<&str>,
        inputs: &[InputRef],
        pins: &BTreeMap<TableName, u64>,
    ) -> Result<DataFrame> {
        let plan = self.plan(inputs).await?;
        crate::table::join(&self.lake, observations, at, plan, pins).await
    }

    /// As [`Self::point_in_time`], with the rows in the observations' order. Costs a sort.
    ///
    /// # Errors
    /// As [`Self::point_in_time`].
    pub async fn point_in_time_ordered(
        &self,
        observations: DataFrame,
        at: Option<&str>,
        inputs: &[InputRef],
        pins: &BTreeMap<TableName, u64>,
    ) -> Result<DataFrame> {
        const ORDER: &str = "mainspring_observation";
        let number = datafusion::functions_window::expr_fn::row_number().alias(ORDER);
        let joined = self.point_in_time(observations.window(vec![number])?, at, inputs, pins).await?;
        let order = datafusion::logical_expr::ident(ORDER).sort(true, false);
        Ok(joined.sort(vec![order])?.drop_columns(&[ORDER])?)
    }

    /// A view that has a table of its own.
    pub(crate) fn stored_view(&self, view: &str, operation: &'static str) -> Result<&FeatureView> {
        let declared = find_view(&self.project, view)?;
        if declared.kind() == ViewKind::Request {
            return Err(Error::NothingStored { view: view.to_owned(), operation });
        }
        Ok(declared)
    }

    /// The tables that a view is computed from, at their newest versions.
    pub(crate) async fn input_versions(&self, view: &FeatureView) -> Result<BTreeMap<TableName, u64>> {
        let mut versions = BTreeMap::new();
        for table in inputs_of(&self.project, view)? {
            match self.lake.version(&table).await? {
                Some(version) => versions.insert(table, version),
                None if table.schema() == "features" => {
                    return Err(Error::NotComputed { view: table.name().to_owned() });
                }
                None => {
                    return Err(Error::NoInput { view: view.name.clone(), table: table.to_string() });
                }
            };
        }
        Ok(versions)
    }

    /// How far a view is materialised online. `None`: not at all by its present declaration.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn online_state(&self, view: &str) -> Result<Option<Arc<OnlineState>>> {
        Ok(self.online.view(&self.view_schema(view).await?)?.state())
    }

    /// Who acts when nobody else is named.
    #[must_use]
    pub fn principal() -> Principal {
        Principal::system("features")
    }
}
