//! `SELECT` without a list and without FROM: one row without columns.
//!
//! The parser takes an empty list before FROM alone, so it gets one row to take nothing from.

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::dialect::PgDialect;
use super::tokens::{blank, is};

/// The row; no client can write its name.
const ROW: &str = " FROM (VALUES (0)) AS \"\u{1}row\" ";
/// What may stand behind the list where there is no FROM.
const BEHIND: [&str; 11] = ["where", "group", "having", "window", "union", "intersect", "except", "order", "limit", "offset", "fetch"];

/// The tokens with the row put in; `None` if each SELECT has a list or FROM.
pub(super) fn with_row(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let words: Vec<(usize, &TokenWithSpan)> = tokens.iter().enumerate().filter(|(_, token)| !blank(token)).collect();
    let bare: Vec<usize> = words.iter().enumerate().filter(|(at, _)| is_bare(&words, *at)).map(|(_, (place, _))| *place).collect();
    if bare.is_empty() {
        return None;
    }
    let row = Tokenizer::new(&PgDialect, ROW).tokenize().ok()?;
    let mut out = Vec::with_capacity(tokens.len() + bare.len() * row.len());
    for (place, token) in tokens.iter().enumerate() {
        out.push(token.clone());
        if bare.contains(&place) {
            let span = Span { start: token.span.end, end: token.span.end };
            out.extend(row.iter().map(|token| TokenWithSpan { token: token.clone(), span }));
        }
    }
    Some(out)
}

/// A SELECT that begins a query, with nothing of a list behind it.
fn is_bare(words: &[(usize, &TokenWithSpan)], at: usize) -> bool {
    let token = |at: usize| words.get(at).map(|(_, token)| &token.token);
    let begins = match at.checked_sub(1).and_then(token) {
        None | Some(Token::LParen | Token::RParen | Token::SemiColon) => true,
        Some(before) => {
            ["union", "intersect", "except", "all", "distinct", "for", "explain", "analyze", "verbose"].iter().any(|word| is(before, word))
        }
    };
    let ends = match token(at + 1) {
        None | Some(Token::RParen | Token::SemiColon | Token::EOF) => true,
        Some(behind) => BEHIND.iter().any(|word| is(behind, word)),
    };
    begins && ends && token(at).is_some_and(|found| is(found, "select"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        let tokens = Tokenizer::new(&PgDialect, sql).tokenize_with_location().unwrap();
        with_row(&tokens).map(|tokens| tokens.iter().map(|token| token.token.to_string()).collect())
    }

    #[test]
    fn a_select_without_a_list_takes_nothing_from_one_row() {
        assert_eq!(spelled("select"), Some(format!("select{ROW}")));
        assert_eq!(spelled("select ;select 1"), Some(format!("select{ROW} ;select 1")));
        assert_eq!(spelled("select where true union (select)"), Some(format!("select{ROW} where true union (select{ROW})")));
        for kept in ["select from t", "select 1", "select distinct", "select \"select\"", "select t.select", "select x as select"] {
            assert_eq!(spelled(kept), None, "{kept}");
        }
    }
}
