//! Sizes and counters. They are zero: a true size would tell of rows that a policy hides.

use std::sync::Arc;

use arrow::datatypes::DataType::{Int64, UInt32, Utf8};
use datafusion::error::DataFusionError;

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Int, Object, Text};
use super::{Function, client, int_of, text_of};

pub(super) fn all(_facts: &Arc<SessionFacts>) -> Vec<Function> {
    let zero = |name| Function::new(name, &[Object, Text], Int64, |_| Ok(0i64.into())).required(1);
    let mut functions: Vec<Function> = [
        "pg_relation_size",
        "pg_total_relation_size",
        "pg_table_size",
        "pg_indexes_size",
        "pg_database_size",
        "pg_tablespace_size",
        "pg_stat_get_numscans",
        "pg_stat_get_tuples_returned",
        "pg_stat_get_tuples_fetched",
        "pg_stat_get_live_tuples",
        "pg_stat_get_dead_tuples",
        "pg_stat_get_blocks_fetched",
        "pg_stat_get_blocks_hit",
    ]
    .into_iter()
    .map(zero)
    .collect();
    functions.push(Function::new("pg_relation_filenode", &[Object], UInt32, |_| Ok(Value::Null)));
    functions.push(Function::new("pg_relation_filepath", &[Object], Utf8, |_| Ok(Value::Null)));
    functions.push(Function::new("pg_size_pretty", &[Int], Utf8, |values| Ok(int_of(values, 0).map(pretty).into())));
    functions.push(Function::new("pg_size_bytes", &[Text], Int64, |values| Ok(Value::Int(bytes(text_of(values, 0))?))));
    functions
}

/// So many bytes, from a number with or without a unit.
fn bytes(text: &str) -> Result<i64, DataFusionError> {
    let invalid = || ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid size: \"{text}\""));
    let trimmed = text.trim();
    let after_sign = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let digits = after_sign.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(after_sign.len());
    let mut end = trimmed.len() - after_sign.len() + digits;
    // An exponent is one only if a number stands behind it.
    let exponent = trimmed.get(end..).and_then(|rest| rest.strip_prefix(['e', 'E'])).map(|rest| rest.trim_start_matches(['+', '-']));
    if let Some(rest) = exponent.filter(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit())) {
        end = trimmed.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    }
    let (number, unit) = trimmed.split_at_checked(end).ok_or_else(|| client(invalid()))?;
    let unit = unit.trim();
    let known = [("bytes", 0), ("b", 0), ("kb", 1), ("mb", 2), ("gb", 3), ("tb", 4), ("pb", 5)];
    let power =
        if unit.is_empty() { Some(0) } else { known.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map(|(_, power)| *power) };
    let parsed = number.parse::<f64>().map_err(|_| client(invalid()))?;
    let Some(power) = power else {
        let message = invalid().with_detail(format!("Invalid size unit: \"{unit}\"."));
        return Err(client(message.with_hint("Valid units are \"bytes\", \"B\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\".")));
    };
    let factor = 1_i64 << (10 * power);
    let whole = match number.parse::<i64>() {
        Ok(whole) => whole.checked_mul(factor),
        Err(_) => format!("{:.0}", (parsed * factor as f64).round()).parse().ok(),
    };
    whole.ok_or_else(|| client(ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range")))
}

/// PostgreSQL moves to the next unit at ten times its size, and rounds halves up.
fn pretty(bytes: i64) -> String {
    let mut size = bytes;
    // Units but bytes are counted in halves until they are shown.
    for (position, unit) in ["bytes", "kB", "MB", "GB", "TB", "PB"].iter().enumerate() {
        let limit = if position == 0 { 10 * 1024 } else { 20 * 1024 - 1 };
        if size.unsigned_abs() < limit || *unit == "PB" {
            let shown = if position == 0 { size } else { (size + size.signum()) / 2 };
            return format!("{shown} {unit}");
        }
        size /= if position == 0 { 512 } else { 1024 };
    }
    format!("{size} bytes")
}

#[cfg(test)]
mod tests {
    use super::{bytes, pretty};

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, size) in [
            ("12", Some(12)),
            ("1 GB", Some(1 << 30)),
            ("1.5kB", Some(1536)),
            ("-2 mb", Some(-2 << 20)),
            ("1e2 B", Some(100)),
            (" 3 bytes ", Some(3)),
            ("x", None),
            ("", None),
            ("1 xB", None),
            ("9e20", None),
        ] {
            assert_eq!(bytes(text).ok(), size, "{text}");
        }
    }

    #[test]
    fn sizes_round_as_in_postgresql() {
        for (bytes, shown) in [(0, "0 bytes"), (10_239, "10239 bytes"), (10_240, "10 kB"), (1_048_576, "1024 kB"), (20_000_000, "19 MB")] {
            assert_eq!(pretty(bytes), shown);
        }
    }
}
