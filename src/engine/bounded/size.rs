//! How many bytes a call makes at most, told from its arguments.
//!
//! `None` if they cannot be counted, which is too many. NULL makes nothing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};

/// From the arguments of a call and its number of rows to the bytes that it makes.
pub(super) type Measure = fn(&[ColumnarValue], usize) -> Option<i64>;

/// A letter of UTF-8 at most.
const LETTER_BYTES: i64 = 4;
/// A number, or a moment, of a series.
const ELEMENT_BYTES: i64 = 8;
/// The text of a number, a moment or a truth value at most.
const PRIMITIVE_BYTES: i64 = 64;
const DAY_MICROS: i64 = 86_400_000_000;
const SHORTEST_MONTH_DAYS: i64 = 28;

/// A text and how many times it is there.
pub(super) fn repeated(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let (lengths, counts) = (lengths(args.first()?)?, integers(args.get(1)?)?);
    total(rows, |row| lengths.at(row).unwrap_or(0).checked_mul(counts.at(row).unwrap_or(0).max(0)))
}

/// A text and the length that it is filled up to.
pub(super) fn padded(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let counts = integers(args.get(1)?)?;
    total(rows, |row| counts.at(row).unwrap_or(0).max(0).checked_mul(LETTER_BYTES))
}

/// The same call, in which no text is filled up to less than nothing: the engine sums the lengths of a column as they are.
pub(super) fn from_nothing(name: &str, mut args: ScalarFunctionArgs) -> Result<ScalarFunctionArgs> {
    match args.args.get_mut(1) {
        Some(count) if matches!(name, "lpad" | "rpad") => *count = clamped(count)?,
        _ => {}
    }
    Ok(args)
}

fn clamped(counts: &ColumnarValue) -> Result<ColumnarValue> {
    Ok(match counts {
        ColumnarValue::Array(counts) => {
            let whole = cast(counts, &DataType::Int64)?;
            ColumnarValue::Array(Arc::new(whole.as_primitive::<Int64Type>().unary::<_, Int64Type>(|count| count.max(0))))
        }
        ColumnarValue::Scalar(count) => match count.cast_to(&DataType::Int64)? {
            ScalarValue::Int64(Some(count)) => ColumnarValue::Scalar(ScalarValue::Int64(Some(count.max(0)))),
            null => ColumnarValue::Scalar(null),
        },
    })
}

/// A text, a text in it, and what takes the place of that.
pub(super) fn replaced(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let (texts, parts, by) = (lengths(args.first()?)?, lengths(args.get(1)?)?, lengths(args.get(2)?)?);
    total(rows, |row| {
        let (text, part) = (texts.at(row).unwrap_or(0), parts.at(row).unwrap_or(0));
        let more = by.at(row).unwrap_or(0).checked_sub(part)?.max(0);
        text.checked_div(part.max(1))?.checked_add(1)?.checked_mul(more)?.checked_add(text)
    })
}

/// A text, a pattern in it, and what takes the place of what it finds: at most before and behind each byte.
pub(super) fn substituted(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let (texts, by) = (lengths(args.first()?)?, lengths(args.get(2)?)?);
    total(rows, |row| {
        let text = texts.at(row).unwrap_or(0);
        by.at(row).unwrap_or(0).checked_mul(text.checked_add(1)?)?.checked_add(text)
    })
}

/// Texts that are put together.
pub(super) fn joined(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let parts = args.iter().map(lengths).collect::<Option<Vec<_>>>()?;
    total(rows, |row| parts.iter().try_fold(0_i64, |all, part| all.checked_add(part.at(row).unwrap_or(0))))
}

/// Texts that are put together with the first one in between.
pub(super) fn separated(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let between = joined(args.get(..1)?, rows)?.checked_mul(i64::try_from(args.len()).ok()?)?;
    between.checked_add(joined(args.get(1..)?, rows)?)
}

/// The elements of a list with a text between them, and perhaps one for each NULL.
pub(super) fn spelled(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let others = args.get(1..)?.iter().map(lengths).collect::<Option<Vec<_>>>()?;
    let lists = match args.first()? {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array().ok()?,
    };
    total(rows, |row| {
        let (bytes, elements) = elements(&lists.slice(row.min(lists.len().checked_sub(1)?), 1))?;
        let beside = others.iter().try_fold(0_i64, |all, other| all.checked_add(other.at(row).unwrap_or(0)))?;
        beside.checked_mul(elements.max(1))?.checked_add(bytes)
    })
}

/// The bytes of the elements of lists, and how many there are.
fn elements(values: &ArrayRef) -> Option<(i64, i64)> {
    let inside = match values.data_type() {
        DataType::List(_) => {
            let lists = values.as_list::<i32>();
            let (first, last) = (*lists.value_offsets().first()?, *lists.value_offsets().last()?);
            let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
            lists.values().slice(first, last.checked_sub(first)?)
        }
        DataType::LargeList(_) => {
            let lists = values.as_list::<i64>();
            let (first, last) = (*lists.value_offsets().first()?, *lists.value_offsets().last()?);
            let (first, last) = (usize::try_from(first).ok()?, usize::try_from(last).ok()?);
            lists.values().slice(first, last.checked_sub(first)?)
        }
        _ => {
            let texts = lengths(&ColumnarValue::Array(Arc::clone(values)))?;
            let bytes = total(values.len(), |row| Some(texts.at(row).unwrap_or(0)))?;
            return Some((bytes, i64::try_from(values.len()).ok()?));
        }
    };
    elements(&inside)
}

/// The elements from a start to a stop, in steps.
pub(super) fn series(args: &[ColumnarValue], rows: usize) -> Option<i64> {
    let (start, stop) = match args {
        [stop] => (Numbers::constant(0), integers(stop)?),
        [start, stop] | [start, stop, _] => (integers(start)?, integers(stop)?),
        _ => return None,
    };
    let steps = args.get(2).map_or_else(|| Some(Numbers::constant(1)), steps)?;
    total(rows, |row| {
        let (Some(start), Some(stop), Some(step)) = (start.at(row), stop.at(row), steps.at(row)) else { return Some(0) };
        // A step of zero is an error of its own.
        let step = step.checked_abs()?.max(1);
        stop.checked_sub(start)?.checked_abs()?.checked_div(step)?.checked_add(1)?.checked_mul(ELEMENT_BYTES)
    })
}

/// A number for each row, or one for all: a constant is not made as often as there are rows, for it can be long.
struct Numbers {
    values: Int64Array,
    constant: bool,
}

impl Numbers {
    fn constant(value: i64) -> Self {
        Self { values: Int64Array::from(vec![value]), constant: true }
    }

    /// `None`: NULL.
    fn at(&self, row: usize) -> Option<i64> {
        let row = if self.constant { 0 } else { row };
        (row < self.values.len() && !self.values.is_null(row)).then(|| self.values.value(row))
    }
}

fn numbers(value: &ColumnarValue, of: fn(&ArrayRef) -> Option<Int64Array>) -> Option<Numbers> {
    Some(match value {
        ColumnarValue::Array(array) => Numbers { values: of(array)?, constant: false },
        ColumnarValue::Scalar(scalar) => Numbers { values: of(&scalar.to_array().ok()?)?, constant: true },
    })
}

/// Numbers as they are; moments in microseconds.
fn integers(value: &ColumnarValue) -> Option<Numbers> {
    numbers(value, |array| {
        let moments = match array.data_type() {
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?
            }
            _ => Arc::clone(array),
        };
        Some(cast(&moments, &DataType::Int64).ok()?.as_primitive::<Int64Type>().clone())
    })
}

/// Numbers as they are; intervals in microseconds, and rather too short than too long.
fn steps(value: &ColumnarValue) -> Option<Numbers> {
    if !matches!(value.data_type(), DataType::Interval(_)) {
        return integers(value);
    }
    numbers(value, |array| {
        let intervals = cast(array, &DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
        let micros = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| {
            let interval = interval?;
            let days = i64::from(interval.months).checked_mul(SHORTEST_MONTH_DAYS)?.checked_add(i64::from(interval.days))?;
            days.checked_mul(DAY_MICROS)?.checked_add(interval.nanoseconds / 1_000)
        });
        Some(micros.collect())
    })
}

/// The bytes of each value's text.
fn lengths(value: &ColumnarValue) -> Option<Numbers> {
    numbers(value, |array| {
        let length = |length: usize| i64::try_from(length).ok();
        Some(match array.data_type() {
            DataType::Utf8View => array.as_string_view().iter().map(|text| length(text?.len())).collect(),
            DataType::LargeUtf8 => array.as_string::<i64>().iter().map(|text| length(text?.len())).collect(),
            DataType::Utf8 => array.as_string::<i32>().iter().map(|text| length(text?.len())).collect(),
            DataType::Null | DataType::Boolean => vec![PRIMITIVE_BYTES; array.len()].into(),
            primitive if primitive.is_primitive() => vec![PRIMITIVE_BYTES; array.len()].into(),
            // Others are as long in memory as in text, or nearly so.
            _ => vec![length(array.get_array_memory_size())?.checked_mul(LETTER_BYTES)?; array.len()].into(),
        })
    })
}

fn total(rows: usize, size: impl Fn(usize) -> Option<i64>) -> Option<i64> {
    (0..rows).try_fold(0_i64, |all, row| all.checked_add(size(row)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Date32Array, IntervalMonthDayNanoArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::IntervalMonthDayNano;

    fn texts(texts: Vec<Option<&str>>) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(StringArray::from(texts)))
    }

    fn numbers(numbers: Vec<Option<i64>>) -> ColumnarValue {
        ColumnarValue::Array(Arc::new(Int64Array::from(numbers)))
    }

    #[test]
    fn what_is_repeated_and_padded_is_measured() {
        assert_eq!(repeated(&[texts(vec![Some("ab"), None, Some("abc")]), numbers(vec![Some(2), Some(9), Some(-5)])], 3), Some(4));
        assert_eq!(repeated(&[texts(vec![Some("x")]), numbers(vec![Some(2_000_000_000)])], 1), Some(2_000_000_000));
        assert_eq!(repeated(&[texts(vec![Some("xy"); 3]), numbers(vec![Some(i64::MAX); 3])], 3), None);
        assert_eq!(padded(&[texts(vec![Some("a"), None]), numbers(vec![Some(3), None])], 2), Some(12));
        assert_eq!(padded(&[texts(vec![None]), numbers(vec![Some(i64::MAX)])], 1), None);
    }

    #[test]
    fn nothing_is_filled_up_to_less_than_nothing() {
        let counts = |value: &ColumnarValue| clamped(value).unwrap().into_array(2).unwrap().as_primitive::<Int64Type>().clone();
        assert_eq!(counts(&numbers(vec![Some(-5), Some(3)])), Int64Array::from(vec![0, 3]));
        assert_eq!(counts(&numbers(vec![None, Some(i64::MIN)])), Int64Array::from(vec![None, Some(0)]));
        assert_eq!(counts(&ColumnarValue::Scalar(ScalarValue::Int64(Some(-1)))), Int64Array::from(vec![0, 0]));
        assert_eq!(counts(&ColumnarValue::Scalar(ScalarValue::Int64(None))), Int64Array::from(vec![None, None]));
    }

    #[test]
    fn a_constant_counts_for_each_row() {
        let long = ColumnarValue::Scalar(ScalarValue::Utf8View(Some("x".repeat(1_000_000))));
        assert_eq!(repeated(&[long.clone(), numbers(vec![Some(1); 8_192])], 8_192), Some(8_192_000_000));
        assert_eq!(joined(&[long, texts(vec![Some("ab"); 3])], 3), Some(3_000_006));
    }

    #[test]
    fn what_is_replaced_and_joined_is_measured() {
        let args = [texts(vec![Some("xxx"), None]), texts(vec![Some("x"), Some("")]), texts(vec![Some("yyy"), Some("zz")])];
        assert_eq!(replaced(&args, 2), Some((4 * 2 + 3) + 2));
        assert_eq!(replaced(&[texts(vec![Some("abc")]), texts(vec![Some("bc")]), texts(vec![Some("d")])], 1), Some(3));
        assert_eq!(substituted(&args, 2), Some((3 * 4 + 3) + 2));
        assert_eq!(joined(&args, 2), Some(3 + 1 + 5));
        assert_eq!(separated(&args, 2), Some(3 * 3 + 1 + 5));
    }

    #[test]
    fn a_list_is_measured_with_what_stands_between() {
        let lists = ScalarValue::new_list(&[ScalarValue::from("abc"), ScalarValue::from("d")], &DataType::Utf8, true);
        let both = [ScalarValue::List(Arc::clone(&lists)), ScalarValue::List(Arc::clone(&lists))];
        let nested = ScalarValue::new_list(&both, lists.data_type(), true);
        let between = ColumnarValue::Scalar(ScalarValue::from("xx"));
        assert_eq!(spelled(&[ColumnarValue::Scalar(ScalarValue::List(lists)), between.clone()], 3), Some(3 * (4 + 4)));
        assert_eq!(spelled(&[ColumnarValue::Scalar(ScalarValue::List(nested)), between], 1), Some(8 + 8));
    }

    #[test]
    fn a_series_is_measured() {
        let one = |start, stop, step| series(&[numbers(vec![Some(start)]), numbers(vec![Some(stop)]), numbers(vec![Some(step)])], 1);
        assert_eq!(one(1, 10, 1), Some(80));
        assert_eq!(one(10, 1, -3), Some(32));
        assert_eq!(one(1, i64::from(i32::MAX), 1), Some(i64::from(i32::MAX) * 8));
        assert_eq!(one(i64::MIN, i64::MAX, 1), None);
        assert_eq!(series(&[numbers(vec![Some(4), None])], 2), Some(40));
        let from = ColumnarValue::Array(Arc::new(Date32Array::from(vec![0])));
        let to = ColumnarValue::Array(Arc::new(TimestampMicrosecondArray::from(vec![10 * DAY_MICROS])));
        let of = |months, days, nanos| {
            let step = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(months, days, nanos)]);
            series(&[from.clone(), to.clone(), ColumnarValue::Array(Arc::new(step))], 1)
        };
        assert_eq!(of(0, 1, 0), Some(88));
        assert_eq!(of(1, 0, 0), Some(8));
        assert_eq!(of(0, 0, 1_000), Some((10 * DAY_MICROS + 1) * 8));
    }
}
