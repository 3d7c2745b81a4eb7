//! Casts in forms that the planner has: lengths, digits, numbers that are no decimals, bits.

use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, Expr, ObjectName, TimezoneInfo, Value,
};

use crate::engine::{Carried, PgType};
use crate::error::{ClientMessage, SqlState};

use super::spelling::{call, cast_to, last, literal, number, string};
use super::{intervals, modifiers};

/// Casts whose type says less, or more, than the engine's.
pub(super) fn cast(expr: &Expr, data_type: &DataType) -> Option<Expr> {
    match data_type {
        // The engine reads numbers as decimals, which do not reach as far.
        DataType::Float(bits) => {
            // Without a size it is a double precision, where the engine takes it for a real.
            let small = matches!(bits, ExactNumberInfo::Precision(1..=24));
            let target = if small { DataType::Real } else { DataType::DoublePrecision };
            Some(cast(expr, &target).unwrap_or_else(|| cast_to(expr.clone(), target)))
        }
        DataType::DoublePrecision | DataType::Double(_) | DataType::Float8 | DataType::Real | DataType::Float4 => {
            scientific(expr).map(|digits| cast_to(string(digits), data_type.clone()))
        }
        data_type if modifiers::unbounded(data_type) => Some(match literal(expr).and_then(modifiers::digits) {
            Some((precision, scale)) if precision <= 38 => {
                cast_to(expr.clone(), DataType::Numeric(ExactNumberInfo::PrecisionAndScale(precision, scale)))
            }
            _ => call("meshgate_numeric", vec![expr.clone()]),
        }),
        DataType::Varchar(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharVarying(Some(CharacterLength::IntegerLength { length, .. }))
        | DataType::CharacterVarying(Some(CharacterLength::IntegerLength { length, .. })) => {
            let cut = call("left", vec![cast_to(expr.clone(), DataType::Text), number(&length.to_string())]);
            Some(cast_to(cut, DataType::Varchar(None)))
        }
        DataType::Timestamp(Some(digits), zone) => Some(rounded(cast_to(expr.clone(), DataType::Timestamp(None, *zone)), *digits)),
        DataType::Time(Some(digits), zone) => Some(rounded(cast_to(expr.clone(), DataType::Time(None, *zone)), *digits)),
        DataType::Interval { fields: None, precision: Some(digits) } => {
            Some(rounded(cast_to(expr.clone(), DataType::Interval { fields: None, precision: None }), *digits))
        }
        DataType::Interval { fields: Some(fields), precision } => literal(expr).map(|text| intervals::cast(text, fields, *precision)),
        DataType::Char(length) | DataType::Character(length) => {
            let length = match length {
                Some(CharacterLength::IntegerLength { length, .. }) => *length,
                Some(CharacterLength::Max) => return None,
                None => 1,
            };
            Some(padded(expr, length))
        }
        DataType::Custom(name, arguments) => match arguments.as_slice() {
            [] if one_byte(name) => Some(call("meshgate_char", vec![expr.clone()])),
            [length] => Some(padded(expr, modifiers::bpchar(name, length)?)),
            _ => None,
        },
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, size)) if modifiers::unbounded(element) => {
            Some(match literal(expr).and_then(modifiers::element_scale) {
                Some(scale) => {
                    let element = DataType::Numeric(ExactNumberInfo::PrecisionAndScale(38, scale));
                    cast_to(expr.clone(), DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), *size)))
                }
                None => call("meshgate_numerics", vec![expr.clone()]),
            })
        }
        DataType::BigInt(None) | DataType::Int8(None) | DataType::Integer(None) | DataType::Int(None) => of_bits(expr, data_type),
        _ => None,
    }
}

/// Whether it is `"char"`, which is another type than `char`.
fn one_byte(name: &ObjectName) -> bool {
    matches!(name.0.last().and_then(|part| part.as_ident()), Some(name) if name.value == "char" && name.quote_style.is_some())
}

/// What is wrong with the digits that a numeric is to have.
pub(super) fn misfit(data_type: &DataType) -> Option<ClientMessage> {
    let (DataType::Numeric(digits) | DataType::Decimal(digits) | DataType::Dec(digits)) = data_type else { return None };
    let (precision, scale) = match digits {
        ExactNumberInfo::None => return None,
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let text = if !(1..=1_000).contains(&precision) {
        format!("NUMERIC precision {precision} must be between 1 and 1000")
    } else if !(-1_000..=1_000).contains(&scale) {
        format!("NUMERIC scale {scale} must be between -1000 and 1000")
    } else {
        return None;
    };
    Some(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, text))
}

/// Whether a cast to the type is refused: the planner would take its elements for texts.
pub(super) fn refused(data_type: &DataType) -> bool {
    let DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) = data_type else { return false };
    match element.as_ref() {
        DataType::Custom(name, _) => PgType::named(&last(name)).and_then(Carried::of).is_some(),
        DataType::Time(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => true,
        inner => refused(inner),
    }
}

/// `text::bit(64)::bigint`
fn of_bits(expr: &Expr, data_type: &DataType) -> Option<Expr> {
    match expr {
        Expr::Nested(inner) => of_bits(inner, data_type),
        Expr::Cast { expr: text, data_type: DataType::Bit(count), .. } => {
            let count = count.unwrap_or(1);
            let fits = count <= 32 || matches!(data_type, DataType::BigInt(_) | DataType::Int8(_));
            let bits = call("meshgate_bits", vec![text.as_ref().clone(), number(&count.to_string())]);
            fits.then(|| cast_to(bits, data_type.clone()))
        }
        _ => None,
    }
}

/// A text of so many characters, with blanks at its end.
fn padded(expr: &Expr, length: u64) -> Expr {
    call("meshgate_bpchar", vec![cast_to(expr.clone(), DataType::Text), number(&length.to_string())])
}

/// Seconds of so many digits.
pub(super) fn rounded(value: Expr, digits: u64) -> Expr {
    call("meshgate_digits", vec![value, number(&digits.min(6).to_string())])
}

/// The digits of a number with an exponent.
fn scientific(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.contains(['e', 'E']) => Some(digits),
            _ => None,
        },
        Expr::Nested(inner) => scientific(inner),
        _ => None,
    }
}
