//! SQL expressions over a row, compiled once and run over batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{ExprSchemable, cast};
use datafusion::physical_plan::PhysicalExpr;
use mainspring_lake::compile_expression;

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Expression {
    compiled: Arc<dyn PhysicalExpr>,
    result: ArrowType,
}

impl Expression {
    /// Compiles an expression over rows of a schema; its value is cast to `result`.
    ///
    /// # Errors
    /// What the SQL planner says of it.
    pub fn compile(
        state: &SessionState,
        sql: &str,
        schema: &SchemaRef,
        result: &ArrowType,
    ) -> Result<Self, DataFusionError> {
        let fields = DFSchema::try_from(schema.as_ref().clone())?;
        let expression = state.create_logical_expr(sql, &fields)?;
        let expression =
            if &expression.get_type(&fields)? == result { expression } else { cast(expression, result.clone()) };
        Ok(Self { compiled: compile_expression(state, expression, &fields)?, result: result.clone() })
    }

    /// Computes the expression for each row.
    ///
    /// A row for which it cannot be computed (a division by zero, a text that is no number) fails alone: it reads as
    /// null, and its place comes back with the engine's words. Finding it costs a few more evaluations of parts of the batch.
    #[must_use]
    pub fn evaluate(&self, batch: &RecordBatch) -> (ArrayRef, Vec<(usize, String)>) {
        let mut failed = Vec::new();
        let array = self.evaluate_part(batch, 0, &mut failed);
        (array, failed)
    }

    fn evaluate_part(&self, batch: &RecordBatch, offset: usize, failed: &mut Vec<(usize, String)>) -> ArrayRef {
        let rows = batch.num_rows();
        let computed = self.compiled.evaluate(batch).and_then(|value| value.into_array(rows));
        match computed {
            Ok(array) => array,
            Err(error) if rows <= 1 => {
                failed.push((offset, error.strip_backtrace()));
                new_null_array(&self.result, rows)
            }
            Err(_) => {
                let half = rows / 2;
                let left = self.evaluate_part(&batch.slice(0, half), offset, failed);
                let right = self.evaluate_part(&batch.slice(half, rows - half), offset + half, failed);
                // Both halves have the result's type, so they join; were they not to, nulls fail loudly further on.
                concat(&[left.as_ref(), right.as_ref()]).unwrap_or_else(|_| new_null_array(&self.result, rows))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{Field, Int64Type, Schema};
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn one_row_that_cannot_be_computed_fails_alone() {
        let schema = Arc::new(Schema::new(vec![Field::new("Total Minutes", ArrowType::Int64, true)]));
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![1, 2, 0, 4, 5]))]).unwrap();
        let state = SessionContext::new().state();

        let expression = Expression::compile(&state, "20 / \"Total Minutes\"", &schema, &ArrowType::Int64).unwrap();
        let (array, failed) = expression.evaluate(&batch);

        assert_eq!(array.as_primitive::<Int64Type>().value(3), 5);
        assert_eq!(failed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [2]);
        assert!(failed[0].1.to_lowercase().contains("divide by zero"), "{}", failed[0].1);
    }

    #[test]
    fn an_unknown_column_does_not_compile() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", ArrowType::Int64, true)]));
        assert!(Expression::compile(&SessionContext::new().state(), "b + 1", &schema, &ArrowType::Int64).is_err());
    }
}
