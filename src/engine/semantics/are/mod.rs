//! PostgreSQL's regular expressions, which it calls advanced: which part of a text they match, and which parts their groups.
//!
//! Whether a text matches, and where the first match begins, are the same questions for the engine's expressions. Where a match ends, and
//! what its groups have of it, are others: the engine takes the first alternative that leads to a match, PostgreSQL the longest match, or
//! the shortest, and then for each part in turn the longest or the shortest text. INVARIANT: an expression whose answers might differ is taken
//! apart by PostgreSQL's rules; only one whose answers cannot is left to the engine.

mod agreed;
mod bracket;
mod dissection;
mod escape;
mod parse;
mod prefix;
mod scan;
mod syntax;
mod written;

use std::ops::Range;

use regex::{Regex, RegexBuilder};

use crate::error::SqlState;

use super::function::{Result, fault};

use dissection::Dissection;
pub(super) use parse::parse;
use scan::Steps;
pub(super) use syntax::{Options, Parsed};

/// Bytes that a compiled pattern may take.
const COMPILED_MAX: usize = 1 << 20;

/// An expression that is ready to be looked for.
pub(super) struct Pattern {
    regex: Regex,
    /// How many groups it has.
    groups: usize,
    /// How its matches are taken apart, where the engine might answer otherwise.
    dissection: Option<Dissection>,
    steps: Steps,
}

/// A match: where it is, and where its groups are.
pub(super) struct Found<'a> {
    text: &'a str,
    whole: Range<usize>,
    groups: Vec<Option<Range<usize>>>,
}

impl<'a> Found<'a> {
    pub(super) fn start(&self) -> usize {
        self.whole.start
    }

    pub(super) fn end(&self) -> usize {
        self.whole.end
    }

    /// Where a group is, from one on; zero is the match.
    pub(super) fn range(&self, group: usize) -> Option<Range<usize>> {
        match group.checked_sub(1) {
            None => Some(self.whole.clone()),
            Some(at) => self.groups.get(at).cloned().flatten(),
        }
    }

    pub(super) fn text(&self, group: usize) -> Option<&'a str> {
        self.text.get(self.range(group)?)
    }

    /// The texts of the groups, or of the match if it has none.
    pub(super) fn parts(&self) -> impl Iterator<Item = Option<&'a str>> {
        let first = usize::from(!self.groups.is_empty());
        (first..=self.groups.len()).map(|group| self.text(group))
    }
}

impl Pattern {
    pub(super) fn compile(pattern: &str, options: Options) -> Result<Self> {
        let parsed = parse(pattern, options)?;
        let regex = built(&parsed)?;
        let dissection = if agreed::agrees(&parsed) { None } else { Some(Dissection::of(&parsed)?) };
        Ok(Self { regex, groups: parsed.groups, dissection, steps: Steps::default() })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The first match from a place on; what stands before it is looked at by `^` and its like.
    pub(super) fn at<'a>(&self, text: &'a str, from: usize) -> Result<Option<Found<'a>>> {
        if let Some(dissection) = &self.dissection {
            let Some(begun) = self.regex.find_at(text, from) else { return Ok(None) };
            let mut groups = vec![None; self.groups];
            let whole = dissection.of_match(text, begun.start(), &mut groups, &self.steps)?;
            return Ok(Some(Found { text, whole, groups }));
        }
        if self.groups == 0 {
            let found = self.regex.find_at(text, from);
            return Ok(found.map(|found| Found { text, whole: found.range(), groups: Vec::new() }));
        }
        let Some(found) = self.regex.captures_at(text, from) else { return Ok(None) };
        let Some(whole) = found.get(0) else { return Ok(None) };
        let groups = (1..=self.groups).map(|group| found.get(group).map(|group| group.range())).collect();
        Ok(Some(Found { text, whole: whole.range(), groups }))
    }

    /// The matches one after another, from a place on. Behind a match of something, one of nothing counts, too.
    pub(super) fn every<'a>(&'a self, text: &'a str, from: usize) -> impl Iterator<Item = Result<Found<'a>>> + 'a {
        let mut start = Some(from);
        std::iter::from_fn(move || {
            let found = match self.at(text, start?) {
                Ok(found) => found?,
                Err(error) => {
                    start = None;
                    return Some(Err(error));
                }
            };
            start = if found.start() == found.end() {
                text.get(found.end()..).and_then(|behind| behind.chars().next()).map(|letter| found.end() + letter.len_utf8())
            } else {
                Some(found.end())
            };
            Some(Ok(found))
        })
    }
}

/// An expression of which it matters only whether a text matches.
pub(super) fn searched(pattern: &str, options: Options) -> Result<Regex> {
    built(&parse(pattern, options)?)
}

fn built(parsed: &Parsed) -> Result<Regex> {
    let mut builder = RegexBuilder::new(&parsed.written());
    builder.case_insensitive(parsed.either_case).size_limit(COMPILED_MAX);
    builder.build().map_err(|_| too_complex())
}

fn invalid(what: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::INVALID_REGULAR_EXPRESSION, &format!("invalid regular expression: {what}"))
}

fn refused(what: &str) -> datafusion::error::DataFusionError {
    fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("{what} in regular expressions are not supported"))
}

fn too_complex() -> datafusion::error::DataFusionError {
    invalid("regular expression is too complex")
}

#[cfg(test)]
mod tests;
