//! Functions of arrays that the engine does not have, or answers otherwise.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int32Builder, ListArray, ListBuilder, Scalar, StringArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::kernels::cmp::{distinct, not_distinct};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault, first};
use super::{alike, appended, series};

/// The functions by name.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![dims().udf(), ndims().udf(), fill().udf(), trimmed().udf(), positions().udf(), removed().udf()]
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

fn element(types: &[DataType]) -> Option<DataType> {
    match types.first()? {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => Some(field.data_type().clone()),
        _ => None,
    }
}

/// A list of any elements, and nothing else.
fn one_list(types: &[DataType]) -> Option<Vec<DataType>> {
    if types.len() == 1 { element(types).map(|element| vec![list_of(element)]) } else { None }
}

/// How many elements each dimension has; none of an empty array.
fn lengths(list: &ArrayRef) -> Vec<usize> {
    if list.is_empty() {
        return Vec::new();
    }
    let inner = list.as_list_opt::<i32>().filter(|lists| lists.is_valid(0)).map(|lists| lengths(&lists.value(0)));
    std::iter::once(list.len()).chain(inner.unwrap_or_default()).collect()
}

/// `[1:2][1:3]`
fn dims() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let texts = arg::<ListArray>(args, 0)?.iter().map(|list| {
            let lengths = lengths(&list?);
            let text: String = lengths.iter().map(|length| format!("[1:{length}]")).collect();
            (!text.is_empty()).then_some(text)
        });
        Ok(Arc::new(texts.collect::<StringArray>()) as ArrayRef)
    };
    Function::new("array_dims", one_list, |_| Some(DataType::Utf8), computes)
}

fn ndims() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let counts = arg::<ListArray>(args, 0)?.iter().map(|list| {
            let count = i32::try_from(lengths(&list?).len()).ok()?;
            (count > 0).then_some(count)
        });
        Ok(Arc::new(counts.collect::<Int32Array>()) as ArrayRef)
    };
    Function::new("array_ndims", one_list, |_| Some(DataType::Int32), computes)
}

/// `array_fill(value, array[n])`
fn fill() -> Function {
    let takes = |types: &[DataType]| match types {
        [value, lengths] if element(std::slice::from_ref(lengths)).is_some() => Some(vec![value.clone(), list_of(DataType::Int32)]),
        _ => None,
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let (values, lengths) = (first(args)?, arg::<ListArray>(args, 1)?);
        let (mut places, mut ends, mut known) = (Vec::new(), vec![0_i32], Vec::new());
        let mut budget = series::ELEMENTS_MAX;
        for row in 0..rows {
            if lengths.is_null(row) {
                return Err(fault(SqlState::NULL_VALUE_NOT_ALLOWED, "dimension array or low bound array cannot be null"));
            }
            let length = lengths.value(row);
            let length = length.as_primitive::<arrow::datatypes::Int32Type>();
            if length.len() > 1 {
                return Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "arrays of several dimensions are not filled"));
            }
            let count = length.values().first().copied().unwrap_or(0);
            if count < 0 {
                return Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed"));
            }
            budget = series::left(budget, i128::from(count))?;
            places.extend(std::iter::repeat_n(u64::try_from(row).unwrap_or(0), usize::try_from(count).unwrap_or(0)));
            ends.push(ends.last().copied().unwrap_or(0).saturating_add(count));
            known.push(true);
        }
        let filled = take(values, &UInt64Array::from(places), None)?;
        let field = Arc::new(Field::new_list_field(filled.data_type().clone(), true));
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        Ok(Arc::new(ListArray::try_new(field, offsets, filled, Some(NullBuffer::from(known)))?) as ArrayRef)
    };
    Function::new("array_fill", takes, |types| types.first().map(|value| list_of(value.clone())), computes)
}

/// `trim_array(list, n)`: without so many elements at the end.
fn trimmed() -> Function {
    let takes = |types: &[DataType]| match types {
        [list, count] if count.is_integer() => Some(vec![list_of(element(std::slice::from_ref(list))?), DataType::Int32]),
        _ => None,
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let (lists, counts) = (arg::<ListArray>(args, 0)?, arg::<Int32Array>(args, 1)?);
        let mut kept: Vec<Option<ArrayRef>> = Vec::with_capacity(rows);
        for row in 0..rows {
            if lists.is_null(row) || counts.is_null(row) {
                kept.push(None);
                continue;
            }
            let list = lists.value(row);
            let count = usize::try_from(counts.value(row)).ok().filter(|count| *count <= list.len());
            let Some(count) = count else {
                return Err(fault(SqlState::ARRAY_SUBSCRIPT_ERROR, "number of elements to trim must be between 0 and the array's length"));
            };
            kept.push(Some(list.slice(0, list.len() - count)));
        }
        joined(&kept, &lists.value_type())
    };
    Function::new("trim_array", takes, |types| types.first().cloned(), computes)
}

/// A list for each part; NULL where there is none.
fn joined(parts: &[Option<ArrayRef>], element: &DataType) -> Result<ArrayRef> {
    let arrays: Vec<&dyn Array> = parts.iter().flatten().map(AsRef::as_ref).collect();
    let values = if arrays.is_empty() { arrow::array::new_empty_array(element) } else { arrow::compute::concat(&arrays)? };
    let offsets = OffsetBuffer::from_lengths(parts.iter().map(|part| part.as_ref().map_or(0, |part| part.len())));
    let nulls: NullBuffer = parts.iter().map(Option::is_some).collect();
    let field = Arc::new(Field::new_list_field(element.clone(), true));
    Ok(Arc::new(ListArray::try_new(field, offsets, values, Some(nulls))?))
}

/// A list, and what may be one of its elements.
fn list_and_value(types: &[DataType]) -> Option<Vec<DataType>> {
    let [list, value] = types else { return None };
    let inside = appended::common(&element(std::slice::from_ref(list))?, value)?;
    Some(vec![list_of(inside.clone()), inside])
}

/// What a row's value is compared by.
fn one_key(values: &ArrayRef, row: usize) -> Result<Scalar<ArrayRef>> {
    alike::plain_keys(&values.slice(row, 1)).map(Scalar::new)
}

/// `array_positions(list, value)`
fn positions() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (lists, values) = (arg::<ListArray>(args, 0)?, args.get(1).ok_or_else(|| fault(SqlState::INTERNAL_ERROR, "internal error"))?);
        let mut found = ListBuilder::new(Int32Builder::new());
        for row in 0..rows {
            if lists.is_null(row) {
                found.append(false);
                continue;
            }
            let list = lists.value(row);
            let same = not_distinct(&alike::plain_keys(&list)?, &one_key(values, row)?)?;
            for (number, same) in (1..).zip(same.iter()) {
                if same == Some(true) {
                    found.values().append_value(number);
                }
            }
            found.append(true);
        }
        Ok(Arc::new(found.finish()) as ArrayRef)
    };
    Function::new("array_positions", list_and_value, |_| Some(list_of(DataType::Int32)), computes)
}

/// `array_remove(list, value)`: without the elements that are the value, or NULL if it is.
fn removed() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (lists, values) = (arg::<ListArray>(args, 0)?, args.get(1).ok_or_else(|| fault(SqlState::INTERNAL_ERROR, "internal error"))?);
        let mut kept: Vec<Option<ArrayRef>> = Vec::with_capacity(rows);
        for row in 0..rows {
            if lists.is_null(row) {
                kept.push(None);
                continue;
            }
            let list = lists.value(row);
            let differs = distinct(&alike::plain_keys(&list)?, &one_key(values, row)?)?;
            kept.push(Some(arrow::compute::filter(&list, &differs)?));
        }
        joined(&kept, &lists.value_type())
    };
    Function::new("array_remove", list_and_value, |types| list_and_value(types)?.first().cloned(), computes)
}

/// The elements rounded as they are when numbers are cast to integers; `None` if these are no numbers with fractions.
pub(super) fn rounded(from: &DataType, to: &DataType) -> Option<Function> {
    let (inside, target) = (element(std::slice::from_ref(from))?, element(std::slice::from_ref(to))?);
    let fractions = inside.is_floating() || matches!(inside, DataType::Decimal128(_, scale) if scale > 0);
    if !fractions || !target.is_integer() {
        return None;
    }
    let computes = |args: &[ArrayRef], _rows: usize| {
        let lists = arg::<ListArray>(args, 0)?;
        let values = lists.values();
        let whole: ArrayRef = match values.data_type() {
            DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round_ties_even)),
            DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round_ties_even)),
            _ => cast(&cast(values, &DataType::Decimal128(38, 0))?, values.data_type())?,
        };
        let field = Arc::new(Field::new_list_field(whole.data_type().clone(), true));
        Ok(Arc::new(ListArray::try_new(field, lists.offsets().clone(), whole, lists.nulls().cloned())?) as ArrayRef)
    };
    Some(Function::new("array_rounded", one_list, |types| types.first().cloned(), computes))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn dimensions_are_those_of_the_first_elements() {
        let flat: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        assert_eq!(lengths(&flat), [3]);
        let nested: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
            Some(vec![Some(1), Some(2), Some(3)]),
            Some(vec![None, None, None]),
        ]));
        assert_eq!(lengths(&nested), [2, 3]);
        assert!(lengths(&flat.slice(0, 0)).is_empty());
    }

    #[test]
    fn parts_become_lists() {
        let part: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let lists = joined(&[Some(part), None], &DataType::Int32).unwrap();
        let lists = lists.as_list::<i32>();
        assert_eq!((lists.value_length(0), lists.is_null(1)), (2, true));
    }

    #[test]
    fn only_fractions_are_rounded() {
        assert!(rounded(&list_of(DataType::Float64), &list_of(DataType::Int32)).is_some());
        assert!(rounded(&list_of(DataType::Int64), &list_of(DataType::Int32)).is_none());
        assert!(rounded(&list_of(DataType::Float64), &list_of(DataType::Utf8)).is_none());
    }
}
