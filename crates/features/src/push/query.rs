//! A view's base query over the rows of one push, planned once.
//!
//! That is right for queries that make each row from one row: a selection, a filter, a union. A query that joins, counts
//! or windows cannot be run on a part; views of such queries follow when they are computed anew.
//!
//! The arithmetic: to parse, plan and optimise a query takes milliseconds, to run one over a few rows tens of microseconds.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::TableReference;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::{DataFrame, SessionContext};
use futures::TryStreamExt;
use mainspring_ingest::table_schema;
use mainspring_spec::{FeatureView, Project, Source, table_names};

use super::table::{PushedTable, over_rows};
use crate::base::{Base, of_events, of_query};
use crate::error::{Error, Result};
use crate::identity::RowIds;
use crate::schema::{ROW_ID, ViewSchema};

/// See the [module](self).
pub(super) struct LiveQuery {
    pub(super) schema: ViewSchema,
    plan: Plan,
    context: Arc<TaskContext>,
    ids: RowIds,
    /// Places of the columns of [`Rows`](crate::online::Rows) among those of rows with ids.
    order: Vec<usize>,
}

enum Plan {
    Kept(Arc<dyn ExecutionPlan>),
    /// The query asks what time it is. A physical plan has that time in it as a constant, so it is made for each push.
    Timed(LogicalPlan),
}

impl LiveQuery {
    /// Plans a view's query. `None`: it cannot be run on a part of the rows.
    pub(super) async fn plan(project: &Project, view: &FeatureView, session: &SessionState) -> Result<Option<Self>> {
        let Some(selected) = over_declared(project, view, session).await? else { return Ok(None) };
        if !is_row_by_row(selected.logical_plan())? {
            return Ok(None);
        }
        let base = base_of(project, view, selected)?;
        let physical = base.rows.clone().create_physical_plan().await?;
        let ids = RowIds::new(&base, &physical.schema(), 0)?;
        let schema = base.schema;
        let keys = schema.keys.iter().map(|key| key.name.as_str());
        let times = schema.event_time.as_deref().into_iter().chain(schema.known_at.as_deref());
        let payload = schema.payload.iter().map(|field| field.name.as_str());
        let order = keys.chain(times).chain([ROW_ID]).chain(payload);
        let order = order.map(|name| ids.output().index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let plan = match base.rows.into_unoptimized_plan() {
            logical if asks_the_time(&logical)? => Plan::Timed(logical),
            _ => Plan::Kept(physical),
        };
        Ok(Some(Self { schema, plan, context: session.task_ctx(), ids, order }))
    }

    /// What rows pushed to a source bring, in the order of columns of [`Rows`](crate::online::Rows).
    pub(super) async fn run(&self, session: &SessionState, source: &str, rows: &RecordBatch) -> Result<RecordBatch> {
        let plan = match &self.plan {
            Plan::Kept(plan) => plan.clone(),
            Plan::Timed(logical) => {
                let now = SessionContext::new_with_state(session.clone());
                now.execute_logical_plan(logical.clone()).await?.create_physical_plan().await?
            }
        };
        let plan = over_rows(plan, source, rows)?;
        let mut batches = vec![];
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut found = plan.execute(partition, self.context.clone())?;
            while let Some(batch) = found.try_next().await? {
                batches.push(self.ids.give(&batch)?);
            }
        }
        Ok(concat_batches(self.ids.output(), &batches)?.project(&self.order)?)
    }
}

/// What a view selects from its sources as they are declared, whose tables need not be there. `None`: it reads other views.
pub(super) async fn over_declared(
    project: &Project,
    view: &FeatureView,
    session: &SessionState,
) -> Result<Option<DataFrame>> {
    let session = SessionContext::new_with_state(session.clone());
    let table = |source: &Source| Arc::new(PushedTable::new(&source.name, table_schema(source)));
    let Some(sql) = &view.sql else {
        let from = view.from.as_ref().and_then(|from| project.sources.get(from));
        return Ok(from.map(|from| session.read_table(table(from))).transpose()?);
    };
    for name in table_names(sql).map_err(|error| Error::Project(error.to_string()))? {
        let Some(named) = project.sources.get(&name) else { return Ok(None) };
        session.register_table(TableReference::partial("sources", name), table(named))?;
    }
    Ok(Some(session.sql(sql).await?))
}

/// The rows that a view makes of what it selects.
pub(super) fn base_of(project: &Project, view: &FeatureView, selected: DataFrame) -> Result<Base> {
    if view.sql.is_some() { of_query(project, view, selected) } else { of_events(project, view, selected) }
}

/// Whether a query's rows depend on when it is run.
fn asks_the_time(plan: &LogicalPlan) -> Result<bool> {
    let mut asks = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                asks |= matches!(part, Expr::ScalarFunction(call) if call.func.signature().volatility == Volatility::Stable);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(asks)
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
