//! Sizes and counters. They are zero: a true size would tell of rows that a policy hides.

use std::sync::Arc;

use arrow::datatypes::DataType::{Int64, UInt32, Utf8};

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;

use super::Kind::{Int, Object, Text};
use super::{Function, int_of};

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
    functions
}

/// PostgreSQL moves to the next unit at ten times its size, and rounds half away from zero.
fn pretty(bytes: i64) -> String {
    let mut size = bytes;
    for (position, unit) in ["bytes", "kB", "MB", "GB", "TB", "PB"].iter().enumerate() {
        let limit = if position == 0 { 10 * 1024 } else { 20 * 1024 - 1 };
        if size.unsigned_abs() < limit || *unit == "PB" {
            let shown = if position == 0 { size } else { (size + size.signum()) / 2 };
            return format!("{shown} {unit}");
        }
        // One bit more is kept for the rounding.
        size >>= if position == 0 { 9 } else { 10 };
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::pretty;

    #[test]
    fn sizes_round_as_in_postgresql() {
        for (bytes, shown) in [(0, "0 bytes"), (10_239, "10239 bytes"), (10_240, "10 kB"), (1_048_576, "1024 kB"), (20_000_000, "19 MB")] {
            assert_eq!(pretty(bytes), shown);
        }
    }
}
