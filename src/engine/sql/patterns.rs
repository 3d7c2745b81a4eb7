//! Patterns of LIKE and SIMILAR TO in those of the engine.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{self, BinaryOperator, Expr, Value};

use crate::error::{ClientMessage, SqlState};

use super::spelling::{Flow, literal, refuse, string};

/// The engine escapes with the backslash alone.
pub(super) fn escaped(pattern: &mut Expr, escape: &mut Option<ast::ValueWithSpan>) -> Flow {
    let Some(given) = escape.as_ref() else { return ended(pattern) };
    let Value::SingleQuotedString(given) = &given.value else { return refuse("this ESCAPE is not supported") };
    let mut letters = given.chars();
    let letter = letters.next();
    if letters.next().is_some() {
        let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string");
        return ControlFlow::Break(Box::new(message.with_hint("Escape string must be empty or one character.")));
    }
    if letter != Some('\\') {
        let Some(text) = literal(pattern) else { return refuse("ESCAPE is supported with a constant pattern only") };
        *pattern = string(&with_backslashes(text, letter));
    }
    *escape = None;
    ended(pattern)
}

/// Refuses a pattern whose last letter escapes nothing.
fn ended(pattern: &Expr) -> Flow {
    let trailing = literal(pattern).map_or(0, |text| text.len() - text.trim_end_matches('\\').len());
    if trailing.is_multiple_of(2) {
        return ControlFlow::Continue(());
    }
    let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "LIKE pattern must not end with escape character");
    ControlFlow::Break(Box::new(message))
}

fn with_backslashes(pattern: &str, escape: Option<char>) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            out.push('\\');
            out.extend(letters.next());
        } else if letter == '\\' {
            out.push_str("\\\\");
        } else {
            out.push(letter);
        }
    }
    out
}

/// Whether what stands behind ESCAPE is more than one letter.
pub(super) fn long_escape(escape: Option<&ast::ValueWithSpan>) -> Option<ClientMessage> {
    let Some(Value::SingleQuotedString(text)) = escape.map(|value| &value.value) else { return None };
    let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string");
    (text.chars().count() > 1).then(|| message.with_hint("Escape string must be empty or one character."))
}

/// `x SIMILAR TO pattern` as a regular expression; `None` if the pattern, or its escape, is no constant.
pub(super) fn matched(negated: bool, value: &Expr, pattern: &Expr, escape: Option<&ast::ValueWithSpan>) -> Option<Expr> {
    let escape = match escape.map(|value| &value.value) {
        None => Some('\\'),
        Some(Value::SingleQuotedString(text)) => text.chars().next(),
        Some(_) => return None,
    };
    let op = if negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
    let regex = string(&similar(literal(pattern)?, escape));
    Some(Expr::BinaryOp { left: Box::new(value.clone()), op, right: Box::new(regex) })
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn similar(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?:");
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            if let Some(next) = letters.next() {
                if !next.is_alphanumeric() {
                    regex.push('\\');
                }
                regex.push(next);
            }
            continue;
        }
        match letter {
            '[' => in_class = true,
            ']' => in_class = false,
            _ => {}
        }
        match letter {
            '%' if !in_class => regex.push_str(".*"),
            '_' if !in_class => regex.push('.'),
            '.' | '^' | '$' | '\\' if !in_class => regex.extend(['\\', letter]),
            '\\' => regex.push_str("\\\\"),
            letter => regex.push(letter),
        }
    }
    regex.push_str(")$");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_escape_with_the_backslash() {
        assert_eq!(with_backslashes("a#%b\\", Some('#')), "a\\%b\\\\");
        assert_eq!(with_backslashes("a\\%", None), "a\\\\%");
    }

    #[test]
    fn similar_patterns_match_the_whole_text() {
        assert_eq!(similar("(a|b)%", Some('\\')), "^(?:(a|b).*)$");
        assert_eq!(similar("a.c_", Some('\\')), "^(?:a\\.c.)$");
        assert_eq!(similar("100#%", Some('#')), "^(?:100\\%)$");
    }
}
