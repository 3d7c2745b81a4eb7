//! Texts of files and of their folders as Arrow columns of the contract's types.
//!
//! Space around a value is ignored, but in texts. A number that would lose digits is not a value of its type.

mod temporal;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder,
    Int64Builder, IntervalMonthDayNanoBuilder, StringViewBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use arrow::datatypes::{DataType, Field, TimeUnit};

use super::schema::{TextKind, text_kind};

/// A text that is no value of its column's type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadValue {
    /// The row.
    pub(super) row: usize,
}

/// One column as texts.
pub(super) trait Texts {
    /// How many rows there are.
    fn rows(&self) -> usize;

    /// The text of one row; `None` is NULL.
    fn text(&self, row: usize) -> Option<&[u8]>;
}

/// What becomes of texts that are no values: each ends the reading, or is read as NULL and counted.
pub(super) type Nulled<'a> = Option<&'a mut u64>;

/// Feeds each value to `append`; `None` from `parse` makes the value bad.
fn each<'a, C: Texts + ?Sized, T>(
    texts: &'a C,
    nulled: &mut Nulled<'_>,
    parse: impl Fn(&'a [u8]) -> Option<T>,
    mut append: impl FnMut(Option<T>),
) -> Result<(), BadValue> {
    for row in 0..texts.rows() {
        match texts.text(row) {
            None => append(None),
            Some(text) => match (parse(text), &mut *nulled) {
                (None, None) => return Err(BadValue { row }),
                (None, Some(count)) => {
                    **count += 1;
                    append(None);
                }
                (value, _) => append(value),
            },
        }
    }
    Ok(())
}

/// Reads one column; lists are no texts.
pub(super) fn read_column<C: Texts + ?Sized>(texts: &C, field: &Field, mut nulled: Nulled<'_>) -> Result<ArrayRef, BadValue> {
    let rows = texts.rows();
    macro_rules! column {
        ($builder:expr, $parse:expr) => {{
            let mut builder = $builder;
            each(texts, &mut nulled, $parse, |value| builder.append_option(value))?;
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    Ok(match field.data_type() {
        DataType::Boolean => column!(BooleanBuilder::with_capacity(rows), boolean),
        DataType::Int16 => column!(Int16Builder::with_capacity(rows), number::<i16>),
        DataType::Int32 => column!(Int32Builder::with_capacity(rows), number::<i32>),
        DataType::Int64 => column!(Int64Builder::with_capacity(rows), number::<i64>),
        DataType::Float32 => column!(Float32Builder::with_capacity(rows), number::<f32>),
        DataType::Float64 => column!(Float64Builder::with_capacity(rows), number::<f64>),
        DataType::Decimal128(precision, scale) => {
            let builder = Decimal128Builder::with_capacity(rows).with_data_type(field.data_type().clone());
            column!(builder, |text| decimal(text, *precision, *scale))
        }
        DataType::Date32 => column!(Date32Builder::with_capacity(rows), |text| temporal::date(text.trim_ascii())),
        DataType::Time64(TimeUnit::Microsecond) => {
            column!(Time64MicrosecondBuilder::with_capacity(rows), |text| temporal::time(text.trim_ascii()))
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let read = if zone.is_some() { temporal::instant } else { temporal::timestamp };
            let builder = TimestampMicrosecondBuilder::with_capacity(rows).with_data_type(field.data_type().clone());
            column!(builder, |text| read(text.trim_ascii()))
        }
        DataType::Interval(_) => {
            column!(IntervalMonthDayNanoBuilder::with_capacity(rows), |text| parse_interval_month_day_nano(as_text(text)?).ok())
        }
        DataType::Binary => column!(BinaryBuilder::with_capacity(rows, rows), bytes),
        DataType::Utf8View => match text_kind(field) {
            TextKind::Text => column!(StringViewBuilder::with_capacity(rows), as_text),
            TextKind::Uuid => column!(StringViewBuilder::with_capacity(rows), uuid),
            TextKind::Json => column!(StringViewBuilder::with_capacity(rows), json),
        },
        // The table refuses every other type when it is opened.
        _ => return Err(BadValue { row: 0 }),
    })
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    as_text(bytes.trim_ascii())?.parse().ok()
}

fn boolean(bytes: &[u8]) -> Option<bool> {
    const TRUE: [&str; 6] = ["true", "t", "1", "yes", "y", "on"];
    const FALSE: [&str; 6] = ["false", "f", "0", "no", "n", "off"];
    let text = as_text(bytes.trim_ascii())?;
    let is = |words: [&str; 6]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(TRUE) { Some(true) } else { is(FALSE).then_some(false) }
}

/// An exact decimal: digits past the scale must be zeros.
fn decimal(bytes: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let text = bytes.trim_ascii();
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = digits.split_at_checked(point)?;
    let fraction = fraction.strip_prefix(b".").unwrap_or_default();
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let kept = usize::try_from(scale).ok()?;
    let (fraction, lost) = fraction.split_at_checked(kept.min(fraction.len()))?;
    if lost.iter().any(|digit| *digit != b'0') {
        return None;
    }
    let padding = std::iter::repeat_n(&b'0', kept - fraction.len());
    let mut value: i128 = 0;
    for digit in whole.iter().chain(fraction).chain(padding) {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (value < limit).then_some(if negative { -value } else { value })
}

/// PostgreSQL's hexadecimal form.
fn bytes(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    if digits.len() % 2 != 0 {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(as_text(pair).filter(|text| !text.starts_with('+'))?, 16).ok()).collect()
}

fn uuid(text: &[u8]) -> Option<String> {
    uuid::Uuid::try_parse_ascii(text.trim_ascii()).ok().map(|uuid| uuid.hyphenated().to_string())
}

fn json(text: &[u8]) -> Option<&str> {
    let text = as_text(text)?;
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok().map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        assert_eq!(decimal(b"12.3", 10, 2), Some(1230));
        assert_eq!(decimal(b"-0.05", 10, 2), Some(-5));
        assert_eq!(decimal(b"7.1000", 10, 2), Some(710));
        assert_eq!(decimal(b".5", 10, 2), Some(50));
        for text in ["1.234", "123456789", "1e2", "", ".", "-", "1.2.3"] {
            assert_eq!(decimal(text.as_bytes(), 10, 2), None, "{text}");
        }
        assert_eq!(decimal(b"99999999.99", 10, 2), Some(9_999_999_999));
    }

    #[test]
    fn booleans_are_the_words_that_postgres_takes() {
        assert_eq!(boolean(b" True "), Some(true));
        assert_eq!(boolean(b"off"), Some(false));
        assert_eq!(boolean(b"2"), None);
    }

    #[test]
    fn bytes_are_hexadecimal() {
        assert_eq!(bytes(b"\\x00fF"), Some(vec![0, 255]));
        assert_eq!(bytes(b"\\x0"), None);
        assert_eq!(bytes(b"\\x+f"), None);
    }
}
