//! A function in place of a built-in one.

use std::sync::Arc;

use arrow::array::Array;
use arrow::compute::concat;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{ExprSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExpressionPlacement, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, StructFieldMapping,
};

use super::growth::Growth;
use super::rewrite::{check_width, with_guards, without_guard};
use super::size::{bytes, bytes_of_scalar};

/// The most bytes that a function makes of one batch of rows, some 32 KiB a row. Results lie outside the memory pool
/// until a sort, join or aggregate takes them in, and each query has one batch or two on each thread.
pub(super) const RESULT_BYTES_MAX: u64 = 256 << 20;
/// The most bytes of a value that functions make of constants alone: as long as one that is written out in a statement
/// may be. Such a value is made once, but many operators repeat it for each row of a batch.
pub(super) const CONSTANT_BYTES_MAX: u64 = 256 << 10;

/// A built-in function that refuses to make more than it may. All else is the built-in function's.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Guarded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl Guarded {
    pub(super) fn over(inner: Arc<ScalarUDF>, growth: Growth) -> Self {
        Self { inner, growth }
    }

    fn built_in(&self) -> &dyn ScalarUDFImpl {
        self.inner.inner().as_ref()
    }

    /// The value of a call whose arguments are the same in all rows, made once.
    fn constant(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        args.number_rows = 1;
        let most = self.growth.bytes_max(&args.args, 1)?;
        if most > RESULT_BYTES_MAX {
            return Err(self.too_large(most));
        }
        let value = match self.inner.invoke_with_args(args)? {
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0)?,
            ColumnarValue::Scalar(value) => value,
        };
        let is = bytes_of_scalar(&value);
        if is > CONSTANT_BYTES_MAX {
            let name = self.inner.name();
            return Err(DataFusionError::Execution(format!(
                "`{name}` makes a constant of {is} bytes, the most is {CONSTANT_BYTES_MAX}; make rows instead of one \
                 value, for example by FROM generate_series(1, 1000000)"
            )));
        }
        Ok(ColumnarValue::Scalar(value))
    }

    /// The results of parts of a batch, one after another, each part so small that its results have a bound.
    fn in_parts(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let (mut parts, mut made) = (vec![], 0_u64);
        let (mut start, mut length) = (0, rows);
        while start < rows {
            length = length.min(rows - start);
            let part = sliced(args, start, length);
            let most = self.growth.bytes_max(&part.args, length)?;
            if most > RESULT_BYTES_MAX {
                if length == 1 {
                    return Err(self.too_large(most));
                }
                length /= 2;
                continue;
            }
            let values = self.inner.invoke_with_args(part)?.into_array(length)?;
            made = made.saturating_add(bytes(values.as_ref()));
            if made > RESULT_BYTES_MAX {
                return Err(self.too_large(made));
            }
            parts.push(values);
            start += length;
            length = length.saturating_mul(2);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }

    fn too_large(&self, bytes: u64) -> DataFusionError {
        let name = self.inner.name();
        DataFusionError::Execution(format!(
            "`{name}` may make {bytes} bytes or more of one batch of rows, the most is {RESULT_BYTES_MAX}; make \
             shorter values, or rows instead of lists, for example by FROM generate_series(1, 1000000)"
        ))
    }
}

/// A call for some rows of a batch.
fn sliced(args: &ScalarFunctionArgs, start: usize, length: usize) -> ScalarFunctionArgs {
    let part = |value: &ColumnarValue| match value {
        ColumnarValue::Array(array) => ColumnarValue::Array(array.slice(start, length)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs {
        args: args.args.iter().map(part).collect(),
        arg_fields: args.arg_fields.clone(),
        number_rows: length,
        return_field: args.return_field.clone(),
        config_options: args.config_options.clone(),
    }
}

#[warn(clippy::missing_trait_methods, reason = "what is not handed on is the trait's own and not the function's")]
impl ScalarUDFImpl for Guarded {
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        if !args.args.is_empty() && args.args.iter().all(is_constant) {
            return self.constant(args);
        }
        if self.growth.bytes_max(&args.args, args.number_rows)? <= RESULT_BYTES_MAX {
            return self.inner.invoke_with_args(args);
        }
        self.in_parts(&args)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = self.built_in().return_field_from_args(args)?;
        if self.growth == Growth::Cast {
            check_width(field.data_type())?;
        }
        Ok(field)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // constants that would be too long as one are left for the call to refuse
        if self.growth.joined_bytes_max(&args) > CONSTANT_BYTES_MAX {
            return Ok(ExprSimplifyResult::Original(args));
        }
        // a function knows others as built-in ones: `array_has` the one that makes its list, which it turns into `IN`
        let args = args.into_iter().map(without_guard).collect();
        Ok(match self.built_in().simplify(args, info)? {
            ExprSimplifyResult::Simplified(simple) => {
                ExprSimplifyResult::Simplified(simple.transform_up(with_guards)?.data)
            }
            ExprSimplifyResult::Original(args) => {
                let guarded = args.into_iter().map(|arg| Ok(with_guards(arg)?.data)).collect::<Result<_>>()?;
                ExprSimplifyResult::Original(guarded)
            }
        })
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = self.built_in().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self::over(Arc::new(inner), self.growth)))
    }

    fn name(&self) -> &str {
        self.built_in().name()
    }

    fn aliases(&self) -> &[String] {
        self.built_in().aliases()
    }

    #[expect(deprecated, reason = "whoever still asks gets the built-in function's answer")]
    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.built_in().display_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.built_in().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.built_in().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.built_in().return_type(arg_types)
    }

    #[expect(deprecated, reason = "whoever still asks gets the built-in function's answer")]
    fn is_nullable(&self, args: &[Expr], schema: &dyn ExprSchema) -> bool {
        self.built_in().is_nullable(args, schema)
    }

    fn is_strict(&self) -> bool {
        self.built_in().is_strict()
    }

    fn preimage(&self, args: &[Expr], lit_expr: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.built_in().preimage(args, lit_expr, info)
    }

    fn short_circuits(&self) -> bool {
        self.built_in().short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.built_in().conditional_arguments(args)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.built_in().evaluate_bounds(input)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.built_in().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.built_in().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.built_in().preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.built_in().strictly_order_preserving(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.built_in().coerce_types(arg_types)
    }

    fn struct_field_mapping(&self, literal_args: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.built_in().struct_field_mapping(literal_args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.built_in().documentation()
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.built_in().placement(args)
    }
}
