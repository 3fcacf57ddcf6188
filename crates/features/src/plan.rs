//! What it takes to compute a model's inputs: compiled once, used for training sets and for requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use mainspring_spec::{DataType, Expression, FeatureView, Field, InputRef, Project, ViewKind};

use crate::error::{Error, Result};
use crate::fold::Fold;
use crate::schema::{ViewSchema, find_view, names};
use crate::value::{arrow_type, declared_type};

/// What it takes to compute some inputs, compiled.
#[derive(Debug, Clone)]
pub struct FeaturePlan {
    /// What an observation or request must bring.
    pub fields: Vec<Field>,
    /// The stored views that are looked up.
    pub views: Vec<ViewUse>,
    /// The inputs, in the order asked for.
    pub outputs: Vec<Output>,
}

/// The use of a stored view.
#[derive(Debug, Clone)]
pub struct ViewUse {
    /// The view's table.
    pub schema: ViewSchema,
    /// Which of the plan's fields are the entity's key.
    pub keys: Vec<usize>,
    /// The features used.
    pub features: Vec<Field>,
    /// Computes them, in that order.
    pub fold: Arc<Fold>,
    /// Whether the view is kept in the online store.
    pub online: bool,
}

/// One input.
#[derive(Debug, Clone)]
pub struct Output {
    /// The input's name and type.
    pub field: Field,
    /// Where it comes from.
    pub from: From,
}

/// Where an input comes from.
#[derive(Debug, Clone)]
pub enum From {
    /// A field of the plan.
    Field(usize),
    /// A feature of a stored view: the use's place, and the feature's place in it.
    Stored(usize, usize),
    /// An expression over a row of all fields, then all features of all uses.
    Computed(Arc<dyn PhysicalExpr>),
}

impl FeaturePlan {
    /// Compiles what some inputs need.
    ///
    /// # Errors
    /// When a name means nothing, or an expression does not compile.
    pub fn compile(
        project: &Project,
        schemas: &BTreeMap<String, ViewSchema>,
        session: &SessionState,
        inputs: &[InputRef],
    ) -> Result<Self> {
        let mut compiler = Compiler {
            project,
            schemas,
            session,
            fields: vec![],
            uses: vec![],
            computed: BTreeMap::new(),
            path: vec![],
        };
        let slots = inputs.iter().map(|input| compiler.input(input)).collect::<Result<Vec<_>>>()?;
        compiler.finish(inputs, slots)
    }

    /// The row that expressions are over: all fields, then all features of all uses.
    #[must_use]
    pub fn row_schema(&self) -> SchemaRef {
        let features = self.views.iter().flat_map(|view| &view.features);
        let columns = self.fields.iter().chain(features);
        Arc::new(Schema::new(
            columns.map(|f| ArrowField::new(&f.name, arrow_type(f.data_type), true)).collect::<Vec<_>>(),
        ))
    }

    /// The place in the row of a use's first feature.
    #[must_use]
    pub fn first_feature(&self, view: usize) -> usize {
        self.fields.len() + self.views.iter().take(view).map(|view| view.features.len()).sum::<usize>()
    }
}

/// The stored views that some inputs need, with those that request-time views use in turn.
///
/// # Errors
/// When a name means nothing.
pub fn stored_views(project: &Project, inputs: &[InputRef]) -> Result<Vec<String>> {
    let mut found: Vec<String> = vec![];
    let mut queue: Vec<String> = inputs
        .iter()
        .filter_map(|input| if let InputRef::Feature { view, .. } = input { Some(view.clone()) } else { None })
        .collect();
    let mut place = 0;
    while let Some(name) = queue.get(place).cloned() {
        place += 1;
        let view = find_view(project, &name)?;
        if view.kind() != ViewKind::Request && !found.contains(&name) {
            found.push(name);
        }
        for used in &view.uses {
            let (of, _) = used_feature(project, view, used)?;
            if !queue.contains(&of) {
                queue.push(of);
            }
        }
    }
    Ok(found)
}

/// The view and feature that an item of `uses` names.
fn used_feature(project: &Project, view: &FeatureView, item: &str) -> Result<(String, String)> {
    if let Some((of, feature)) = item.split_once('.') {
        return Ok((of.to_owned(), feature.to_owned()));
    }
    let mut having = project.feature_views.values().filter(|of| of.feature_names().iter().any(|name| name == item));
    match (having.next(), having.next()) {
        (Some(of), None) => Ok((of.name.clone(), item.to_owned())),
        (None, _) => Err(Error::Project(format!("feature view `{}` uses `{item}`, which no view has", view.name))),
        (Some(a), Some(b)) => Err(Error::Project(format!(
            "feature view `{}` uses `{item}`, which both `{}` and `{}` have; write `{}.{item}`",
            view.name, a.name, b.name, a.name
        ))),
    }
}

/// Where a name of an expression gets its value while the plan is being made.
#[derive(Debug, Clone)]
enum Slot {
    Field(usize),
    Stored { view: String, feature: String, data_type: DataType },
    Computed(Arc<dyn PhysicalExpr>, DataType),
}

struct Compiler<'a> {
    project: &'a Project,
    schemas: &'a BTreeMap<String, ViewSchema>,
    session: &'a SessionState,
    fields: Vec<Field>,
    uses: Vec<(String, Vec<Field>)>,
    /// Expressions by view and feature; their columns are named by [`Compiler::place`].
    computed: BTreeMap<(String, String), (Arc<dyn PhysicalExpr>, DataType)>,
    path: Vec<String>,
}

impl Compiler<'_> {
    fn input(&mut self, input: &InputRef) -> Result<Slot> {
        match input {
            InputRef::Column { name, data_type } => {
                Ok(Slot::Field(self.field(&Field { name: name.clone(), data_type: *data_type })?))
            }
            InputRef::Feature { view, feature } => {
                let slot = self.feature(view, feature)?;
                if let Slot::Stored { view, feature, data_type } = &slot {
                    self.use_stored(view, feature, *data_type)?;
                }
                Ok(slot)
            }
        }
    }

    fn field(&mut self, field: &Field) -> Result<usize> {
        match self.fields.iter().position(|known| known.name == field.name) {
            Some(place) if self.fields[place].data_type == field.data_type => Ok(place),
            Some(place) => Err(Error::Project(format!(
                "`{}` is declared as {} in one place and as {} in another; make them the same",
                field.name, self.fields[place].data_type, field.data_type
            ))),
            None => {
                self.fields.push(field.clone());
                Ok(self.fields.len() - 1)
            }
        }
    }

    fn feature(&mut self, view: &str, feature: &str) -> Result<Slot> {
        let declared = find_view(self.project, view)?;
        if declared.kind() == ViewKind::Request {
            let (expression, data_type) = self.expression(declared, feature)?;
            return Ok(Slot::Computed(expression, data_type));
        }
        let schema = self.schemas.get(view).ok_or_else(|| Error::NotComputed { view: view.to_owned() })?;
        let data_type = schema.feature_type(feature)?;
        Ok(Slot::Stored { view: view.to_owned(), feature: feature.to_owned(), data_type })
    }

    /// Notes that a stored feature is needed, and what it is looked up by.
    fn use_stored(&mut self, view: &str, feature: &str, data_type: DataType) -> Result<(usize, usize)> {
        let place = match self.uses.iter().position(|(name, _)| name == view) {
            Some(place) => place,
            None => {
                for key in self.project.entity_keys(find_view(self.project, view)?).to_vec() {
                    self.field(&key)?;
                }
                self.uses.push((view.to_owned(), vec![]));
                self.uses.len() - 1
            }
        };
        let features = &mut self.uses[place].1;
        let at = features.iter().position(|field| field.name == feature).unwrap_or_else(|| {
            features.push(Field { name: feature.to_owned(), data_type });
            features.len() - 1
        });
        Ok((place, at))
    }

    fn expression(&mut self, view: &FeatureView, feature: &str) -> Result<(Arc<dyn PhysicalExpr>, DataType)> {
        let id = (view.name.clone(), feature.to_owned());
        if let Some(done) = self.computed.get(&id) {
            return Ok(done.clone());
        }
        let step = format!("{}.{feature}", view.name);
        if self.path.contains(&step) {
            self.path.push(step);
            return Err(Error::Cycle { view: view.name.clone(), path: self.path.join(" → ") });
        }
        let unknown = || Error::UnknownFeature {
            view: view.name.clone(),
            feature: feature.to_owned(),
            features: names(view.expressions.iter().map(|e| e.name.as_str())),
        };
        let expression = view.expressions.iter().find(|e| e.name == feature).ok_or_else(unknown)?;
        self.path.push(step);
        let mut visible = vec![];
        for field in &view.request {
            visible.push((None, field.clone(), None));
        }
        for used in &view.uses {
            let (of, feature) = used_feature(self.project, view, used)?;
            let slot = self.feature(&of, &feature)?;
            let data_type = match &slot {
                Slot::Stored { data_type, .. } | Slot::Computed(_, data_type) => *data_type,
                Slot::Field(place) => self.fields[*place].data_type,
            };
            visible.push((Some(of), Field { name: feature, data_type }, Some(slot)));
        }
        let compiled = self.compile_expression(view, expression, &visible)?;
        self.path.pop();
        self.computed.insert(id, compiled.clone());
        Ok(compiled)
    }

    fn compile_expression(
        &mut self,
        view: &FeatureView,
        expression: &Expression,
        visible: &[(Option<String>, Field, Option<Slot>)],
    ) -> Result<(Arc<dyn PhysicalExpr>, DataType)> {
        let wrong = |error: DataFusionError| Error::sql(view, &expression.name, &expression.sql, &error);
        let columns = visible.iter().map(|(of, field, _)| {
            let column = Arc::new(ArrowField::new(&field.name, arrow_type(field.data_type), true));
            (of.as_deref().map(TableReference::bare), column)
        });
        let schema = DFSchema::new_with_metadata(columns.collect(), Default::default()).map_err(wrong)?;
        let logical = self.session.create_logical_expr(&expression.sql, &schema).map_err(wrong)?;
        check_pure(view, expression, &logical)?;
        let physical = mainspring_lake::compile_expression(self.session, logical, &schema).map_err(wrong)?;
        let found = physical.data_type(schema.as_arrow()).map_err(wrong)?;
        let data_type = declared_type(&found).ok_or_else(|| Error::UnsupportedType {
            view: view.name.clone(),
            column: expression.name.clone(),
            found: found.to_string(),
        })?;
        let physical: Arc<dyn PhysicalExpr> = if found == arrow_type(data_type) {
            physical
        } else {
            Arc::new(CastExpr::new(physical, arrow_type(data_type), None))
        };
        let mut failure = None;
        let placed = physical
            .transform_up(|node| {
                let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
                match self.place(&visible[column.index()]) {
                    Ok(placed) => Ok(Transformed::yes(placed)),
                    Err(error) => {
                        failure = Some(error);
                        Ok(Transformed::no(node))
                    }
                }
            })
            .map_err(wrong)?;
        failure.map_or(Ok((placed.data, data_type)), Err)
    }

    /// What a name of an expression stands for. Until the plan is finished, a field is a column of its name at its place,
    /// and a stored feature a column `use/feature` past all fields.
    fn place(&mut self, visible: &(Option<String>, Field, Option<Slot>)) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(match visible {
            (_, field, None) => Arc::new(Column::new(&field.name, self.field(field)?)),
            (_, _, Some(Slot::Computed(expression, _))) => expression.clone(),
            (_, _, Some(Slot::Field(place))) => Arc::new(Column::new(&self.fields[*place].name, *place)),
            (_, _, Some(Slot::Stored { view, feature, data_type })) => {
                let (place, at) = self.use_stored(view, feature, *data_type)?;
                Arc::new(Column::new(&format!("{place}/{at}"), usize::MAX))
            }
        })
    }

    fn finish(self, inputs: &[InputRef], slots: Vec<Slot>) -> Result<FeaturePlan> {
        let mut views = vec![];
        for (name, features) in &self.uses {
            let view = find_view(self.project, name)?;
            let schema = self.schemas.get(name).ok_or_else(|| Error::NotComputed { view: name.clone() })?;
            let wanted: Vec<String> = features.iter().map(|field| field.name.clone()).collect();
            let keys =
                schema.keys.iter().filter_map(|key| self.fields.iter().position(|f| f.name == key.name)).collect();
            views.push(ViewUse {
                fold: Arc::new(schema.fold(view, &wanted)?),
                schema: schema.clone(),
                keys,
                features: features.clone(),
                online: view.is_served_online(),
            });
        }
        let mut plan = FeaturePlan { fields: self.fields, views, outputs: vec![] };
        for (input, slot) in inputs.iter().zip(slots) {
            let (from, data_type) = match slot {
                Slot::Field(place) => (From::Field(place), plan.fields[place].data_type),
                Slot::Stored { view, feature, data_type } => {
                    let place = plan.views.iter().position(|of| of.schema.view == view).unwrap_or_default();
                    let at =
                        plan.views[place].features.iter().position(|field| field.name == feature).unwrap_or_default();
                    (From::Stored(place, at), data_type)
                }
                Slot::Computed(expression, data_type) => (From::Computed(settle(&plan, expression)?), data_type),
            };
            plan.outputs.push(Output { field: Field { name: input.name().to_owned(), data_type }, from });
        }
        Ok(plan)
    }
}

/// Gives stored features their final place in the row.
fn settle(plan: &FeaturePlan, expression: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let settled = expression.transform_up(|node| {
        let Some(column) = node.downcast_ref::<Column>().filter(|column| column.index() == usize::MAX) else {
            return Ok(Transformed::no(node));
        };
        let place = column.name().split_once('/').and_then(|(view, at)| {
            let (view, at): (usize, usize) = (view.parse().ok()?, at.parse().ok()?);
            Some((&plan.views.get(view)?.features.get(at)?.name, plan.first_feature(view) + at))
        });
        let (name, index) = place.ok_or_else(|| DataFusionError::Internal(format!("no stored feature at {column}")))?;
        Ok(Transformed::yes(Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>))
    })?;
    Ok(settled.data)
}

/// Refuses what is not a function of the row alone.
fn check_pure(view: &FeatureView, expression: &Expression, logical: &Expr) -> Result<()> {
    let mut problem = None;
    logical.apply(|node| {
        match node {
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                problem = Some(Error::Volatile {
                    view: view.name.clone(),
                    name: expression.name.clone(),
                    function: call.func.name().to_owned(),
                });
            }
            Expr::AggregateFunction(_)
            | Expr::WindowFunction(_)
            | Expr::ScalarSubquery(_)
            | Expr::InSubquery(_)
            | Expr::Exists(_) => {
                problem = Some(Error::Sql {
                    view: view.name.clone(),
                    name: expression.name.clone(),
                    sql: expression.sql.clone(),
                    reason: "an expression is over one row; aggregates and queries belong in a view of their own"
                        .into(),
                    unknown: None,
                });
            }
            _ => {}
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    problem.map_or(Ok(()), Err)
}
