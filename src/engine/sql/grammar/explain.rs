//! EXPLAIN and its options.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::engine::sql::{ExplainFormat, ExplainOptions, Kind, Query};
use crate::error::{ClientMessage, SqlState};

use super::Cursor;

/// Options that ask for what is not told here, or is told anyway.
const WITHOUT_EFFECT: [&str; 3] = ["verbose", "settings", "buffers"];

impl Cursor<'_> {
    pub(super) fn explain(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        if self.take_word("policy") {
            return self.explain_policy();
        }
        let options = self.explain_options()?;
        if self.take_word("execute") {
            let prepared = self.executed()?;
            return Ok(prepared.map_or_else(Kind::Refused, |(name, arguments)| Kind::ExplainExecute { options, name, arguments }));
        }
        Ok(self.explained()?.map_or_else(Kind::Refused, |query| Kind::Explain { options, query }))
    }

    /// The rest of EXPLAIN POLICY [AS login] query.
    fn explain_policy(&mut self) -> Result<Kind, ClientMessage> {
        let user = if self.take_word("as") { Some(self.expect_login()?) } else { None };
        Ok(self.explained()?.map_or_else(Kind::Refused, |query| Kind::ExplainPolicy { user, query }))
    }

    /// `DECLARE name … CURSOR … FOR` in front of the query that is to be explained.
    fn pass_declaration(&mut self) {
        if self.word_at(self.at).as_deref() != Some("declare") {
            return;
        }
        let words = (self.at..self.piece.tokens.len()).map(|at| self.word_at(at));
        if let Some(place) = words.take(10).position(|word| word.as_deref() == Some("for")) {
            self.at += place + 1;
        }
    }

    /// The query that is to be explained; the inner error is a refusal by class.
    fn explained(&mut self) -> Result<Result<Query, ClientMessage>, ClientMessage> {
        self.pass_declaration();
        if let Some(first) = self.word_at(self.at)
            && !matches!(first.as_str(), "select" | "with" | "values" | "table")
        {
            let inner = Cursor { piece: self.piece, limits: self.limits, at: self.at };
            return match inner.refused(&first) {
                Ok(Kind::Refused(refusal)) => Ok(Err(refusal)),
                Err(_) if first == "execute" || first == "declare" => Ok(Err(ClientMessage::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("EXPLAIN {} is not supported", first.to_uppercase()),
                ))),
                Ok(_) | Err(_) => Err(self.syntax_error(self.at)),
            };
        }
        self.query_from(self.at)
    }

    /// The name of a login: an identifier or a text.
    fn expect_login(&mut self) -> Result<String, ClientMessage> {
        if let Some(Token::SingleQuotedString(name)) = self.token_at(self.at) {
            let name = name.clone();
            self.at += 1;
            return Ok(name);
        }
        self.expect_identifier()
    }

    fn explain_options(&mut self) -> Result<ExplainOptions, ClientMessage> {
        let mut options = ExplainOptions::default();
        let (mut summary, mut wants_run) = (None, None);
        // A parenthesis may also begin the query itself.
        let begins_query = matches!(self.word_at(self.at + 1).as_deref(), Some("select" | "with" | "values" | "table") | None);
        if begins_query || !self.take_symbol(&Token::LParen) {
            loop {
                match self.word_at(self.at).as_deref() {
                    Some("analyze" | "analyse") => options.analyze = true,
                    Some("verbose") => {}
                    _ => return Ok(ExplainOptions { summary: options.analyze, ..options }),
                }
                self.at += 1;
            }
        }
        loop {
            let at = self.at;
            let option = self.expect_word()?;
            let value = self.option_value().map(|value| value.to_ascii_lowercase());
            match (option.as_str(), value.as_deref()) {
                ("analyze" | "analyse", value) => options.analyze = truth(&option, value)?,
                ("costs", value) => options.costless = !truth(&option, value)?,
                ("summary", value) => summary = Some(truth(&option, value)?),
                ("wal" | "timing", value) if truth(&option, value)? => wants_run = Some(option.to_uppercase()),
                ("wal" | "timing", _) => {}
                ("format", Some("text")) => options.format = ExplainFormat::Text,
                ("format", Some("json")) => options.format = ExplainFormat::Json,
                ("format", Some("yaml")) => options.format = ExplainFormat::Yaml,
                ("format", Some("xml")) => options.format = ExplainFormat::Xml,
                ("format", value) => {
                    let message = format!("unrecognized value for EXPLAIN option \"format\": \"{}\"", value.unwrap_or_default());
                    return Err(self.positioned(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, message), at));
                }
                (other, value) if WITHOUT_EFFECT.contains(&other) => {
                    truth(other, value)?;
                }
                (other, _) => {
                    let message = format!("unrecognized EXPLAIN option \"{other}\"");
                    return Err(self.positioned(ClientMessage::new(SqlState::SYNTAX_ERROR, message), at));
                }
            }
            if self.take_symbol(&Token::RParen) {
                break;
            }
            self.expect_symbol(&Token::Comma)?;
        }
        if let Some(option) = wants_run.filter(|_| !options.analyze) {
            let message = format!("EXPLAIN option {option} requires ANALYZE");
            return Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
        Ok(ExplainOptions { summary: summary.unwrap_or(options.analyze), ..options })
    }
}

/// The value of an option that is on or off.
fn truth(option: &str, value: Option<&str>) -> Result<bool, ClientMessage> {
    match value {
        None | Some("on" | "true" | "1") => Ok(true),
        Some("off" | "false" | "0") => Ok(false),
        Some(_) => Err(ClientMessage::new(SqlState::SYNTAX_ERROR, format!("{option} requires a Boolean value"))),
    }
}
