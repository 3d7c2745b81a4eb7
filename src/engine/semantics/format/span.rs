//! What `to_char` writes of an interval, which has no names of months and days, and no zone.

use arrow::datatypes::IntervalMonthDayNano;

use super::super::function::Result;
use super::super::pieces::{Pattern, Piece, unsupported};
use super::{moment, padded};

/// Writes an interval as a template wants it.
pub(super) fn write(out: &mut String, value: IntervalMonthDayNano, template: &[Piece]) -> Result<()> {
    let micros = value.nanoseconds / 1000;
    let (hours, minutes, seconds) = (micros / 3_600_000_000, micros / 60_000_000 % 60, micros / 1_000_000 % 60);
    let fraction = micros % 1_000_000;
    for piece in template {
        let (name, pattern, fill) = match piece {
            Piece::Text(part) | Piece::Quoted(part) => {
                out.push_str(part);
                continue;
            }
            Piece::Exact => continue,
            Piece::Pattern { ordinal: Some(_), .. } => return Err(unsupported("TH")),
            Piece::Pattern { name, pattern, fill, .. } => (*name, *pattern, *fill),
        };
        let (number, width) = match pattern {
            Pattern::Year(4) => (i64::from(value.months / 12), 4),
            Pattern::MonthNumber => (i64::from(value.months % 12), 2),
            Pattern::DayOfMonth => (i64::from(value.days), 2),
            Pattern::Hour => (hours, 2),
            Pattern::HourOfHalf => (if hours % 12 == 0 { 12 } else { hours % 12 }, 2),
            Pattern::Minute => (minutes, 2),
            Pattern::Second => (seconds, 2),
            Pattern::Millis => (fraction / 1000, 3),
            Pattern::Micros => (fraction, 6),
            Pattern::Half { dotted, upper } => {
                out.push_str(moment::half(hours % 24 >= 12, dotted, upper));
                continue;
            }
            _ => return Err(unsupported(name)),
        };
        // The sign of days counts among their letters.
        let width = match fill {
            false => 0,
            true if number < 0 && pattern != Pattern::DayOfMonth => width + 1,
            true => width,
        };
        padded(out, number, width);
    }
    Ok(())
}
