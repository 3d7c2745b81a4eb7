//! Quoting and formatting of identifiers and literals.

use std::sync::Arc;

use arrow::datatypes::DataType::Utf8;
use datafusion::error::DataFusionError;

use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Any, Bool, Text};
use super::{Function, bool_of, client, list_of, text_of};

pub(super) fn all(_facts: &Arc<SessionFacts>) -> Vec<Function> {
    let ident = Function::new("quote_ident", &[Text], Utf8, |values| Ok(quote_ident(text_of(values, 0)).into()));
    let literal =
        Function::new("quote_literal", &[Any], Utf8, |values| Ok(values.first().and_then(shown).map(|text| quote_literal(&text)).into()));
    let nullable = Function::new("quote_nullable", &[Any], Utf8, |values| {
        Ok(values.first().and_then(shown).map_or_else(|| "NULL".to_owned(), |text| quote_literal(&text)).into())
    });
    let parse = Function::new("parse_ident", &[Text, Bool], list_of(Utf8), |values| {
        let text = text_of(values, 0);
        let _strict = bool_of(values, 1);
        let invalid = || client(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "string is not a valid identifier"));
        split_identifier(text).map(Value::Texts).ok_or_else(invalid)
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

/// `%[position$][-][width](s|I|L|%)`, where a width of `*` is the next argument.
fn format_text(pattern: &str, arguments: &[Value]) -> Result<String, DataFusionError> {
    let mut out = String::new();
    let mut next = 0usize;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut specification = String::new();
        let kind = loop {
            match letters.next() {
                Some(letter @ ('s' | 'I' | 'L' | '%')) => break letter,
                Some(letter @ ('0'..='9' | '-' | '$' | '*')) if specification.len() < 16 => specification.push(letter),
                Some(_) => return Err(fault("unrecognized format() type specifier")),
                None => return Err(fault("unterminated format() type specifier")),
            }
        };
        if kind == '%' {
            out.push('%');
            continue;
        }
        let width = match specification.split_once('$') {
            Some((position, width)) => {
                next = position
                    .parse::<usize>()
                    .ok()
                    .and_then(|position| position.checked_sub(1))
                    .ok_or_else(|| fault("format specifies argument 0, but arguments are numbered from 1"))?;
                width
            }
            None => specification.as_str(),
        };
        let few = || fault("too few arguments for format()");
        let asked = width.strip_suffix('*').map(|sign| {
            let width = arguments.get(next).ok_or_else(few)?;
            next += 1;
            Ok::<String, DataFusionError>(format!("{sign}{}", shown(width).unwrap_or_default()))
        });
        let asked = asked.transpose()?;
        let argument = arguments.get(next).ok_or_else(few)?;
        next += 1;
        out.push_str(&padded(&converted(kind, argument)?, asked.as_deref().unwrap_or(width)));
    }
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

/// Widths are bounded, for a client may ask for any.
fn padded(text: &str, width: &str) -> String {
    let left = width.starts_with('-');
    let width = width.trim_start_matches('-').parse::<usize>().unwrap_or(0).min(10_000);
    if left { format!("{text:<width$}") } else { format!("{text:>width$}") }
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
    }

    #[test]
    fn format_puts_in_names_literals_and_positions() {
        let arguments = ["a b", "it's"].map(Value::from);
        assert_eq!(format_text("%I = %L, %1$s%%", &arguments).unwrap(), "\"a b\" = 'it''s', a b%");
        assert!(format_text("%s%s%s", &arguments).is_err());
        let wide = [Value::Int(5), Value::from("x"), Value::Int(-3), Value::from("y")];
        assert_eq!(format_text("%*s|%*s|", &wide).unwrap(), "    x|y  |");
    }
}
