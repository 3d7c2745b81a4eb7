//! Lists as arrays, structs as records, dictionaries as what they stand for.

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, MapArray, OffsetSizeTrait, StructArray, new_empty_array,
};
use arrow::datatypes::{DataType, Field};

use crate::engine::{Format, PgType};

use super::cells::Cells;
use super::{EncodeError, EncodeSettings, Target, downcast};

pub(super) fn column(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    match array.data_type() {
        DataType::List(field) => {
            let lists = downcast::<GenericListArray<i32>>(array)?;
            list(lists, field, lists.values(), |row| offsets(lists, row), target, settings, cells)
        }
        DataType::LargeList(field) => {
            let lists = downcast::<GenericListArray<i64>>(array)?;
            list(lists, field, lists.values(), |row| offsets(lists, row), target, settings, cells)
        }
        DataType::FixedSizeList(field, size) => {
            let lists = downcast::<FixedSizeListArray>(array)?;
            let size = usize::try_from(*size).map_err(|_| EncodeError::Shape)?;
            let start = usize::try_from(lists.value_offset(0)).map_err(|_| EncodeError::Shape)?;
            list(lists, field, lists.values(), |row| (start + row * size, start + (row + 1) * size), target, settings, cells)
        }
        DataType::Map(field, _) => {
            let maps = downcast::<MapArray>(array)?;
            let entries: ArrayRef = std::sync::Arc::new(maps.entries().clone());
            let range = |row: usize| {
                let at = |index: usize| maps.value_offsets().get(index).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
                (at(row), at(row + 1))
            };
            list(maps, field, &entries, range, target, settings, cells)
        }
        DataType::Struct(_) => record(downcast::<StructArray>(array)?, target, settings, cells),
        DataType::Dictionary(..) => dictionary(array, target, settings, cells),
        _ => Err(target.unfit(array)),
    }
}

fn offsets<O: OffsetSizeTrait>(lists: &GenericListArray<O>, row: usize) -> (usize, usize) {
    let at = |index: usize| lists.value_offsets().get(index).map_or(0, |offset| offset.as_usize());
    (at(row), at(row + 1))
}

/// Writes the distinct values once and copies them.
fn dictionary(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    let dictionary = array.as_any_dictionary_opt().ok_or(EncodeError::Shape)?;
    let mut values = Cells::default();
    super::column(dictionary.values().as_ref(), target, settings, &mut values)?;
    let keys = if dictionary.values().is_empty() { vec![0; array.len()] } else { dictionary.normalized_keys() };
    for (row, key) in keys.into_iter().enumerate() {
        cells.put_option(if dictionary.keys().is_null(row) { None } else { values.cell(key) });
    }
    Ok(())
}

fn list(
    array: &dyn Array,
    field: &Field,
    values: &ArrayRef,
    range: impl Fn(usize) -> (usize, usize),
    target: Target,
    settings: &EncodeSettings,
    cells: &mut Cells,
) -> Result<(), EncodeError> {
    let inner_list = matches!(field.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
    let text = target.writes_text();
    let natural = PgType::of_arrow(field);
    let vector = vector_element(target);
    let declared = vector.or_else(|| target.pg_type.element());
    let element = if inner_list { target.pg_type } else { declared.unwrap_or(natural) };
    if !text && declared.is_none() {
        return Err(target.unfit(array));
    }
    // Only the children of this slice are written, not those of the whole batch.
    let (first, end) = if array.is_empty() { (0, 0) } else { (range(0).0, range(array.len() - 1).1) };
    let length = end.saturating_sub(first);
    let children = if length == 0 { new_empty_array(field.data_type()) } else { values.slice(first, length) };
    let mut written = Cells::default();
    let format = if text { Format::Text } else { Format::Binary };
    super::column(children.as_ref(), Target { pg_type: element, format }, settings, &mut written)?;
    for row in 0..array.len() {
        if array.is_null(row) {
            cells.null();
            continue;
        }
        let (start, end) = range(row);
        let items = (start.saturating_sub(first)..end.saturating_sub(first)).map(|index| written.cell(index));
        match (text, vector) {
            (true, Some(_)) => vector_text(items, cells.out()),
            (true, None) => array_text(items, inner_list, cells.out()),
            (false, _) if inner_list => arrays_binary(items, declared.unwrap_or(natural), cells.out())?,
            (false, _) => array_binary(items, element, i32::from(vector.is_none()), cells.out())?,
        }
        cells.end();
    }
    Ok(())
}

/// The element of `int2vector` and `oidvector`, which the system relations have in the place of arrays.
fn vector_element(target: Target) -> Option<PgType> {
    if target.is(PgType::INT2VECTOR) { Some(PgType::INT2) } else { target.is(PgType::OIDVECTOR).then_some(PgType::OID) }
}

/// `1 2 3`
fn vector_text<'a>(items: impl Iterator<Item = Option<&'a [u8]>>, out: &mut Vec<u8>) {
    for (index, item) in items.flatten().enumerate() {
        out.extend(if index > 0 { &b" "[..] } else { b"" });
        out.extend(item);
    }
}

/// `{a,"b c",NULL}`
fn array_text<'a>(items: impl Iterator<Item = Option<&'a [u8]>>, inner_list: bool, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match item {
            None => out.extend(b"NULL"),
            Some(item) if inner_list || !needs_quotes(item, b"{},\"\\") && !item.eq_ignore_ascii_case(b"null") => out.extend(item),
            Some(item) => {
                out.push(b'"');
                for byte in item {
                    if matches!(byte, b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(*byte);
                }
                out.push(b'"');
            }
        }
    }
    out.push(b'}');
}

fn needs_quotes(item: &[u8], special: &[u8]) -> bool {
    item.is_empty() || item.iter().any(|byte| special.contains(byte) || byte.is_ascii_whitespace() || *byte == 0x0b)
}

/// One dimension, or none if it is empty.
fn array_binary<'a>(
    items: impl Iterator<Item = Option<&'a [u8]>> + Clone,
    element: PgType,
    first: i32,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let count = i32::try_from(items.clone().count()).map_err(|_| EncodeError::TooLong)?;
    let has_null = items.clone().any(|item| item.is_none());
    out.extend(i32::from(count > 0).to_be_bytes());
    out.extend(i32::from(has_null).to_be_bytes());
    out.extend(element.oid.to_be_bytes());
    if count > 0 {
        out.extend(count.to_be_bytes());
        out.extend(first.to_be_bytes());
    }
    items.into_iter().try_for_each(|item| put_value(item, out))
}

/// Arrays of one shape as one array with a dimension more; empty if they are.
fn arrays_binary<'a>(items: impl Iterator<Item = Option<&'a [u8]>> + Clone, element: PgType, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let count = i32::try_from(items.clone().count()).map_err(|_| EncodeError::TooLong)?;
    let mut shape: Option<&[u8]> = None;
    let mut has_null = [0_u8; 4];
    let mut values: Vec<u8> = Vec::new();
    for item in items {
        let (depth, rest) = item.and_then(<[u8]>::split_first_chunk::<4>).ok_or(EncodeError::Corrupt)?;
        let (nulls, rest) = rest.split_first_chunk::<4>().ok_or(EncodeError::Corrupt)?;
        let dimensions = usize::try_from(i32::from_be_bytes(*depth)).map_err(|_| EncodeError::Corrupt)?;
        let (own, below) = rest.split_at_checked(4 + dimensions * 8).ok_or(EncodeError::Corrupt)?;
        if shape.replace(own).is_some_and(|before| before != own) {
            return Err(EncodeError::Corrupt);
        }
        has_null = if *nulls == [0; 4] { has_null } else { *nulls };
        values.extend(below);
    }
    let Some(dimensions) = shape.and_then(|shape| shape.get(4..)).filter(|dimensions| !dimensions.is_empty()) else {
        return array_binary(std::iter::empty(), element, 1, out);
    };
    let depth = i32::try_from(dimensions.len() / 8).map_err(|_| EncodeError::TooLong)?;
    out.extend((depth + 1).to_be_bytes());
    out.extend(has_null);
    out.extend(element.oid.to_be_bytes());
    out.extend(count.to_be_bytes());
    out.extend(1_i32.to_be_bytes());
    out.extend(dimensions);
    out.extend(values);
    Ok(())
}

/// A length and the bytes; −1 is NULL.
fn put_value(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match value {
        None => out.extend((-1i32).to_be_bytes()),
        Some(value) => {
            out.extend(i32::try_from(value.len()).map_err(|_| EncodeError::TooLong)?.to_be_bytes());
            out.extend(value);
        }
    }
    Ok(())
}

/// `(a,"b c",)` as text; in binary each field with its type.
fn record(array: &StructArray, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    let text = target.writes_text();
    // A type that is no builtin is that of a table's rows, whose form is a record's.
    if !text && !target.is(PgType::RECORD) && PgType::of_oid(target.pg_type.oid).is_some() {
        return Err(target.unfit(array));
    }
    let format = if text { Format::Text } else { Format::Binary };
    let mut fields = Vec::with_capacity(array.num_columns());
    for (field, child) in array.fields().iter().zip(array.columns()) {
        let pg_type = PgType::of_arrow(field);
        let mut written = Cells::default();
        super::column(child.as_ref(), Target { pg_type, format }, settings, &mut written)?;
        fields.push((pg_type, written));
    }
    for row in 0..array.len() {
        if array.is_null(row) {
            cells.null();
            continue;
        }
        let out = cells.out();
        if text {
            record_text(fields.iter().map(|(_, written)| written.cell(row)), out);
        } else {
            out.extend(i32::try_from(fields.len()).map_err(|_| EncodeError::TooLong)?.to_be_bytes());
            for (pg_type, written) in &fields {
                out.extend(pg_type.oid.to_be_bytes());
                put_value(written.cell(row), out)?;
            }
        }
        cells.end();
    }
    Ok(())
}

fn record_text<'a>(fields: impl Iterator<Item = Option<&'a [u8]>>, out: &mut Vec<u8>) {
    out.push(b'(');
    for (index, field) in fields.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match field {
            None => {}
            Some(field) if !needs_quotes(field, b"(),\"\\") => out.extend(field),
            Some(field) => {
                out.push(b'"');
                for byte in field {
                    if matches!(byte, b'"' | b'\\') {
                        out.push(*byte);
                    }
                    out.push(*byte);
                }
                out.push(b'"');
            }
        }
    }
    out.push(b')');
}
