//! `OPERATOR(pg_catalog.=)`: an operator with the schema that all operators here are of, as the bare operator.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The tokens with every such operator written bare.
pub(super) fn bare(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut written = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        match is_word(&first.token, "operator").then(|| named(after)).flatten() {
            Some((operator, after)) => {
                written.push(TokenWithSpan { token: operator.token.clone(), span: first.span });
                rest = after;
            }
            None => {
                written.push(first.clone());
                rest = after;
            }
        }
    }
    written
}

/// The operator in `(pg_catalog.=)`, and what follows.
fn named(tokens: &[TokenWithSpan]) -> Option<(&TokenWithSpan, &[TokenWithSpan])> {
    let (open, rest) = next(tokens)?;
    let (schema, rest) = next(rest)?;
    let (period, rest) = next(rest)?;
    let (operator, rest) = next(rest)?;
    let (close, rest) = next(rest)?;
    let fits = open.token == Token::LParen
        && is_word(&schema.token, "pg_catalog")
        && period.token == Token::Period
        && !matches!(operator.token, Token::Word(_))
        && close.token == Token::RParen;
    fits.then_some((operator, rest))
}

fn next(tokens: &[TokenWithSpan]) -> Option<(&TokenWithSpan, &[TokenWithSpan])> {
    let at = tokens.iter().position(|token| !matches!(token.token, Token::Whitespace(_)))?;
    Some((tokens.get(at)?, tokens.get(at + 1..)?))
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::tokenizer::Tokenizer;

    use super::*;

    fn written(sql: &str) -> String {
        let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().unwrap();
        bare(&tokens).iter().map(|token| token.token.to_string()).collect()
    }

    #[test]
    fn operators_lose_the_schema_that_all_have() {
        assert_eq!(written("a OPERATOR(pg_catalog.=) ANY (b)"), "a = ANY (b)");
        assert_eq!(written("a operator ( pg_catalog . !~ ) b"), "a !~ b");
        assert_eq!(written("a OPERATOR(other.=) b"), "a OPERATOR(other.=) b");
        assert_eq!(written("operator"), "operator");
    }
}
