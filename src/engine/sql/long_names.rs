//! Identifiers of more bytes than PostgreSQL keeps: they are cut, and the client is told.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::error::{ClientMessage, SqlState};

/// The bytes of an identifier (`NAMEDATALEN` less one).
const BYTES_MAX: usize = 63;

/// Cuts the identifiers among the tokens of a text.
pub(super) fn cut(tokens: &mut [TokenWithSpan]) {
    for token in tokens {
        if let Token::Word(word) = &mut token.token
            && word.value.len() > BYTES_MAX
        {
            word.value = kept(&word.value).to_owned();
        }
    }
}

/// What is left of a name: whole letters.
fn kept(name: &str) -> &str {
    name.get(..name.floor_char_boundary(BYTES_MAX)).unwrap_or(name)
}

/// What a client is told of the identifiers that are cut in its text.
pub(in crate::engine) fn notices(text: &str) -> Vec<ClientMessage> {
    if !may_be_long(text) {
        return Vec::new();
    }
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize() else { return Vec::new() };
    let names = tokens.iter().filter_map(|token| match token {
        Token::Word(word) if word.value.len() > BYTES_MAX => Some(match word.quote_style {
            Some(_) => word.value.clone(),
            None => word.value.to_lowercase(),
        }),
        _ => None,
    });
    let told = |name: String| format!("identifier \"{name}\" will be truncated to \"{}\"", kept(&name));
    names.map(|name| ClientMessage::new(SqlState::NAME_TOO_LONG, told(name))).collect()
}

/// Whether there is anything that could be such a name: so many bytes without a blank, or between quotes.
fn may_be_long(text: &str) -> bool {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(*byte, b'_' | b'$') || *byte >= 0x80;
    text.len() > BYTES_MAX
        && (text.as_bytes().split(|byte| !part(byte)).any(|word| word.len() > BYTES_MAX)
            || text.split('"').skip(1).any(|quoted| quoted.len() > BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_letters() {
        let name = format!("{}äb", "x".repeat(62));
        let told: Vec<String> = notices(&format!("SELECT 1 AS {name}, '{name}'")).into_iter().map(|message| message.message).collect();
        assert_eq!(told, [format!("identifier \"{name}\" will be truncated to \"{}\"", "x".repeat(62))]);
        assert!(notices(&format!("SELECT 1 AS {}", "x".repeat(63))).is_empty());
        assert_eq!(notices(&format!("SELECT 1 AS \"{} \"", "X y".repeat(21))).len(), 1);
    }
}
