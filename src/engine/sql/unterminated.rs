//! Why a text has no tokens: what does not end, and where it begins; escapes that stand for no letter.

use crate::error::{ClientMessage, SqlState};

/// The fault of a text that could not be split; `None` if this is not of the kinds that are known here.
pub(super) fn fault(text: &str) -> Option<ClientMessage> {
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(letter) = letters.get(at) {
        let start = at;
        let next = letters.get(at + 1).copied();
        at = match (*letter, next) {
            ('-', Some('-')) => at + letters.iter().skip(at).take_while(|letter| **letter != '\n').count(),
            ('/', Some('*')) => match comment(&letters, at) {
                Some(end) => end,
                None => return Some(open(&letters, start, "/* comment")),
            },
            ('e' | 'E', Some('\'')) if !follows_word(&letters, at) => match escaped(&letters, at + 2) {
                Ok(Some(end)) => end,
                Ok(None) => return Some(open(&letters, start, "quoted string")),
                Err(message) => return Some(*message),
            },
            ('\'', _) => match quoted(&letters, at + 1, '\'') {
                Some(end) => end,
                None => return Some(open(&letters, start, "quoted string")),
            },
            ('"', _) => match quoted(&letters, at + 1, '"') {
                Some(end) => end,
                None => return Some(open(&letters, start, "quoted identifier")),
            },
            ('$', _) if !follows_word(&letters, at) => match dollar(&letters, at) {
                Some(Some(end)) => end,
                Some(None) => return Some(open(&letters, start, "dollar-quoted string")),
                None => at + 1,
            },
            _ => at + 1,
        };
    }
    None
}

/// Something begins here and does not end.
fn open(letters: &[char], start: usize, what: &str) -> ClientMessage {
    let rest: String = letters.iter().skip(start).collect();
    ClientMessage::new(SqlState::SYNTAX_ERROR, format!("unterminated {what} at or near \"{rest}\"")).with_position(start + 1)
}

fn follows_word(letters: &[char], at: usize) -> bool {
    at.checked_sub(1).and_then(|before| letters.get(before)).is_some_and(|letter| letter.is_alphanumeric() || *letter == '_')
}

/// Behind the closing quote; a doubled one stays inside.
fn quoted(letters: &[char], from: usize, quote: char) -> Option<usize> {
    let mut at = from;
    loop {
        let letter = letters.get(at)?;
        at += 1;
        if *letter == quote {
            if letters.get(at) != Some(&quote) {
                return Some(at);
            }
            at += 1;
        }
    }
}

/// Behind the end of a comment, which may hold others.
fn comment(letters: &[char], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0_usize);
    loop {
        match (letters.get(at)?, letters.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Behind a string between dollars: `Some(None)` if it does not end, `None` if it is none.
fn dollar(letters: &[char], from: usize) -> Option<Option<usize>> {
    let tag: Vec<char> = letters.iter().skip(from + 1).copied().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
    if tag.first().is_some_and(char::is_ascii_digit) || letters.get(from + 1 + tag.len()) != Some(&'$') {
        return None;
    }
    let mark: Vec<char> = std::iter::once('$').chain(tag).chain(['$']).collect();
    let body = from + mark.len();
    let found = letters.get(body..).unwrap_or_default().windows(mark.len()).position(|window| window == mark);
    Some(found.map(|place| body + place + mark.len()))
}

/// Behind a string with escapes; `Ok(None)` if it does not end.
fn escaped(letters: &[char], from: usize) -> Result<Option<usize>, Box<ClientMessage>> {
    let mut at = from;
    // Bytes that escapes have made, which are text together.
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        let Some(letter) = letters.get(at) else { return Ok(None) };
        let made = match (*letter, letters.get(at + 1)) {
            ('\'', Some('\'')) => 2,
            ('\'', _) => return check(&bytes).map(|()| Some(at + 1)),
            ('\\', Some(mark @ ('u' | 'U'))) => {
                let wanted = if *mark == 'u' { 4 } else { 8 };
                let digits = letters.iter().skip(at + 2).take(wanted).take_while(|letter| letter.is_ascii_hexdigit()).count();
                if digits < wanted {
                    let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape");
                    let message = message.with_hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.").with_position(at + 1);
                    return Err(Box::new(message));
                }
                wanted + 2
            }
            ('\\', Some('x')) => {
                let digits: String = letters.iter().skip(at + 2).take(2).take_while(|letter| letter.is_ascii_hexdigit()).collect();
                bytes.extend(u8::from_str_radix(&digits, 16).ok());
                at += digits.len() + 2;
                continue;
            }
            ('\\', Some('0'..='7')) => {
                let digits: String = letters.iter().skip(at + 1).take(3).take_while(|letter| matches!(letter, '0'..='7')).collect();
                bytes.extend(u32::from_str_radix(&digits, 8).ok().and_then(|byte| u8::try_from(byte & 0xff).ok()));
                at += digits.len() + 1;
                continue;
            }
            ('\\', Some(_)) => 2,
            _ => 1,
        };
        check(&bytes)?;
        bytes.clear();
        at += made;
    }
}

/// Refuses bytes that are no text.
fn check(bytes: &[u8]) -> Result<(), Box<ClientMessage>> {
    let Err(error) = std::str::from_utf8(bytes) else {
        return Ok(());
    };
    let wrong =
        bytes.get(error.valid_up_to()..).unwrap_or_default().iter().take(1).map(|byte| format!(" 0x{byte:02x}")).collect::<String>();
    Err(Box::new(ClientMessage::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, format!("invalid byte sequence for encoding \"UTF8\":{wrong}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_told_from_its_beginning() {
        for (text, position, message) in [
            ("select 'a''b', 'open", 16, "unterminated quoted string at or near \"'open\""),
            ("select \"open", 8, "unterminated quoted identifier at or near \"\"open\""),
            ("select $$open", 8, "unterminated dollar-quoted string at or near \"$$open\""),
            ("select $a$ $$ $b$", 8, "unterminated dollar-quoted string at or near \"$a$ $$ $b$\""),
            ("select -- '\n /* /* */ open", 14, "unterminated /* comment at or near \"/* /* */ open\""),
            ("select E'a\\'", 8, "unterminated quoted string at or near \"E'a\\'\""),
        ] {
            let found = fault(text).unwrap();
            assert_eq!((found.position, found.message.as_str()), (Some(position), message), "{text}");
        }
        assert!(fault("select 'a', $1, \"b\", $$c$$, /* d */ e'\\'' -- '").is_none());
    }

    #[test]
    fn escapes_stand_for_letters() {
        let state = |text: &str| fault(text).map(|found| (found.sqlstate.as_str(), found.position));
        assert_eq!(state("select E'\\u12'"), Some(("22025", Some(10))));
        assert_eq!(state("select E'\\xff'"), Some(("22021", None)));
        assert_eq!(state("select E'\\xc3\\xa4 \\u00e4 \\303\\244'"), None);
    }
}
