//! The point-in-time join as a table: observations with a plan's inputs, computed when the table is scanned.
//!
//! As a table it works in any session, without a planner rule, and the engine's pruning of columns reaches both the
//! observations and the timelines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as LogicalColumn, DataFusionError, Result as EngineResult};
use datafusion::execution::memory_pool::MemoryLimit;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::DataFrame;
use mainspring_lake::{At, Lake, TableName};

use crate::base::table_of;
use crate::error::{Error, Result};
use crate::fold::Fold;
use crate::join::{GatherLatestExec, PointInTimeExec, TimelineColumns};
use crate::plan::{FeaturePlan, From, ViewUse};
use crate::schema::ROW_ID;
use crate::value::arrow_type;

/// Joins observations with a plan's inputs.
pub(crate) async fn join(
    lake: &Lake,
    observations: DataFrame,
    at: Option<&str>,
    plan: FeaturePlan,
    pins: &BTreeMap<TableName, u64>,
) -> Result<DataFrame> {
    let mut timelines = vec![];
    for view in &plan.views {
        timelines.push(timeline(lake, view, pins).await?);
    }
    join_timelines(observations, at, plan, timelines)
}

/// Joins observations with timelines given as data frames, one for each of the plan's views, with at least the columns that
/// the views' schemas name. [`FeatureStore::point_in_time`](crate::FeatureStore::point_in_time) does so with the views'
/// tables.
///
/// # Errors
/// When a column is missing, or of a type that cannot be cast to the declared one.
pub fn join_timelines(
    observations: DataFrame,
    at: Option<&str>,
    plan: FeaturePlan,
    timelines: Vec<DataFrame>,
) -> Result<DataFrame> {
    let timelines = plan.views.iter().zip(timelines).map(|(view, rows)| pruned(view, rows)).collect::<Result<_>>()?;
    let (state, logical) = observations.into_parts();
    let table = PointInTimeTable::new(logical, at, plan, timelines)?;
    Ok(datafusion::prelude::SessionContext::new_with_state(state).read_table(Arc::new(table))?)
}

/// A view's table.
async fn timeline(lake: &Lake, view: &ViewUse, pins: &BTreeMap<TableName, u64>) -> Result<DataFrame> {
    let table = table_of(&view.schema.view)?;
    let at = pins.get(&table).map_or(At::Latest, |&version| At::Version(version));
    match lake.read(&table, at).await {
        Err(mainspring_lake::Error::NoTable { .. }) => Err(Error::NotComputed { view: view.schema.view.clone() }),
        rows => Ok(rows?),
    }
}

/// The columns of a view's table that the join reads.
fn pruned(view: &ViewUse, rows: DataFrame) -> Result<LogicalPlan> {
    let schema = &view.schema;
    let keys = schema.keys.iter().map(|key| key.name.as_str());
    let names = keys.chain(schema.event_time.as_deref()).chain(schema.known_at.as_deref());
    let payload = used_payload(view).into_iter().map(|place| schema.payload[place].name.as_str());
    let columns = names.chain([ROW_ID]).chain(payload);
    let rows = rows.select(columns.map(|name| Expr::Column(LogicalColumn::from_name(name))))?;
    Ok(rows.into_unoptimized_plan())
}

/// The payload columns that a view's fold reads, by place in the schema.
fn used_payload(view: &ViewUse) -> Vec<usize> {
    view.fold.columns().into_iter().collect()
}

/// Observations with a plan's inputs.
#[derive(Debug)]
pub(crate) struct PointInTimeTable {
    observations: LogicalPlan,
    /// The observations' column of moments.
    at: Option<usize>,
    plan: FeaturePlan,
    timelines: Vec<LogicalPlan>,
    /// For each field of the plan its column in the observations.
    fields: Vec<usize>,
    schema: SchemaRef,
    /// For each column of the schema, where it comes from.
    columns: Vec<Source>,
}

#[derive(Debug, Clone, Copy)]
enum Source {
    /// A column of the observations, as it is.
    Observation(usize),
    /// An output of the plan.
    Output(usize),
}

impl PointInTimeTable {
    pub(crate) fn new(
        observations: LogicalPlan,
        at: Option<&str>,
        plan: FeaturePlan,
        timelines: Vec<LogicalPlan>,
    ) -> Result<Self> {
        let schema = observations.schema();
        let find = |name: &str, role: String| {
            schema
                .index_of_column_by_name(None, name)
                .ok_or_else(|| Error::ObservationColumn { column: name.into(), role })
        };
        let at = at.map(|at| find(at, "says when each row is predicted".into())).transpose()?;
        let moment = ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        if let Some(at) = at.filter(|&at| !can_cast_types(schema.field(at).data_type(), &moment)) {
            let field = schema.field(at);
            let role = format!("says when each row is predicted as a timestamp (it is {})", field.data_type());
            return Err(Error::ObservationColumn { column: field.name().clone(), role });
        }
        let mut fields = vec![];
        for field in &plan.fields {
            let place = find(&field.name, format!("holds the {} that features need", field.data_type))?;
            let found = schema.field(place).data_type();
            if !can_cast_types(found, &arrow_type(field.data_type)) {
                let role = format!("holds the {} that features need (it is {found})", field.data_type);
                return Err(Error::ObservationColumn { column: field.name.clone(), role });
            }
            fields.push(place);
        }
        let mut columns: Vec<Source> = (0..schema.fields().len()).map(Source::Observation).collect();
        let mut outputs: Vec<Arc<ArrowField>> = schema.fields().iter().cloned().collect();
        for (place, output) in plan.outputs.iter().enumerate() {
            let field = Arc::new(ArrowField::new(&output.field.name, arrow_type(output.field.data_type), true));
            match (&output.from, outputs.iter().position(|known| known.name() == field.name())) {
                // An own column that is an input takes its declared type where it stands.
                (From::Field(own), Some(known)) if fields[*own] == known => {
                    columns[known] = Source::Output(place);
                    outputs[known] = field;
                }
                (_, Some(_)) => return Err(Error::ObservationCollision { column: field.name().clone() }),
                (_, None) => {
                    columns.push(Source::Output(place));
                    outputs.push(field);
                }
            }
        }
        Ok(Self { observations, at, plan, timelines, fields, schema: Arc::new(Schema::new(outputs)), columns })
    }

    /// The observations' columns that the wanted columns need, ascending.
    fn needed(&self, wanted: &[usize]) -> BTreeSet<usize> {
        let own = wanted.iter().filter_map(|&column| match self.columns[column] {
            Source::Observation(place) => Some(place),
            Source::Output(_) => None,
        });
        own.chain(self.fields.iter().copied()).chain(self.at).collect()
    }

    /// Joins all views, each after those of the same key, so that the observations are sorted once a key.
    async fn joined(&self, state: &dyn Session, needed: &BTreeSet<usize>) -> EngineResult<Joined> {
        let columns = needed
            .iter()
            .map(|&place| Expr::Column(LogicalColumn::from(self.observations.schema().qualified_field(place))));
        let pruned = LogicalPlanBuilder::from(self.observations.clone()).project(columns)?.build()?;
        let mut plan = state.create_physical_plan(&pruned).await?;
        let place_of = |place: usize| needed.iter().position(|&known| known == place).unwrap_or_default();
        let mut fields: Vec<usize> = self.fields.iter().map(|&place| place_of(place)).collect();
        let mut at = self.at.map(place_of);
        let mut casts: Vec<(usize, ArrowType)> = vec![];
        let schema = plan.schema();
        let mut canonical = |place: &mut usize, wanted: ArrowType| {
            if schema.field(*place).data_type() != &wanted {
                let known = casts.iter().position(|cast| *cast == (*place, wanted.clone()));
                let cast = known.unwrap_or_else(|| {
                    casts.push((*place, wanted));
                    casts.len() - 1
                });
                *place = schema.fields().len() + cast;
            }
        };
        for (place, field) in fields.iter_mut().zip(&self.plan.fields) {
            canonical(place, arrow_type(field.data_type));
        }
        if let Some(at) = &mut at {
            canonical(at, ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
        }
        if !casts.is_empty() {
            let same =
                (0..schema.fields().len()).map(|place| (column(&schema, place), schema.field(place).name().clone()));
            let cast = casts.iter().enumerate().map(|(number, (place, to))| {
                let cast: Arc<dyn PhysicalExpr> = Arc::new(CastExpr::new(column(&schema, *place), to.clone(), None));
                (cast, format!("mainspring_cast_{number}"))
            });
            let all: Vec<ProjectionExpr> =
                same.chain(cast).map(|(expr, alias)| ProjectionExpr { expr, alias }).collect();
            plan = Arc::new(ProjectionExec::try_new(all, plan)?);
        }
        let mut order: Vec<usize> = (0..self.plan.views.len()).collect();
        // Latest rows come first, while it is still known how many observations there are. Views without times need less
        // order than the others, so they come after them.
        order.sort_by_key(|&view| {
            let of = &self.plan.views[view];
            (matches!(*of.fold, Fold::Windows(_)), &of.keys, of.schema.event_time.is_none())
        });
        let mut firsts = vec![0; order.len()];
        for view in order {
            firsts[view] = plan.schema().fields().len();
            let timeline = state.create_physical_plan(&self.timelines[view]).await?;
            plan = self.join_view(view, plan, timeline, &fields, at, state)?;
        }
        Ok(Joined { plan, needed: needed.clone(), fields, firsts })
    }

    fn join_view(
        &self,
        place: usize,
        observations: Arc<dyn ExecutionPlan>,
        timeline: Arc<dyn ExecutionPlan>,
        fields: &[usize],
        at: Option<usize>,
        state: &dyn Session,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let view = &self.plan.views[place];
        let keys = view.schema.keys.len();
        let event_time = view.schema.event_time.as_ref().map(|_| keys);
        let known_at = view.schema.known_at.as_ref().map(|_| keys + 1);
        let row_id = keys + usize::from(event_time.is_some()) + usize::from(known_at.is_some());
        let payload = used_payload(view);
        let columns = TimelineColumns {
            keys: (0..keys).collect(),
            event_time,
            known_at,
            row_id: Some(row_id),
            payload: (row_id + 1..=row_id + payload.len()).collect(),
            payload_types: payload.iter().map(|&place| view.schema.payload[place].data_type).collect(),
        };
        let features: Vec<(String, _)> = view
            .features
            .iter()
            .map(|field| (format!("{}.{}", view.schema.view, field.name), field.data_type))
            .collect();
        let keys: Vec<usize> = view.keys.iter().map(|&field| fields[field]).collect();
        let fold = if at.is_some() { view.fold.narrowed(&payload) } else { view.fold.narrowed(&payload).ageless() };
        // What holds always does so at any moment, even an unknown one.
        let at = at.filter(|_| event_time.is_some());
        if let Fold::Latest(latest) = &fold
            && fit_in_memory(&observations, &timeline, features.len(), state)
        {
            let latest = latest.clone();
            return Ok(Arc::new(GatherLatestExec::new(observations, timeline, keys, at, columns, latest, features)));
        }
        let fold = Arc::new(fold);
        Ok(Arc::new(PointInTimeExec::try_new(observations, timeline, keys, at, columns, fold, features)?))
    }
}

/// The part of the memory pool that gathering for one view may take.
const GATHER_POOL_SHARE: usize = 4;
/// How many times more rows there may be than an estimate says: two filters, each of which the engine takes to let a fifth
/// of the rows through.
const ESTIMATE_SLACK: usize = 25;

/// Whether observations are known to be few enough to be held in memory.
fn fit_in_memory(
    observations: &Arc<dyn ExecutionPlan>,
    timeline: &Arc<dyn ExecutionPlan>,
    features: usize,
    state: &dyn Session,
) -> bool {
    let statistics = StatisticsContext::new().compute(observations.as_ref(), &StatisticsArgs::new());
    let Ok(statistics) = statistics else { return false };
    let rows = match statistics.num_rows {
        Precision::Exact(rows) => rows,
        Precision::Inexact(rows) => rows.saturating_mul(ESTIMATE_SLACK),
        Precision::Absent => return false,
    };
    // A partition of the timeline for each thread, also where the scan is yet to be split.
    let partitions = timeline.output_partitioning().partition_count().max(state.config().target_partitions());
    let columns = observations.schema().fields().len();
    let bytes = GatherLatestExec::size_bytes(rows, columns, features, partitions);
    match state.runtime_env().memory_pool.memory_limit() {
        MemoryLimit::Finite(limit) => bytes <= limit / GATHER_POOL_SHARE,
        MemoryLimit::Infinite | MemoryLimit::Unknown => true,
    }
}

/// The joined rows before the last projection.
struct Joined {
    plan: Arc<dyn ExecutionPlan>,
    needed: BTreeSet<usize>,
    /// For each field of the plan its column, of the declared type.
    fields: Vec<usize>,
    /// For each use the column of its first feature.
    firsts: Vec<usize>,
}

impl Joined {
    /// The column of a place in the plan's row.
    fn row_column(&self, plan: &FeaturePlan, place: usize) -> Option<usize> {
        if let Some(&column) = self.fields.get(place) {
            return Some(column);
        }
        (0..plan.views.len()).find_map(|view| {
            let first = plan.first_feature(view);
            let features = plan.views[view].features.len();
            (first..first + features).contains(&place).then(|| self.firsts[view] + place - first)
        })
    }

    fn expression(&self, table: &PointInTimeTable, wanted: usize) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let schema = self.plan.schema();
        let output = match table.columns[wanted] {
            Source::Observation(place) => {
                let place = self.needed.iter().position(|&known| known == place).unwrap_or_default();
                return Ok(column(&schema, place));
            }
            Source::Output(output) => &table.plan.outputs[output].from,
        };
        match output {
            From::Field(field) => Ok(column(&schema, self.fields[*field])),
            From::Stored(view, feature) => Ok(column(&schema, self.firsts[*view] + feature)),
            From::Computed(expression) => {
                let placed = expression.clone().transform_up(|node| {
                    let Some(of) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                    let place = self.row_column(&table.plan, of.index());
                    let place = place.ok_or_else(|| DataFusionError::Internal(format!("no column {of} in the row")))?;
                    Ok(Transformed::yes(column(&schema, place)))
                })?;
                Ok(placed.data)
            }
        }
    }
}

fn column(schema: &SchemaRef, place: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(schema.field(place).name(), place))
}

#[async_trait]
impl TableProvider for PointInTimeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        let joined = self.joined(state, &self.needed(&wanted)).await?;
        let columns = wanted.iter().map(|&place| {
            let alias = self.schema.field(place).name().clone();
            joined.expression(self, place).map(|expr| ProjectionExpr { expr, alias })
        });
        let columns = columns.collect::<EngineResult<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, joined.plan.clone())?))
    }
}
