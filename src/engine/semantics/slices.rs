//! Slices of several dimensions of an array: `a[1:2][2:3]`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field};

use super::function::{Function, Result, arg};

/// `meshgate_slices(array, lower, upper, …)`: the elements within the bounds of each dimension.
pub(super) fn slices() -> Function {
    let takes = |types: &[DataType]| {
        let (list, bounds) = types.split_first()?;
        let fits = matches!(list, DataType::List(_)) && bounds.len() % 2 == 0;
        fits.then(|| std::iter::once(list.clone()).chain(bounds.iter().map(|_| DataType::Int64)).collect())
    };
    let computes = |args: &[ArrayRef], rows: usize| {
        let lists = arg::<ListArray>(args, 0)?;
        let bounds = (1..args.len()).map(|at| arg::<Int64Array>(args, at)).collect::<Result<Vec<_>>>()?;
        let mut parts: Vec<Option<ArrayRef>> = Vec::with_capacity(rows);
        for row in 0..rows {
            let known = lists.is_valid(row) && bounds.iter().all(|bound| bound.is_valid(row));
            let of_row: Vec<i64> = bounds.iter().map(|bound| bound.value(row)).collect();
            parts.push(if known { Some(sliced(&lists.value(row), &of_row)?) } else { None });
        }
        let DataType::List(field) = lists.data_type() else { return super::function::first(args).cloned() };
        listed(field, &parts)
    };
    Function::new("meshgate_slices", takes, |types| types.first().cloned(), computes)
}

/// The elements within the bounds; none at all if a dimension has none.
fn sliced(list: &ArrayRef, bounds: &[i64]) -> Result<ArrayRef> {
    let [lower, upper, rest @ ..] = bounds else { return Ok(Arc::clone(list)) };
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let (lower, upper) = ((*lower).max(1), (*upper).min(length));
    let start = usize::try_from(lower - 1).unwrap_or(usize::MAX).min(list.len());
    let count = usize::try_from(upper.saturating_sub(lower).saturating_add(1)).unwrap_or(0).min(list.len() - start);
    let kept = list.slice(start, count);
    if rest.is_empty() {
        return Ok(kept);
    }
    let (Some(inner), DataType::List(field)) = (kept.as_list_opt::<i32>(), kept.data_type()) else { return Ok(kept.slice(0, 0)) };
    let parts = inner.iter().map(|part| part.map(|part| sliced(&part, rest)).transpose()).collect::<Result<Vec<_>>>()?;
    if parts.iter().flatten().all(|part| part.is_empty()) {
        return Ok(kept.slice(0, 0));
    }
    listed(field, &parts)
}

/// An array whose elements are these arrays.
fn listed(field: &Arc<Field>, parts: &[Option<ArrayRef>]) -> Result<ArrayRef> {
    let known: Vec<&dyn Array> = parts.iter().flatten().map(AsRef::as_ref).collect();
    let values = if known.is_empty() { arrow::array::new_empty_array(field.data_type()) } else { arrow::compute::concat(&known)? };
    let offsets = OffsetBuffer::from_lengths(parts.iter().map(|part| part.as_ref().map_or(0, |part| part.len())));
    let nulls = NullBuffer::from(parts.iter().map(Option::is_some).collect::<Vec<_>>());
    Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, values, Some(nulls))?))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int32Array;
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn each_dimension_has_its_bounds() {
        let rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9]].map(|row| Some(row.map(Some)));
        let square: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows));
        let of = |bounds: &[i64]| {
            let part = sliced(&square, bounds).unwrap();
            let shown = part.as_list::<i32>().iter().map(|row| row.unwrap().as_primitive::<Int32Type>().values().to_vec());
            shown.collect::<Vec<_>>()
        };
        assert_eq!(of(&[1, 2, 2, 3]), [[2, 3], [5, 6]]);
        assert_eq!(of(&[-5, 99, 3, 3]), [[3], [6], [9]]);
        assert!(of(&[1, 2, 4, 9]).is_empty() && of(&[2, 1, 1, 1]).is_empty());
        let flat: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        assert!(sliced(&flat, &[1, 2, 1, 2]).unwrap().is_empty());
    }
}
