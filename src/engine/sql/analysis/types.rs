//! Types as a text names them, and constants of them.

use bytes::Bytes;
use datafusion::sql::sqlparser::ast::{DataType, Ident, Value};
use datafusion::sql::sqlparser::tokenizer::Location;

use crate::catalog::{PgType, resolution};
use crate::engine::parameter::{self, Format, Parameter};
use crate::engine::{Carried, TimeZone};
use crate::error::SqlState;

use super::{Analyst, Result, Typed};

/// Types whose constants are read here as they will be read later.
const READ: [PgType; 11] = [
    PgType::BOOL,
    PgType::INT2,
    PgType::INT4,
    PgType::INT8,
    PgType::FLOAT4,
    PgType::FLOAT8,
    PgType::NUMERIC,
    PgType::UUID,
    PgType::BYTEA,
    PgType::JSON,
    PgType::JSONB,
];

/// The type that a cast names; open if it is none of PostgreSQL's own.
pub(super) fn named(data_type: &DataType) -> u32 {
    let mut text = String::new();
    let mut depth = 0_usize;
    for letter in data_type.to_string().chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            letter if depth == 0 && !letter.is_ascii_digit() => text.push(letter),
            // A digit belongs to a name unless it is the length of an array.
            letter if depth == 0 && !text.ends_with('[') => text.push(letter),
            _ => {}
        }
    }
    let text = text.to_lowercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let (base, dimensions) = match text.split_once('[') {
        Some((base, _)) => (base, true),
        None => (text.as_str(), false),
    };
    let base = match base.strip_prefix("pg_catalog.").unwrap_or(base) {
        "char" | "character" | "nchar" => Some(PgType::BPCHAR.oid),
        "dec" => Some(PgType::NUMERIC.oid),
        "integer" => Some(PgType::INT4.oid),
        "timestamp without time zone" => Some(PgType::TIMESTAMP.oid),
        "time without time zone" => Some(PgType::TIME.oid),
        "char varying" => Some(PgType::VARCHAR.oid),
        interval if interval.starts_with("interval") => Some(PgType::INTERVAL.oid),
        name => resolution::named(name),
    };
    let found = if dimensions { base.and_then(resolution::array) } else { base };
    found.unwrap_or(resolution::OPEN)
}

/// The name of a type that the parser knows and PostgreSQL has not.
pub(super) fn foreign(data_type: &DataType) -> Option<&'static str> {
    let names = [
        "string",
        "datetime",
        "unsigned",
        "signed",
        "double",
        "tinyint",
        "mediumint",
        "nvarchar",
        "blob",
        "clob",
        "binary",
        "varbinary",
        "int64",
        "float64",
        "uint64",
        "bytes",
    ];
    let text = data_type.to_string().to_lowercase();
    let word = text.split(['(', ' ', '[']).next()?;
    names.into_iter().find(|name| *name == word && text != "double precision" && !text.starts_with("double precision"))
}

/// The type of a constant.
pub(super) fn constant(value: &Value, place: Location) -> Typed {
    let unknown = |text: &str| Typed { constant: Some(text.to_owned()), place, ..Typed::of(resolution::UNKNOWN) };
    match value {
        Value::Number(digits, _) => Typed::of(number(digits)).at(place),
        Value::Boolean(_) => Typed::of(PgType::BOOL.oid).at(place),
        Value::Null => Typed { null: true, place, ..Typed::of(resolution::UNKNOWN) },
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) | Value::UnicodeStringLiteral(text) => unknown(text),
        Value::DollarQuotedString(text) => unknown(&text.value),
        _ => Typed::open().at(place),
    }
}

/// The type of a number as it is written.
pub(super) fn number(digits: &str) -> u32 {
    if digits.parse::<i32>().is_ok() {
        PgType::INT4.oid
    } else if digits.parse::<i64>().is_ok() {
        PgType::INT8.oid
    } else {
        PgType::NUMERIC.oid
    }
}

/// A name in the letters that it is looked up by.
pub(super) fn folded(ident: &Ident) -> String {
    crate::catalog::folded(ident)
}

impl Analyst<'_> {
    /// Refuses a constant that is no value of the type.
    pub(super) fn fits(&self, text: &str, oid: u32, place: Location) -> Result<()> {
        let carried = PgType::of_oid(oid).and_then(Carried::of).is_some();
        let read = |oid: u32| carried || READ.iter().any(|known| known.oid == oid);
        let Some(pg_type) = PgType::of_oid(oid).filter(|_| read(oid) || resolution::element(oid).is_some_and(read)) else { return Ok(()) };
        let value = Parameter { format: Format::Text, value: Some(Bytes::copy_from_slice(text.as_bytes())) };
        match parameter::decode(&value, pg_type, &TimeZone::default()) {
            Err(mut message)
                if carried && message.sqlstate != SqlState::FEATURE_NOT_SUPPORTED
                    || matches!(
                        message.sqlstate,
                        SqlState::INVALID_TEXT_REPRESENTATION | SqlState::NUMERIC_VALUE_OUT_OF_RANGE | SqlState::INVALID_PARAMETER_VALUE
                    ) =>
            {
                message.position = self.spots.position(place);
                Err(Box::new(message))
            }
            _ => Ok(()),
        }
    }
}
