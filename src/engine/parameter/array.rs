//! Arrays, of one dimension or of several.

use arrow::datatypes::{DataType, Field};
use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;

use crate::error::{ClientMessage, SqlState};

use super::binary::incorrect;
use super::{Format, Kind, Parameter, PgType, TimeZone, binary, from_text, text};

/// PostgreSQL's largest number of dimensions.
const DIMENSIONS_MAX: usize = 6;

/// Elements one after another, and how many of them, or of the arrays that they form, each dimension has.
struct Elements<T> {
    values: Vec<Option<T>>,
    dimensions: Vec<usize>,
}

pub(super) fn decode(parameter: &Parameter, kind: Kind, element: PgType, time_zone: &TimeZone) -> Result<ScalarValue, ClientMessage> {
    let Some(value) = &parameter.value else {
        return Ok(ScalarValue::new_null_list(kind.data_type(), true, 1));
    };
    let elements = match parameter.format {
        Format::Text => {
            let texts = text_elements(text(value)?)?;
            let read = |element: Option<String>| element.map(|element| from_text(&element, kind, time_zone)).transpose();
            Elements { values: texts.values.into_iter().map(read).collect::<Result<Vec<_>, _>>()?, dimensions: texts.dimensions }
        }
        Format::Binary => binary_elements(value.clone(), kind, element)?,
    };
    list(elements, kind)
}

/// Makes the list; decimals are first brought to one precision and scale that hold each of them.
fn list(elements: Elements<ScalarValue>, kind: Kind) -> Result<ScalarValue, ClientMessage> {
    let Elements { values, dimensions } = elements;
    let mut data_type = kind.data_type();
    if kind == Kind::Numeric {
        data_type = common_decimal(&values)?.unwrap_or(data_type);
    }
    let unlike = |_| ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
    let mut values = values
        .into_iter()
        .map(|value| match value {
            Some(value) => value.cast_to(&data_type).map_err(unlike),
            None => ScalarValue::try_from(&data_type).map_err(unlike),
        })
        .collect::<Result<Vec<_>, _>>()?;
    // The innermost arrays come first.
    for length in dimensions.iter().skip(1).rev() {
        values = values.chunks(*length).map(|inner| ScalarValue::List(ScalarValue::new_list_nullable(inner, &data_type))).collect();
        data_type = DataType::List(Field::new_list_field(data_type, true).into());
    }
    Ok(ScalarValue::List(ScalarValue::new_list_nullable(&values, &data_type)))
}

fn common_decimal(values: &[Option<ScalarValue>]) -> Result<Option<DataType>, ClientMessage> {
    let mut whole = 0i16;
    let mut scale = 0i8;
    let mut any = false;
    for value in values.iter().flatten() {
        if let ScalarValue::Decimal128(_, precision, own) | ScalarValue::Decimal256(_, precision, own) = value {
            any = true;
            whole = whole.max(i16::from(*precision) - i16::from(*own));
            scale = scale.max(*own);
        }
    }
    let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|precision| *precision <= 76);
    let precision =
        precision.ok_or_else(|| ClientMessage::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"))?.max(1);
    let data_type = match precision {
        ..=38 => DataType::Decimal128(precision, scale),
        _ => DataType::Decimal256(precision, scale),
    };
    Ok(any.then_some(data_type))
}

fn malformed(value: &str) -> ClientMessage {
    ClientMessage::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("malformed array literal: \"{value}\""))
}

/// The white space that PostgreSQL passes over around elements; any other belongs to them.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Splits `{a,"b c",NULL}` and `{{1,2},{3,4}}`.
fn text_elements(value: &str) -> Result<Elements<String>, ClientMessage> {
    let mut reader = Reader { rest: value.trim_matches(is_space).chars().peekable(), values: Vec::new(), dimensions: Vec::new() };
    let read = reader.array(0).filter(|()| reader.rest.next().is_none());
    read.ok_or_else(|| malformed(value))?;
    let dimensions = if reader.values.is_empty() { vec![0] } else { reader.dimensions };
    Ok(Elements { values: reader.values, dimensions })
}

struct Reader<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    values: Vec<Option<String>>,
    dimensions: Vec<usize>,
}

impl Reader<'_> {
    fn blanks(&mut self) {
        while self.rest.next_if(|letter| is_space(*letter)).is_some() {}
    }

    /// An array at this depth, from its opening brace to its closing one; all of one depth are of one length.
    fn array(&mut self, depth: usize) -> Option<()> {
        self.rest.next_if_eq(&'{').filter(|_| depth < DIMENSIONS_MAX)?;
        self.blanks();
        if self.rest.next_if_eq(&'}').is_some() {
            return (depth == 0).then_some(());
        }
        let first = self.dimensions.len() == depth;
        let leaves = first || self.dimensions.len() == depth + 1;
        if first {
            self.dimensions.push(0);
        }
        let mut length = 0;
        loop {
            self.blanks();
            if self.rest.peek() == Some(&'{') {
                if self.dimensions.len() == depth + 1 && (!first || length > 0) {
                    return None;
                }
                self.array(depth + 1)?;
            } else {
                if !leaves || self.dimensions.len() > depth + 1 {
                    return None;
                }
                let element = self.element()?;
                self.values.push(element);
            }
            length += 1;
            self.blanks();
            match self.rest.next()? {
                ',' => {}
                '}' => break,
                _ => return None,
            }
        }
        let known = self.dimensions.get_mut(depth)?;
        if first {
            *known = length;
        }
        (*known == length).then_some(())
    }

    fn element(&mut self) -> Option<Option<String>> {
        let mut element = String::new();
        if self.rest.next_if_eq(&'"').is_some() {
            loop {
                match self.rest.next()? {
                    '"' => return Some(Some(element)),
                    '\\' => element.push(self.rest.next()?),
                    other => element.push(other),
                }
            }
        }
        let mut escaped = false;
        while let Some(letter) = self.rest.next_if(|letter| !matches!(letter, ',' | '{' | '}' | '"')) {
            if letter == '\\' {
                escaped = true;
                element.push(self.rest.next()?);
            } else {
                element.push(letter);
            }
        }
        element.truncate(element.trim_end_matches(is_space).len());
        if element.is_empty() {
            return None;
        }
        Some((escaped || !element.eq_ignore_ascii_case("null")).then_some(element))
    }
}

fn binary_elements(mut value: Bytes, kind: Kind, element: PgType) -> Result<Elements<ScalarValue>, ClientMessage> {
    let short = |_| incorrect();
    let depth = value.try_get_i32().map_err(short)?;
    let _has_null = value.try_get_i32().map_err(short)?;
    let oid = value.try_get_u32().map_err(short)?;
    if oid != element.oid {
        return Err(ClientMessage::new(SqlState::DATATYPE_MISMATCH, "binary data has array element type that does not fit"));
    }
    let depth = usize::try_from(depth).ok().filter(|depth| *depth <= DIMENSIONS_MAX).ok_or_else(incorrect)?;
    let mut dimensions = Vec::with_capacity(depth);
    for _ in 0..depth {
        dimensions.push(usize::try_from(value.try_get_i32().map_err(short)?).map_err(|_| incorrect())?);
        let _lower_bound = value.try_get_i32().map_err(short)?;
    }
    // An element takes four bytes at least, so a count beyond them is none.
    let count = dimensions.iter().try_fold(usize::from(depth > 0), |count, length| count.checked_mul(*length));
    let count = count.filter(|count| count.saturating_mul(4) <= value.len()).ok_or_else(incorrect)?;
    if depth > 1 && count == 0 {
        return Err(incorrect());
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let length = value.try_get_i32().map_err(short)?;
        if length == -1 {
            values.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| incorrect())?;
        if length > value.len() {
            return Err(incorrect());
        }
        values.push(Some(binary::decode(&value.split_to(length), kind)?));
    }
    if !value.is_empty() {
        return Err(incorrect());
    }
    if dimensions.is_empty() {
        dimensions.push(0);
    }
    Ok(Elements { values, dimensions })
}
