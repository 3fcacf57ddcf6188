//! The rows that pushed rows bring to views: those of each view's own base query, over them alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use arrow::array::RecordBatch;
use datafusion::execution::SessionState;
use mainspring_ingest::{pushed_app, table_schema};
use mainspring_lake::{At, TableName};
use mainspring_spec::{FeatureView, Project, Source, ViewKind};
use tokio::sync::OnceCell;

use super::query::{LiveQuery, base_of, over_declared};
use crate::base::inputs_of;
use crate::error::Result;
use crate::online::{column, moment};
use crate::schema::{ViewSchema, fingerprint};
use crate::store::FeatureStore;

/// The views over each pushed source of a project, compiled at the first push to it and kept while the project is applied.
pub(crate) struct LiveViews {
    by_source: HashMap<String, OnceCell<Vec<LiveView>>>,
    session: OnceLock<SessionState>,
}

/// A view that pushed rows of a source go to at once, if its query lets them.
pub(crate) struct LiveView {
    pub(super) name: String,
    pub(super) fingerprint: String,
    /// A row of the same key takes the place of the former one, which may lie elsewhere in the tail.
    pub(super) replaces: bool,
    /// `None`: it cannot be run on a part of the rows.
    query: Option<LiveQuery>,
}

/// The rows of a view, in the order of columns of [`Rows`](crate::online::Rows).
pub(super) struct LiveRows {
    pub(super) schema: ViewSchema,
    pub(super) rows: RecordBatch,
}

impl LiveViews {
    pub(crate) fn new(project: &Project) -> Self {
        let pushed = project.sources.values().filter(|source| source.is_pushed());
        let by_source = pushed.map(|source| (source.name.clone(), OnceCell::new())).collect();
        Self { by_source, session: OnceLock::new() }
    }
}

impl FeatureStore {
    /// The engine as pushes use it. A push is few rows: they are not parted among threads.
    pub(super) fn push_session(&self) -> &SessionState {
        self.live.session.get_or_init(|| {
            let mut state = self.lake.session().state();
            state.config_mut().options_mut().execution.target_partitions = 1;
            state
        })
    }

    /// The views that pushed rows of a source go to at once.
    pub(crate) async fn live_views(&self, source: &Source) -> Result<&[LiveView]> {
        let Some(views) = self.live.by_source.get(&source.name) else { return Ok(&[]) };
        Ok(views.get_or_try_init(|| self.compile_live(source)).await?)
    }

    async fn compile_live(&self, source: &Source) -> Result<Vec<LiveView>> {
        let table = TableName::new("sources", &source.name)?;
        let mut views = vec![];
        for view in self.project.feature_views.values() {
            if view.is_served_online() && inputs_of(&self.project, view)?.contains(&table) {
                views.push(LiveView {
                    name: view.name.clone(),
                    fingerprint: fingerprint(&self.project, view),
                    replaces: !source.key.is_empty() && view.kind() == ViewKind::Windowed,
                    query: LiveQuery::plan(&self.project, view, self.push_session()).await?,
                });
            }
        }
        Ok(views)
    }

    /// What rows of a pushed source bring to a view. `None`: its query cannot be run on a part of the rows.
    pub(super) async fn live_rows(
        &self,
        view: &LiveView,
        source: &Source,
        rows: &RecordBatch,
    ) -> Result<Option<LiveRows>> {
        let Some(query) = &view.query else { return Ok(None) };
        let rows = query.run(self.push_session(), &source.name, rows).await?;
        Ok(Some(LiveRows { rows, schema: query.schema.clone() }))
    }

    /// A view's shape by what its sources declare, while their tables are not there yet. `None`: it reads other views.
    pub(crate) async fn schema_of_declared(&self, view: &FeatureView) -> Result<Option<ViewSchema>> {
        let Some(selected) = over_declared(&self.project, view, self.push_session()).await? else { return Ok(None) };
        Ok(Some(base_of(&self.project, view, selected)?.schema))
    }

    /// The rows of a view that pushes brought and its table does not give: those that came since it was computed last and,
    /// when it is read only to a moment, those that happened later. In the order of columns of
    /// [`Rows`](crate::online::Rows). What waits to land is landed first; the caller keeps further pushes away.
    pub(crate) async fn pushed_beside(&self, view: &FeatureView, until: Option<i64>) -> Result<Vec<RecordBatch>> {
        let inputs = self.last_materialization(&view.name).await?.map(|last| last.inputs).unwrap_or_default();
        let mut all = vec![];
        for table in inputs_of(&self.project, view)? {
            let source = self.project.sources.get(table.name()).filter(|source| source.is_pushed());
            let Some(source) = source.filter(|_| table.schema() == "sources") else { continue };
            self.land_pushed(&source.name).await?;
            let Some(newest) = self.lake.version(&table).await? else { continue };
            let computed = inputs.get(&table.to_string()).copied();
            let mut parts = vec![];
            if let Some(until) = until {
                let rows = self.lake.read(&table, At::Version(newest)).await?;
                parts.push(match &source.event_time {
                    Some(event_time) => rows.filter(column(event_time).gt(moment(until)))?,
                    None => rows,
                });
            }
            if computed != Some(newest) {
                parts.push(match self.lake.added_since(&table, computed, newest).await {
                    Ok(rows) => rows,
                    // Rows were replaced by key: those that were not are there already, and are put on the same places.
                    Err(mainspring_lake::Error::Rewritten { .. } | mainspring_lake::Error::NoVersion { .. }) => {
                        self.lake.read(&table, At::Version(newest)).await?
                    }
                    Err(error) => return Err(error.into()),
                });
            }
            let live = self.live_views(source).await?.iter().find(|live| live.name == view.name);
            let Some(live) = live else { continue };
            let schema = table_schema(source);
            let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            for rows in parts {
                for batch in rows.select_columns(&columns)?.collect().await? {
                    let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
                    all.extend(self.live_rows(live, source, &batch).await?.map(|live| live.rows));
                }
            }
        }
        Ok(all)
    }

    /// Rows of a push by the source that took them, for its log in the lake.
    pub(super) fn pushed_write(source: &str, last: i64) -> mainspring_lake::WriteId {
        mainspring_lake::WriteId { app: pushed_app(source), sequence: last }
    }

    /// Where pushed rows would go, by push name: for messages.
    pub(super) fn push_names(&self) -> String {
        let sources = self.project.sources.values().filter(|source| source.is_pushed());
        let names: BTreeMap<&str, ()> = sources.flat_map(|s| &s.push).map(|name| (name.as_str(), ())).collect();
        crate::schema::names(names.into_keys())
    }
}
