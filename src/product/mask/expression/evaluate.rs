//! Computes an expression for one row. It cannot fail: what has no value is NULL.
//!
//! INVARIANT: no text that is computed is longer than [`GROWTH_BYTES`] and [`GROWTH_FACTOR`] times the row's texts, and no step takes
//! more than a small multiple of that.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, Timelike};

use super::super::value::{MICROS_PER_DAY, fit_decimal, integer_range, parse_date, parse_timestamp};
use super::{Arithmetic, Comparison, Decimal, Function, Kind, Node, Part, Value, characters_max};
use crate::product::DataType;

const GROWTH_BYTES: usize = 4_096;
const GROWTH_FACTOR: usize = 4;
/// What most texts that are put together have room in.
const JOINED_BYTES: usize = 64;

/// The row, and the longest text that may come of it.
struct Row<'r, 'a> {
    values: &'r [Value<'a>],
    bytes_max: usize,
}

/// The value of a node.
pub(super) fn value<'a>(node: &'a Node, values: &[Value<'a>]) -> Value<'a> {
    let read = values.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 0 });
    let bytes_max = read.sum::<usize>().saturating_mul(GROWTH_FACTOR).saturating_add(GROWTH_BYTES);
    Row { values, bytes_max }.value(node)
}

/// The value as one of that type; NULL where it does not fit.
pub(super) fn fitted<'a>(value: Value<'a>, target: &DataType) -> Value<'a> {
    match (target, value) {
        (DataType::String, value @ Value::Text(_)) | (DataType::Boolean, value @ Value::Bool(_)) => value,
        (DataType::Varchar(limit), Value::Text(text)) => Value::Text(cut(text, characters_max(*limit))),
        (DataType::Int16 | DataType::Int32 | DataType::Int64, Value::Int(number)) => {
            if integer_range(target).is_some_and(|range| range.contains(&number)) { Value::Int(number) } else { Value::Null }
        }
        (DataType::Decimal { precision, scale }, value) => match converted(value, Kind::Decimal) {
            Value::Decimal(number) => fit_decimal(number, *precision, *scale).map_or(Value::Null, Value::Decimal),
            _ => Value::Null,
        },
        (DataType::Float32 | DataType::Float64, value) => converted(value, Kind::Float),
        (DataType::Date, value @ Value::Date(_)) => value,
        (DataType::Timestamp | DataType::TimestampTz, value) => converted(value, Kind::Timestamp),
        _ => Value::Null,
    }
}

impl<'a> Row<'_, 'a> {
    fn value(&self, node: &'a Node) -> Value<'a> {
        match node {
            Node::Column(index) => self.values.get(*index).cloned().unwrap_or(Value::Null),
            Node::Literal(value) => borrowed(value),
            Node::Not(inner) => truth_value(self.truth(inner).map(|truth| !truth)),
            Node::And(left, right) => truth_value(match (self.truth(left), self.truth(right)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            }),
            Node::Or(left, right) => truth_value(match (self.truth(left), self.truth(right)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            }),
            Node::IsNull(inner) => Value::Bool(self.value(inner) == Value::Null),
            Node::Compare(comparison, left, right) => {
                truth_value(order(&self.value(left), &self.value(right)).map(|order| holds(*comparison, order)))
            }
            Node::Arithmetic(operation, left, right) => arithmetic(*operation, self.value(left), self.value(right)),
            Node::Negate(inner) => match self.value(inner) {
                Value::Int(number) => number.checked_neg().map_or(Value::Null, Value::Int),
                Value::Decimal(number) => number.negated().map_or(Value::Null, Value::Decimal),
                Value::Float(number) => Value::Float(-number),
                _ => Value::Null,
            },
            Node::Convert(inner, kind) => converted(self.value(inner), *kind),
            Node::Cut(inner, characters) => match self.value(inner) {
                Value::Text(text) => Value::Text(cut(text, *characters)),
                other => other,
            },
            Node::Case(branches, otherwise) => {
                let taken = branches.iter().find(|(test, _)| self.truth(test) == Some(true)).map(|(_, result)| result);
                taken.or(otherwise.as_deref()).map_or(Value::Null, |result| self.value(result))
            }
            Node::Matches(text, regex) => truth_value(self.text(text).map(|text| regex.is_match(&text))),
            Node::ReplaceMatches { text, regex, with, all } => self.replace_matches(text, regex, with, *all).unwrap_or(Value::Null),
            Node::Call(function, arguments) => self.call(*function, arguments).unwrap_or(Value::Null),
            Node::Extract(part, inner) => extract(*part, &self.value(inner)).map_or(Value::Null, Value::Int),
            Node::Truncate(part, inner) => truncate(*part, &self.value(inner)).unwrap_or(Value::Null),
        }
    }

    fn truth(&self, node: &'a Node) -> Option<bool> {
        match self.value(node) {
            Value::Bool(truth) => Some(truth),
            _ => None,
        }
    }

    fn text(&self, node: &'a Node) -> Option<Cow<'a, str>> {
        match self.value(node) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn int(&self, node: &'a Node) -> Option<i64> {
        match self.value(node) {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The text, unless it has become too long.
    fn bounded(&self, text: String) -> Option<Value<'a>> {
        (text.len() <= self.bytes_max).then(|| Value::Text(text.into()))
    }

    fn call(&self, function: Function, arguments: &'a [Node]) -> Option<Value<'a>> {
        let text = |index: usize| arguments.get(index).and_then(|node| self.text(node));
        let int = |index: usize| arguments.get(index).and_then(|node| self.int(node));
        match function {
            Function::Coalesce => arguments.iter().map(|node| self.value(node)).find(|value| *value != Value::Null),
            Function::Greatest => self.extreme(arguments, Ordering::Greater),
            Function::Least => self.extreme(arguments, Ordering::Less),
            Function::Nullif => {
                let (first, second) = (self.value(arguments.first()?), self.value(arguments.get(1)?));
                (order(&first, &second) != Some(Ordering::Equal)).then_some(first)
            }
            Function::Abs | Function::Ceil | Function::Floor | Function::Round | Function::Trunc => {
                let digits = if arguments.len() > 1 { int(1)? } else { 0 };
                rounded(function, self.value(arguments.first()?), digits)
            }
            Function::Concat => self.joined(arguments, false),
            Function::Pipes => self.joined(arguments, true),
            Function::Length => i64::try_from(text(0)?.chars().count()).ok().map(Value::Int),
            Function::Lower => self.bounded(text(0)?.to_lowercase()),
            Function::Upper => self.bounded(text(0)?.to_uppercase()),
            Function::Trim => Some(Value::Text(trimmed(text(0)?, true, true))),
            Function::Ltrim => Some(Value::Text(trimmed(text(0)?, true, false))),
            Function::Rtrim => Some(Value::Text(trimmed(text(0)?, false, true))),
            Function::Reverse => self.bounded(text(0)?.chars().rev().collect()),
            Function::Left => Some(Value::Text(first_characters(text(0)?, int(1)?))),
            Function::Right => Some(Value::Text(last_characters(text(0)?, int(1)?))),
            Function::Substr => {
                let count = if arguments.len() > 2 { Some(int(2)?) } else { None };
                substring(text(0)?, int(1)?, count).map(Value::Text)
            }
            Function::Repeat => {
                let (text, times) = (text(0)?, usize::try_from(int(1)?.max(0)).ok()?);
                if text.len().checked_mul(times)? > self.bytes_max { None } else { self.bounded(text.repeat(times)) }
            }
            Function::Lpad | Function::Rpad => {
                let with = if arguments.len() > 2 { text(2)? } else { Cow::Borrowed(" ") };
                self.padded(&text(0)?, int(1)?, &with, function == Function::Lpad)
            }
            Function::Replace => self.replace(&text(0)?, &text(1)?, &text(2)?),
            Function::SplitPart => split_part(text(0)?, &text(1)?, int(2)?).map(Value::Text),
            Function::StartsWith => Some(Value::Bool(text(0)?.starts_with(text(1)?.as_ref()))),
            Function::Strpos => {
                let (text, wanted) = (text(0)?, text(1)?);
                let before = text.find(wanted.as_ref()).and_then(|at| text.get(..at));
                let position = before.map_or(0, |before| before.chars().count().saturating_add(1));
                i64::try_from(position).ok().map(Value::Int)
            }
        }
    }

    /// The greatest or least of those that are not NULL.
    fn extreme(&self, arguments: &'a [Node], wanted: Ordering) -> Option<Value<'a>> {
        let values = arguments.iter().map(|node| self.value(node)).filter(|value| *value != Value::Null);
        values.reduce(|best, next| if order(&next, &best) == Some(wanted) { next } else { best })
    }

    fn joined(&self, arguments: &'a [Node], strict: bool) -> Option<Value<'a>> {
        let mut joined = String::with_capacity(JOINED_BYTES);
        for node in arguments {
            match self.text(node) {
                Some(text) => joined.push_str(&text),
                None if strict => return None,
                None => {}
            }
            if joined.len() > self.bytes_max {
                return None;
            }
        }
        self.bounded(joined)
    }

    fn padded(&self, text: &str, length: i64, with: &str, before: bool) -> Option<Value<'a>> {
        let length = usize::try_from(length.max(0)).ok()?;
        let characters = text.chars().count();
        if characters >= length || with.is_empty() {
            return self.bounded(text.chars().take(length).collect());
        }
        if length > self.bytes_max {
            return None;
        }
        let padding: String = with.chars().cycle().take(length.saturating_sub(characters)).collect();
        self.bounded(if before { padding + text } else { text.to_owned() + &padding })
    }

    fn replace(&self, text: &str, from: &str, to: &str) -> Option<Value<'a>> {
        if from.is_empty() {
            return self.bounded(text.to_owned());
        }
        let mut replaced = String::new();
        for (index, part) in text.split(from).enumerate() {
            if index > 0 {
                replaced.push_str(to);
            }
            replaced.push_str(part);
            if replaced.len() > self.bytes_max {
                return None;
            }
        }
        self.bounded(replaced)
    }

    fn replace_matches(&self, text: &'a Node, regex: &regex::Regex, with: &str, all: bool) -> Option<Value<'a>> {
        let text = self.text(text)?;
        let mut replaced = String::new();
        let mut copied = 0;
        for captures in regex.captures_iter(&text).take(if all { usize::MAX } else { 1 }) {
            let found = captures.get(0)?;
            replaced.push_str(text.get(copied..found.start())?);
            captures.expand(with, &mut replaced);
            copied = found.end();
            if replaced.len() > self.bytes_max {
                return None;
            }
        }
        if copied == 0 && replaced.is_empty() {
            return Some(Value::Text(text));
        }
        replaced.push_str(text.get(copied..)?);
        self.bounded(replaced)
    }
}

fn borrowed<'a>(value: &'a Value<'static>) -> Value<'a> {
    match value {
        Value::Text(text) => Value::Text(Cow::Borrowed(text)),
        other => other.clone(),
    }
}

fn truth_value(truth: Option<bool>) -> Value<'static> {
    truth.map_or(Value::Null, Value::Bool)
}

fn holds(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// The order of two values of one kind; `None` if one is NULL. NaN is equal to itself and above all numbers, as in PostgreSQL.
fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Decimal(left), Value::Decimal(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => Some(match (left.is_nan(), right.is_nan()) {
            (false, false) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
            (left, right) => left.cmp(&right),
        }),
        (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
        (Value::Date(left), Value::Date(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) | (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn arithmetic(operation: Arithmetic, left: Value<'_>, right: Value<'_>) -> Value<'static> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => match operation {
            Arithmetic::Plus => left.checked_add(right),
            Arithmetic::Minus => left.checked_sub(right),
            Arithmetic::Times => left.checked_mul(right),
            Arithmetic::Divide => left.checked_div(right),
            Arithmetic::Rest => left.checked_rem(right),
        }
        .map_or(Value::Null, Value::Int),
        (Value::Decimal(left), Value::Decimal(right)) => match operation {
            Arithmetic::Plus => left.plus(right),
            Arithmetic::Minus => left.minus(right),
            Arithmetic::Times => left.times(right),
            Arithmetic::Divide => left.divided_by(right),
            Arithmetic::Rest => left.rest_by(right),
        }
        .map_or(Value::Null, Value::Decimal),
        (Value::Float(left), Value::Float(right)) => {
            let result = match operation {
                Arithmetic::Plus => left + right,
                Arithmetic::Minus => left - right,
                Arithmetic::Times => left * right,
                Arithmetic::Divide => left / right,
                Arithmetic::Rest => left % right,
            };
            // PostgreSQL raises an error where finite numbers make one that is not.
            if result.is_finite() || !left.is_finite() || !right.is_finite() { Value::Float(result) } else { Value::Null }
        }
        _ => Value::Null,
    }
}

fn rounded(function: Function, number: Value<'_>, digits: i64) -> Option<Value<'static>> {
    match number {
        Value::Int(number) => match function {
            Function::Abs => number.checked_abs().map(Value::Int),
            Function::Round if digits < 0 => {
                let scale = u8::try_from(digits.unsigned_abs()).ok()?;
                let shifted = Decimal { unscaled: number.into(), scale }.rescaled(0)?;
                shifted.times(Decimal { unscaled: super::super::decimal::power_of_ten(scale)?, scale: 0 })?.to_i64().map(Value::Int)
            }
            _ => Some(Value::Int(number)),
        },
        Value::Decimal(number) => match function {
            Function::Abs => {
                if number.unscaled < 0 {
                    number.negated()
                } else {
                    Some(number)
                }
            }
            Function::Floor => number.floor(),
            Function::Ceil => number.negated()?.floor()?.negated(),
            Function::Trunc => number.truncated(),
            _ => match u8::try_from(digits) {
                Ok(scale) if scale >= number.scale => Some(number),
                Ok(scale) => number.rescaled(scale),
                Err(_) => None,
            },
        }
        .map(Value::Decimal),
        Value::Float(number) => Some(Value::Float(match function {
            Function::Abs => number.abs(),
            Function::Floor => number.floor(),
            Function::Ceil => number.ceil(),
            Function::Trunc => number.trunc(),
            _ => {
                let shift = 10_f64.powi(i32::try_from(digits.clamp(-300, 300)).ok()?);
                let shifted = number * shift;
                if shifted.is_finite() { shifted.round() / shift } else { number }
            }
        })),
        _ => None,
    }
}

/// The same value as another kind; NULL where it is none.
pub(super) fn converted(value: Value<'_>, kind: Kind) -> Value<'_> {
    match (kind, value) {
        (Kind::Null | Kind::Opaque, _) | (_, Value::Null) => Value::Null,
        (Kind::Text, Value::Text(text)) => Value::Text(text),
        (Kind::Text, value) => written(&value).map_or(Value::Null, |text| Value::Text(text.into())),
        (kind, Value::Text(text)) => read(text.trim(), kind).unwrap_or(Value::Null),
        (Kind::Bool, value @ Value::Bool(_))
        | (Kind::Int, value @ Value::Int(_))
        | (Kind::Decimal, value @ Value::Decimal(_))
        | (Kind::Float, value @ Value::Float(_))
        | (Kind::Date, value @ Value::Date(_))
        | (Kind::Timestamp | Kind::TimestampTz, value @ Value::Timestamp(_)) => value,
        (Kind::Int, Value::Decimal(number)) => number.to_i64().map_or(Value::Null, Value::Int),
        (Kind::Int, Value::Float(number)) => {
            let whole = Decimal::of_f64(number.round_ties_even()).and_then(Decimal::to_i64);
            whole.map_or(Value::Null, Value::Int)
        }
        (Kind::Decimal, Value::Int(number)) => Value::Decimal(Decimal::whole(number)),
        (Kind::Decimal, Value::Float(number)) => Decimal::of_f64(number).map_or(Value::Null, Value::Decimal),
        (Kind::Float, Value::Int(number)) => Decimal::whole(number).to_f64().map_or(Value::Null, Value::Float),
        (Kind::Float, Value::Decimal(number)) => number.to_f64().map_or(Value::Null, Value::Float),
        (Kind::Date, Value::Timestamp(micros)) => i32::try_from(micros.div_euclid(MICROS_PER_DAY)).map_or(Value::Null, Value::Date),
        (Kind::Timestamp | Kind::TimestampTz, Value::Date(day)) => {
            i64::from(day).checked_mul(MICROS_PER_DAY).map_or(Value::Null, Value::Timestamp)
        }
        _ => Value::Null,
    }
}

fn read(text: &str, kind: Kind) -> Option<Value<'static>> {
    match kind {
        Kind::Bool => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "on" | "1" => Some(Value::Bool(true)),
            "false" | "f" | "no" | "off" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        Kind::Int => text.parse().ok().map(Value::Int),
        Kind::Decimal => Decimal::parse(text).map(Value::Decimal),
        Kind::Float => text.parse().ok().map(Value::Float),
        Kind::Date => parse_date(text).map(Value::Date),
        Kind::Timestamp => parse_timestamp(text, false).map(Value::Timestamp),
        Kind::TimestampTz => parse_timestamp(text, true).map(Value::Timestamp),
        Kind::Null | Kind::Text | Kind::Opaque => None,
    }
}

fn written(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Decimal(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Date(day) => Some(date(*day)?.format("%Y-%m-%d").to_string()),
        Value::Timestamp(micros) => Some(instant(*micros)?.format("%Y-%m-%d %H:%M:%S%.f").to_string()),
        Value::Text(text) => Some(text.to_string()),
        Value::Null | Value::Time(_) => None,
    }
}

fn date(day: i32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(Duration::try_days(day.into())?)
}

fn instant(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|instant| instant.naive_utc())
}

fn moment(value: &Value<'_>) -> Option<NaiveDateTime> {
    match value {
        Value::Date(day) => date(*day)?.and_hms_opt(0, 0, 0),
        Value::Timestamp(micros) => instant(*micros),
        _ => None,
    }
}

fn extract(part: Part, value: &Value<'_>) -> Option<i64> {
    let moment = moment(value)?;
    Some(match part {
        Part::Year => moment.year().into(),
        Part::Quarter => (moment.month0() / 3 + 1).into(),
        Part::Month => moment.month().into(),
        Part::Week => moment.iso_week().week().into(),
        Part::Day => moment.day().into(),
        Part::DayOfWeek => moment.weekday().num_days_from_sunday().into(),
        Part::DayOfYear => moment.ordinal().into(),
        Part::Hour => moment.hour().into(),
        Part::Minute => moment.minute().into(),
        Part::Second => moment.second().into(),
    })
}

fn truncate(part: Part, value: &Value<'_>) -> Option<Value<'static>> {
    let moment = moment(value)?;
    let day = moment.date();
    let first = |month: u32| NaiveDate::from_ymd_opt(day.year(), month, 1);
    let (day, time) = match part {
        Part::Year => (first(1)?, None),
        Part::Quarter => (first(moment.month0() / 3 * 3 + 1)?, None),
        Part::Month => (first(moment.month())?, None),
        Part::Week => (day.checked_sub_signed(Duration::try_days(day.weekday().num_days_from_monday().into())?)?, None),
        Part::Day => (day, None),
        Part::Hour => (day, Some((moment.hour(), 0, 0))),
        Part::Minute => (day, Some((moment.hour(), moment.minute(), 0))),
        Part::Second => (day, Some((moment.hour(), moment.minute(), moment.second()))),
        Part::DayOfWeek | Part::DayOfYear => return None,
    };
    let (hour, minute, second) = time.unwrap_or((0, 0, 0));
    let truncated = day.and_hms_opt(hour, minute, second)?.and_utc().timestamp_micros();
    match value {
        Value::Date(_) => i32::try_from(truncated.div_euclid(MICROS_PER_DAY)).ok().map(Value::Date),
        _ => Some(Value::Timestamp(truncated)),
    }
}

/// A range of a text, without copying what is borrowed.
fn within(text: Cow<'_, str>, range: Range<usize>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(range).unwrap_or_default().to_owned()),
    }
}

fn trimmed(text: Cow<'_, str>, start: bool, end: bool) -> Cow<'_, str> {
    let from = if start { text.len().saturating_sub(text.trim_start_matches(' ').len()) } else { 0 };
    let to = if end { text.trim_end_matches(' ').len() } else { text.len() };
    within(text, from..to.max(from))
}

fn cut(text: Cow<'_, str>, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        None => text,
        Some((end, _)) => within(text, 0..end),
    }
}

/// `left`: the first characters, or with a negative count all but the last.
fn first_characters(text: Cow<'_, str>, count: i64) -> Cow<'_, str> {
    let kept = kept_characters(&text, count);
    cut(text, kept)
}

/// `right`: the last characters, or with a negative count all but the first.
fn last_characters(text: Cow<'_, str>, count: i64) -> Cow<'_, str> {
    let skipped = text.chars().count().saturating_sub(kept_characters(&text, count));
    let start = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
    let end = text.len();
    within(text, start..end)
}

fn kept_characters(text: &str, count: i64) -> usize {
    let magnitude = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 { text.chars().count().saturating_sub(magnitude) } else { magnitude }
}

/// As in PostgreSQL, positions before the first character count; a negative length has no value.
fn substring(text: Cow<'_, str>, from: i64, count: Option<i64>) -> Option<Cow<'_, str>> {
    if count.is_some_and(|count| count < 0) {
        return None;
    }
    let end = count.map_or(i64::MAX, |count| from.saturating_add(count));
    let skipped = usize::try_from(from.max(1).checked_sub(1)?).ok()?;
    let taken = usize::try_from(end.saturating_sub(from.max(1)).max(0)).ok()?;
    let start = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
    let end = text.len();
    Some(cut(within(text, start..end), taken))
}

/// The field of that number, counted from 1; a negative one counts from the end; nothing if there are fewer.
fn split_part<'a>(text: Cow<'a, str>, separator: &str, number: i64) -> Option<Cow<'a, str>> {
    let index = usize::try_from(number.unsigned_abs()).ok()?.checked_sub(1)?;
    if separator.is_empty() {
        return Some(if index == 0 { text } else { Cow::Borrowed("") });
    }
    let ends: Vec<(usize, usize)> = text.match_indices(separator).map(|(at, found)| (at, at.saturating_add(found.len()))).collect();
    let index = if number > 0 { index } else { ends.len().checked_sub(index).unwrap_or(usize::MAX) };
    if index > ends.len() {
        return Some(Cow::Borrowed(""));
    }
    let start = index.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |(_, end)| *end);
    let end = ends.get(index).map_or(text.len(), |(start, _)| *start);
    Some(within(text, start..end))
}
