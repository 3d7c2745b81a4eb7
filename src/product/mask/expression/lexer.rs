//! The words and signs of an expression.

use super::ExpressionFault;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// In lower case.
    Word(String),
    /// In double quotes.
    Quoted(String),
    /// In single quotes.
    Text(String),
    Number(String),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 18] = ["<>", "!=", "<=", ">=", "||", "::", "~", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","];

/// The tokens of a text, each with its position, the end among them.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionFault> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let position = text.chars().count().saturating_sub(rest.chars().count()).saturating_add(1);
        let fault = |message: &str| ExpressionFault { position, message: message.to_owned() };
        let Some(first) = rest.chars().next() else {
            tokens.push((position, Token::End));
            return Ok(tokens);
        };
        if rest.starts_with("--") || rest.starts_with("/*") {
            return Err(fault("a comment has no place here"));
        }
        let (token, after) = match first {
            '\'' => {
                quoted(rest, first).map(|(content, after)| (Token::Text(content), after)).ok_or_else(|| fault("the quote is not closed"))?
            }
            '"' => quoted(rest, first)
                .map(|(content, after)| (Token::Quoted(content), after))
                .ok_or_else(|| fault("the quote is not closed"))?,
            _ if first.is_ascii_digit() || first == '.' => {
                let (number, after) = rest.split_at(rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len()));
                (Token::Number(number.to_owned()), after)
            }
            _ if first.is_alphabetic() || first == '_' => {
                let (word, after) = rest.split_at(rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len()));
                (Token::Word(word.to_lowercase()), after)
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| fault("a character that has no meaning here"))?;
                (Token::Sign(sign), rest.strip_prefix(sign).unwrap_or_default())
            }
        };
        tokens.push((position, token));
        rest = after;
    }
}

/// The content of a quoted text with doubled quotes undone, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let (before, after) = rest.split_once(quote)?;
        content.push_str(before);
        match after.strip_prefix(quote) {
            Some(doubled) => {
                content.push(quote);
                rest = doubled;
            }
            None => return Some((content, after)),
        }
    }
}
