//! Arrays made of others and of elements, whose types are those that both have together.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int32Array, ListArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::concat;
use arrow::compute::kernels::cmp::not_distinct;
use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{alike, numeric};

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![append().udf(), prepend().udf(), joined().udf(), position().udf(), replaced().udf()]
}

/// `array || element`, or `element || array`.
pub(in crate::engine) fn beside(list: Expr, element: Expr, first: bool) -> Expr {
    if first { prepend().call(vec![element, list]) } else { append().call(vec![list, element]) }
}

fn list_of(element: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element.clone(), true)))
}

fn element(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => Some(field.data_type()),
        _ => None,
    }
}

/// The type that elements of two types have together.
pub(super) fn common(one: &DataType, other: &DataType) -> Option<DataType> {
    match (one, other) {
        (one, other) if one == other || other.is_null() => Some(one.clone()),
        (one, other) if one.is_null() => Some(other.clone()),
        (one, other) if one.is_numeric() && other.is_numeric() => numeric::common(&[one.clone(), other.clone()]),
        (one, other) if one.is_string() && other.is_string() => Some(DataType::Utf8),
        (DataType::Date32 | DataType::Timestamp(..), DataType::Timestamp(..)) => Some(other.clone()),
        (DataType::Timestamp(..), DataType::Date32) => Some(one.clone()),
        (DataType::Time32(_) | DataType::Time64(_), DataType::Time32(_) | DataType::Time64(_)) => Some(one.clone()),
        (DataType::Interval(_) | DataType::Duration(_), DataType::Interval(_) | DataType::Duration(_)) => Some(one.clone()),
        // A constant in quotes, which is read as the other; a text that is none was refused before.
        (one, other) if other.is_string() => Some(one.clone()),
        _ => None,
    }
}

/// A list and elements of it, in the type that they have together.
fn together(types: &[DataType]) -> Option<Vec<DataType>> {
    let (list, values) = types.split_first()?;
    let mut found = if list.is_null() { DataType::Null } else { element(list)?.clone() };
    for value in values {
        found = common(&found, value)?;
    }
    Some(std::iter::once(list_of(&found)).chain(values.iter().map(|_| found.clone())).collect())
}

/// Where the elements of a list are among all of its column.
fn bounds(lists: &ListArray, row: usize) -> (usize, usize) {
    if lists.is_null(row) {
        return (0, 0);
    }
    let offsets = lists.value_offsets();
    let at = |row: usize| offsets.get(row).copied().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
    (at(row), at(row + 1))
}

/// A list of elements of two columns for each row: by places in the first, and behind them in the second.
fn made(values: &[&dyn Array], rows: Vec<Option<Vec<usize>>>) -> Result<ArrayRef> {
    let all = concat(values)?;
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)));
    let nulls: NullBuffer = rows.iter().map(Option::is_some).collect();
    let places: UInt64Array = rows.into_iter().flatten().flatten().map(|place| u64::try_from(place).ok()).collect();
    let elements = arrow::compute::take(&all, &places, None)?;
    Ok(Arc::new(ListArray::try_new(Arc::new(Field::new_list_field(elements.data_type().clone(), true)), offsets, elements, Some(nulls))?))
}

fn unfit() -> datafusion::error::DataFusionError {
    fault(SqlState::INTERNAL_ERROR, "internal error")
}

/// The elements of lists with one more in front or behind; NULL stands for an empty list.
fn with_one(lists: &ListArray, values: &ArrayRef, first: bool) -> Result<ArrayRef> {
    let behind = lists.values().len();
    let row = |row: usize| {
        let (start, end) = bounds(lists, row);
        let one = std::iter::once(behind + row);
        Some(if first { one.chain(start..end).collect() } else { (start..end).chain(one).collect() })
    };
    made(&[lists.values().as_ref(), values.as_ref()], (0..lists.len()).map(row).collect())
}

fn append() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| with_one(arg::<ListArray>(args, 0)?, args.get(1).ok_or_else(unfit)?, false);
    let takes = |types: &[DataType]| if types.len() == 2 { together(types) } else { None };
    Function::new("array_append", takes, |types| together(types)?.first().cloned(), computes)
}

fn prepend() -> Function {
    let turned = |types: &[DataType]| match types {
        [value, list] => together(&[list.clone(), value.clone()]),
        _ => None,
    };
    let takes = move |types: &[DataType]| {
        let mut types = turned(types)?;
        types.reverse();
        Some(types)
    };
    let computes = |args: &[ArrayRef], _rows: usize| with_one(arg::<ListArray>(args, 1)?, args.first().ok_or_else(unfit)?, true);
    Function::new("array_prepend", takes, move |types| turned(types)?.first().cloned(), computes)
}

/// `array_cat(list, list)`; NULL adds nothing.
fn joined() -> Function {
    let both = |types: &[DataType]| match types {
        [one, other] if !one.is_null() || !other.is_null() => {
            let inside = |list: &DataType| if list.is_null() { Some(DataType::Null) } else { element(list).cloned() };
            let list = list_of(&common(&inside(one)?, &inside(other)?)?);
            Some(vec![list.clone(), list])
        }
        _ => None,
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let (left, right) = (arg::<ListArray>(args, 0)?, arg::<ListArray>(args, 1)?);
        let behind = left.values().len();
        let row = |row: usize| {
            let ((start, end), (other_start, other_end)) = (bounds(left, row), bounds(right, row));
            let known = left.is_valid(row) || right.is_valid(row);
            known.then(|| (start..end).chain(behind + other_start..behind + other_end).collect())
        };
        made(&[left.values().as_ref(), right.values().as_ref()], (0..rows).map(row).collect())
    };
    Function::new("array_cat", both, move |types| both(types)?.first().cloned(), computes)
}

/// Which elements of a row's list are the value.
fn same(lists: &ListArray, values: &ArrayRef, row: usize) -> Result<Vec<bool>> {
    let (elements, value) = (alike::plain_keys(&lists.value(row))?, alike::plain_keys(&values.slice(row, 1))?);
    let same = not_distinct(&elements, &arrow::array::Scalar::new(value))?;
    Ok(same.iter().map(|same| same == Some(true)).collect())
}

/// `array_position(list, value [, start])`
fn position() -> Function {
    let takes = |types: &[DataType]| {
        let (known, start) = types.split_at_checked(2)?;
        let start = match start {
            [] => None,
            [start] if start.is_integer() || start.is_null() => Some(DataType::Int32),
            _ => return None,
        };
        Some(together(known)?.into_iter().chain(start).collect())
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let (lists, values) = (arg::<ListArray>(args, 0)?, args.get(1).ok_or_else(unfit)?);
        let starts = if args.len() > 2 { Some(arg::<Int32Array>(args, 2)?) } else { None };
        let one = |row: usize| {
            if lists.is_null(row) {
                return Ok(None);
            }
            let start = match starts {
                Some(starts) if starts.is_null(row) => {
                    return Err(fault(SqlState::NULL_VALUE_NOT_ALLOWED, "initial position must not be null"));
                }
                starts => starts.map_or(1, |starts| starts.value(row)),
            };
            let skipped = usize::try_from(start.saturating_sub(1)).unwrap_or(0);
            let found = same(lists, values, row)?.into_iter().enumerate().skip(skipped).find(|(_, same)| *same);
            Ok(found.and_then(|(place, _)| i32::try_from(place + 1).ok()))
        };
        Ok(Arc::new((0..rows).map(one).collect::<Result<Int32Array>>()?) as ArrayRef)
    };
    Function::new("array_position", takes, |_| Some(DataType::Int32), computes)
}

/// `array_replace(list, value, other)`
fn replaced() -> Function {
    let takes = |types: &[DataType]| if types.len() == 3 { together(types) } else { None };
    let computes = |args: &[ArrayRef], rows: usize| {
        let (lists, values) = (arg::<ListArray>(args, 0)?, args.get(1).ok_or_else(unfit)?);
        let others = args.get(2).ok_or_else(unfit)?;
        let behind = lists.values().len();
        let row = |row: usize| {
            if lists.is_null(row) {
                return Ok(None);
            }
            let (start, _) = bounds(lists, row);
            let places = same(lists, values, row)?.into_iter().enumerate();
            Ok(Some(places.map(|(place, same)| if same { behind + row } else { start + place }).collect()))
        };
        made(&[lists.values().as_ref(), others.as_ref()], (0..rows).map(row).collect::<Result<_>>()?)
    };
    Function::new("array_replace_all", takes, |types| together(types)?.first().cloned(), computes)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn elements_have_one_type() {
        let numeric = DataType::Decimal128(3, 1);
        assert_eq!(together(&[list_of(&DataType::Int32), numeric.clone()]).unwrap()[1], DataType::Decimal128(11, 1));
        assert_eq!(together(&[list_of(&numeric), DataType::Int32]).unwrap()[1], DataType::Decimal128(11, 1));
        assert_eq!(together(&[DataType::Null, DataType::Int32]).unwrap()[0], list_of(&DataType::Int32));
        assert_eq!(together(&[list_of(&DataType::Utf8), DataType::Int32]), None);
        assert_eq!(together(&[list_of(&DataType::Int32), DataType::Utf8]).unwrap()[1], DataType::Int32);
    }

    #[test]
    fn an_element_stands_before_or_behind_its_list() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), Some(2)]), None, Some(vec![None])]);
        let values: ArrayRef = Arc::new(Int32Array::from(vec![7, 8, 9]));
        let shown = |first: bool| {
            let made = with_one(&lists, &values, first).unwrap();
            let made = made.as_any().downcast_ref::<ListArray>().unwrap().clone();
            made.iter()
                .map(|list| list.unwrap().as_any().downcast_ref::<Int32Array>().unwrap().iter().collect::<Vec<_>>())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(false), [vec![Some(1), Some(2), Some(7)], vec![Some(8)], vec![None, Some(9)]]);
        assert_eq!(shown(true), [vec![Some(7), Some(1), Some(2)], vec![Some(8)], vec![Some(9), None]]);
    }
}
