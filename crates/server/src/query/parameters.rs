//! Values that are bound to the placeholders of a statement.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::error::{Error, Result};

/// The most rows of parameters: the statement is run once for each.
const ROWS_MAX: usize = 1_000;
/// The most placeholders of a statement.
const PLACEHOLDERS_MAX: usize = 1_000;

/// Rows of values, one column a placeholder; the statement is run for each row, and the results follow each other.
#[derive(Debug, Clone)]
pub struct Parameters {
    rows: RecordBatch,
}

impl Parameters {
    /// Takes rows of values.
    ///
    /// # Errors
    /// [`Error::Parameters`] when there are no rows, or too many.
    pub fn new(rows: RecordBatch) -> Result<Self> {
        match rows.num_rows() {
            0 => Err(Error::Parameters("a row of values is needed, and there is none".into())),
            is if is > ROWS_MAX => Err(Error::Parameters(format!(
                "{is} rows are bound, the most is {ROWS_MAX}; the statement is run once for each"
            ))),
            _ => Ok(Self { rows }),
        }
    }

    /// How many times the statement is run.
    pub(super) fn times(&self) -> usize {
        self.rows.num_rows()
    }

    /// The values of one run, for the placeholders of a statement.
    pub(super) fn values(&self, placeholders: &SchemaRef, row: usize) -> Result<ParamValues> {
        let fits = self.rows.num_columns() == placeholders.fields().len();
        if !fits {
            return Err(Error::Parameters(format!(
                "it has {} placeholders ({}), and {} values are bound",
                placeholders.fields().len(),
                listed(placeholders),
                self.rows.num_columns()
            )));
        }
        let value = |column: usize| Ok::<_, Error>(ScalarValue::try_from_array(self.rows.column(column), row)?);
        let is_named = placeholders.fields().iter().any(|field| place(field.name()).is_none());
        if !is_named {
            let values = (0..self.rows.num_columns()).map(value).collect::<Result<Vec<_>>>()?;
            return Ok(values.into());
        }
        let mut values = HashMap::new();
        for field in placeholders.fields() {
            let bare = field.name().trim_start_matches('$');
            let schema = self.rows.schema_ref();
            let column = schema.index_of(bare).or_else(|_| schema.index_of(field.name())).map_err(|_| {
                Error::Parameters(format!("there is no value called `{bare}`; bound are {}", listed(schema)))
            })?;
            values.insert(bare.to_owned(), value(column)?);
        }
        Ok(values.into())
    }
}

fn listed(schema: &Schema) -> String {
    schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ")
}

/// The number of `$3`, from 1.
fn place(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok()
}

/// The placeholders of a plan, as columns in the order in which they are bound: by number, or by name. What the engine
/// cannot tell the type of has the type null.
pub(super) fn placeholders(plan: &LogicalPlan) -> Result<SchemaRef> {
    let types = plan.get_parameter_types()?;
    if types.is_empty() {
        return Ok(Schema::empty().into());
    }
    let field =
        |name: &str, data_type: Option<&DataType>| Field::new(name, data_type.cloned().unwrap_or(DataType::Null), true);
    let places: Option<Vec<usize>> = types.keys().map(|name| place(name)).collect();
    let fields: Vec<Field> = match places.and_then(|places| places.into_iter().max()) {
        Some(most) if most > PLACEHOLDERS_MAX => {
            return Err(Error::Parameters(format!(
                "it has a placeholder ${most}, the last may be ${PLACEHOLDERS_MAX}"
            )));
        }
        Some(most) => (1..=most)
            .map(|number| {
                let name = format!("${number}");
                field(&name, types.get(&name).and_then(Option::as_ref))
            })
            .collect(),
        None => {
            let mut names: Vec<&String> = types.keys().collect();
            names.sort();
            names.into_iter().map(|name| field(name, types.get(name).and_then(Option::as_ref))).collect()
        }
    };
    Ok(Schema::new(fields).into())
}
