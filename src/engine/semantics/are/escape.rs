//! What a backslash stands for.

use super::super::function::Result;
use super::parse::Letters;
use super::{invalid, refused};

/// An escape, read behind its backslash.
pub(super) enum Escape {
    Letter(char),
    /// `\d` and its like, as what stands between brackets, and whether it is all else.
    Class(&'static str, bool),
    Place(&'static str),
}

/// Letters of words.
pub(super) const WORD: &str = r"\w";
pub(super) const SPACE: &str = r"\s";
/// PostgreSQL's digits are those of ASCII.
pub(super) const DIGIT: &str = "0-9";

pub(super) fn read(letters: &mut Letters<'_>, groups: usize) -> Result<Escape> {
    let Some(letter) = letters.next() else { return Err(escape_fault()) };
    if !letter.is_ascii_alphanumeric() {
        return Ok(Escape::Letter(letter));
    }
    Ok(match letter {
        'a' => Escape::Letter('\x07'),
        'b' => Escape::Letter('\x08'),
        'B' => Escape::Letter('\\'),
        'e' => Escape::Letter('\x1b'),
        'f' => Escape::Letter('\x0c'),
        'n' => Escape::Letter('\n'),
        'r' => Escape::Letter('\r'),
        't' => Escape::Letter('\t'),
        'v' => Escape::Letter('\x0b'),
        'c' => {
            let control = letters.next().map(u32::from).ok_or_else(escape_fault)?;
            Escape::Letter(char::from_u32(control & 0x1f).ok_or_else(escape_fault)?)
        }
        'd' | 'D' => Escape::Class(DIGIT, letter == 'D'),
        's' | 'S' => Escape::Class(SPACE, letter == 'S'),
        'w' | 'W' => Escape::Class(WORD, letter == 'W'),
        'A' => Escape::Place(r"\A"),
        'Z' => Escape::Place(r"\z"),
        'm' => Escape::Place(r"\b{start}"),
        'M' => Escape::Place(r"\b{end}"),
        'y' => Escape::Place(r"\b"),
        'Y' => Escape::Place(r"\B"),
        'u' => Escape::Letter(number(letters, 16, 4, 4)?),
        'U' => Escape::Letter(number(letters, 16, 8, 8)?),
        'x' => Escape::Letter(number(letters, 16, 1, 255)?),
        '1'..='9' => numbered(letters, letter, groups)?,
        '0' => {
            letters.back();
            Escape::Letter(octal(letters)?)
        }
        _ => return Err(escape_fault()),
    })
}

/// A group again, or a letter by its number.
fn numbered(letters: &mut Letters<'_>, first: char, groups: usize) -> Result<Escape> {
    let behind: String = letters.rest().chars().take_while(char::is_ascii_digit).collect();
    let group = format!("{first}{behind}").parse::<usize>().unwrap_or(usize::MAX);
    if !behind.is_empty() && group > groups {
        letters.back();
        return Ok(Escape::Letter(octal(letters)?));
    }
    Err(if group > groups { invalid("invalid backreference number") } else { refused("back references") })
}

/// Up to three octal digits, of which the last one does not count if it leads too far.
fn octal(letters: &mut Letters<'_>) -> Result<char> {
    let digits: Vec<u32> = letters.rest().chars().take(3).map_while(|digit| digit.to_digit(8)).collect();
    if digits.is_empty() {
        return Err(escape_fault());
    }
    let of = |digits: &[u32]| digits.iter().fold(0, |value, digit| value * 8 + digit);
    let taken = if of(&digits) > 0xff { digits.len() - 1 } else { digits.len() };
    letters.skip(taken);
    char::from_u32(of(digits.get(..taken).unwrap_or_default())).ok_or_else(escape_fault)
}

fn number(letters: &mut Letters<'_>, radix: u32, least: usize, most: usize) -> Result<char> {
    let digits: Vec<u32> = letters.rest().chars().take(most).map_while(|digit| digit.to_digit(radix)).collect();
    if digits.len() < least {
        return Err(escape_fault());
    }
    letters.skip(digits.len());
    let value = digits.iter().try_fold(0_u32, |value, digit| value.checked_mul(radix)?.checked_add(*digit));
    value.and_then(char::from_u32).ok_or_else(escape_fault)
}

pub(super) fn escape_fault() -> datafusion::error::DataFusionError {
    invalid(r"invalid escape \ sequence")
}
