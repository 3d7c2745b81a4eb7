//! Values as PostgreSQL writes them, and the parts of what it reads.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;
use crate::catalog::functions;

use super::casts::reg_kind;
use super::datum::{Datum, Family, Ty};

/// The text that PostgreSQL sends for a value.
pub(super) fn shown(value: &Datum, ty: &Ty, facts: &Arc<SessionFacts>) -> String {
    match value {
        Datum::Null => String::new(),
        Datum::Bool(truth) => if *truth { "t" } else { "f" }.to_owned(),
        Datum::Int(number) => match (ty.family(), reg_kind(ty.pg.oid)) {
            (Family::Named, Some(kind)) => functions::object_shown(facts, kind, u32::try_from(*number).unwrap_or(0)),
            _ => number.to_string(),
        },
        Datum::Float(number) => float(*number),
        Datum::Text(text) => text.to_string(),
        Datum::Instant(micros) => instant_shown(*micros, ty),
        Datum::Span(micros) => span(*micros),
        Datum::List(list) => {
            let element = ty.element().unwrap_or_else(|| PgType::TEXT.into());
            if matches!(ty.pg.oid, 22 | 30) {
                let parts: Vec<String> = list.items.iter().map(|item| shown(item, &element, facts)).collect();
                return parts.join(" ");
            }
            let parts: Vec<String> = list.items.iter().map(|item| quoted_element(item, &element, facts)).collect();
            format!("{{{}}}", parts.join(","))
        }
        Datum::Row(fields) => {
            let types = ty.fields.as_deref().unwrap_or_default();
            let text = PgType::TEXT.into();
            let of = |at: usize| types.get(at).map_or(&text, |(_, ty)| ty);
            let parts: Vec<String> = fields.iter().enumerate().map(|(at, field)| quoted_field(field, of(at), facts)).collect();
            format!("({})", parts.join(","))
        }
    }
}

fn float(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 || (1e-5..1e15).contains(&number.abs()) || number.is_nan() { format!("{number}") } else { format!("{number:e}") }
}

fn quoted_element(item: &Datum, ty: &Ty, facts: &Arc<SessionFacts>) -> String {
    if item.is_null() {
        return "NULL".to_owned();
    }
    let text = shown(item, ty, facts);
    let special = |letter: char| matches!(letter, '{' | '}' | ',' | '"' | '\\') || letter.is_ascii_whitespace();
    let nested = matches!(item, Datum::List(_));
    if !nested && (text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special)) {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    text
}

fn quoted_field(field: &Datum, ty: &Ty, facts: &Arc<SessionFacts>) -> String {
    if field.is_null() {
        return String::new();
    }
    let text = shown(field, ty, facts);
    let special = |letter: char| matches!(letter, '(' | ')' | ',' | '"' | '\\') || letter.is_ascii_whitespace();
    if text.is_empty() || text.contains(special) {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""));
    }
    text
}

fn instant_shown(micros: i64, ty: &Ty) -> String {
    let Some(at) = DateTime::from_timestamp_micros(micros) else { return String::new() };
    if ty.is(PgType::DATE) {
        return at.format("%Y-%m-%d").to_string();
    }
    let mut text = at.format("%Y-%m-%d %H:%M:%S").to_string();
    let fraction = micros.rem_euclid(1_000_000);
    if fraction != 0 {
        text.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    if ty.is(PgType::TIMESTAMPTZ) {
        text.push_str("+00");
    }
    text
}

fn span(micros: i64) -> String {
    let (sign, seconds) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs() / 1_000_000);
    format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Microseconds since 1970 of a date or timestamp of UTC.
pub(super) fn instant(text: &str) -> Option<i64> {
    if let Ok(at) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Some(at.timestamp_micros());
    }
    let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok();
    let time = time.or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    time.map(|time| time.and_utc().timestamp_micros())
}

/// The elements of an array of one dimension as PostgreSQL writes it; `None` is NULL.
pub(in crate::catalog) fn elements(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inner.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    let (mut part, mut quoted, mut inside) = (String::new(), false, false);
    let mut letters = inner.chars();
    let end = |part: &mut String, quoted: &mut bool| {
        let text = std::mem::take(part);
        let text = if *quoted { text } else { text.trim().to_owned() };
        let null = !*quoted && text.eq_ignore_ascii_case("null");
        *quoted = false;
        (!null).then_some(text)
    };
    while let Some(letter) = letters.next() {
        match letter {
            '"' => {
                inside = !inside;
                quoted = true;
            }
            ',' if !inside => found.push(end(&mut part, &mut quoted)),
            '\\' => part.push(letters.next()?),
            '{' | '}' if !inside => return None,
            letter => part.push(letter),
        }
    }
    found.push(end(&mut part, &mut quoted));
    (!inside).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_texts_are_split_at_commas_outside_quotes() {
        let some = |texts: &[&str]| texts.iter().map(|text| Some((*text).to_owned())).collect::<Vec<_>>();
        assert_eq!(elements("{r,\"a,b\",c\\,d}").unwrap(), some(&["r", "a,b", "c,d"]));
        assert_eq!(elements("{}").unwrap(), Vec::new());
        assert_eq!(elements("{NULL,\"NULL\"}").unwrap(), [None, Some("NULL".to_owned())]);
        assert_eq!(elements("r"), None);
        assert_eq!(elements("{\"}"), None);
    }

    #[test]
    fn instants_are_read_with_and_without_a_zone() {
        assert_eq!(instant("1970-01-02"), Some(86_400_000_000));
        assert_eq!(instant("1970-01-01 01:00:00+01"), Some(0));
    }
}
