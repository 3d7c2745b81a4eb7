//! Character sets that a client may want: UTF-8, and those of one byte a letter.
//!
//! INVARIANT: a letter of a value that a character set does not have is an error (22P05), never another letter.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::error::{ClientMessage, SqlState};

use super::PgType;
use super::parameter::{Format, Parameter};

/// Character sets of PostgreSQL with letters of several bytes, which are not there.
const WIDE: [&str; 14] = [
    "euccn",
    "eucjis2004",
    "eucjp",
    "euckr",
    "euctw",
    "big5",
    "gb18030",
    "gbk",
    "johab",
    "muleinternal",
    "sjis",
    "shiftjis",
    "shiftjis2004",
    "uhc",
];

/// A client's character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientEncoding(Option<&'static Letters>);

/// A character set of one byte a letter, of which the first half is ASCII.
#[derive(Debug, PartialEq, Eq)]
struct Letters {
    name: &'static str,
    /// The letters of the bytes from 128 on, where there are any.
    letters: Vec<Option<char>>,
    bytes: HashMap<char, u8>,
}

impl Letters {
    fn byte(&self, letter: char) -> Option<u8> {
        match u8::try_from(letter) {
            Ok(ascii @ 0..=127) => Some(ascii),
            _ => self.bytes.get(&letter).copied(),
        }
    }
}

/// The character sets by PostgreSQL's names without what is no letter or digit, in lower case.
fn known() -> &'static HashMap<String, Letters> {
    static KNOWN: OnceLock<HashMap<String, Letters>> = OnceLock::new();
    KNOWN.get_or_init(|| include_str!("client_encodings.tsv").lines().flat_map(of_line).collect())
}

/// A line: name, other names, the letters of the upper half in hexadecimal digits.
fn of_line(line: &'static str) -> Vec<(String, Letters)> {
    let mut cells = line.split('\t');
    let (Some(name), Some(others), Some(letters)) = (cells.next(), cells.next(), cells.next()) else { return Vec::new() };
    let letter = |cell: &str| u32::from_str_radix(cell, 16).ok().filter(|code| *code != 0).and_then(char::from_u32);
    let letters: Vec<Option<char>> = letters.split(' ').map(letter).collect();
    let bytes: HashMap<char, u8> = (128..=255).zip(&letters).filter_map(|(byte, letter)| Some(((*letter)?, byte))).collect();
    let names = std::iter::once(plain(name)).chain(others.split(',').filter(|other| !other.is_empty()).map(str::to_owned));
    names.map(|plain| (plain, Letters { name, letters: letters.clone(), bytes: bytes.clone() })).collect()
}

/// PostgreSQL looks at letters and digits only.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "")
}

impl ClientEncoding {
    /// The character set of that name, and the name that PostgreSQL shows. `None` is a name that PostgreSQL does not know either.
    pub fn named(name: &str) -> Result<Option<(Self, &'static str)>, ClientMessage> {
        match plain(name).as_str() {
            "utf8" | "unicode" => Ok(Some((Self(None), "UTF8"))),
            // Texts go out as they are, and have to be what the server keeps when they come in.
            "sqlascii" => Ok(Some((Self(None), "SQL_ASCII"))),
            wide if WIDE.contains(&wide) => {
                let message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("client encoding \"{name}\" is not supported"));
                Err(message.with_hint("Use UTF8."))
            }
            other => Ok(known().get(other).map(|letters| (Self(Some(letters)), letters.name))),
        }
    }

    /// Whether texts are as the engine has them.
    pub fn is_utf8(self) -> bool {
        self.0.is_none()
    }

    /// What a client's text says.
    pub fn decode(self, text: &[u8]) -> Result<Cow<'_, str>, ClientMessage> {
        let Some(set) = self.0 else { return utf8(text).map(Cow::Borrowed) };
        let letter = |byte: &u8| match usize::from(*byte).checked_sub(128) {
            None => Ok(char::from(*byte)),
            Some(at) => set.letters.get(at).copied().flatten().ok_or_else(|| invalid(set.name, &[*byte])),
        };
        text.iter().map(letter).collect::<Result<String, _>>().map(Cow::Owned)
    }

    /// A text in the client's character set.
    pub fn encode(self, text: &str) -> Result<Vec<u8>, ClientMessage> {
        let Some(set) = self.0 else { return Ok(text.as_bytes().to_vec()) };
        text.chars().map(|letter| set.byte(letter).ok_or_else(|| missing(letter, set.name))).collect()
    }

    /// The same with a question mark for each letter that the character set does not have: for messages that must arrive.
    pub fn encode_marked(self, text: &str) -> Vec<u8> {
        let Some(set) = self.0 else { return text.as_bytes().to_vec() };
        text.chars().map(|letter| set.byte(letter).unwrap_or(b'?')).collect()
    }

    /// A bound parameter with its texts in UTF-8.
    pub(super) fn received<'a>(self, parameter: &'a Parameter, pg_type: PgType) -> Result<Cow<'a, Parameter>, ClientMessage> {
        let Some(value) = parameter.value.as_ref().filter(|_| !self.is_utf8()) else { return Ok(Cow::Borrowed(parameter)) };
        let format = parameter.format;
        if format == Format::Binary {
            if pg_type.element().is_some_and(PgType::is_text) {
                let text = "binary arrays of texts are supported with client encoding UTF8 only";
                return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text).with_hint("Use UTF8."));
            }
            if !pg_type.is_text() {
                return Ok(Cow::Borrowed(parameter));
            }
        }
        let text = self.decode(value)?.into_owned();
        Ok(Cow::Owned(Parameter { format, value: Some(Bytes::from(text)) }))
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(" ")
}

pub(super) fn invalid(name: &str, bytes: &[u8]) -> ClientMessage {
    let message = format!("invalid byte sequence for encoding \"{name}\": {}", shown(bytes));
    ClientMessage::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, message)
}

fn missing(letter: char, name: &str) -> ClientMessage {
    let bytes = shown(letter.to_string().as_bytes());
    let message = format!("character with byte sequence {bytes} in encoding \"UTF8\" has no equivalent in encoding \"{name}\"");
    ClientMessage::new(SqlState::UNTRANSLATABLE_CHARACTER, message)
}

/// Text that is UTF-8; the error shows the bytes that are not.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, ClientMessage> {
    std::str::from_utf8(bytes).map_err(|error| {
        let start = error.valid_up_to();
        let end = error.error_len().map_or(bytes.len(), |length| start + length);
        invalid("UTF8", bytes.get(start..end).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> ClientEncoding {
        ClientEncoding::named(name).unwrap().unwrap().0
    }

    #[test]
    fn letters_are_those_of_the_character_set() {
        for (name, byte, letter) in [("latin1", 0xe9, "é"), ("WIN1252", 0x80, "€"), ("iso-8859-15", 0xa4, "€"), ("KOI8-R", 0xc1, "а")]
        {
            assert_eq!(set(name).decode(&[b'x', byte]).unwrap(), format!("x{letter}"), "{name}");
            assert_eq!(set(name).encode(letter).unwrap(), [byte], "{name}");
        }
        assert_eq!(set("latin1").encode_marked("a€"), b"a?");
        assert_eq!(set("latin1").encode("€").unwrap_err().sqlstate, SqlState::UNTRANSLATABLE_CHARACTER);
        assert_eq!(set("win1252").decode(&[0x81]).unwrap_err().sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE);
        assert_eq!(set("utf8").encode("漢").unwrap(), "漢".as_bytes());
    }

    #[test]
    fn names_are_read_as_in_postgres() {
        let shown = |name: &str| ClientEncoding::named(name).unwrap().map(|(_, shown)| shown);
        assert_eq!((shown("utf-8"), shown("Unicode"), shown("ISO 8859-1")), (Some("UTF8"), Some("UTF8"), Some("LATIN1")));
        assert_eq!((shown("windows1252"), shown("klingon")), (Some("WIN1252"), None));
        assert_eq!(ClientEncoding::named("Shift_JIS").unwrap_err().sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn parameters_are_texts_by_their_format_or_their_type() {
        let given = |format, value: &'static [u8]| Parameter { format, value: Some(Bytes::from_static(value)) };
        let read = |parameter: &Parameter, pg_type| set("latin1").received(parameter, pg_type).map(Cow::into_owned);
        let texted = given(Format::Text, b"\xe9");
        assert_eq!(read(&texted, PgType::BYTEA).unwrap().value, Some(Bytes::from_static("é".as_bytes())));
        let binary = given(Format::Binary, b"\xe9");
        assert_eq!(read(&binary, PgType::VARCHAR).unwrap().value, Some(Bytes::from_static("é".as_bytes())));
        assert_eq!(read(&binary, PgType::BYTEA).unwrap(), binary);
        assert_eq!(read(&binary, PgType::TEXT_ARRAY).unwrap_err().sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
    }

    #[test]
    fn what_is_not_utf8_is_shown() {
        assert_eq!(utf8(b"a\xc3").unwrap_err().message, "invalid byte sequence for encoding \"UTF8\": 0xc3");
    }
}
