//! LOCK TABLE.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::engine::sql::{Kind, Query, query};
use crate::error::ClientMessage;

use super::Cursor;

const MODES: [&str; 8] = [
    "access share",
    "row share",
    "row exclusive",
    "share update exclusive",
    "share",
    "share row exclusive",
    "exclusive",
    "access exclusive",
];

impl Cursor<'_> {
    /// The one lock that a reader takes keeps others from dropping the table, which nobody does here.
    pub(super) fn lock(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        self.take_word("table");
        let mut tables = vec![self.locked()?];
        while self.take_symbol(&Token::Comma) {
            tables.push(self.locked()?);
        }
        let mode = if self.take_word("in") { self.lock_mode()? } else { "access exclusive".to_owned() };
        self.take_word("nowait");
        self.expect_end()?;
        if mode != "access share" {
            return self.refused("lock");
        }
        Ok(tables.into_iter().collect::<Result<Vec<_>, _>>().map_or_else(Kind::Refused, Kind::LockShared))
    }

    /// A query of one of the tables, which finds it or does not; the inner error is a refusal by class.
    fn locked(&mut self) -> Result<Result<Query, ClientMessage>, ClientMessage> {
        let enclosed = self.take_word("only") && self.take_symbol(&Token::LParen);
        let from = self.at;
        self.object_name()?;
        let name = self.piece.text_from(from, Some(self.at)).trim().to_owned();
        if enclosed {
            self.expect_symbol(&Token::RParen)?;
        } else {
            self.take_symbol(&Token::Mul);
        }
        query::parse_text(&format!("SELECT 1 FROM {name}"), self.limits)
    }

    /// `ACCESS SHARE MODE`
    fn lock_mode(&mut self) -> Result<String, ClientMessage> {
        let from = self.at;
        let mut mode = String::new();
        while !self.take_word("mode") {
            let word = self.expect_word()?;
            mode = if mode.is_empty() { word } else { format!("{mode} {word}") };
            // A word that leads to no mode is where it goes wrong.
            if !MODES.iter().any(|known| *known == mode || known.strip_prefix(&mode).is_some_and(|rest| rest.starts_with(' '))) {
                return Err(self.syntax_error(self.at - 1));
            }
        }
        if MODES.contains(&mode.as_str()) { Ok(mode) } else { Err(self.syntax_error(from.max(self.at - 1))) }
    }
}
