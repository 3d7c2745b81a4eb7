//! The words of an interval: numbers, clocks, names.

use super::{Fault, Read};

/// A word, in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Digits with colons.
    Clock(String),
    /// Digits, with a sign before them.
    Signed(String),
    /// Digits, perhaps with a point or a minus among them.
    Number(String),
    Name(String),
}

/// The words of a text; signs of other kinds stand between them.
pub(super) fn words(text: &str) -> Read<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            letter if letter.is_ascii_whitespace() => (None, rest.trim_start_matches(|letter: char| letter.is_ascii_whitespace())),
            '0'..='9' => number(rest),
            '.' => {
                let (digits, after) = taken(rest, |at, letter| at == 0 || letter.is_ascii_digit());
                (Some(Word::Number(digits.to_owned())), after)
            }
            '+' | '-' => signed(first, rest.get(1..).unwrap_or_default())?,
            letter if letter.is_ascii_alphabetic() => {
                let (name, after) = taken(rest, |_, letter| letter.is_ascii_alphabetic());
                let name = name.to_ascii_lowercase();
                // Such a word would be a date; but the letter of a unit may stand before a number.
                let letter = matches!(name.as_str(), "d" | "h" | "m" | "s" | "y");
                let begins = |next: char| matches!(next, '-' | '/' | '.') || !letter && (next == '+' || next.is_ascii_digit());
                if after.starts_with(begins) {
                    return Err(Fault::Malformed);
                }
                (Some(Word::Name(name)), after)
            }
            letter if letter.is_ascii_punctuation() => (None, rest.get(1..).unwrap_or_default()),
            _ => return Err(Fault::Malformed),
        };
        words.extend(word);
        rest = after;
    }
    Ok(words)
}

fn taken(text: &str, fits: impl Fn(usize, char) -> bool) -> (&str, &str) {
    let end = text.char_indices().find(|(at, letter)| !fits(*at, *letter)).map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

/// What begins with a digit.
fn number(text: &str) -> (Option<Word>, &str) {
    let (digits, after) = taken(text, |_, letter| letter.is_ascii_digit());
    match after.chars().next() {
        Some(':') => {
            let (clock, after) = taken(text, |_, letter| letter.is_ascii_digit() || matches!(letter, ':' | '.'));
            (Some(Word::Clock(clock.to_owned())), after)
        }
        Some('-' | '/' | '.') => {
            let (number, after) = taken(text, |_, letter| letter.is_ascii_digit() || matches!(letter, '-' | '/' | '.'));
            (Some(Word::Number(number.to_owned())), after)
        }
        _ => (Some(Word::Number(digits.to_owned())), after),
    }
}

/// What stands behind a sign, from which blanks may part it.
fn signed(sign: char, text: &str) -> Read<(Option<Word>, &str)> {
    let text = text.trim_start_matches(|letter: char| letter.is_ascii_whitespace());
    let (word, after) = taken(text, |at, letter| letter.is_ascii_digit() || at > 0 && matches!(letter, ':' | '.' | '-'));
    if word.is_empty() { Err(Fault::Malformed) } else { Ok((Some(Word::Signed(format!("{sign}{word}"))), after)) }
}
