//! Scalar functions over texts, numbers, arrays and times.

use std::sync::Arc;

use crate::catalog::PgType;
use crate::catalog::functions::client;
use crate::error::{ClientMessage, SqlState};

use super::aggregates::shared;
use super::bind::{Binder, Bound, Typed, unsupported};
use super::datum::{Datum, Family, Ty};
use super::expr::lenient;
use super::run::{Failure, VALUE_BYTES_MAX};
use super::tree::{Compute, Node, Outcome};
use super::{casts, json, operators, texts};

type Simple = fn(&[Datum]) -> Outcome;

/// `substring(text from pattern)`.
const SUBSTRING_MATCHED: (&[PgType], PgType, Simple) = (&[TEXT, TEXT], TEXT, matched_part);

const TEXT: PgType = PgType::TEXT;
const INT: PgType = PgType::INT4;
const TEXTS: PgType = PgType::TEXT_ARRAY;

/// A call of a function of this file; `None` if there is none of that name for so many arguments.
pub(super) fn bind(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Option<Typed>> {
    if let Some(found) = polymorphic(binder, name, args)? {
        return Ok(Some(found));
    }
    if let Some(found) = arrays(binder, name, args)? {
        return Ok(Some(found));
    }
    let found = match args {
        // A constant whose type nothing tells is a pattern here, as to PostgreSQL.
        [_, second] if name == "substring" && (second.unknown || second.ty.family() == Family::Text) => SUBSTRING_MATCHED,
        _ => match simple(name, args.len()) {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    let (takes, returns, compute) = found;
    let mut nodes = Vec::with_capacity(args.len());
    for (typed, pg) in args.iter().zip(takes) {
        nodes.push(binder.coerce(typed.clone(), &(*pg).into())?);
    }
    Ok(Some(Typed::new(Node::Call { compute: Arc::new(compute), strict: true, args: nodes }, returns)))
}

fn at(args: &[Datum], index: usize) -> &str {
    args.get(index).map_or("", Datum::as_text)
}

fn int(args: &[Datum], index: usize) -> i64 {
    args.get(index).and_then(Datum::as_int).unwrap_or(0)
}

fn letters(args: &[Datum]) -> Vec<char> {
    at(args, 0).chars().collect()
}

/// What the first argument's letters are trimmed of.
fn trimmed<'a>(args: &'a [Datum], cut: fn(&'a str, &[char]) -> &'a str) -> Outcome {
    let set: Vec<char> = if args.len() > 1 { at(args, 1).chars().collect() } else { vec![' '] };
    Ok(cut(at(args, 0), &set).into())
}

/// The arguments' types, the result's, and what it computes.
fn simple(name: &str, count: usize) -> Option<(&'static [PgType], PgType, Simple)> {
    Some(match (name, count) {
        ("lower", 1) => (&[TEXT], TEXT, |args| Ok(at(args, 0).to_lowercase().into())),
        ("upper", 1) => (&[TEXT], TEXT, |args| Ok(at(args, 0).to_uppercase().into())),
        ("length" | "char_length" | "character_length", 1) => (&[TEXT], INT, |args| Ok(at(args, 0).chars().count().into())),
        ("octet_length", 1) => (&[TEXT], INT, |args| Ok(at(args, 0).len().into())),
        ("reverse", 1) => (&[TEXT], TEXT, |args| Ok(at(args, 0).chars().rev().collect::<String>().into())),
        ("ascii", 1) => (&[TEXT], INT, |args| Ok(i64::from(at(args, 0).chars().next().map_or(0, u32::from)).into())),
        ("chr", 1) => (&[INT], TEXT, |args| Ok(u32::try_from(int(args, 0)).ok().and_then(char::from_u32).map(String::from).into())),
        ("replace", 3) => (&[TEXT, TEXT, TEXT], TEXT, |args| {
            grows_by(at(args, 0), at(args, 2))?;
            Ok(if at(args, 1).is_empty() { at(args, 0).into() } else { at(args, 0).replace(at(args, 1), at(args, 2)).into() })
        }),
        ("strpos", 2) => (&[TEXT, TEXT], INT, |args| {
            let found = at(args, 0).find(at(args, 1)).and_then(|byte| at(args, 0).get(..byte));
            Ok(found.map_or(0, |before| before.chars().count() + 1).into())
        }),
        ("starts_with", 2) => (&[TEXT, TEXT], PgType::BOOL, |args| Ok(at(args, 0).starts_with(at(args, 1)).into())),
        ("split_part", 3) => (&[TEXT, TEXT, INT], TEXT, split_part),
        ("substr" | "substring", 2) => (&[TEXT, INT], TEXT, |args| Ok(part(args, None).into())),
        ("substr" | "substring", 3) => (&[TEXT, INT, INT], TEXT, |args| Ok(part(args, Some(int(args, 2))).into())),
        ("left", 2) => (&[TEXT, INT], TEXT, |args| {
            let (letters, count) = (letters(args), int(args, 1));
            let kept = if count < 0 { letters.len().saturating_sub(size(-count)) } else { size(count) };
            Ok(letters.into_iter().take(kept).collect::<String>().into())
        }),
        ("right", 2) => (&[TEXT, INT], TEXT, |args| {
            let (letters, count) = (letters(args), int(args, 1));
            let skipped = if count < 0 { size(-count) } else { letters.len().saturating_sub(size(count)) };
            Ok(letters.into_iter().skip(skipped).collect::<String>().into())
        }),
        ("ltrim", 1 | 2) => (&[TEXT, TEXT], TEXT, |args| trimmed(args, |text, set| text.trim_start_matches(set))),
        ("rtrim", 1 | 2) => (&[TEXT, TEXT], TEXT, |args| trimmed(args, |text, set| text.trim_end_matches(set))),
        ("btrim" | "trim", 1 | 2) => (&[TEXT, TEXT], TEXT, |args| trimmed(args, |text, set| text.trim_matches(set))),
        ("initcap", 1) => (&[TEXT], TEXT, |args| Ok(initcap(at(args, 0)).into())),
        ("regexp_replace", 3) => (&[TEXT, TEXT, TEXT], TEXT, |args| replaced(args, "")),
        ("regexp_replace", 4) => (&[TEXT, TEXT, TEXT, TEXT], TEXT, |args| replaced(args, at(args, 3))),
        ("regexp_match", 2) => (&[TEXT, TEXT], TEXTS, matched),
        ("regexp_split_to_array", 2) => (&[TEXT, TEXT], TEXTS, |args| {
            let parts = operators::regex(at(args, 1), false)?;
            Ok(Datum::list(parts.split(at(args, 0)).map(Datum::from).collect()))
        }),
        ("string_to_array", 2) => (&[TEXT, TEXT], TEXTS, |args| Ok(Datum::list(split(at(args, 0), at(args, 1))))),
        ("age", 1) => (&[PgType::XID], INT, |_| Ok(0i64.into())),
        _ => return None,
    })
}

fn size(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

fn split_part(args: &[Datum]) -> Outcome {
    let parts: Vec<&str> = if at(args, 1).is_empty() { vec![at(args, 0)] } else { at(args, 0).split(at(args, 1)).collect() };
    let index = int(args, 2);
    let place = match index {
        0 => {
            let message = "field position must not be zero";
            return Err(client(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, message)));
        }
        index if index > 0 => Some(size(index - 1)),
        index => parts.len().checked_sub(size(-index)),
    };
    Ok(place.and_then(|place| parts.get(place)).copied().unwrap_or("").into())
}

/// The separator's parts; an empty one leaves the text whole.
pub(super) fn split(text: &str, separator: &str) -> Vec<Datum> {
    match (text, separator) {
        ("", _) => Vec::new(),
        (text, "") => vec![text.into()],
        (text, separator) => text.split(separator).map(Datum::from).collect(),
    }
}

fn part(args: &[Datum], length: Option<i64>) -> String {
    let start = int(args, 1);
    let end = length.map_or(i64::MAX, |length| start.saturating_add(length.max(0)));
    (1..).zip(at(args, 0).chars()).filter(|(number, _)| (start..end).contains(number)).map(|(_, letter)| letter).collect()
}

fn initcap(text: &str) -> String {
    let mut inside = false;
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if inside {
            shown.extend(letter.to_lowercase())
        } else {
            shown.extend(letter.to_uppercase())
        }
        inside = letter.is_alphanumeric();
    }
    shown
}

/// Each letter of a text may be replaced, by what may itself name the text.
fn grows_by(text: &str, with: &str) -> Result<(), datafusion::error::DataFusionError> {
    if text.len().saturating_mul(with.len()) > VALUE_BYTES_MAX.saturating_mul(4) { Err(Failure::TooMuch.into()) } else { Ok(()) }
}

fn replaced(args: &[Datum], flags: &str) -> Outcome {
    let pattern = operators::regex(at(args, 1), flags.contains('i'))?;
    // `\1` here is `${1}` there, and a dollar is only a dollar.
    let mut with = String::new();
    let mut letters = at(args, 2).chars();
    while let Some(letter) = letters.next() {
        match letter {
            '$' => with.push_str("$$"),
            '\\' => match letters.next() {
                Some(digit) if digit.is_ascii_digit() => with.push_str(&format!("${{{digit}}}")),
                Some('&') => with.push_str("${0}"),
                Some(other) => with.push(other),
                None => {}
            },
            letter => with.push(letter),
        }
    }
    let text = at(args, 0);
    grows_by(text, &with)?;
    Ok(if flags.contains('g') { pattern.replace_all(text, with) } else { pattern.replace(text, with) }.as_ref().into())
}

fn matched(args: &[Datum]) -> Outcome {
    let pattern = operators::regex(at(args, 1), false)?;
    let Some(found) = pattern.captures(at(args, 0)) else { return Ok(Datum::Null) };
    let group = |index: usize| found.get(index).map(|group| group.as_str()).into();
    Ok(Datum::list(if found.len() == 1 { vec![group(0)] } else { (1..found.len()).map(group).collect() }))
}

/// What the pattern's first group has matched, or all of it if there is no group.
fn matched_part(args: &[Datum]) -> Outcome {
    let pattern = operators::regex(at(args, 1), false)?;
    let Some(found) = pattern.captures(at(args, 0)) else { return Ok(Datum::Null) };
    Ok(found.get(usize::from(found.len() > 1)).map(|part| part.as_str()).into())
}

/// Functions whose type is that of their arguments.
fn polymorphic(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Option<Typed>> {
    let typed = match name {
        "coalesce" => {
            let (nodes, typed) = binder.unified(args.to_vec())?;
            Typed { node: Node::Coalesce(nodes), ..typed }
        }
        "nullif" if args.len() == 2 => {
            let [left, right] = args else { return Ok(None) };
            let equal = binder.operator(left.clone(), "=", right.clone())?;
            let left = binder.settled(left.clone())?;
            Typed::new(Node::Case { arms: vec![(equal.node, Node::Const(Datum::Null))], otherwise: Box::new(left.node) }, left.ty)
        }
        "greatest" | "least" => {
            let (nodes, typed) = binder.unified(args.to_vec())?;
            let largest = name == "greatest";
            let pick = move |args: &[Datum]| {
                let known = args.iter().filter(|value| !value.is_null());
                if largest { known.max() } else { known.min() }.cloned().unwrap_or(Datum::Null)
            };
            Typed { node: lenient(pick, nodes), ..typed }
        }
        "concat" | "concat_ws" => concat(binder, name, args)?,
        "abs" | "ceil" | "ceiling" | "floor" | "round" | "sign" if args.len() == 1 => number(binder, name, args)?,
        "mod" if args.len() == 2 => match args {
            [left, right] => binder.operator(left.clone(), "%", right.clone())?,
            _ => return Ok(None),
        },
        "now" | "transaction_timestamp" | "statement_timestamp" | "current_timestamp" | "clock_timestamp" if args.is_empty() => {
            Typed::new(Node::Const(Datum::Instant(binder.facts.statement_started_micros)), PgType::TIMESTAMPTZ)
        }
        "date_part" => match args {
            [part, time] => match &part.node {
                Node::Const(Datum::Text(part)) => binder.part_of_time(&part.to_lowercase(), time.clone())?,
                _ => return unsupported("date_part"),
            },
            _ => return Ok(None),
        },
        "to_json" | "to_jsonb" | "row_to_json" => match args {
            [value] => {
                let value = binder.settled(value.clone())?;
                let (ty, facts) = (value.ty.clone(), Arc::clone(&binder.facts));
                let compute: Compute = Arc::new(move |args| Ok(args.first().map(|value| json::written(value, &ty, &facts)).into()));
                let returns = if name == "to_jsonb" { PgType::JSONB } else { PgType::JSON };
                Typed::new(Node::Call { compute, strict: true, args: vec![value.node] }, returns)
            }
            _ => return Ok(None),
        },
        "to_char" => match args {
            [time, pattern] => match &pattern.node {
                Node::Const(Datum::Text(pattern)) if time.ty.family() == Family::Instant && !time.unknown => written_time(time, pattern)?,
                _ => return unsupported("to_char"),
            },
            _ => return Ok(None),
        },
        "json_build_object" | "jsonb_build_object" | "json_build_array" | "jsonb_build_array" => built(binder, name, args)?,
        "timezone" => match args {
            [zone, time] => binder.at_zone(time.clone(), zone)?,
            _ => return Ok(None),
        },
        "pg_typeof" => match args {
            [value] => {
                let oid = if value.unknown { PgType::UNKNOWN.oid } else { value.ty.pg.oid };
                Typed::new(Node::Const(i64::from(oid).into()), PgType::REGTYPE)
            }
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(typed))
}

/// `to_char` of a time, in UTC, with the patterns that are numbers.
fn written_time(time: &Typed, pattern: &str) -> Bound<Typed> {
    let fields = [
        ("YYYY", "%Y"),
        ("HH24", "%H"),
        ("HH12", "%I"),
        ("HH", "%I"),
        ("MI", "%M"),
        ("MM", "%m"),
        ("DD", "%d"),
        ("SS", "%S"),
        ("MS", "%3f"),
        ("US", "%6f"),
        ("TZ", "UTC"),
    ];
    let mut format = String::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if let Some((field, written)) = fields.iter().find(|(field, _)| rest.starts_with(field)) {
            format.push_str(written);
            rest = rest.get(field.len()..).unwrap_or_default();
        } else if letter.is_ascii_alphanumeric() || letter == '"' || letter == '%' {
            return unsupported("this pattern of to_char");
        } else {
            format.push(letter);
            rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        }
    }
    let compute: Compute = Arc::new(move |args| {
        let Some(Datum::Instant(micros)) = args.first() else { return Ok(Datum::Null) };
        Ok(chrono::DateTime::from_timestamp_micros(*micros).map(|at| at.format(&format).to_string()).into())
    });
    Ok(Typed::new(Node::Call { compute, strict: true, args: vec![time.node.clone()] }, TEXT))
}

fn concat(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Typed> {
    let mut nodes = Vec::with_capacity(args.len());
    let mut types = Vec::with_capacity(args.len());
    for typed in args {
        let typed = binder.settled(typed.clone())?;
        types.push(typed.ty);
        nodes.push(typed.node);
    }
    let facts = Arc::clone(&binder.facts);
    let separated = name == "concat_ws";
    let join = move |args: &[Datum]| {
        let mut parts = args.iter().zip(&types).map(|(value, ty)| (!value.is_null()).then(|| texts::shown(value, ty, &facts)));
        if !separated {
            return parts.flatten().collect::<String>().into();
        }
        match parts.next().flatten() {
            Some(separator) => parts.flatten().collect::<Vec<String>>().join(&separator).into(),
            None => Datum::Null,
        }
    };
    Ok(Typed::new(lenient(join, nodes), TEXT))
}

fn number(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Typed> {
    let Some(value) = args.first().cloned() else { return unsupported("no argument") };
    let family = value.ty.family();
    if value.unknown || !matches!(family, Family::Int | Family::Float) {
        return unsupported(format!("{name} of what is no number"));
    }
    let ty = match (name, family) {
        ("abs", _) | (_, Family::Float) => value.ty.clone(),
        _ => PgType::FLOAT8.into(),
    };
    let numeric = ty.is(PgType::NUMERIC);
    let name = name.to_owned();
    let node = binder.coerce(value, &ty)?;
    let compute: Compute = Arc::new(move |args| {
        Ok(match args.first() {
            Some(Datum::Int(number)) => Datum::Int(number.saturating_abs()),
            Some(Datum::Float(number)) => Datum::Float(match name.as_str() {
                "abs" => number.abs(),
                "floor" => number.floor(),
                "sign" => {
                    if *number == 0.0 {
                        0.0
                    } else {
                        number.signum()
                    }
                }
                "round" if numeric => number.round(),
                "round" => number.round_ties_even(),
                _ => number.ceil(),
            }),
            _ => Datum::Null,
        })
    });
    Ok(Typed::new(Node::Call { compute, strict: true, args: vec![node] }, ty))
}

fn built(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Typed> {
    let mut nodes = Vec::with_capacity(args.len());
    let mut types = Vec::with_capacity(args.len());
    for typed in args {
        let typed = binder.settled(typed.clone())?;
        types.push(typed.ty);
        nodes.push(typed.node);
    }
    let facts = Arc::clone(&binder.facts);
    let (binary, array) = (name.starts_with("jsonb"), name.ends_with("array"));
    let write = move |args: &[Datum]| {
        let all: Vec<(&Datum, &Ty)> = args.iter().zip(&types).collect();
        if array {
            let items: Vec<String> = all.iter().map(|(value, ty)| json::written(value, ty, &facts)).collect();
            return format!("[{}]", items.join(", ")).into();
        }
        let entry = |pair: &[(&Datum, &Ty)]| match pair {
            [(key, key_ty), (value, ty)] => {
                let colon = if binary { ": " } else { " : " };
                format!("{}{colon}{}", json::key(key, Some(key_ty), &facts), json::written(value, ty, &facts))
            }
            _ => String::new(),
        };
        let entries: Vec<String> = all.chunks(2).map(entry).collect();
        format!("{{{}}}", entries.join(", ")).into()
    };
    Ok(Typed::new(lenient(write, nodes), if binary { PgType::JSONB } else { PgType::JSON }))
}

/// Functions over arrays.
fn arrays(binder: &mut Binder, name: &str, args: &[Typed]) -> Bound<Option<Typed>> {
    let list_at = |index: usize| args.get(index).filter(|typed| !typed.unknown && typed.ty.family() == Family::List);
    let Some(array) = list_at(0).or_else(|| list_at(1)) else { return Ok(None) };
    let (ty, element) = (array.ty.clone(), array.ty.element().unwrap_or_else(|| TEXT.into()));
    let mut nodes = Vec::with_capacity(args.len());
    for (index, typed) in args.iter().enumerate() {
        nodes.push(match (name, index) {
            ("array_to_string", 1 | 2) => binder.coerce(typed.clone(), &TEXT.into())?,
            ("array_append" | "array_position" | "array_positions" | "array_remove", 1) | ("array_prepend", 0) => {
                let to = if element.is(PgType::CHAR) { TEXT.into() } else { element.clone() };
                binder.coerce(typed.clone(), &to)?
            }
            ("array_cat", _) => binder.coerce(typed.clone(), &ty)?,
            ("array_length" | "array_upper" | "array_lower", 1) => binder.coerce(typed.clone(), &INT.into())?,
            _ => typed.node.clone(),
        });
    }
    let first = |args: &[Datum]| if let Some(Datum::List(list)) = args.first() { Arc::clone(list) } else { Arc::default() };
    let bound = move |args: &[Datum], of: fn(i64, i64) -> i64| {
        let list = first(args);
        let count = i64::try_from(list.items.len()).unwrap_or(0);
        (int(args, 1) == 1 && count > 0).then(|| of(list.first, count)).into()
    };
    let (returns, compute): (Ty, Compute) = match (name, args.len()) {
        ("array_length", 2) => (INT.into(), Arc::new(move |args| Ok(bound(args, |_, count| count)))),
        ("array_upper", 2) => (INT.into(), Arc::new(move |args| Ok(bound(args, |low, count| low + count - 1)))),
        ("array_lower", 2) => (INT.into(), Arc::new(move |args| Ok(bound(args, |low, _| low)))),
        ("array_ndims", 1) => (INT.into(), Arc::new(move |args| Ok((!first(args).items.is_empty()).then_some(1i64).into()))),
        ("cardinality", 1) => (INT.into(), Arc::new(move |args| Ok(first(args).items.len().into()))),
        ("array_position", 2) => (
            INT.into(),
            Arc::new(move |args| {
                let list = first(args);
                let place = args.get(1).and_then(|item| list.items.iter().position(|other| other == item));
                Ok(place.and_then(|place| i64::try_from(place).ok()).map(|place| place + list.first).into())
            }),
        ),
        ("array_append" | "array_cat" | "array_prepend", 2) => {
            return binder.operator(array_or(args, 0), "||", array_or(args, 1)).map(Some);
        }
        ("array_remove", 2) => (
            ty,
            Arc::new(move |args| {
                let list = first(args);
                Ok(Datum::list(list.items.iter().filter(|item| Some(*item) != args.get(1)).cloned().collect()))
            }),
        ),
        ("array_to_string", 2 | 3) => {
            let facts = Arc::clone(&binder.facts);
            let join = move |args: &[Datum]| {
                let list = first(args);
                let shown = |item: &Datum| match item {
                    Datum::Null => args.get(2).filter(|text| !text.is_null()).map(|text| text.as_text().to_owned()),
                    item => Some(texts::shown(item, &element, &facts)),
                };
                let parts: Vec<String> = list.items.iter().filter_map(shown).collect();
                if args.first().is_none_or(Datum::is_null) { Datum::Null } else { parts.join(at(args, 1)).into() }
            };
            return Ok(Some(Typed::new(lenient(join, nodes), TEXT)));
        }
        _ => return Ok(None),
    };
    Ok(Some(Typed::new(Node::Call { compute, strict: true, args: nodes }, returns)))
}

fn array_or(args: &[Typed], index: usize) -> Typed {
    args.get(index).cloned().unwrap_or_else(|| Typed::unknown(Node::Const(Datum::Null)))
}

impl Binder {
    /// `extract(part FROM time)`.
    pub(super) fn part_of_time(&mut self, part: &str, typed: Typed) -> Bound<Typed> {
        if part != "epoch" || typed.unknown || !matches!(typed.ty.family(), Family::Instant | Family::Span) {
            return unsupported("this part of a time");
        }
        let compute: Compute = Arc::new(|args| {
            Ok(match args.first() {
                Some(Datum::Instant(micros) | Datum::Span(micros)) => Datum::Float(*micros as f64 / 1e6),
                _ => Datum::Null,
            })
        });
        Ok(Typed::new(Node::Call { compute, strict: true, args: vec![typed.node] }, PgType::FLOAT8))
    }

    /// `time AT TIME ZONE zone`, for the one zone whose days are all alike.
    pub(super) fn at_zone(&mut self, time: Typed, zone: &Typed) -> Bound<Typed> {
        let utc = matches!(&zone.node, Node::Const(Datum::Text(zone)) if matches!(zone.to_lowercase().as_str(), "utc" | "gmt" | "z"));
        let to = match time.ty.pg.oid {
            1114 => PgType::TIMESTAMPTZ,
            1184 => PgType::TIMESTAMP,
            _ => return unsupported("AT TIME ZONE"),
        };
        if !utc || time.unknown {
            return unsupported("AT TIME ZONE");
        }
        Ok(Typed::new(time.node, to))
    }

    /// The expressions in the type that they share.
    pub(super) fn in_shared(&mut self, all: &[Typed]) -> Bound<(Vec<Node>, Ty)> {
        let ty = shared(all)?;
        let mut nodes = Vec::with_capacity(all.len());
        for typed in all {
            nodes.push(if typed.unknown {
                self.coerce(typed.clone(), &ty)?
            } else {
                casts::cast(typed.node.clone(), &typed.ty, &ty, &self.facts)?
            });
        }
        Ok((nodes, ty))
    }
}
