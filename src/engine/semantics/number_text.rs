//! Numbers by templates: what `to_char` writes of a number.
//!
//! Follows PostgreSQL's own steps, for its templates mean what those steps do: each pattern is looked at once, from the left, beside the
//! digits of the number that has been rounded to as many places as the template has.

mod read;

use crate::error::SqlState;

use super::function::{Result, fault};
use super::pieces::suffix;

pub(super) use read::{Digits, Reading};

/// The value to be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    /// A floating-point number.
    Float(f64),
    /// So many units of ten to the power of minus the scale.
    Decimal(i128, usize),
}

/// Digits that a floating-point number has.
const FLOAT_DIGITS: usize = 15;

/// Patterns in the order in which they are looked for.
const PATTERNS: [&str; 20] =
    ["EEEE", "FM", "MI", "PL", "PR", "RN", "SG", "SP", "TH", ",", ".", "0", "9", "B", "C", "D", "G", "L", "S", "V"];

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// A pattern, and whether it was written in small letters.
    Pattern(&'static str, bool),
    Text(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Before the first digit, where nothing in the template asks for it.
    Plain,
    /// `S` before or behind the digits.
    Before,
    Behind,
}

/// What a template asks for as a whole.
#[derive(Debug)]
pub(super) struct Template {
    pieces: Vec<Piece>,
    /// Digits before and behind the point, and how many of them `V` shifts.
    pre: usize,
    post: usize,
    shifted: usize,
    decimal: bool,
    /// Digits from the first `0` on are written as zeros; those up to the last one are not cut off.
    zero_start: Option<usize>,
    zero_end: usize,
    fill: bool,
    sign: Sign,
    plus: bool,
    minus: bool,
    brackets: bool,
    roman: Option<bool>,
    scientific: bool,
}

/// How many digits a template has behind the point.
pub(super) fn scale(template: &str) -> Option<usize> {
    Template::of(template).ok().filter(|template| !template.scientific && template.roman.is_none()).map(|template| template.post)
}

impl Number {
    /// Rounded to the places of the template.
    fn text(self, template: &Template) -> String {
        let places = template.post + template.shifted;
        let mut text = match self {
            Self::Float(value) if value.is_finite() => {
                let whole = format!("{:.0}", value.abs().trunc()).len() + template.shifted;
                let kept = if whole >= FLOAT_DIGITS { 0 } else { template.post.min(FLOAT_DIGITS - whole) };
                format!("{value:.*}", kept + template.shifted)
            }
            Self::Float(value) if value.is_nan() => return "NaN".to_owned(),
            Self::Float(value) => return if value < 0.0 { "-Infinity" } else { "Infinity" }.to_owned(),
            Self::Decimal(value, scale) => rounded(value, scale, places),
        };
        if template.shifted > 0 {
            text = shifted(&text, template.shifted);
        }
        if text.starts_with('-') && !text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            text.remove(0);
        }
        text
    }
}

/// A decimal rounded half away from zero to so many digits.
fn rounded(value: i128, scale: usize, digits: usize) -> String {
    let size = value.unsigned_abs();
    let dropped = u32::try_from(scale.saturating_sub(digits)).unwrap_or(u32::MAX);
    // A unit that no number reaches leaves nothing of it.
    let units = 10_u128.checked_pow(dropped).map_or(0, |unit| size / unit + u128::from(size % unit >= unit.div_ceil(2)));
    let kept = scale.min(digits);
    let mut text = if value < 0 { "-".to_owned() } else { String::new() };
    let start = text.len();
    // The machine's own words are written several times as fast.
    match u64::try_from(units) {
        Ok(units) => text.push_str(&units.to_string()),
        Err(_) => text.push_str(&units.to_string()),
    }
    let missing = (kept + 1).saturating_sub(text.len() - start);
    text.insert_str(start, &"0".repeat(missing));
    if digits > 0 {
        text.insert(text.len() - kept, '.');
        text.extend(std::iter::repeat_n('0', digits - kept));
    }
    text
}

/// The point so many places further to the right.
fn shifted(text: &str, places: usize) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (moved, rest) = fraction.split_at_checked(places).unwrap_or((fraction, ""));
    let whole = format!("{whole}{moved}");
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    if rest.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest}") }
}

/// `d.dde+xx`, with a blank where there is no sign.
fn scientific(number: Number, places: usize, pre: usize) -> String {
    let (mantissa, exponent, negative) = match number {
        Number::Float(value) if !value.is_finite() => return format!(" {}.{}####", "#".repeat(pre), "#".repeat(places)),
        Number::Float(value) => {
            let text = format!("{:.places$e}", value.abs());
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            (mantissa.to_owned(), exponent.parse().unwrap_or(0), value.is_sign_negative() && value != 0.0)
        }
        Number::Decimal(value, scale) => {
            let length = value.unsigned_abs().to_string().len();
            let mut exponent = i64::try_from(length).unwrap_or(0) - 1;
            let mut mantissa = rounded(value.saturating_abs(), length - 1, places);
            if mantissa.starts_with("10") {
                exponent += 1;
                mantissa = rounded(1, 0, places);
            }
            let exponent = if value == 0 { 0 } else { exponent - i64::try_from(scale).unwrap_or(0) };
            (mantissa, exponent, value < 0)
        }
    };
    let (sign, direction) = (if negative { '-' } else { ' ' }, if exponent < 0 { '-' } else { '+' });
    format!("{sign}{mantissa}e{direction}{:02}", exponent.unsigned_abs())
}

/// Roman digits of 1 to 3999, to the right of 15 letters.
fn roman(number: Number, small: bool, fill: bool) -> String {
    const DIGITS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let whole = match number {
        Number::Float(value) => format!("{:.0}", value.round_ties_even()),
        Number::Decimal(value, scale) => rounded(value, scale, 0),
    };
    let mut text = String::new();
    match whole.parse::<u32>().ok().filter(|whole| (1..=3999).contains(whole)) {
        None => text.push_str("###############"),
        Some(mut left) => {
            for (value, digit) in DIGITS {
                while left >= value {
                    text.push_str(digit);
                    left -= value;
                }
            }
        }
    }
    let text = if small { text.to_lowercase() } else { text };
    if fill { format!("{text:>15}") } else { text }
}

impl Template {
    /// Writes a number as the template wants it.
    pub(super) fn write(&self, out: &mut String, number: Number) {
        if let Some(small) = self.roman {
            return out.push_str(&roman(number, small, self.fill));
        }
        if self.scientific {
            return out.push_str(&scientific(number, self.post, self.pre));
        }
        let text = number.text(self);
        let (negative, digits) = text.strip_prefix('-').map_or((false, text.as_str()), |digits| (true, digits));
        let places = digits.find('.').unwrap_or(digits.len());
        let spaces = self.pre.saturating_sub(places);
        if places > self.pre {
            let digits = format!("{}.{}", "#".repeat(self.pre), "#".repeat(self.post));
            return Writer::new(self, digits.as_bytes(), negative, spaces, out).all();
        }
        Writer::new(self, digits.as_bytes(), negative, spaces, out).all();
    }

    /// The template, taken apart; only its patterns tell whether a number can be read by it.
    pub(super) fn of(text: &str) -> Result<Self> {
        let mut template = Self {
            pieces: Vec::new(),
            pre: 0,
            post: 0,
            shifted: 0,
            decimal: false,
            zero_start: None,
            zero_end: 0,
            fill: true,
            sign: Sign::Plain,
            plus: false,
            minus: false,
            brackets: false,
            roman: None,
            scientific: false,
        };
        let mut rest = text;
        let mut before_sign = 0;
        let mut shifting = false;
        while let Some(first) = rest.chars().next() {
            if let Some(quoted) = rest.strip_prefix('"') {
                rest = template.quoted(quoted);
                continue;
            }
            let upper = rest.get(..rest.len().min(4)).unwrap_or(rest).to_ascii_uppercase();
            let Some(name) = PATTERNS.iter().find(|name| upper.starts_with(**name)).copied() else {
                let escaped = rest.strip_prefix("\\\"").is_some();
                template.pieces.push(Piece::Text(if escaped { '"' } else { first }));
                rest = rest.get(if escaped { 2 } else { first.len_utf8() }..).unwrap_or_default();
                continue;
            };
            let small = rest.starts_with(|letter: char| letter.is_ascii_lowercase());
            rest = rest.get(name.len()..).unwrap_or_default();
            template.pattern(name, small, &mut shifting, &mut before_sign)?;
            template.pieces.push(Piece::Pattern(name, small));
        }
        template.pre += template.shifted;
        // A sign behind the last digit.
        if template.sign == Sign::Before && template.pre == before_sign {
            template.sign = Sign::Behind;
        }
        Ok(template)
    }

    /// A text in quotes, from behind the first one; answers what stands behind the last.
    fn quoted<'a>(&mut self, text: &'a str) -> &'a str {
        let mut letters = text.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => return text.get(at + 1..).unwrap_or_default(),
                '\\' => self.pieces.extend(letters.next().map(|(_, letter)| Piece::Text(letter))),
                letter => self.pieces.push(Piece::Text(letter)),
            }
        }
        ""
    }

    fn pattern(&mut self, name: &str, small: bool, shifting: &mut bool, before_sign: &mut usize) -> Result<()> {
        let refused = |text: &str| Err(fault(SqlState::SYNTAX_ERROR, text));
        match name {
            "9" | "0" if self.brackets => return refused(&format!("\"{name}\" must be ahead of \"PR\"")),
            "9" if *shifting => self.shifted += 1,
            "9" if self.decimal => self.post += 1,
            "9" => self.pre += 1,
            "0" => {
                if self.zero_start.is_none() && !self.decimal {
                    self.zero_start = Some(self.pre);
                }
                if self.decimal {
                    self.post += 1
                } else {
                    self.pre += 1
                }
                self.zero_end = self.pre + self.post;
            }
            "." | "D" if self.decimal => return refused("multiple decimal points"),
            "." | "D" if *shifting => return refused("cannot use \"V\" and decimal point together"),
            "." | "D" => self.decimal = true,
            "V" if self.decimal => return refused("cannot use \"V\" and decimal point together"),
            "V" => *shifting = true,
            "FM" => self.fill = false,
            "S" if self.sign != Sign::Plain => return refused("cannot use \"S\" twice"),
            "S" if self.plus || self.minus || self.brackets => {
                return refused("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together");
            }
            "S" => {
                self.sign = if self.decimal { Sign::Behind } else { Sign::Before };
                *before_sign = self.pre;
            }
            "MI" | "PL" | "SG" if self.sign != Sign::Plain => return refused(&format!("cannot use \"S\" and \"{name}\" together")),
            "MI" => self.minus = true,
            "PL" => self.plus = true,
            "SG" => (self.minus, self.plus) = (true, true),
            "PR" if self.sign != Sign::Plain || self.plus || self.minus => {
                return refused("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together");
            }
            "PR" => self.brackets = true,
            "RN" => self.roman = Some(small),
            "EEEE" => self.scientific = true,
            _ => {}
        }
        Ok(())
    }
}

/// A number on its way through a template.
struct Writer<'a> {
    template: &'a Template,
    digits: &'a [u8],
    negative: bool,
    /// Places that the number does not fill.
    spaces: usize,
    /// The digit that is next, and the place that is next.
    at: usize,
    place: usize,
    /// Places altogether.
    count: usize,
    /// The last digit behind the point that counts, without filling.
    last: Option<usize>,
    sign_written: bool,
    brackets: bool,
    inside: bool,
    out: &'a mut String,
}

impl<'a> Writer<'a> {
    fn new(template: &'a Template, digits: &'a [u8], negative: bool, spaces: usize, out: &'a mut String) -> Self {
        let own = template.plus || template.minus;
        let sign_written = if own { template.minus } else { !negative && !template.fill && template.sign == Sign::Plain };
        let brackets = template.brackets && (negative || template.fill);
        let point = digits.iter().position(|digit| *digit == b'.').filter(|_| !template.fill && template.decimal);
        let mut last = point.map(|point| digits.iter().rposition(|digit| *digit != b'0').map_or(point, |last| last.max(point)));
        if let Some(kept) = &mut last
            && template.zero_end > spaces
        {
            *kept = (*kept).max((digits.len() - 1).min(template.zero_end - spaces));
        }
        let more = usize::from(!sign_written && spaces == 0);
        let count = (template.post + template.pre + more).saturating_sub(1);
        Self { template, digits, negative, spaces, at: 0, place: 0, count, last, sign_written, brackets, inside: false, out }
    }

    fn all(mut self) {
        let template = self.template;
        for piece in &template.pieces {
            let (name, small) = match piece {
                Piece::Text(letter) => {
                    self.out.push(*letter);
                    continue;
                }
                Piece::Pattern(name, small) => (*name, *small),
            };
            match name {
                "9" | "0" | "." | "D" => self.digit(name),
                "," | "G" if self.inside => self.out.push(','),
                "," | "G" | "MI" | "PL" if self.marked(name) => {}
                "," | "G" | "MI" | "PL" if template.fill => self.out.push(' '),
                "L" => self.out.push(' '),
                "SG" => self.out.push(self.sign()),
                "TH" => self.ordinal(small),
                _ => {}
            }
        }
    }

    /// Writes the sign of MI or PL where it has one.
    fn marked(&mut self, name: &str) -> bool {
        let written = match name {
            "MI" if self.negative => Some('-'),
            "PL" if !self.negative => Some('+'),
            _ => None,
        };
        self.out.extend(written);
        written.is_some()
    }

    fn sign(&self) -> char {
        if self.negative { '-' } else { '+' }
    }

    fn ordinal(&mut self, small: bool) {
        if self.negative || self.template.decimal || self.digits.first() == Some(&b'#') {
            return;
        }
        self.out.push_str(suffix(self.digits, !small));
    }

    /// The first digit is a zero that is not written before a point.
    fn bare_point(&self) -> bool {
        self.template.zero_start.is_none() && self.at == 0 && self.digits.first() == Some(&b'0') && self.template.post != 0
    }

    /// Whether nothing behind the point counts.
    fn whole(&self) -> bool {
        self.last.is_some_and(|last| self.digits.get(last) == Some(&b'.'))
    }

    fn digit(&mut self, name: &str) {
        self.inside = false;
        let zeros = self.template.zero_start.is_some_and(|start| start <= self.place);
        let begins = self.place >= self.spaces || self.template.zero_start == Some(self.place);
        if !self.sign_written && begins && (!self.bare_point() || self.whole()) {
            self.leading_sign();
        }
        let fill = self.template.fill;
        if self.place < self.spaces && !zeros {
            self.out.extend(fill.then_some(' '));
        } else if self.place < self.spaces {
            self.out.push('0');
            self.inside = true;
        } else {
            match self.digits.get(self.at).copied() {
                Some(b'.') => self.out.push('.'),
                Some(_) if self.last.is_some_and(|last| self.at > last) && name != "0" => {}
                Some(_) if self.bare_point() => {
                    if fill {
                        self.out.push(' ');
                    } else if self.whole() {
                        self.out.push('0');
                    }
                }
                Some(digit) => {
                    self.out.push(char::from(digit));
                    self.inside = true;
                }
                None => {}
            }
            self.at += usize::from(self.at < self.digits.len());
        }
        let mut end = self.count + usize::from(self.spaces > 0) + usize::from(self.template.decimal);
        if self.last == Some(self.at) {
            end = self.place;
        }
        if self.place + 1 == end {
            if self.sign_written && self.brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.template.sign == Sign::Behind {
                self.out.push(self.sign());
            }
        }
        self.place += 1;
    }

    fn leading_sign(&mut self) {
        match self.template.sign {
            Sign::Before => self.out.push(self.sign()),
            Sign::Behind => return,
            Sign::Plain if self.brackets => self.out.push(if self.negative { '<' } else { ' ' }),
            Sign::Plain if self.negative => self.out.push('-'),
            Sign::Plain => self.out.extend(self.template.fill.then_some(' ')),
        }
        self.sign_written = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(template: &str, number: Number) -> Result<String> {
        let mut text = String::new();
        Template::of(template)?.write(&mut text, number);
        Ok(text)
    }

    fn decimal(text: &str) -> Number {
        let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        Number::Decimal(text.replace('.', "").parse().unwrap(), scale)
    }

    #[test]
    fn numbers_are_written_as_postgres_writes_them() {
        for (number, template, wanted) in [
            ("-0.1", "99.99", "  -.10"),
            ("-0.1", "FM9.99", "-.1"),
            ("-0.1", "FM90.99", "-0.1"),
            ("0.1", "0.9", " 0.1"),
            ("12", "9990999.9", "    0012.0"),
            ("12", "FM9990999.9", "0012."),
            ("-485", "999", "-485"),
            ("485", "9 9 9", " 4 8 5"),
            ("1485", "9,999", " 1,485"),
            ("148.5", "FM999.990", "148.500"),
            ("148.5", "999.999", " 148.500"),
            ("3148.5", "9G999D999", " 3,148.500"),
            ("-485", "999S", "485-"),
            ("-485", "999MI", "485-"),
            ("485", "999MI", "485 "),
            ("485", "FM999MI", "485"),
            ("485", "PL999", "+ 485"),
            ("485", "SG999", "+485"),
            ("-485", "9SG99", "4-85"),
            ("-485", "999PR", "<485>"),
            ("485", "L999", "  485"),
            ("485", "RN", "        CDLXXXV"),
            ("5.2", "FMRN", "V"),
            ("482", "999th", " 482nd"),
            ("485", "\"Good number:\"999", "Good number: 485"),
            ("485.8", "\"Pre:\"999\" Post:\" .999", "Pre: 485 Post: .800"),
            ("12", "99V999", " 12000"),
            ("12.45", "99V9", " 125"),
            ("0.0004859", "9.99EEEE", " 4.86e-04"),
            ("-125.8", "999D99S", "125.80-"),
            ("-1", "S00", "-01"),
            ("1", "S00", "+01"),
            ("1234567.891", "FM999,999,990.00", "1,234,567.89"),
            ("0", "FM999,990.00", "0.00"),
            ("12345.678", "999", " ###"),
            ("5", "FM00000", "00005"),
            ("12.5", "FM99.0", "12.5"),
            ("99.96", "99.9", " ##.#"),
            ("1234.5", "FM9,999.00", "1,234.50"),
            ("12", "000", " 012"),
            ("0.5", "0.99", " 0.50"),
            ("1234567", "9G999G999", " 1,234,567"),
            ("1234", "999", " ###"),
            ("0", "999", "   0"),
            ("-0.4", "999", "   0"),
            ("9999999999999999999999.995", "FM999999999999999999999990.00", "10000000000000000000000.00"),
            ("0.05", "0.0", " 0.1"),
            ("111", "999TH", " 111TH"),
        ] {
            assert_eq!(written(template, decimal(number)).unwrap(), wanted, "{number} by {template}");
        }
        assert_eq!(written("999", Number::Float(f64::NAN)).unwrap(), " NaN");
        assert_eq!(written("999D9", Number::Float(125.8)).unwrap(), " 125.8");
    }

    #[test]
    fn templates_that_contradict_themselves_are_refused() {
        for template in ["9.9.9", "S9S", "9PR9", "S9MI", "9V.9"] {
            assert!(written(template, decimal("1")).is_err(), "{template}");
        }
    }
}
