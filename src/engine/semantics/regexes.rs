//! PostgreSQL's regular expressions in the engine's words.
//!
//! A constant pattern is translated when the query is planned; what has no equal is refused, for it would match something else.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF};
use regex::{Captures, Regex, RegexBuilder};

use crate::error::SqlState;

use super::function::{Function, Result, arg, fault};
use super::{casts, regex_places};

/// Bytes that a compiled pattern may take.
const COMPILED_MAX: usize = 1 << 20;

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![nth_match().udf(), replace().udf(), split().udf(), regex_places::count().udf(), regex_places::place().udf()]
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
#[derive(Default)]
pub(super) struct Compiled {
    last: Option<(String, String, Regex, bool)>,
}

impl Compiled {
    fn of(&mut self, pattern: &str) -> Result<&Regex> {
        self.flagged(pattern, "").map(|(regex, _)| regex)
    }

    /// The pattern under flags, and whether they ask for all matches.
    pub(super) fn flagged(&mut self, pattern: &str, flags: &str) -> Result<(&Regex, bool)> {
        if self.last.as_ref().is_none_or(|(known, with, ..)| known != pattern || with != flags) {
            let (regex, global) = compiled(pattern, flags)?;
            self.last = Some((pattern.to_owned(), flags.to_owned(), regex, global));
        }
        match &self.last {
            Some((_, _, regex, global)) => Ok((regex, *global)),
            None => Err(fault(SqlState::INTERNAL_ERROR, "no pattern was compiled")),
        }
    }
}

impl Compiled {
    /// The pattern under flags, which do not ask for all matches.
    pub(super) fn once(&mut self, pattern: &str, flags: &str, function: &str) -> Result<&Regex> {
        match self.flagged(pattern, flags)? {
            (_, true) => {
                let text = format!("{function}() does not support the \"global\" option");
                Err(fault(SqlState::INVALID_PARAMETER_VALUE, &text))
            }
            (regex, false) => Ok(regex),
        }
    }
}

fn compiled(pattern: &str, flags: &str) -> Result<(Regex, bool)> {
    let (mut global, mut literal, mut spaced, mut either_case) = (false, false, false, false);
    // Whether `.` ends at a line, and whether `^` and `$` match at the ends of lines.
    let (mut within_lines, mut at_lines) = (false, false);
    for flag in flags.chars() {
        match flag {
            'g' => global = true,
            'i' => either_case = true,
            'c' => either_case = false,
            'x' => spaced = true,
            'q' => literal = true,
            'n' | 'm' => (within_lines, at_lines) = (true, true),
            'p' => (within_lines, at_lines) = (true, false),
            'w' => (within_lines, at_lines) = (false, true),
            's' => (within_lines, at_lines) = (false, false),
            't' | 'e' => {}
            'b' => return Err(refused("these options")),
            _ => return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "invalid regular expression option")),
        }
    }
    let written = if literal { regex::escape(pattern) } else { translated(pattern)? };
    let mut written = written.as_str();
    if within_lines && !literal {
        // What a class leaves out would match the end of a line.
        if pattern.contains("[^") || ["\\W", "\\D", "\\S"].iter().any(|class| pattern.contains(class)) {
            return Err(refused("classes that leave letters out, within lines,"));
        }
        written = written.strip_prefix("(?s)").unwrap_or(written);
    }
    let mut builder = RegexBuilder::new(written);
    builder.case_insensitive(either_case).ignore_whitespace(spaced && !literal).multi_line(at_lines);
    let regex = builder.size_limit(COMPILED_MAX).build();
    let regex = regex.map_err(|_| fault(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression"))?;
    Ok((regex, global))
}

/// One pattern, in which a point matches the end of a line only where that is asked for.
pub(super) fn single(pattern: &str, either_case: bool, across_lines: bool) -> Result<Regex> {
    let translated = translated(pattern)?;
    let translated = if across_lines { &translated } else { translated.strip_prefix("(?s)").unwrap_or(&translated) };
    let regex = RegexBuilder::new(translated).case_insensitive(either_case).size_limit(COMPILED_MAX).build();
    regex.map_err(|_| fault(SqlState::INVALID_REGULAR_EXPRESSION, "invalid regular expression"))
}

/// The matches one after another, with their groups. Behind a match of something, one of nothing counts, too.
pub(super) fn every<'a>(regex: &'a Regex, text: &'a str) -> impl Iterator<Item = Captures<'a>> + 'a {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let found = regex.captures_at(text, start?)?;
        let whole = found.get(0)?;
        let behind = if whole.is_empty() { text.get(whole.end()..)?.chars().next().map(char::len_utf8) } else { Some(0) };
        start = behind.map(|letter| whole.end() + letter);
        Some(found)
    })
}

/// `substring(text from pattern)`: the first group that the pattern has, else all that it matches.
pub(super) fn substring() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut compiled = Compiled::default();
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
    Function::new("substring_match", takes, |_| Some(DataType::Utf8), computes)
}

/// A whole number of a call, which has to be at least one.
pub(super) fn whole(args: &[ArrayRef], at: usize, row: usize, absent: i64, what: &str, least: i64) -> Result<Option<i64>> {
    if args.len() <= at {
        return Ok(Some(absent));
    }
    let values = arg::<Int64Array>(args, at)?;
    if values.is_null(row) {
        return Ok(None);
    }
    let value = values.value(row);
    if value < least {
        return Err(fault(SqlState::INVALID_PARAMETER_VALUE, &format!("invalid value for parameter \"{what}\"")));
    }
    Ok(Some(value))
}

/// What stands from a letter on, and what stands before it.
pub(super) fn from_letter(text: &str, start: i64) -> (&str, &str) {
    let skipped = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let at = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
    text.split_at(at)
}

/// `regexp_substr(text, pattern [, start [, n [, flags [, subexpr]]]])`.
fn nth_match() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let flags = if args.len() > 4 { Some(arg::<StringArray>(args, 4)?) } else { None };
        let mut compiled = Compiled::default();
        let mut one = |row: usize| {
            let start = whole(args, 2, row, 1, "start", 1)?;
            let number = whole(args, 3, row, 1, "n", 1)?;
            let group = whole(args, 5, row, 0, "subexpr", 0)?;
            let flag = flags.map_or(Some(""), |flags| flags.is_valid(row).then(|| flags.value(row)));
            let (Some(start), Some(number), Some(group), Some(flag)) = (start, number, group, flag) else { return Ok(None) };
            if texts.is_null(row) || patterns.is_null(row) {
                return Ok(None);
            }
            let (_, text) = from_letter(texts.value(row), start);
            let regex = compiled.once(patterns.value(row), flag, "regexp_substr")?;
            let found = every(regex, text).nth(usize::try_from(number - 1).unwrap_or(usize::MAX));
            let group = usize::try_from(group).unwrap_or(usize::MAX);
            Ok(found.and_then(|found| found.get(group).map(|found| found.as_str().to_owned())))
        };
        Ok(Arc::new((0..rows).map(&mut one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| {
        let wanted = [DataType::Utf8, DataType::Utf8, DataType::Int64, DataType::Int64, DataType::Utf8, DataType::Int64];
        (2..=6).contains(&types.len()).then(|| wanted.into_iter().take(types.len()).collect())
    };
    Function::new("regexp_substr", takes, |_| Some(DataType::Utf8), computes)
}

/// Bytes that one call may make for a batch.
const REPLACED_BYTES_MAX: usize = 128 << 20;

/// `regexp_replace(text, pattern, new [, flags])`, `regexp_replace(text, pattern, new, start [, n [, flags]])`.
fn replace() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let news = arg::<StringArray>(args, 2)?;
        let counted = args.get(3).is_some_and(|found| found.data_type().is_integer());
        let flags = if counted { args.get(5) } else { args.get(3) };
        let flags = flags.and_then(|flags| flags.as_any().downcast_ref::<StringArray>());
        let mut compiled = Compiled::default();
        let mut made = 0_usize;
        let mut one = |row: usize| {
            let start = if counted { whole(args, 3, row, 1, "start", 1)? } else { Some(1) };
            let number = if counted { whole(args, 4, row, -1, "n", 0)? } else { Some(-1) };
            let flag = flags.map_or(Some(""), |flags| flags.is_valid(row).then(|| flags.value(row)));
            let (Some(start), Some(number), Some(flag)) = (start, number, flag) else { return Ok(None) };
            if texts.is_null(row) || patterns.is_null(row) || news.is_null(row) {
                return Ok(None);
            }
            let (regex, global) = compiled.flagged(patterns.value(row), flag)?;
            // Without a number it is the first match, or all of them; a number of zero is all of them, too.
            let which = match number {
                -1 if global => None,
                -1 => Some(1),
                0 => None,
                number => usize::try_from(number).ok(),
            };
            let (before, text) = from_letter(texts.value(row), start);
            let replaced = substituted(regex, text, news.value(row), which, REPLACED_BYTES_MAX - made)?;
            made += replaced.len() + before.len();
            if made > REPLACED_BYTES_MAX { Err(too_long()) } else { Ok(Some(format!("{before}{replaced}"))) }
        };
        Ok(Arc::new((0..rows).map(&mut one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    let takes = |types: &[DataType]| {
        let mut wanted = vec![DataType::Utf8; types.len().min(6)];
        let counted = types.get(3).is_some_and(DataType::is_integer);
        for at in [3, 4] {
            if let (true, Some(wanted)) = (counted, wanted.get_mut(at)) {
                *wanted = DataType::Int64;
            }
        }
        let fits = matches!((types.len(), counted), (3 | 4, _) | (5 | 6, true));
        fits.then_some(wanted)
    };
    Function::new("regexp_replace", takes, |_| Some(DataType::Utf8), computes)
}

fn too_long() -> datafusion::error::DataFusionError {
    fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// The text with a match, or all of them, replaced: `\1` is the first group, `\&` the whole match.
fn substituted(regex: &Regex, text: &str, new: &str, which: Option<usize>, bytes_max: usize) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for (number, found) in every(regex, text).enumerate() {
        let Some(whole) = found.get(0) else { continue };
        if which.is_some_and(|which| number + 1 < which) {
            continue;
        }
        out.push_str(text.get(last..whole.start()).unwrap_or_default());
        let mut letters = new.chars();
        while let Some(letter) = letters.next() {
            let group = match letter {
                '\\' => match letters.next() {
                    Some('&') => found.get(0),
                    Some(digit @ '1'..='9') => found.get(digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(0)),
                    Some('\\') | None => {
                        out.push('\\');
                        continue;
                    }
                    Some(other) => {
                        out.extend(['\\', other]);
                        continue;
                    }
                },
                other => {
                    out.push(other);
                    continue;
                }
            };
            out.push_str(group.map_or("", |group| group.as_str()));
        }
        last = whole.end();
        if out.len() > bytes_max {
            return Err(too_long());
        }
        if which.is_some() {
            break;
        }
    }
    out.push_str(text.get(last..).unwrap_or_default());
    Ok(out)
}

/// `regexp_split_to_array(text, pattern)`.
fn split() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, patterns) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let mut compiled = Compiled::default();
        let mut lists = ListBuilder::new(StringBuilder::new());
        let flags = if args.len() > 2 { Some(arg::<StringArray>(args, 2)?) } else { None };
        for (row, pair) in texts.iter().zip(patterns.iter()).enumerate() {
            let (Some(text), Some(pattern)) = pair else {
                lists.append(false);
                continue;
            };
            let flag = flags.and_then(|flags| flags.is_valid(row).then(|| flags.value(row))).unwrap_or("");
            let regex = compiled.once(pattern, flag, "regexp_split_to_array")?;
            for part in parts(regex, text) {
                lists.values().append_value(part);
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let takes = |types: &[DataType]| matches!(types.len(), 2 | 3).then(|| vec![DataType::Utf8; types.len()]);
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
    fn matches_are_replaced_by_their_groups() {
        let of =
            |text: &str, pattern: &str, new: &str, which| substituted(&Regex::new(pattern).unwrap(), text, new, which, 1 << 20).unwrap();
        assert_eq!(of("abcabc", "b", r"[\&]", None), "a[b]ca[b]c");
        assert_eq!(of("foo bar", r"(\w+) (\w+)", r"\2 \1\\", Some(1)), r"bar foo\");
        assert_eq!(of("aXbXc", "X", "-", Some(2)), "aXb-c");
        assert_eq!(of("abc", "x*", "-", None), "-a-b-c-");
        assert_eq!(of("a1b", r"\d*", "-", None), "-a--b-");
    }

    #[test]
    fn splitting_leaves_out_matches_of_nothing_at_the_ends() {
        assert_eq!(parts(&Regex::new(",").unwrap(), "a,b,,c"), ["a", "b", "", "c"]);
        assert_eq!(parts(&Regex::new("").unwrap(), "abc"), ["a", "b", "c"]);
        assert_eq!(parts(&Regex::new(r"\s*").unwrap(), "a b"), ["a", "b"]);
    }
}
