//! Exact numbers as the floating-point numbers that are nearest to them, as PostgreSQL casts them.
//!
//! The engine divides the digits, rounded to a double, by a power of ten: numbers of more than 53 bits are rounded twice. The casts that are in a plan
//! once its types are coerced, whoever put them there, are replaced by a function that rounds once.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Float32Type, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TryCast,
    Volatility,
};

use super::function::Result;

/// The powers of ten that are doubles.
const TENS: [f64; 23] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22];
/// The whole numbers up to here are doubles.
const DOUBLES: u128 = 1 << 53;
/// The powers of ten that are floats, and how far the whole numbers are.
const SINGLE_TENS: [f32; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
const SINGLES: u128 = 1 << 24;
/// Digits of the engine's numerics.
const DIGITS: u8 = 38;

/// The plan with its casts of exact numbers to floating-point ones as they are meant. Names and types stay.
pub(in crate::engine) fn floats(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| {
        if matches!(node, LogicalPlan::TableScan(_) | LogicalPlan::Extension(_)) || !casts(&node)? {
            return Ok(Transformed::no(node));
        }
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expr| {
            expr.transform_up(|part| {
                Ok(match part {
                    Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
                        if is_rounded(&expr.get_type(&schema)?, field.data_type()) =>
                    {
                        Transformed::yes(call(*expr, field.data_type()))
                    }
                    other => Transformed::no(other),
                })
            })
        })
    })?;
    Ok(done.data)
}

/// Whether any cast in it is one to floating-point numbers.
fn casts(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        expr.apply(|part| {
            if let Expr::Cast(Cast { field, .. }) | Expr::TryCast(TryCast { field, .. }) = part {
                found |= element(field.data_type()).is_floating();
            }
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// A constant as one of another type.
pub(in crate::engine) fn value(known: &ScalarValue, to: &DataType) -> Result<ScalarValue> {
    if is_rounded(&known.data_type(), to) { ScalarValue::try_from_array(&nearest(&known.to_array()?, to)?, 0) } else { known.cast_to(to) }
}

fn is_rounded(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::List(from), DataType::List(to)) => is_rounded(from.data_type(), to.data_type()),
        (from, to) => from.is_decimal() && matches!(to, DataType::Float32 | DataType::Float64),
    }
}

fn element(data_type: &DataType) -> &DataType {
    if let DataType::List(inner) = data_type { element(inner.data_type()) } else { data_type }
}

fn call(expr: Expr, to: &DataType) -> Expr {
    let function = Nearest { to: to.clone(), signature: Signature::any(1, Volatility::Immutable) };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(function)), vec![expr]))
}

/// The cast.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Nearest {
    to: DataType,
    signature: Signature,
}

impl ScalarUDFImpl for Nearest {
    fn name(&self) -> &str {
        "meshgate_nearest"
    }

    /// A cast has the name of what it casts.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.to.clone(), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Array(values)] => Ok(ColumnarValue::Array(nearest(values, &self.to)?)),
            [ColumnarValue::Scalar(known)] => Ok(ColumnarValue::Scalar(value(known, &self.to)?)),
            _ => Err(DataFusionError::Internal("a cast of other than one value".to_owned())),
        }
    }
}

fn nearest(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    Ok(match (values.data_type(), to) {
        (DataType::List(_), DataType::List(field)) => {
            let lists = values.as_list::<i32>();
            let inside = nearest(lists.values(), field.data_type())?;
            Arc::new(ListArray::try_new(Arc::clone(field), lists.offsets().clone(), inside, lists.nulls().cloned())?)
        }
        (DataType::Decimal32(_, scale) | DataType::Decimal64(_, scale), _) => {
            nearest(&cast(values, &DataType::Decimal128(DIGITS, *scale))?, to)?
        }
        (DataType::Decimal128(_, scale), DataType::Float64) => {
            Arc::new(values.as_primitive::<Decimal128Type>().unary::<_, Float64Type>(|digits| double(digits, *scale)))
        }
        (DataType::Decimal128(_, scale), DataType::Float32) => {
            Arc::new(values.as_primitive::<Decimal128Type>().unary::<_, Float32Type>(|digits| single(digits, *scale)))
        }
        (DataType::Decimal256(_, scale), DataType::Float64) => {
            Arc::new(values.as_primitive::<Decimal256Type>().unary::<_, Float64Type>(|digits| read(digits, *scale, f64::NAN)))
        }
        (DataType::Decimal256(_, scale), DataType::Float32) => {
            Arc::new(values.as_primitive::<Decimal256Type>().unary::<_, Float32Type>(|digits| read(digits, *scale, f32::NAN)))
        }
        _ => cast(values, to)?,
    })
}

/// One division rounds once; where it cannot be had, the number is read as it is written.
fn double(digits: i128, scale: i8) -> f64 {
    let exact = usize::try_from(scale).ok().and_then(|scale| TENS.get(scale)).filter(|_| digits.unsigned_abs() <= DOUBLES);
    exact.map_or_else(|| read(digits, scale, f64::NAN), |tens| digits as f64 / tens)
}

fn single(digits: i128, scale: i8) -> f32 {
    let exact = usize::try_from(scale).ok().and_then(|scale| SINGLE_TENS.get(scale)).filter(|_| digits.unsigned_abs() <= SINGLES);
    exact.map_or_else(|| read(digits, scale, f32::NAN), |tens| digits as f32 / tens)
}

/// A number of these digits; digits with an exponent are always one.
fn read<T: std::str::FromStr>(digits: impl std::fmt::Display, scale: i8, otherwise: T) -> T {
    format!("{digits}e{}", -i16::from(scale)).parse().unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_rounded_once() {
        assert_eq!(double(33_333_333_333_333_333, 16), 3.333_333_333_333_333_5);
        assert_eq!(double(1_634_000_000_000_000_000, 16), 163.4);
        assert_eq!(double(20_735_451_250_000_000, 12), 20_735.451_25);
        assert_eq!(double(9_007_199_254_740_993, 0), 9_007_199_254_740_992.0);
        assert_eq!(double(-5, -2), -500.0);
        // By way of a double it would be 16777216.
        assert_eq!(single(16_777_217_000_000_001, 9), 16_777_218.0);
        assert_eq!(single(1, 1), 0.1);
    }

    #[test]
    fn arrays_keep_their_nulls() {
        let numbers = Decimal128Array::from(vec![Some(33_333_333_333_333_333), None]).with_precision_and_scale(38, 16).unwrap();
        let numbers: ArrayRef = Arc::new(numbers);
        let expected = Float64Array::from(vec![Some(10.0 / 3.0), None]);
        assert_eq!(nearest(&numbers, &DataType::Float64).unwrap().as_primitive::<Float64Type>(), &expected);
        let list = ScalarValue::List(ScalarValue::new_list(
            &[ScalarValue::Decimal128(Some(33_333_333_333_333_333), 38, 16)],
            &DataType::Decimal128(38, 16),
            true,
        ));
        let floats = DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)));
        let ScalarValue::List(made) = value(&list, &floats).unwrap() else { panic!("no list") };
        assert_eq!(made.value(0).as_primitive::<Float64Type>().value(0), 10.0 / 3.0);
    }

    proptest! {
        #[test]
        fn a_number_is_what_its_text_is_read_as(digits in any::<i128>(), shift in 0_u32..127, scale in 0_i8..=38) {
            let digits = digits >> shift;
            let text = format!("{digits}e-{scale}");
            prop_assert_eq!(double(digits, scale), text.parse::<f64>().unwrap());
            prop_assert_eq!(single(digits, scale), text.parse::<f32>().unwrap());
        }
    }
}
