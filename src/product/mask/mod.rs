//! Column masks: what a contract or a rule may put in the place of a value, by name and parameters.
//!
//! INVARIANT: a [`Mask`] that [`Mask::check`] accepts for a type gives a value of that type, or NULL, for every value of it.
//! The names and results are those of the Apache Iceberg read restrictions where these have the mask. How a mask is computed is
//! `enforcement`'s; which one applies to whom is `policy`'s.

mod decimal;
pub mod expression;
mod value;

use std::sync::Arc;

use serde_json::Value as Json;

use super::{DataType, FieldName};

pub use decimal::Decimal;
pub use expression::{Expression, ExpressionColumn, ExpressionFault};
pub use value::{Constant, Value};

/// The key that an `hmac-sha-256` without a `key` uses.
pub const DEFAULT_KEY: &str = "default";

/// Hex digits of a SHA-256.
const SHA_256_CHARS: u32 = 64;

/// The longest name of a key.
const KEY_BYTES_MAX: usize = 64;

/// What replaces a value that may not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// `replace-with-null`
    Null,
    /// `redact`: a constant of the column's type: the text `***` (cut to the column's limit), 0, false, 1970-01-01.
    Redact,
    /// `mask-to-fixed-value`: the given constant, else the one that Iceberg lays down for the type.
    Fixed(Option<Constant>),
    /// `show-first-4`: all but the first four characters as `mask-alphanum` has them.
    ShowFirst4,
    /// `show-last-4`: all but the last four characters as `mask-alphanum` has them.
    ShowLast4,
    /// `mask-alphanum`: digits become `n`, everything but `( ) , . - @` becomes `x`.
    MaskAlphanum,
    /// `email-domain`: what stands behind the last `@`.
    EmailDomain,
    /// `truncate-to-year`
    TruncateToYear,
    /// `truncate-to-month`
    TruncateToMonth,
    /// `bucket`: the greatest multiple of a width that is not above the number.
    Bucket(Decimal),
    /// `sha-256-global`
    Sha256Global,
    /// `hmac-sha-256` with the secret of that name, which is the gateway's.
    HmacSha256(String),
    /// A value computed from the product's own columns.
    Expression(Arc<Expression>),
}

/// Why a mask cannot be read, or cannot serve a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskFault {
    /// No mask has this name.
    #[error("the mask is not known")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A parameter is missing, of the wrong kind, or not the mask's.
    #[error("{0}")]
    Parameter(&'static str),
    /// The mask is none for the column's type.
    #[error("the mask {mask} cannot serve the type {data_type}")]
    Type {
        /// The mask's name.
        mask: &'static str,
        /// The column's type.
        data_type: DataType,
        /// What it serves.
        serves: &'static str,
    },
    /// The expression cannot be used.
    #[error("the expression cannot be used: {0}")]
    Expression(#[from] ExpressionFault),
}

/// What a mask is made of beside its column: the keys `mask`, `value`, `width`, `key` and `expression` of a contract or an answer.
pub type Written<'a> = &'a serde_json::Map<String, Json>;

/// The keys of a written mask.
pub const KEYS: [&str; 5] = ["mask", "value", "width", "key", "expression"];

impl Mask {
    /// Every name that a contract or a rule may use.
    pub const NAMES: [&str; 12] = [
        "replace-with-null",
        "redact",
        "mask-to-fixed-value",
        "show-first-4",
        "show-last-4",
        "mask-alphanum",
        "email-domain",
        "truncate-to-year",
        "truncate-to-month",
        "bucket",
        "sha-256-global",
        "hmac-sha-256",
    ];

    /// The mask of that name, if it needs no parameter.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "replace-with-null" => Self::Null,
            "redact" => Self::Redact,
            "mask-to-fixed-value" => Self::Fixed(None),
            "show-first-4" => Self::ShowFirst4,
            "show-last-4" => Self::ShowLast4,
            "mask-alphanum" => Self::MaskAlphanum,
            "email-domain" => Self::EmailDomain,
            "truncate-to-year" => Self::TruncateToYear,
            "truncate-to-month" => Self::TruncateToMonth,
            "sha-256-global" => Self::Sha256Global,
            "hmac-sha-256" => Self::HmacSha256(DEFAULT_KEY.to_owned()),
            _ => return None,
        })
    }

    /// Reads a mask with its parameters, for a column of a product whose columns are these. Keys that are no mask's are the caller's.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(written: Written<'_>, target: Option<&DataType>, columns: &[ExpressionColumn<'_>]) -> Result<Self, MaskFault> {
        let given = |key: &str| written.contains_key(key);
        if given("expression") {
            if KEYS.iter().any(|key| *key != "expression" && given(key)) {
                return Err(MaskFault::Parameter("an expression stands without a mask and its parameters"));
            }
            let text = written.get("expression").and_then(Json::as_str).ok_or(MaskFault::Parameter("an expression is a text"))?;
            if text.trim().eq_ignore_ascii_case("null") {
                return Ok(Self::Null);
            }
            return Ok(Self::Expression(Arc::new(Expression::parse(text, target, columns)?)));
        }
        let name = written.get("mask").and_then(Json::as_str).ok_or(MaskFault::Parameter("a mask has a name or an expression"))?;
        let mask = match name {
            "mask-to-fixed-value" => match written.get("value") {
                None => Self::Fixed(None),
                Some(value) => {
                    let fault = MaskFault::Parameter("\"value\" must be a text, a number, true or false");
                    Self::Fixed(Some(Constant::of_json(value).ok_or(fault)?))
                }
            },
            "bucket" => {
                let width = written.get("width").and_then(Constant::of_json).and_then(|width| width.to_decimal());
                let fault = MaskFault::Parameter("\"width\" of a bucket must be a number above zero");
                Self::Bucket(width.filter(|width| width.is_positive()).ok_or(fault)?)
            }
            "hmac-sha-256" => match written.get("key") {
                None => Self::HmacSha256(DEFAULT_KEY.to_owned()),
                Some(key) => {
                    let fault = MaskFault::Parameter("\"key\" must be a name of letters, digits, \"_\" and \"-\"");
                    Self::HmacSha256(key.as_str().filter(|key| is_key(key)).ok_or(fault)?.to_owned())
                }
            },
            other => Self::parse(other).ok_or_else(|| MaskFault::Unknown { name: other.to_owned() })?,
        };
        let own = match mask {
            Self::Fixed(_) => "value",
            Self::Bucket(_) => "width",
            Self::HmacSha256(_) => "key",
            _ => "mask",
        };
        if KEYS.iter().any(|key| *key != "mask" && *key != own && given(key)) {
            return Err(MaskFault::Parameter("the mask does not have this parameter"));
        }
        Ok(mask)
    }

    /// Its name; that of an expression is `expression`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Null => "replace-with-null",
            Self::Redact => "redact",
            Self::Fixed(_) => "mask-to-fixed-value",
            Self::ShowFirst4 => "show-first-4",
            Self::ShowLast4 => "show-last-4",
            Self::MaskAlphanum => "mask-alphanum",
            Self::EmailDomain => "email-domain",
            Self::TruncateToYear => "truncate-to-year",
            Self::TruncateToMonth => "truncate-to-month",
            Self::Bucket(_) => "bucket",
            Self::Sha256Global => "sha-256-global",
            Self::HmacSha256(_) => "hmac-sha-256",
            Self::Expression(_) => "expression",
        }
    }

    /// Whether the mask keeps a column's type.
    ///
    /// # Errors
    /// What it serves instead.
    pub fn check(&self, data_type: &DataType) -> Result<(), MaskFault> {
        use DataType as T;
        let text = data_type.is_text();
        let long_text = match data_type {
            T::String => true,
            T::Varchar(limit) => *limit >= SHA_256_CHARS,
            _ => false,
        };
        let serves = match self {
            Self::Null => (true, ""),
            Self::Redact => (!matches!(data_type, T::List(_)), "It is not for lists"),
            Self::Fixed(None) => (!matches!(data_type, T::Interval), "It is not for intervals"),
            Self::Fixed(Some(constant)) => (constant.to_value(data_type).is_some(), "Its value must be one of the field's type"),
            Self::ShowFirst4 | Self::ShowLast4 | Self::MaskAlphanum | Self::EmailDomain => (text, "It is for texts"),
            Self::TruncateToYear | Self::TruncateToMonth => (data_type.is_date_or_timestamp(), "It is for dates and timestamps"),
            Self::Bucket(width) => (fits_width(*width, data_type), "It is for numbers, with a width of their kind"),
            Self::Sha256Global => (
                long_text || matches!(data_type, T::Int32 | T::Int64 | T::Bytes),
                "It is for texts of at least 64 characters, int32, int64 and bytes",
            ),
            Self::HmacSha256(_) => (
                long_text || matches!(data_type, T::Int64 | T::Uuid | T::Bytes),
                "It is for texts of at least 64 characters, int64, uuid and bytes",
            ),
            Self::Expression(expression) => (expression.serves(data_type), "Its expression must have the field's type"),
        };
        match serves {
            (true, _) => Ok(()),
            (false, serves) => Err(MaskFault::Type { mask: self.as_str(), data_type: data_type.clone(), serves }),
        }
    }

    /// Whether it is the column itself, and so none.
    pub fn shows(&self, column: &FieldName) -> bool {
        matches!(self, Self::Expression(expression) if expression.is_bare(column))
    }

    /// The columns that its value is computed from beside the masked one.
    pub fn reads(&self) -> &[FieldName] {
        match self {
            Self::Expression(expression) => expression.columns(),
            _ => &[],
        }
    }
}

/// Whether a text can name a key.
pub fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= KEY_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// A width must be a value of the column's type, or buckets would not be.
fn fits_width(width: Decimal, data_type: &DataType) -> bool {
    data_type.is_numeric() && Constant::Number(width).to_value(data_type).is_some()
}

impl std::fmt::Display for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Mask {
    /// Its name: parameters are the contract's or the rule's business, and a constant need not be in every record.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(written: &Json) -> Result<Mask, MaskFault> {
        Mask::read(written.as_object().unwrap(), None, &[])
    }

    #[test]
    fn every_name_is_read_and_given_back() {
        for name in Mask::NAMES {
            let written = if name == "bucket" { json!({"mask": name, "width": 5}) } else { json!({"mask": name}) };
            assert_eq!(read(&written).unwrap().as_str(), name);
        }
    }

    #[test]
    fn parameters_are_those_of_the_mask() {
        assert_eq!(read(&json!({"mask": "bucket", "width": 0.5})).unwrap(), Mask::Bucket(Decimal::parse("0.5").unwrap()));
        assert_eq!(read(&json!({"mask": "bucket", "width": "0.50"})).unwrap(), Mask::Bucket(Decimal::parse("0.5").unwrap()));
        assert_eq!(read(&json!({"mask": "hmac-sha-256", "key": "research"})).unwrap(), Mask::HmacSha256("research".to_owned()));
        for written in [
            json!({"mask": "bucket"}),
            json!({"mask": "bucket", "width": 0}),
            json!({"mask": "bucket", "width": -1}),
            json!({"mask": "bucket", "width": "wide"}),
            json!({"mask": "bucket", "width": 1, "key": "k"}),
            json!({"mask": "redact", "value": "x"}),
            json!({"mask": "mask-to-fixed-value", "value": []}),
            json!({"mask": "hmac-sha-256", "key": "../k"}),
            json!({"mask": "hmac-sha-256", "key": 1}),
            json!({"mask": "redact", "expression": "1"}),
            json!({"expression": 1}),
            json!({}),
        ] {
            assert!(matches!(read(&written), Err(MaskFault::Parameter(_))), "{written}");
        }
        assert!(matches!(read(&json!({"mask": "rot13"})), Err(MaskFault::Unknown { .. })));
    }

    #[test]
    fn an_expression_of_null_is_the_null_mask() {
        assert_eq!(read(&json!({"expression": " NULL "})).unwrap(), Mask::Null);
    }

    #[test]
    fn a_mask_serves_the_types_that_it_keeps() {
        let types = [
            "string",
            "varchar(10)",
            "varchar(64)",
            "boolean",
            "int16",
            "int32",
            "int64",
            "float64",
            "decimal(10,2)",
            "date",
            "time",
            "timestamptz",
            "interval",
            "uuid",
            "json",
            "bytes",
            "list<int64>",
        ];
        let served =
            |mask: &Mask| -> Vec<&str> { types.into_iter().filter(|name| mask.check(&DataType::parse(name).unwrap()).is_ok()).collect() };
        assert_eq!(served(&Mask::Null), types);
        assert_eq!(served(&Mask::Redact), types[..16]);
        assert_eq!(served(&Mask::Fixed(None)), [&types[..12], &types[13..]].concat());
        for mask in [Mask::ShowFirst4, Mask::ShowLast4, Mask::MaskAlphanum, Mask::EmailDomain] {
            assert_eq!(served(&mask), types[..3]);
        }
        assert_eq!(served(&Mask::TruncateToYear), ["date", "timestamptz"]);
        assert_eq!(served(&Mask::Sha256Global), ["string", "varchar(64)", "int32", "int64", "bytes"]);
        assert_eq!(served(&Mask::HmacSha256("k".to_owned())), ["string", "varchar(64)", "int64", "uuid", "bytes"]);
        assert_eq!(served(&Mask::Bucket(Decimal::whole(10))), ["int16", "int32", "int64", "float64", "decimal(10,2)"]);
        assert_eq!(served(&Mask::Bucket(Decimal::parse("0.25").unwrap())), ["float64", "decimal(10,2)"]);
        assert_eq!(served(&Mask::Bucket(Decimal::whole(40_000))), ["int32", "int64", "float64", "decimal(10,2)"]);
    }
}
