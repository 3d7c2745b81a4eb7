//! Constants of intervals: `INTERVAL '1 day'`, `INTERVAL '1' YEAR TO MONTH`, `'…'::interval(2)`.
//!
//! They are read by the rules that parameters are read by; what fields and digits leave out is left out here, where the text is known.

use datafusion::sql::sqlparser::ast::{self, DataType, DateTimeField, Expr, IntervalFields};

use crate::engine::parameter::{IntervalField, IntervalFields as Fields, read_interval};

use super::casting;
use super::spelling::{cast_to, literal, string};

/// An interval of any fields.
const FULL_RANGE: i32 = 0x7fff;
/// Any digits of seconds.
const FULL_PRECISION: i32 = 0xffff;

fn plain() -> DataType {
    DataType::Interval { fields: None, precision: None }
}

/// What stands for a constant; `None` leaves it to the engine.
pub(super) fn constant(interval: &ast::Interval) -> Option<Expr> {
    let text = literal(&interval.value)?;
    if interval.leading_field.is_none() && simple(text) {
        return None;
    }
    let fields = match &interval.leading_field {
        Some(_) => Some(fields_of(interval)?),
        None => None,
    };
    let whole = text.trim().bytes().all(|byte| byte.is_ascii_digit()) && digits_of(interval).is_none();
    match fields {
        // Bounds of window frames are read by their words.
        Some(Fields { first, last }) if whole && first == last => {
            Some(cast_to(string(&format!("{} {}", text.trim(), name(first))), plain()))
        }
        fields => Some(cut(text, fields, digits_of(interval))),
    }
}

/// `'…'::interval day to minute` of a constant.
pub(super) fn cast(text: &str, fields: &IntervalFields, precision: Option<u64>) -> Expr {
    cut(text, Some(fields_named(fields)), precision)
}

/// The constant without what fields and digits leave out.
fn cut(text: &str, fields: Option<Fields>, digits: Option<u64>) -> Expr {
    // What cannot be read is refused where constants are.
    let text = match (fields, read_interval(text, fields)) {
        (Some(_), Ok(span)) => format!("{} mons {} days {} us", span.months, span.days, span.nanoseconds / 1000),
        _ => text.to_owned(),
    };
    let value = cast_to(string(&text), plain());
    digits.map_or(value.clone(), |digits| casting::rounded(value, digits))
}

/// The typmod that a constant has.
pub(super) fn modifier(interval: &ast::Interval) -> Option<i32> {
    interval.leading_field.as_ref()?;
    Some(modifier_of(fields_of(interval), digits_of(interval)))
}

/// The typmod of `interval day to second(2)`.
pub(super) fn modifier_of_type(fields: Option<&IntervalFields>, precision: Option<u64>) -> Option<i32> {
    (fields.is_some() || precision.is_some()).then(|| modifier_of(fields.map(fields_named), precision))
}

fn modifier_of(fields: Option<Fields>, precision: Option<u64>) -> i32 {
    let precision = precision.and_then(|digits| i32::try_from(digits.min(6)).ok()).unwrap_or(FULL_PRECISION);
    fields.map_or(FULL_RANGE, Fields::mask) << 16 | precision
}

/// Digits of seconds that are asked for.
fn digits_of(interval: &ast::Interval) -> Option<u64> {
    interval.fractional_seconds_precision.or(interval.leading_precision)
}

fn fields_of(interval: &ast::Interval) -> Option<Fields> {
    let first = field(interval.leading_field.as_ref()?)?;
    let last = interval.last_field.as_ref().map_or(Some(first), field)?;
    (first <= last).then_some(Fields { first, last })
}

fn field(named: &DateTimeField) -> Option<IntervalField> {
    Some(match named {
        DateTimeField::Year => IntervalField::Year,
        DateTimeField::Month => IntervalField::Month,
        DateTimeField::Day => IntervalField::Day,
        DateTimeField::Hour => IntervalField::Hour,
        DateTimeField::Minute => IntervalField::Minute,
        DateTimeField::Second => IntervalField::Second,
        _ => return None,
    })
}

fn name(field: IntervalField) -> &'static str {
    match field {
        IntervalField::Year => "year",
        IntervalField::Month => "month",
        IntervalField::Day => "day",
        IntervalField::Hour => "hour",
        IntervalField::Minute => "minute",
        IntervalField::Second => "second",
    }
}

fn fields_named(fields: &IntervalFields) -> Fields {
    use IntervalField::{Day, Hour, Minute, Month, Second, Year};
    let (first, last) = match fields {
        IntervalFields::Year => (Year, Year),
        IntervalFields::Month => (Month, Month),
        IntervalFields::Day => (Day, Day),
        IntervalFields::Hour => (Hour, Hour),
        IntervalFields::Minute => (Minute, Minute),
        IntervalFields::Second => (Second, Second),
        IntervalFields::YearToMonth => (Year, Month),
        IntervalFields::DayToHour => (Day, Hour),
        IntervalFields::DayToMinute => (Day, Minute),
        IntervalFields::DayToSecond => (Day, Second),
        IntervalFields::HourToMinute => (Hour, Minute),
        IntervalFields::HourToSecond => (Hour, Second),
        IntervalFields::MinuteToSecond => (Minute, Second),
    };
    Fields { first, last }
}

/// Whether the engine reads it as PostgreSQL does. Bounds of window frames must stay literals.
fn simple(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let (Some(count), Some(unit), None) = (words.next(), words.next(), words.next()) else { return false };
    let unit = unit.strip_suffix('s').unwrap_or(unit);
    let whole = count.strip_prefix('-').unwrap_or(count);
    (1..=6).contains(&whole.len())
        && whole.bytes().all(|digit| digit.is_ascii_digit())
        && matches!(unit, "year" | "month" | "week" | "day" | "hour" | "minute" | "second")
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;
    use crate::engine::sql::dialect::PgDialect;

    #[test]
    fn plain_intervals_stay_literals() {
        assert!(simple("1 day") && simple("-10 weeks"));
        assert!(!simple("1 day 2 hours") && !simple("1.5 hours") && !simple("1 fortnight"));
    }

    #[test]
    fn fields_cut_what_they_leave_out() {
        for (sql, spelled, modifier_wanted) in [
            ("interval '1' year to month", "CAST('1 mons 0 days 0 us' AS INTERVAL)", Some(458_751)),
            ("interval '1.5' day", "CAST('0 mons 1 days 0 us' AS INTERVAL)", Some(589_823)),
            ("interval '1' day", "CAST('1 day' AS INTERVAL)", Some(589_823)),
            ("interval '1 2:03' minute to second", "CAST('0 mons 1 days 123000000 us' AS INTERVAL)", Some(402_718_719)),
            ("interval '1 day 2 hours'", "CAST('1 day 2 hours' AS INTERVAL)", None),
        ] {
            let Expr::Interval(parsed) = Parser::new(&PgDialect).try_with_sql(sql).unwrap().parse_expr().unwrap() else { panic!("{sql}") };
            assert_eq!(constant(&parsed).unwrap().to_string(), spelled, "{sql}");
            assert_eq!(modifier(&parsed), modifier_wanted, "{sql}");
        }
    }
}
