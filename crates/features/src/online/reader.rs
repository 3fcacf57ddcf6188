//! Features at request time.
//!
//! The arithmetic for one row of 30 features over five views: five cached tails at about 100 ns each, folds of a few
//! hundred rows at about 1 ns a row and aggregate, a dozen expressions over one-row batches at about 1 µs each: some
//! 20 µs, most of it in the expressions. Rows of one request are evaluated together, so that this is paid once.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use mainspring_spec::Field;
use serde_json::{Map, Value as Json};

use super::tails::{OnlineViews, ViewTails};
use crate::error::{Error, Result};
use crate::fold::Fold;
use crate::key;
use crate::plan::{FeaturePlan, From};
use crate::value::{Value, array_of, written};

/// Computes a model's inputs for requests. Made once when an endpoint is loaded.
pub struct OnlineReader {
    plan: FeaturePlan,
    tails: Vec<Arc<ViewTails>>,
    fields: Arc<[Field]>,
    outputs: Arc<[Field]>,
    expressions: Expressions,
}

/// The expressions among the outputs, over the columns that they read and no others.
struct Expressions {
    /// Places in the plan's row.
    columns: Vec<usize>,
    schema: SchemaRef,
    computed: Vec<Arc<dyn PhysicalExpr>>,
}

/// Rows of a request, read by the declared types.
#[derive(Debug, Clone)]
pub struct RequestRows {
    fields: Arc<[Field]>,
    values: Vec<Value>,
    rows: usize,
}

impl RequestRows {
    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The fields that were read.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// A row's values, in the order of [`Self::fields`].
    #[must_use]
    pub fn row(&self, row: usize) -> &[Value] {
        let width = self.fields.len();
        &self.values[row * width..(row + 1) * width]
    }
}

/// A model's inputs for some rows.
#[derive(Debug, Clone)]
pub struct FeatureRows {
    /// The inputs, in the model's order.
    pub fields: Arc<[Field]>,
    /// The values, row after row.
    pub values: Vec<Value>,
    /// Views that had nothing for a row.
    pub missed: Vec<Missed>,
}

impl FeatureRows {
    /// A row's values.
    #[must_use]
    pub fn row(&self, row: usize) -> &[Value] {
        let width = self.fields.len();
        &self.values[row * width..(row + 1) * width]
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.fields.len()).unwrap_or_default()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// A view that had nothing for a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// The row's place in the request.
    pub row: usize,
    /// The view.
    pub view: String,
    /// Why.
    pub reason: MissReason,
}

/// Why a view had nothing for a row. Its features are then null, but for those that [`MissReason::TooEarly`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissReason {
    /// The view was never materialised, or only by an earlier declaration.
    NotMaterialized,
    /// The request has no key, or a null in it.
    NoKey,
    /// The entity is unknown.
    UnknownEntity,
    /// Rows which count may be gone: the moment is too long ago, or a window was made longer since the view was
    /// materialised. Windows that are not whole are null; the latest row is that of those left.
    TooEarly,
}

impl OnlineReader {
    pub(crate) fn new(plan: FeaturePlan, online: &OnlineViews) -> Result<Self> {
        let mut tails = vec![];
        for view in &plan.views {
            if !view.online {
                return Err(Error::NotOnline { view: view.schema.view.clone() });
            }
            tails.push(online.view(&view.schema)?);
        }
        let outputs = plan.outputs.iter().map(|output| output.field.clone()).collect();
        let expressions = Expressions::new(&plan)?;
        let fields = plan.fields.clone().into();
        Ok(Self { plan, tails, fields, outputs, expressions })
    }

    /// The fields that a request brings for these inputs.
    #[must_use]
    pub fn request_fields(&self) -> &[Field] {
        &self.plan.fields
    }

    /// The inputs, in the model's order.
    #[must_use]
    pub fn outputs(&self) -> &[Field] {
        &self.outputs
    }

    /// Names of the stored views that are looked up.
    pub fn views(&self) -> impl Iterator<Item = &str> {
        self.plan.views.iter().map(|view| view.schema.view.as_str())
    }

    /// Reads a request's rows. Absent fields are null, others than [`Self::request_fields`] are passed over.
    ///
    /// # Errors
    /// When a value is not of its field's type.
    pub fn parse(&self, request: &[Map<String, Json>]) -> Result<RequestRows> {
        let mut values = Vec::with_capacity(request.len() * self.plan.fields.len());
        for (row, object) in request.iter().enumerate() {
            for field in &self.plan.fields {
                let json = object.get(&field.name).unwrap_or(&Json::Null);
                let value = Value::from_json(json, field.data_type).ok_or_else(|| Error::RequestField {
                    row,
                    field: field.name.clone(),
                    expected: written(field.data_type),
                    found: json.to_string().chars().take(60).collect(),
                })?;
                values.push(value);
            }
        }
        Ok(RequestRows { fields: self.fields.clone(), values, rows: request.len() })
    }

    /// Takes rows whose values have been read already, shape `[rows, request_fields]`.
    #[must_use]
    pub fn typed(&self, values: Vec<Value>, rows: usize) -> RequestRows {
        debug_assert_eq!(values.len(), rows * self.fields.len(), "there is a value for each field of each row");
        RequestRows { fields: self.fields.clone(), values, rows }
    }

    /// Parses and reads. `at` has a moment for each row, in microseconds.
    ///
    /// # Errors
    /// When a value is not of its field's type, or the store fails.
    pub fn read(&self, request: &[Map<String, Json>], at: &[i64]) -> Result<FeatureRows> {
        self.read_parsed(&self.parse(request)?, at)
    }

    /// Computes the inputs of rows at their moments.
    ///
    /// # Errors
    /// When the store fails.
    pub fn read_parsed(&self, request: &RequestRows, at: &[i64]) -> Result<FeatureRows> {
        debug_assert_eq!(request.len(), at.len(), "there is a moment for each row");
        let mut missed = vec![];
        let stored = self
            .plan
            .views
            .iter()
            .zip(&self.tails)
            .map(|(view, tails)| self.look_up(view, tails, request, at, &mut missed))
            .collect::<Result<Vec<_>>>()?;
        let computed = self.compute(request, &stored)?;
        let mut values = Vec::with_capacity(request.len() * self.outputs.len());
        for row in 0..request.len() {
            let mut expressions = computed.iter();
            for output in &self.plan.outputs {
                values.push(match &output.from {
                    From::Field(field) => request.row(row)[*field].clone(),
                    From::Stored(view, feature) => {
                        stored[*view][row * self.plan.views[*view].features.len() + feature].clone()
                    }
                    From::Computed(_) => {
                        expressions.next().map_or(Value::Null, |column| Value::from_array(column.as_ref(), row))
                    }
                });
            }
        }
        Ok(FeatureRows { fields: self.outputs.clone(), values, missed })
    }

    /// A view's features of all rows, row after row.
    fn look_up(
        &self,
        view: &crate::plan::ViewUse,
        tails: &ViewTails,
        request: &RequestRows,
        at: &[i64],
        missed: &mut Vec<Missed>,
    ) -> Result<Vec<Value>> {
        let mut values = Vec::with_capacity(request.len() * view.features.len());
        let state = tails.state();
        let (mut entity, mut scratch) = (vec![], vec![]);
        for (row, &moment) in at.iter().enumerate() {
            let mut miss = |reason| missed.push(Missed { row, view: view.schema.view.clone(), reason });
            let Some(state) = &state else {
                miss(MissReason::NotMaterialized);
                view.fold.unknown(&mut values);
                continue;
            };
            entity.clear();
            let fields = request.row(row);
            if !key::encode(view.keys.iter().map(|&field| &fields[field]), &mut entity) {
                miss(MissReason::NoKey);
                view.fold.unknown(&mut values);
                continue;
            }
            let tail = tails.tail(state, &entity, &mut scratch)?;
            let is_exact = moment >= state.exact_since(&view.fold);
            // An entity's latest row is always kept. All that a window counted may be gone.
            if tail.is_empty() && (is_exact || matches!(*view.fold, Fold::Latest(_))) {
                miss(MissReason::UnknownEntity);
            } else if !is_exact {
                miss(MissReason::TooEarly);
            }
            let first = values.len();
            view.fold.at(&tail, moment, &mut values);
            if let (false, Fold::Windows(fold)) = (is_exact, view.fold.as_ref()) {
                fold.clear_before(state.kept_after(), moment, &mut values[first..]);
            }
        }
        Ok(values)
    }

    fn compute(&self, request: &RequestRows, stored: &[Vec<Value>]) -> Result<Vec<ArrayRef>> {
        let Expressions { columns, schema, computed } = &self.expressions;
        if computed.is_empty() {
            return Ok(vec![]);
        }
        let columns = columns.iter().map(|&place| self.column(place, request, stored)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(request.len()));
        let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
        computed.iter().map(|expression| Ok(expression.evaluate(&batch)?.into_array(request.len())?)).collect()
    }

    /// A column of the plan's row.
    fn column(&self, place: usize, request: &RequestRows, stored: &[Vec<Value>]) -> ArrayRef {
        if let Some(field) = self.plan.fields.get(place) {
            return array_of((0..request.len()).map(|row| &request.row(row)[place]), field.data_type);
        }
        let mut feature = place - self.plan.fields.len();
        for (view, values) in self.plan.views.iter().zip(stored) {
            let width = view.features.len();
            if let Some(field) = view.features.get(feature) {
                return array_of(values.iter().skip(feature).step_by(width), field.data_type);
            }
            feature -= width;
        }
        debug_assert!(false, "the plan's row has no column {place}");
        array_of([], mainspring_spec::DataType::Float64)
    }
}

impl Expressions {
    fn new(plan: &FeaturePlan) -> Result<Self> {
        let row = plan.row_schema();
        let all: Vec<&Arc<dyn PhysicalExpr>> = plan
            .outputs
            .iter()
            .filter_map(|output| if let From::Computed(expression) = &output.from { Some(expression) } else { None })
            .collect();
        let mut columns = vec![];
        for expression in &all {
            expression.apply(|node| {
                if let Some(column) = node.downcast_ref::<Column>()
                    && !columns.contains(&column.index())
                {
                    columns.push(column.index());
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        let fields: Vec<Arc<ArrowField>> = columns.iter().map(|&place| row.fields()[place].clone()).collect();
        let narrow = |expression: &Arc<dyn PhysicalExpr>| {
            let narrowed = expression.clone().transform_up(|node| {
                let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                let place = columns.iter().position(|&place| place == column.index());
                let place = place.ok_or_else(|| DataFusionError::Internal(format!("no column {column} in the row")))?;
                Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as Arc<dyn PhysicalExpr>))
            })?;
            Ok(narrowed.data)
        };
        let computed = all.into_iter().map(narrow).collect::<Result<Vec<_>>>()?;
        Ok(Self { schema: Arc::new(Schema::new(fields)), computed, columns })
    }
}
