//! Aggregates and window functions that PostgreSQL computes otherwise.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{AggregateFunction, Cast, Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast,
};

use crate::engine::gathered;
use crate::error::SqlState;

use super::function::{Result, fault};
use super::{
    Facts, accrued, casts, excluded, expression, framed, joined_bytes, literals, matching, numeric, regrouped, shift, spans, spread,
};

/// What stands for an aggregate.
pub(super) fn aggregated(mut call: AggregateFunction, schema: &DFSchema, facts: Facts) -> Result<AggregateFunction> {
    let name = call.func.name().to_owned();
    matching::aggregated(&name, &call.params.args, schema, facts)?;
    if call.params.distinct {
        let fields = call.params.args.iter().filter_map(|arg| arg.to_field(schema).ok());
        fields.into_iter().try_for_each(|(_, field)| matching::identified(&field, "equality", facts))?;
    }
    if name == "count" && call.params.distinct {
        call.params.args = regrouped::counted(std::mem::take(&mut call.params.args), schema);
    }
    if let Some(function) = standing(&name, &mut call.params.args, schema, facts) {
        call.func = gathered::likewise(&call.func, function);
    }
    delimited(&name, &mut call.params.args, schema);
    joined_bytes::unordered(&call, schema)?;
    sortable(&call.params.order_by, schema, facts)?;
    for key in &mut call.params.order_by {
        key.expr = expression::sort_key(std::mem::take(&mut key.expr), schema);
    }
    // The shortest of intervals, or the longest, is the first in their order.
    if let ("min" | "max", [span]) = (name.as_str(), call.params.args.as_slice())
        && span.get_type(schema).is_ok_and(|found| expression::interval(&found))
    {
        call.params.order_by = vec![spans::order().call(vec![span.clone()]).sort(name == "min", false)];
        call.func = datafusion::functions_aggregate::first_last::first_value_udaf();
    }
    Ok(call)
}

/// What stands for a call over a window.
pub(super) fn windowed(mut call: WindowFunction, schema: &DFSchema, facts: Facts) -> Result<WindowFunction> {
    sortable(&call.params.order_by, schema, facts)?;
    regrouped::window(&mut call, schema);
    for key in &mut call.params.order_by {
        key.expr = expression::sort_key(std::mem::take(&mut key.expr), schema);
    }
    match &call.fun {
        WindowFunctionDefinition::AggregateUDF(function) => {
            let mut function = Arc::clone(function);
            if let Some(standing) = standing(function.name(), &mut call.params.args, schema, facts) {
                function = standing;
            }
            if !call.params.window_frame.start_bound.is_unbounded()
                && let Some(anew) = framed::anew(&function)
            {
                function = anew;
            }
            delimited(function.name(), &mut call.params.args, schema);
            let argument = call.params.args.first().and_then(|arg| arg.get_type(schema).ok());
            if let Some(accounted) = gathered::windowed(&function, argument.as_ref(), whole(&mut call.params)) {
                function = accounted;
            }
            call.fun = WindowFunctionDefinition::AggregateUDF(function);
        }
        WindowFunctionDefinition::WindowUDF(function) => match function.name() {
            "lag" => shift::shifted(&mut call, true, schema, facts)?,
            "lead" => shift::shifted(&mut call, false, schema, facts)?,
            "nth_value" => above_zero(call.params.args.get(1), SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE, "nth_value")?,
            "ntile" => above_zero(call.params.args.first(), SqlState::INVALID_ARGUMENT_FOR_NTILE, "ntile")?,
            _ => {}
        },
    }
    excluded::apart(&mut call, schema)?;
    if let WindowFunctionDefinition::WindowUDF(function) = &call.fun
        && let Some(Ok(argument)) = call.params.args.first().map(|arg| arg.get_type(schema))
        && let Some(charged) = gathered::taking(function, &argument)
    {
        call.fun = WindowFunctionDefinition::WindowUDF(charged);
    }
    Ok(call)
}

/// Has what stands between texts be there once, however many rows there are: each argument is a column, and this one can be long.
fn delimited(name: &str, args: &mut [Expr], schema: &DFSchema) {
    if let ("string_agg", [_, between]) = (name, args)
        && between.get_type(schema).is_ok_and(|found| found == DataType::Utf8 || found == DataType::LargeUtf8)
    {
        *between = cast(std::mem::take(between), DataType::Utf8View);
    }
}

/// Whether all rows of a partition have one frame, so that one result is made for all of them.
///
/// A filter hides how many they are. There the frame ends so far behind each row that it is the same, and each row has a result of its own.
fn whole(params: &mut WindowFunctionParams) -> bool {
    let frame = &params.window_frame;
    let of_all = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => frame.units == WindowFrameUnits::Range && params.order_by.is_empty(),
        bound => bound.is_unbounded(),
    };
    if !of_all(&frame.start_bound) || !of_all(&frame.end_bound) {
        return false;
    }
    if params.filter.is_none() {
        return true;
    }
    let end = WindowFrameBound::Following(ScalarValue::UInt64(Some(BEHIND_ALL_ROWS)));
    params.window_frame = WindowFrame::new_bounds(WindowFrameUnits::Rows, params.window_frame.start_bound.clone(), end);
    false
}

/// As many rows are in no partition.
const BEHIND_ALL_ROWS: u64 = 1 << 40;

/// Refuses keys of types that have no order.
fn sortable(keys: &[Sort], schema: &DFSchema, facts: Facts) -> Result<()> {
    let fields = keys.iter().filter_map(|key| key.expr.to_field(schema).ok());
    fields.into_iter().try_for_each(|(_, field)| matching::identified(&field, "ordering", facts))
}

/// Refuses a constant that is not above zero.
fn above_zero(arg: Option<&Expr>, sqlstate: SqlState, function: &str) -> Result<()> {
    let whole = match arg {
        Some(Expr::Literal(value, _)) => value.cast_to(&DataType::Int64).ok(),
        Some(Expr::Negative(inner)) if matches!(inner.as_ref(), Expr::Literal(..)) => Some(ScalarValue::Int64(Some(-1))),
        _ => None,
    };
    match whole {
        Some(ScalarValue::Int64(Some(..=0))) => Err(fault(sqlstate, &format!("argument of {function} must be greater than zero"))),
        _ => Ok(()),
    }
}

/// What stands for an aggregate of the engine over arguments of these types, which it takes in its own.
fn standing(name: &str, args: &mut [Expr], schema: &DFSchema, facts: Facts) -> Option<Arc<AggregateUDF>> {
    args.iter_mut().take(1).for_each(|arg| exact(name, arg, schema));
    if let Some(function) = spread_of(name, args, schema) {
        return Some(function);
    }
    if facts.lenient {
        return None;
    }
    let types: Vec<DataType> = args.iter().filter_map(|arg| arg.get_type(schema).ok()).collect();
    if let ("string_agg", [found, _], [_, delimiter]) = (name, types.as_slice(), &mut *args)
        && found.is_binary()
    {
        *delimiter = match std::mem::take(delimiter) {
            Expr::Literal(value, _) if value.is_null() => Expr::Literal(ScalarValue::Binary(None), None),
            delimiter => casts::literal_as(delimiter, &DataType::Binary, facts),
        };
        return Some(Arc::new(joined_bytes::joined()));
    }
    let (function, arity) = accrued::standing_for(name)?;
    let fits = |found: &DataType| if arity == 1 { found.is_floating() } else { found.is_numeric() };
    if types.len() != arity || args.len() != arity || !types.iter().all(fits) {
        return None;
    }
    for (arg, found) in args.iter_mut().zip(types) {
        if found != DataType::Float64 {
            *arg = cast(std::mem::take(arg), DataType::Float64);
        }
    }
    Some(Arc::new(function))
}

/// A deviation or a variance of exact numbers, which become numerics.
fn spread_of(name: &str, args: &mut [Expr], schema: &DFSchema) -> Option<Arc<AggregateUDF>> {
    let function = spread::exact(name)?;
    let [arg] = args else { return None };
    let (precision, scale) = numeric::of(&arg.get_type(schema).ok()?)?;
    *arg = cast(std::mem::take(arg), DataType::Decimal128(precision, scale));
    Some(Arc::new(function))
}

/// sum(bigint) is a numeric.
fn exact(function: &str, arg: &mut Expr, schema: &DFSchema) {
    if function == "count" {
        return literals::counted(arg);
    }
    let Ok(found) = arg.get_type(schema) else { return };
    let Some((precision, scale)) = numeric::of(&found) else { return };
    let target = match (function, &found) {
        ("sum", DataType::Int64 | DataType::UInt64) => DataType::Decimal128(precision, scale),
        _ => return,
    };
    let inner = std::mem::replace(arg, Expr::Literal(ScalarValue::Null, None));
    *arg = Expr::Cast(Cast::new(Box::new(inner), target));
}
