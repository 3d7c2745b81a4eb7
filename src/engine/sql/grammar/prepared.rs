//! PREPARE, EXECUTE and DEALLOCATE.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::engine::sql::{Kind, Query, query};
use crate::error::{ClientMessage, SqlState};

use super::Cursor;

impl Cursor<'_> {
    pub(super) fn prepare(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        if self.take_word("transaction") {
            self.expect_text()?;
            self.expect_end()?;
            return Ok(Kind::PrepareTransaction);
        }
        let name = self.expect_identifier()?;
        let mut types = Vec::new();
        if self.take_symbol(&Token::LParen) {
            let mut depth = 0usize;
            let mut from = self.at;
            loop {
                match self.token_at(self.at) {
                    Some(Token::LParen) => depth += 1,
                    Some(Token::RParen) if depth > 0 => depth -= 1,
                    Some(Token::Comma) if depth == 0 => {
                        types.push(self.piece.text_from(from, Some(self.at)).to_owned());
                        from = self.at + 1;
                    }
                    Some(Token::RParen) => break,
                    Some(_) => {}
                    None => return Err(self.syntax_error(self.at)),
                }
                self.at += 1;
            }
            types.push(self.piece.text_from(from, Some(self.at)).to_owned());
            self.at += 1;
        }
        self.expect_keyword("as")?;
        let first = self.word_at(self.at).unwrap_or_default();
        if !matches!(first.as_str(), "select" | "with" | "values" | "table" | "") {
            let inner = Cursor { piece: self.piece, limits: self.limits, at: self.at };
            return inner.refused(&first);
        }
        Ok(self.query_from(self.at)?.map_or_else(Kind::Refused, |query| Kind::Prepare { name, types, query }))
    }

    pub(super) fn execute(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        Ok(self.executed()?.map_or_else(Kind::Refused, |(name, arguments)| Kind::Execute { name, arguments }))
    }

    /// The name and the arguments of EXECUTE; the inner error is a refusal by class.
    pub(super) fn executed(&mut self) -> Result<Result<(String, Option<Query>), ClientMessage>, ClientMessage> {
        let name = self.expect_identifier()?;
        if self.at == self.piece.tokens.len() {
            return Ok(Ok((name, None)));
        }
        self.check_arguments()?;
        let text = self.piece.text_from(self.at, None);
        let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
            return Err(self.syntax_error(self.at));
        };
        Ok(query::parse_text(&format!("SELECT {inner}"), self.limits)?.map(|query| (name, Some(query))))
    }

    /// Whether arguments are expressions alone: they are computed as a row of no table, in which nothing else of a query may stand.
    fn check_arguments(&self) -> Result<(), ClientMessage> {
        let mut depth = 0usize;
        for at in self.at..self.piece.tokens.len() {
            let before = self.word_at(at.saturating_sub(1));
            match self.token_at(at) {
                Some(Token::LParen) => {
                    depth += 1;
                    let inner = self.word_at(at + 1).unwrap_or_default();
                    if depth > 1 && matches!(inner.as_str(), "select" | "values" | "with" | "table") {
                        let refusal = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot use subquery in EXECUTE parameter");
                        return Err(self.positioned(refusal, if before.as_deref() == Some("exists") { at - 1 } else { at }));
                    }
                }
                Some(Token::RParen) => {
                    depth = depth.saturating_sub(1);
                    let last = at + 1 == self.piece.tokens.len();
                    // An end that is no end, or nothing between the two.
                    if (depth == 0) != last {
                        return Err(self.syntax_error(at + 1));
                    }
                    if last && at == self.at + 1 {
                        return Err(self.syntax_error(at));
                    }
                }
                Some(Token::Mul) if depth == 1 && matches!(self.token_at(at - 1), Some(Token::LParen | Token::Comma)) => {
                    return Err(self.syntax_error(at));
                }
                Some(_) if depth == 0 => return Err(self.syntax_error(at)),
                Some(_) if depth == 1 && self.ends_a_list(at) => return Err(self.syntax_error(at)),
                _ => {}
            }
        }
        if depth == 0 { Ok(()) } else { Err(self.syntax_error(self.piece.tokens.len())) }
    }

    /// Whether a word there would begin another clause of a query.
    fn ends_a_list(&self, at: usize) -> bool {
        let before = self.word_at(at.saturating_sub(1)).unwrap_or_default();
        match self.word_at(at).unwrap_or_default().as_str() {
            "as" | "where" | "group" | "having" | "window" | "order" | "limit" | "offset" | "fetch" | "for" | "union" | "intersect"
            | "except" | "into" => true,
            // `IS [NOT] DISTINCT FROM`
            "from" => before != "distinct",
            "distinct" => !matches!(before.as_str(), "is" | "not"),
            _ => false,
        }
    }

    pub(super) fn deallocate(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        self.take_word("prepare");
        let kind = if self.take_word("all") { Kind::Deallocate(None) } else { Kind::Deallocate(Some(self.expect_identifier()?)) };
        self.expect_end()?;
        Ok(kind)
    }
}
