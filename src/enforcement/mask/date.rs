//! `truncate-to-year` and `truncate-to-month`, in UTC.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use datafusion::arrow::buffer::ScalarBuffer;
use datafusion::arrow::datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType};
use datafusion::error::Result;

use super::wrong_type;

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Days of four hundred years, after which the calendar begins anew.
const DAYS_PER_CYCLE: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01; a year that begins in March has its leap day at the end.
const DAYS_TO_EPOCH: i64 = 719_468;
/// Days from the first of March to the first of January.
const DAYS_TO_JANUARY: u64 = 306;
/// Quarters of a day in a hundred years.
const QUARTERS_PER_CENTURY: u32 = 146_097;
/// Two to the 32 by the quarters of a day in a year.
const YEAR_FACTOR: u64 = 2_939_745;
/// Years that begin before this may begin before what a timestamp holds.
const FIRST_MICROS: i64 = i64::MIN + 366 * MICROS_PER_DAY;

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
            let truncated = if times.values().iter().all(|micros| *micros >= FIRST_MICROS) {
                let mut last = Known { day_micros: 0, first_micros: first_day(0, period).wrapping_mul(MICROS_PER_DAY) };
                let first: Vec<i64> = times.values().iter().map(|micros| last.first_micros(*micros, period)).collect();
                TimestampMicrosecondArray::new(ScalarBuffer::from(first), times.nulls().cloned())
            } else {
                let first = |micros: i64| first_day(micros.div_euclid(MICROS_PER_DAY), period).checked_mul(MICROS_PER_DAY);
                times.unary_opt::<_, TimestampMicrosecondType>(first)
            };
            Ok(Arc::new(truncated.with_data_type(column.data_type().clone())))
        }
        _ => Err(wrong_type()),
    }
}

/// The last day that was looked at: rows that were written together often have the same.
struct Known {
    /// Where the day begins.
    day_micros: i64,
    /// Where its year or month begins.
    first_micros: i64,
}

impl Known {
    /// INVARIANT: for nothing before [`FIRST_MICROS`], so that no product is out of range.
    fn first_micros(&mut self, micros: i64, period: Period) -> i64 {
        if micros.checked_sub(self.day_micros).is_none_or(|micros_of_day| !(0..MICROS_PER_DAY).contains(&micros_of_day)) {
            let day = micros.div_euclid(MICROS_PER_DAY);
            self.day_micros = day.wrapping_mul(MICROS_PER_DAY);
            self.first_micros = first_day(day, period).wrapping_mul(MICROS_PER_DAY);
        }
        self.first_micros
    }
}

/// Day of the epoch on which the year or month of a day begins. No day of a date or microsecond is out of range.
///
/// After C. Neri and L. Schneider, "Euclidean affine functions and their application to calendar algorithms" (2022).
fn first_day(day: i64, period: Period) -> i64 {
    let day_of_cycle = u32::try_from((day + DAYS_TO_EPOCH).rem_euclid(DAYS_PER_CYCLE)).unwrap_or(0);
    let quarters = 4 * day_of_cycle + 3;
    let (century, day_of_century) = (quarters / QUARTERS_PER_CENTURY, quarters % QUARTERS_PER_CENTURY / 4);
    let product = YEAR_FACTOR * u64::from(4 * day_of_century + 3);
    let (year_of_century, rest) = (product >> 32, product & u64::from(u32::MAX));
    // From the first of March.
    let day_of_year = rest / YEAR_FACTOR / 4;
    let since = match period {
        Period::Month => (2_141 * day_of_year + 197_913) % 65_536 / 2_141,
        Period::Year if day_of_year >= DAYS_TO_JANUARY => day_of_year - DAYS_TO_JANUARY,
        Period::Year => {
            // The leap day of this calendar year, if it has one, is the last day of the March year before.
            let leap = if year_of_century == 0 { century == 0 } else { year_of_century.is_multiple_of(4) };
            day_of_year + 59 + u64::from(leap)
        }
    };
    day - i64::try_from(since).unwrap_or(0)
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
        fn timestamps_are_truncated_like_their_days(days in prop::collection::vec(-40_000_i64..40_000, 0..20), micros in 0..MICROS_PER_DAY) {
            let times: Vec<i64> = days.iter().flat_map(|day| [day * MICROS_PER_DAY, day * MICROS_PER_DAY + micros]).collect();
            for (times, least) in [(times.clone(), None), ([times, vec![i64::MIN, i64::MAX]].concat(), Some(()))] {
                let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.clone()));
                for period in [Period::Month, Period::Year] {
                    let masked = truncate(&column, period).unwrap();
                    let masked = masked.as_primitive::<TimestampMicrosecondType>();
                    for (row, time) in times.iter().enumerate() {
                        let first = first_day(time.div_euclid(MICROS_PER_DAY), period).checked_mul(MICROS_PER_DAY);
                        prop_assert_eq!(masked.is_valid(row).then(|| masked.value(row)), first);
                    }
                }
                prop_assert!(least.is_none() || truncate(&column, Period::Year).unwrap().null_count() == 1);
            }
        }

        #[test]
        fn no_value_is_out_of_range(day in any::<i32>(), micros in any::<i64>()) {
            prop_assert!(first_day(day.into(), Period::Year) <= day.into());
            let of_micros = micros.div_euclid(MICROS_PER_DAY);
            prop_assert!(first_day(of_micros, Period::Month) > of_micros - 31);
        }
    }
}
