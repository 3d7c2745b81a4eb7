//! Texts of bits as integers: `('x' || hex)::bit(64)::bigint`, as queries turn digests into numbers. There are no other values of type bit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int16Array, Int32Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};

/// Bits of a bigint.
const BITS_MAX: i64 = 64;

/// `meshgate_bits(text, count)`
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (texts, counts) = (arg::<StringArray>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let one = |row: usize| if texts.is_null(row) { Ok(None) } else { number(texts.value(row), counts.value(row)).map(Some) };
        Ok(Arc::new((0..rows).map(one).collect::<Result<Int64Array>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| match types {
        [text, _] if text.is_string() || text.is_null() => Some(vec![DataType::Utf8, DataType::Int64]),
        _ => None,
    };
    vec![Function::new("meshgate_bits", takes, |_| Some(DataType::Int64), computes).udf()]
}

/// `smallint << n`, which keeps the bits that a smallint has.
pub(super) fn shifted() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, counts) = (arg::<Int16Array>(args, 0)?, arg::<Int32Array>(args, 1)?);
        let one = |pair: (Option<i16>, Option<i32>)| {
            let [low, high, ..] = i32::from(pair.0?).wrapping_shl(pair.1?.cast_unsigned()).to_le_bytes();
            Some(i16::from_le_bytes([low, high]))
        };
        Ok(Arc::new(values.iter().zip(counts.iter()).map(one).collect::<Int16Array>()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then_some(vec![DataType::Int16, DataType::Int32]);
    Function::new("int2shl", takes, |_| Some(DataType::Int16), computes)
}

fn invalid(kind: &str) -> DataFusionError {
    fault(SqlState::INVALID_TEXT_REPRESENTATION, &format!("a text has a letter that is not a valid {kind} digit"))
}

/// The number that the first so many bits of a text are; what the text has not are zeros at its end.
fn number(text: &str, count: i64) -> Result<i64> {
    if !(1..=BITS_MAX).contains(&count) {
        return Err(fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"));
    }
    let (digits, width, kind) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 4, "hexadecimal"),
        None => (text.strip_prefix(['b', 'B']).unwrap_or(text), 1, "binary"),
    };
    let (mut bits, mut read) = (0_u64, 0);
    for letter in digits.chars() {
        let digit = letter.to_digit(1 << width).ok_or_else(|| invalid(kind))?;
        for place in (0..width).rev() {
            if read < count {
                bits = bits << 1 | u64::from(digit >> place & 1);
                read += 1;
            }
        }
    }
    let missing = u32::try_from(count - read).unwrap_or(0);
    Ok(bits.checked_shl(missing).unwrap_or(0).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_cut_or_filled_at_their_end() {
        for (text, count, expected) in [
            ("x00000000000000ff", 64, 255),
            ("xffffffffffffffff", 64, -1),
            ("xffffffffffffffff0000", 64, -1),
            ("xff", 4, 15),
            ("x1", 8, 16),
            ("101", 3, 5),
            ("", 8, 0),
        ] {
            assert_eq!(number(text, count).unwrap(), expected, "{text}");
        }
        assert!(number("xg", 8).is_err() && number("2", 8).is_err() && number("1", 65).is_err());
    }
}
