//! Single records: what the interpreter is told of one, and whether a predicate lets it through.
//!
//! The predicate is worked out slowly and by the book. It is the yardstick for everything that does it fast.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate};
use serde_json::{Map, json};

use crate::product::FieldName;
use crate::product::mask::{Decimal, Value as Computable};

use super::super::{LetterCase, Literal, Predicate, SubjectSet, TextTest};
use super::Record;

/// The value of a column in one record.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Cell {
    /// None.
    Null,
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A decimal's digits, and how many of them stand behind the point.
    Decimal(i128, u8),
    /// A text, or a UUID in lower case.
    Text(String),
    /// A truth.
    Bool(bool),
    /// An instant, in nanoseconds since 1970.
    Instant(i64),
    /// A day, in days since 1970.
    Day(i32),
}

/// One record.
pub(in super::super) type Row = BTreeMap<FieldName, Cell>;

/// Nanoseconds of a day.
pub(super) const DAY_NS: i64 = 86_400_000_000_000;

impl Cell {
    /// Nanoseconds since 1970; of a day its last.
    pub(super) fn nanoseconds(&self) -> Option<i64> {
        match self {
            Self::Instant(nanoseconds) => Some(*nanoseconds),
            Self::Day(day) => i64::from(*day).checked_add(1)?.checked_mul(DAY_NS)?.checked_sub(1),
            _ => None,
        }
    }

    /// As JSON has it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Int(number) => json!(number),
            Self::Float(number) => json!(number),
            Self::Decimal(unscaled, scale) => serde_json::from_str(&decimal(*unscaled, *scale)).unwrap_or_default(),
            Self::Text(text) => json!(text),
            Self::Bool(truth) => json!(truth),
            Self::Instant(nanoseconds) => json!(DateTime::from_timestamp_nanos(*nanoseconds).to_rfc3339()),
            Self::Day(day) => json!(day_text(*day)),
        }
    }
}

/// A scaled integer as a decimal number.
pub(super) fn decimal(unscaled: i128, scale: u8) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale.saturating_add(1));
    let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(scale)).unwrap_or((&digits, ""));
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

/// A day as JSON has it.
pub(super) fn day_text(day: i32) -> String {
    NaiveDate::from_epoch_days(day).map(|day| day.to_string()).unwrap_or_default()
}

/// Puts a record into a request, where the interpreter looks for it.
pub(in super::super) fn with_record(input: &serde_json::Value, record: &Record<'_>, row: &Row) -> serde_json::Value {
    let cell = |name: Option<&FieldName>| name.and_then(|name| row.get(name)).unwrap_or(&Cell::Null);
    let mut input = input.clone();
    if let Some(resource) = input.get_mut("resource").and_then(serde_json::Value::as_object_mut) {
        resource.insert("record_created_ns".to_owned(), json!(cell(record.created).nanoseconds()));
        resource.insert("subject_id".to_owned(), cell(record.subject).to_json());
        let columns: Map<String, serde_json::Value> = row.iter().map(|(name, cell)| (name.to_string(), cell.to_json())).collect();
        resource.insert("record".to_owned(), columns.into());
    }
    input
}

/// Whether a record fulfils a predicate; `None` if that is unknown.
pub(in super::super) fn holds(predicate: &Predicate, row: &Row) -> Option<bool> {
    let cell = |column: &FieldName| row.get(column).filter(|cell| **cell != Cell::Null);
    match predicate {
        Predicate::True => Some(true),
        Predicate::False => Some(false),
        Predicate::Unknown => None,
        Predicate::Present(column) => cell(column).map(|_| true),
        Predicate::IsNull(column) => Some(cell(column).is_none()),
        Predicate::Compare { column, op, value } => order(cell(column)?, value).map(|order| op.holds(order)),
        Predicate::In { column, values } => {
            let cell = cell(column)?;
            Some(values.iter().any(|value| order(cell, value).is_some_and(std::cmp::Ordering::is_eq)))
        }
        Predicate::CompareColumns { left, op, right } => Some(op.holds(order_of_cells(cell(left)?, cell(right)?)?)),
        Predicate::Like { column, pattern } => like(text(cell(column)?)?, pattern),
        Predicate::Matches { column, regex } => Some(regex::Regex::new(regex).ok()?.is_match(text(cell(column)?)?)),
        Predicate::Folded { column, case, test } => {
            let text = text(cell(column)?)?;
            let folded = match case {
                LetterCase::Lower => text.to_lowercase(),
                LetterCase::Upper => text.to_uppercase(),
            };
            match test {
                TextTest::Compare(op, other) => Some(op.holds(folded.as_str().cmp(other))),
                TextTest::Like(pattern) => like(&folded, pattern),
            }
        }
        Predicate::Member { column, set } => Some(is_member(cell(column)?, set)),
        Predicate::Computed(test) => test.holds(&|column| cell(column).map_or(Computable::Null, computable)),
        Predicate::And(parts) => junction(parts, row, false),
        Predicate::Or(parts) => junction(parts, row, true),
        Predicate::Not(inner) => holds(inner, row).map(|truth| !truth),
    }
}

/// A cell as a test that is worked out reads it.
fn computable(cell: &Cell) -> Computable<'_> {
    match cell {
        Cell::Null => Computable::Null,
        Cell::Int(number) => Computable::Int(*number),
        Cell::Float(number) => Computable::Float(*number),
        Cell::Decimal(unscaled, scale) => Computable::Decimal(Decimal { unscaled: *unscaled, scale: *scale }),
        Cell::Text(text) => Computable::Text(text.as_str().into()),
        Cell::Bool(truth) => Computable::Bool(*truth),
        Cell::Instant(nanoseconds) => Computable::Timestamp(nanoseconds.div_euclid(1_000)),
        Cell::Day(day) => Computable::Date(*day),
    }
}

/// One part that has the deciding value decides; else an unknown one leaves it unknown.
fn junction(parts: &[Predicate], row: &Row, deciding: bool) -> Option<bool> {
    let mut unknown = false;
    for part in parts {
        match holds(part, row) {
            Some(truth) if truth == deciding => return Some(deciding),
            Some(_) => {}
            None => unknown = true,
        }
    }
    if unknown { None } else { Some(!deciding) }
}

fn text(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}

fn order(cell: &Cell, literal: &Literal) -> Option<std::cmp::Ordering> {
    match (cell, literal) {
        (Cell::Int(number), Literal::Int(other)) => Some(number.cmp(other)),
        (Cell::Float(number), Literal::Float(other)) => Some(number.total_cmp(other)),
        (Cell::Decimal(unscaled, scale), Literal::String(other)) => {
            let digits = other.replace('.', "");
            let fraction = other.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            (fraction == usize::from(*scale)).then(|| digits.parse().ok().map(|other: i128| unscaled.cmp(&other)))?
        }
        (Cell::Text(text), Literal::String(other)) => Some(text.as_str().cmp(other)),
        (Cell::Bool(truth), Literal::Bool(other)) => Some(truth.cmp(other)),
        (Cell::Instant(_) | Cell::Day(_), Literal::Instant(other)) => Some(cell.nanoseconds()?.cmp(&other.timestamp_nanos_opt()?)),
        (Cell::Day(day), Literal::String(other)) => Some(day_text(*day).as_str().cmp(other)),
        _ => None,
    }
}

fn order_of_cells(left: &Cell, right: &Cell) -> Option<std::cmp::Ordering> {
    match (left, right) {
        (Cell::Int(left), Cell::Int(right)) => Some(left.cmp(right)),
        (Cell::Decimal(left, _), Cell::Decimal(right, _)) => Some(left.cmp(right)),
        (Cell::Text(left), Cell::Text(right)) => Some(left.cmp(right)),
        (Cell::Bool(left), Cell::Bool(right)) => Some(left.cmp(right)),
        _ => Some(left.nanoseconds()?.cmp(&right.nanoseconds()?)),
    }
}

fn is_member(cell: &Cell, set: &SubjectSet) -> bool {
    match cell {
        Cell::Int(number) => set.contains(&number.to_string()),
        Cell::Decimal(number, 0) => set.contains(&number.to_string()),
        Cell::Text(text) => set.contains(text.trim()),
        _ => false,
    }
}

/// SQL's LIKE with `%`, `_` and `\`.
fn like(text: &str, pattern: &str) -> Option<bool> {
    let mut regex = String::from("(?s)^");
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '\\' => regex.push_str(&regex::escape(&letters.next()?.to_string())),
            letter => regex.push_str(&regex::escape(&letter.to_string())),
        }
    }
    regex.push('$');
    Some(regex::Regex::new(&regex).ok()?.is_match(text))
}
