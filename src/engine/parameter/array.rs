//! One-dimensional arrays.

use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;

use crate::error::{ClientMessage, SqlState};

use super::binary::incorrect;
use super::{Format, Kind, Parameter, PgType, TimeZone, binary, from_text, text};

pub(super) fn decode(parameter: &Parameter, kind: Kind, element: PgType, time_zone: &TimeZone) -> Result<ScalarValue, ClientMessage> {
    let Some(value) = &parameter.value else {
        return Ok(ScalarValue::new_null_list(kind.data_type(), true, 1));
    };
    let values = match parameter.format {
        Format::Text => text_elements(text(value)?)?
            .into_iter()
            .map(|element| element.map(|element| from_text(&element, kind, time_zone)).transpose())
            .collect::<Result<Vec<_>, _>>()?,
        Format::Binary => binary_elements(value.clone(), kind, element)?,
    };
    list(values, kind)
}

/// Makes the list; decimals are first brought to one precision and scale that hold each of them.
fn list(values: Vec<Option<ScalarValue>>, kind: Kind) -> Result<ScalarValue, ClientMessage> {
    let mut data_type = kind.data_type();
    if kind == Kind::Numeric {
        data_type = common_decimal(&values)?.unwrap_or(data_type);
    }
    let unlike = |_| ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
    let values = values
        .into_iter()
        .map(|value| match value {
            Some(value) => value.cast_to(&data_type).map_err(unlike),
            None => ScalarValue::try_from(&data_type).map_err(unlike),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &data_type)))
}

fn common_decimal(values: &[Option<ScalarValue>]) -> Result<Option<arrow::datatypes::DataType>, ClientMessage> {
    let mut whole = 0i16;
    let mut scale = 0i8;
    let mut any = false;
    for value in values.iter().flatten() {
        if let ScalarValue::Decimal128(_, precision, own) | ScalarValue::Decimal256(_, precision, own) = value {
            any = true;
            whole = whole.max(i16::from(*precision) - i16::from(*own));
            scale = scale.max(*own);
        }
    }
    let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|precision| *precision <= 76);
    let precision =
        precision.ok_or_else(|| ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))?.max(1);
    let data_type = match precision {
        ..=38 => arrow::datatypes::DataType::Decimal128(precision, scale),
        _ => arrow::datatypes::DataType::Decimal256(precision, scale),
    };
    Ok(any.then_some(data_type))
}

fn malformed(value: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{value}\""))
}

/// The white space that PostgreSQL passes over around elements; any other belongs to them.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Splits `{a,"b c",NULL}`.
fn text_elements(value: &str) -> Result<Vec<Option<String>>, ClientMessage> {
    let bad = || malformed(value);
    let inner = value.trim_matches(is_space).strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(bad)?;
    let mut elements = Vec::new();
    if inner.trim_matches(is_space).is_empty() {
        return Ok(elements);
    }
    let mut characters = inner.chars().peekable();
    loop {
        while characters.next_if(char::is_ascii_whitespace).is_some() {}
        let mut element = String::new();
        let quoted = characters.next_if_eq(&'"').is_some();
        let mut escaped = false;
        if quoted {
            loop {
                match characters.next().ok_or_else(bad)? {
                    '"' => break,
                    '\\' => element.push(characters.next().ok_or_else(bad)?),
                    other => element.push(other),
                }
            }
            while characters.next_if(char::is_ascii_whitespace).is_some() {}
        } else {
            while let Some(character) = characters.next_if(|character| *character != ',') {
                match character {
                    '{' | '}' | '"' => return Err(bad()),
                    '\\' => {
                        escaped = true;
                        element.push(characters.next().ok_or_else(bad)?);
                    }
                    other => element.push(other),
                }
            }
            element.truncate(element.trim_end_matches(is_space).len());
            if element.is_empty() {
                return Err(bad());
            }
        }
        let null = !quoted && !escaped && element.eq_ignore_ascii_case("null");
        elements.push((!null).then_some(element));
        match characters.next() {
            None => return Ok(elements),
            Some(',') => {}
            Some(_) => return Err(bad()),
        }
    }
}

fn binary_elements(mut value: Bytes, kind: Kind, element: PgType) -> Result<Vec<Option<ScalarValue>>, ClientMessage> {
    let short = |_| incorrect();
    let dimensions = value.try_get_i32().map_err(short)?;
    let _has_null = value.try_get_i32().map_err(short)?;
    let oid = value.try_get_u32().map_err(short)?;
    if oid != element.oid {
        return Err(ClientMessage::new(SqlState::DATATYPE_MISMATCH, "binary data has array element type that does not fit"));
    }
    if dimensions > 1 {
        return Err(ClientMessage::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "arrays of more than one dimension are not supported as parameters",
        ));
    }
    let mut elements = Vec::new();
    if dimensions == 1 {
        let count = value.try_get_i32().map_err(short)?;
        let _lower_bound = value.try_get_i32().map_err(short)?;
        for _ in 0..count {
            let length = value.try_get_i32().map_err(short)?;
            if length == -1 {
                elements.push(None);
                continue;
            }
            let length = usize::try_from(length).map_err(|_| incorrect())?;
            if length > value.len() {
                return Err(incorrect());
            }
            elements.push(Some(binary::decode(&value.split_to(length), kind)?));
        }
    }
    if dimensions < 0 || !value.is_empty() {
        return Err(incorrect());
    }
    Ok(elements)
}
