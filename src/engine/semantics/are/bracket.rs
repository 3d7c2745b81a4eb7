//! `[…]`: one of several letters.

use super::super::function::Result;
use super::escape::{self, DIGIT, Escape, SPACE, WORD};
use super::parse::{Letters, letter};
use super::{invalid, refused};

/// Reads behind `[`; where lines end matches, what leaves letters out leaves the end of a line out, too.
pub(super) fn read(letters: &mut Letters<'_>, groups: usize, within_lines: bool) -> Result<String> {
    let mut out = String::from("[");
    if letters.eat("^") {
        out.push('^');
        if within_lines {
            out.push_str(r"\n");
        }
    }
    let mut first = true;
    loop {
        if !first && letters.eat("]") {
            out.push(']');
            return Ok(out);
        }
        match member(letters, groups, first)? {
            Member::Class(class) => out.push_str(&class),
            Member::Letter(start) if letters.rest().starts_with('-') && !letters.rest().starts_with("-]") => {
                letters.skip(1);
                let Member::Letter(end) = member(letters, groups, true)? else { return Err(invalid("invalid character range")) };
                if start > end {
                    return Err(invalid("invalid character range"));
                }
                out.push_str(&format!("{}-{}", letter(start), letter(end)));
            }
            Member::Letter(single) => out.push_str(&letter(single)),
        }
        first = false;
    }
}

enum Member {
    Letter(char),
    /// Several letters, in the engine's words.
    Class(String),
}

/// One member; a hyphen is one at the first place, and at the last.
fn member(letters: &mut Letters<'_>, groups: usize, first: bool) -> Result<Member> {
    for (open, close) in [("[:", ":]"), ("[.", ".]"), ("[=", "=]")] {
        if letters.eat(open) {
            let Some((name, _)) = letters.rest().split_once(close) else { return Err(unbalanced()) };
            let name = name.to_owned();
            letters.skip(name.chars().count() + close.len());
            return if open == "[:" { Ok(Member::Class(class(&name)?.to_owned())) } else { element(&name).map(Member::Letter) };
        }
    }
    match letters.next() {
        None => Err(unbalanced()),
        Some('\\') => match escape::read(letters, groups)? {
            Escape::Letter(letter) => Ok(Member::Letter(letter)),
            Escape::Class(class, false) => Ok(Member::Class(class.to_owned())),
            Escape::Class(class, true) => Ok(Member::Class(format!("[^{class}]"))),
            Escape::Place(_) => Err(escape::escape_fault()),
        },
        Some('-') if !first && !letters.rest().starts_with(']') => Err(invalid("invalid character range")),
        Some(letter) => Ok(Member::Letter(letter)),
    }
}

/// `[.x.]`, `[=x=]`.
fn element(name: &str) -> Result<char> {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => Ok(letter),
        _ if name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-') && name.len() > 3 => Err(refused("names of letters")),
        _ => Err(invalid("invalid collating element")),
    }
}

fn class(name: &str) -> Result<&'static str> {
    Ok(match name {
        "alnum" => r"\p{Alphabetic}\p{Nd}",
        "alpha" => r"\p{Alphabetic}",
        "ascii" => r"\x00-\x7F",
        "blank" => r"\t\p{Zs}",
        "cntrl" => r"\p{Cc}",
        "digit" => DIGIT,
        "graph" => r"[^\s\p{C}]",
        "lower" => r"\p{Lowercase}",
        "print" => r"\p{Zs}[^\s\p{C}]",
        "punct" => r"\p{P}\p{S}",
        "space" => SPACE,
        "upper" => r"\p{Uppercase}",
        "word" => WORD,
        "xdigit" => "0-9A-Fa-f",
        _ => return Err(invalid("invalid character class")),
    })
}

fn unbalanced() -> datafusion::error::DataFusionError {
    invalid("brackets [] not balanced")
}
