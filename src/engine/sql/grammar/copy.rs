//! COPY: what is copied, and its options in both of their forms.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::engine::reply::CopyFormat;
use crate::engine::sql::{CopyOptions, ForceQuote, Kind, query};
use crate::error::{ClientMessage, SqlState};

use super::{Cursor, READ_ONLY, is_true};

impl Cursor<'_> {
    /// `COPY { name [(columns)] | (query) } TO STDOUT [options]`.
    pub(super) fn copy(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        let query = if self.take_symbol(&Token::LParen) {
            let from = self.at;
            let mut depth = 1usize;
            while depth > 0 {
                match self.token_at(self.at) {
                    Some(Token::LParen) => depth += 1,
                    Some(Token::RParen) => depth -= 1,
                    Some(_) => {}
                    None => return Err(self.syntax_error(self.at)),
                }
                self.at += 1;
            }
            let first = self.word_at(from).unwrap_or_default();
            if matches!(first.as_str(), "insert" | "update" | "delete" | "merge") {
                let inner = Cursor { piece: self.piece, limits: self.limits, at: from };
                return inner.refused(&first);
            }
            self.query_between(from, self.at - 1)?
        } else {
            let from = self.at;
            self.object_name()?;
            let to = self.at;
            let name = self.piece.text_from(from, Some(to)).to_owned();
            let columns = if self.take_symbol(&Token::LParen) {
                let start = self.at;
                while !matches!(self.token_at(self.at), Some(Token::RParen) | None) {
                    self.at += 1;
                }
                let columns = self.piece.text_from(start, Some(self.at)).to_owned();
                self.expect_symbol(&Token::RParen)?;
                columns
            } else {
                "*".to_owned()
            };
            query::parse_text(&format!("SELECT {columns} FROM {name}"), self.limits)?
        };
        if self.take_word("from") {
            return Ok(Kind::Refused(
                ClientMessage::new(SqlState::READ_ONLY_SQL_TRANSACTION, "cannot execute COPY FROM in a read-only transaction")
                    .with_hint(READ_ONLY),
            ));
        }
        self.expect_keyword("to")?;
        if !self.take_word("stdout") {
            return Ok(Kind::Refused(
                ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY to a file or a program of the server is not supported")
                    .with_hint("Use COPY … TO STDOUT, or psql's \\copy."),
            ));
        }
        let options = self.copy_options()?;
        self.expect_end()?;
        Ok(query.map_or_else(Kind::Refused, |query| Kind::Copy { query, options }))
    }

    fn copy_options(&mut self) -> Result<CopyOptions, ClientMessage> {
        let mut draft = CopyDraft::default();
        self.take_word("with");
        if self.take_symbol(&Token::LParen) {
            loop {
                let at = self.at;
                let option = self.expect_word()?;
                if option == "force_quote" {
                    draft.force_quote = self.force_quote()?;
                } else {
                    let value = self.option_value();
                    draft.set(&option, value.as_deref()).map_err(|message| self.positioned(message, at))?;
                }
                if self.take_symbol(&Token::RParen) {
                    break;
                }
                self.expect_symbol(&Token::Comma)?;
            }
        } else {
            self.old_copy_options(&mut draft)?;
        }
        draft.finish()
    }

    /// The form before PostgreSQL 9.0: `CSV HEADER DELIMITER AS ';'`.
    fn old_copy_options(&mut self, draft: &mut CopyDraft) -> Result<(), ClientMessage> {
        while let Some(option) = self.word_at(self.at) {
            let at = self.at;
            self.at += 1;
            match option.as_str() {
                "binary" | "csv" | "text" => draft.set("format", Some(&option)),
                "header" => draft.set("header", None),
                "delimiter" | "null" | "quote" | "escape" => {
                    self.take_word("as");
                    let value = self.option_value();
                    draft.set(&option, value.as_deref())
                }
                "force" => {
                    self.expect_keyword("quote")?;
                    draft.force_quote = self.force_quote()?;
                    Ok(())
                }
                _ => return Err(self.syntax_error(at)),
            }
            .map_err(|message| self.positioned(message, at))?;
        }
        Ok(())
    }

    fn force_quote(&mut self) -> Result<ForceQuote, ClientMessage> {
        if self.take_symbol(&Token::Mul) {
            return Ok(ForceQuote::All);
        }
        let parenthesised = self.take_symbol(&Token::LParen);
        let mut columns = vec![self.expect_identifier()?];
        while self.take_symbol(&Token::Comma) {
            columns.push(self.expect_identifier()?);
        }
        if parenthesised {
            self.expect_symbol(&Token::RParen)?;
        }
        Ok(ForceQuote::Columns(columns))
    }
}

/// COPY options while they are read.
#[derive(Default)]
struct CopyDraft {
    format: Option<String>,
    delimiter: Option<u8>,
    null: Option<String>,
    header: bool,
    quote: Option<u8>,
    escape: Option<u8>,
    force_quote: ForceQuote,
}

impl CopyDraft {
    fn set(&mut self, option: &str, value: Option<&str>) -> Result<(), ClientMessage> {
        let one_byte = |name: &str| match value.map(str::as_bytes) {
            Some([byte]) => Ok(Some(*byte)),
            _ => Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("COPY {name} must be a single one-byte character"))),
        };
        match option {
            "format" => self.format = value.map(str::to_ascii_lowercase),
            "header" => self.header = value.is_none_or(is_true),
            "null" => self.null = value.map(str::to_owned),
            "delimiter" => self.delimiter = one_byte("delimiter")?,
            "quote" => self.quote = one_byte("quote")?,
            "escape" => self.escape = one_byte("escape")?,
            "encoding" => {
                if !value.is_some_and(|name| matches!(name.to_ascii_lowercase().replace('-', "").as_str(), "utf8" | "unicode")) {
                    return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY encodings other than UTF8 are not supported"));
                }
            }
            "freeze" | "force_not_null" | "force_null" => {
                return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, format!("COPY {option} cannot be used with COPY TO")));
            }
            other => return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, format!("option \"{other}\" not recognized"))),
        }
        Ok(())
    }

    fn finish(self) -> Result<CopyOptions, ClientMessage> {
        let refuse = |text: &str| Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text));
        let csv_only = self.quote.is_some() || self.escape.is_some() || self.force_quote != ForceQuote::None;
        let format = match self.format.as_deref() {
            None | Some("text") => {
                if csv_only {
                    return refuse("COPY quote, escape and force quote are available only in CSV mode");
                }
                CopyFormat::Text {
                    delimiter: self.delimiter.unwrap_or(b'\t'),
                    null: self.null.unwrap_or_else(|| "\\N".to_owned()),
                    header: self.header,
                }
            }
            Some("csv") => {
                let quote = self.quote.unwrap_or(b'"');
                let delimiter = self.delimiter.unwrap_or(b',');
                if quote == delimiter {
                    return refuse("COPY delimiter and quote must be different");
                }
                CopyFormat::Csv {
                    delimiter,
                    null: self.null.unwrap_or_default(),
                    header: self.header,
                    quote,
                    escape: self.escape.unwrap_or(quote),
                    force_quote: Vec::new(),
                }
            }
            Some("binary") => {
                if csv_only || self.delimiter.is_some() || self.null.is_some() || self.header {
                    return Err(ClientMessage::new(
                        SqlState::SYNTAX_ERROR,
                        "cannot specify DELIMITER, NULL, HEADER or QUOTE in BINARY mode",
                    ));
                }
                CopyFormat::Binary
            }
            Some(other) => {
                return Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("COPY format \"{other}\" not recognized")));
            }
        };
        Ok(CopyOptions { format, force_quote: self.force_quote })
    }
}
