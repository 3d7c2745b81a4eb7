//! Arithmetic that fails where PostgreSQL's does, instead of going round or to infinity.
//!
//! Each operator is a kernel over whole columns; what is a constant stays one.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Datum, PrimitiveArray};
use arrow::compute::kernels::numeric::{add, div, mul, neg, sub};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use crate::error::SqlState;

use super::distinct_name;
use super::function::{Result, fault, in_time, missing};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Add,
    Subtract,
    Multiply,
    /// Of floating-point numbers only: of integers the engine's own fails as it should.
    Divide,
    Negate,
}

/// One operator over integers or floating-point numbers.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    kind: Kind,
    signature: Signature,
}

/// `left op right` over numbers; an operator that the engine computes as PostgreSQL does stays as it is.
pub(super) fn checked(op: Operator, left: Expr, right: Expr) -> Expr {
    let kind = match op {
        Operator::Plus => Kind::Add,
        Operator::Minus => Kind::Subtract,
        Operator::Multiply => Kind::Multiply,
        Operator::Divide => Kind::Divide,
        _ => return Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) }),
    };
    call(kind, vec![left, right])
}

/// `- x`.
pub(super) fn negated(value: Expr) -> Expr {
    call(Kind::Negate, vec![value])
}

fn call(kind: Kind, args: Vec<Expr>) -> Expr {
    let function = ScalarUDF::new_from_impl(Checked { kind, signature: Signature::user_defined(Volatility::Immutable) });
    Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(function.into(), args))
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Add => "add",
            Kind::Subtract => "subtract",
            Kind::Multiply => "multiply",
            Kind::Divide => "divide",
            Kind::Negate => "negate",
        }
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        distinct_name::of_call(self.name(), args)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        in_time()?;
        let wide = widest(types).ok_or_else(|| missing(self.name(), types))?;
        Ok(vec![wide; types.len()])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        widest(types).ok_or_else(|| missing(self.name(), types))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let unfit = || DataFusionError::Internal("an operator without its arguments".to_owned());
        let left = args.args.first().ok_or_else(unfit)?;
        if self.kind == Kind::Negate {
            let negated = neg(&left.to_array(1)?).map_err(|error| overflow(&error, &left.data_type()));
            return match left {
                ColumnarValue::Array(_) => negated.map(ColumnarValue::Array),
                ColumnarValue::Scalar(_) => Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&negated?, 0)?)),
            };
        }
        let right = args.args.get(1).ok_or_else(unfit)?;
        let kernel = match self.kind {
            Kind::Add => add,
            Kind::Subtract => sub,
            Kind::Multiply => mul,
            Kind::Divide | Kind::Negate => div,
        };
        match left.data_type() {
            DataType::Float32 => apply(left, right, |left, right| floats::<Float32Type>(self.kind, left, right, kernel)),
            DataType::Float64 => apply(left, right, |left, right| floats::<Float64Type>(self.kind, left, right, kernel)),
            data_type => apply(left, right, kernel).map_err(|error| match error {
                DataFusionError::ArrowError(inner, _) => overflow(&inner, &data_type),
                other => other,
            }),
        }
    }
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError>;

/// The kernel, and then a look at what came out: what is infinite, or zero, may be what left the range.
fn floats<T>(kind: Kind, left: &dyn Datum, right: &dyn Datum, kernel: Kernel) -> std::result::Result<ArrayRef, ArrowError>
where
    T: ArrowPrimitiveType,
    T::Native: Into<f64> + Copy,
{
    let result = kernel(left, right)?;
    let suspect = |value: &T::Native| {
        let value: f64 = (*value).into();
        !value.is_finite() || (value == 0.0 && matches!(kind, Kind::Multiply | Kind::Divide))
    };
    let values = result.as_primitive::<T>();
    if values.values().iter().any(suspect) {
        let (left, right) = (Side::<T>::of(left), Side::<T>::of(right));
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            judge(kind, left.at(row), right.at(row), values.value(row).into())?;
        }
    }
    Ok(result)
}

/// An argument, which may be one value for all rows.
struct Side<'a, T: ArrowPrimitiveType> {
    values: &'a PrimitiveArray<T>,
    constant: bool,
}

impl<'a, T: ArrowPrimitiveType> Side<'a, T>
where
    T::Native: Into<f64>,
{
    fn of(datum: &'a dyn Datum) -> Self {
        let (array, constant) = datum.get();
        Self { values: array.as_primitive::<T>(), constant }
    }

    fn at(&self, row: usize) -> f64 {
        self.values.value(if self.constant { 0 } else { row }).into()
    }
}

fn judge(kind: Kind, left: f64, right: f64, result: f64) -> std::result::Result<(), ArrowError> {
    let out_of_range =
        |text: &str| Err(ArrowError::ExternalError(Box::new(super::function::message(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, text))));
    if kind == Kind::Divide && right == 0.0 && !left.is_nan() {
        return Err(ArrowError::DivideByZero);
    }
    if result.is_infinite() && left.is_finite() && right.is_finite() {
        return out_of_range("value out of range: overflow");
    }
    let vanished = match kind {
        Kind::Multiply => left != 0.0 && right != 0.0,
        Kind::Divide => left != 0.0 && right.is_finite(),
        _ => false,
    };
    if result == 0.0 && vanished { out_of_range("value out of range: underflow") } else { Ok(()) }
}

fn overflow(error: &ArrowError, data_type: &DataType) -> DataFusionError {
    let name = match data_type {
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    };
    tracing::debug!(%error, "integer arithmetic left its range");
    fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, &format!("{name} out of range"))
}

/// The type that an operator computes in, and answers.
fn widest(types: &[DataType]) -> Option<DataType> {
    let width = |data_type: &DataType| match data_type {
        DataType::Int8 | DataType::UInt8 | DataType::Int16 => Some(16),
        DataType::Int32 | DataType::UInt16 => Some(32),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Some(64),
        DataType::Null => Some(0),
        DataType::Float16 | DataType::Float32 => Some(100),
        DataType::Float64 | DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            Some(101)
        }
        _ => None,
    };
    let widths = types.iter().map(width).collect::<Option<Vec<_>>>()?;
    // A real beside anything else is a double precision.
    let mixed = widths.contains(&100) && widths.iter().any(|width| !matches!(width, 0 | 100));
    Some(match widths.into_iter().max()? {
        16 => DataType::Int16,
        0 | 32 => DataType::Int32,
        64 => DataType::Int64,
        100 if !mixed => DataType::Float32,
        _ => DataType::Float64,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int32Array, Scalar};

    use super::*;

    fn multiplied(left: Vec<f64>, right: f64) -> std::result::Result<ArrayRef, ArrowError> {
        floats::<Float64Type>(Kind::Multiply, &Float64Array::from(left), &Scalar::new(Float64Array::from(vec![right])), mul)
    }

    #[test]
    fn a_float_that_leaves_its_range_fails() {
        assert!(multiplied(vec![1.0, 1e300], 1e10).is_err());
        assert!(multiplied(vec![1e-300], 1e-300).is_err());
        assert!(multiplied(vec![0.0, f64::INFINITY, 2.0], 3.0).is_ok());
    }

    #[test]
    fn a_division_by_zero_fails_but_of_nan() {
        let divided = |left: f64, right: f64| {
            floats::<Float64Type>(Kind::Divide, &Float64Array::from(vec![left]), &Float64Array::from(vec![right]), div)
        };
        assert!(matches!(divided(1.0, 0.0), Err(ArrowError::DivideByZero)));
        assert!(matches!(divided(0.0, 0.0), Err(ArrowError::DivideByZero)));
        assert!(divided(f64::NAN, 0.0).is_ok());
        assert!(divided(0.0, 5.0).is_ok());
    }

    #[test]
    fn integers_keep_the_wider_type() {
        assert_eq!(widest(&[DataType::Int16, DataType::Int32]), Some(DataType::Int32));
        assert_eq!(widest(&[DataType::UInt64, DataType::Int32]), Some(DataType::Int64));
        assert_eq!(widest(&[DataType::Float32, DataType::Float32]), Some(DataType::Float32));
        assert_eq!(widest(&[DataType::Float32, DataType::Int32]), Some(DataType::Float64));
        assert_eq!(widest(&[DataType::Int32, DataType::Boolean]), None);
        let largest: ArrayRef = Arc::new(Int32Array::from(vec![i32::MAX]));
        assert!(add(&largest, &largest).is_err());
    }
}
