//! Casts, and the text of values.

use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo};

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;
use crate::catalog::functions::{self, client};
use crate::catalog::system::{folded, last_part};
use crate::error::{ClientMessage, SqlState};

use super::bind::{Bound, unsupported};
use super::datum::{Datum, Family, Ty, float};
use super::texts;
use super::tree::{Compute, Node, Outcome};

/// The type that a name in a statement stands for.
pub(super) fn ty_of(data_type: &DataType) -> Bound<Ty> {
    let length = |length: &Option<CharacterLength>| match length {
        Some(CharacterLength::IntegerLength { length, .. }) => i32::try_from(*length).map_or(-1, |length| length.saturating_add(4)),
        _ => -1,
    };
    let pg = match data_type {
        DataType::Text => PgType::TEXT,
        DataType::Varchar(size) | DataType::CharVarying(size) | DataType::CharacterVarying(size) => {
            PgType::VARCHAR.with_typmod(length(size))
        }
        DataType::Char(size) | DataType::Character(size) => PgType::BPCHAR.with_typmod(if size.is_some() { length(size) } else { 5 }),
        DataType::Boolean | DataType::Bool => PgType::BOOL,
        DataType::SmallInt(_) | DataType::Int2(_) => PgType::INT2,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => PgType::INT4,
        DataType::BigInt(_) | DataType::Int8(_) => PgType::INT8,
        DataType::Real | DataType::Float4 => PgType::FLOAT4,
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float(ExactNumberInfo::None) => PgType::FLOAT8,
        DataType::Numeric(ExactNumberInfo::None) | DataType::Decimal(ExactNumberInfo::None) => PgType::NUMERIC,
        DataType::Date => PgType::DATE,
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => PgType::TIMESTAMP,
        DataType::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => PgType::TIMESTAMPTZ,
        DataType::Regclass => PgType::REGCLASS,
        DataType::JSON => PgType::JSON,
        DataType::JSONB => PgType::JSONB,
        DataType::Uuid => PgType::UUID,
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => return Ok(ty_of(element)?.array()),
        DataType::Custom(name, modifiers) if modifiers.is_empty() => named(name)?,
        other => return unsupported(format!("type {other}")),
    };
    Ok(pg.into())
}

fn named(name: &ObjectName) -> Bound<PgType> {
    let quoted = name.0.last().and_then(|part| part.as_ident()).is_some_and(|ident| ident.quote_style.is_some());
    let schema = name.0.len().checked_sub(2).and_then(|at| name.0.get(at)).and_then(|part| part.as_ident()).map(folded);
    let last = last_part(name).unwrap_or_default();
    if schema.as_deref().is_some_and(|schema| !matches!(schema, "pg_catalog" | "information_schema")) {
        return unsupported(format!("type {name}"));
    }
    match (last.as_str(), quoted || schema.is_some()) {
        ("char", false) => Ok(PgType::BPCHAR.with_typmod(5)),
        ("sql_identifier", _) => Ok(PgType::NAME),
        ("character_data" | "yes_or_no", _) => Ok(PgType::VARCHAR),
        ("cardinal_number", _) => Ok(PgType::INT4),
        (last, _) => PgType::named(last).map_or_else(|| unsupported(format!("type {name}")), Ok),
    }
}

/// A call of one argument; one over a constant is computed at once.
fn call(node: Node, compute: Compute) -> Bound<Node> {
    if let Node::Const(value) = &node {
        let value = if value.is_null() { Datum::Null } else { compute(std::slice::from_ref(value))? };
        return Ok(Node::Const(value));
    }
    Ok(Node::Call { compute, strict: true, args: vec![node] })
}

/// The expression cast from one type to another.
pub(super) fn cast(node: Node, from: &Ty, to: &Ty, facts: &Arc<SessionFacts>) -> Bound<Node> {
    if from == to || (from.pg.oid == to.pg.oid && to.pg.typmod < 0) {
        return Ok(node);
    }
    match conversion(from, to, facts)? {
        Some(compute) => call(node, compute),
        None => Ok(node),
    }
}

fn one(compute: impl Fn(&Datum) -> Outcome + Send + Sync + 'static) -> Option<Compute> {
    Some(Arc::new(move |args: &[Datum]| compute(args.first().unwrap_or(&Datum::Null))))
}

/// What turns a value of one type into one of another; `None` if it already is one.
fn conversion(from: &Ty, to: &Ty, facts: &Arc<SessionFacts>) -> Bound<Option<Compute>> {
    let (source, target) = (from.clone(), to.clone());
    let known = Arc::clone(facts);
    Ok(match (from.family(), to.family()) {
        (Family::Text, Family::Text) => limit(to),
        (Family::Bool, Family::Text) => one(|value| Ok(if value.is_true() { "true" } else { "false" }.into())),
        (_, Family::Text) => one(move |value| Ok(fitted(&texts::shown(value, &source, &known), &target).into())),
        (Family::Text, _) => one(move |value| parsed(value.as_text(), &target, &known)),
        (Family::Int | Family::Oid | Family::Named, Family::Int) => bounds(to),
        (Family::Int | Family::Oid | Family::Named, Family::Oid | Family::Named) => None,
        (Family::Int, Family::Float) => one(|value| Ok(value.as_int().map(|number| Datum::Float(float(number))).unwrap_or(Datum::Null))),
        (Family::Float, Family::Int) => one(move |value| rounded(value, &target)),
        (Family::Int, Family::Bool) => one(|value| Ok((value.as_int() != Some(0)).into())),
        (Family::Bool, Family::Int) => one(|value| Ok(i64::from(value.is_true()).into())),
        (Family::Instant, Family::Instant) => (to.is(PgType::DATE)).then(|| one(|value| Ok(day(value)))).flatten(),
        (Family::List, Family::List) => {
            let (Some(inner), Some(outer)) = (from.element(), to.element()) else { return unsupported("this cast") };
            let Some(each) = conversion(&inner, &outer, facts)? else { return Ok(None) };
            one(move |value| elementwise(value, &each))
        }
        (one, other) if one == other => None,
        _ => return unsupported(format!("a cast from {} to {}", from.shown(), to.shown())),
    })
}

fn elementwise(value: &Datum, each: &Compute) -> Outcome {
    let Datum::List(list) = value else { return Ok(Datum::Null) };
    let items = list.items.iter().map(|item| if item.is_null() { Ok(Datum::Null) } else { each(std::slice::from_ref(item)) });
    let items = items.collect::<Result<Vec<Datum>, DataFusionError>>()?;
    Ok(Datum::List(Arc::new(super::datum::List { items, first: list.first })))
}

const DAY: i64 = 86_400_000_000;

fn day(value: &Datum) -> Datum {
    if let Datum::Instant(micros) = value { Datum::Instant(micros.div_euclid(DAY) * DAY) } else { Datum::Null }
}

/// Texts of limited length are cut.
fn limit(to: &Ty) -> Option<Compute> {
    let cuts = to.is(PgType::CHAR) || (matches!(to.pg.oid, 1042 | 1043) && to.pg.typmod >= 4);
    let to = to.clone();
    cuts.then(|| one(move |value| Ok(fitted(value.as_text(), &to).into()))).flatten()
}

fn fitted(text: &str, to: &Ty) -> String {
    let length = match to.pg.oid {
        18 => 1,
        1042 | 1043 if to.pg.typmod >= 4 => usize::try_from(to.pg.typmod - 4).unwrap_or(usize::MAX),
        _ => return text.to_owned(),
    };
    text.chars().take(length).collect()
}

fn bounds(to: &Ty) -> Option<Compute> {
    let (low, high) = match to.pg.oid {
        21 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        23 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => return None,
    };
    let name = to.shown();
    one(move |value| match value {
        Datum::Int(number) if (low..=high).contains(number) => Ok(Datum::Int(*number)),
        _ => Err(out_of_range(&name)),
    })
}

fn out_of_range(name: &str) -> DataFusionError {
    client(ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range")))
}

#[expect(clippy::cast_possible_truncation, reason = "the bounds are checked before")]
fn rounded(value: &Datum, to: &Ty) -> Outcome {
    let Datum::Float(number) = value else { return Ok(value.clone()) };
    let number = if to.is(PgType::NUMERIC) { number.round() } else { number.round_ties_even() };
    if !number.is_finite() || number.abs() >= 9.2e18 {
        return Err(out_of_range(&to.shown()));
    }
    match bounds(to) {
        Some(check) => check(&[Datum::Int(number as i64)]),
        None => Ok(Datum::Int(number as i64)),
    }
}

fn invalid(text: &str, to: &Ty) -> DataFusionError {
    let message = format!("invalid input syntax for type {}: \"{text}\"", to.shown());
    client(ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, message))
}

/// The value that a text spells.
pub(super) fn parsed(text: &str, to: &Ty, facts: &Arc<SessionFacts>) -> Outcome {
    let trimmed = text.trim();
    match to.family() {
        Family::Text => Ok(fitted(text, to).into()),
        Family::Bool => truth(trimmed).map(Datum::Bool).ok_or_else(|| invalid(text, to)),
        Family::Int => {
            let number: i64 = trimmed.parse().map_err(|_| invalid(text, to))?;
            match bounds(to) {
                Some(check) => check(&[Datum::Int(number)]),
                None => Ok(Datum::Int(number)),
            }
        }
        Family::Oid => {
            let number: i64 = trimmed.parse().map_err(|_| invalid(text, to))?;
            Ok(Datum::Int(if number < 0 { number + (1 << 32) } else { number }))
        }
        Family::Named => object(trimmed, to, facts),
        Family::Float => trimmed.parse().map(Datum::Float).map_err(|_| invalid(text, to)),
        Family::List => {
            let element = to.element().unwrap_or_else(|| PgType::TEXT.into());
            let vector = matches!(to.pg.oid, 22 | 30);
            let texts = if vector {
                trimmed.split_whitespace().map(|part| Some(part.to_owned())).collect()
            } else {
                texts::elements(trimmed).ok_or_else(|| {
                    let message = format!("malformed array literal: \"{text}\"");
                    client(ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, message))
                })?
            };
            let items = texts.iter().map(|item| item.as_ref().map_or(Ok(Datum::Null), |item| parsed(item, &element, facts)));
            let items = items.collect::<Result<Vec<Datum>, DataFusionError>>()?;
            Ok(Datum::List(Arc::new(super::datum::List { items, first: i64::from(!vector) })))
        }
        Family::Instant => texts::instant(trimmed).map(Datum::Instant).ok_or_else(|| invalid(text, to)),
        Family::Span | Family::Row => Err(invalid(text, to)),
    }
}

fn truth(text: &str) -> Option<bool> {
    let text = text.to_ascii_lowercase();
    let starts = |word: &str| !text.is_empty() && word.starts_with(&text);
    match text.as_str() {
        "1" | "on" => Some(true),
        "0" | "off" | "of" => Some(false),
        _ if starts("true") || starts("yes") => Some(true),
        _ if starts("false") || starts("no") => Some(false),
        _ => None,
    }
}

/// An object by its name.
fn object(text: &str, to: &Ty, facts: &Arc<SessionFacts>) -> Outcome {
    let kind = match reg_kind(to.pg.oid) {
        Some("procedure") => "proc",
        kind => kind.unwrap_or("class"),
    };
    functions::object_named(facts, kind, text).map(|oid| Datum::Int(i64::from(oid)))
}

/// What the number of a reg* type is a number of.
pub(super) fn reg_kind(oid: u32) -> Option<&'static str> {
    Some(match oid {
        2205 => "class",
        2206 => "type",
        24 => "proc",
        2202 => "procedure",
        2203 => "oper",
        2204 => "operator",
        4089 => "namespace",
        4096 => "role",
        4191 => "collation",
        3734 => "config",
        3769 => "dictionary",
        _ => return None,
    })
}
