//! Operators: which types they take, and what they compute.

use std::cmp::Ordering;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::ast::BinaryOperator;
use regex::RegexBuilder;

use crate::catalog::PgType;
use crate::catalog::functions::client;
use crate::error::{ClientMessage, SqlState};

use super::bind::{Binder, Bound, Typed, unsupported};
use super::datum::{Datum, Family, Ty, float};
use super::tree::{Compute, Node, Outcome};

/// The operator as PostgreSQL spells it, without its schema.
pub(super) fn spelled(op: &BinaryOperator) -> Bound<String> {
    Ok(match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => match parts.split_last() {
            Some((last, rest)) if rest.iter().all(|part| part == "pg_catalog") => last.clone(),
            _ => return unsupported("this operator"),
        },
        BinaryOperator::NotEq => "<>".to_owned(),
        BinaryOperator::Custom(name) => name.clone(),
        op => op.to_string(),
    })
}

/// The type that both sides of a comparison take.
pub(super) fn common(left: &Typed, right: &Typed) -> Bound<Ty> {
    unify([left, right].into_iter())
}

/// The one type that all expressions can take, as UNION, CASE and the like choose it.
pub(super) fn unify<'a>(all: impl Iterator<Item = &'a Typed>) -> Bound<Ty> {
    let mut found: Option<Ty> = None;
    for typed in all.filter(|typed| !typed.unknown) {
        found = Some(match found {
            None => typed.ty.clone(),
            Some(one) => wider(&one, &typed.ty)?,
        });
    }
    Ok(found.unwrap_or_else(|| PgType::TEXT.into()))
}

fn wider(one: &Ty, other: &Ty) -> Bound<Ty> {
    if one.pg.oid == other.pg.oid {
        return Ok(if one.pg.typmod == other.pg.typmod { one.clone() } else { Ty { pg: one.pg.with_typmod(-1), ..one.clone() } });
    }
    let size = |ty: &Ty| match ty.pg.oid {
        21 => 1,
        23 => 2,
        20 => 3,
        1700 => 4,
        700 => 5,
        701 => 6,
        _ => 0,
    };
    Ok(match (one.family(), other.family()) {
        (Family::Int | Family::Float, Family::Int | Family::Float) => {
            let wide = if size(one) >= size(other) { one } else { other };
            wide.pg.with_typmod(-1).into()
        }
        (Family::Oid, Family::Int) | (Family::Named, Family::Int | Family::Oid) => one.clone(),
        (Family::Int, Family::Oid | Family::Named) | (Family::Oid, Family::Named) => other.clone(),
        (Family::Text, Family::Text) if one.is(PgType::CHAR) || other.is(PgType::CHAR) => PgType::TEXT.into(),
        (Family::Text, Family::Text) if [one.pg.oid, other.pg.oid].iter().all(|oid| matches!(oid, 19 | 25 | 1042 | 1043)) => {
            PgType::TEXT.into()
        }
        (Family::Instant, Family::Instant) => {
            if one.is(PgType::DATE) {
                other.clone()
            } else {
                one.clone()
            }
        }
        (Family::List, Family::List) => match (one.element(), other.element()) {
            (Some(left), Some(right)) => wider(&left, &right)?.array(),
            _ => return unsupported("these arrays"),
        },
        (Family::Row, Family::Row) => one.clone(),
        _ => return unsupported(format!("{} beside {}", one.shown(), other.shown())),
    })
}

/// What a comparison is true for.
fn ordering(op: &str) -> Option<fn(Ordering) -> bool> {
    Some(match op {
        "=" => Ordering::is_eq,
        "<>" | "!=" => Ordering::is_ne,
        "<" => Ordering::is_lt,
        "<=" => Ordering::is_le,
        ">" => Ordering::is_gt,
        ">=" => Ordering::is_ge,
        _ => return None,
    })
}

/// A comparison of rows or values; NULL within makes it NULL unless it is decided before.
fn compared(op: &str) -> Option<Compute> {
    let holds = ordering(op)?;
    let equality = matches!(op, "=" | "<>" | "!=");
    Some(Arc::new(move |args: &[Datum]| {
        let [left, right] = args else { return Ok(Datum::Null) };
        Ok(match (left, right) {
            (Datum::Row(left), Datum::Row(right)) => rows(left, right, equality).map(holds).into(),
            (Datum::Null, _) | (_, Datum::Null) => Datum::Null,
            (left, right) => holds(left.cmp(right)).into(),
        })
    }))
}

fn rows(left: &[Datum], right: &[Datum], equality: bool) -> Option<Ordering> {
    let mut unsure = false;
    for (one, other) in left.iter().zip(right) {
        if one.is_null() || other.is_null() {
            if !equality {
                return None;
            }
            unsure = true;
        } else if one.cmp(other) != Ordering::Equal {
            return Some(one.cmp(other));
        }
    }
    if unsure { None } else { Some(Ordering::Equal) }
}

/// An operator over two values: what it computes, and its type. Both sides are cast to what it takes.
pub(super) fn binary(binder: &mut Binder, left: Typed, op: &str, right: Typed) -> Bound<Typed> {
    let (left, right, compute, ty) = resolved(binder, left, op, right)?;
    Ok(Typed::new(Node::Call { compute, strict: true, args: vec![left, right] }, ty))
}

/// Both sides as the operator takes them, the operator, and its type.
pub(super) fn resolved(binder: &mut Binder, left: Typed, op: &str, right: Typed) -> Bound<(Node, Node, Compute, Ty)> {
    if let Some(compute) = compared(op) {
        let ty = common(&left, &right)?;
        // An OID and a regclass, a name and a text are compared as they are.
        let as_is = |typed: &Typed| !typed.unknown && typed.ty.family() == ty.family() && ty.family() != Family::Text;
        let left = if as_is(&left) { left.node } else { side(binder, left, &ty)? };
        let right = if as_is(&right) { right.node } else { side(binder, right, &ty)? };
        return Ok((left, right, compute, PgType::BOOL.into()));
    }
    let text: Ty = PgType::TEXT.into();
    match op {
        "~" | "~*" | "!~" | "!~*" | "~~" | "~~*" | "!~~" | "!~~*" | "LIKE" | "ILIKE" => {
            let compute = pattern(op, &right.node)?;
            Ok((binder.coerce(left, &text)?, binder.coerce(right, &text)?, compute, PgType::BOOL.into()))
        }
        "^@" => {
            let starts: Compute = Arc::new(|args| two(args, |left, right| Ok(left.as_text().starts_with(right.as_text()).into())));
            Ok((binder.coerce(left, &text)?, binder.coerce(right, &text)?, starts, PgType::BOOL.into()))
        }
        "||" => concatenated(binder, left, right),
        "@>" | "<@" | "&&" => sets(binder, left, op, right),
        "+" | "-" | "*" | "/" | "%" | "&" | "|" | "#" | "<<" | ">>" => arithmetic(binder, left, op, right),
        _ => unsupported(format!("operator {op}")),
    }
}

/// A text beside a "char" or a name is compared as text, without cutting it.
fn side(binder: &mut Binder, typed: Typed, ty: &Ty) -> Bound<Node> {
    let cuts = typed.unknown && matches!(typed.node, Node::Const(_)) && (ty.is(PgType::CHAR) || matches!(ty.pg.oid, 1042 | 1043));
    binder.coerce(typed, &if cuts { Ty::from(PgType::TEXT) } else { ty.clone() })
}

fn two(args: &[Datum], compute: impl Fn(&Datum, &Datum) -> Outcome) -> Outcome {
    match args {
        [left, right] => compute(left, right),
        _ => Ok(Datum::Null),
    }
}

/// LIKE and regular expressions. A constant pattern is compiled once.
fn pattern(op: &str, right: &Node) -> Bound<Compute> {
    let negated = op.starts_with('!');
    let folds = op.ends_with('*') || op == "ILIKE";
    let like = op.contains("~~") || op.ends_with("LIKE");
    let compile = move |text: &str| {
        let source = if like { like_source(text)? } else { text.to_owned() };
        regex(&source, folds)
    };
    let fixed = match right {
        // What the planner of products makes of a pattern that is not understood here, it says.
        Node::Const(Datum::Text(text)) => Some(compile(text).or_else(|_| unsupported("this pattern"))?),
        _ => None,
    };
    Ok(Arc::new(move |args| {
        two(args, |left, right| {
            let found = match &fixed {
                Some(fixed) => fixed.is_match(left.as_text()),
                None => compile(right.as_text())?.is_match(left.as_text()),
            };
            Ok((found != negated).into())
        })
    }))
}

/// A regular expression as PostgreSQL reads it, as far as both agree.
pub(super) fn regex(source: &str, folds: bool) -> Result<regex::Regex, DataFusionError> {
    let built = RegexBuilder::new(source).case_insensitive(folds).size_limit(1 << 20).build();
    built.map_err(|_| client(ClientMessage::new(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression")))
}

/// A regular expression that matches what a LIKE pattern does.
fn like_source(pattern: &str) -> Result<String, DataFusionError> {
    let mut source = "(?s)^".to_owned();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => source.push_str(".*"),
            '_' => source.push('.'),
            '\\' => {
                let message = "LIKE pattern must not end with escape character";
                let escaped = letters.next().ok_or_else(|| client(ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, message)))?;
                source.push_str(&regex::escape(escaped.encode_utf8(&mut [0; 4])));
            }
            letter => source.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    source.push('$');
    Ok(source)
}

fn concatenated(binder: &mut Binder, left: Typed, right: Typed) -> Bound<(Node, Node, Compute, Ty)> {
    let lists = (!left.unknown && left.ty.family() == Family::List, !right.unknown && right.ty.family() == Family::List);
    if lists == (false, false) {
        let text: Ty = PgType::TEXT.into();
        let join: Compute = Arc::new(|args| two(args, |left, right| Ok(format!("{}{}", left.as_text(), right.as_text()).into())));
        return Ok((binder.coerce(left, &text)?, binder.coerce(right, &text)?, join, text));
    }
    let list = if lists.0 { left.ty.clone() } else { right.ty.clone() };
    let element = list.element().unwrap_or_else(|| PgType::TEXT.into());
    let as_list = |typed: &Typed| typed.unknown || typed.ty.family() == Family::List;
    let (left_ty, right_ty) =
        (if as_list(&left) { list.clone() } else { element.clone() }, if as_list(&right) { list.clone() } else { element });
    let join: Compute = Arc::new(|args| {
        two(args, |left, right| {
            let part = |side: &Datum| if let Datum::List(list) = side { list.items.clone() } else { vec![side.clone()] };
            Ok(Datum::list(part(left).into_iter().chain(part(right)).collect()))
        })
    });
    Ok((binder.coerce(left, &left_ty)?, binder.coerce(right, &right_ty)?, join, list))
}

fn sets(binder: &mut Binder, left: Typed, op: &str, right: Typed) -> Bound<(Node, Node, Compute, Ty)> {
    let ty = common(&left, &right)?;
    if ty.family() != Family::List {
        return unsupported(format!("operator {op} over {}", ty.shown()));
    }
    let within = |few: &[Datum], many: &[Datum]| few.iter().all(|item| many.contains(item));
    let compute: Compute = match op {
        "@>" => Arc::new(move |args| two(args, |left, right| Ok(within(right.items(), left.items()).into()))),
        "<@" => Arc::new(move |args| two(args, |left, right| Ok(within(left.items(), right.items()).into()))),
        _ => Arc::new(|args| two(args, |left, right| Ok(left.items().iter().any(|item| right.items().contains(item)).into()))),
    };
    Ok((binder.coerce(left, &ty)?, binder.coerce(right, &ty)?, compute, PgType::BOOL.into()))
}

fn arithmetic(binder: &mut Binder, left: Typed, op: &str, right: Typed) -> Bound<(Node, Node, Compute, Ty)> {
    let plain = |typed: &Typed| typed.unknown || matches!(typed.ty.family(), Family::Int | Family::Float);
    if !plain(&left) || !plain(&right) {
        return unsupported(format!("operator {op} over {} and {}", left.ty.shown(), right.ty.shown()));
    }
    let ty = if left.unknown && right.unknown { PgType::INT4.into() } else { common(&left, &right)? };
    if ty.is(PgType::NUMERIC) && matches!(op, "/" | "%") {
        // The scale of a quotient is the products' planner's to choose.
        return unsupported("a quotient of numerics");
    }
    let kind = op.to_owned();
    let shown = ty.shown();
    let limit = match ty.pg.oid {
        21 => i64::from(i16::MAX),
        23 => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    let compute: Compute = Arc::new(move |args| {
        two(args, |left, right| match (left, right) {
            (Datum::Int(left), Datum::Int(right)) => {
                let number = integers(*left, &kind, *right)?;
                match number.filter(|number| (-limit - 1..=limit).contains(number)) {
                    Some(number) => Ok(Datum::Int(number)),
                    None => Err(client(ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{shown} out of range")))),
                }
            }
            (left, right) => floats(number(left), &kind, number(right)),
        })
    });
    Ok((binder.coerce(left, &ty)?, binder.coerce(right, &ty)?, compute, ty))
}

fn number(datum: &Datum) -> f64 {
    match datum {
        Datum::Int(number) => float(*number),
        Datum::Float(number) => *number,
        _ => 0.0,
    }
}

fn by_zero() -> DataFusionError {
    client(ClientMessage::new(SqlState::DIVISION_BY_ZERO, "division by zero"))
}

fn integers(left: i64, op: &str, right: i64) -> Result<Option<i64>, DataFusionError> {
    Ok(match op {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" | "%" if right == 0 => return Err(by_zero()),
        "/" => left.checked_div(right),
        "%" => left.checked_rem(right).or(Some(0)),
        "&" => Some(left & right),
        "|" => Some(left | right),
        "#" => Some(left ^ right),
        "<<" => u32::try_from(right).ok().and_then(|bits| left.checked_shl(bits)),
        _ => u32::try_from(right).ok().and_then(|bits| left.checked_shr(bits)),
    })
}

fn floats(left: f64, op: &str, right: f64) -> Outcome {
    Ok(Datum::Float(match op {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" if right == 0.0 => return Err(by_zero()),
        "/" => left / right,
        _ => left % right,
    }))
}
