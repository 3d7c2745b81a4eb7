//! Quoting and formatting of identifiers and literals.

use std::sync::Arc;

use arrow::datatypes::DataType::Utf8;
use datafusion::error::DataFusionError;

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Any, Bool, Text};
use super::{Function, MADE_BYTES_MAX, bool_of, client, list_of, text_of, too_long};

pub(super) fn all(_facts: &Arc<SessionFacts>) -> Vec<Function> {
    let ident = Function::new("quote_ident", &[Text], Utf8, |values| Ok(quote_ident(text_of(values, 0)).into()));
    let literal =
        Function::new("quote_literal", &[Any], Utf8, |values| Ok(values.first().and_then(shown).map(|text| quote_literal(&text)).into()));
    let nullable = Function::new("quote_nullable", &[Any], Utf8, |values| {
        Ok(values.first().and_then(shown).map_or_else(|| "NULL".to_owned(), |text| quote_literal(&text)).into())
    });
    let parse = Function::new("parse_ident", &[Text, Bool], list_of(Utf8), |values| {
        let strict = values.len() < 2 || bool_of(values, 1);
        parsed_identifier(text_of(values, 0), strict).map(Value::Texts)
    });
    let format = Function::new("format", &[Text, Any], Utf8, |values| match values.split_first() {
        Some((Value::Text(pattern), arguments)) => format_text(pattern, arguments).map(Value::Text),
        _ => Ok(Value::Null),
    });
    let like = Function::new("meshgate_like_pattern", &[Text, Text], Utf8, |values| {
        like_pattern(text_of(values, 0), text_of(values, 1)).map(Value::Text)
    });
    vec![ident, literal, nullable.reads_nulls(), parse.required(1), format.variadic().reads_nulls(), like]
}

/// A pattern of LIKE with its own escape character, as one whose escape character is the backslash.
fn like_pattern(pattern: &str, escape: &str) -> Result<String, DataFusionError> {
    let invalid = |message: &str| client(ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, message));
    let mut characters = escape.chars();
    let (escape, None) = (characters.next(), characters.next()) else {
        let message = ClientMessage::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string");
        return Err(client(message.with_hint("Escape string must be empty or one character.")));
    };
    let mut written = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            let escaped = letters.next().ok_or_else(|| invalid("LIKE pattern must not end with escape character"))?;
            if matches!(escaped, '%' | '_' | '\\') {
                written.push('\\');
            }
            written.push(escaped);
        } else {
            written.extend((letter == '\\').then_some('\\'));
            written.push(letter);
        }
    }
    Ok(written)
}

/// Words that PostgreSQL reserves, so that they need quotes as names.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// A name as SQL spells it, quoted only where it must be.
pub fn quote_ident(name: &str) -> String {
    let mut letters = name.chars();
    let plain = letters.next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    if plain && !RESERVED.contains(&name) { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// The parts of a dotted name: folded to lower case, or as quoted. `None` if it is no name.
pub(in crate::catalog) fn split_identifier(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let (part, after) = quoted_part(quoted)?;
            (part, after)
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            (part.trim().to_lowercase(), after)
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        let after = after.trim_start();
        if after.is_empty() {
            return Some(parts);
        }
        rest = after.strip_prefix('.')?.trim_start();
    }
}

/// `parse_ident(text, strict)`: the parts of a dotted name as SQL spells it; what stands behind it is passed over unless that is strict.
fn parsed_identifier(text: &str, strict: bool) -> Result<Vec<String>, DataFusionError> {
    let invalid = |detail: &str| {
        let message = ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "string is not a valid identifier");
        Err(client(if detail.is_empty() { message } else { message.with_detail(detail) }))
    };
    let begins = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii();
    let goes_on = |letter: char| begins(letter) || letter.is_ascii_digit() || letter == '$';
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let Some((part, after)) = quoted_part(quoted) else { return invalid("String has unclosed double quotes.") };
            if part.is_empty() {
                return invalid("Quoted identifier must not be empty.");
            }
            (part, after)
        } else if rest.starts_with(begins) {
            let (part, after) = rest.split_at(rest.find(|letter| !goes_on(letter)).unwrap_or(rest.len()));
            (part.to_lowercase(), after)
        } else {
            return invalid(match (rest.starts_with('.'), parts.is_empty()) {
                (true, _) => "No valid identifier before \".\".",
                (false, false) => "No valid identifier after \".\".",
                (false, true) => "",
            });
        };
        parts.push(part);
        let after = after.trim_start();
        match after.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if after.is_empty() || !strict => return Ok(parts),
            None => return invalid(""),
        }
    }
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

/// A value as text.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) | Value::Instant(number) | Value::Seconds(number) => Some(number.to_string()),
        Value::Day(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(if *truth { "t" } else { "f" }.to_owned()),
        Value::Texts(texts) => Some(format!("{{{}}}", texts.join(","))),
        Value::Ints(ints) => Some(format!("{{{}}}", ints.iter().map(i64::to_string).collect::<Vec<_>>().join(","))),
        Value::Null => None,
    }
}

fn fault(message: &str) -> DataFusionError {
    client(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, message))
}

/// What stands between `%` and the letter of a specification: `[position$][-][width | * | *position$]`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Specification {
    /// The argument that is shown; `None` is the next one.
    argument: Option<usize>,
    left: bool,
    width: usize,
    /// The argument that is the width; 0 is the next one.
    width_argument: Option<usize>,
}

fn unterminated() -> DataFusionError {
    let message = ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "unterminated format() type specifier");
    client(message.with_hint("For a single \"%\" use \"%%\"."))
}

/// A number, if one comes next; what follows it.
fn digits(text: &str) -> Result<(Option<usize>, &str), DataFusionError> {
    let (digits, after) = text.split_at(text.bytes().take_while(u8::is_ascii_digit).count());
    if after.is_empty() {
        return Err(unterminated());
    }
    let number = digits.parse::<i32>().ok().and_then(|number| usize::try_from(number).ok());
    match number {
        None if !digits.is_empty() => Err(client(ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "number is out of range"))),
        number => Ok((number, after)),
    }
}

impl Specification {
    /// Reads it; what follows it begins with the letter.
    fn read(text: &str) -> Result<(Self, &str), DataFusionError> {
        let mut read = Self::default();
        let (number, mut rest) = digits(text)?;
        if let Some(number) = number {
            let Some(after) = rest.strip_prefix('$') else { return Ok((Self { width: number, ..read }, rest)) };
            read.argument = Some(counted(number)?);
            rest = after;
        }
        while let Some(after) = rest.strip_prefix('-') {
            (read.left, rest) = (true, after);
        }
        match rest.strip_prefix('*') {
            Some(after) => {
                let (number, after) = digits(after)?;
                (read.width_argument, rest) = (Some(0), after);
                if let Some(number) = number {
                    rest = after.strip_prefix('$').ok_or_else(|| fault("width argument position must be ended by \"$\""))?;
                    read.width_argument = Some(counted(number)?);
                }
            }
            None => {
                let (number, after) = digits(rest)?;
                (read.width, rest) = (number.unwrap_or(0), after);
            }
        }
        Ok((read, rest))
    }
}

fn counted(number: usize) -> Result<usize, DataFusionError> {
    if number == 0 { Err(fault("format specifies argument 0, but arguments are numbered from 1")) } else { Ok(number) }
}

fn format_text(pattern: &str, arguments: &[Value]) -> Result<String, DataFusionError> {
    let mut out = String::new();
    // The argument that is next, from 1.
    let mut next = 1;
    let mut rest = pattern;
    let argument = |at: usize| at.checked_sub(1).and_then(|at| arguments.get(at)).ok_or_else(|| fault("too few arguments for format()"));
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (specification, after) = Specification::read(after)?;
        let mut letters = after.chars();
        let kind = letters.next().ok_or_else(unterminated)?;
        if !matches!(kind, 's' | 'I' | 'L') {
            let message = ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, format!("unrecognized format() type specifier \"{kind}\""));
            return Err(client(message.with_hint("For a single \"%\" use \"%%\".")));
        }
        rest = letters.as_str();
        let (mut left, mut width) = (specification.left, specification.width);
        if let Some(place) = specification.width_argument {
            next = if place > 0 { place } else { next };
            let asked = shown(argument(next)?).and_then(|text| text.trim().parse::<i32>().ok()).unwrap_or(0);
            (left, width) = (left || asked < 0, usize::try_from(asked.unsigned_abs()).unwrap_or(0));
            next += 1;
        }
        next = specification.argument.unwrap_or(next);
        push(&mut out, &converted(kind, argument(next)?)?, left, width)?;
        next += 1;
    }
    out.push_str(rest);
    Ok(out)
}

fn converted(kind: char, argument: &Value) -> Result<String, DataFusionError> {
    match (kind, shown(argument)) {
        ('s', text) => Ok(text.unwrap_or_default()),
        ('I', Some(text)) => Ok(quote_ident(&text)),
        ('I', None) => {
            Err(client(ClientMessage::new(SqlState::NULL_VALUE_NOT_ALLOWED, "null values cannot be formatted as an SQL identifier")))
        }
        (_, Some(text)) => Ok(quote_literal(&text)),
        (_, None) => Ok("NULL".to_owned()),
    }
}

/// Adds a text in its width, of which a client may ask for any.
fn push(out: &mut String, text: &str, left: bool, width: usize) -> Result<(), DataFusionError> {
    let blanks = width.saturating_sub(text.chars().count());
    if out.len().saturating_add(text.len()).saturating_add(blanks) > MADE_BYTES_MAX {
        return Err(too_long());
    }
    let blanks = std::iter::repeat_n(' ', blanks);
    if left {
        out.push_str(text);
        out.extend(blanks);
    } else {
        out.extend(blanks);
        out.push_str(text);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        for (name, shown) in [("tier", "tier"), ("select", "\"select\""), ("a-b", "\"a-b\""), ("A", "\"A\""), ("a\"b", "\"a\"\"b\"")] {
            assert_eq!(quote_ident(name), shown);
        }
    }

    #[test]
    fn patterns_change_their_escape_character() {
        for (pattern, escape, written) in [
            ("pg/_%", "/", Some("pg\\_%")),
            ("a/b", "/", Some("ab")),
            ("a\\b%", "/", Some("a\\\\b%")),
            ("a\\_b", "\\", Some("a\\_b")),
            ("a\\_", "", Some("a\\\\_")),
            ("a//", "/", Some("a/")),
            ("a/", "/", None),
            ("a\\", "\\", None),
            ("a", "ab", None),
        ] {
            assert_eq!(like_pattern(pattern, escape).ok().as_deref(), written, "{pattern} {escape}");
        }
    }

    #[test]
    fn dotted_names_are_split_and_folded() {
        assert_eq!(split_identifier("Customer.\"Customer-360\"").unwrap(), ["customer", "Customer-360"]);
        assert_eq!(split_identifier("a..b"), None);
        assert_eq!(split_identifier("\"open"), None);
        assert_eq!(parsed_identifier(" Foo . \"B\"\"x\".c$1 ", true).unwrap(), ["foo", "B\"x", "c$1"]);
        assert_eq!(parsed_identifier("foo.boo[]", false).unwrap(), ["foo", "boo"]);
        for text in ["foo.boo[]", "1020", "aaa.a%b", "a..b", ".a", "a.", "\"\"", "\"open", ""] {
            assert!(parsed_identifier(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn format_puts_in_names_literals_and_positions() {
        let arguments = ["a b", "it's"].map(Value::from);
        assert_eq!(format_text("%I = %L, %1$s%%", &arguments).unwrap(), "\"a b\" = 'it''s', a b%");
        assert!(format_text("%s%s%s", &arguments).is_err());
        let wide = [Value::Int(5), Value::from("x"), Value::Int(-3), Value::from("y")];
        assert_eq!(format_text("%*s|%*s|", &wide).unwrap(), "    x|y  |");
        assert_eq!(format_text("%2$*1$L|%2$-5s|%2$5s|%4$*3$s|", &wide).unwrap(), "  'x'|x    |    x|y  |");
        assert_eq!(format_text("100%%", &[]).unwrap(), "100%");
        for pattern in ["%", "%1", "%0$s", "%*0$s", "%1$*2s", "%x", "%5%", "%9$s", "%99999999999s"] {
            assert!(format_text(pattern, &wide).is_err(), "{pattern}");
        }
        assert_eq!(format_text("%20000s", &arguments).unwrap().len(), 20_000);
        assert!(format_text("%1$999999999s", &arguments).is_err());
        assert!(format_text("%1$99999999s%1$99999999s", &arguments).is_err());
    }
}
