//! The latest row of each observation without sorting the timeline: for observations that fit into memory.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::runtime::JoinSet;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics, plan_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, InputDistributionRequirements, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};
use mainspring_spec::DataType;

use super::TimelineColumns;
use super::slots::{Answers, Best, Offered, Slots};
use crate::fold::LatestFold;
use crate::value::arrow_type;

/// Gives each observation the latest row of a timeline that it may know. Reads the observations first, then each row of the
/// timeline once, in any order, all partitions at a time; gives the observations back in their order.
#[derive(Debug, Clone)]
pub(crate) struct GatherLatestExec {
    observations: Arc<dyn ExecutionPlan>,
    timeline: Arc<dyn ExecutionPlan>,
    keys: Vec<usize>,
    at: Option<usize>,
    columns: TimelineColumns,
    fold: LatestFold,
    features: Vec<(String, DataType)>,
    properties: Arc<PlanProperties>,
}

impl GatherLatestExec {
    pub(crate) fn new(
        observations: Arc<dyn ExecutionPlan>,
        timeline: Arc<dyn ExecutionPlan>,
        keys: Vec<usize>,
        at: Option<usize>,
        columns: TimelineColumns,
        fold: LatestFold,
        features: Vec<(String, DataType)>,
    ) -> Self {
        let mut fields: Vec<Arc<Field>> = observations.schema().fields().iter().cloned().collect();
        fields.extend(features.iter().map(|(name, of)| Arc::new(Field::new(name, arrow_type(*of), true))));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(Schema::new(fields))),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { observations, timeline, keys, at, columns, fold, features, properties: Arc::new(properties) }
    }

    /// About how many bytes this many observations take, with a timeline read in so many partitions.
    pub(crate) fn size_bytes(rows: usize, observation_columns: usize, features: usize, partitions: usize) -> usize {
        let slot = 32 + 3 * 16 * features;
        rows.saturating_mul(observation_columns * 16 + 64 + slot * partitions)
    }

    /// The payload columns that become features, in the features' order.
    fn payload(&self) -> Vec<usize> {
        self.fold.columns.iter().map(|&column| self.columns.payload[column]).collect()
    }
}

impl DisplayAs for GatherLatestExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.observations.schema();
        let keys: Vec<&str> = self.keys.iter().map(|&key| schema.field(key).name().as_str()).collect();
        write!(f, "GatherLatestExec: keys=[{}]", keys.join(", "))
    }
}

impl ExecutionPlan for GatherLatestExec {
    fn name(&self) -> &'static str {
        "GatherLatestExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition, Distribution::UnspecifiedDistribution])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
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
        Ok(Arc::new(Self::new(observations, timeline, this.keys, this.at, this.columns, this.fold, this.features)))
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
        if partition != 0 {
            return plan_err!("a gathered join has one partition, not {partition}");
        }
        let this = self.clone();
        let work = async move { this.run(context).await };
        let stream = futures::stream::once(work).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

impl GatherLatestExec {
    async fn run(self, context: Arc<TaskContext>) -> Result<impl futures::Stream<Item = Result<RecordBatch>>> {
        let memory = MemoryConsumer::new("GatherLatestExec").register(context.memory_pool());
        let mut observations = vec![];
        let mut stream = self.observations.execute(0, context.clone())?;
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            memory.try_grow(batch.get_array_memory_size() + batch.num_rows() * 48)?;
            observations.push(batch);
        }
        let rows: usize = observations.iter().map(RecordBatch::num_rows).sum();
        if u32::try_from(rows).is_err() {
            return Err(DataFusionError::ResourcesExhausted(format!("{rows} observations are too many to gather for")));
        }
        let schema = self.observations.schema();
        let sorts = self.keys.iter().map(|&key| SortField::new(schema.field(key).data_type().clone())).collect();
        let converter = Arc::new(RowConverter::new(sorts)?);
        let slots = Arc::new(Slots::of(converter, &observations, &self.keys, self.at)?);
        let mut parts: JoinSet<Result<(Best, MemoryReservation)>> = JoinSet::new();
        for partition in 0..self.timeline.output_partitioning().partition_count() {
            let stream = self.timeline.execute(partition, context.clone())?;
            let memory = MemoryConsumer::new(format!("GatherLatestExec[{partition}]")).register(context.memory_pool());
            parts.spawn(offer(stream, slots.clone(), self.columns.clone(), self.payload(), memory));
        }
        let mut best = vec![];
        let mut held = vec![memory];
        while let Some(part) = parts.join_next().await {
            let (part, memory) = part.map_err(|error| DataFusionError::External(Box::new(error)))??;
            best.push(part);
            held.push(memory);
        }
        let answers = Answers::of(&slots, best, rows, self.fold.ttl);
        let types: Vec<ArrowType> = self.features.iter().map(|(_, of)| arrow_type(*of)).collect();
        let schema: SchemaRef = self.schema();
        let mut from = 0;
        Ok(futures::stream::iter(observations).map(move |batch| {
            debug_assert!(!held.is_empty(), "the memory stays reserved until the last batch");
            let range = from..from + batch.num_rows();
            from = range.end;
            let mut columns = batch.columns().to_vec();
            columns.extend(answers.columns(range, &types)?);
            Ok(RecordBatch::try_new(schema.clone(), columns)?)
        }))
    }
}

/// Offers a part of the timeline to the observations.
async fn offer(
    mut stream: SendableRecordBatchStream,
    slots: Arc<Slots>,
    columns: TimelineColumns,
    payload: Vec<usize>,
    memory: MemoryReservation,
) -> Result<(Best, MemoryReservation)> {
    let mut best = Best::new(&slots);
    let offered = Offered {
        keys: &columns.keys,
        event_time: columns.event_time,
        known_at: columns.known_at,
        row_id: columns.row_id,
        payload: &payload,
    };
    memory.try_resize(best.size_bytes())?;
    while let Some(batch) = stream.next().await {
        best.offer(&slots, &batch?, &offered)?;
        if best.is_wasteful() {
            best.compact()?;
            memory.try_resize(best.size_bytes())?;
        }
    }
    best.compact()?;
    memory.try_resize(best.size_bytes())?;
    Ok((best, memory))
}
