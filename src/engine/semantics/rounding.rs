//! The types that round() and its kin, powers and zones compute in, where their arguments are of others.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, cast};

use super::{Facts, casts, numeric, temporal};

/// The call over arguments of the types that PostgreSQL's function takes.
pub(super) fn argued(mut call: ScalarFunction, schema: &DFSchema, facts: Facts) -> ScalarFunction {
    let name = call.func.name();
    match (name, call.args.as_mut_slice()) {
        // An integer is rounded to tens and hundreds as a numeric.
        ("round" | "trunc", [value, _]) => {
            if let Ok(found) = value.get_type(schema)
                && found.is_integer()
                && let Some((precision, _)) = numeric::of(&found)
            {
                *value = cast(std::mem::take(value), DataType::Decimal128(precision, 0));
            }
        }
        ("round" | "trunc" | "ceil" | "floor", [value]) => {
            if matches!(value.get_type(schema), Ok(DataType::Float32)) {
                *value = cast(std::mem::take(value), DataType::Float64);
            }
        }
        // A date is midnight in the session's zone, of which another zone's clocks are asked.
        ("timezone", [_, value]) if matches!(value.get_type(schema), Ok(DataType::Date32)) => {
            *value = casts::of_type(std::mem::take(value), &DataType::Date32, &temporal::instant(), facts);
        }
        ("power" | "pow", [base, exponent]) => {
            let exact = |side: &Expr| matches!(side.get_type(schema), Ok(DataType::Decimal128(..)));
            let exact = exact(base) || exact(exponent);
            for side in [base, exponent] {
                if casts::text_literal(side) {
                    let numeric = if exact { casts::numeric_constant(side, facts) } else { None };
                    *side = numeric.unwrap_or_else(|| casts::literal_as(std::mem::take(side), &DataType::Float64, facts));
                }
            }
        }
        _ => {}
    }
    call
}
