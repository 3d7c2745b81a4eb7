//! Functions that choose among their arguments: `coalesce`, `greatest`, `least`.
//!
//! The engine does not read a constant in quotes as what stands beside it. So the planner finds functions that take anything, and the
//! engine's own stand for them as soon as all arguments are of one type.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::functions::core;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF};

use crate::error::SqlState;

use super::function::{Function, Result, fault};
use super::{Facts, casts, expression, json_build, matching, moments, numeric, spans, typed};

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    ["coalesce", "greatest", "least"].map(|name| placeholder(name).udf()).into()
}

/// What the planner finds under the name; it never runs.
fn placeholder(name: &'static str) -> Function {
    let takes = |types: &[DataType]| (!types.is_empty()).then(|| types.to_vec());
    let computes = |_: &[arrow::array::ArrayRef], _rows: usize| Err(fault(SqlState::INTERNAL_ERROR, "internal error"));
    Function::new(name, takes, common, computes)
}

/// The type of what is chosen among values of these types, of which texts may be constants.
fn common(types: &[DataType]) -> Option<DataType> {
    let known: Vec<DataType> = types.iter().filter(|found| !found.is_null() && !found.is_string()).cloned().collect();
    let first = known.first().or_else(|| types.iter().find(|found| !found.is_null())).or_else(|| types.first())?;
    if known.iter().all(DataType::is_numeric)
        && let Some(number) = numeric::common(&known)
    {
        return Some(number);
    }
    Some(moments::common(&known).unwrap_or_else(|| first.clone()))
}

/// A call of such a function with its arguments in one type; of intervals by their lengths.
pub(super) fn among(call: ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let name = call.func.name().to_owned();
    let args = matching::together(&name.to_uppercase(), call.args, schema, facts)?;
    let spans = args.iter().any(|arg| arg.get_type(schema).is_ok_and(|found| expression::interval(&found)));
    if spans && name != "coalesce" {
        return Ok(spans::chosen(name == "greatest").call(args));
    }
    // Texts are of the type of the first that is no constant.
    let first = args.iter().find(|arg| !expression::constant(arg)).and_then(|arg| typed::field_of(arg, schema));
    let kind = first.and_then(|field| typed::kind_of(&field).filter(|_| field.data_type().is_string()));
    let args = match kind {
        Some(kind @ ("json" | "jsonb")) => args.into_iter().map(|arg| read(arg, kind == "jsonb")).collect(),
        Some("uuid") => args.into_iter().map(|arg| if casts::text_literal(&arg) { typed::uuid_constant(arg) } else { arg }).collect(),
        _ => args,
    };
    let function = match name.as_str() {
        "greatest" => core::greatest(),
        "least" => core::least(),
        _ => core::coalesce(),
    };
    let chosen = Expr::ScalarFunction(ScalarFunction::new_udf(function, args));
    Ok(match kind {
        Some(kind) => typed::known(chosen, kind),
        None => chosen,
    })
}

fn read(arg: Expr, binary: bool) -> Expr {
    if casts::text_literal(&arg) { json_build::read(binary).call(vec![arg]) } else { arg }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_beside_another_type_is_of_that_type() {
        assert_eq!(common(&[DataType::Utf8, DataType::Date32]), Some(DataType::Date32));
        assert_eq!(common(&[DataType::Null, DataType::Boolean, DataType::Utf8]), Some(DataType::Boolean));
        assert_eq!(common(&[DataType::Int32, DataType::Float64]), Some(DataType::Float64));
        assert_eq!(common(&[DataType::Utf8, DataType::Null]), Some(DataType::Utf8));
        assert_eq!(common(&[DataType::Null]), Some(DataType::Null));
    }
}
