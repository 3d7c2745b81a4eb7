//! Columns that the server makes coarser before it sends them.
//!
//! INVARIANT: no value makes the query fail, nor does one arrive that the engine would make anything else of than of the raw one. What the
//! server would count otherwise, it sends as it is.

use super::filter::Family;
use super::table::PgColumn;
use crate::ports::coarsening::Coarsening;

/// A greater width could go over what the server's integers hold.
const WIDTH_MAX: i64 = 1 << 62;

/// The column, coarser, as SQL of the type that it travels as; `None` if the server cannot.
pub(super) fn coarse_sql(column: &PgColumn, to: Coarsening) -> Option<String> {
    let raw = format!("({}{})", column.name_sql(), column.access.cast);
    match to {
        Coarsening::Year => truncated(&raw, column.family, "year"),
        Coarsening::Month => truncated(&raw, column.family, "month"),
        Coarsening::Multiple(width) => multiple(&raw, column, width),
    }
}

/// Years before the first and behind the 9999th are counted here.
fn truncated(raw: &str, family: Family, to: &str) -> Option<String> {
    let (pg_type, last, first_of) = match family {
        Family::Date => ("date", "9999-12-31", format!("pg_catalog.date_trunc('{to}', {raw}::pg_catalog.timestamp)::pg_catalog.date")),
        Family::Timestamp => ("timestamp", "9999-12-31 23:59:59.999999", format!("pg_catalog.date_trunc('{to}', {raw})")),
        Family::Instant => {
            let there = format!("pg_catalog.date_trunc('{to}', pg_catalog.timezone('UTC', {raw}))");
            ("timestamptz", "9999-12-31 23:59:59.999999+00", format!("pg_catalog.timezone('UTC', {there})"))
        }
        _ => return None,
    };
    let first = if family == Family::Instant { "0001-01-01 00:00:00+00" } else { "0001-01-01" };
    let counted = format!("{raw} >= '{first}'::pg_catalog.{pg_type} AND {raw} <= '{last}'::pg_catalog.{pg_type}");
    Some(format!("CASE WHEN {counted} THEN {first_of} ELSE {raw} END"))
}

fn multiple(raw: &str, column: &PgColumn, width: i64) -> Option<String> {
    let (pg_type, least) = match column.access.oid {
        21 => ("int2", i64::from(i16::MIN)),
        23 => ("int4", i64::from(i32::MIN)),
        20 => ("int8", i64::MIN),
        _ => return None,
    };
    if column.family != Family::Int || !(1..=WIDTH_MAX).contains(&width) {
        return None;
    }
    // The first multiple that the type holds.
    let first = least.checked_add((0_i64.wrapping_sub(least.rem_euclid(width))).rem_euclid(width))?;
    let (value, width) = (format!("{raw}::pg_catalog.int8"), format!("'{width}'::pg_catalog.int8"));
    let beyond = format!("({value} % {width} + {width}) % {width}");
    Some(format!("CASE WHEN {value} >= '{first}'::pg_catalog.int8 THEN ({value} - {beyond})::pg_catalog.{pg_type} END"))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::column;
    use super::*;
    use crate::product::DataType;

    #[test]
    fn numbers_below_the_first_multiple_have_none() {
        let small = column("n", &DataType::Int16, 21);
        let sql = |width| coarse_sql(&small, Coarsening::Multiple(width)).unwrap();
        for (width, first) in [(1, "-32768"), (10, "-32760"), (32_768, "-32768"), (32_769, "0"), (100_000, "0")] {
            let below = format!("CASE WHEN (\"n\")::pg_catalog.int8 >= '{first}'::pg_catalog.int8 THEN ");
            assert!(sql(width).starts_with(&below), "{}", sql(width));
        }
        assert!(sql(10).ends_with("::pg_catalog.int2 END"));
        let wide = column("n", &DataType::Int64, 23);
        let first = coarse_sql(&wide, Coarsening::Multiple(10)).unwrap();
        assert!(first.contains(">= '-9223372036854775800'") && first.ends_with("::pg_catalog.int8 END"), "{first}");
    }

    #[test]
    fn what_is_no_number_or_no_moment_stays_as_it_is() {
        let text = column("t", &DataType::String, 25);
        let number = column("n", &DataType::Int32, 23);
        let day = column("d", &DataType::Date, 1082);
        assert_eq!(coarse_sql(&text, Coarsening::Year), None);
        assert_eq!(coarse_sql(&number, Coarsening::Month), None);
        assert_eq!(coarse_sql(&day, Coarsening::Multiple(7)), None);
        assert_eq!(coarse_sql(&number, Coarsening::Multiple(0)), None);
        assert_eq!(coarse_sql(&number, Coarsening::Multiple(WIDTH_MAX + 1)), None);
        assert!(coarse_sql(&day, Coarsening::Year).is_some());
    }

    #[test]
    fn a_coarse_column_is_asked_for_by_no_other_name() {
        let number = PgColumn { coarse: Some(Coarsening::Multiple(10)), ..column("n", &DataType::Int32, 23) };
        assert!(number.full_sql().starts_with("CASE WHEN") && number.value_sql() == "\"n\"");
    }
}
