//! Tokens of a text, split at the semicolons, within bounds.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::error::{ClientMessage, SqlState};

use super::{TextLimits, long_names, unterminated};

/// The tokens of one statement.
#[derive(Debug)]
pub(super) struct Piece {
    /// The statement's own text.
    pub(super) text: String,
    /// Its tokens without white space and comments; never empty.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Characters before it in the whole text.
    pub(super) offset: usize,
    /// Where the statement's first token lies in the whole text.
    start: Location,
}

impl Piece {
    /// The position (characters from 1, in the whole text) of a token's location.
    pub(super) fn position(&self, location: Location) -> Option<usize> {
        Some(self.offset + self.local_offset(location)? + 1)
    }

    /// The text between two tokens' starts (`to` is exclusive; `None` is the end).
    pub(super) fn text_from(&self, from: usize, to: Option<usize>) -> &str {
        let start = self.tokens.get(from).and_then(|token| self.byte_offset(token.span.start)).unwrap_or(self.text.len());
        let end = to.and_then(|to| self.tokens.get(to)).and_then(|token| self.byte_offset(token.span.start)).unwrap_or(self.text.len());
        self.text.get(start..end.max(start)).unwrap_or_default().trim_end()
    }

    fn local_offset(&self, location: Location) -> Option<usize> {
        let byte = self.byte_offset(location)?;
        Some(self.text.get(..byte)?.chars().count())
    }

    fn byte_offset(&self, location: Location) -> Option<usize> {
        let (line, column) = if location.line == self.start.line {
            (1, location.column.checked_sub(self.start.column)? + 1)
        } else {
            (location.line.checked_sub(self.start.line)? + 1, location.column)
        };
        byte_offset(&self.text, line, column)
    }
}

/// Splits a text at its semicolons. Empty statements are left out.
pub(super) fn split(text: &str, limits: &TextLimits) -> Result<Vec<Piece>, ClientMessage> {
    if text.len() > limits.bytes_max {
        return Err(ClientMessage::new(SqlState::PROGRAM_LIMIT_EXCEEDED, format!("statement is longer than {} bytes", limits.bytes_max)));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(|error| {
        if let Some(fault) = unterminated::fault(text) {
            return fault;
        }
        let position = byte_offset(text, error.location.line, error.location.column)
            .and_then(|byte| text.get(..byte))
            .map(|before| before.chars().count() + 1);
        let mut message = ClientMessage::new(SqlState::SYNTAX_ERROR, "syntax error");
        message.position = position;
        message
    })?;
    let mut pieces = Vec::new();
    let mut current: Vec<TokenWithSpan> = Vec::new();
    let mut lines = LineIndex::new(text);
    for token in tokens {
        match token.token {
            Token::Whitespace(_) | Token::EOF => {}
            Token::SemiColon => finish(text, &mut lines, std::mem::take(&mut current), Some(token.span.start), limits, &mut pieces)?,
            _ => {
                if let Some(refusal) = current.last().and_then(|last| junk(last, &token, text)) {
                    return Err(refusal);
                }
                current.push(token);
            }
        }
    }
    finish(text, &mut lines, current, None, limits, &mut pieces)?;
    Ok(pieces)
}

/// A number with letters right behind it, which the parser takes for a number and its alias.
fn junk(last: &TokenWithSpan, token: &TokenWithSpan, text: &str) -> Option<ClientMessage> {
    let (Token::Number(digits, _), Token::Word(word)) = (&last.token, &token.token) else { return None };
    if word.quote_style.is_some() || last.span.end != token.span.start {
        return None;
    }
    let near = format!("{digits}{}", word.value);
    let mut message = ClientMessage::new(SqlState::SYNTAX_ERROR, format!("trailing junk after numeric literal at or near \"{near}\""));
    let start = byte_offset(text, last.span.start.line, last.span.start.column);
    message.position = start.and_then(|byte| text.get(..byte)).map(|before| before.chars().count() + 1);
    Some(message)
}

/// Byte offsets of the lines, and how far the text was gone through, so that locations in order are found without scanning from the start.
struct LineIndex<'a> {
    text: &'a str,
    starts: Vec<usize>,
    /// The location that was asked for last, and its byte.
    last: (Location, usize),
    /// Bytes of which the characters were counted, and how many these are.
    counted: (usize, usize),
}

impl<'a> LineIndex<'a> {
    fn new(text: &'a str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, starts, last: (Location::new(1, 1), 0), counted: (0, 0) }
    }

    fn byte(&mut self, location: Location) -> usize {
        let line = usize::try_from(location.line).unwrap_or(usize::MAX).saturating_sub(1);
        let (last, byte) = self.last;
        let (start, column) = if last.line == location.line && last.column <= location.column {
            (byte, location.column - last.column + 1)
        } else {
            (self.starts.get(line).copied().unwrap_or(self.text.len()), location.column)
        };
        let rest = self.text.get(start..).unwrap_or_default();
        let byte = start + column_byte(rest, column);
        self.last = (location, byte);
        byte
    }

    /// Characters before a byte.
    fn characters(&mut self, byte: usize) -> usize {
        let (from, before) = if self.counted.0 <= byte { self.counted } else { (0, 0) };
        let characters = before + self.text.get(from..byte).map_or(0, |text| text.chars().count());
        self.counted = (byte, characters);
        characters
    }
}

fn finish(
    text: &str,
    lines: &mut LineIndex<'_>,
    tokens: Vec<TokenWithSpan>,
    end: Option<Location>,
    limits: &TextLimits,
    pieces: &mut Vec<Piece>,
) -> Result<(), ClientMessage> {
    let mut tokens = tokens;
    long_names::cut(&mut tokens);
    let Some(first) = tokens.first() else { return Ok(()) };
    let start = first.span.start;
    let byte = lines.byte(start);
    let end = end.map_or(text.len(), |end| lines.byte(end));
    let own = text.get(byte..end).unwrap_or_default().trim_end().to_owned();
    check(&tokens, limits)?;
    let offset = lines.characters(byte);
    pieces.push(Piece { text: own, tokens, offset, start });
    Ok(())
}

/// INVARIANT: whatever passes here is parsed, planned and dropped within the stack of a worker thread.
fn check(tokens: &[TokenWithSpan], limits: &TextLimits) -> Result<(), ClientMessage> {
    let too_complex = |what: String| {
        ClientMessage::new(SqlState::STATEMENT_TOO_COMPLEX, "statement is too complex")
            .with_detail(what)
            .with_hint("Split the statement, or pass long lists of values with IN (…), = ANY (…) or VALUES.")
    };
    if tokens.len() > limits.tokens_max {
        return Err(too_complex(format!("It has more than {} tokens.", limits.tokens_max)));
    }
    let operators = tokens.iter().filter(|token| is_operator(&token.token)).count();
    if operators > limits.operators_max {
        return Err(too_complex(format!("It has more than {} operators.", limits.operators_max)));
    }
    let computations = tokens.iter().filter(|token| is_computation(&token.token)).count();
    if computations > limits.computations_max {
        return Err(too_complex(format!("It has more than {} arithmetic operators and concatenations.", limits.computations_max)));
    }
    let mut depth = 0usize;
    for token in tokens {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limits.depth_max {
            return Err(too_complex(format!("It nests deeper than {} levels.", limits.depth_max)));
        }
    }
    Ok(())
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT
                | Keyword::IS
                | Keyword::JOIN
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::BETWEEN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::COLLATE
                | Keyword::SELECT
        ),
        Token::Comma
        | Token::Period
        | Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::Placeholder(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::Char(_)
        | Token::Whitespace(_)
        | Token::EOF
        | Token::SemiColon => false,
        _ => true,
    }
}

fn is_computation(token: &Token) -> bool {
    matches!(token, Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod | Token::Caret | Token::StringConcat)
}

/// The byte of a line and column (both from 1; columns count characters).
fn byte_offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let start = if line == 0 { 0 } else { text.match_indices('\n').nth(line - 1)?.0 + 1 };
    Some(start + column_byte(text.get(start..)?, column))
}

fn column_byte(line: &str, column: u64) -> usize {
    let column = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
    line.char_indices().nth(column).map_or(line.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_right_behind_a_number_are_junk() {
        let refused = |text: &str| split(text, &TextLimits::default()).map(|_| ()).map_err(|refusal| (refusal.message, refusal.position));
        let junk = |near: &str| format!("trailing junk after numeric literal at or near \"{near}\"");
        assert_eq!(refused("select é, 123abc"), Err((junk("123abc"), Some(11))));
        assert_eq!(refused("select 1.5x"), Err((junk("1.5x"), Some(8))));
        assert_eq!(refused("select 1 a, 2\"b\", 3e5"), Ok(()));
    }

    #[test]
    fn statements_are_found_where_they_stand_however_many_there_are() {
        let mut text = String::new();
        for number in 0..2_000 {
            let gap = ["", " ", "\n", "é", "/* ü\n; */", "\n\n  "][number % 6].replace('é', "/*é*/");
            text.push_str(&format!("{gap};{gap}select 'ß{number}'{gap};;"));
        }
        let pieces = split(&text, &TextLimits::default()).unwrap();
        assert_eq!(pieces.len(), 2_000);
        for (number, piece) in pieces.iter().enumerate() {
            assert!(piece.text.starts_with(&format!("select 'ß{number}'")), "{}", piece.text);
            let byte = text.find(&format!("select 'ß{number}'")).unwrap();
            assert_eq!(piece.offset, text[..byte].chars().count());
            assert_eq!(piece.position(piece.tokens[0].span.start), Some(piece.offset + 1));
        }
        assert!(split(&";".repeat(100_000), &TextLimits::default()).unwrap().is_empty());
    }
}
