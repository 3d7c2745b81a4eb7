//! `truncate-to-year` and `truncate-to-month`, in UTC.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;

use super::wrong_type;

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days of four hundred years, after which the calendar begins anew.
const DAYS_PER_CYCLE: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01; a year that begins in March has its leap day at the end.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days from the first of March to the first of January.
const DAYS_TO_JANUARY: i64 = 306;

/// What a date is truncated to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Period {
    Year,
    Month,
}

/// What cannot be truncated becomes NULL.
pub(super) fn truncate(column: &ArrayRef, period: Period) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Date32 => {
            let days = column.as_primitive_opt::<Date32Type>().ok_or_else(wrong_type)?;
            Ok(Arc::new(days.unary_opt::<_, Date32Type>(|day| i32::try_from(first_day(day.into(), period)).ok())))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let times = column.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(wrong_type)?;
            let first = |micros: i64| first_day(micros.div_euclid(MICROS_PER_DAY), period).checked_mul(MICROS_PER_DAY);
            let truncated = times.unary_opt::<_, TimestampMicrosecondType>(first);
            Ok(Arc::new(truncated.with_data_type(column.data_type().clone())))
        }
        _ => Err(wrong_type()),
    }
}

/// Day of the epoch on which the year or month of a day begins. No day of a date or microsecond is out of range.
fn first_day(day: i64, period: Period) -> i64 {
    let shifted = day + DAYS_TO_EPOCH;
    let day_of_cycle = shifted.rem_euclid(DAYS_PER_CYCLE);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    // From the first of March.
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    match period {
        Period::Month => {
            let month = (5 * day_of_year + 2) / 153;
            day - (day_of_year - (153 * month + 2) / 5)
        }
        Period::Year if day_of_year >= DAYS_TO_JANUARY => day - (day_of_year - DAYS_TO_JANUARY),
        Period::Year => {
            // The leap day of this calendar year, if it has one, is the last day of the March year before.
            let year = year_of_cycle;
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            day - day_of_year - 59 - i64::from(leap)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    fn expected(day: i64, period: Period) -> i64 {
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let date = epoch + chrono::Duration::days(day);
        let month = if let Period::Year = period { 1 } else { date.month() };
        NaiveDate::from_ymd_opt(date.year(), month, 1).unwrap().signed_duration_since(epoch).num_days()
    }

    #[test]
    fn every_day_of_eight_hundred_years_is_truncated_as_the_calendar_has_it() {
        for day in -DAYS_PER_CYCLE..DAYS_PER_CYCLE {
            assert_eq!(first_day(day, Period::Year), expected(day, Period::Year), "{day}");
            assert_eq!(first_day(day, Period::Month), expected(day, Period::Month), "{day}");
        }
    }

    proptest! {
        #[test]
        fn so_is_any_other(day in -90_000_000_i64..90_000_000) {
            prop_assert_eq!(first_day(day, Period::Year), expected(day, Period::Year));
            prop_assert_eq!(first_day(day, Period::Month), expected(day, Period::Month));
        }

        #[test]
        fn no_value_is_out_of_range(day in any::<i32>(), micros in any::<i64>()) {
            prop_assert!(first_day(day.into(), Period::Year) <= day.into());
            let of_micros = micros.div_euclid(MICROS_PER_DAY);
            prop_assert!(first_day(of_micros, Period::Month) > of_micros - 31);
        }
    }
}
