//! encode() and decode() between bytes and texts.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::ScalarUDF;

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Letters of one line of base64.
const LINE: usize = 76;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![encode().udf(), decode().udf()]
}

fn unknown() -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_PARAMETER_VALUE, "unrecognized encoding")
}

fn invalid() -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_PARAMETER_VALUE, "a text is not of its encoding")
}

fn encode() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, formats) = (arg::<BinaryArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let texts = values.iter().zip(formats.iter()).map(|pair| match pair {
            (Some(bytes), Some(format)) => match format.to_lowercase().as_str() {
                "hex" => Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())),
                "base64" => Ok(Some(base64(bytes))),
                "escape" => Ok(Some(escaped(bytes))),
                _ => Err(unknown()),
            },
            _ => Ok(None),
        });
        Ok(Arc::new(texts.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Binary, DataType::Utf8]);
    Function::new("encode", takes, |_| Some(DataType::Utf8), computes)
}

fn decode() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, formats) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let values = texts.iter().zip(formats.iter()).map(|pair| match pair {
            (Some(text), Some(format)) => match format.to_lowercase().as_str() {
                "hex" => from_hex(text).map(Some).ok_or_else(invalid),
                "base64" => from_base64(text).map(Some).ok_or_else(invalid),
                "escape" => from_escaped(text)
                    .map(Some)
                    .ok_or_else(|| fault(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type bytea")),
                _ => Err(unknown()),
            },
            _ => Ok(None),
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8, DataType::Utf8]);
    Function::new("decode", takes, |_| Some(DataType::Binary), computes)
}

/// Bytes that are no letters of ASCII as three digits to the base of eight.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            0 | 0x80.. => text.push_str(&format!("\\{byte:03o}")),
            byte => text.push(char::from(*byte)),
        }
    }
    text
}

fn from_escaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let (byte, behind) = match (first, behind) {
            (b'\\', [b'\\', behind @ ..]) => (&b'\\', behind),
            (b'\\', [high @ b'0'..=b'3', middle @ b'0'..=b'7', low @ b'0'..=b'7', behind @ ..]) => {
                bytes.push((high - b'0') << 6 | (middle - b'0') << 3 | (low - b'0'));
                rest = behind;
                continue;
            }
            (b'\\', _) => return None,
            (byte, behind) => (byte, behind),
        };
        bytes.push(*byte);
        rest = behind;
    }
    Some(bytes)
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at > 0 && (at * 4).is_multiple_of(LINE) {
            text.push('\n');
        }
        let word = (0..3).fold(0_u32, |word, index| word << 8 | u32::from(chunk.get(index).copied().unwrap_or(0)));
        for index in 0..4 {
            let letter = usize::try_from(word >> (18 - 6 * index) & 63).ok().and_then(|place| LETTERS.get(place));
            let padding = index > u32::try_from(chunk.len()).unwrap_or(3);
            text.push(if padding { '=' } else { letter.map_or('=', |letter| char::from(*letter)) });
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !letters.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3);
    for chunk in letters.chunks(4) {
        let padding = chunk.iter().rev().take_while(|letter| **letter == b'=').count();
        let mut word = 0_u32;
        for letter in chunk.iter().take(4 - padding) {
            let place = LETTERS.iter().position(|known| known == letter)?;
            word = word << 6 | u32::try_from(place).ok()?;
        }
        word <<= 6 * u32::try_from(padding).ok()?;
        bytes.extend(word.to_be_bytes().iter().skip(1).take(3_usize.checked_sub(padding)?));
    }
    Some(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|letter| !letter.is_whitespace()).map(|letter| letter.to_digit(16)).collect::<Option<_>>()?;
    digits.chunks(2).map(|pair| if let [high, low] = pair { u8::try_from(high << 4 | low).ok() } else { None }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded_and_reads_back() {
        for (bytes, text) in [("hi", "aGk="), ("", ""), ("abc", "YWJj"), ("a", "YQ==")] {
            assert_eq!(base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(base64(&[0; 60]).find('\n'), Some(76));
        assert_eq!(from_hex("6869").unwrap(), b"hi");
        assert_eq!(from_hex("6"), None);
    }

    #[test]
    fn bytes_are_escaped_and_read_back() {
        for (bytes, text) in [(&b"\0a\xff"[..], "\\000a\\377"), (b"a\\b", "a\\\\b")] {
            assert_eq!(escaped(bytes), text);
            assert_eq!(from_escaped(text).unwrap(), bytes);
        }
        assert!(from_escaped("a\\9").is_none());
    }
}
