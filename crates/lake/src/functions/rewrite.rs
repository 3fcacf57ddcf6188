//! Guards for calls that do not come by name, and for what is too large by its type or arguments alone.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};

use super::size::slot;
use super::table;

/// The widest type of a fixed width: every row of a batch of 8,192 takes it, null or not, and all together 256 MiB.
const WIDTH_BYTES_MAX: u64 = 32 << 10;
/// The most centroids of an approximate percentile; the engine reserves 16 bytes for each, in every group.
const CENTROIDS_MAX: u64 = 10_000;

/// Puts guards into the expressions of a query.
#[derive(Debug)]
pub(super) struct Guarding;

impl FunctionRewrite for Guarding {
    fn name(&self) -> &str {
        "guard_results"
    }

    fn rewrite(&self, expression: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        with_guards(expression)
    }
}

/// The expression with a guarded function where it had one without a bound; what it is made of is left to the caller.
///
/// # Errors
/// [`DataFusionError::Plan`] where the type of a cast or an argument of an aggregate alone is too large.
pub(super) fn with_guards(expression: Expr) -> Result<Transformed<Expr>> {
    match &expression {
        Expr::Cast(cast) => check_width(cast.field.data_type())?,
        Expr::TryCast(cast) => check_width(cast.field.data_type())?,
        Expr::AggregateFunction(call) => check_centroids(call.func.name(), &call.params.args)?,
        Expr::WindowFunction(call) => check_centroids(call.fun.name(), &call.params.args)?,
        _ => {}
    }
    Ok(match expression {
        Expr::ScalarFunction(call) => match table::in_place_of(&call.func) {
            Some(func) => Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: call.args })),
            None => Transformed::no(Expr::ScalarFunction(call)),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
            let args = vec![*left, *right];
            Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: table::concatenation(), args }))
        }
        other => Transformed::no(other),
    })
}

/// The expression with the built-in function where it had a guarded one.
pub(super) fn without_guard(expression: Expr) -> Expr {
    match expression {
        Expr::ScalarFunction(mut call) => {
            if let Some(built_in) = table::behind(&call.func) {
                call.func = built_in;
            }
            Expr::ScalarFunction(call)
        }
        other => other,
    }
}

/// Refuses a type whose every value takes more than a batch can have.
pub(super) fn check_width(data_type: &DataType) -> Result<()> {
    let width = slot(data_type);
    if width > WIDTH_BYTES_MAX {
        return Err(DataFusionError::Plan(format!(
            "each value of the type {data_type} takes {width} bytes, the most is {WIDTH_BYTES_MAX}; cast to a list or \
             binary of no fixed size"
        )));
    }
    Ok(())
}

fn check_centroids(function: &str, args: &[Expr]) -> Result<()> {
    let place = match function {
        "approx_percentile_cont" => 2,
        "approx_percentile_cont_with_weight" => 3,
        _ => return Ok(()),
    };
    let Some(mut centroids) = args.get(place) else { return Ok(()) };
    while let Expr::Cast(cast) = centroids {
        centroids = cast.expr.as_ref();
    }
    let is_small = match centroids {
        Expr::Literal(value, _) => value.to_string().parse::<u64>().is_ok_and(|number| number <= CENTROIDS_MAX),
        _ => false,
    };
    if is_small {
        return Ok(());
    }
    Err(DataFusionError::Plan(format!(
        "the centroids of `{function}` are to be a number from 1 on, written out, the most is {CENTROIDS_MAX}"
    )))
}
