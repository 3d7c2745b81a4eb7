//! Classifies one statement by its first words and reads the small grammars of session statements.

mod copy;
mod cursors;
mod explain;
mod locks;
mod prepared;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::catalog;
use crate::error::{ClientMessage, SqlState};

use super::lexer::Piece;
use super::{Kind, Query, Statement, TextLimits, TransactionModes, query};

/// Reads tokens one by one.
struct Cursor<'a> {
    piece: &'a Piece,
    limits: &'a TextLimits,
    at: usize,
}

/// What a statement is.
pub(super) fn classify(piece: &Piece, limits: &TextLimits) -> Result<Statement, ClientMessage> {
    let mut cursor = Cursor { piece, limits, at: 0 };
    let kind = cursor.statement()?;
    Ok(Statement { text: piece.text.clone(), kind })
}

const READ_ONLY: &str = "meshgate serves data products for reading; change the data where the product's owner keeps it.";

impl Cursor<'_> {
    fn statement(&mut self) -> Result<Kind, ClientMessage> {
        let first = self.word_at(0).unwrap_or_default();
        match first.as_str() {
            "select" | "with" | "values" | "table" => self.whole_query(),
            "" if matches!(self.token_at(0), Some(Token::LParen)) => self.whole_query(),
            "explain" => self.explain(),
            "copy" => self.copy(),
            "set" => self.set(),
            "reset" => self.reset(),
            "show" => self.show(),
            "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "savepoint" | "release" => self.transaction(&first),
            "prepare" => self.prepare(),
            "execute" => self.execute(),
            "deallocate" => self.deallocate(),
            "declare" => self.declare(),
            "fetch" | "move" => self.fetch(&first),
            "close" => self.close(),
            "discard" => self.discard(),
            "listen" | "unlisten" => self.listen(&first),
            "lock" => self.lock(),
            other => self.refused(other),
        }
    }

    fn refused(&self, first: &str) -> Result<Kind, ClientMessage> {
        let verb = first.to_ascii_uppercase();
        let writes = [
            "insert", "update", "delete", "merge", "truncate", "create", "alter", "drop", "grant", "revoke", "comment", "reindex",
            "refresh", "import", "security", "reassign", "cluster", "vacuum", "analyze", "lock",
        ];
        let unsupported = ["load", "do", "call", "checkpoint", "use", "describe", "install", "unload", "attach", "detach"];
        let message = if writes.contains(&first) {
            ClientMessage::new(SqlState::READ_ONLY_SQL_TRANSACTION, format!("cannot execute {verb} in a read-only transaction"))
                .with_hint(READ_ONLY)
        } else if first == "notify" {
            ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "NOTIFY is not supported")
                .with_hint("Sessions that read tell each other nothing here; LISTEN is accepted, and nothing comes.")
        } else if unsupported.contains(&first) {
            ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("{verb} is not supported"))
        } else {
            return Err(self.syntax_error(0));
        };
        Ok(Kind::Refused(message))
    }

    fn whole_query(&mut self) -> Result<Kind, ClientMessage> {
        Ok(self.query_from(0)?.map_or_else(Kind::Refused, Kind::Query))
    }

    /// The query from a token to the end; `Err` of the inner result is a refusal by class.
    fn query_from(&self, from: usize) -> Result<Result<Query, ClientMessage>, ClientMessage> {
        self.query_between(from, self.piece.tokens.len())
    }

    fn query_between(&self, from: usize, to: usize) -> Result<Result<Query, ClientMessage>, ClientMessage> {
        let tokens = self.piece.tokens.get(from..to).unwrap_or_default();
        if tokens.is_empty() {
            return Err(self.syntax_error(from));
        }
        let end = (to < self.piece.tokens.len()).then_some(to);
        query::parse(self.piece, tokens, self.piece.text_from(from, end), self.limits)
    }

    fn set(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let local = self.take_word("local");
        let session = !local && self.take_word("session");
        if session && self.take_word("characteristics") {
            self.expect_keyword("as")?;
            self.expect_keyword("transaction")?;
            let mut modes = self.transaction_modes()?;
            modes.session = true;
            return Ok(Kind::SetTransaction(modes));
        }
        if self.take_word("transaction") {
            if self.take_word("snapshot") {
                let snapshot = self.expect_text()?;
                self.expect_end()?;
                return Ok(Kind::SetTransaction(TransactionModes { snapshot: Some(snapshot), ..TransactionModes::default() }));
            }
            return Ok(Kind::SetTransaction(self.transaction_modes()?));
        }
        if self.take_word("constraints") {
            return Ok(Kind::Refused(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "SET CONSTRAINTS is not supported")));
        }
        if let Some(name) = self.identity(session) {
            let value = if self.take_word("default") { None } else { Some(self.one_value()?) };
            self.expect_end()?;
            return Ok(Kind::Set { name: name.to_owned(), value, local });
        }
        let name = if self.take_word("time") {
            self.expect_keyword("zone")?;
            return self.set_time_zone(local);
        } else if self.take_word("names") {
            "client_encoding".to_owned()
        } else if self.word_at(self.at).as_deref() == Some("schema")
            && matches!(self.token_at(self.at + 1), Some(Token::SingleQuotedString(_)))
        {
            self.at += 1;
            "search_path".to_owned()
        } else {
            let name = self.setting_name()?;
            if !(self.take_word("to") || self.take_symbol(&Token::Eq)) {
                return Err(self.syntax_error(self.at));
            }
            name
        };
        let values = self.setting_values()?;
        self.expect_end()?;
        match values.map(|values| listed(&name, values)).transpose() {
            Ok(value) => Ok(Kind::Set { name, value, local }),
            Err(refusal) => Ok(Kind::Refused(refusal)),
        }
    }

    /// The setting of `ROLE name` and `SESSION AUTHORIZATION name`, whose `SESSION` may be read already; as a setting among others it is
    /// read like these.
    fn identity(&mut self, session: bool) -> Option<&'static str> {
        if session && self.take_word("authorization") {
            return Some("session_authorization");
        }
        let two = [self.word_at(self.at), self.word_at(self.at + 1)].map(Option::unwrap_or_default);
        match [two[0].as_str(), two[1].as_str()] {
            ["session", "authorization"] => {
                self.at += 2;
                Some("session_authorization")
            }
            ["role", next] if next != "to" && self.token_at(self.at + 1) != Some(&Token::Eq) => {
                self.at += 1;
                Some("role")
            }
            _ => None,
        }
    }

    fn set_time_zone(&mut self, local: bool) -> Result<Kind, ClientMessage> {
        let value = if self.take_word("local") || self.take_word("default") {
            None
        } else if self.take_word("interval") {
            let distance = self.one_value()?;
            // A trailing field list (HOUR TO MINUTE) adds nothing to an offset.
            self.at = self.piece.tokens.len();
            // An interval counts to the east, a zone in the form of POSIX to the west.
            let west = match distance.strip_prefix('-') {
                Some(rest) => format!("+{rest}"),
                None => format!("-{}", distance.trim_start_matches('+')),
            };
            Some(format!("<{distance}>{west}"))
        } else {
            self.setting_values()?.map(|values| values.join(", "))
        };
        self.expect_end()?;
        Ok(Kind::Set { name: "timezone".to_owned(), value, local })
    }

    /// `DEFAULT`, or one or more values separated by commas.
    fn setting_values(&mut self) -> Result<Option<Vec<String>>, ClientMessage> {
        if self.take_word("default") {
            return Ok(None);
        }
        let mut values = vec![self.one_value()?];
        while self.take_symbol(&Token::Comma) {
            values.push(self.one_value()?);
        }
        Ok(Some(values))
    }

    /// A value; an unquoted word is folded to lower case.
    fn one_value(&mut self) -> Result<String, ClientMessage> {
        let word = self.word_at(self.at);
        if word.as_deref().is_some_and(|word| catalog::is_reserved(word) && !matches!(word, "true" | "false" | "on")) {
            return Err(self.syntax_error(self.at));
        }
        self.option_value().map(|value| word.unwrap_or(value)).ok_or_else(|| self.syntax_error(self.at))
    }

    fn setting_name(&mut self) -> Result<String, ClientMessage> {
        let mut name = self.expect_identifier()?;
        while self.take_symbol(&Token::Period) {
            name.push('.');
            name.push_str(&self.expect_identifier()?);
        }
        Ok(name.to_ascii_lowercase())
    }

    fn reset(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let kind = if self.take_word("all") {
            Kind::Reset(None)
        } else if self.take_word("session") || self.word_at(self.at).as_deref() == Some("role") {
            self.at += 1;
            Kind::Reset(Some("role".to_owned()))
        } else if self.take_word("time") {
            self.expect_keyword("zone")?;
            Kind::Reset(Some("timezone".to_owned()))
        } else {
            Kind::Reset(Some(self.setting_name()?))
        };
        self.expect_end()?;
        Ok(kind)
    }

    fn show(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let kind = if self.take_word("all") {
            Kind::Show(None)
        } else if self.take_word("transaction") {
            self.expect_keyword("isolation")?;
            self.expect_keyword("level")?;
            Kind::Show(Some("transaction_isolation".to_owned()))
        } else if self.take_word("time") {
            self.expect_keyword("zone")?;
            Kind::Show(Some("timezone".to_owned()))
        } else if self.take_word("session") {
            self.expect_keyword("authorization")?;
            Kind::Show(Some("session_authorization".to_owned()))
        } else {
            Kind::Show(Some(self.setting_name()?))
        };
        self.expect_end()?;
        Ok(kind)
    }

    fn transaction(&mut self, first: &str) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let kind = match first {
            "start" => {
                self.expect_keyword("transaction")?;
                return Ok(Kind::Begin(TransactionModes { start: true, ..self.transaction_modes()? }));
            }
            "begin" => {
                let _ = self.take_word("work") || self.take_word("transaction");
                return Ok(Kind::Begin(self.transaction_modes()?));
            }
            "savepoint" => Kind::Savepoint(self.expect_identifier()?),
            "release" => {
                self.take_word("savepoint");
                Kind::Release(self.expect_identifier()?)
            }
            verb => {
                if matches!(verb, "commit" | "rollback") && self.take_word("prepared") {
                    let name = self.expect_text()?;
                    self.expect_end()?;
                    return Ok(Kind::FinishPrepared { verb: if verb == "commit" { "COMMIT PREPARED" } else { "ROLLBACK PREPARED" }, name });
                }
                let _ = self.take_word("work") || self.take_word("transaction");
                if verb == "rollback" && self.take_word("to") {
                    self.take_word("savepoint");
                    let name = self.expect_identifier()?;
                    self.expect_end()?;
                    return Ok(Kind::RollbackTo(name));
                }
                let mut chain = false;
                if self.take_word("and") {
                    chain = !self.take_word("no");
                    self.expect_keyword("chain")?;
                }
                if matches!(verb, "commit" | "end") { Kind::Commit { chain } } else { Kind::Rollback { chain } }
            }
        };
        self.expect_end()?;
        Ok(kind)
    }

    fn transaction_modes(&mut self) -> Result<TransactionModes, ClientMessage> {
        let mut modes = TransactionModes::default();
        while self.at < self.piece.tokens.len() {
            if self.take_word("isolation") {
                self.expect_keyword("level")?;
                let mut level = self.expect_word()?;
                if matches!(level.as_str(), "read" | "repeatable") {
                    level = format!("{level} {}", self.expect_word()?);
                }
                if !matches!(level.as_str(), "serializable" | "repeatable read" | "read committed" | "read uncommitted") {
                    return Err(self.syntax_error(self.at.saturating_sub(1)));
                }
                modes.isolation = Some(level);
            } else if self.take_word("read") {
                let only = self.take_word("only");
                if !only {
                    self.expect_keyword("write")?;
                }
                modes.read_only = Some(only);
            } else if self.take_word("not") {
                self.expect_keyword("deferrable")?;
                modes.deferrable = Some(false);
            } else if self.take_word("deferrable") {
                modes.deferrable = Some(true);
            } else if !self.take_symbol(&Token::Comma) {
                return Err(self.syntax_error(self.at));
            }
        }
        Ok(modes)
    }

    /// One channel, or of UNLISTEN all of them.
    fn listen(&mut self, verb: &str) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let listens = verb == "listen";
        if listens || !self.take_symbol(&Token::Mul) {
            self.expect_identifier()?;
        }
        self.expect_end()?;
        Ok(if listens { Kind::Listen } else { Kind::Unlisten })
    }

    fn discard(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let what = self.expect_word()?;
        if !matches!(what.as_str(), "all" | "plans" | "sequences" | "temp" | "temporary") {
            return Err(self.syntax_error(1));
        }
        self.expect_end()?;
        Ok(Kind::Discard(what))
    }

    fn object_name(&mut self) -> Result<(), ClientMessage> {
        self.expect_identifier()?;
        while self.take_symbol(&Token::Period) {
            self.expect_identifier()?;
        }
        Ok(())
    }

    // --- single tokens ---

    fn token_at(&self, at: usize) -> Option<&Token> {
        self.piece.tokens.get(at).map(|token| &token.token)
    }

    /// The unquoted word at a place, in lower case.
    fn word_at(&self, at: usize) -> Option<String> {
        match self.token_at(at)? {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let taken = self.word_at(self.at).as_deref() == Some(word);
        if taken {
            self.at += 1;
        }
        taken
    }

    fn take_symbol(&mut self, symbol: &Token) -> bool {
        let taken = self.token_at(self.at) == Some(symbol);
        if taken {
            self.at += 1;
        }
        taken
    }

    fn expect_keyword(&mut self, word: &str) -> Result<(), ClientMessage> {
        if self.take_word(word) { Ok(()) } else { Err(self.syntax_error(self.at)) }
    }

    fn expect_symbol(&mut self, symbol: &Token) -> Result<(), ClientMessage> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.syntax_error(self.at)) }
    }

    fn expect_word(&mut self) -> Result<String, ClientMessage> {
        let word = self.word_at(self.at).ok_or_else(|| self.syntax_error(self.at))?;
        self.at += 1;
        Ok(word)
    }

    /// An identifier: folded to lower case unless quoted.
    fn expect_identifier(&mut self) -> Result<String, ClientMessage> {
        let name = match self.token_at(self.at) {
            Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_lowercase(),
            Some(Token::Word(word)) => word.value.clone(),
            _ => return Err(self.syntax_error(self.at)),
        };
        self.at += 1;
        Ok(name)
    }

    /// A text in quotes.
    fn expect_text(&mut self) -> Result<String, ClientMessage> {
        match self.token_at(self.at) {
            Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_)) => self.one_value(),
            _ => Err(self.syntax_error(self.at)),
        }
    }

    /// A word, text or (signed) number as an option's value; `None` if there is none.
    fn option_value(&mut self) -> Option<String> {
        let sign = if self.take_symbol(&Token::Minus) {
            "-"
        } else {
            self.take_symbol(&Token::Plus);
            ""
        };
        let value = match self.token_at(self.at)? {
            Token::Word(word) => word.value.clone(),
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::NationalStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            Token::Number(digits, _) => format!("{sign}{digits}"),
            _ => return None,
        };
        self.at += 1;
        Some(value)
    }

    fn expect_end(&self) -> Result<(), ClientMessage> {
        if self.at >= self.piece.tokens.len() { Ok(()) } else { Err(self.syntax_error(self.at)) }
    }

    fn syntax_error(&self, at: usize) -> ClientMessage {
        syntax_error(self.piece, self.piece.tokens.get(at))
    }

    fn positioned(&self, mut message: ClientMessage, at: usize) -> ClientMessage {
        message.position = self.piece.tokens.get(at).and_then(|token| self.piece.position(token.span.start));
        message
    }
}

/// The values of a setting as one. Names of a path are quoted where they have to be; most settings take one value.
fn listed(name: &str, values: Vec<String>) -> Result<String, ClientMessage> {
    match (name, values.as_slice()) {
        ("search_path", _) => Ok(values.iter().map(|value| catalog::quote_ident(value)).collect::<Vec<_>>().join(", ")),
        ("datestyle", _) | (_, [_]) => Ok(values.join(", ")),
        _ => Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("SET {name} takes only one argument"))),
    }
}

/// PostgreSQL's syntax error at a token, or at the end.
pub(super) fn syntax_error(piece: &Piece, token: Option<&TokenWithSpan>) -> ClientMessage {
    let mut message = match token {
        Some(token) => ClientMessage::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{}\"", token.token)),
        None => ClientMessage::new(SqlState::SYNTAX_ERROR, "syntax error at end of input"),
    };
    message.position = match token {
        Some(token) => piece.position(token.span.start),
        None => Some(piece.offset + piece.text.chars().count() + 1),
    };
    message
}
