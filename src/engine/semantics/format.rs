//! to_char(), to_date() and to_timestamp(): values by templates.
//!
//! A pattern of PostgreSQL that is not known here is refused, for it would else stand in the answer as it is.

mod moment;
mod span;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, IntervalMonthDayNanoArray, StringArray, StringBuilder,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use chrono::NaiveDate;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::number_text::{Number, Template};
use super::pieces::{Last, Piece, check_length, pieces, unsupported};
use super::{Facts, numeric, template, temporal, truncation};

pub(super) use moment::MONTHS;
use moment::Zone;

pub(super) fn all(facts: Facts) -> Vec<Arc<ScalarUDF>> {
    vec![to_char(facts).udf(), to_date(facts).udf(), to_timestamp(facts).udf()]
}

fn to_char(facts: Facts) -> Function {
    let takes = |types: &[DataType]| {
        let [value, _] = types else { return None };
        let value = match value {
            DataType::Float32 | DataType::Float64 => DataType::Float64,
            DataType::Interval(_) | DataType::Duration(_) => temporal::interval(),
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
            other => match numeric::of(other) {
                Some((precision, scale)) => DataType::Decimal128(precision, scale),
                None => temporal::micros_type(other)?,
            },
        };
        Some(vec![value, DataType::Utf8])
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let values = args.first().ok_or_else(|| unsupported(""))?;
        shown(values, arg::<StringArray>(args, 1)?, facts)
    };
    Function::new("to_char", takes, |_| Some(DataType::Utf8), computes).of_statement(facts)
}

/// Values of any type that has templates.
fn shown(values: &ArrayRef, templates: &StringArray, facts: Facts) -> Result<ArrayRef> {
    let any = values.as_any();
    let number = |template: &str| check_length(template).and_then(|()| Template::of(template));
    if let Some(array) = any.downcast_ref::<Float64Array>() {
        return rows(array, templates, number, |row, template, out| {
            template.write(out, Number::Float(array.value(row)));
            Ok(())
        });
    }
    if let Some(array) = any.downcast_ref::<Decimal128Array>() {
        let scale = usize::try_from(array.scale()).unwrap_or(0);
        return rows(array, templates, number, |row, template, out| {
            template.write(out, Number::Decimal(array.value(row), scale));
            Ok(())
        });
    }
    if let Some(array) = any.downcast_ref::<IntervalMonthDayNanoArray>() {
        return rows(array, templates, pieces, |row, template, out| span::write(out, array.value(row), template));
    }
    if let Some(array) = any.downcast_ref::<Time64MicrosecondArray>() {
        let value = |row: usize| IntervalMonthDayNano::new(0, 0, array.value(row) * 1000);
        return rows(array, templates, pieces, |row, template, out| span::write(out, value(row), template));
    }
    let array = any.downcast_ref::<TimestampMicrosecondArray>().ok_or_else(|| unsupported(""))?;
    let zoned = matches!(array.data_type(), DataType::Timestamp(_, Some(_)));
    rows(array, templates, pieces, |row, template, out| moment_of(array.value(row), zoned, template, facts, out))
}

fn moment_of(micros: i64, zoned: bool, template: &[Piece], facts: Facts, out: &mut String) -> Result<()> {
    let utc = temporal::moment(micros)?;
    if !zoned {
        moment::write(out, &utc, template, &Zone { offset: 0, named: None });
        return Ok(());
    }
    let offset = facts.time_zone.offset_at(&utc);
    let local = temporal::moment(micros.saturating_add(i64::from(offset) * temporal::SECOND))?;
    moment::write(out, &local, template, &Zone { offset, named: Some((&facts.time_zone, utc)) });
    Ok(())
}

/// One text a row; a value that is missing, and a template without a letter, have none.
fn rows<T>(
    values: &dyn Array,
    templates: &StringArray,
    apart: impl Fn(&str) -> Result<T>,
    write: impl Fn(usize, &T, &mut String) -> Result<()>,
) -> Result<ArrayRef> {
    let mut texts = StringBuilder::with_capacity(values.len(), values.len().saturating_mul(16));
    let mut last = Last::NONE;
    let mut text = String::new();
    for row in 0..values.len() {
        if values.is_null(row) || templates.is_null(row) || templates.value(row).is_empty() {
            texts.append_null();
            continue;
        }
        text.clear();
        write(row, last.of(templates.value(row), &apart)?, &mut text)?;
        texts.append_value(&text);
    }
    Ok(Arc::new(texts.finish()))
}

/// Writes a number with zeros before it; the width counts its sign.
fn padded(out: &mut String, number: i64, width: usize) {
    let mut digits = [b'0'; 20];
    let (mut left, mut count) = (number.unsigned_abs(), 0);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
        count += 1;
        if left == 0 {
            break;
        }
    }
    let negative = number < 0;
    if negative {
        out.push('-');
    }
    let count = width.saturating_sub(usize::from(negative)).clamp(count, digits.len());
    let shown = digits.get(digits.len() - count..).unwrap_or_default();
    out.push_str(std::str::from_utf8(shown).unwrap_or_default());
}

fn to_date(facts: Facts) -> Function {
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, DataType::Utf8]);
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, templates) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut last = Last::NONE;
        let dates = texts.iter().zip(templates.iter()).map(|pair| match pair {
            (Some(text), Some(template)) => {
                let days =
                    template::read(text, last.of(template, pieces)?)?.local.date().signed_duration_since(NaiveDate::default()).num_days();
                i32::try_from(days).map(Some).map_err(|_| template::invalid())
            }
            _ => Ok(None),
        });
        Ok(Arc::new(dates.collect::<Result<Date32Array>>()?) as ArrayRef)
    };
    Function::new("to_date", takes, |_| Some(DataType::Date32), computes).of_statement(facts)
}

/// From seconds since 1970, or from a text by a template.
fn to_timestamp(facts: Facts) -> Function {
    let takes = |types: &[DataType]| match types {
        [seconds] if seconds.is_numeric() => Some(vec![DataType::Float64]),
        [text, _] if text.is_string() => Some(vec![DataType::Utf8, DataType::Utf8]),
        _ => None,
    };
    let computes = move |args: &[ArrayRef], _rows: usize| {
        if args.len() == 1 {
            let micros = arg::<Float64Array>(args, 0)?.iter().map(|seconds| seconds.map(of_seconds).transpose());
            return Ok(temporal::instants(micros.collect::<Result<Vec<_>>>()?));
        }
        let (texts, templates) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut last = Last::NONE;
        let moments = texts.iter().zip(templates.iter()).map(|pair| match pair {
            (Some(text), Some(template)) => {
                let read = template::read(text, last.of(template, pieces)?)?;
                let local = truncation::to_digits(read.local.and_utc().timestamp_micros(), read.fraction_digits);
                Ok(Some(match read.offset {
                    Some(offset) => local - offset * 1_000_000,
                    None => temporal::utc_micros(local, &facts.time_zone),
                }))
            }
            _ => Ok(None),
        });
        Ok(temporal::instants(moments.collect::<Result<Vec<_>>>()?))
    };
    Function::new("to_timestamp", takes, |_| Some(temporal::instant()), computes).of_statement(facts)
}

#[expect(clippy::cast_possible_truncation, reason = "the value is checked to lie in the range of timestamps")]
fn of_seconds(seconds: f64) -> Result<i64> {
    let micros = (seconds * 1e6).round_ties_even();
    if micros.abs() < 8e18 { Ok(micros as i64) } else { Err(fault(SqlState::DATETIME_FIELD_OVERFLOW, "timestamp out of range")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_filled_up_with_zeros() {
        for (number, width, expected) in
            [(7, 2, "07"), (7, 0, "7"), (1234, 2, "1234"), (-1, 3, "-01"), (0, 0, "0"), (i64::MIN, 0, "-9223372036854775808")]
        {
            let mut text = String::new();
            padded(&mut text, number, width);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn each_row_has_the_template_of_its_own() {
        let values: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![Some(0), Some(86_400_000_000), None, Some(1)]));
        let templates = StringArray::from(vec![Some("YYYY"), Some("MM-DD"), Some("YYYY"), Some("")]);
        let texts = shown(&values, &templates, Facts::plain()).unwrap();
        let texts: Vec<_> = texts.as_any().downcast_ref::<StringArray>().unwrap().iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(texts, [Some("1970".to_owned()), Some("01-02".to_owned()), None, None]);
    }
}
