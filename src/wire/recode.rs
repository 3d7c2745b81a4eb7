//! Messages in a character set that is not UTF-8.
//!
//! What goes out is written in UTF-8 and then put into the client's character set, message by message: the texts of a message, never the
//! numbers beside them.

use bytes::{BufMut as _, BytesMut};

use crate::engine::{ClientEncoding, Column, Format, PgType};
use crate::error::ClientMessage;

use super::frontend::format_of;

/// What a value of a row is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A text as a whole.
    Text,
    /// Nothing that a character set concerns.
    Bytes,
    /// The binary form of an array.
    Array,
    /// The binary form of a row.
    Row,
}

impl Content {
    fn of_binary(pg_type: PgType) -> Self {
        match pg_type {
            pg_type if pg_type.is_text() => Self::Text,
            pg_type if pg_type.oid == PgType::RECORD.oid => Self::Row,
            pg_type if pg_type.element().is_some() => Self::Array,
            _ => Self::Bytes,
        }
    }
}

/// What the values of a row are made of.
pub(super) fn contents(columns: &[Column], formats: &[Format]) -> Vec<Content> {
    let content = |(at, column): (usize, &Column)| match format_of(formats, at) {
        Format::Text => Content::Text,
        Format::Binary => Content::of_binary(column.pg_type),
    };
    columns.iter().enumerate().map(content).collect()
}

/// Puts a message without values, which is the last one, into the character set. It always arrives.
pub(super) fn recode_message(buffer: &mut BytesMut, from: usize, encoding: ClientEncoding) {
    let kind = buffer.get(from).copied().unwrap_or_default();
    if encoding.is_utf8() || !matches!(kind, b'E' | b'N' | b'S' | b'T') {
        return;
    }
    let message = buffer.split_off(from);
    let body = message.get(5..).unwrap_or_default();
    let body = if kind == b'T' { description(body, encoding) } else { encoding.encode_marked(&String::from_utf8_lossy(body)) };
    put(buffer, kind, &body);
}

/// What the messages of a result hold.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds<'a> {
    /// Lines of text.
    Lines,
    /// Rows of such values, the first of them behind so many bytes of another kind.
    Rows(&'a [Content], usize),
}

/// Puts the messages from `from` on, which hold values, into the character set. On an error they are gone.
pub(super) fn recode_values(
    buffer: &mut BytesMut,
    from: usize,
    encoding: ClientEncoding,
    mut holds: Holds<'_>,
) -> Result<(), ClientMessage> {
    if encoding.is_utf8() {
        return Ok(());
    }
    let messages = buffer.split_off(from);
    let mut rest = &messages[..];
    while let Some((&kind, after)) = rest.split_first() {
        let Some((length, _)) = after.split_first_chunk::<4>() else { break };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or_default();
        let (Some(body), Some(next)) = (after.get(4..length), after.get(length..)) else { break };
        let body = match &mut holds {
            Holds::Lines => encoded(body, encoding),
            Holds::Rows(contents, lead) => row(body, std::mem::take(lead), encoding, contents),
        };
        match body {
            Ok(body) => put(buffer, kind, &body),
            Err(missing) => {
                buffer.truncate(from);
                return Err(missing);
            }
        }
        rest = next;
    }
    Ok(())
}

fn put(buffer: &mut BytesMut, kind: u8, body: &[u8]) {
    buffer.put_u8(kind);
    buffer.put_u32(u32::try_from(body.len() + 4).unwrap_or(u32::MAX));
    buffer.put_slice(body);
}

fn encoded(text: &[u8], encoding: ClientEncoding) -> Result<Vec<u8>, ClientMessage> {
    // What was written here is UTF-8.
    encoding.encode(&String::from_utf8_lossy(text))
}

/// A row description: of each column a name with its end, and 18 bytes.
fn description(body: &[u8], encoding: ClientEncoding) -> Vec<u8> {
    let (count, mut rest) = body.split_at_checked(2).unwrap_or((body, &[]));
    let mut out = count.to_vec();
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        out.extend(encoding.encode_marked(&String::from_utf8_lossy(name)));
        let (numbers, next) = after.split_at_checked(19).unwrap_or((after, &[]));
        out.extend_from_slice(numbers);
        rest = next;
    }
    out
}

/// A row: what leads it, the number of values, and of each its length and its bytes.
fn row(body: &[u8], lead: usize, encoding: ClientEncoding, contents: &[Content]) -> Result<Vec<u8>, ClientMessage> {
    let (count, mut rest) = body.split_at_checked(lead + 2).unwrap_or((body, &[]));
    let mut out = count.to_vec();
    for content in contents {
        rest = field(rest, &mut out, encoding, *content)?;
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// A length, −1 for NULL, and so many bytes; answers what follows.
fn field<'a>(bytes: &'a [u8], out: &mut Vec<u8>, encoding: ClientEncoding, content: Content) -> Result<&'a [u8], ClientMessage> {
    let Some((length, after)) = bytes.split_first_chunk::<4>() else { return Ok(bytes) };
    let Ok(length_of_value) = usize::try_from(i32::from_be_bytes(*length)) else {
        out.extend_from_slice(length);
        return Ok(after);
    };
    let (value, next) = after.split_at_checked(length_of_value).unwrap_or((after, &[]));
    let value = match content {
        Content::Text => encoded(value, encoding)?,
        Content::Bytes => value.to_vec(),
        Content::Array => array(value, encoding)?,
        Content::Row => record(value, encoding)?,
    };
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(value);
    Ok(next)
}

/// An array in binary: dimensions, whether there are NULLs, the type of the elements, of each dimension 8 bytes, the elements.
fn array(bytes: &[u8], encoding: ClientEncoding) -> Result<Vec<u8>, ClientMessage> {
    let number = |at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes);
    let head = usize::try_from(number(0)).unwrap_or_default().saturating_mul(8).saturating_add(12);
    let (head, mut rest) = bytes.split_at_checked(head).unwrap_or((bytes, &[]));
    let content = Content::of_binary(PgType { oid: number(8), len: -1, typmod: -1 });
    let mut out = head.to_vec();
    while !rest.is_empty() {
        rest = field(rest, &mut out, encoding, content)?;
    }
    Ok(out)
}

/// A row in binary: how many fields, and of each its type and its value.
fn record(bytes: &[u8], encoding: ClientEncoding) -> Result<Vec<u8>, ClientMessage> {
    let (count, mut rest) = bytes.split_at_checked(4).unwrap_or((bytes, &[]));
    let mut out = count.to_vec();
    while let Some((oid, after)) = rest.split_first_chunk::<4>() {
        out.extend_from_slice(oid);
        let content = Content::of_binary(PgType { oid: u32::from_be_bytes(*oid), len: -1, typmod: -1 });
        rest = field(after, &mut out, encoding, content)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latin1() -> ClientEncoding {
        ClientEncoding::named("latin1").unwrap().unwrap().0
    }

    fn recoded(with: impl FnOnce(&mut BytesMut) -> Result<(), ClientMessage>, messages: &[u8]) -> Result<Vec<u8>, ClientMessage> {
        let mut buffer = BytesMut::from(&b"before"[..]);
        buffer.put_slice(messages);
        with(&mut buffer).inspect_err(|_| assert_eq!(&buffer[..], b"before"))?;
        Ok(buffer.split_off(6).to_vec())
    }

    fn rows(messages: &[u8], contents: &[Content]) -> Result<Vec<u8>, ClientMessage> {
        recoded(|buffer| recode_values(buffer, 6, latin1(), Holds::Rows(contents, 0)), messages)
    }

    #[test]
    fn texts_change_and_numbers_stay() {
        let row = b"D\0\0\0\x16\0\x03\0\0\0\x02\xc3\xa9\xff\xff\xff\xff\0\0\0\x02\xc3\xa9";
        let contents = [Content::Text, Content::Text, Content::Bytes];
        assert_eq!(rows(row, &contents).unwrap(), b"D\0\0\0\x15\0\x03\0\0\0\x01\xe9\xff\xff\xff\xff\0\0\0\x02\xc3\xa9");
        let lines = |messages: &[u8]| recoded(|buffer| recode_values(buffer, 6, latin1(), Holds::Lines), messages).unwrap();
        assert_eq!(lines(b"d\0\0\0\x07a\xc3\xa9d\0\0\0\x05b"), b"d\0\0\0\x06a\xe9d\0\0\0\x05b");
    }

    #[test]
    fn elements_and_fields_change_where_they_are_texts() {
        let head = b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01";
        let given = [&head[..], b"\0\0\0\x02\xc3\xa9"].concat();
        assert_eq!(array(&given, latin1()).unwrap(), [&head[..], b"\0\0\0\x01\xe9"].concat());
        let given = b"\0\0\0\x02\0\0\0\x19\0\0\0\x02\xc3\xa9\0\0\0\x15\0\0\0\x02\xc3\xa9";
        assert_eq!(record(given, latin1()).unwrap(), b"\0\0\0\x02\0\0\0\x19\0\0\0\x01\xe9\0\0\0\x15\0\0\0\x02\xc3\xa9");
    }

    #[test]
    fn names_of_columns_change_and_their_numbers_stay() {
        let mut described = b"T\0\0\0\x1b\0\x01\xc3\xa9\0".to_vec();
        described.extend([0xc3; 18]);
        let mut expected = b"T\0\0\0\x1a\0\x01\xe9\0".to_vec();
        expected.extend([0xc3; 18]);
        let message = |messages: &[u8]| {
            let recode = |buffer: &mut BytesMut| {
                recode_message(buffer, 6, latin1());
                Ok(())
            };
            recoded(recode, messages).unwrap()
        };
        assert_eq!(message(&described), expected);
        assert_eq!(message(b"N\0\0\0\x08M\xe2\x82\xac"), b"N\0\0\0\x06M?");
        assert_eq!(message(b"Z\0\0\0\x05I"), b"Z\0\0\0\x05I");
    }

    #[test]
    fn a_letter_that_is_missing_leaves_nothing_behind() {
        assert_eq!(rows(b"D\0\0\0\x0d\0\x01\0\0\0\x03\xe2\x82\xac", &[Content::Text]).unwrap_err().sqlstate.as_str(), "22P05");
    }
}
