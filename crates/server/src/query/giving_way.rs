//! Plans that end when they are told to, although they have no rows to show.
//!
//! The engine gives way to others wherever a batch is read or made. A join makes many rows of few, and passes on none of them
//! before it has a batch of those that its filter lets through; a filter that lets none through would keep its thread,
//! deaf to cancellation and to the limit of time, until the join is done.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder};
use tokio_util::sync::CancellationToken;

/// When a query ends, whether or not it is done.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub cancelled: CancellationToken,
    pub at: Instant,
}

impl Ending {
    fn has_come(&self) -> bool {
        self.cancelled.is_cancelled() || Instant::now() >= self.at
    }
}

/// The same plan, whose joins give way after each batch, and look for the ending at each batch that their filters see.
///
/// # Errors
/// Those of the engine, which builds the joins anew.
pub(super) fn giving_way(plan: Arc<dyn ExecutionPlan>, ending: &Ending) -> Result<Arc<dyn ExecutionPlan>> {
    let given = plan.transform_up(|node| {
        if !node.name().ends_with("JoinExec") {
            return Ok(Transformed::no(node));
        }
        let node: Arc<dyn ExecutionPlan> = Arc::new(CooperativeExec::new(watching(node, ending)?));
        Ok(Transformed::yes(node))
    })?;
    Ok(given.data)
}

/// A join whose filter, if it has one, fails when the ending has come.
fn watching(join: Arc<dyn ExecutionPlan>, ending: &Ending) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(nested) = join.downcast_ref::<NestedLoopJoinExec>()
        && let Some(filter) = nested.filter()
    {
        let filter = watched(filter, ending);
        return Ok(Arc::new(NestedLoopJoinExecBuilder::from(nested).with_filter(Some(filter)).build()?));
    }
    if let Some(hashed) = join.downcast_ref::<HashJoinExec>()
        && let Some(filter) = hashed.filter()
    {
        return hashed.builder().with_filter(Some(watched(filter, ending))).build_exec();
    }
    Ok(join)
}

fn watched(filter: &JoinFilter, ending: &Ending) -> JoinFilter {
    let expression = Watched { inner: filter.expression().clone(), ending: ending.clone() };
    JoinFilter::new(Arc::new(expression), filter.column_indices().to_vec(), filter.schema().clone())
}

/// An expression that has its value until the ending has come, and fails from then on.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    ending: Ending,
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Watched {
    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input_schema)
    }

    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.inner.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.inner.nullable(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.ending.has_come() {
            return Err(DataFusionError::Execution("the query was ended before it was done".into()));
        }
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match <[_; 1]>::try_from(children) {
            Ok([inner]) => Ok(Arc::new(Self { inner, ending: self.ending.clone() })),
            Err(children) => {
                Err(DataFusionError::Internal(format!("one expression is watched, not {}", children.len())))
            }
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
