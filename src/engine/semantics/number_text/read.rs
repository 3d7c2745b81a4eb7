//! Numbers read by templates: what `to_number` makes of a text.
//!
//! Follows PostgreSQL's own steps: each pattern takes at most one letter of the text, and what neither fits nor ends the text is passed over.

use crate::error::SqlState;

use super::super::function::{Result, fault};
use super::{Piece, Sign, Template};

/// A number, and how many of its digits stand behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Digits {
    pub(in super::super) value: i128,
    pub(in super::super) scale: usize,
}

/// A template by which numbers can be read.
pub(in super::super) struct Reading(Template);

impl Reading {
    pub(in super::super) fn of(template: &str) -> Result<Self> {
        let template = Template::of(template)?;
        let unsupported = |what: &str| Err(fault(SqlState::FEATURE_NOT_SUPPORTED, &format!("\"{what}\" not supported for input")));
        if template.roman.is_some() {
            return unsupported("RN");
        }
        if template.scientific {
            return unsupported("EEEE");
        }
        if template.pieces.iter().any(|piece| matches!(piece, Piece::Pattern("V", _))) {
            return unsupported("V");
        }
        Ok(Self(template))
    }

    /// The number that a text spells.
    pub(in super::super) fn number(&self, text: &str) -> Result<Digits> {
        let mut reader = Reader { template: &self.0, text: text.chars().collect(), at: 0, sign: None, digits: String::new(), point: None };
        reader.all();
        reader.result()
    }
}

struct Reader<'a> {
    template: &'a Template,
    text: Vec<char>,
    at: usize,
    sign: Option<char>,
    digits: String,
    /// How many digits had been read when the point was.
    point: Option<usize>,
}

impl Reader<'_> {
    fn left(&self) -> bool {
        self.at < self.text.len()
    }

    fn next(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn all(&mut self) {
        let template = self.template;
        for piece in &template.pieces {
            if !self.left() {
                return;
            }
            let name = match piece {
                // What is no pattern stands for one letter, whichever that is.
                Piece::Text(_) => {
                    self.at += 1;
                    continue;
                }
                Piece::Pattern(name, _) => *name,
            };
            match name {
                "9" | "0" | "." | "D" => {
                    self.digit(name);
                    self.at += 1;
                }
                "," | "G" if self.next() == Some(',') => self.at += 1,
                "L" => self.pass(1),
                "TH" if self.sign != Some('-') && !template.decimal => self.pass(2),
                "MI" => self.signed(&['-']),
                "PL" => self.signed(&['+']),
                "SG" => self.signed(&['-', '+']),
                _ => {}
            }
        }
    }

    /// Passes over letters that are no part of a number.
    fn pass(&mut self, count: usize) {
        for _ in 0..count {
            match self.next() {
                Some('0'..='9' | '.' | ',' | '+' | '-') | None => return,
                Some(_) => self.at += 1,
            }
        }
    }

    fn signed(&mut self, signs: &[char]) {
        match self.next() {
            Some(sign) if signs.contains(&sign) => {
                self.sign = Some(sign);
                self.at += 1;
            }
            _ => self.pass(1),
        }
    }

    /// Takes a digit or a point, and the sign beside it; leaves the text at the letter that it has taken.
    fn digit(&mut self, name: &str) {
        if self.next() == Some(' ') {
            self.at += 1;
        }
        if self.sign.is_none() && self.digits.is_empty() && matches!(name, "9" | "0") {
            self.leading_sign();
        }
        let Some(letter) = self.next() else { return };
        let mut taken = false;
        if letter.is_ascii_digit() {
            if self.point.is_some_and(|point| self.digits.len() - point == self.template.post) {
                return;
            }
            self.digits.push(letter);
            taken = true;
        } else if letter == '.' && self.template.decimal && self.point.is_none() {
            self.point = Some(self.digits.len());
            taken = true;
        }
        if self.sign.is_some() || self.digits.is_empty() {
            return;
        }
        self.sign_behind(taken);
    }

    /// The sign before the first digit.
    fn leading_sign(&mut self) {
        match self.next() {
            Some(sign @ ('-' | '+')) => self.sign = Some(sign),
            Some('<') if self.template.brackets => self.sign = Some('-'),
            _ => return,
        }
        self.at += 1;
    }

    /// A sign behind the last digit: that of `S`, or that of a template whose digits are more than the text's.
    fn sign_behind(&mut self, taken: bool) {
        let anchored = self.template.sign != Sign::Plain;
        if anchored && taken {
            if let Some(sign @ ('-' | '+')) = self.text.get(self.at + 1).copied() {
                self.sign = Some(sign);
                self.at += 1;
            }
        } else if !anchored
            && !taken
            && (self.template.plus || self.template.minus)
            && let Some(sign @ ('-' | '+')) = self.next()
        {
            self.sign = Some(sign);
        }
    }

    fn result(self) -> Result<Digits> {
        let scale = self.point.map_or(0, |point| self.digits.len() - point);
        if self.digits.is_empty() {
            return Err(fault(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type numeric"));
        }
        let out_of_range = || fault(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow");
        let value: i128 = self.digits.parse().map_err(|_| out_of_range())?;
        Ok(Digits { value: if self.sign == Some('-') { -value } else { value }, scale })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_postgres_reads_them() {
        for (text, template, value, scale) in [
            ("1,234.50", "9,999.99", 123_450, 2),
            ("-34,338,492", "99G999G999", -34_338_492, 0),
            ("-34,338,492.654,878", "99G999G999D999G999", -34_338_492_654_878, 6),
            ("<564646.654564>", "999999.999999PR", -564_646_654_564, 6),
            ("0.00001-", "9.999999S", -1, 5),
            ("5.01-", "FM9.999999S", -501, 2),
            ("5.01-", "FM9.999999MI", -501, 2),
            ("5 4 4 4 4 8 . 7 8", "9 9 9 9 9 9 . 9 9", 54_444_878, 2),
            (".01", "FM9.99", 1, 2),
            (".0", "99999999.99999999", 0, 1),
            ("0", "99.99", 0, 0),
            (".-01", "S99.99", -1, 2),
            (" . 0 1-", " 9 9 . 9 9 S", -1, 2),
            ("34,50", "999,99", 3450, 0),
            ("123,000", "999G", 123, 0),
            ("123456", "999G999", 123_456, 0),
            ("$1234.56", "L9,999.99", 123_456, 2),
            ("$1,234.56", "L9,999.99", 123_456, 2),
            ("1234.56", "L9,999.99", 123_456, 2),
            ("1,234.56", "L9,999.99", 123_456, 2),
            ("42nd", "99th", 42, 0),
            ("1.59", "9.9", 15, 1),
        ] {
            assert_eq!(Reading::of(template).unwrap().number(text).unwrap(), Digits { value, scale }, "{text} by {template}");
        }
        assert!(Reading::of("99").unwrap().number("x").is_err() && Reading::of("RN").is_err() && Reading::of("9V9").is_err());
    }
}
