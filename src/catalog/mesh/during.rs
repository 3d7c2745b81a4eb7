//! From when to when a statement asks, as far as its predicates tell.
//!
//! INVARIANT: what is left out is in no row that the predicates let through; they are tested again above.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Between, BinaryExpr};
use datafusion::logical_expr::{Expr, Operator};

use crate::audit::During;

/// The columns that tell when.
pub(super) const INSTANT: &str = "at";
pub(super) const DAY: &str = "day";

/// The time that all predicates together leave.
pub(super) fn during(filters: &[Expr]) -> During {
    filters.iter().fold(During::default(), |during, filter| during.and(of(filter)))
}

fn of(filter: &Expr) -> During {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => of(left).and(of(right)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) => bounded(&column.name, *op, value),
            (Expr::Literal(value, _), Expr::Column(column)) => {
                op.swap().map_or_else(During::default, |op| bounded(&column.name, op, value))
            }
            _ => During::default(),
        },
        Expr::Between(Between { expr, negated: false, low, high }) => match (expr.as_ref(), low.as_ref(), high.as_ref()) {
            (Expr::Column(column), Expr::Literal(low, _), Expr::Literal(high, _)) => {
                bounded(&column.name, Operator::GtEq, low).and(bounded(&column.name, Operator::LtEq, high))
            }
            _ => During::default(),
        },
        _ => During::default(),
    }
}

/// What `column op value` leaves.
fn bounded(column: &str, op: Operator, value: &ScalarValue) -> During {
    let span = match column {
        INSTANT => instant(value).map(|at| (at, at)),
        DAY => day(value).and_then(whole_day),
        _ => None,
    };
    let Some((from, to)) = span else { return During::default() };
    let always = During::default();
    match op {
        Operator::Eq => During { from, to },
        Operator::Gt | Operator::GtEq => During { from, ..always },
        Operator::Lt | Operator::LtEq => During { to, ..always },
        _ => always,
    }
}

fn instant(value: &ScalarValue) -> Option<DateTime<Utc>> {
    match value {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => DateTime::from_timestamp_micros(*micros),
        ScalarValue::TimestampMillisecond(Some(millis), _) => DateTime::from_timestamp_millis(*millis),
        ScalarValue::TimestampSecond(Some(seconds), _) => DateTime::from_timestamp(*seconds, 0),
        ScalarValue::TimestampNanosecond(Some(nanos), _) => Some(DateTime::from_timestamp_nanos(*nanos)),
        _ => None,
    }
}

fn day(value: &ScalarValue) -> Option<NaiveDate> {
    let ScalarValue::Date32(Some(days)) = value else { return None };
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    if *days >= 0 {
        epoch.checked_add_days(Days::new(u64::from(days.unsigned_abs())))
    } else {
        epoch.checked_sub_days(Days::new(u64::from(days.unsigned_abs())))
    }
}

fn whole_day(day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let from = day.and_hms_opt(0, 0, 0)?.and_utc();
    Some((from, from.checked_add_signed(TimeDelta::days(1))?))
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn literal(text: &str) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(at(text).timestamp_micros()), Some("+00:00".into())))
    }

    fn date(text: &str) -> Expr {
        let days = at(&format!("{text}T00:00:00Z")).timestamp() / 86_400;
        lit(ScalarValue::Date32(Some(i32::try_from(days).unwrap())))
    }

    #[test]
    fn bounds_come_from_comparisons_of_both_columns_and_from_nothing_else() {
        let (june, july) = ("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z");
        let always = During::default();
        for (filter, expected) in [
            (col("at").gt_eq(literal(june)).and(col("at").lt(literal(july))), During { from: at(june), to: at(july) }),
            (literal(june).lt_eq(col("at")), During { from: at(june), ..always }),
            (col("at").between(literal(june), literal(july)), During { from: at(june), to: at(july) }),
            (col("day").eq(date("2026-06-30")), During { from: at("2026-06-30T00:00:00Z"), to: at(july) }),
            (col("day").gt(date("2026-06-01")), During { from: at(june), ..always }),
            (col("at").gt_eq(literal(june)).or(col("rows").gt(lit(1))), always),
            (col("at").not_between(literal(june), literal(july)), always),
            (col("ended_at").gt(literal(june)), always),
            (col("at").not_eq(literal(june)), always),
        ] {
            assert_eq!(during(std::slice::from_ref(&filter)), expected, "{filter}");
        }
    }
}
