//! How many bytes values take: those of a slice alone, whatever it is a slice of.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, GenericListArray, LargeBinaryArray, OffsetSizeTrait};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;

/// What a value of any length takes beside its bytes.
const VALUE_BYTES: usize = 16;

/// The bytes of a column.
pub(in crate::engine) fn of(column: &dyn Array) -> usize {
    let inside = match column.data_type() {
        fixed if !is_open(fixed) => return column.len().saturating_mul(width(fixed)),
        DataType::Utf8 => between(column.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => between(column.as_string::<i64>().value_offsets()),
        DataType::Binary => column.as_any().downcast_ref::<BinaryArray>().map_or(0, |values| between(values.value_offsets())),
        DataType::LargeBinary => column.as_any().downcast_ref::<LargeBinaryArray>().map_or(0, |values| between(values.value_offsets())),
        DataType::Utf8View => column.as_string_view().iter().flatten().map(str::len).sum(),
        DataType::BinaryView => column.as_binary_view().iter().flatten().map(<[u8]>::len).sum(),
        DataType::List(_) => listed(column.as_list::<i32>()),
        DataType::LargeList(_) => listed(column.as_list::<i64>()),
        DataType::Struct(_) => column.as_struct().columns().iter().map(|part| of(part)).sum(),
        _ => 0,
    };
    inside.saturating_add(column.len().saturating_mul(VALUE_BYTES))
}

/// The bytes of the longest value of a column.
pub(super) fn of_longest(column: &ArrayRef) -> usize {
    (0..column.len()).map(|row| of(&column.slice(row, 1))).max().unwrap_or(0)
}

/// The bytes of a value.
pub(in crate::engine) fn of_one(value: &ScalarValue) -> usize {
    let inside = match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => text.len(),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) => bytes.len(),
        ScalarValue::List(list) => return of(list.as_ref()),
        ScalarValue::LargeList(list) => return of(list.as_ref()),
        ScalarValue::Struct(row) => return of(row.as_ref()),
        fixed if !is_open(&fixed.data_type()) => return width(&fixed.data_type()),
        _ => 0,
    };
    inside.saturating_add(VALUE_BYTES)
}

/// Whether a value of this type can be of any length.
pub(super) fn is_open(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::Struct(_)
    )
}

/// The bytes of each value of a type of one length.
fn width(data_type: &DataType) -> usize {
    data_type.primitive_width().unwrap_or(VALUE_BYTES)
}

fn listed<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> usize {
    let offsets = lists.value_offsets();
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return 0 };
    let (first, last) = (first.as_usize(), last.as_usize());
    of(&lists.values().slice(first, last.saturating_sub(first)))
}

fn between<O: OffsetSizeTrait>(offsets: &[O]) -> usize {
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => last.as_usize().saturating_sub(first.as_usize()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn a_slice_weighs_what_is_in_it() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "bcd", "ef"]));
        assert_eq!((of(&texts), of(&texts.slice(1, 1)), of_longest(&texts)), (6 + 48, 3 + 16, 3 + 16));
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some("abc"), None]));
        assert_eq!(of(&views), 3 + 32);
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1); 10]), Some(vec![Some(1)])]);
        assert_eq!(of(&lists.slice(1, 1)), 4 + 16);
        assert_eq!(of(&Int32Array::from(vec![1, 2])), 8);
    }

    #[test]
    fn a_value_weighs_what_it_weighs_in_a_column() {
        for value in [ScalarValue::from("abc"), ScalarValue::Utf8(None), ScalarValue::Int32(Some(1))] {
            assert_eq!(of_one(&value), of(&value.to_array().unwrap()));
        }
        let list = ScalarValue::List(ScalarValue::new_list(&[ScalarValue::from("abc")], &DataType::Utf8, true));
        assert_eq!(of_one(&list), of(&list.to_array().unwrap()));
    }
}
