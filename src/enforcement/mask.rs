//! Column masks as array kernels.
//!
//! INVARIANT: a mask keeps the column's type, and what it cannot be computed for is refused before a row is read, never shown raw.
//! Masks run after the rows have been filtered and below everything of the user.

use std::fmt::Write as _;
use std::sync::Arc;

use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, LargeStringArray, PrimitiveArray, StringArray, StringViewArray, new_null_array,
};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Field, IntervalUnit, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use sha2::{Digest, Sha256};

use crate::policy::Mask;

const REDACTED_TEXT: &str = "***";
const CHARACTERS_SHOWN: usize = 4;
const SHA256_HEX_CHARACTERS: usize = 64;

/// A mask that is known to serve its column's type.
#[derive(Debug, Clone)]
pub(super) struct ColumnMask(Kernel);

#[derive(Debug, Clone)]
enum Kernel {
    Constant(ScalarValue),
    Text(fn(&str) -> String),
    Truncate(Period),
}

#[derive(Debug, Clone, Copy)]
enum Period {
    Year,
    Month,
}

impl ColumnMask {
    /// The mask for that column; `None` if it cannot serve the column's type.
    pub(super) fn new(mask: &Mask, field: &Field) -> Option<Self> {
        let kernel = match mask {
            Mask::Null => Kernel::Constant(ScalarValue::try_from(field.data_type()).ok()?),
            Mask::Redact => Kernel::Constant(redacted(field)?),
            Mask::ShowLast4 if is_plain_text(field) => Kernel::Text(show_last_4),
            Mask::MaskAlphanum if is_plain_text(field) => Kernel::Text(mask_alphanum),
            Mask::Sha256Global if is_plain_text(field) && character_limit(field).is_none_or(|limit| limit >= SHA256_HEX_CHARACTERS) => {
                Kernel::Text(sha_256)
            }
            Mask::TruncateToYear if is_dated(field) => Kernel::Truncate(Period::Year),
            Mask::TruncateToMonth if is_dated(field) => Kernel::Truncate(Period::Month),
            Mask::ShowLast4 | Mask::MaskAlphanum | Mask::Sha256Global | Mask::TruncateToYear | Mask::TruncateToMonth => return None,
        };
        Some(Self(kernel))
    }

    /// The masked column.
    pub(super) fn apply(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match &self.0 {
            Kernel::Constant(value) if value.is_null() => Ok(new_null_array(column.data_type(), column.len())),
            Kernel::Constant(value) => value.to_array_of_size(column.len()),
            Kernel::Text(mask) => mask_text(column, *mask),
            Kernel::Truncate(period) => truncate(column, *period),
        }
    }
}

/// Text whose form nothing constrains: a UUID or a JSON text would no longer be one.
fn is_plain_text(field: &Field) -> bool {
    let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    is_text && field.metadata().get("pg.type").is_none_or(|name| name == "varchar" || name == "text")
}

fn is_dated(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// `varchar(n)`: PostgreSQL's type modifier is n + 4.
fn character_limit(field: &Field) -> Option<usize> {
    field.metadata().get("pg.typmod")?.parse::<usize>().ok()?.checked_sub(4)
}

/// A constant, also where the column is NULL: that a value is missing is told by nothing.
fn redacted(field: &Field) -> Option<ScalarValue> {
    let text = match field.metadata().get("pg.type").map(String::as_str) {
        Some("uuid") => "00000000-0000-0000-0000-000000000000".to_owned(),
        Some("json" | "jsonb") => format!("\"{REDACTED_TEXT}\""),
        _ => REDACTED_TEXT.chars().take(character_limit(field).unwrap_or(usize::MAX)).collect(),
    };
    Some(match field.data_type() {
        DataType::Utf8 => ScalarValue::Utf8(Some(text)),
        DataType::LargeUtf8 => ScalarValue::LargeUtf8(Some(text)),
        DataType::Utf8View => ScalarValue::Utf8View(Some(text)),
        DataType::Boolean => ScalarValue::Boolean(Some(false)),
        DataType::Binary => ScalarValue::Binary(Some(Vec::new())),
        DataType::LargeBinary => ScalarValue::LargeBinary(Some(Vec::new())),
        DataType::BinaryView => ScalarValue::BinaryView(Some(Vec::new())),
        data_type if data_type.is_numeric() => ScalarValue::new_zero(data_type).ok()?,
        data_type @ (DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Interval(IntervalUnit::MonthDayNano)) => ScalarValue::new_zero(data_type).ok()?,
        _ => return None,
    })
}

fn wrong_type() -> DataFusionError {
    super::Error::Internal { invariant: "a port delivers a masked column with the type of its schema" }.into()
}

fn mask_text(column: &ArrayRef, mask: fn(&str) -> String) -> Result<ArrayRef> {
    if let Some(texts) = column.as_string_view_opt() {
        Ok(Arc::new(texts.iter().map(|text| text.map(mask)).collect::<StringViewArray>()))
    } else if let Some(texts) = column.as_string_opt::<i32>() {
        Ok(Arc::new(texts.iter().map(|text| text.map(mask)).collect::<StringArray>()))
    } else if let Some(texts) = column.as_string_opt::<i64>() {
        Ok(Arc::new(texts.iter().map(|text| text.map(mask)).collect::<LargeStringArray>()))
    } else {
        Err(wrong_type())
    }
}

/// A text that is no longer than what may be shown is hidden whole.
fn show_last_4(text: &str) -> String {
    let characters = text.chars().count();
    let hidden = if characters > CHARACTERS_SHOWN { characters - CHARACTERS_SHOWN } else { characters };
    text.chars().enumerate().map(|(index, character)| if index < hidden { 'X' } else { character }).collect()
}

fn mask_alphanum(text: &str) -> String {
    let masked = |character: char| match character {
        _ if character.is_alphabetic() => 'x',
        _ if character.is_numeric() => 'n',
        _ => character,
    };
    text.chars().map(masked).collect()
}

fn sha_256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(SHA256_HEX_CHARACTERS), |mut hex, byte| {
        // Writing to a String does not fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn truncate(column: &ArrayRef, period: Period) -> Result<ArrayRef> {
    const SECONDS: i64 = 86_400;
    match column.data_type() {
        DataType::Date32 => truncate_by::<Date32Type>(column, |days| i32::try_from(first_day(i64::from(days), period)?).ok()),
        DataType::Date64 => truncate_by::<Date64Type>(column, |count| truncated(count, SECONDS * 1_000, period)),
        DataType::Timestamp(TimeUnit::Second, _) => truncate_by::<TimestampSecondType>(column, |count| truncated(count, SECONDS, period)),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            truncate_by::<TimestampMillisecondType>(column, |count| truncated(count, SECONDS * 1_000, period))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            truncate_by::<TimestampMicrosecondType>(column, |count| truncated(count, SECONDS * 1_000_000, period))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            truncate_by::<TimestampNanosecondType>(column, |count| truncated(count, SECONDS * 1_000_000_000, period))
        }
        _ => Err(wrong_type()),
    }
}

/// What cannot be truncated becomes NULL.
fn truncate_by<T: ArrowPrimitiveType>(column: &ArrayRef, truncate: impl Fn(T::Native) -> Option<T::Native>) -> Result<ArrayRef> {
    let values = column.as_primitive_opt::<T>().ok_or_else(wrong_type)?;
    let masked = values.iter().map(|value| value.and_then(&truncate)).collect::<PrimitiveArray<T>>();
    Ok(Arc::new(masked.with_data_type(values.data_type().clone())))
}

fn truncated(count: i64, per_day: i64, period: Period) -> Option<i64> {
    first_day(count.div_euclid(per_day), period)?.checked_mul(per_day)
}

/// Day of the epoch on which the UTC year or month of a day begins.
fn first_day(day: i64, period: Period) -> Option<i64> {
    let date = DateTime::from_timestamp(day.checked_mul(86_400)?, 0)?.date_naive();
    let month = match period {
        Period::Year => 1,
        Period::Month => date.month(),
    };
    let first = NaiveDate::from_ymd_opt(date.year(), month, 1)?;
    Some(first.signed_duration_since(NaiveDate::from_ymd_opt(1970, 1, 1)?).num_days())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Date32Array, Int64Array, TimestampMicrosecondArray};

    use super::*;

    fn masked(mask: &Mask, field: &Field, column: ArrayRef) -> ArrayRef {
        let masked = ColumnMask::new(mask, field).unwrap().apply(&column).unwrap();
        assert_eq!(masked.data_type(), column.data_type());
        assert_eq!(masked.len(), column.len());
        masked
    }

    fn text(mask: &Mask, value: &str) -> String {
        let field = Field::new("f", DataType::Utf8View, true);
        let masked = masked(mask, &field, Arc::new(StringViewArray::from(vec![Some(value), None])));
        masked.as_string_view().value(0).to_owned()
    }

    #[test]
    fn text_masks_say_what_they_say() {
        assert_eq!(text(&Mask::ShowLast4, "4111-1111-1234"), "XXXXXXXXXX1234");
        assert_eq!(text(&Mask::ShowLast4, "1234"), "XXXX");
        assert_eq!(text(&Mask::ShowLast4, "äöü→12"), "XXü→12");
        assert_eq!(text(&Mask::MaskAlphanum, "Åsa-12 b"), "xxx-nn x");
        assert_eq!(text(&Mask::Sha256Global, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(text(&Mask::Redact, "abc"), "***");
    }

    #[test]
    fn a_redacted_column_does_not_tell_which_values_are_missing() {
        let field = Field::new("f", DataType::Int64, true);
        let masked = masked(&Mask::Redact, &field, Arc::new(Int64Array::from(vec![Some(7), None])));
        assert_eq!(masked.as_ref(), &Int64Array::from(vec![0, 0]) as &dyn Array);
    }

    #[test]
    fn a_redacted_text_fits_its_column() {
        let metadata = [("pg.type".to_owned(), "varchar".to_owned()), ("pg.typmod".to_owned(), "6".to_owned())];
        let field = Field::new("f", DataType::Utf8, true).with_metadata(metadata.into());
        let redacted = masked(&Mask::Redact, &field, Arc::new(StringArray::from(vec!["secret"])));
        assert_eq!(redacted.as_string::<i32>().value(0), "**");
        assert!(ColumnMask::new(&Mask::Sha256Global, &field).is_none());
    }

    #[test]
    fn dates_are_truncated_before_and_after_the_epoch() {
        let field = Field::new("f", DataType::Date32, true);
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(-1), Some(59), None]));
        assert_eq!(
            masked(&Mask::TruncateToYear, &field, Arc::clone(&days)).as_ref(),
            &Date32Array::from(vec![Some(-365), Some(0), None]) as &dyn Array
        );
        assert_eq!(
            masked(&Mask::TruncateToMonth, &field, days).as_ref(),
            &Date32Array::from(vec![Some(-31), Some(59), None]) as &dyn Array
        );
    }

    #[test]
    fn timestamps_are_truncated_and_keep_their_zone() {
        let field = Field::new("f", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true);
        let times = TimestampMicrosecondArray::from(vec![-1, 86_400_000_000 * 366]).with_timezone("+00:00");
        let expected = TimestampMicrosecondArray::from(vec![-365 * 86_400_000_000, 86_400_000_000 * 365]).with_timezone("+00:00");
        assert_eq!(masked(&Mask::TruncateToYear, &field, Arc::new(times)).as_ref(), &expected as &dyn Array);
    }

    #[test]
    fn null_masks_and_redactions_serve_every_plain_type() {
        for data_type in [
            DataType::Boolean,
            DataType::Int16,
            DataType::Float64,
            DataType::Decimal128(10, 2),
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            DataType::Interval(IntervalUnit::MonthDayNano),
            DataType::Binary,
            DataType::Utf8View,
        ] {
            let field = Field::new("f", data_type.clone(), true);
            let column = new_null_array(&data_type, 3);
            assert_eq!(masked(&Mask::Null, &field, Arc::clone(&column)).null_count(), 3);
            assert_eq!(masked(&Mask::Redact, &field, column).null_count(), 0, "{data_type}");
        }
    }

    #[test]
    fn a_mask_that_cannot_serve_the_type_is_refused() {
        let number = Field::new("f", DataType::Int64, true);
        for mask in [Mask::ShowLast4, Mask::MaskAlphanum, Mask::Sha256Global, Mask::TruncateToYear, Mask::TruncateToMonth] {
            assert!(ColumnMask::new(&mask, &number).is_none(), "{mask:?}");
        }
        let uuid = Field::new("f", DataType::Utf8View, true).with_metadata([("pg.type".to_owned(), "uuid".to_owned())].into());
        assert!(ColumnMask::new(&Mask::ShowLast4, &uuid).is_none());
        let list = Field::new("f", DataType::List(Arc::new(number)), true);
        assert!(ColumnMask::new(&Mask::Redact, &list).is_none());
    }
}
