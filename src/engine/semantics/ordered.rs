//! Aggregates over values in their order, of the list that array_agg() has made: percentile_disc(), mode().

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, IntervalMonthDayNanoArray, ListArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType};
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{spans, temporal};

/// The functions that stand for the aggregates.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![percentile().udf(), percentiles().udf(), one_between().udf(), between().udf(), mode().udf()]
}

fn element(types: &[DataType]) -> Option<DataType> {
    match types.first()? {
        DataType::List(field) => Some(field.data_type().clone()),
        _ => None,
    }
}

/// One element of each list, or NULL.
fn picked(lists: &ListArray, pick: impl Fn(&ArrayRef, usize) -> Result<Option<usize>>) -> Result<ArrayRef> {
    let offsets = lists.value_offsets();
    let mut places = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let place = if lists.is_null(row) { None } else { pick(&lists.value(row), row)? };
        let start = offsets.get(row).copied().and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
        places.push(place.and_then(|place| u64::try_from(start + place).ok()));
    }
    Ok(take(lists.values(), &UInt64Array::from(places), None)?)
}

/// How many of the values, which stand before any NULL, are known.
fn known(values: &ArrayRef) -> usize {
    values.len() - values.null_count()
}

/// `percentile_disc(fraction) WITHIN GROUP (ORDER BY x)`.
fn percentile() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (lists, fractions) = (arg::<ListArray>(args, 0)?, arg::<Float64Array>(args, 1)?);
        picked(lists, |values, row| {
            if fractions.is_null(row) {
                return Ok(None);
            }
            let fraction = fractions.value(row);
            if !(0.0..=1.0).contains(&fraction) {
                return Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "percentile value is not between 0 and 1"));
            }
            Ok(place(fraction, known(values)))
        })
    };
    let takes = |types: &[DataType]| match types {
        [list @ DataType::List(_), _] => Some(vec![list.clone(), DataType::Float64]),
        _ => None,
    };
    Function::new("meshgate_percentile_disc", takes, element, computes)
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

fn fraction_of(fraction: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&fraction) {
        return Ok(fraction);
    }
    Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "percentile value is not between 0 and 1"))
}

/// For each row a list of values, one for each fraction; NULL for a list without values.
fn each_fraction<T>(
    lists: &ListArray,
    fractions: &ListArray,
    mut one: impl FnMut(&ArrayRef, usize, Option<f64>) -> Result<T>,
) -> Result<Vec<Option<Vec<T>>>> {
    (0..lists.len())
        .map(|row| {
            if lists.is_null(row) || fractions.is_null(row) {
                return Ok(None);
            }
            let (values, wanted) = (lists.value(row), fractions.value(row));
            if known(&values) == 0 {
                return Ok(None);
            }
            let wanted = wanted.as_primitive::<Float64Type>();
            let made = wanted.iter().map(|fraction| one(&values, row, fraction.map(fraction_of).transpose()?));
            made.collect::<Result<Vec<T>>>().map(Some)
        })
        .collect()
}

fn nested<T>(rows: &[Option<Vec<T>>], values: ArrayRef) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, Some(nulls))?))
}

/// `percentile_disc(fractions) WITHIN GROUP (ORDER BY x)`
fn percentiles() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (lists, fractions) = (arg::<ListArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        let offsets = lists.value_offsets();
        let start = |row: usize| offsets.get(row).copied().and_then(|start| usize::try_from(start).ok()).unwrap_or(0);
        let places = each_fraction(lists, fractions, |values, row, fraction| {
            let place = fraction.and_then(|fraction| place(fraction, known(values)));
            Ok(place.and_then(|place| u64::try_from(start(row) + place).ok()))
        })?;
        let all: UInt64Array = places.iter().flatten().flatten().copied().collect();
        nested(&places, take(lists.values(), &all, None)?)
    };
    let takes = |types: &[DataType]| match types {
        [list @ DataType::List(_), DataType::List(_)] => Some(vec![list.clone(), list_of(DataType::Float64)]),
        _ => None,
    };
    Function::new("meshgate_percentiles_disc", takes, |types| element(types).map(list_of), computes)
}

/// The place of the last value that is not above the fraction, and how far the fraction goes to the next one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the place lies between 0 and the count"
)]
fn low_and_share(fraction: f64, count: usize) -> (usize, f64) {
    let place = fraction * count.saturating_sub(1) as f64;
    (place.floor() as usize, place - place.floor())
}

/// Between two values, of which the second need not be there.
fn interpolated(low: Option<f64>, high: Option<f64>, share: f64) -> Option<f64> {
    let low = low?;
    if share > 0.0 { high.map(|high| low + share * (high - low)) } else { Some(low) }
}

/// Between intervals, which come in any order.
fn span_between(values: &ArrayRef, fraction: f64, falling: bool) -> Result<Option<IntervalMonthDayNano>> {
    let mut spans: Vec<IntervalMonthDayNano> = values.as_primitive::<IntervalMonthDayNanoType>().iter().flatten().collect();
    spans.sort_by_key(|span| if falling { -spans::length(*span) } else { spans::length(*span) });
    share_of(&spans, fraction_of(fraction)?)
}

fn share_of(spans: &[IntervalMonthDayNano], fraction: f64) -> Result<Option<IntervalMonthDayNano>> {
    let (place, share) = low_and_share(fraction, spans.len());
    match (spans.get(place), spans.get(place + 1)) {
        (Some(low), Some(high)) if share > 0.0 => temporal::between(*low, *high, share)?.map(Some).ok_or_else(temporal::out_of_range),
        (low, _) => Ok(low.copied()),
    }
}

/// Between intervals in their order.
fn span_in_order(values: &ArrayRef, fraction: f64) -> Result<Option<IntervalMonthDayNano>> {
    let spans: Vec<IntervalMonthDayNano> = values.as_primitive::<IntervalMonthDayNanoType>().iter().flatten().collect();
    share_of(&spans, fraction)
}

/// Whether these are lists of intervals.
fn of_spans(types: &[DataType]) -> bool {
    matches!(element(types), Some(DataType::Interval(_) | DataType::Duration(_)))
}

/// What percentile_cont() answers of lists of such elements.
fn between_type(types: &[DataType]) -> Option<DataType> {
    if of_spans(types) {
        return Some(temporal::interval());
    }
    element(types).filter(DataType::is_numeric).map(|_| DataType::Float64)
}

/// What percentile_cont() takes of lists of such elements: a fraction and whether they fall, or several fractions of them in their order.
fn taken(types: &[DataType]) -> Option<Vec<DataType>> {
    let list = list_of(between_type(types)?);
    let rest = match types.get(1)? {
        DataType::List(_) => vec![list_of(DataType::Float64)],
        _ => vec![DataType::Float64, DataType::Boolean],
    };
    Some(std::iter::once(list).chain(rest).collect())
}

/// `percentile_cont(fraction) WITHIN GROUP (ORDER BY x)`, whose values come in any order.
fn one_between() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        if args.first().is_some_and(|lists| of_spans(&[lists.data_type().clone()])) {
            return one_span_between(args);
        }
        let (lists, fractions, falls) = (arg::<ListArray>(args, 0)?, arg::<Float64Array>(args, 1)?, arg::<BooleanArray>(args, 2)?);
        let one = |row: usize| {
            if lists.is_null(row) || fractions.is_null(row) {
                return Ok(None);
            }
            let fraction = fraction_of(fractions.value(row))?;
            let values = lists.value(row);
            let mut numbers: Vec<f64> = values.as_primitive::<Float64Type>().iter().flatten().collect();
            let (place, share) = low_and_share(fraction, numbers.len());
            if numbers.is_empty() {
                return Ok(None);
            }
            let falling = falls.value(row);
            let order = |one: &f64, other: &f64| if falling { other.total_cmp(one) } else { one.total_cmp(other) };
            let (_, low, above) = numbers.select_nth_unstable_by(place, order);
            Ok(interpolated(Some(*low), above.iter().copied().min_by(order), share))
        };
        Ok(Arc::new((0..lists.len()).map(one).collect::<Result<Float64Array>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| if types.len() == 3 { taken(types) } else { None };
    Function::new("meshgate_percentile_cont", takes, between_type, computes)
}

fn one_span_between(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (lists, fractions, falls) = (arg::<ListArray>(args, 0)?, arg::<Float64Array>(args, 1)?, arg::<BooleanArray>(args, 2)?);
    let one = |row: usize| {
        if lists.is_null(row) || fractions.is_null(row) {
            return Ok(None);
        }
        span_between(&lists.value(row), fractions.value(row), falls.value(row))
    };
    Ok(Arc::new((0..lists.len()).map(one).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// `percentile_cont(fractions) WITHIN GROUP (ORDER BY x)`
fn between() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (lists, fractions) = (arg::<ListArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        if of_spans(&[lists.data_type().clone()]) {
            let found = each_fraction(lists, fractions, |values, _, fraction| match fraction {
                // They come in their order, whichever that is.
                Some(fraction) => span_in_order(values, fraction),
                None => Ok(None),
            })?;
            let all: IntervalMonthDayNanoArray = found.iter().flatten().flatten().copied().collect();
            return nested(&found, Arc::new(all));
        }
        let found = each_fraction(lists, fractions, |values, _, fraction| {
            let numbers = values.as_primitive::<Float64Type>().values();
            let Some(fraction) = fraction else { return Ok(None) };
            let (low, share) = low_and_share(fraction, known(values));
            Ok(interpolated(numbers.get(low).copied(), numbers.get(low + 1).copied(), share))
        })?;
        let all: Float64Array = found.iter().flatten().flatten().copied().collect();
        nested(&found, Arc::new(all))
    };
    let takes = |types: &[DataType]| if types.len() == 2 { taken(types) } else { None };
    Function::new("meshgate_percentiles_cont", takes, |types| between_type(types).map(list_of), computes)
}

/// The first place whose share of the values reaches the fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the place lies between 0 and the count"
)]
fn place(fraction: f64, count: usize) -> Option<usize> {
    let place = (fraction * count as f64).ceil() as usize;
    count.checked_sub(1).map(|last| place.saturating_sub(1).min(last))
}

/// `mode() WITHIN GROUP (ORDER BY x)`: the first of the values that come most often.
fn mode() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let lists = arg::<ListArray>(args, 0)?;
        picked(lists, |values, _| most(&values.slice(0, known(values))))
    };
    let takes = |types: &[DataType]| element(types).map(|_| types.to_vec());
    Function::new("meshgate_mode", takes, element, computes)
}

fn most(values: &ArrayRef) -> Result<Option<usize>> {
    if values.is_empty() {
        return Ok(None);
    }
    let ranges = arrow::compute::partition(&[Arc::clone(values)])?.ranges();
    let longest = ranges.iter().rev().max_by_key(|range| range.len());
    Ok(longest.map(|range| range.start))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;

    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_is_there() {
        assert_eq!(
            [place(0.5, 4), place(0.0, 4), place(1.0, 4), place(0.51, 4), place(0.5, 0)],
            [Some(1), Some(0), Some(3), Some(2), None]
        );
    }

    #[test]
    fn what_lies_between_values_is_exact() {
        let of = |values: &[f64], fraction: f64| {
            let (low, share) = low_and_share(fraction, values.len());
            interpolated(values.get(low).copied(), values.get(low + 1).copied(), share)
        };
        assert_eq!([of(&[1.0, 2.0, 4.0], 0.5), of(&[1.0, 2.0], 1.0), of(&[7.0], 0.9)], [Some(2.0), Some(2.0), Some(7.0)]);
        assert_eq!(of(&[26.7, 26.8, 30.0], 0.45), Some(26.7 + 0.9 * (26.8 - 26.7)));
    }

    #[test]
    fn what_lies_between_intervals_is_one() {
        let span = |months: i32, days: i32, hours: i64| IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000);
        let values = Arc::new(IntervalMonthDayNanoArray::from(vec![span(1, 0, 0), span(0, 1, 0), span(0, 3, 4)])) as ArrayRef;
        assert_eq!(span_between(&values, 0.25, false).unwrap(), Some(span(0, 2, 2)));
        assert_eq!(span_between(&values, 0.5, true).unwrap(), Some(span(0, 3, 4)));
        assert_eq!(span_between(&values.slice(0, 0), 0.5, false).unwrap(), None);
        assert!(span_between(&values, 1.5, false).is_err());
    }

    #[test]
    fn several_fractions_make_a_list() {
        let floats = |values: Vec<f64>| {
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>([Some(values.into_iter().map(Some))])) as ArrayRef
        };
        let (values, fractions) = (floats(vec![1.0, 2.0, 2.0, 4.0]), floats(vec![0.25, 0.5]));
        let lists = each_fraction(values.as_list(), fractions.as_list(), |values, _, fraction| Ok(place(fraction.unwrap(), known(values))));
        assert_eq!(lists.unwrap(), [Some(vec![Some(0), Some(1)])]);
        assert!(fraction_of(1.5).is_err());
    }

    #[test]
    fn the_mode_is_the_first_of_the_most_frequent() {
        let of = |values: Vec<&str>| most(&(Arc::new(StringArray::from(values)) as ArrayRef)).unwrap();
        assert_eq!(of(vec!["a", "b", "b", "c", "c"]), Some(1));
        assert_eq!(of(vec![]), None);
    }
}
