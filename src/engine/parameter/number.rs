//! Numbers as text.

use arrow::datatypes::i256;
use datafusion::common::ScalarValue;

use crate::error::{ClientMessage, SqlState};

use super::{Kind, invalid_text};

/// The most digits that a decimal of the engine holds.
const DIGITS_MAX: usize = 76;

pub(super) fn integer<T: TryFrom<i128>>(value: &str, kind: Kind) -> Result<T, ClientMessage> {
    let trimmed = value.trim();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_text(kind, value));
    }
    let number = trimmed.parse::<i128>().ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| out_of_range(&format!("value \"{value}\" is out of range for type {}", kind.name())))
}

/// An oid, which may be written as the negative number of its bits.
pub(super) fn oid(value: &str) -> Result<u32, ClientMessage> {
    match value.trim().parse::<i32>() {
        Ok(negative @ ..0) => Ok(negative.cast_unsigned()),
        _ => integer(value, Kind::Oid),
    }
}

fn out_of_range(message: &str) -> ClientMessage {
    ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

pub(in crate::engine) fn float4(value: &str) -> Result<f32, ClientMessage> {
    let number: f32 = value.trim().parse().map_err(|_| invalid_text(Kind::Float4, value))?;
    if overflowed(value, number.is_infinite(), number == 0.0) {
        return Err(out_of_range(&format!("\"{value}\" is out of range for type real")));
    }
    Ok(number)
}

pub(in crate::engine) fn float8(value: &str) -> Result<f64, ClientMessage> {
    let number: f64 = value.trim().parse().map_err(|_| invalid_text(Kind::Float8, value))?;
    if overflowed(value, number.is_infinite(), number == 0.0) {
        return Err(out_of_range(&format!("\"{value}\" is out of range for type double precision")));
    }
    Ok(number)
}

/// Whether digits became infinite, or digits that are not all zero became zero.
fn overflowed(value: &str, infinite: bool, zero: bool) -> bool {
    let mantissa = value.split(['e', 'E']).next().unwrap_or_default();
    infinite && value.bytes().any(|byte| byte.is_ascii_digit()) || zero && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// Reads a decimal with exactly the digits and the scale that it is written with.
pub(super) fn numeric(value: &str) -> Result<ScalarValue, ClientMessage> {
    let invalid = || invalid_text(Kind::Numeric, value);
    let trimmed = value.trim();
    let (sign, unsigned) = match trimmed.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    if ["nan", "inf", "infinity"].iter().any(|name| unsigned.eq_ignore_ascii_case(name)) {
        return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "numeric parameters must be finite"));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| invalid())?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let scale = i64::try_from(fraction.len()).map_err(|_| overflow())? - i64::from(exponent);
    let significant: Vec<u8> = digits().skip_while(|byte| *byte == b'0').collect();
    unscaled(sign, &significant, scale)
}

fn overflow() -> ClientMessage {
    out_of_range("value overflows numeric format")
}

/// Makes the decimal of digits of which `scale` stand behind the point.
fn unscaled(sign: &str, significant: &[u8], scale: i64) -> Result<ScalarValue, ClientMessage> {
    let zeros = usize::try_from(-scale).unwrap_or(0);
    let zeros = if significant.is_empty() { 0 } else { zeros };
    if significant.len().saturating_add(zeros) > DIGITS_MAX || scale > i64::try_from(DIGITS_MAX).unwrap_or(0) {
        return Err(overflow());
    }
    let mut digits = sign.to_owned();
    digits.extend(significant.iter().map(|byte| char::from(*byte)));
    digits.extend(std::iter::repeat_n('0', zeros));
    if significant.is_empty() {
        digits.push('0');
    }
    let count = significant.len() + zeros;
    let scale = usize::try_from(scale).unwrap_or(0);
    let precision = u8::try_from(count.max(scale).max(1)).map_err(|_| overflow())?;
    let scale = i8::try_from(scale).map_err(|_| overflow())?;
    if precision <= 38 {
        let number = digits.parse::<i128>().map_err(|_| overflow())?;
        return Ok(ScalarValue::Decimal128(Some(number), precision, scale));
    }
    let number = i256::from_string(&digits).ok_or_else(overflow)?;
    Ok(ScalarValue::Decimal256(Some(number), precision, scale))
}
