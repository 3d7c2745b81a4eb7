//! What stands before an expression and says how it is read: `***=`, `***:`, `(?i)`.

use super::super::function::Result;
use super::syntax::Options;
use super::{invalid, refused};

/// The options of an expression, and the rest of it.
pub(super) fn read(pattern: &str, given: Options) -> Result<(Options, &str)> {
    let mut options = given;
    if options.literal {
        return Ok((options, pattern));
    }
    let mut rest = pattern;
    if let Some(behind) = pattern.strip_prefix("***") {
        if let Some(letters) = behind.strip_prefix('=') {
            return Ok((Options { literal: true, either_case: options.either_case, ..Options::default() }, letters));
        }
        rest = behind.strip_prefix(':').ok_or_else(|| invalid("quantifier operand invalid"))?;
    }
    let embedded = rest.strip_prefix("(?").filter(|behind| behind.starts_with(|letter: char| letter.is_ascii_alphabetic()));
    let Some(embedded) = embedded else { return Ok((options, rest)) };
    let (flags, rest) = embedded.split_once(')').ok_or_else(|| invalid("invalid embedded option"))?;
    for flag in flags.chars() {
        if !options.flag(flag)? {
            return Err(invalid("invalid embedded option"));
        }
    }
    Ok((options, rest))
}

impl Options {
    /// Takes one flag up; false if there is no such flag.
    pub(in crate::engine::semantics) fn flag(&mut self, flag: char) -> Result<bool> {
        match flag {
            'i' => self.either_case = true,
            'c' => self.either_case = false,
            'x' => self.spaced = true,
            't' => self.spaced = false,
            'q' => self.literal = true,
            'n' | 'm' => (self.within_lines, self.at_lines) = (true, true),
            'p' => (self.within_lines, self.at_lines) = (true, false),
            'w' => (self.within_lines, self.at_lines) = (false, true),
            's' => (self.within_lines, self.at_lines) = (false, false),
            'e' => {}
            'b' => return Err(refused("these options")),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
