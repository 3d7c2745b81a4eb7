//! Intervals of ISO 8601: `P1Y2M3DT4H5M6S`, `P0001-02-03T04:05:06`, `P00010203T040506`.

use super::{DAY, Fault, HOUR, MINUTE, Read, SECOND, Sum, Unit, fraction, micros_of};

/// A number, with a sign of its own.
struct Number {
    whole: i64,
    part: f64,
    /// Digits before the point.
    width: usize,
}

/// Reads such an interval.
pub(super) fn read(value: &str) -> Read<Sum> {
    let text = value.strip_prefix('P').filter(|text| !text.is_empty()).ok_or(Fault::Malformed)?;
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut sum = Sum::default();
    date_part(date, &mut sum)?;
    if let Some(time) = time {
        time_part(time, &mut sum)?;
    }
    Ok(sum)
}

/// A number that the text begins with, and what stands behind it.
fn number(text: &str) -> Read<(Number, &str)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let width = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = unsigned.split_at(width);
    let (digits, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("", rest),
    };
    if whole.is_empty() && digits.is_empty() {
        return Err(Fault::Malformed);
    }
    let size: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Fault::TooLarge)? };
    let part = fraction(digits)?;
    let negative = unsigned.len() < text.len();
    Ok((Number { whole: if negative { -size } else { size }, part: if negative { -part } else { part }, width }, rest))
}

/// Numbers with a sign between them, as many as there are units.
fn parted(text: &str, sign: char, units: &[Unit], sum: &mut Sum) -> Read<()> {
    let mut rest = text;
    for (at, unit) in units.iter().enumerate() {
        let (found, after) = number(rest)?;
        sum.add(found.whole, found.part, *unit)?;
        if after.is_empty() {
            return Ok(());
        }
        rest = after.strip_prefix(sign).filter(|_| at + 1 < units.len()).ok_or(Fault::Malformed)?;
    }
    Err(Fault::Malformed)
}

/// Numbers with the letters of their units.
fn lettered(text: &str, units: &[(char, Unit)], sum: &mut Sum) -> Read<()> {
    let mut rest = text;
    while !rest.is_empty() {
        let (found, after) = number(rest)?;
        let mut letters = after.chars();
        let letter = letters.next().ok_or(Fault::Malformed)?;
        let (_, unit) = units.iter().find(|(known, _)| *known == letter).ok_or(Fault::Malformed)?;
        sum.add(found.whole, found.part, *unit)?;
        rest = letters.as_str();
    }
    Ok(())
}

fn bare(text: &str) -> bool {
    !text.contains(|letter: char| letter.is_ascii_alphabetic()) && !text.is_empty()
}

fn date_part(text: &str, sum: &mut Sum) -> Read<()> {
    if !bare(text) {
        return lettered(text, &[('Y', Unit::Year), ('M', Unit::Month), ('W', Unit::Week), ('D', Unit::Day)], sum);
    }
    let (found, rest) = number(text)?;
    if found.width != 8 || !rest.is_empty() {
        return parted(text, '-', &[Unit::Year, Unit::Month, Unit::Day], sum);
    }
    sum.add(found.whole / 10_000, 0.0, Unit::Year)?;
    sum.add(found.whole / 100 % 100, 0.0, Unit::Month)?;
    sum.add(found.whole % 100, 0.0, Unit::Day)?;
    super::added(&mut sum.micros, micros_of(found.part, DAY), 1)
}

fn time_part(text: &str, sum: &mut Sum) -> Read<()> {
    if !bare(text) {
        return lettered(text, &[('H', Unit::Hour), ('M', Unit::Minute), ('S', Unit::Second)], sum);
    }
    let (found, rest) = number(text)?;
    if found.width != 6 || !rest.is_empty() {
        return parted(text, ':', &[Unit::Hour, Unit::Minute, Unit::Second], sum);
    }
    super::added(&mut sum.micros, found.whole / 10_000, HOUR)?;
    super::added(&mut sum.micros, found.whole / 100 % 100, MINUTE)?;
    super::added(&mut sum.micros, found.whole % 100, SECOND)?;
    super::added(&mut sum.micros, micros_of(found.part, 1), 1)
}
