//! Reads an expression as PostgreSQL does, with its errors.

use super::super::function::Result;
use super::escape::{self, Escape};
use super::syntax::{Atom, Branch, Group, Options, Parsed, Piece, Prefers};
use super::{bracket, invalid, prefix, refused, too_complex};

/// The largest number that a quantifier may name.
const TIMES_MAX: u32 = 255;
/// How deep groups may stand within each other.
const DEPTH_MAX: usize = 100;

pub(in crate::engine::semantics) fn parse(pattern: &str, options: Options) -> Result<Parsed> {
    let (options, rest) = prefix::read(pattern, options)?;
    let either_case = options.either_case;
    if options.literal {
        let branch = rest.chars().map(|each| Piece::once(Atom::Letter(letter(each)))).collect();
        return Ok(Parsed { branches: vec![branch], groups: 0, either_case });
    }
    let mut parser = Parser { letters: Letters { text: rest, at: 0 }, options, groups: 0, depth: 0 };
    let branches = parser.branches()?;
    match parser.letters.rest() {
        "" => Ok(Parsed { branches, groups: parser.groups, either_case }),
        _ => Err(invalid("parentheses () not balanced")),
    }
}

/// A letter that stands for itself, in the engine's words, in brackets and without.
pub(super) fn letter(letter: char) -> String {
    regex::escape(letter.encode_utf8(&mut [0; 4]))
}

/// The letters that are left.
pub(super) struct Letters<'a> {
    text: &'a str,
    at: usize,
}

impl Letters<'_> {
    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.rest().chars().next()?;
        self.at += letter.len_utf8();
        Some(letter)
    }

    /// Gives the last letter back.
    pub(super) fn back(&mut self) {
        let last = self.text.get(..self.at).and_then(|passed| passed.chars().next_back());
        self.at -= last.map_or(0, char::len_utf8);
    }

    pub(super) fn skip(&mut self, letters: usize) {
        for _ in 0..letters {
            self.next();
        }
    }

    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }
}

struct Parser<'a> {
    letters: Letters<'a>,
    options: Options,
    groups: usize,
    depth: usize,
}

impl Parser<'_> {
    fn branches(&mut self) -> Result<Vec<Branch>> {
        let mut branches = vec![self.branch()?];
        while self.letters.eat("|") {
            branches.push(self.branch()?);
        }
        Ok(branches)
    }

    fn branch(&mut self) -> Result<Branch> {
        let mut pieces = Branch::new();
        loop {
            self.pass()?;
            let rest = self.letters.rest();
            if rest.is_empty() || rest.starts_with(['|', ')']) {
                return Ok(pieces);
            }
            let atom = self.atom()?;
            pieces.push(self.quantified(atom)?);
        }
    }

    /// Passes over comments, and over blanks where they stand for nothing.
    fn pass(&mut self) -> Result<()> {
        loop {
            if self.letters.eat("(?#") {
                let Some((comment, _)) = self.letters.rest().split_once(')') else { return Err(unbalanced()) };
                let length = comment.chars().count() + 1;
                self.letters.skip(length);
            } else if self.options.spaced && self.letters.rest().starts_with(char::is_whitespace) {
                self.letters.skip(1);
            } else if self.options.spaced && self.letters.eat("#") {
                let length = self.letters.rest().split('\n').next().unwrap_or_default().chars().count();
                self.letters.skip(length);
            } else {
                return Ok(());
            }
        }
    }

    fn atom(&mut self) -> Result<Atom> {
        for (bound, place) in [("[[:<:]]", r"\b{start}"), ("[[:>:]]", r"\b{end}")] {
            if self.letters.eat(bound) {
                return Ok(Atom::Place(place));
            }
        }
        let Options { within_lines, at_lines, .. } = self.options;
        Ok(match self.letters.next() {
            Some('(') => self.group()?,
            Some('[') => Atom::Letter(bracket::read(&mut self.letters, self.groups, within_lines)?),
            Some('.') => Atom::Letter(if within_lines { r"[^\n]" } else { "(?s:.)" }.to_owned()),
            Some('^') => Atom::Place(if at_lines { "(?m:^)" } else { "^" }),
            Some('$') => Atom::Place(if at_lines { "(?m:$)" } else { "$" }),
            Some('*' | '+' | '?') => return Err(invalid("quantifier operand invalid")),
            Some('{') if self.letters.rest().starts_with(|letter: char| letter.is_ascii_digit()) => {
                return Err(invalid("quantifier operand invalid"));
            }
            Some('\\') => match escape::read(&mut self.letters, self.groups)? {
                Escape::Letter(found) => Atom::Letter(letter(found)),
                Escape::Class(class, false) => Atom::Letter(format!("[{class}]")),
                Escape::Class(class, true) => Atom::Letter(format!("[^{class}]")),
                Escape::Place(place) => Atom::Place(place),
            },
            Some(found) => Atom::Letter(letter(found)),
            None => return Err(too_complex()),
        })
    }

    fn group(&mut self) -> Result<Atom> {
        let mut number = None;
        if self.letters.eat("?") {
            if ["=", "!", "<=", "<!"].iter().any(|kind| self.letters.rest().starts_with(kind)) {
                return Err(refused("constraints that look around"));
            }
            if !self.letters.eat(":") {
                return Err(invalid("quantifier operand invalid"));
            }
        } else {
            self.groups += 1;
            number = Some(self.groups);
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(too_complex());
        }
        let branches = self.branches()?;
        self.depth -= 1;
        if self.letters.eat(")") { Ok(Atom::Group(Group { number, branches })) } else { Err(unbalanced()) }
    }

    fn quantified(&mut self, atom: Atom) -> Result<Piece> {
        self.pass()?;
        if matches!(atom, Atom::Place(_)) {
            return Ok(Piece::once(atom));
        }
        let (least, most, chooses) = match self.letters.rest().chars().next() {
            Some('*') => (0, None, true),
            Some('+') => (1, None, true),
            Some('?') => (0, Some(1), true),
            Some('{') => {
                let digit = self.letters.rest().chars().nth(1);
                if !digit.is_some_and(|digit| digit.is_ascii_digit()) {
                    return Ok(Piece::once(atom));
                }
                self.bounds()?
            }
            _ => return Ok(Piece::once(atom)),
        };
        // What is left behind bounds is their closing brace.
        self.letters.skip(1);
        let prefers = if self.letters.eat("?") { Prefers::Shortest } else { Prefers::Longest };
        Ok(Piece { atom, least, most, prefers: chooses.then_some(prefers) })
    }

    /// `{m}`, `{m,}`, `{m,n}`, up to the brace that closes it.
    fn bounds(&mut self) -> Result<(u32, Option<u32>, bool)> {
        self.letters.skip(1);
        let least = self.times()?.ok_or_else(repetition)?;
        let (most, chooses) = if self.letters.eat(",") { (self.times()?, true) } else { (Some(least), false) };
        if most.is_some_and(|most| most < least) {
            return Err(repetition());
        }
        match self.letters.rest().chars().next() {
            Some('}') => Ok((least, most, chooses)),
            Some(_) => Err(repetition()),
            None => Err(invalid("braces {} not balanced")),
        }
    }

    fn times(&mut self) -> Result<Option<u32>> {
        let digits: String = self.letters.rest().chars().take_while(char::is_ascii_digit).collect();
        self.letters.skip(digits.len());
        if digits.is_empty() {
            return Ok(None);
        }
        digits.parse().ok().filter(|times| *times <= TIMES_MAX).map(Some).ok_or_else(repetition)
    }
}

fn repetition() -> datafusion::error::DataFusionError {
    invalid("invalid repetition count(s)")
}

fn unbalanced() -> datafusion::error::DataFusionError {
    invalid("parentheses () not balanced")
}
