//! The table of a source as a planned query sees it: it has the rows of one push, put in when the query is run.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, project_schema};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

/// A source's table while a query is planned. Nothing is known of its rows, so plans over it hold for any.
#[derive(Debug)]
pub(super) struct PushedTable {
    source: Arc<str>,
    schema: SchemaRef,
}

impl PushedTable {
    /// The table of a source, with these columns.
    pub(super) fn new(source: &str, schema: SchemaRef) -> Self {
        Self { source: source.into(), schema }
    }
}

#[async_trait]
impl TableProvider for PushedTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = project_schema(&self.schema, projection)?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(PushedExec {
            source: self.source.clone(),
            projection: projection.cloned(),
            rows: None,
            properties: Arc::new(properties),
        }))
    }
}

/// The plan over the rows that were pushed to a source; the tables of all others have none. It is another plan for each
/// push: a plan that was run holds what it counted.
pub(super) fn over_rows(
    plan: Arc<dyn ExecutionPlan>,
    source: &str,
    rows: &RecordBatch,
) -> Result<Arc<dyn ExecutionPlan>> {
    let with_rows = plan.transform_up(|node| {
        Ok(Transformed::yes(match node.downcast_ref::<PushedExec>() {
            Some(table) if *table.source == *source => Arc::new(table.with_rows(rows)?),
            _ => node.reset_state()?,
        }))
    });
    with_rows.data()
}

/// Brings the rows of one push, and none before they are put in.
#[derive(Debug, Clone)]
struct PushedExec {
    source: Arc<str>,
    projection: Option<Vec<usize>>,
    rows: Option<RecordBatch>,
    properties: Arc<PlanProperties>,
}

impl PushedExec {
    fn with_rows(&self, rows: &RecordBatch) -> Result<Self> {
        let rows = match &self.projection {
            Some(projection) => rows.project(projection)?,
            None => rows.clone(),
        };
        Ok(Self { rows: Some(rows), ..self.clone() })
    }
}

impl DisplayAs for PushedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PushedExec: source={}", self.source)
    }
}

impl ExecutionPlan for PushedExec {
    fn name(&self) -> &'static str {
        "PushedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = futures::stream::iter(self.rows.clone().map(Ok));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
