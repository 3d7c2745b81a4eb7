//! Whether a value is among the elements of an array: `x = ANY (array)`.
//!
//! An array that is the same for all rows is looked at once, and not written beside each of them. A value that is not found is unknown
//! where an element is.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::function::{Result, missing};
use super::{alike, floats};

/// `value = ANY (array)`.
pub(super) fn within(array: Expr, value: Expr) -> Expr {
    let function = ScalarUDF::new_from_impl(Membership { signature: Signature::user_defined(Volatility::Immutable) });
    Expr::ScalarFunction(datafusion::logical_expr::expr::ScalarFunction::new_udf(function.into(), vec![array, value]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Membership {
    signature: Signature,
}

impl ScalarUDFImpl for Membership {
    fn name(&self) -> &str {
        "array_any"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let together = match types {
            [DataType::Null, value] => Some(value.clone()),
            [DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _), value] => {
                floats::common(types.first().unwrap_or(value), value).or_else(|| comparison_coercion(field.data_type(), value))
            }
            _ => None,
        };
        let together = together.ok_or_else(|| missing(self.name(), types))?;
        Ok(vec![DataType::List(Arc::new(Field::new_list_field(together.clone(), true))), together])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [list, value] = args.args.as_slice() else { return Err(DataFusionError::Internal("an array without its value".to_owned())) };
        let scalar = matches!(value, ColumnarValue::Scalar(_));
        let found = match list {
            ColumnarValue::Scalar(list) => {
                let values = value.to_array(1)?;
                of_one(&list.to_array_of_size(1)?, &values)?
            }
            ColumnarValue::Array(lists) => of_each(lists, &value.to_array(lists.len())?)?,
        };
        if scalar && matches!(list, ColumnarValue::Scalar(_)) {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

fn converter(data_type: &DataType) -> Result<RowConverter> {
    Ok(RowConverter::new(vec![SortField::new(data_type.clone())])?)
}

/// What is known of a value that was, or was not, found.
fn answer(found: bool, unknown: bool) -> Option<bool> {
    if found { Some(true) } else { (!unknown).then_some(false) }
}

/// Each value in one array.
fn of_one(list: &ArrayRef, values: &ArrayRef) -> Result<BooleanArray> {
    let lists = list.as_list::<i32>();
    if lists.is_null(0) {
        return Ok(BooleanArray::new_null(values.len()));
    }
    let elements = lists.value(0);
    if elements.is_empty() {
        return Ok(BooleanArray::from(vec![false; values.len()]));
    }
    let (known, sought) = (alike::plain_keys(&elements)?, alike::plain_keys(&cast(values, elements.data_type())?)?);
    let converter = converter(known.data_type())?;
    let known = converter.convert_columns(&[known])?;
    let known: HashSet<&[u8]> =
        (0..elements.len()).filter(|at| elements.is_valid(*at)).map(|at| known.row(at)).map(|row| row.data()).collect();
    let values_as_rows = converter.convert_columns(&[sought])?;
    let unknown = elements.null_count() > 0;
    let one = |row: usize| values.is_valid(row).then(|| answer(known.contains(values_as_rows.row(row).data()), unknown)).flatten();
    Ok((0..values.len()).map(one).collect())
}

/// Each value in the array of its row.
fn of_each(lists: &ArrayRef, values: &ArrayRef) -> Result<BooleanArray> {
    let lists = lists.as_list::<i32>();
    let elements = lists.values();
    let (known, sought) = (alike::plain_keys(elements)?, alike::plain_keys(&cast(values, elements.data_type())?)?);
    let converter = converter(known.data_type())?;
    let (known, sought) = (converter.convert_columns(&[known])?, converter.convert_columns(&[sought])?);
    let offsets = lists.value_offsets();
    let place = |at: usize| offsets.get(at).copied().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0);
    let one = |row: usize| {
        let (start, end) = (place(row), place(row + 1));
        if lists.is_null(row) {
            return None;
        }
        if start == end {
            return Some(false);
        }
        if values.is_null(row) {
            return None;
        }
        let found = (start..end).any(|at| elements.is_valid(at) && known.row(at) == sought.row(row));
        answer(found, (start..end).any(|at| elements.is_null(at)))
    };
    Ok((0..lists.len()).map(one).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, ListArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn what_is_not_found_among_nulls_is_unknown() {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(3), None]));
        let list = |elements: Vec<Option<i32>>| Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(elements)])) as ArrayRef;
        let of = |elements: Vec<Option<i32>>| of_one(&list(elements), &values).unwrap().iter().collect::<Vec<_>>();
        assert_eq!(of(vec![Some(1), Some(2)]), [Some(true), Some(false), None]);
        assert_eq!(of(vec![Some(1), None]), [Some(true), None, None]);
        assert_eq!(of(vec![]), [Some(false), Some(false), Some(false)]);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), Some(vec![Some(1), None]), None]);
        let found = of_each(&(Arc::new(lists) as ArrayRef), &values).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [Some(true), None, None]);
    }
}
