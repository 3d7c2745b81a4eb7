//! COPY: what is copied, and its options in both of their forms.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::engine::ClientEncoding;
use crate::engine::reply::CopyFormat;
use crate::engine::sql::{CopyOptions, ForceQuote, Kind, query};
use crate::error::{ClientMessage, SqlState};

use super::{Cursor, READ_ONLY};

impl Cursor<'_> {
    /// `COPY { name [(columns)] | (query) } TO STDOUT [options]`.
    pub(super) fn copy(&mut self) -> Result<Kind, ClientMessage> {
        self.at = 1;
        // The form before PostgreSQL 7.3: `COPY BINARY name …`.
        let binary = self.word_at(2).is_some_and(|word| word != "from" && word != "to") && self.take_word("binary");
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
                self.once_each(start)?;
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
        // PostgreSQL's grammar tells the two apart by their direction alone.
        if !self.take_word("stdout") && !self.take_word("stdin") {
            return Ok(Kind::Refused(
                ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "COPY to a file or a program of the server is not supported")
                    .with_hint("Use COPY … TO STDOUT, or psql's \\copy."),
            ));
        }
        let options = self.copy_options(binary)?;
        self.expect_end()?;
        Ok(query.map_or_else(Kind::Refused, |query| Kind::Copy { query, options }))
    }

    /// Refuses a list of columns, from a token to the cursor, that names one twice.
    fn once_each(&self, from: usize) -> Result<(), ClientMessage> {
        let mut names = Vec::new();
        for at in from..self.at {
            let Some(Token::Word(word)) = self.token_at(at) else { continue };
            let name = if word.quote_style.is_none() { word.value.to_lowercase() } else { word.value.clone() };
            if names.contains(&name) {
                let text = format!("column \"{name}\" specified more than once");
                return Err(ClientMessage::new(SqlState::DUPLICATE_COLUMN, text));
            }
            names.push(name);
        }
        Ok(())
    }

    fn copy_options(&mut self, binary: bool) -> Result<CopyOptions, ClientMessage> {
        let mut draft = CopyDraft::default();
        if binary {
            draft.set("format", Some("binary"))?;
        }
        if self.take_word("using") {
            self.expect_keyword("delimiters")?;
            draft.delimiter = Some(self.one_value()?);
        }
        self.take_word("with");
        if self.take_symbol(&Token::LParen) {
            loop {
                let at = self.at;
                let option = self.expect_word()?;
                let forced = [("force_not_null", "force not null"), ("force_null", "force null")];
                if option == "force_quote" {
                    draft.once(&option).map_err(|message| self.positioned(message, at))?;
                    draft.force_quote = self.force_quote()?;
                } else if let Some((_, shown)) = forced.iter().find(|(name, _)| *name == option) {
                    draft.forced = Some(*shown);
                    self.force_quote()?;
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
                "delimiter" | "null" | "quote" | "escape" | "encoding" => {
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
    /// Options that have been given.
    given: Vec<String>,
    format: Option<String>,
    delimiter: Option<String>,
    null: Option<String>,
    header: bool,
    quote: Option<String>,
    escape: Option<String>,
    encoding: Option<ClientEncoding>,
    force_quote: ForceQuote,
    /// An option of COPY FROM that columns are named in.
    forced: Option<&'static str>,
}

impl CopyDraft {
    /// An option is given for the first time.
    fn once(&mut self, option: &str) -> Result<(), ClientMessage> {
        if self.given.iter().any(|given| given == option) {
            return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options"));
        }
        self.given.push(option.to_owned());
        Ok(())
    }

    fn set(&mut self, option: &str, value: Option<&str>) -> Result<(), ClientMessage> {
        self.once(option)?;
        let text = value.map(str::to_owned);
        match option {
            "format" => match value.map(str::to_ascii_lowercase).as_deref() {
                Some(format @ ("text" | "csv" | "binary")) => self.format = Some(format.to_owned()),
                other => {
                    let text = format!("COPY format \"{}\" not recognized", other.unwrap_or_default());
                    return Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, text));
                }
            },
            "header" if value.is_some_and(|value| value.eq_ignore_ascii_case("match")) => {
                return Err(refused("cannot use \"match\" with HEADER in COPY TO"));
            }
            "header" => self.header = headed(value)?,
            "null" => self.null = text,
            "delimiter" => self.delimiter = text,
            "quote" => self.quote = text,
            "escape" => self.escape = text,
            "encoding" => {
                let Some((encoding, _)) = ClientEncoding::named(value.unwrap_or_default())? else {
                    let text = "argument to option \"encoding\" must be a valid encoding name";
                    return Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, text));
                };
                self.encoding = Some(encoding);
            }
            // It is about how rows are stored.
            "freeze" => {}
            other => return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, format!("option \"{other}\" not recognized"))),
        }
        Ok(())
    }

    /// The options together, checked in PostgreSQL's order.
    fn finish(self) -> Result<CopyOptions, ClientMessage> {
        let format = self.format.as_deref().unwrap_or("text");
        if format == "binary" {
            for (option, given) in [("DELIMITER", self.delimiter.is_some()), ("NULL", self.null.is_some())] {
                if given {
                    return Err(ClientMessage::new(SqlState::SYNTAX_ERROR, format!("cannot specify {option} in BINARY mode")));
                }
            }
        }
        let csv = format == "csv";
        let delimiter = one_byte("delimiter", self.delimiter.as_deref(), if csv { b',' } else { b'\t' })?;
        let null = self.null.clone().unwrap_or_else(|| if csv { String::new() } else { "\\N".to_owned() });
        check_separators(delimiter, &null, csv)?;
        if format == "binary" && self.header {
            return Err(refused("cannot specify HEADER in BINARY mode"));
        }
        for (option, given) in [
            ("quote", self.quote.is_some()),
            ("escape", self.escape.is_some()),
            ("force quote", self.force_quote != ForceQuote::None),
            (self.forced.unwrap_or_default(), self.forced.is_some()),
        ] {
            if given && !csv {
                return Err(refused(&format!("COPY {option} available only in CSV mode")));
            }
        }
        if let Some(option) = self.forced {
            return Err(refused(&format!("COPY {option} only available using COPY FROM")));
        }
        let format = match format {
            "csv" => self.csv(delimiter, null)?,
            "binary" => CopyFormat::Binary,
            _ if null.as_bytes().contains(&delimiter) => return Err(refused("COPY delimiter must not appear in the NULL specification")),
            _ => CopyFormat::Text { delimiter, null, header: self.header },
        };
        Ok(CopyOptions { format, force_quote: self.force_quote, encoding: self.encoding })
    }

    fn csv(&self, delimiter: u8, null: String) -> Result<CopyFormat, ClientMessage> {
        let quote = one_byte("quote", self.quote.as_deref(), b'"')?;
        if quote == delimiter {
            return Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "COPY delimiter and quote must be different"));
        }
        let escape = one_byte("escape", self.escape.as_deref(), quote)?;
        if null.as_bytes().contains(&delimiter) {
            return Err(refused("COPY delimiter must not appear in the NULL specification"));
        }
        if null.as_bytes().contains(&quote) {
            return Err(refused("CSV quote character must not appear in the NULL specification"));
        }
        Ok(CopyFormat::Csv { delimiter, null, header: self.header, quote, escape, force_quote: Vec::new() })
    }
}

fn refused(text: &str) -> ClientMessage {
    ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text)
}

fn one_byte(name: &str, given: Option<&str>, otherwise: u8) -> Result<u8, ClientMessage> {
    match given.map(str::as_bytes) {
        None => Ok(otherwise),
        Some([byte]) => Ok(*byte),
        Some(_) => Err(refused(&format!("COPY {name} must be a single one-byte character"))),
    }
}

/// What would make lines that cannot be read back.
fn check_separators(delimiter: u8, null: &str, csv: bool) -> Result<(), ClientMessage> {
    let invalid = |text: String| Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, text));
    if matches!(delimiter, b'\n' | b'\r') {
        return invalid("COPY delimiter cannot be newline or carriage return".to_owned());
    }
    if null.contains(['\n', '\r']) {
        return invalid("COPY null representation cannot use newline or carriage return".to_owned());
    }
    if !csv && (matches!(delimiter, b'\\' | b'.') || delimiter.is_ascii_lowercase() || delimiter.is_ascii_digit()) {
        return invalid(format!("COPY delimiter cannot be \"{}\"", char::from(delimiter)));
    }
    Ok(())
}

/// Whether there is a line of names.
fn headed(value: Option<&str>) -> Result<bool, ClientMessage> {
    match value.map(str::to_ascii_lowercase).as_deref() {
        None | Some("on" | "true" | "1") => Ok(true),
        Some("off" | "false" | "0") => Ok(false),
        Some(_) => Err(ClientMessage::new(SqlState::SYNTAX_ERROR, "header requires a Boolean value or \"match\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(given: &[(&str, &str)]) -> Result<CopyOptions, ClientMessage> {
        let mut draft = CopyDraft::default();
        given.iter().try_for_each(|&(option, value)| draft.set(option, Some(value)))?;
        draft.finish()
    }

    /// As PostgreSQL 15 words them.
    #[test]
    fn options_that_do_not_fit_are_refused() {
        for (given, sqlstate, message) in [
            (&[("delimiter", "a")][..], "22023", "COPY delimiter cannot be \"a\""),
            (&[("delimiter", "\n")], "22023", "COPY delimiter cannot be newline or carriage return"),
            (&[("delimiter", "ab")], "0A000", "COPY delimiter must be a single one-byte character"),
            (&[("format", "csv"), ("delimiter", "\"")], "22023", "COPY delimiter and quote must be different"),
            (&[("format", "csv"), ("null", "a\nb")], "22023", "COPY null representation cannot use newline or carriage return"),
            (&[("format", "csv"), ("null", "a,b")], "0A000", "COPY delimiter must not appear in the NULL specification"),
            (&[("format", "binary"), ("null", "x")], "42601", "cannot specify NULL in BINARY mode"),
            (&[("format", "binary"), ("header", "on")], "0A000", "cannot specify HEADER in BINARY mode"),
            (&[("quote", "x")], "0A000", "COPY quote available only in CSV mode"),
            (&[("header", "match")], "0A000", "cannot use \"match\" with HEADER in COPY TO"),
            (&[("header", "on"), ("header", "off")], "42601", "conflicting or redundant options"),
            (&[("format", "xml")], "22023", "COPY format \"xml\" not recognized"),
        ] {
            let error = options(given).unwrap_err();
            assert_eq!((error.sqlstate.as_str(), error.message.as_str()), (sqlstate, message));
        }
        assert!(options(&[("format", "csv"), ("delimiter", "a"), ("header", "on"), ("freeze", "on")]).is_ok());
    }
}
