//! The point-in-time join as an operator of the query engine.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, plan_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};
use mainspring_spec::DataType;

use super::folding::Folding;
use super::merge::Merge;
use super::runs::{CurrentKey, Runs};
use crate::fold::Fold;
use crate::value::arrow_type;

/// Where the columns of a timeline are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineColumns {
    /// The entity's key.
    pub keys: Vec<usize>,
    /// When the fact happened. Without, rows hold always.
    pub event_time: Option<usize>,
    /// When the fact became known. Without, when it happened.
    pub known_at: Option<usize>,
    /// What orders rows of equal times.
    pub row_id: Option<usize>,
    /// What the fold counts as columns 0, 1, ….
    pub payload: Vec<usize>,
    /// The payload's types.
    pub payload_types: Vec<DataType>,
}

/// Joins observations with what a view knew of their entities at their moments. See the [module](super).
#[derive(Debug, Clone)]
pub struct PointInTimeExec {
    observations: Arc<dyn ExecutionPlan>,
    timeline: Arc<dyn ExecutionPlan>,
    keys: Vec<usize>,
    at: Option<usize>,
    columns: TimelineColumns,
    fold: Arc<Fold>,
    features: Vec<(String, DataType)>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PointInTimeExec {
    /// Joins by the observations' columns `keys`, of the same types as the timeline's, and their timestamps `at`. Without
    /// `at` each gets the latest that is known. `features` name and type what the fold computes.
    ///
    /// # Errors
    /// When the columns do not fit.
    pub fn try_new(
        observations: Arc<dyn ExecutionPlan>,
        timeline: Arc<dyn ExecutionPlan>,
        keys: Vec<usize>,
        at: Option<usize>,
        columns: TimelineColumns,
        fold: Arc<Fold>,
        features: Vec<(String, DataType)>,
    ) -> Result<Self> {
        let (left, right) = (observations.schema(), timeline.schema());
        for (&l, &r) in keys.iter().zip(&columns.keys) {
            if left.field(l).data_type() != right.field(r).data_type() {
                return plan_err!("point-in-time keys of different types: {} and {}", left.field(l), right.field(r));
            }
        }
        if keys.len() != columns.keys.len() || keys.is_empty() {
            return plan_err!("a point-in-time join needs the same keys on both sides");
        }
        let mut fields: Vec<Arc<Field>> = left.fields().iter().cloned().collect();
        fields.extend(features.iter().map(|(name, of)| Arc::new(Field::new(name, arrow_type(*of), true))));
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        // The observations' columns stay where they are, and so does every order that they come in.
        let mut orders: Vec<LexOrdering> = observations.equivalence_properties().oeq_class().iter().cloned().collect();
        orders.push(sort_by(&left, keys.iter().chain(&at).copied())?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(schema, orders),
            observations.output_partitioning().clone(),
            observations.pipeline_behavior(),
            observations.boundedness(),
        );
        Ok(Self {
            observations,
            timeline,
            keys,
            at,
            columns,
            fold,
            features,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    fn timeline_order(&self) -> Vec<usize> {
        let TimelineColumns { keys, event_time, known_at, row_id, .. } = &self.columns;
        keys.iter().chain(event_time).chain(known_at).chain(row_id).copied().collect()
    }

    fn converter(&self) -> Result<Arc<RowConverter>> {
        let schema = self.observations.schema();
        let fields = self.keys.iter().map(|&key| SortField::new(schema.field(key).data_type().clone())).collect();
        Ok(Arc::new(RowConverter::new(fields)?))
    }
}

/// Ascending, nulls first: the order of Arrow's row format.
fn sort_by(schema: &SchemaRef, columns: impl Iterator<Item = usize>) -> Result<LexOrdering> {
    let options = arrow::compute::SortOptions { descending: false, nulls_first: true };
    LexOrdering::new(columns.map(|column| PhysicalSortExpr::new(column_of(schema, column), options)))
        .ok_or_else(|| DataFusionError::Internal("a point-in-time join sorts by its keys".into()))
}

fn column_of(schema: &SchemaRef, column: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(schema.field(column).name(), column))
}

impl DisplayAs for PointInTimeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = (self.observations.schema(), self.timeline.schema());
        let keys: Vec<&str> = self.keys.iter().map(|&key| left.field(key).name().as_str()).collect();
        let at = self.at.map_or("latest", |at| left.field(at).name().as_str());
        let order: Vec<&str> = self.timeline_order().iter().map(|&key| right.field(key).name().as_str()).collect();
        write!(f, "PointInTimeExec: keys=[{}], at={at}, timeline=[{}]", keys.join(", "), order.join(", "))
    }
}

impl ExecutionPlan for PointInTimeExec {
    fn name(&self) -> &'static str {
        "PointInTimeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        let (left, right) = (self.observations.schema(), self.timeline.schema());
        InputDistributionRequirements::co_partitioned(vec![
            Distribution::KeyPartitioned(self.keys.iter().map(|&key| column_of(&left, key)).collect()),
            Distribution::KeyPartitioned(self.columns.keys.iter().map(|&key| column_of(&right, key)).collect()),
        ])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let left = sort_by(&self.observations.schema(), self.keys.iter().chain(&self.at).copied());
        let right = sort_by(&self.timeline.schema(), self.timeline_order().into_iter());
        vec![left.ok().map(OrderingRequirements::from), right.ok().map(OrderingRequirements::from)]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true, false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.observations, &self.timeline]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([observations, timeline]) = <[_; 2]>::try_from(children) else {
            return plan_err!("a point-in-time join has two inputs");
        };
        let this = self.as_ref().clone();
        Ok(Arc::new(Self::try_new(observations, timeline, this.keys, this.at, this.columns, this.fold, this.features)?))
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        // Rows out are rows in; how they are parted is not known.
        let rows = match (args.partition(), inputs.first()) {
            (None, Some(observations)) => observations.num_rows,
            _ => Precision::Absent,
        };
        Ok(Arc::new(Statistics { num_rows: rows, ..Statistics::new_unknown(&self.schema()) }))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition), ChildStats::Skip]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let converter = self.converter()?;
        let observations = self.observations.execute(partition, context.clone())?;
        let timeline = self.timeline.execute(partition, context)?;
        let times = self.columns.event_time.iter().chain(&self.columns.known_at).copied().collect();
        let types: Vec<DataType> = self.features.iter().map(|(_, of)| *of).collect();
        let merge = Merge {
            schema: self.schema(),
            observations: Runs::new(observations, self.keys.clone(), self.at.into_iter().collect(), converter.clone()),
            timeline: Runs::new(timeline, self.columns.keys.clone(), times, converter),
            at: self.at,
            key: CurrentKey::default(),
            fold: Folding::new(&self.fold, &self.columns.payload, &self.columns.payload_types, &types),
            answered: 0,
            place: 0,
        };
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let stream = futures::stream::try_unfold((merge, metrics), |(mut merge, metrics)| async move {
            let batch = merge.next_batch().await?.record_output(&metrics);
            Ok(batch.map(|batch| (batch, (merge, metrics))))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}
