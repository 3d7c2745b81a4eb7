//! Row filters as text: reads the `expression` of a rule's answer into a [`Predicate`] over the product's columns.
//!
//! INVARIANT: what it does not know (a column, an operator, a literal of another type than the column's) is an error, and so a deny.
//! The language: `= <> != < <= > >=`, `~`, `[NOT] IN (…)`, `[NOT] LIKE`, `[NOT] BETWEEN … AND …`, `IS [NOT] NULL`, `NOT`, `AND`, `OR`,
//! `TRUE`, `FALSE`, parentheses; a column stands left of its operator, literals stand right.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use crate::product::{DataType, FieldName};

use super::{CompareOp, Literal, Predicate};

const BYTES_MAX: usize = 16_384;
const DEPTH_MAX: usize = 32;
const LIST_MAX: usize = 1_000;

/// Why an expression cannot be enforced. For the governance team; never shown to a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row filter, character {position}: {message}")]
pub(super) struct ExpressionError {
    position: usize,
    message: String,
}

/// A column that an expression may name.
#[derive(Debug, Clone)]
pub(super) struct ExpressionColumn<'a> {
    /// Its name.
    pub(super) name: &'a FieldName,
    /// Its type, if the contract tells.
    pub(super) data_type: Option<&'a DataType>,
}

/// Reads an expression.
pub(super) fn parse(text: &str, columns: &[ExpressionColumn<'_>]) -> Result<Predicate, ExpressionError> {
    if text.len() > BYTES_MAX {
        return Err(ExpressionError { position: 1, message: format!("longer than {BYTES_MAX} bytes") });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, columns };
    let predicate = parser.any(0)?;
    match parser.peek() {
        Token::End => Ok(predicate),
        _ => Err(parser.error("an operator or the end is expected")),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Quoted(String),
    Text(String),
    Number(String),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 11] = ["<>", "!=", "<=", ">=", "=", "<", ">", "~", "(", ")", ","];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let position = text.len().saturating_sub(rest.len()).saturating_add(1);
        let error = |message: &str| ExpressionError { position, message: message.to_owned() };
        let Some(first) = rest.chars().next() else {
            tokens.push((position, Token::End));
            return Ok(tokens);
        };
        let (token, after) = if first == '\'' || first == '"' {
            let (content, after) = quoted(rest, first).ok_or_else(|| error("the quote is not closed"))?;
            (if first == '"' { Token::Quoted(content) } else { Token::Text(content) }, after)
        } else if first.is_ascii_digit() || first == '-' || first == '.' {
            let end = rest.char_indices().skip(1).find(|(_, c)| !(c.is_ascii_digit() || *c == '.')).map_or(rest.len(), |(at, _)| at);
            let (number, after) = rest.split_at(end);
            (Token::Number(number.to_owned()), after)
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            (Token::Word(word.to_owned()), after)
        } else {
            let sign =
                SIGNS.into_iter().find(|sign| rest.starts_with(sign)).ok_or_else(|| error("a character that has no meaning here"))?;
            (Token::Sign(sign), rest.strip_prefix(sign).unwrap_or_default())
        };
        tokens.push((position, token));
        rest = after;
    }
}

/// The content of a quoted text with doubled quotes undone, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut rest = text.strip_prefix(quote)?;
    loop {
        let (before, after) = rest.split_once(quote)?;
        content.push_str(before);
        match after.strip_prefix(quote) {
            Some(doubled) => {
                content.push(quote);
                rest = doubled;
            }
            None => return Some((content, after)),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    columns: &'a [ExpressionColumn<'a>],
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next = self.next.saturating_add(1);
        token
    }

    fn error(&self, message: &str) -> ExpressionError {
        let position = self.tokens.get(self.next).or(self.tokens.last()).map_or(1, |(position, _)| *position);
        ExpressionError { position, message: message.to_owned() }
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word));
        if found {
            self.next = self.next.saturating_add(1);
        }
        found
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        if found {
            self.next = self.next.saturating_add(1);
        }
        found
    }

    fn any(&mut self, depth: usize) -> Result<Predicate, ExpressionError> {
        let mut parts = vec![self.all(depth)?];
        while self.word("or") {
            parts.push(self.all(depth)?);
        }
        Ok(single_or(parts, Predicate::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Predicate, ExpressionError> {
        let mut parts = vec![self.one(depth)?];
        while self.word("and") {
            parts.push(self.one(depth)?);
        }
        Ok(single_or(parts, Predicate::And))
    }

    fn one(&mut self, depth: usize) -> Result<Predicate, ExpressionError> {
        if depth > DEPTH_MAX {
            return Err(self.error("nested too deeply"));
        }
        let deeper = depth.saturating_add(1);
        if self.word("not") {
            return Ok(Predicate::Not(Box::new(self.one(deeper)?)));
        }
        if self.sign("(") {
            let inner = self.any(deeper)?;
            return if self.sign(")") { Ok(inner) } else { Err(self.error("\")\" is expected")) };
        }
        if self.word("true") {
            return Ok(Predicate::True);
        }
        if self.word("false") {
            return Ok(Predicate::False);
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Predicate, ExpressionError> {
        let (column, data_type) = self.column()?;
        if self.word("is") {
            let negated = self.word("not");
            if !self.word("null") {
                return Err(self.error("NULL is expected"));
            }
            return Ok(negate(Predicate::IsNull(column), negated));
        }
        let negated = self.word("not");
        if self.word("in") {
            return Ok(negate(self.list(column, data_type.as_ref())?, negated));
        }
        if self.word("like") {
            let pattern = self.text(data_type.as_ref())?;
            return Ok(negate(Predicate::Like { column, pattern }, negated));
        }
        if self.word("between") {
            let low = self.literal(data_type.as_ref())?;
            if !self.word("and") {
                return Err(self.error("AND is expected"));
            }
            let high = self.literal(data_type.as_ref())?;
            let low = Predicate::Compare { column: column.clone(), op: CompareOp::Ge, value: low };
            let high = Predicate::Compare { column, op: CompareOp::Le, value: high };
            return Ok(negate(Predicate::And(vec![low, high]), negated));
        }
        if negated {
            return Err(self.error("IN, LIKE or BETWEEN is expected"));
        }
        if self.sign("~") {
            let regex = self.text(data_type.as_ref())?;
            regex::Regex::new(&regex).map_err(|_error| self.error("no regular expression"))?;
            return Ok(Predicate::Matches { column, regex });
        }
        match self.operator() {
            Some(op) => Ok(Predicate::Compare { column, op, value: self.literal(data_type.as_ref())? }),
            None if data_type == Some(DataType::Boolean) => {
                Ok(Predicate::Compare { column, op: CompareOp::Eq, value: Literal::Bool(true) })
            }
            None => Err(self.error("an operator is expected")),
        }
    }

    fn operator(&mut self) -> Option<CompareOp> {
        let op = match self.peek() {
            Token::Sign("=") => CompareOp::Eq,
            Token::Sign("<>" | "!=") => CompareOp::Ne,
            Token::Sign("<") => CompareOp::Lt,
            Token::Sign("<=") => CompareOp::Le,
            Token::Sign(">") => CompareOp::Gt,
            Token::Sign(">=") => CompareOp::Ge,
            _ => return None,
        };
        self.next = self.next.saturating_add(1);
        Some(op)
    }

    fn column(&mut self) -> Result<(FieldName, Option<DataType>), ExpressionError> {
        let wanted = match self.peek() {
            Token::Word(word) => word.to_lowercase(),
            Token::Quoted(name) => name.clone(),
            _ => return Err(self.error("a column is expected")),
        };
        let found = self.columns.iter().find(|column| column.name.as_str() == wanted);
        let found = found.map(|column| (column.name.clone(), column.data_type.cloned()));
        let found = found.ok_or_else(|| self.error("no such column"))?;
        self.take();
        Ok(found)
    }

    fn list(&mut self, column: FieldName, data_type: Option<&DataType>) -> Result<Predicate, ExpressionError> {
        if !self.sign("(") {
            return Err(self.error("\"(\" is expected"));
        }
        let mut values = vec![self.literal(data_type)?];
        while self.sign(",") {
            if values.len() >= LIST_MAX {
                return Err(self.error("the list is too long"));
            }
            values.push(self.literal(data_type)?);
        }
        if self.sign(")") { Ok(Predicate::In { column, values }) } else { Err(self.error("\")\" is expected")) }
    }

    fn text(&mut self, data_type: Option<&DataType>) -> Result<String, ExpressionError> {
        if !data_type.is_none_or(is_text) {
            return Err(self.error("the column is no text"));
        }
        match self.peek() {
            Token::Text(text) => {
                let text = text.clone();
                self.take();
                Ok(text)
            }
            _ => Err(self.error("a text in single quotes is expected")),
        }
    }

    fn literal(&mut self, data_type: Option<&DataType>) -> Result<Literal, ExpressionError> {
        let instant = self.word("timestamp") || self.word("date");
        let literal = match self.peek() {
            Token::Text(text) if instant || data_type.is_some_and(is_instant) => parse_instant(text).map(Literal::Instant),
            Token::Text(text) => Some(Literal::String(text.clone())),
            Token::Number(number) if !instant => parse_number(number),
            Token::Word(word) if !instant && word.eq_ignore_ascii_case("true") => Some(Literal::Bool(true)),
            Token::Word(word) if !instant && word.eq_ignore_ascii_case("false") => Some(Literal::Bool(false)),
            _ => None,
        };
        let literal = literal.ok_or_else(|| self.error("a literal is expected"))?;
        let literal = match data_type {
            Some(data_type) => fit(literal, data_type).ok_or_else(|| self.error("the literal is not of the column's type"))?,
            None => literal,
        };
        self.take();
        Ok(literal)
    }
}

fn single_or(mut parts: Vec<Predicate>, join: impl FnOnce(Vec<Predicate>) -> Predicate) -> Predicate {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => Predicate::False,
    }
}

fn negate(predicate: Predicate, negated: bool) -> Predicate {
    if negated { Predicate::Not(Box::new(predicate)) } else { predicate }
}

/// Whether a column holds text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::String | DataType::Varchar(_))
}

/// Whether a column holds a day or an instant.
pub(super) fn is_instant(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date | DataType::Timestamp | DataType::TimestampTz)
}

fn parse_number(text: &str) -> Option<Literal> {
    text.parse().map(Literal::Int).ok().or_else(|| text.parse().ok().filter(|number: &f64| number.is_finite()).map(Literal::Float))
}

fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let day = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let local = |format: &str| NaiveDateTime::parse_from_str(text, format).ok().map(|local| local.and_utc());
    let instant = || DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.with_timezone(&Utc));
    day(text).or_else(|| local("%Y-%m-%d %H:%M:%S%.f")).or_else(|| local("%Y-%m-%dT%H:%M:%S%.f")).or_else(instant)
}

/// The literal as the column's type takes it.
fn fit(literal: Literal, data_type: &DataType) -> Option<Literal> {
    let fits = match (&literal, data_type) {
        (Literal::String(_), DataType::String | DataType::Varchar(_)) => true,
        (Literal::String(text), DataType::Uuid) => return uuid::Uuid::parse_str(text).ok().map(|id| Literal::String(id.to_string())),
        (Literal::Int(_), DataType::Int16 | DataType::Int32 | DataType::Int64) => true,
        (Literal::Int(_) | Literal::Float(_), DataType::Float32 | DataType::Float64 | DataType::Decimal { .. }) => true,
        (Literal::Bool(_), DataType::Boolean) => true,
        (Literal::Instant(_), data_type) => is_instant(data_type),
        _ => false,
    };
    fits.then_some(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> FieldName {
        FieldName::parse(text).unwrap()
    }

    fn read(text: &str) -> Result<String, ExpressionError> {
        let typed = [
            (name("region"), DataType::String),
            (name("amount"), DataType::Decimal { precision: 10, scale: 2 }),
            (name("count"), DataType::Int32),
            (name("created_at"), DataType::TimestampTz),
            (name("active"), DataType::Boolean),
            (name("Größe"), DataType::Float64),
        ];
        let columns: Vec<_> = typed.iter().map(|(name, data_type)| ExpressionColumn { name, data_type: Some(data_type) }).collect();
        parse(text, &columns).map(|predicate| predicate.to_string())
    }

    #[test]
    fn operators_bind_as_in_sql() {
        assert_eq!(read("region = 'EU' OR count > 1 AND NOT active").unwrap(), "region = ? OR (count > ? AND NOT (active = ?))");
    }

    #[test]
    fn every_condition_of_the_language_is_read() {
        let pairs = [
            ("REGION <> 'a''b'", "region <> ?"),
            ("region IN ('a','b')", "region IN (? × 2)"),
            ("region NOT LIKE 'x%'", "NOT (region LIKE ?)"),
            ("region ~ '^a+$'", "region ~ ?"),
            ("amount BETWEEN -1.5 AND 2", "amount >= ? AND amount <= ?"),
            ("created_at >= '2026-01-31'", "created_at >= ?"),
            ("created_at < timestamp '2026-01-31 10:00:00'", "created_at < ?"),
            ("region IS NOT NULL", "NOT (region IS NULL)"),
            ("\"Größe\" = 1", "\"Größe\" = ?"),
            ("(TRUE)", "true"),
        ];
        for (text, expected) in pairs {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_in_the_language_is_an_error() {
        let refused = [
            "",
            "region",
            "region = ",
            "nowhere = 1",
            "\"REGION\" = 'a'",
            "region = 1",
            "count = 'x'",
            "count = 1.5",
            "count LIKE 'x'",
            "created_at > 'yesterday'",
            "region = 'a' region",
            "region = 'open",
            "region = lower('A')",
            "region = region",
            "region ~ '('",
            "1 = 1",
            "region = 'a'; DROP TABLE x",
            "region = NULL",
            "active = 1",
            "(region = 'a'",
        ];
        for text in refused {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_limited() {
        let nested = |depth: usize| format!("{}TRUE{}", "(".repeat(depth), ")".repeat(depth));
        assert!(read(&nested(DEPTH_MAX)).is_ok());
        assert!(read(&nested(DEPTH_MAX + 1)).is_err());
    }
}
