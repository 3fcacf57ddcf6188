//! Compiling one SQL expression over a row, as the engine would inside a query.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::PhysicalExpr;

/// Compiles an expression over rows of a schema to what batches are run through.
///
/// A query's optimizer rewrites some functions into others (`coalesce` into `case`), without which they do not run. An
/// expression outside a query needs the same.
///
/// # Errors
/// What the engine says of it: types that do not fit, functions that do not exist.
pub fn compile_expression(
    state: &SessionState,
    expression: Expr,
    schema: &DFSchema,
) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(state.config_options().clone())
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(expression, schema)?;
    state.create_physical_expr(simplifier.simplify(coerced)?, schema)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::Int64Type;
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn functions_that_only_an_optimizer_makes_runnable_run() {
        let state = SessionContext::new().state();
        let a = Int64Array::from(vec![Some(1), None]);
        let batch = RecordBatch::try_from_iter([("a", Arc::new(a) as _)]).unwrap();
        let schema = DFSchema::try_from(batch.schema().as_ref().clone()).unwrap();
        let parsed = state.create_logical_expr("coalesce(a, 7) + nullif(a, 2)", &schema).unwrap();

        let compiled = compile_expression(&state, parsed, &schema).unwrap();

        let values = compiled.evaluate(&batch).unwrap().into_array(2).unwrap();
        let values: Vec<_> = values.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(values, [Some(2), None]);
    }
}
