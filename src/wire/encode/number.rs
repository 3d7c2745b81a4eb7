//! Integers, floats and decimals.

use std::io::Write as _;

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::engine::PgType;

use super::cells::Cells;
use super::{EncodeError, EncodeSettings, Target, downcast};

/// What an integer is written as.
#[derive(Clone, Copy)]
enum IntegerForm {
    Text,
    Int2,
    Int4,
    Int8,
    Oid,
    Numeric,
    Float4,
    Float8,
}

pub(super) fn integer(array: &dyn Array, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let form = integer_form(target).ok_or_else(|| target.unfit(array))?;
    match array.data_type() {
        DataType::Int8 => integers::<Int8Type>(array, form, cells),
        DataType::Int16 => integers::<Int16Type>(array, form, cells),
        DataType::Int32 => integers::<Int32Type>(array, form, cells),
        DataType::Int64 => integers::<Int64Type>(array, form, cells),
        DataType::UInt8 => integers::<UInt8Type>(array, form, cells),
        DataType::UInt16 => integers::<UInt16Type>(array, form, cells),
        DataType::UInt32 => integers::<UInt32Type>(array, form, cells),
        DataType::UInt64 => integers::<UInt64Type>(array, form, cells),
        _ => Err(EncodeError::Shape),
    }
}

fn integer_form(target: Target) -> Option<IntegerForm> {
    if target.writes_text() {
        return Some(IntegerForm::Text);
    }
    let oid = target.pg_type.oid;
    let four_bytes = [
        PgType::OID,
        PgType::XID,
        PgType::REGPROC,
        PgType::REGPROCEDURE,
        PgType::REGCLASS,
        PgType::REGTYPE,
        PgType::REGNAMESPACE,
        PgType::REGROLE,
    ];
    Some(match oid {
        _ if oid == PgType::INT2.oid => IntegerForm::Int2,
        _ if oid == PgType::INT4.oid => IntegerForm::Int4,
        _ if oid == PgType::INT8.oid => IntegerForm::Int8,
        _ if oid == PgType::NUMERIC.oid => IntegerForm::Numeric,
        _ if oid == PgType::FLOAT4.oid => IntegerForm::Float4,
        _ if oid == PgType::FLOAT8.oid => IntegerForm::Float8,
        _ if four_bytes.iter().any(|known| known.oid == oid) => IntegerForm::Oid,
        _ => return None,
    })
}

fn integers<T>(array: &dyn Array, form: IntegerForm, cells: &mut Cells) -> Result<(), EncodeError>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + std::fmt::Display,
{
    each::<T>(array, cells, |value, out| {
        let wide: i128 = value.into();
        match form {
            IntegerForm::Text => write!(out, "{value}").map_err(|_| EncodeError::Shape)?,
            IntegerForm::Int2 => out.extend(i16::try_from(wide).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes()),
            IntegerForm::Int4 => out.extend(i32::try_from(wide).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes()),
            IntegerForm::Int8 => out.extend(i64::try_from(wide).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes()),
            IntegerForm::Oid => {
                // Catalogs keep OIDs in signed columns too; the four bytes are the same.
                let oid = u32::try_from(wide).or_else(|_| i32::try_from(wide).map(i32::cast_unsigned));
                out.extend(oid.map_err(|_| EncodeError::OutOfRange)?.to_be_bytes());
            }
            IntegerForm::Numeric => numeric_binary(&value.to_string(), 0, out)?,
            IntegerForm::Float4 => out.extend((wide as f32).to_be_bytes()),
            IntegerForm::Float8 => out.extend((wide as f64).to_be_bytes()),
        }
        Ok(())
    })
}

/// Writes each value of a primitive array.
pub(super) fn each<T: ArrowPrimitiveType>(
    array: &dyn Array,
    cells: &mut Cells,
    mut write: impl FnMut(T::Native, &mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    for value in downcast::<PrimitiveArray<T>>(array)? {
        match value {
            None => cells.null(),
            Some(value) => {
                write(value, cells.out())?;
                cells.end();
            }
        }
    }
    Ok(())
}

pub(super) fn float(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    let extra = settings.extra_float_digits;
    if target.writes_text() {
        return match array.data_type() {
            DataType::Float16 => each::<Float16Type>(array, cells, |value, out| float4_text(value.to_f32(), extra, out)),
            DataType::Float32 => each::<Float32Type>(array, cells, |value, out| float4_text(value, extra, out)),
            DataType::Float64 => each::<Float64Type>(array, cells, |value, out| float8_text(value, extra, out)),
            _ => Err(EncodeError::Shape),
        };
    }
    let wide = target.is(PgType::FLOAT8);
    if !wide && !target.is(PgType::FLOAT4) {
        return Err(target.unfit(array));
    }
    let narrow_or_wide = |value: f32, out: &mut Vec<u8>| {
        if wide {
            out.extend(f64::from(value).to_be_bytes())
        } else {
            out.extend(value.to_be_bytes())
        }
        Ok(())
    };
    match array.data_type() {
        DataType::Float16 => each::<Float16Type>(array, cells, |value, out| narrow_or_wide(value.to_f32(), out)),
        DataType::Float32 => each::<Float32Type>(array, cells, narrow_or_wide),
        DataType::Float64 if wide => each::<Float64Type>(array, cells, |value, out| {
            out.extend(value.to_be_bytes());
            Ok(())
        }),
        _ => Err(target.unfit(array)),
    }
}

fn float4_text(value: f32, extra_float_digits: i32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if extra_float_digits > 0 && value.is_finite() {
        return scientific_to_general(&format!("{value:e}"), 6, out);
    }
    finite_text(f64::from(value), 6, extra_float_digits, out)
}

fn float8_text(value: f64, extra_float_digits: i32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if extra_float_digits > 0 && value.is_finite() {
        return scientific_to_general(&format!("{value:e}"), 15, out);
    }
    finite_text(value, 15, extra_float_digits, out)
}

/// What is not finite by its name, the rest with a fixed number of digits.
fn finite_text(value: f64, digits: i32, extra_float_digits: i32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if value.is_nan() {
        out.extend(b"NaN");
        return Ok(());
    }
    if value.is_infinite() {
        out.extend(if value > 0.0 { &b"Infinity"[..] } else { b"-Infinity" });
        return Ok(());
    }
    let digits = usize::try_from(digits.saturating_add(extra_float_digits)).unwrap_or(1).max(1);
    let shown = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = shown.split_once('e').ok_or(EncodeError::Shape)?;
    let trimmed = if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    scientific_to_general(&format!("{trimmed}e{exponent}"), i32::try_from(digits).unwrap_or(i32::MAX), out)
}

/// Turns `1.5e-7` into what PostgreSQL writes: plain digits between 1e-4 and 1e`exponent_max`, else with a two-digit exponent.
fn scientific_to_general(scientific: &str, exponent_max: i32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (mantissa, exponent) = scientific.split_once('e').ok_or(EncodeError::Shape)?;
    let exponent: i32 = exponent.parse().map_err(|_| EncodeError::Shape)?;
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    out.extend(sign.as_bytes());
    if !(-4..exponent_max).contains(&exponent) {
        let mark = if exponent < 0 { '-' } else { '+' };
        return write!(out, "{mantissa}e{mark}{:02}", exponent.unsigned_abs()).map_err(|_| EncodeError::Shape);
    }
    let digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    if exponent < 0 {
        out.extend(b"0.");
        out.extend(std::iter::repeat_n(b'0', usize::try_from(-exponent - 1).unwrap_or(0)));
        out.extend(digits);
        return Ok(());
    }
    let whole = usize::try_from(exponent).unwrap_or(0) + 1;
    let (before, after) = digits.split_at(whole.min(digits.len()));
    out.extend(before);
    out.extend(std::iter::repeat_n(b'0', whole - before.len()));
    if !after.is_empty() {
        out.push(b'.');
        out.extend(after);
    }
    Ok(())
}

pub(super) fn decimal(array: &dyn Array, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let text = target.writes_text();
    if !text && !target.is(PgType::NUMERIC) {
        return Err(target.unfit(array));
    }
    match array.data_type() {
        DataType::Decimal128(_, scale @ 0..=SMALL_SCALE_MAX) if !text => small_decimals(array, scale.unsigned_abs(), cells),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale, text, cells),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale, text, cells),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale, text, cells),
        DataType::Decimal256(_, scale) => decimals::<Decimal256Type>(array, *scale, text, cells),
        _ => Err(EncodeError::Shape),
    }
}

fn decimals<T>(array: &dyn Array, scale: i8, text: bool, cells: &mut Cells) -> Result<(), EncodeError>
where
    T: ArrowPrimitiveType,
    T::Native: std::fmt::Display,
{
    let mut unscaled = String::new();
    each::<T>(array, cells, |value, out| {
        use std::fmt::Write as _;
        unscaled.clear();
        write!(unscaled, "{value}").map_err(|_| EncodeError::Shape)?;
        if scale < 0 && unscaled != "0" {
            unscaled.extend(std::iter::repeat_n('0', usize::from(scale.unsigned_abs())));
        }
        let scale = usize::try_from(scale).unwrap_or(0);
        if text { decimal_text(&unscaled, scale, out) } else { numeric_binary(&unscaled, scale, out) }
    })
}

/// The largest scale whose fraction fits 64 bits in whole groups of four digits.
const SMALL_SCALE_MAX: i8 = 16;
const GROUP: u64 = 10_000;
/// Groups of the largest whole number of 64 bits.
const WHOLE_GROUPS: usize = 5;

/// Decimals in binary, of which most fit 64 bits.
fn small_decimals(array: &dyn Array, scale: u8, cells: &mut Cells) -> Result<(), EncodeError> {
    let unit = 10u64.pow(u32::from(scale));
    let pad = 10u64.pow(u32::from((4 - scale % 4) % 4));
    each::<Decimal128Type>(array, cells, |value, out| {
        let Ok(size) = u64::try_from(value.unsigned_abs()) else {
            return numeric_binary(&value.to_string(), usize::from(scale), out);
        };
        let mut groups = [0u64; WHOLE_GROUPS + 4];
        let (whole, fraction) = groups.split_at_mut(WHOLE_GROUPS);
        let fraction_groups = usize::from(scale.div_ceil(4));
        fill_groups(size / unit, whole);
        fill_groups(size % unit * pad, fraction.get_mut(..fraction_groups).unwrap_or_default());
        let first = groups.iter().position(|group| *group != 0).unwrap_or(0);
        let end = groups.iter().rposition(|group| *group != 0).map_or(first, |last| last + 1);
        let kept = groups.get(first..end).unwrap_or_default();
        let short = |number: usize| u16::try_from(number).map_err(|_| EncodeError::OutOfRange);
        let (count, weight) = (short(kept.len())?, if kept.is_empty() { 0 } else { short(WHOLE_GROUPS - 1)?.wrapping_sub(short(first)?) });
        let sign = if value < 0 { 0x4000u16 } else { 0 };
        out.extend([count, weight, sign, u16::from(scale)].into_iter().flat_map(u16::to_be_bytes));
        out.extend(kept.iter().flat_map(|group| u16::try_from(*group).unwrap_or_default().to_be_bytes()));
        Ok(())
    })
}

/// Fills a place with the last groups of four digits of a number.
fn fill_groups(mut number: u64, place: &mut [u64]) {
    for group in place.iter_mut().rev() {
        *group = number % GROUP;
        number /= GROUP;
    }
}

/// Puts the point into an unscaled number.
fn decimal_text(unscaled: &str, scale: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (sign, digits) = unscaled.strip_prefix('-').map_or(("", unscaled), |rest| ("-", rest));
    out.extend(sign.as_bytes());
    if scale == 0 {
        out.extend(digits.as_bytes());
        return Ok(());
    }
    write!(out, "{:0>width$}", digits, width = scale + 1).map_err(|_| EncodeError::Shape)?;
    out.insert(out.len() - scale, b'.');
    Ok(())
}

/// Writes a numeric's text in binary.
pub(super) fn text_binary(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let special = match text {
        "NaN" => Some(0xC000_u16),
        "Infinity" => Some(0xD000),
        "-Infinity" => Some(0xF000),
        _ => None,
    };
    if let Some(sign) = special {
        out.extend([0, 0, sign, 0].into_iter().flat_map(u16::to_be_bytes));
        return Ok(());
    }
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(EncodeError::Corrupt);
    }
    numeric_binary(&format!("{sign}{whole}{fraction}"), fraction.len(), out)
}

/// Writes a number as `numeric` does in binary: digits to the base of 10,000 with the weight of the first.
fn numeric_binary(unscaled: &str, scale: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let (negative, digits) = unscaled.strip_prefix('-').map_or((false, unscaled), |rest| (true, rest));
    let fraction_pad = (4 - scale % 4) % 4;
    let whole_digits = digits.len().saturating_sub(scale);
    let leading = scale.saturating_sub(digits.len()) + (4 - whole_digits % 4) % 4;
    let padded: Vec<u8> = std::iter::repeat_n(b'0', leading).chain(digits.bytes()).chain(std::iter::repeat_n(b'0', fraction_pad)).collect();
    let groups: Vec<i16> =
        padded.chunks(4).map(|group| group.iter().fold(0i16, |number, digit| number * 10 + i16::from(digit - b'0'))).collect();
    let whole_groups = whole_digits.div_ceil(4);
    let first = groups.iter().position(|group| *group != 0);
    let last = groups.iter().rposition(|group| *group != 0);
    let (kept, weight) = match (first, last) {
        (Some(first), Some(last)) => {
            let weight = i16::try_from(whole_groups).and_then(|whole| i16::try_from(first).map(|first| whole - 1 - first));
            (groups.get(first..=last).unwrap_or_default(), weight.map_err(|_| EncodeError::OutOfRange)?)
        }
        _ => (&[][..], 0),
    };
    let negative = negative && !kept.is_empty();
    out.extend(i16::try_from(kept.len()).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(if negative { 0x4000u16 } else { 0 }.to_be_bytes());
    out.extend(u16::try_from(scale).map_err(|_| EncodeError::OutOfRange)?.to_be_bytes());
    kept.iter().for_each(|group| out.extend(group.to_be_bytes()));
    Ok(())
}
