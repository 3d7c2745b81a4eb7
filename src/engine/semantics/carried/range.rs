//! Ranges of numbers and of moments.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

use arrow::datatypes::{DataType, Decimal128Type, DecimalType as _};
use bytes::{Buf as _, Bytes};
use datafusion::common::ScalarValue;

use crate::engine::parameter::{self, Format, Parameter};
use crate::engine::semantics::{parse, text};
use crate::engine::{PgType, TimeZone};
use crate::error::{ClientMessage, SqlState};

use super::incorrect;

/// Flags of the binary form.
const EMPTY: u8 = 1;
const LOWER_INCLUDED: u8 = 2;
const UPPER_INCLUDED: u8 = 4;
const NO_LOWER: u8 = 8;
const NO_UPPER: u8 = 16;

/// A range as its text has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RangeParts {
    /// The flags of its binary form.
    pub flags: u8,
    /// The bounds that it has.
    pub bounds: Vec<String>,
}

/// The parts of a range's text; `None` if it is none.
pub fn range_parts(text: &str) -> Option<RangeParts> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("empty") {
        return Some(RangeParts { flags: EMPTY, bounds: Vec::new() });
    }
    let mut letters = text.chars().peekable();
    let mut parts = RangeParts::default();
    match letters.next()? {
        '[' => parts.flags |= LOWER_INCLUDED,
        '(' => {}
        _ => return None,
    }
    let (lower, behind) = bound(&mut letters, &[','])?;
    let (upper, end) = bound(&mut letters, &[']', ')'])?;
    if behind != ',' || letters.next().is_some() {
        return None;
    }
    if end == ']' {
        parts.flags |= UPPER_INCLUDED;
    }
    for (bound, included, missing) in [(lower, LOWER_INCLUDED, NO_LOWER), (upper, UPPER_INCLUDED, NO_UPPER)] {
        match bound {
            Some(bound) => parts.bounds.push(bound),
            None => parts.flags = parts.flags & !included | missing,
        }
    }
    Some(parts)
}

/// The next bound, and the sign that ends it. A bound of no letters is none, unless it is quoted.
fn bound(letters: &mut Peekable<Chars<'_>>, ends: &[char]) -> Option<(Option<String>, char)> {
    let (mut bound, mut quoted, mut within) = (String::new(), false, false);
    loop {
        match letters.next()? {
            '\\' => bound.push(letters.next()?),
            '"' if within && letters.next_if_eq(&'"').is_some() => bound.push('"'),
            '"' => (quoted, within) = (true, !within),
            end if !within && ends.contains(&end) => return Some(((quoted || !bound.is_empty()).then_some(bound), end)),
            '(' | ')' | '[' | ']' | ',' if !within => return None,
            letter => bound.push(letter),
        }
    }
}

/// A range in PostgreSQL's form.
pub(super) fn read(text: &str, element: PgType, time_zone: &TimeZone) -> Result<String, ClientMessage> {
    let malformed = || ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed range literal: \"{text}\""));
    let parts = range_parts(text).ok_or_else(malformed)?;
    let bounds = parts.bounds.iter().map(|bound| parse::as_parameter(bound, element, time_zone));
    Range::new(parts.flags, bounds.collect::<Result<_, _>>()?).written(time_zone)
}

pub(super) fn of_binary(value: &[u8], element: PgType, time_zone: &TimeZone) -> Result<String, ClientMessage> {
    let mut rest = value;
    let flags = rest.try_get_u8().map_err(|_| incorrect())?;
    let mut bounds = Vec::new();
    for missing in [NO_LOWER, NO_UPPER] {
        if flags & (missing | EMPTY) != 0 {
            continue;
        }
        let length = usize::try_from(rest.try_get_i32().map_err(|_| incorrect())?).map_err(|_| incorrect())?;
        let (bound, behind) = rest.split_at_checked(length).ok_or_else(incorrect)?;
        let parameter = Parameter { format: Format::Binary, value: Some(Bytes::copy_from_slice(bound)) };
        bounds.push(parameter::decode(&parameter, element, time_zone)?);
        rest = behind;
    }
    if !rest.is_empty() || flags > 0x1f {
        return Err(incorrect());
    }
    Range::new(flags, bounds).written(time_zone)
}

/// Two bounds, and whether the range ends with them or before them.
struct Range {
    empty: bool,
    lower: Option<ScalarValue>,
    upper: Option<ScalarValue>,
    lower_included: bool,
    upper_included: bool,
}

impl Range {
    fn new(flags: u8, bounds: Vec<ScalarValue>) -> Self {
        let mut bounds = bounds.into_iter();
        let is = |flag: u8| flags & flag != 0;
        let lower = if is(NO_LOWER | EMPTY) { None } else { bounds.next() };
        let upper = if is(NO_UPPER | EMPTY) { None } else { bounds.next() };
        Self {
            empty: is(EMPTY),
            lower_included: is(LOWER_INCLUDED) && lower.is_some(),
            upper_included: is(UPPER_INCLUDED) && upper.is_some(),
            lower,
            upper,
        }
    }

    /// Of whole values: from its first one to before the one behind its last.
    fn of_whole(mut self) -> Result<Self, ClientMessage> {
        let whole = |bound: &Option<ScalarValue>| bound.as_ref().is_none_or(|bound| bound.data_type().is_integer() || is_date(bound));
        if !whole(&self.lower) || !whole(&self.upper) {
            return Ok(self);
        }
        if let Some(lower) = self.lower.as_mut().filter(|_| !self.lower_included) {
            *lower = next(lower)?;
            self.lower_included = true;
        }
        if let Some(upper) = self.upper.as_mut().filter(|_| self.upper_included) {
            *upper = next(upper)?;
            self.upper_included = false;
        }
        Ok(self)
    }

    fn written(self, time_zone: &TimeZone) -> Result<String, ClientMessage> {
        let order = self.lower.as_ref().zip(self.upper.as_ref()).map(|(lower, upper)| compared(lower, upper));
        if order == Some(Ordering::Greater) {
            let message = "range lower bound must be less than or equal to range upper bound";
            return Err(ClientMessage::new(SqlState::DATA_EXCEPTION, message));
        }
        let range = self.of_whole()?;
        let order = range.lower.as_ref().zip(range.upper.as_ref()).map(|(lower, upper)| compared(lower, upper));
        let both = range.lower_included && range.upper_included;
        if range.empty || matches!(order, Some(Ordering::Greater)) || order == Some(Ordering::Equal) && !both {
            return Ok("empty".to_owned());
        }
        let shown = |bound: &Option<ScalarValue>| bound.as_ref().map(|bound| element_text(bound, time_zone)).transpose();
        let (open, close) = (if range.lower_included { '[' } else { '(' }, if range.upper_included { ']' } else { ')' });
        let (lower, upper) = (shown(&range.lower)?.unwrap_or_default(), shown(&range.upper)?.unwrap_or_default());
        Ok(format!("{open}{lower},{upper}{close}"))
    }
}

fn is_date(value: &ScalarValue) -> bool {
    value.data_type() == DataType::Date32
}

/// The value behind a whole one.
fn next(value: &ScalarValue) -> Result<ScalarValue, ClientMessage> {
    let next = match value {
        ScalarValue::Int32(Some(number)) => number.checked_add(1).map(|number| ScalarValue::Int32(Some(number))),
        ScalarValue::Int64(Some(number)) => number.checked_add(1).map(|number| ScalarValue::Int64(Some(number))),
        ScalarValue::Date32(Some(days)) => days.checked_add(1).map(|days| ScalarValue::Date32(Some(days))),
        _ => None,
    };
    let name = || PgType::of_arrow(&arrow::datatypes::Field::new("", value.data_type(), true)).format().unwrap_or_default();
    next.ok_or_else(|| ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, format!("{} out of range", name())))
}

fn compared(left: &ScalarValue, right: &ScalarValue) -> Ordering {
    match (left, right) {
        (ScalarValue::Decimal128(Some(one), _, scale), ScalarValue::Decimal128(Some(other), _, beside)) => {
            let most = (*scale).max(*beside);
            let raised = |value: i128, scale: i8| value.checked_mul(10_i128.checked_pow(u32::from((most - scale).unsigned_abs()))?);
            match (raised(*one, *scale), raised(*other, *beside)) {
                (Some(one), Some(other)) => one.cmp(&other),
                // The one that cannot be raised is far from zero.
                (None, _) => 0.cmp(one).reverse(),
                (_, None) => 0.cmp(other),
            }
        }
        _ => left.partial_cmp(right).unwrap_or(Ordering::Equal),
    }
}

/// A bound as it is written, in quotes if it holds signs of the range.
fn element_text(value: &ScalarValue, time_zone: &TimeZone) -> Result<String, ClientMessage> {
    let shown = match value {
        ScalarValue::Decimal128(Some(number), precision, scale) => Some(Decimal128Type::format_decimal(*number, *precision, *scale)),
        ScalarValue::Int32(Some(number)) => Some(number.to_string()),
        ScalarValue::Int64(Some(number)) => Some(number.to_string()),
        moment => text::moment(moment, time_zone),
    };
    let shown = shown.ok_or_else(|| ClientMessage::new(SqlState::INTERNAL_ERROR, "a bound of an unknown type"))?;
    let quoted = shown.contains(|letter: char| letter.is_whitespace() || matches!(letter, '"' | '\\' | '(' | ')' | '[' | ']' | ','));
    Ok(if quoted { format!("\"{shown}\"") } else { shown })
}
