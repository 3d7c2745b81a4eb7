//! Joins within joins without parentheses: `a LEFT JOIN b JOIN c ON … ON …` is `a LEFT JOIN (b JOIN c ON …) ON …`.
//!
//! The parser wants a condition right behind each joined table. Which join a condition belongs to is told by counting, as with parentheses.

use std::collections::BTreeMap;

use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Whitespace};

/// A join that waits for its condition.
struct Waiting {
    /// Where what it joins begins.
    start: usize,
    /// Other joins have come since.
    nested: bool,
}

/// The tokens with the parentheses that are left out; `None` if none are.
pub(super) fn parenthesized(tokens: &[TokenWithSpan]) -> Option<Vec<TokenWithSpan>> {
    let words: Vec<(usize, &TokenWithSpan)> =
        tokens.iter().enumerate().filter(|(_, token)| !matches!(token.token, Token::Whitespace(_))).collect();
    let mut levels: Vec<Vec<Waiting>> = vec![Vec::new()];
    // How many open before a token, and how many close.
    let mut parens: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (at, (place, token)) in words.iter().enumerate() {
        match &token.token {
            Token::LParen => levels.push(Vec::new()),
            Token::RParen if levels.len() > 1 => drop(levels.pop()),
            found => {
                let Some(waiting) = levels.last_mut() else { continue };
                if is(found, &["join"]) {
                    if let Some(before) = waiting.last_mut() {
                        before.nested = true;
                    }
                    let start = words.get(at + 1).map(|(place, _)| *place);
                    if let Some(start) = start.filter(|_| conditional(words.get(..at).unwrap_or_default())) {
                        waiting.push(Waiting { start, nested: false });
                    }
                } else if is(found, &["on", "using"]) {
                    if let Some(Waiting { start, nested: true }) = waiting.pop() {
                        parens.entry(start).or_default().0 += 1;
                        parens.entry(*place).or_default().1 += 1;
                    }
                } else if is(found, &["select", "where", "group", "having", "window", "order", "limit", "union", "except", "intersect"]) {
                    waiting.clear();
                }
            }
        }
    }
    if parens.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(tokens.len() + 4 * parens.len());
    for (place, token) in tokens.iter().enumerate() {
        let (opens, closes) = parens.get(&place).copied().unwrap_or_default();
        let beside = |paren: Token| TokenWithSpan { token: paren, span: Span { start: token.span.start, end: token.span.start } };
        for _ in 0..closes {
            out.extend([beside(Token::RParen), beside(Token::Whitespace(Whitespace::Space))]);
        }
        out.extend((0..opens).map(|_| beside(Token::LParen)));
        out.push(token.clone());
    }
    Some(out)
}

/// Whether the word JOIN behind these takes a condition.
fn conditional(before: &[(usize, &TokenWithSpan)]) -> bool {
    let mut words =
        before.iter().rev().map(|(_, token)| &token.token).skip_while(|word| is(word, &["inner", "left", "right", "full", "outer"]));
    !words.next().is_some_and(|word| is(word, &["cross", "natural"]))
}

fn is(token: &Token, words: &[&str]) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && words.iter().any(|word| found.value.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, tokenizer::Tokenizer};

    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        parenthesized(&tokens).map(|tokens| tokens.iter().map(|token| token.token.to_string()).collect())
    }

    #[test]
    fn a_condition_is_of_the_last_join_without_one() {
        for (sql, expected) in [
            ("FROM a LEFT JOIN b JOIN c ON x ON y WHERE z", "FROM a LEFT JOIN (b JOIN c ON x ) ON y WHERE z"),
            ("FROM a JOIN b JOIN c JOIN d ON x ON y ON z", "FROM a JOIN (b JOIN (c JOIN d ON x ) ON y ) ON z"),
            ("FROM a JOIN b CROSS JOIN c USING (x)", "FROM a JOIN (b CROSS JOIN c ) USING (x)"),
            ("FROM a JOIN (SELECT 1 FROM b) s JOIN c ON x ON y", "FROM a JOIN ((SELECT 1 FROM b) s JOIN c ON x ) ON y"),
        ] {
            assert_eq!(spelled(sql).unwrap(), expected);
        }
        for plain in [
            "FROM a JOIN b ON x LEFT JOIN c ON y",
            "FROM a CROSS JOIN b NATURAL LEFT JOIN c",
            "SELECT DISTINCT ON (a) a FROM b JOIN c USING (x)",
        ] {
            assert_eq!(spelled(plain), None, "{plain}");
        }
    }
}
