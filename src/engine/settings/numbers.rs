//! Whole numbers of settings as PostgreSQL reads them: decimal, octal or hexadecimal, with a fraction, with a unit.

use crate::error::{ClientMessage, SqlState};

use super::definitions::{Definition, Shape};
use super::invalid;
use super::units::{self, SIZES, TIMES};

impl Definition {
    /// The number of its unit that a text says, within its bounds.
    pub(super) fn whole(&self, text: &str) -> Result<i64, ClientMessage> {
        let (least, most) = match self.shape {
            Shape::Int(least, most) | Shape::Size(_, least, most) => (least, most),
            _ => (0, i64::from(i32::MAX)),
        };
        let unit = self.kind_and_unit().1;
        let number = in_unit(text, unit).map_err(|hint| {
            let message = invalid(self.name, text.trim());
            if hint.is_empty() { message } else { message.with_hint(hint) }
        })?;
        if (least..=most).contains(&number) {
            return Ok(number);
        }
        let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
        let text = format!("{number}{unit} is outside the valid range for parameter \"{}\" ({least} .. {most})", self.name);
        Err(ClientMessage::new(SqlState::INVALID_PARAMETER_VALUE, text))
    }
}

/// How many of a unit a text says; the error is a hint, or empty.
fn in_unit(text: &str, unit: Option<&str>) -> Result<i64, &'static str> {
    let (number, rest) = number(text.trim()).ok_or("")?;
    let number = match (rest.trim(), unit) {
        ("", _) => number,
        (_, None) => return Err(""),
        (given, Some(unit)) => converted(number, given, unit)?,
    };
    let rounded = number.round_ties_even();
    if rounded.abs() > f64::from(i32::MAX) {
        return Err("Value exceeds integer range.");
    }
    format!("{rounded:.0}").parse().map_err(|_| "")
}

/// A number of one unit as a number of another, rounded to what the next smaller unit can say.
fn converted(number: f64, given: &str, unit: &str) -> Result<f64, &'static str> {
    let (units, one, hint) = match units::size_of_unit(&TIMES, unit) {
        Some(one) => (&TIMES[..], one, "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."),
        None => {
            let one = if unit == "8kB" { Some(8 << 10) } else { units::size_of_unit(&SIZES, unit) };
            (&SIZES[..], one.unwrap_or(1), "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\".")
        }
    };
    let at = units.iter().position(|(name, _)| *name == given).ok_or(hint)?;
    let size = |at: usize| units.get(at).map(|(_, size)| *size as f64 / one as f64);
    let number = number * size(at).unwrap_or(1.0);
    Ok(size(at + 1).map_or(number, |smaller| (number / smaller).round_ties_even() * smaller))
}

/// The number that a text begins with, and what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1.0 } else { 1.0 }, digits),
        None => (1.0, text),
    };
    let end = |text: &str, of: fn(char) -> bool| text.find(|letter| !of(letter)).unwrap_or(text.len());
    let based = |digits: &str, base| i64::from_str_radix(digits, base).ok().map(|number| sign * number as f64);
    if let Some(hexadecimal) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let (digits, rest) = hexadecimal.split_at(end(hexadecimal, |letter| letter.is_ascii_hexdigit()));
        return Some((based(digits, 16)?, rest));
    }
    let whole = end(digits, |letter| letter.is_ascii_digit());
    let mut after = whole;
    if let Some(fraction) = digits.get(after..).and_then(|rest| rest.strip_prefix('.')) {
        after += 1 + end(fraction, |letter| letter.is_ascii_digit());
    }
    if let Some(exponent) = digits.get(after..).and_then(|rest| rest.strip_prefix(['e', 'E'])) {
        let signed = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let length = end(signed, |letter| letter.is_ascii_digit());
        if length > 0 {
            after += 1 + exponent.len() - signed.len() + length;
        }
    }
    let (number, rest) = digits.split_at(after);
    let octal = after == whole && number.len() > 1 && number.starts_with('0') && number.bytes().all(|digit| digit < b'8');
    if octal { Some((based(number, 8)?, rest)) } else { Some((sign * number.parse::<f64>().ok()?, rest)) }
}

#[cfg(test)]
mod tests {
    use super::super::definitions::definition;

    /// What PostgreSQL 15 made of each.
    #[test]
    fn numbers_are_read_as_postgres_reads_them() {
        for (name, text, read) in [
            ("work_mem", "1.5MB", "1536"),
            ("work_mem", "65.5", "66"),
            ("work_mem", "64.5", "64"),
            ("work_mem", "0.1GB", "104448"),
            ("work_mem", "1e3kB", "1000"),
            ("work_mem", " 100 kB ", "100"),
            ("work_mem", "0x100", "256"),
            ("work_mem", "0100", "64"),
            ("work_mem", "1e3", "1000"),
            ("extra_float_digits", "1.5", "2"),
            ("extra_float_digits", "2.5", "2"),
            ("extra_float_digits", "-0.6", "-1"),
            ("statement_timeout", "0.5ms", "0"),
            ("statement_timeout", "1500us", "2"),
            ("statement_timeout", "1.5min", "90000"),
            ("statement_timeout", "10.7", "11"),
            ("statement_timeout", "24d", "2073600000"),
            ("statement_timeout", "-1", "-1 ms is outside the valid range for parameter \"statement_timeout\" (0 .. 2147483647)"),
            ("extra_float_digits", "3.6", "4 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 3)"),
            ("work_mem", "1.5B", "0 kB is outside the valid range for parameter \"work_mem\" (64 .. 2147483647)"),
            ("work_mem", "100 kb", "invalid value for parameter \"work_mem\": \"100 kb\""),
            ("work_mem", "", "invalid value for parameter \"work_mem\": \"\""),
            ("work_mem", "nan", "invalid value for parameter \"work_mem\": \"nan\""),
            ("work_mem", "99999999999", "invalid value for parameter \"work_mem\": \"99999999999\""),
            ("work_mem", "100TB", "invalid value for parameter \"work_mem\": \"100TB\""),
            ("statement_timeout", "25d", "invalid value for parameter \"statement_timeout\": \"25d\""),
            ("statement_timeout", "1 s x", "invalid value for parameter \"statement_timeout\": \"1 s x\""),
        ] {
            let found = definition(name).unwrap().whole(text).map_or_else(|message| message.message, |number| number.to_string());
            assert_eq!(found, read, "{name} = {text}");
        }
    }

    #[test]
    fn a_hint_tells_the_units_and_the_range() {
        let hint = |name: &str, text: &str| definition(name).unwrap().whole(text).unwrap_err().hint;
        assert!(hint("work_mem", "2000TB").unwrap().contains("integer range"));
        assert!(hint("work_mem", "1 ms").unwrap().contains("\"kB\""));
        assert!(hint("statement_timeout", "1 kB").unwrap().contains("\"min\""));
        assert_eq!(hint("extra_float_digits", "1 kB"), None);
    }
}
