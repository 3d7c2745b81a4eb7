//! DECLARE, FETCH, MOVE and CLOSE.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::engine::sql::{DeclareOptions, Direction, Kind};
use crate::error::{ClientMessage, SqlState};

use super::Cursor;

impl Cursor<'_> {
    pub(super) fn declare(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let name = self.expect_identifier()?;
        let mut options = DeclareOptions::default();
        let (mut scroll, mut straight, mut insensitive, mut asensitive) = (false, false, false, false);
        loop {
            if self.take_word("binary") {
                options.binary = true;
            } else if self.take_word("no") {
                self.expect_keyword("scroll")?;
                straight = true;
            } else if self.take_word("scroll") {
                scroll = true;
            } else if self.take_word("insensitive") {
                insensitive = true;
            } else if self.take_word("asensitive") {
                asensitive = true;
            } else {
                break;
            }
        }
        options.scroll = (scroll || straight).then_some(scroll);
        self.expect_keyword("cursor")?;
        if self.take_word("with") {
            self.expect_keyword("hold")?;
            options.hold = true;
        } else if self.take_word("without") {
            self.expect_keyword("hold")?;
        }
        self.expect_keyword("for")?;
        let first = self.word_at(self.at).unwrap_or_default();
        if !matches!(first.as_str(), "select" | "with" | "values" | "table" | "") {
            return Err(self.syntax_error(self.at));
        }
        let both = match (scroll && straight, insensitive && asensitive) {
            (true, _) => Some("SCROLL and NO SCROLL"),
            (false, true) => Some("ASENSITIVE and INSENSITIVE"),
            (false, false) => None,
        };
        if let Some(both) = both {
            let message = format!("cannot specify both {both}");
            return Ok(Kind::Refused(ClientMessage::new(SqlState::INVALID_CURSOR_DEFINITION, message)));
        }
        Ok(self.query_from(self.at)?.map_or_else(Kind::Refused, |query| Kind::Declare { name, options, query }))
    }

    pub(super) fn fetch(&mut self, verb: &str) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let direction = self.direction(verb == "move")?;
        let _ = self.take_word("from") || self.take_word("in");
        let name = self.expect_identifier()?;
        self.expect_end()?;
        Ok(Kind::Fetch { name, direction, skip: verb == "move" })
    }

    fn direction(&mut self, moves: bool) -> Result<Direction, ClientMessage> {
        if self.take_word("next") {
            return Ok(Direction::Forward(1));
        }
        if self.take_word("all") {
            return Ok(Direction::All);
        }
        for (word, direction) in
            [("prior", Direction::Backward(Some(1))), ("first", Direction::Absolute(1)), ("last", Direction::Absolute(-1))]
        {
            if self.take_word(word) {
                return Ok(direction);
            }
        }
        if self.take_word("absolute") {
            return Ok(Direction::Absolute(self.expect_count()?));
        }
        if self.take_word("relative") {
            return Ok(Direction::Relative(self.expect_count()?));
        }
        if self.take_word("backward") {
            if self.take_word("all") {
                // To fetch backward is to see the rows again, last first; to move there is to begin again.
                return Ok(if moves { Direction::Start } else { Direction::Backward(None) });
            }
            return Ok(self.count()?.map_or(Direction::Backward(Some(1)), |count| forward(-count)));
        }
        if self.take_word("forward") {
            if self.take_word("all") {
                return Ok(Direction::All);
            }
            return Ok(self.count()?.map_or(Direction::Forward(1), forward));
        }
        Ok(self.count()?.map_or(Direction::Forward(1), forward))
    }

    fn expect_count(&mut self) -> Result<i64, ClientMessage> {
        self.count()?.ok_or_else(|| self.syntax_error(self.at))
    }

    /// A signed whole number of 32 bits; `None` if there is none.
    fn count(&mut self) -> Result<Option<i64>, ClientMessage> {
        let negative = self.take_symbol(&Token::Minus);
        let signed = negative || self.take_symbol(&Token::Plus);
        let number = match self.token_at(self.at) {
            Some(Token::Number(digits, _)) => digits.parse::<i32>().map(i64::from).map_err(|_| self.syntax_error(self.at))?,
            _ if signed => return Err(self.syntax_error(self.at)),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(if negative { -number } else { number }))
    }

    pub(super) fn close(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let kind = if self.take_word("all") { Kind::Close(None) } else { Kind::Close(Some(self.expect_identifier()?)) };
        self.expect_end()?;
        Ok(kind)
    }
}

fn forward(count: i64) -> Direction {
    u64::try_from(count).map_or(Direction::Backward(Some(count.unsigned_abs())), Direction::Forward)
}
