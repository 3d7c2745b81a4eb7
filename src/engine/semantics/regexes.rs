//! The functions and operators that take regular expressions.
//!
//! A constant pattern of `~` is translated when the query is planned; what has no equal is refused, for it would match something else.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, ListBuilder, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, ScalarUDF};

use crate::error::{ClientMessage, SqlState};

use super::are::{self, Found, Pattern};
use super::function::{Function, Result, arg, client, fault};
use super::{casts, regex_places};

pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    vec![
        first_match().udf(),
        like().udf(),
        nth_match().udf(),
        replace().udf(),
        split().udf(),
        regex_places::count().udf(),
        regex_places::place().udf(),
    ]
}

/// `text ~ pattern`: a constant in the engine's words, so that the engine may look for plain texts instead; others row by row.
pub(super) fn matched(text: Expr, op: Operator, pattern: Expr) -> Result<Expr> {
    if let Some(constant) = casts::text_of(&pattern) {
        let written = are::parse(constant, are::Options::default())?.with_options();
        let right = Box::new(Expr::Literal(ScalarValue::Utf8(Some(written)), None));
        return Ok(Expr::BinaryExpr(BinaryExpr { left: Box::new(text), op, right }));
    }
    let (flags, negated) = match op {
        Operator::RegexIMatch => ("i", false),
        Operator::RegexNotMatch => ("", true),
        Operator::RegexNotIMatch => ("i", true),
        _ => ("", false),
    };
    let flags = Expr::Literal(ScalarValue::Utf8(Some(flags.to_owned())), None);
    let found = like().call(vec![text, pattern, flags]);
    Ok(if negated { Expr::Not(Box::new(found)) } else { found })
}

/// Compiles the patterns of a column, of which most are the same.
#[derive(Default)]
pub(super) struct Compiled {
    last: Option<(String, String, Pattern, bool)>,
}

impl Compiled {
    /// The pattern under flags, and whether they ask for all matches.
    pub(super) fn flagged(&mut self, pattern: &str, flags: &str) -> Result<(&Pattern, bool)> {
        if self.last.as_ref().is_none_or(|(known, with, ..)| known != pattern || with != flags) {
            let (compiled, global) = compiled(pattern, flags)?;
            self.last = Some((pattern.to_owned(), flags.to_owned(), compiled, global));
        }
        match &self.last {
            Some((_, _, pattern, global)) => Ok((pattern, *global)),
            None => Err(fault(SqlState::INTERNAL_ERROR, "no pattern was compiled")),
        }
    }

    /// The pattern under flags, which do not ask for all matches.
    pub(super) fn once(&mut self, pattern: &str, flags: &str, function: &str) -> Result<&Pattern> {
        match self.flagged(pattern, flags)? {
            (_, true) => {
                let text = format!("{function}() does not support the \"global\" option");
                Err(fault(SqlState::INVALID_PARAMETER_VALUE, &text))
            }
            (pattern, false) => Ok(pattern),
        }
    }
}

fn compiled(pattern: &str, flags: &str) -> Result<(Pattern, bool)> {
    let (mut options, mut global) = (are::Options::default(), false);
    for flag in flags.chars() {
        match flag {
            'g' => global = true,
            flag if options.flag(flag)? => {}
            flag => {
                let text = format!("invalid regular expression option: \"{flag}\"");
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, &text));
            }
        }
    }
    Ok((Pattern::compile(pattern, options)?, global))
}

/// The texts, patterns and flags of a call; `None` where one of them is NULL.
struct Asked<'a> {
    texts: &'a StringArray,
    patterns: &'a StringArray,
    flags: Option<&'a StringArray>,
}

impl<'a> Asked<'a> {
    fn of(args: &'a [ArrayRef], flags: usize) -> Result<Self> {
        let flags = if args.len() > flags { Some(arg::<StringArray>(args, flags)?) } else { None };
        Ok(Self { texts: arg::<StringArray>(args, 0)?, patterns: arg::<StringArray>(args, 1)?, flags })
    }

    fn row(&self, row: usize) -> Option<(&'a str, &'a str, &'a str)> {
        let flags = self.flags.map_or(Some(""), |flags| flags.is_valid(row).then(|| flags.value(row)))?;
        (self.texts.is_valid(row) && self.patterns.is_valid(row)).then(|| (self.texts.value(row), self.patterns.value(row), flags))
    }
}

fn texts(least: usize, most: usize) -> impl Fn(&[DataType]) -> Option<Vec<DataType>> {
    move |types| (least..=most).contains(&types.len()).then(|| vec![DataType::Utf8; types.len()])
}

/// `substring(text from pattern)`: the first group that the pattern has, else all that it matches.
pub(super) fn substring() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let asked = Asked::of(args, 2)?;
        let mut compiled = Compiled::default();
        let mut one = |row: usize| {
            let Some((text, pattern, flags)) = asked.row(row) else { return Ok(None) };
            let found = compiled.flagged(pattern, flags)?.0.at(text, 0)?;
            Ok(found.and_then(|found| found.parts().next().flatten().map(str::to_owned)))
        };
        Ok(Arc::new((0..rows).map(&mut one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    Function::new("substring_match", texts(2, 2), |_| Some(DataType::Utf8), computes)
}

/// `regexp_like(text, pattern [, flags])`.
fn like() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let asked = Asked::of(args, 2)?;
        let mut compiled = Compiled::default();
        let mut one = |row: usize| {
            let Some((text, pattern, flags)) = asked.row(row) else { return Ok(None) };
            Ok(Some(compiled.once(pattern, flags, "regexp_like")?.is_match(text)))
        };
        Ok(Arc::new((0..rows).map(&mut one).collect::<Result<BooleanArray>>()?) as ArrayRef)
    };
    Function::new("regexp_like", texts(2, 3), |_| Some(DataType::Boolean), computes)
}

/// `regexp_match(text, pattern [, flags])`: the texts of the groups, or of the match.
fn first_match() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let asked = Asked::of(args, 2)?;
        let mut compiled = Compiled::default();
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let Some((text, pattern, flags)) = asked.row(row) else {
                lists.append(false);
                continue;
            };
            let found = match compiled.flagged(pattern, flags)? {
                (_, true) => return Err(global_match()),
                (pattern, false) => pattern.at(text, 0)?,
            };
            if let Some(found) = &found {
                found.parts().for_each(|part| lists.values().append_option(part));
            }
            lists.append(found.is_some());
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let gives = |_: &[DataType]| Some(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))));
    Function::new("regexp_match", texts(2, 3), gives, computes)
}

fn global_match() -> datafusion::error::DataFusionError {
    let message = ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, "regexp_match() does not support the \"global\" option");
    client(message.with_hint("Use the regexp_matches function instead."))
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

/// The matches from a letter on, which is counted from one.
pub(super) fn from_letter<'a>(pattern: &'a Pattern, text: &'a str, letter: i64) -> impl Iterator<Item = Result<Found<'a>>> {
    let place = place_of(text, letter);
    place.into_iter().flat_map(move |place| pattern.every(text, place))
}

/// Where a letter begins; none if the text ends before that.
fn place_of(text: &str, letter: i64) -> Option<usize> {
    let skipped = usize::try_from(letter - 1).ok()?;
    text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(skipped)
}

/// `regexp_substr(text, pattern [, start [, n [, flags [, subexpr]]]])`.
fn nth_match() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let asked = Asked::of(args, 4)?;
        let mut compiled = Compiled::default();
        let mut one = |row: usize| {
            let start = whole(args, 2, row, 1, "start", 1)?;
            let number = whole(args, 3, row, 1, "n", 1)?;
            let group = whole(args, 5, row, 0, "subexpr", 0)?;
            let (Some(start), Some(number), Some(group)) = (start, number, group) else { return Ok(None) };
            let Some((text, pattern, flags)) = asked.row(row) else { return Ok(None) };
            let pattern = compiled.once(pattern, flags, "regexp_substr")?;
            let found = from_letter(pattern, text, start).nth(usize::try_from(number - 1).unwrap_or(usize::MAX)).transpose()?;
            let group = usize::try_from(group).unwrap_or(usize::MAX);
            Ok(found.and_then(|found| found.text(group).map(str::to_owned)))
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
        let news = arg::<StringArray>(args, 2)?;
        let counted = args.get(3).is_some_and(|found| found.data_type().is_integer());
        let asked = Asked::of(args, if counted { 5 } else { 3 })?;
        let mut compiled = Compiled::default();
        let mut made = 0_usize;
        let mut one = |row: usize| {
            let start = if counted { whole(args, 3, row, 1, "start", 1)? } else { Some(1) };
            let number = if counted { whole(args, 4, row, -1, "n", 0)? } else { Some(-1) };
            let (Some(start), Some(number)) = (start, number) else { return Ok(None) };
            let Some((text, pattern, flags)) = asked.row(row).filter(|_| news.is_valid(row)) else { return Ok(None) };
            let (pattern, global) = compiled.flagged(pattern, flags)?;
            // Without a number it is the first match, or all of them; a number of zero is all of them, too.
            let which = match number {
                -1 if global => None,
                -1 => Some(1),
                0 => None,
                number => usize::try_from(number).ok(),
            };
            let replaced = substituted(pattern, text, start, news.value(row), which, REPLACED_BYTES_MAX - made)?;
            made += replaced.len();
            if made > REPLACED_BYTES_MAX { Err(too_long()) } else { Ok(Some(replaced)) }
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
fn substituted(pattern: &Pattern, text: &str, start: i64, new: &str, which: Option<usize>, bytes_max: usize) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for (number, found) in from_letter(pattern, text, start).enumerate() {
        let found = found?;
        if which.is_some_and(|which| number + 1 < which) {
            continue;
        }
        out.push_str(text.get(last..found.start()).unwrap_or_default());
        put(new, &found, &mut out);
        last = found.end();
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

/// What is put in the place of a match.
fn put(new: &str, found: &Found<'_>, out: &mut String) {
    let mut letters = new.chars();
    while let Some(letter) = letters.next() {
        let escaped = if letter == '\\' {
            letters.next().unwrap_or('\\')
        } else {
            out.push(letter);
            continue;
        };
        let group = match escaped {
            '&' => Some(0),
            '1'..='9' => escaped.to_digit(10).and_then(|digit| usize::try_from(digit).ok()),
            _ => None,
        };
        match group {
            Some(group) => out.push_str(found.text(group).unwrap_or_default()),
            None if escaped == '\\' => out.push('\\'),
            None => out.extend(['\\', escaped]),
        }
    }
}

/// `regexp_split_to_array(text, pattern [, flags])`.
fn split() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let asked = Asked::of(args, 2)?;
        let mut compiled = Compiled::default();
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let Some((text, pattern, flags)) = asked.row(row) else {
                lists.append(false);
                continue;
            };
            let pattern = compiled.once(pattern, flags, "regexp_split_to_array")?;
            for part in parts(pattern, text)? {
                lists.values().append_value(part);
            }
            lists.append(true);
        }
        Ok(Arc::new(lists.finish()) as ArrayRef)
    };
    let gives = |_: &[DataType]| Some(DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))));
    Function::new("regexp_split_to_array", texts(2, 3), gives, computes)
}

/// What stands between the matches; a match of nothing at either end, or behind another match, splits nothing.
fn parts<'a>(pattern: &Pattern, text: &'a str) -> Result<Vec<&'a str>> {
    let mut parts = Vec::new();
    let (mut start, mut passed) = (0, 0);
    for found in pattern.every(text, 0) {
        let found = found?;
        if found.start() < text.len() && found.end() > passed {
            parts.push(text.get(start..found.start()).unwrap_or_default());
            start = found.end();
        }
        passed = found.end();
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::compile(text, are::Options::default()).unwrap()
    }

    #[test]
    fn matches_are_replaced_by_their_groups() {
        let of = |text: &str, of: &str, new: &str, which| substituted(&pattern(of), text, 1, new, which, 1 << 20).unwrap();
        assert_eq!(of("abcabc", "b", r"[\&]", None), "a[b]ca[b]c");
        assert_eq!(of("foo bar", r"(\w+) (\w+)", r"\2 \1\\", Some(1)), r"bar foo\");
        assert_eq!(of("aXbXc", "X", "-", Some(2)), "aXb-c");
        assert_eq!(of("abc", "x*", "-", None), "-a-b-c-");
        assert_eq!(of("a1b", r"\d*", "-", None), "-a--b-");
        assert_eq!(of("ab", "b", r"\", None), r"a\");
    }

    #[test]
    fn what_stands_before_the_start_is_looked_at() {
        let of = |of: &str, start| substituted(&pattern(of), "abcabc", start, "x", Some(1), 1 << 20).unwrap();
        assert_eq!(of("^abc", 4), "abcabc");
        assert_eq!(of("abc", 4), "abcx");
        assert_eq!((of("$", 7), of("$", 8)), ("abcabcx".to_owned(), "abcabc".to_owned()));
    }

    #[test]
    fn splitting_leaves_out_matches_of_nothing_at_the_ends() {
        assert_eq!(parts(&pattern(","), "a,b,,c").unwrap(), ["a", "b", "", "c"]);
        assert_eq!(parts(&pattern(""), "abc").unwrap(), ["a", "b", "c"]);
        assert_eq!(parts(&pattern(r"\s*"), "a b").unwrap(), ["a", "b"]);
        assert_eq!(parts(&pattern(",|,b"), "a,b").unwrap(), ["a", ""]);
    }
}
