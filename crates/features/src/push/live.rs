//! The rows that pushed rows bring to a view: its own base query, over them alone.
//!
//! That is right for queries that make each row from one row: a selection, a filter, a union. A query that joins, counts
//! or windows cannot be run on a part; views of such queries follow when they are computed anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{Expr, LogicalPlan};
use futures::TryStreamExt;
use mainspring_ingest::{pushed_app, table_schema};
use mainspring_lake::{At, TableName};
use mainspring_spec::{FeatureView, Source, ViewKind, table_names};

use crate::base::{Base, inputs_of, of_events, of_query};
use crate::error::{Error, Result};
use crate::identity::with_row_ids;
use crate::online::{column, moment};
use crate::schema::{ROW_ID, ViewSchema};
use crate::store::FeatureStore;

/// The rows of a view, in the order of columns of [`Rows`](crate::online::Rows).
pub(super) struct LiveRows {
    pub(super) schema: ViewSchema,
    pub(super) rows: RecordBatch,
}

impl FeatureStore {
    /// The views that pushed rows of a source go to at once, by their declaration; their queries may still refuse.
    pub(super) fn views_over(&self, source: &Source) -> Result<Vec<&FeatureView>> {
        let table = TableName::new("sources", &source.name)?;
        let mut views = vec![];
        for view in self.project.feature_views.values() {
            let is_kept = view.kind() != ViewKind::Request && view.online && view.entity.is_some();
            if is_kept && inputs_of(&self.project, view)?.contains(&table) {
                views.push(view);
            }
        }
        Ok(views)
    }

    /// What rows of a pushed source bring to a view. `None`: its query cannot be run on a part of the rows.
    pub(super) async fn live_rows(
        &self,
        view: &FeatureView,
        source: &Source,
        rows: RecordBatch,
    ) -> Result<Option<LiveRows>> {
        let Some(base) = self.live_base(view, source, rows).await? else { return Ok(None) };
        let schema = base.schema.clone();
        let stream = with_row_ids(base, 0).await?;
        let table = stream.schema();
        let batches: Vec<RecordBatch> = stream.try_collect().await?;
        let rows = arrow::compute::concat_batches(&table, &batches)?;
        let keys = schema.keys.iter().map(|key| key.name.as_str());
        let times = schema.event_time.as_deref().into_iter().chain(schema.known_at.as_deref());
        let payload = schema.payload.iter().map(|field| field.name.as_str());
        let order = keys.chain(times).chain([ROW_ID]).chain(payload);
        let order = order.map(|name| table.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(LiveRows { rows: rows.project(&order)?, schema }))
    }

    async fn live_base(&self, view: &FeatureView, source: &Source, rows: RecordBatch) -> Result<Option<Base>> {
        let session = self.lake.session();
        let Some(sql) = &view.sql else {
            if view.from.as_deref() != Some(source.name.as_str()) {
                return Ok(None);
            }
            return of_events(&self.project, view, session.read_batch(rows)?).map(Some);
        };
        let names = table_names(sql).map_err(|error| Error::Project(error.to_string()))?;
        for name in names {
            let Some(named) = self.project.sources.get(&name) else { return Ok(None) };
            let schema = table_schema(named);
            let batch = if named.name == source.name { rows.clone() } else { RecordBatch::new_empty(schema.clone()) };
            let table = MemTable::try_new(schema, vec![vec![batch]])?;
            session.register_table(TableReference::partial("sources", name), Arc::new(table))?;
        }
        let query = session.sql(sql).await?;
        if !is_row_by_row(query.logical_plan())? {
            return Ok(None);
        }
        of_query(&self.project, view, query).map(Some)
    }

    /// A view's shape by what its sources declare, while their tables are not there yet. `None`: it reads other views.
    pub(crate) async fn schema_of_declared(&self, view: &FeatureView) -> Result<Option<ViewSchema>> {
        let session = self.lake.session();
        let empty = |name: &String| {
            let schema = table_schema(self.project.sources.get(name)?);
            Some(RecordBatch::new_empty(schema))
        };
        if let Some(from) = &view.from {
            let Some(batch) = empty(from) else { return Ok(None) };
            return Ok(Some(of_events(&self.project, view, session.read_batch(batch)?)?.schema));
        }
        let Some(sql) = &view.sql else { return Ok(None) };
        for name in table_names(sql).map_err(|error| Error::Project(error.to_string()))? {
            let Some(batch) = empty(&name) else { return Ok(None) };
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
            session.register_table(TableReference::partial("sources", name), Arc::new(table))?;
        }
        Ok(Some(of_query(&self.project, view, session.sql(sql).await?)?.schema))
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
            let schema = table_schema(source);
            let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            for rows in parts {
                for batch in rows.select_columns(&columns)?.collect().await? {
                    let batch = RecordBatch::try_new(schema.clone(), batch.columns().to_vec())?;
                    all.extend(self.live_rows(view, source, batch).await?.map(|live| live.rows));
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

/// Whether each row of a query's result is made from one row of one table.
fn is_row_by_row(plan: &LogicalPlan) -> Result<bool> {
    let mut is = true;
    plan.apply_with_subqueries(|node| {
        is &= match node {
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::EmptyRelation(_) => true,
            LogicalPlan::TableScan(scan) => scan.fetch.is_none(),
            LogicalPlan::Sort(sort) => sort.fetch.is_none(),
            // Equal rows have one place.
            LogicalPlan::Distinct(distinct) => matches!(distinct, datafusion::logical_expr::Distinct::All(_)),
            _ => false,
        };
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                let asks_elsewhere = matches!(
                    part,
                    Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::OuterReferenceColumn(..)
                );
                is &= !asks_elsewhere && !part.is_volatile_node();
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if is { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(is)
}
