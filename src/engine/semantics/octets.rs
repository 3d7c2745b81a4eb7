//! Functions of bytes: single bytes and bits, texts in an encoding, parts.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Int32Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{Expr, ScalarUDF};

use crate::error::SqlState;

use super::bytewise::Bytewise;
use super::function::{Function, Result, arg, fault};
use super::linear;

/// The functions by name, and those that the engine has for texts alone.
pub(super) fn all() -> Vec<Arc<ScalarUDF>> {
    use datafusion::functions::{string, unicode};

    vec![
        got("get_byte", 8).udf(),
        got("get_bit", 1).udf(),
        put("set_byte", 8).udf(),
        put("set_bit", 1).udf(),
        bit_count().udf(),
        convert_from().udf(),
        convert_to().udf(),
        convert().udf(),
        Bytewise::udf(unicode::substr(), part("substr")),
        strpos(),
        Bytewise::udf(string::octet_length(), length("octet_length")),
        Bytewise::udf(unicode::character_length(), length("length")),
        Bytewise::udf(linear::btrim(), trimmed("btrim", true, true)),
        Bytewise::udf(linear::ltrim(), trimmed("ltrim", true, false)),
        Bytewise::udf(linear::rtrim(), trimmed("rtrim", false, true)),
    ]
}

/// The functions whose first argument is bytes, of which a text constant is read as bytes, and no other text is.
pub(super) const OF_BYTES: [&str; 8] = ["encode", "get_byte", "get_bit", "set_byte", "set_bit", "bit_count", "convert_from", "convert"];

/// Those of them whose other arguments are bytes, too.
pub(super) const OF_BYTES_ALONE: [&str; 4] = ["btrim", "ltrim", "rtrim", "strpos"];

/// `substring(bytes from n for m)`
pub(in crate::engine) fn parted(args: Vec<Expr>) -> Expr {
    part("bytes_substring").call(args)
}

/// `position(part in bytes)`, of the bytes and the part
pub(in crate::engine) fn found(args: Vec<Expr>) -> Expr {
    place().call(args)
}

/// `overlay(bytes placing bytes from n [for m])`
pub(in crate::engine) fn overlaid(args: Vec<Expr>) -> Expr {
    overlay().call(args)
}

fn bytes_and<const N: usize>(others: [DataType; N]) -> impl Fn(&[DataType]) -> Option<Vec<DataType>> + Send + Sync + 'static {
    move |types: &[DataType]| {
        let first = types.first()?;
        let fits = types.len() == N + 1 && (first.is_binary() || first.is_string() || first.is_null());
        fits.then(|| std::iter::once(DataType::Binary).chain(others.iter().cloned()).collect())
    }
}

fn out_of_range() -> datafusion::error::DataFusionError {
    fault(SqlState::ARRAY_SUBSCRIPT_ERROR, "index out of valid range")
}

/// The byte of a place in units of so many bits, and where in it the unit stands.
fn located(bytes: &[u8], index: i64, bits: usize) -> Result<(usize, usize)> {
    let units = bytes.len() * 8 / bits;
    match usize::try_from(index) {
        Ok(place) if place < units => Ok((place * bits / 8, if bits == 8 { 0 } else { place % 8 })),
        _ => Err(out_of_range()),
    }
}

/// `get_byte(bytes, n)`, `get_bit(bytes, n)`
fn got(name: &'static str, bits: usize) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (values, places) = (arg::<BinaryArray>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let one = |(bytes, index): (Option<&[u8]>, Option<i64>)| {
            let (Some(bytes), Some(index)) = (bytes, index) else { return Ok(None) };
            let (at, shift) = located(bytes, index, bits)?;
            let byte = i32::from(bytes.get(at).copied().unwrap_or(0));
            Ok(Some(if bits == 8 { byte } else { byte >> shift & 1 }))
        };
        Ok(Arc::new(values.iter().zip(places.iter()).map(one).collect::<Result<Int32Array>>()?) as ArrayRef)
    };
    Function::new(name, bytes_and([DataType::Int64]), |_| Some(DataType::Int32), computes)
}

/// `set_byte(bytes, n, value)`, `set_bit(bytes, n, value)`
fn put(name: &'static str, bits: usize) -> Function {
    let computes = move |args: &[ArrayRef], rows: usize| {
        let (values, places) = (arg::<BinaryArray>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let units = arg::<Int32Array>(args, 2)?;
        let one = |row: usize| -> Result<Option<Vec<u8>>> {
            if values.is_null(row) || places.is_null(row) || units.is_null(row) {
                return Ok(None);
            }
            let (mut bytes, unit) = (values.value(row).to_vec(), units.value(row));
            let (at, shift) = located(&bytes, places.value(row), bits)?;
            if bits == 1 && !matches!(unit, 0 | 1) {
                return Err(fault(SqlState::INVALID_PARAMETER_VALUE, "new bit must be 0 or 1"));
            }
            if let Some(byte) = bytes.get_mut(at) {
                let [low, ..] = unit.to_le_bytes();
                *byte = if bits == 8 { low } else { *byte & !(1 << shift) | low << shift };
            }
            Ok(Some(bytes))
        };
        binaries((0..rows).map(one))
    };
    Function::new(name, bytes_and([DataType::Int64, DataType::Int32]), |_| Some(DataType::Binary), computes)
}

fn binaries(values: impl Iterator<Item = Result<Option<Vec<u8>>>>) -> Result<ArrayRef> {
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>()))
}

fn bit_count() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let count = |bytes: &[u8]| bytes.iter().map(|byte| i64::from(byte.count_ones())).sum::<i64>();
        Ok(Arc::new(arg::<BinaryArray>(args, 0)?.iter().map(|bytes| bytes.map(count)).collect::<Int64Array>()) as ArrayRef)
    };
    Function::new("bit_count", bytes_and([]), |_| Some(DataType::Int64), computes)
}

fn length(name: &'static str) -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let count = |bytes: &[u8]| i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        Ok(Arc::new(arg::<BinaryArray>(args, 0)?.iter().map(|bytes| bytes.map(count)).collect::<Int32Array>()) as ArrayRef)
    };
    Function::new(name, bytes_and([]), |_| Some(DataType::Int32), computes)
}

/// Encodings that texts are read and written in.
#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Latin1,
    Ascii,
}

impl Encoding {
    fn named(name: &str) -> Result<Self> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        match plain.as_str() {
            "utf8" | "unicode" => Ok(Self::Utf8),
            "latin1" | "iso88591" => Ok(Self::Latin1),
            "sqlascii" => Ok(Self::Ascii),
            _ => Err(fault(SqlState::FEATURE_NOT_SUPPORTED, "this encoding is not supported")),
        }
    }

    fn read(self, bytes: &[u8]) -> Result<String> {
        let invalid = |_| fault(SqlState::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\"");
        let text = match self {
            Self::Utf8 | Self::Ascii => std::str::from_utf8(bytes).map_err(invalid)?.to_owned(),
            Self::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
        };
        if text.contains('\0') {
            return Err(fault(SqlState::CHARACTER_NOT_IN_REPERTOIRE, "invalid byte sequence for encoding \"UTF8\": 0x00"));
        }
        Ok(text)
    }

    fn write(self, text: &str) -> Result<Vec<u8>> {
        match self {
            Self::Utf8 | Self::Ascii => Ok(text.as_bytes().to_vec()),
            Self::Latin1 => text.chars().map(|letter| u8::try_from(u32::from(letter)).map_err(|_| untranslatable())).collect(),
        }
    }
}

fn untranslatable() -> datafusion::error::DataFusionError {
    fault(SqlState::UNTRANSLATABLE_CHARACTER, "a character has no equivalent in the encoding")
}

fn convert_from() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, names) = (arg::<BinaryArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        let one = |(bytes, name): (Option<&[u8]>, Option<&str>)| match (bytes, name) {
            (Some(bytes), Some(name)) => Encoding::named(name)?.read(bytes).map(Some),
            _ => Ok(None),
        };
        Ok(Arc::new(values.iter().zip(names.iter()).map(one).collect::<Result<StringArray>>()?) as ArrayRef)
    };
    Function::new("convert_from", bytes_and([DataType::Utf8]), |_| Some(DataType::Utf8), computes)
}

fn convert_to() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (texts, names) = (arg::<StringArray>(args, 0)?, arg::<StringArray>(args, 1)?);
        binaries(texts.iter().zip(names.iter()).map(|pair| match pair {
            (Some(text), Some(name)) => Encoding::named(name)?.write(text).map(Some),
            _ => Ok(None),
        }))
    };
    let takes = |types: &[DataType]| match types {
        [text, _] if text.is_string() || text.is_null() => Some(vec![DataType::Utf8; 2]),
        _ => None,
    };
    Function::new("convert_to", takes, |_| Some(DataType::Binary), computes)
}

fn convert() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let values = arg::<BinaryArray>(args, 0)?;
        let (from, to) = (arg::<StringArray>(args, 1)?, arg::<StringArray>(args, 2)?);
        binaries((0..rows).map(|row| {
            if values.is_null(row) || from.is_null(row) || to.is_null(row) {
                return Ok(None);
            }
            let text = Encoding::named(from.value(row))?.read(values.value(row))?;
            Encoding::named(to.value(row))?.write(&text).map(Some)
        }))
    };
    Function::new("convert", bytes_and([DataType::Utf8, DataType::Utf8]), |_| Some(DataType::Binary), computes)
}

/// Where a part from this place, of this length, begins and ends.
fn bounds(length: usize, from: i64, count: Option<i64>) -> Result<(usize, usize)> {
    if count.is_some_and(|count| count < 0) {
        return Err(fault(SqlState::SUBSTRING_ERROR, "negative substring length not allowed"));
    }
    let end = count.map_or(i64::MAX, |count| from.saturating_add(count)).saturating_sub(1);
    let place = |place: i64| usize::try_from(place.max(0)).unwrap_or(usize::MAX).min(length);
    let (start, end) = (place(from.saturating_sub(1)), place(end));
    Ok((start, end.max(start)))
}

/// `substr(bytes, from [, count])`
fn part(name: &'static str) -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (values, starts) = (arg::<BinaryArray>(args, 0)?, arg::<Int64Array>(args, 1)?);
        let counts = if args.len() > 2 { Some(arg::<Int64Array>(args, 2)?) } else { None };
        binaries((0..rows).map(|row| {
            if values.is_null(row) || starts.is_null(row) || counts.is_some_and(|counts| counts.is_null(row)) {
                return Ok(None);
            }
            let bytes = values.value(row);
            let (start, end) = bounds(bytes.len(), starts.value(row), counts.map(|counts| counts.value(row)))?;
            Ok(bytes.get(start..end).map(<[u8]>::to_vec))
        }))
    };
    let takes = |types: &[DataType]| match types.len() {
        2 => bytes_and([DataType::Int64])(types),
        _ => bytes_and([DataType::Int64, DataType::Int64])(types),
    };
    Function::new(name, takes, |_| Some(DataType::Binary), computes)
}

fn overlay() -> Function {
    let computes = |args: &[ArrayRef], rows: usize| {
        let (values, news) = (arg::<BinaryArray>(args, 0)?, arg::<BinaryArray>(args, 1)?);
        let starts = arg::<Int64Array>(args, 2)?;
        let counts = if args.len() > 3 { Some(arg::<Int64Array>(args, 3)?) } else { None };
        binaries((0..rows).map(|row| {
            if values.is_null(row) || news.is_null(row) || starts.is_null(row) || counts.is_some_and(|counts| counts.is_null(row)) {
                return Ok(None);
            }
            let (bytes, new, from) = (values.value(row), news.value(row), starts.value(row));
            let count = counts.map_or(i64::try_from(new.len()).unwrap_or(i64::MAX), |counts| counts.value(row));
            let (_, head) = bounds(bytes.len(), 1, Some(from.saturating_sub(1)))?;
            let (tail, _) = bounds(bytes.len(), from.saturating_add(count), None)?;
            let whole = [bytes.get(..head), Some(new), bytes.get(tail..)];
            Ok(Some(whole.into_iter().flatten().flatten().copied().collect()))
        }))
    };
    let takes = |types: &[DataType]| match types.len() {
        3 => bytes_and([DataType::Binary, DataType::Int64])(types),
        _ => bytes_and([DataType::Binary, DataType::Int64, DataType::Int64])(types),
    };
    Function::new("bytes_overlay", takes, |_| Some(DataType::Binary), computes)
}

/// `strpos`, of texts and of bytes.
pub(super) fn strpos() -> Arc<ScalarUDF> {
    Bytewise::udf(linear::strpos(), place())
}

/// `strpos(bytes, part)`: 0 if it is not there.
fn place() -> Function {
    let computes = |args: &[ArrayRef], _rows: usize| {
        let (values, parts) = (arg::<BinaryArray>(args, 0)?, arg::<BinaryArray>(args, 1)?);
        let one = |(bytes, part): (Option<&[u8]>, Option<&[u8]>)| {
            let (bytes, part) = (bytes?, part?);
            let found = place_of(bytes, part);
            Some(found.and_then(|place| i32::try_from(place + 1).ok()).unwrap_or(0))
        };
        Ok(Arc::new(values.iter().zip(parts.iter()).map(one).collect::<Int32Array>()) as ArrayRef) as Result<ArrayRef>
    };
    Function::new("strpos", bytes_and([DataType::Binary]), |_| Some(DataType::Int32), computes)
}

/// Where a part begins.
fn place_of(bytes: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    if part.len() <= SHORT_PART {
        return bytes.windows(part.len()).position(|window| window == part);
    }
    // A long part is looked for as a text with a letter for each byte: that takes the sum of both lengths, and not their product.
    let letters = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    let text = letters(bytes);
    let at = text.find(&letters(part))?;
    text.get(..at).map(|before| before.chars().count())
}

/// A part of so many bytes is compared at each place.
const SHORT_PART: usize = 16;

/// Without the bytes of a set at the start and at the end.
fn trimmed(name: &'static str, start: bool, end: bool) -> Function {
    let computes = move |args: &[ArrayRef], _rows: usize| {
        let (values, sets) = (arg::<BinaryArray>(args, 0)?, arg::<BinaryArray>(args, 1)?);
        let kept = values.iter().zip(sets.iter()).map(|(bytes, set)| Some(inside(bytes?, set?, start, end)));
        Ok(Arc::new(kept.collect::<BinaryArray>()) as ArrayRef) as Result<ArrayRef>
    };
    Function::new(name, bytes_and([DataType::Binary]), |_| Some(DataType::Binary), computes)
}

fn inside<'a>(bytes: &'a [u8], set: &[u8], start: bool, end: bool) -> &'a [u8] {
    let mut within = [false; 256];
    for byte in set {
        if let Some(member) = within.get_mut(usize::from(*byte)) {
            *member = true;
        }
    }
    let other = |byte: &u8| !within.get(usize::from(*byte)).copied().unwrap_or(false);
    let first = if start { bytes.iter().position(other).unwrap_or(bytes.len()) } else { 0 };
    let bytes = bytes.get(first..).unwrap_or_default();
    let last = if end { bytes.iter().rposition(other).map_or(0, |last| last + 1) } else { bytes.len() };
    bytes.get(..last).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_within_the_bytes() {
        assert_eq!(bounds(5, 2, Some(2)).unwrap(), (1, 3));
        assert_eq!(bounds(5, -1, Some(4)).unwrap(), (0, 2));
        assert_eq!(bounds(5, 4, None).unwrap(), (3, 5));
        assert_eq!(bounds(5, 9, Some(2)).unwrap(), (5, 5));
        assert!(bounds(5, 1, Some(-1)).is_err());
    }

    #[test]
    fn long_parts_are_found_where_short_ones_are() {
        let bytes: Vec<u8> = (0..=255_u8).cycle().take(2_000).collect();
        for (from, length) in [(0, 3), (200, 16), (200, 17), (130, 300), (0, 256)] {
            assert_eq!(place_of(&bytes, &bytes[from..from + length]), Some(from), "{from} {length}");
        }
        assert_eq!((place_of(&bytes, &[0; 40]), place_of(&[], &[0; 40]), place_of(&bytes, &[])), (None, None, Some(0)));
        // The product of these lengths is out of reach.
        assert_eq!(place_of(&[b'a'; 4_000_000], &[&[b'a'; 2_000_000][..], b"b"].concat()), None);
    }

    #[test]
    fn a_set_is_trimmed_however_long_it_is() {
        assert_eq!(inside(b"xyaxyx", b"xy", true, true), b"a");
        assert_eq!(
            (inside(b"xa", b"x", false, true), inside(b"ax", b"x", true, false), inside(b"xx", b"x", true, true)),
            (&b"xa"[..], &b"ax"[..], &b""[..])
        );
        assert_eq!(inside(&[b'a'; 1_000_000], &[&[b'b'; 1_000_000][..], b"a"].concat(), true, true), b"");
    }

    #[test]
    fn bits_are_counted_from_the_lowest_of_the_first_byte() {
        assert_eq!(located(&[0x12, 0x34], 12, 1).unwrap(), (1, 4));
        assert_eq!(located(&[0x12, 0x34], 1, 8).unwrap(), (1, 0));
        assert!(located(&[0x12], 1, 8).is_err() && located(&[0x12], -1, 1).is_err());
    }

    #[test]
    fn texts_are_read_in_their_encoding() {
        assert_eq!(Encoding::named("Latin-1").unwrap().read(&[0xe9]).unwrap(), "é");
        assert_eq!(Encoding::named("UTF8").unwrap().write("é").unwrap(), [0xc3, 0xa9]);
        assert!(Encoding::named("utf8").unwrap().read(&[0xff]).is_err());
        assert!(Encoding::named("latin1").unwrap().write("ł").is_err() && Encoding::named("koi8").is_err());
    }
}
