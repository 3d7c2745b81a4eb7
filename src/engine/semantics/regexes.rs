//! PostgreSQL's regular expressions in the engine's words.
//!
//! A constant pattern is translated when the query is planned; what has no equal is refused, for it would match something else.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF};
use regex::{Regex, RegexBuilder};

use crate::error::SqlState;

use super::casts;
use super::function::{Function, Result, arg, fault};

/// Bytes that a compiled pattern may take.
const COMPILED_MAX: usize = 1 << 20;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![substring().udf(), split().udf()]
}

/// A pattern as the engine reads it.
pub(super) fn pattern(expr: Expr) -> Result<Expr> {
    if let Some(text) = casts::text_of(&expr) {
        let translated = translated(text)?;
        return Ok(Expr::Literal(ScalarValue::Utf8(Some(translated)), None));
    }
    let prefix = Expr::Literal(ScalarValue::Utf8(Some("(?s)".to_owned())), None);
    Ok(Expr::BinaryExpr(BinaryExpr { left: Box::new(prefix), op: Operator::StringConcat, right: Box::new(expr) }))
}

fn refused(what: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("{what} in regular expressions are not supported"))
}

/// The same pattern in the other words.
fn translated(pattern: &str) -> Result<String> {
    // A point matches the end of a line, too.
    let mut out = String::from(if pattern.contains('.') { "(?s)" } else { "" });
    let mut rest = pattern;
    let mut in_class = false;
    while let Some(letter) = rest.chars().next() {
        for (bound, meaning) in [("[[:<:]]", r"\b{start}"), ("[[:>:]]", r"\b{end}")] {
            if !in_class && rest.starts_with(bound) {
                out.push_str(meaning);
                rest = rest.get(bound.len()..).unwrap_or_default();
            }
        }
        if rest.starts_with("(?=") || rest.starts_with("(?!") || rest.starts_with("(?<") {
            return Err(refused("constraints that look around"));
        }
        let Some(letter) = rest.chars().next().filter(|found| *found == letter) else { continue };
        let after = rest.get(letter.len_utf8()..).unwrap_or_default();
        rest = after;
        match letter {
            '\\' => {
                let Some(escaped) = after.chars().next() else {
                    return Err(fault(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression"));
                };
                rest = after.get(escaped.len_utf8()..).unwrap_or_default();
                match escaped {
                    'm' => out.push_str(r"\b{start}"),
                    'M' => out.push_str(r"\b{end}"),
                    'y' => out.push_str(r"\b"),
                    'Y' => out.push_str(r"\B"),
                    'Z' => out.push_str(r"\z"),
                    'b' => out.push_str(r"\x08"),
                    'B' => out.push_str(r"\\"),
                    'e' => out.push_str(r"\x1B"),
                    '1'..='9' => return Err(refused("back references")),
                    other => out.extend(['\\', other]),
                }
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                for first in ['^', ']'] {
                    if let Some(after) = rest.strip_prefix(first) {
                        out.push_str(if first == ']' { r"\]" } else { "^" });
                        rest = after;
                    }
                }
            }
            '[' => match rest.split_once(":]").filter(|_| rest.starts_with(':')) {
                Some((name, after)) => {
                    out.push('[');
                    out.push_str(name);
                    out.push_str(":]");
                    rest = after;
                }
                None => out.push_str(r"\["),
            },
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            '&' | '~' if in_class => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Compiles the patterns of a column, of which most are the same.
struct Compiled {
    last: Option<(String, Regex)>,
}

impl Compiled {
    fn of(&mut self, pattern: &str) -> Result<&Regex> {
        if self.last.as_ref().is_none_or(|(known, _)| known != pattern) {
            let regex = RegexBuilder::new(&translated(pattern)?).size_limit(COMPILED_MAX).build();
            let regex = regex.map_err(|_| fault(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression"))?;
            self.last = Some((pattern.to_owned(), regex));
        }
        match &self.last {
            Some((_, regex)) => Ok(regex),
            None => Err(fault(SqlState::INTERNAL_ERROR, "no pattern was compiled")),
        }
    }
}

/// `substring(text from pattern)`: the first group that the pattern has, else all that it matches.
pub(super) fn substring() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut compiled = Compiled { last: None };
        let found = texts.iter().zip(patterns.iter()).map(|pair| match pair {
            (Some(text), Some(pattern)) => {
                let captures = compiled.of(pattern)?.captures(text);
                Ok(captures.and_then(|captures| captures.get(usize::from(captures.len() > 1)).map(|found| found.as_str())))
            }
            _ => Ok(None),
        });
        Ok(Arc::new(found.collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8; 2]);
    Function::new("regexp_substr", takes, |_| Some(DataType::Utf8), computes)
}

/// `regexp_split_to_array(text, pattern)`.
fn split() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut compiled = Compiled { last: None };
        let mut lists = ListBuilder::new(StringBuilder::new());
        for pair in texts.iter().zip(patterns.iter()) {
            let (Some(text), Some(pattern)) = pair else {
                lists.append(false);
                continue;
            };
            for part in parts(compiled.of(pattern)?, text) {
                lists.values().append_value(part);
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let takes = |types: &[DataType]| (types.len() == 2).then(|| vec![DataType::Utf8; 2]);
    let gives = |_: &[DataType]| Some(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))));
    Function::new("regexp_split_to_array", takes, gives, computes)
}

/// What stands between the matches; a match of nothing at either end, or behind another match, splits nothing.
fn parts<'a>(regex: &Regex, text: &'a str) -> Vec<&'a str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for found in regex.find_iter(text) {
        if found.is_empty() && (found.start() == start || found.start() == text.len()) {
            continue;
        }
        parts.push(text.get(start..found.start()).unwrap_or_default());
        start = found.end();
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_said_in_other_words() {
        for (pattern, expected) in [
            (r"\mfoo\M", r"\b{start}foo\b{end}"),
            ("a.c", "(?s)a.c"),
            (r"\y\d+\Z", r"\b\d+\z"),
            ("[a&&b[]", r"[a\&\&b\[]"),
            ("[[:alpha:]_]x", "[[:alpha:]_]x"),
            ("[]a]", r"[\]a]"),
            ("[[:<:]]x[[:>:]]", r"\b{start}x\b{end}"),
            ("(a|b)*?", "(a|b)*?"),
        ] {
            assert_eq!(translated(pattern).unwrap(), expected, "{pattern}");
            assert!(Regex::new(expected).is_ok(), "{expected}");
        }
        for pattern in [r"(a)\1", "(?=a)", "(?<!a)b", "a\\"] {
            assert!(translated(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn splitting_leaves_out_matches_of_nothing_at_the_ends() {
        assert_eq!(parts(&Regex::new(",").unwrap(), "a,b,,c"), ["a", "b", "", "c"]);
        assert_eq!(parts(&Regex::new("").unwrap(), "abc"), ["a", "b", "c"]);
        assert_eq!(parts(&Regex::new(r"\s*").unwrap(), "a b"), ["a", "b"]);
    }
}
