//! One expression at a time: what stands for an operator, a literal or an aggregate of the engine.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, InList, ScalarFunction};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, WindowFunctionDefinition};

use crate::engine::TimeZone;
use crate::error::SqlState;

use super::fields::Field;
use super::function::Result;
use super::{Facts, arithmetic, casts, fields, function, literals, numeric, regexes, spans, temporal, text, truncation, typed};

pub(super) fn rewritten(expr: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    expr.transform_up(|expr| one(expr, schema, facts).map(Transformed::yes)).map(|done| done.data)
}

fn one(expr: Expr, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    Ok(match expr {
        Expr::Literal(value, metadata) => literals::typed(value, metadata),
        Expr::BinaryExpr(binary) => operator(binary, schema, facts),
        Expr::Negative(inner) if inner.get_type(schema).is_ok_and(|found| found.is_signed_integer()) => match inner.as_ref() {
            Expr::Literal(value, _) => literals::negated(value).map_or(Expr::Negative(inner), |value| Expr::Literal(value, None)),
            _ => arithmetic::negated(*inner),
        },
        Expr::Cast(cast) => match cast.expr.to_field(schema) {
            Ok((_, from)) => casts::rewritten(cast, &from, facts),
            Err(_) => Expr::Cast(cast),
        },
        Expr::Between(between) => {
            let Between { expr, negated, low, high } = between;
            let beside = |bound: Box<Expr>| Box::new(beside(*bound, &expr, schema, facts));
            let (low, high) = (beside(low), beside(high));
            Expr::Between(Between { expr, negated, low, high })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.into_iter().map(|item| beside(item, &expr, schema, facts)).collect();
            Expr::InList(InList { expr, list, negated })
        }
        Expr::AggregateFunction(mut call) => {
            let name = call.func.name().to_owned();
            call.params.args.iter_mut().take(1).for_each(|arg| exact(&name, arg, schema));
            Expr::AggregateFunction(call)
        }
        Expr::WindowFunction(mut call) => {
            if let WindowFunctionDefinition::AggregateUDF(function) = &call.fun {
                let name = function.name().to_owned();
                call.params.args.iter_mut().take(1).for_each(|arg| exact(&name, arg, schema));
            }
            Expr::WindowFunction(call)
        }
        Expr::ScalarFunction(call) => called(call, schema, facts)?,
        other => other,
    })
}

/// A function that PostgreSQL means otherwise, by its name and the types of its arguments.
fn called(mut call: ScalarFunction, schema: &DFSchema, facts: Facts) -> Result<Expr> {
    let name = call.func.name();
    let type_of = |at: usize| call.args.get(at).and_then(|arg| arg.get_type(schema).ok());
    let replaced = match name {
        "concat" | "concat_ws" | "format" => {
            call.args = call.args.into_iter().map(|arg| shown(arg, schema, facts, true)).collect();
            None
        }
        "round" if call.args.len() == 1 && type_of(0).is_some_and(|found| found.is_floating()) => {
            Some(numeric::even().call(std::mem::take(&mut call.args)))
        }
        "regexp_match" | "regexp_replace" | "regexp_like" => {
            if let Some(pattern) = call.args.get_mut(1) {
                *pattern = regexes::pattern(std::mem::replace(pattern, Expr::Literal(ScalarValue::Null, None)))?;
            }
            None
        }
        // PostgreSQL counts them as integers.
        "cardinality" | "array_length" | "array_position" | "array_upper" | "array_lower" | "array_ndims"
            if type_of(0).is_some_and(|found| found.is_nested()) =>
        {
            return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Int32));
        }
        "regexp_count" | "regexp_instr" => {
            if let Some(pattern) = call.args.get_mut(1) {
                *pattern = regexes::pattern(std::mem::replace(pattern, Expr::Literal(ScalarValue::Null, None)))?;
            }
            return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Int32));
        }
        "gcd" | "lcm" if [type_of(0), type_of(1)].into_iter().flatten().all(|found| matches!(found, DataType::Int16 | DataType::Int32)) => {
            return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Int32));
        }
        // Of whole numbers they are floating-point numbers, of numerics whole ones.
        "round" | "ceil" | "floor" | "trunc" if call.args.len() == 1 => match type_of(0) {
            Some(DataType::Decimal128(precision, scale)) if scale > 0 => {
                return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), numeric::whole(precision, scale)));
            }
            Some(found) if found.is_integer() => {
                return Ok(datafusion::logical_expr::cast(Expr::ScalarFunction(call), DataType::Float64));
            }
            _ => None,
        },
        "date_trunc" => match type_of(1) {
            Some(found) => truncation::truncated(&call.args, &found, facts).transpose()?,
            None => None,
        },
        "date_part" | fields::EXTRACT => match (call.args.as_slice(), type_of(1)) {
            ([field, value], Some(found)) => Some(field_of(field, value, &found, name == "date_part", facts)?),
            _ => None,
        },
        _ => None,
    };
    Ok(replaced.unwrap_or(Expr::ScalarFunction(call)))
}

/// `extract(field from value)`, `date_part(field, value)`.
fn field_of(field: &Expr, value: &Expr, found: &DataType, float: bool, facts: Facts) -> Result<Expr> {
    let Some(text) = casts::text_of(field) else {
        return Err(function::fault(SqlState::FEATURE_NOT_SUPPORTED, "a field of a date or time must be a constant"));
    };
    let field = Field::parse(text).ok_or_else(|| function::fault(SqlState::INVALID_PARAMETER_VALUE, "unit is not recognized"))?;
    let function = fields::extracted(field, found, float, facts).ok_or_else(|| {
        let name = crate::engine::PgType::of_arrow_type(found).format().unwrap_or_default();
        function::fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("this unit is not supported for type {name}"))
    })?;
    Ok(function.call(vec![value.clone()]))
}

/// sum(bigint) and avg() of exact numbers are numerics.
fn exact(function: &str, arg: &mut Expr, schema: &DFSchema) {
    if function == "count" {
        return literals::counted(arg);
    }
    let Ok(found) = arg.get_type(schema) else { return };
    let Some((precision, scale)) = numeric::of(&found) else { return };
    let target = match (function, &found) {
        ("sum", DataType::Int64 | DataType::UInt64) => DataType::Decimal128(precision, scale),
        // The engine's mean has four digits more than its argument.
        ("avg" | "mean", _) if scale < numeric::QUOTIENT_SCALE - 4 => {
            let more = numeric::QUOTIENT_SCALE - 4 - scale;
            let precision = precision.saturating_add(more.unsigned_abs()).min(34);
            DataType::Decimal128(precision, numeric::QUOTIENT_SCALE - 4)
        }
        _ => return,
    };
    let inner = std::mem::replace(arg, Expr::Literal(ScalarValue::Null, None));
    *arg = Expr::Cast(Cast::new(Box::new(inner), target));
}

/// A value as text where PostgreSQL's text differs from the engine's.
fn shown(expr: Expr, schema: &DFSchema, facts: Facts, letters: bool) -> Expr {
    match expr.get_type(schema) {
        Ok(found) if text::differs(&found) => text::text(facts).call(vec![expr]),
        Ok(DataType::Boolean) if letters => text::letter().call(vec![expr]),
        _ => expr,
    }
}

fn operator(binary: BinaryExpr, schema: &DFSchema, facts: Facts) -> Expr {
    let BinaryExpr { left, op, right } = binary;
    let (left, right) = (*left, *right);
    let (Ok(left_type), Ok(right_type)) = (left.get_type(schema), right.get_type(schema)) else { return plain(left, op, right) };
    match op {
        // Arrays and bytes are joined as they are.
        Operator::StringConcat if [&left_type, &right_type].into_iter().any(|found| found.is_nested() || found.is_binary()) => {
            plain(left, op, right)
        }
        Operator::StringConcat => {
            let (left, right) = (shown(left, schema, facts, false), shown(right, schema, facts, false));
            plain(left, op, right)
        }
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide => {
            computed((left, left_type), op, (right, right_type), facts)
        }
        Operator::Eq
        | Operator::NotEq
        | Operator::Lt
        | Operator::LtEq
        | Operator::Gt
        | Operator::GtEq
        | Operator::IsDistinctFrom
        | Operator::IsNotDistinctFrom => {
            if interval(&left_type) && interval(&right_type) {
                return plain(spans::order().call(vec![left]), op, spans::order().call(vec![right]));
            }
            let (left, right) = (beside(left.clone(), &right, schema, facts), beside(right, &left, schema, facts));
            plain(left, op, right)
        }
        op => plain(left, op, right),
    }
}

/// An expression that is compared with another one.
fn beside(expr: Expr, other: &Expr, schema: &DFSchema, facts: Facts) -> Expr {
    let (Ok(own), Ok((_, field))) = (expr.get_type(schema), other.to_field(schema)) else { return expr };
    if typed::named(&field) == Some("uuid") && casts::text_of(&expr).is_some() {
        return typed::uuid_constant(expr);
    }
    let other = field.data_type().clone();
    let expr = if other == DataType::Date32 { midnight(expr, schema) } else { expr };
    casts::comparable(expr, &own, &other, facts)
}

/// A date and whole days or months is a timestamp at midnight, which beside a date is that date; so it can still prune files.
fn midnight(expr: Expr, schema: &DFSchema) -> Expr {
    let Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Plus | Operator::Minus), right }) = &expr else { return expr };
    let (Expr::Cast(cast), Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), _)) = (left.as_ref(), right.as_ref()) else {
        return expr;
    };
    let whole = span.nanoseconds == 0 && matches!(cast.field.data_type(), DataType::Timestamp(_, None));
    if whole && cast.expr.get_type(schema).is_ok_and(|found| found == DataType::Date32) {
        return plain(cast.expr.as_ref().clone(), *op, right.as_ref().clone());
    }
    expr
}

fn plain(left: Expr, op: Operator, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

fn computed(left: (Expr, DataType), op: Operator, right: (Expr, DataType), facts: Facts) -> Expr {
    let ((left, left_type), (right, right_type)) = (left, right);
    if left_type.is_integer() && right_type.is_integer() {
        if op == Operator::Divide {
            return plain(left, op, right);
        }
        return arithmetic::checked(op, left, right);
    }
    if left_type.is_temporal() || right_type.is_temporal() || interval(&left_type) || interval(&right_type) {
        return calendar((left, left_type), op, (right, right_type), facts);
    }
    if (left_type.is_floating() || right_type.is_floating()) && left_type.is_numeric() && right_type.is_numeric() {
        return arithmetic::checked(op, left, right);
    }
    let (Some(left_digits), Some(right_digits)) = (numeric::of(&left_type), numeric::of(&right_type)) else {
        return plain(left, op, right);
    };
    match op {
        Operator::Divide => numeric::quotient().call(vec![left, right]),
        Operator::Multiply if numeric::cut_scale(left_digits, right_digits).is_some() => numeric::product().call(vec![left, right]),
        op => plain(left, op, right),
    }
}

fn interval(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
}

/// Arithmetic with dates, times and intervals.
fn calendar(left: (Expr, DataType), op: Operator, right: (Expr, DataType), facts: Facts) -> Expr {
    let ((left, left_type), (right, right_type)) = (left, right);
    let moment = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
    let zoned = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, Some(_)));
    let date = |data_type: &DataType| matches!(data_type, DataType::Date32);
    match op {
        Operator::Multiply if interval(&left_type) && right_type.is_numeric() => temporal::scaled().call(vec![left, right]),
        Operator::Multiply if left_type.is_numeric() && interval(&right_type) => temporal::scaled().call(vec![right, left]),
        Operator::Divide if interval(&left_type) && right_type.is_numeric() => temporal::divided(left, right),
        // A text beside a moment is an interval when it is added, and a moment when it is taken away from one.
        Operator::Plus if moment(&left_type) && casts::text_literal(&right) => {
            let right = casts::literal_as(right, &temporal::interval(), facts);
            calendar((left, left_type), op, (right, temporal::interval()), facts)
        }
        Operator::Plus | Operator::Minus if zoned(&left_type) && interval(&right_type) && facts.time_zone != TimeZone::default() => {
            truncation::moved(facts, op == Operator::Minus).call(vec![left, right])
        }
        Operator::Plus if interval(&left_type) && zoned(&right_type) => calendar((right, right_type), op, (left, left_type), facts),
        Operator::Plus | Operator::Minus if date(&left_type) && interval(&right_type) => plain(as_timestamp(left), op, right),
        Operator::Plus if interval(&left_type) && date(&right_type) => plain(left, op, as_timestamp(right)),
        Operator::Minus
            if moment(&left_type) && moment(&right_type)
                || moment(&left_type) && date(&right_type)
                || date(&left_type) && moment(&right_type) =>
        {
            let left = casts::comparable(left, &left_type, &right_type, facts);
            let right = casts::comparable(right, &right_type, &left_type, facts);
            temporal::difference().call(vec![left, right])
        }
        Operator::Minus if date(&left_type) && date(&right_type) => datafusion::logical_expr::cast(plain(left, op, right), DataType::Int32),
        op => plain(left, op, right),
    }
}

fn as_timestamp(date: Expr) -> Expr {
    datafusion::logical_expr::cast(date, DataType::Timestamp(TimeUnit::Microsecond, None))
}
