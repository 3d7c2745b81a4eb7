//! Casts that the engine does otherwise than PostgreSQL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, cast};

use crate::engine::PgType;
use crate::error::{ClientMessage, SqlState};

use super::function::Result;
use super::{Facts, arrays, blanks, carried, castable, infinite, numeric, parse, regs, spans, temporal, text, truncation, typed};

/// The cast of a value of this field, or what stands for it.
pub(super) fn rewritten(cast: Cast, from: &Field, facts: Facts) -> Result<Expr> {
    if !facts.lenient && !matches!(cast.expr.as_ref(), Expr::Placeholder(_)) {
        castable::check(from, &cast.field)?;
    }
    Ok(known(as_deep(cast, from.data_type()), from, facts))
}

/// The cast to an array of as many dimensions as the value has: `int[]` is the type of them all.
fn as_deep(cast: Cast, from: &DataType) -> Cast {
    let to = cast.field.data_type();
    if !matches!((from, to), (DataType::List(_), DataType::List(_))) {
        return cast;
    }
    let to = deepened(from, to);
    let field = Arc::new(cast.field.as_ref().clone().with_data_type(to));
    Cast { field, ..cast }
}

fn deepened(from: &DataType, to: &DataType) -> DataType {
    match (from, to) {
        (DataType::List(inner), DataType::List(element)) => {
            let deep = deepened(inner.data_type(), element.data_type());
            DataType::List(Arc::new(element.as_ref().clone().with_data_type(deep)))
        }
        (DataType::List(inner), leaf) => DataType::List(Arc::new(Field::new_list_field(deepened(inner.data_type(), leaf), true))),
        _ => to.clone(),
    }
}

/// The cast of a type that can be cast.
fn known(cast: Cast, from: &Field, facts: Facts) -> Expr {
    let (named, from) = (typed::named(from), from.data_type());
    let to = cast.field.data_type().clone();
    if to.is_string() {
        if let Some(fault) = styled(from, facts) {
            return fault;
        }
        let target = typed::named(&cast.field).map(str::to_owned);
        let padded = named == Some("bpchar") && target.as_deref() != named;
        let cast = if padded { Cast { expr: Box::new(blanks::without(*cast.expr)), ..cast } } else { cast };
        let value = if text::differs(from) { text::text(facts).call(vec![*cast.expr]) } else { *cast.expr };
        let value = if from.is_string() || text::differs(from) { value } else { datafusion::logical_expr::cast(value, DataType::Utf8) };
        return match target {
            Some(target) => carried::known(value.clone(), &target, named, facts)
                .or_else(|| typed::read(carried::written(value.clone(), named), &target, named))
                .unwrap_or(value),
            None if named.is_some() => typed::plain(carried::written(value, named)),
            None if from.is_string() => Expr::Cast(Cast::new(Box::new(value), to)),
            None => value,
        };
    }
    if let Some(moment) = infinite::recast(&cast.expr, &to) {
        return moment;
    }
    if let Some(number) = named.filter(|_| to.is_integer()).and_then(|kind| regs::number(&cast.expr, kind)) {
        return datafusion::logical_expr::cast(number, to);
    }
    // A number of a jsonb may have digits behind its point.
    if named == Some("jsonb") && to.is_integer() {
        let number = numeric::unconstrained().call(vec![unnamed(*cast.expr)]);
        return datafusion::logical_expr::cast(numeric::rescaled(number, numeric::PRECISION_MAX, 0), to);
    }
    // What the text was a value of is not what the cast answers.
    let cast = if named.is_some() && from.is_string() { Cast { expr: Box::new(unnamed(*cast.expr)), ..cast } } else { cast };
    match &to {
        // Nanoseconds would end in 2262, and a zone is the session's and not the type's.
        DataType::Timestamp(unit, zone) => {
            let to = if zone.is_some() { temporal::instant() } else { temporal::timestamp() };
            let value = converted(*cast.expr, from, to, facts);
            match unit {
                TimeUnit::Second => truncation::rounded(value, 1_000_000),
                TimeUnit::Millisecond => truncation::rounded(value, 1_000),
                TimeUnit::Microsecond | TimeUnit::Nanosecond => value,
            }
        }
        DataType::Time64(_) | DataType::Time32(_) => converted(*cast.expr, from, DataType::Time64(TimeUnit::Microsecond), facts),
        DataType::Interval(_) => converted(*cast.expr, from, temporal::interval(), facts),
        DataType::List(_) if from.is_string() => list_of_text(*cast.expr, &cast.field, facts),
        DataType::List(_) => match arrays::rounded(from, &to) {
            Some(function) => Expr::Cast(Cast { expr: Box::new(function.call(vec![*cast.expr])), ..cast }),
            None if untouched(from, &to) => Expr::Cast(cast),
            None => converted(*cast.expr, from, to, facts),
        },
        DataType::Decimal128(precision, scale) if matches!(from, DataType::Decimal128(_, own) if own > scale) => {
            numeric::rescaled(*cast.expr, *precision, *scale)
        }
        _ if untouched(from, &to) => Expr::Cast(cast),
        _ => converted(*cast.expr, from, to, facts),
    }
}

/// A text as the array that it spells.
fn list_of_text(value: Expr, to: &Field, facts: Facts) -> Expr {
    let pg_type = PgType::of_arrow(to).with_typmod(-1);
    let Some(kind) = pg_type.typname().and_then(|name| typed::list_named(&name)) else {
        return converted(value, &DataType::Utf8, to.data_type().clone(), facts);
    };
    let data_type = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let read = match text_of(&value).map(|text| parse::as_parameter(text, pg_type, &facts.time_zone)) {
        Some(Ok(known)) => Expr::Literal(known, None),
        Some(Err(message)) => parse::failing(message, data_type),
        None => parse::read_as(pg_type, data_type, facts).call(vec![value]),
    };
    typed::known(read, kind)
}

/// A value without the name of its type.
fn unnamed(value: Expr) -> Expr {
    match value {
        Expr::Literal(value, _) => Expr::Literal(value, None),
        value => typed::plain(value),
    }
}

/// The refusal of a text that the session wants written otherwise than it is made here.
pub(super) fn styled(from: &DataType, facts: Facts) -> Option<Expr> {
    let (dates, intervals, bytes) = facts.styled;
    let setting = match from {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 if dates => "DateStyle",
        DataType::Interval(_) | DataType::Duration(_) if intervals => "IntervalStyle",
        found if found.is_binary() && bytes => "bytea_output",
        _ => return None,
    };
    let message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("texts by this {setting} are not supported in expressions"))
        .with_hint(format!("RESET {setting}, or write the text with to_char() or encode()."));
    Some(parse::failing(message, DataType::Utf8))
}

/// Whether the engine's own cast is PostgreSQL's.
fn untouched(from: &DataType, to: &DataType) -> bool {
    let float = matches!(from, DataType::Float16 | DataType::Float32 | DataType::Float64);
    let exact = matches!(from, DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..));
    let rounds = to.is_integer() && (float || exact);
    let local = matches!(from, DataType::Timestamp(_, Some(_))) && matches!(to, DataType::Date32 | DataType::Date64);
    let digits = float && matches!(to, DataType::Decimal128(..));
    !(rounds || local || digits || from.is_string() && !to.is_string())
}

/// A value as one of the type that a function wants.
pub(super) fn of_type(value: Expr, from: &DataType, to: &DataType, facts: Facts) -> Expr {
    if from == to { value } else { converted(value, from, to.clone(), facts) }
}

/// A value of one type as one of another.
fn converted(value: Expr, from: &DataType, to: DataType, facts: Facts) -> Expr {
    if from.is_string() {
        return from_text(value, to, facts);
    }
    match (from, &to) {
        // Not a cast, which the engine would take off where the value is compared with a constant.
        (DataType::Decimal128(precision, 1..), to) if to.is_integer() => cast(numeric::rescaled(value, *precision, 0), to.clone()),
        (DataType::Float16 | DataType::Float32 | DataType::Float64, to) if to.is_integer() => {
            cast(numeric::even().call(vec![value]), to.clone())
        }
        (DataType::Float32 | DataType::Float64, DataType::Decimal128(precision, scale)) => {
            numeric::of_float(*precision, *scale).call(vec![value])
        }
        (DataType::Time32(_) | DataType::Time64(_), DataType::Interval(_)) => spans::time_as_interval().call(vec![value]),
        (DataType::Interval(_) | DataType::Duration(_), DataType::Time64(_)) => spans::interval_as_time().call(vec![value]),
        (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None)) => temporal::in_session(facts, true).call(vec![value]),
        (DataType::Timestamp(_, Some(_)), DataType::Date32 | DataType::Date64 | DataType::Time64(_)) => {
            cast(temporal::in_session(facts, true).call(vec![value]), to)
        }
        (DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64, DataType::Timestamp(_, Some(_))) => {
            temporal::in_session(facts, false).call(vec![value])
        }
        _ => cast(value, to),
    }
}

fn from_text(value: Expr, to: DataType, facts: Facts) -> Expr {
    if let Some(constant) = text_of(&value).and_then(|text| infinite::constant(text, &to)).or_else(|| constant(&value, &to, facts)) {
        return constant;
    }
    if let Some(fault) = text_of(&value).and_then(|text| parse::fault_of(text, &to, facts)) {
        return fault;
    }
    if let Some(function) = parse::read(&to, facts) {
        return function.call(vec![value]);
    }
    if let Some(function) = parse::float(&to).filter(|_| !text_literal(&value)) {
        return function.call(vec![value]);
    }
    if parse::plain(&to).is_some() && !text_literal(&value) {
        return cast(datafusion::functions::string::expr_fn::btrim(vec![value]), to);
    }
    cast(value, to)
}

/// Whether the expression is a text constant.
pub(super) fn text_literal(expr: &Expr) -> bool {
    text_of(expr).is_some()
}

/// The text of a constant.
pub(in crate::engine) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)) | ScalarValue::LargeUtf8(Some(text)), _) => {
            Some(text)
        }
        _ => None,
    }
}

/// A text literal as the value that it spells; `None` leaves the fault to the run.
fn constant(expr: &Expr, to: &DataType, facts: Facts) -> Option<Expr> {
    parse::value(text_of(expr)?, to, facts).map(|value| Expr::Literal(value, None))
}

/// `'1.5e3'::numeric`: the digits that the text has; `None` if it is no constant.
pub(super) fn numeric_constant(expr: &Expr, facts: Facts) -> Option<Expr> {
    let text = text_of(expr)?;
    let number = parse::numeric(text, facts).map(|number| Expr::Literal(number, None));
    let number = number.or_else(|| typed::unbounded(text));
    number.or_else(|| parse::fault_of(text, &DataType::Decimal128(38, 16), facts))
}

/// `'{1.5,2.25}'::numeric[]`; `None` if it is no constant.
pub(super) fn numeric_list(expr: &Expr, facts: Facts) -> Option<Expr> {
    let numerics = DataType::List(Arc::new(Field::new_list_field(DataType::Decimal128(38, 10), true)));
    if let Expr::Literal(value, _) = expr
        && value.is_null()
    {
        return ScalarValue::try_new_null(&numerics).ok().map(|null| Expr::Literal(null, None));
    }
    Some(match parse::as_parameter(text_of(expr)?, PgType::NUMERIC_ARRAY, &facts.time_zone) {
        Ok(list) => Expr::Literal(list, None),
        Err(message) => parse::failing(message, numerics),
    })
}

/// A text literal beside a value of a type is of that type.
pub(super) fn literal_as(expr: Expr, beside: &DataType, facts: Facts) -> Expr {
    if !text_literal(&expr) {
        return expr;
    }
    if let Some(constant) = constant(&expr, beside, facts) {
        return constant;
    }
    if let Some(fault) = text_of(&expr).and_then(|text| parse::fault_of(text, beside, facts)) {
        return fault;
    }
    match parse::read(beside, facts) {
        Some(function) => function.call(vec![expr]),
        None if matches!(beside, DataType::Decimal128(..)) => match text_of(&expr).and_then(|text| parse::numeric(text, facts)) {
            Some(number) => Expr::Literal(number, None),
            None => cast(expr, beside.clone()),
        },
        None if parse::plain(beside).is_some() => cast(expr, beside.clone()),
        None => expr,
    }
}

/// One side of a comparison beside the type of the other.
pub(super) fn comparable(expr: Expr, own: &DataType, beside: &DataType, facts: Facts) -> Expr {
    match (own, beside) {
        (DataType::Timestamp(_, None) | DataType::Date32, DataType::Timestamp(_, Some(_))) => {
            temporal::in_session(facts, false).call(vec![expr])
        }
        _ => literal_as(expr, beside, facts),
    }
}
