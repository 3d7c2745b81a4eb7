//! The types of the contract.

/// A column's type as the contract declares it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataType {
    /// Text without a limit.
    String,
    /// Text of at most so many characters.
    Varchar(u32),
    /// True or false.
    Boolean,
    /// 16 bits, signed.
    Int16,
    /// 32 bits, signed.
    Int32,
    /// 64 bits, signed.
    Int64,
    /// IEEE 754, 32 bits.
    Float32,
    /// IEEE 754, 64 bits.
    Float64,
    /// Decimal of `precision` digits (at most 38), `scale` of them behind the point.
    Decimal {
        /// All digits.
        precision: u8,
        /// Digits behind the point.
        scale: i8,
    },
    /// A calendar day.
    Date,
    /// A time of day, microseconds.
    Time,
    /// A date and time without a zone, microseconds.
    Timestamp,
    /// An instant, microseconds, UTC.
    TimestampTz,
    /// Months, days and nanoseconds.
    Interval,
    /// A UUID.
    Uuid,
    /// A JSON text.
    Json,
    /// Bytes.
    Bytes,
    /// A list of one type.
    List(Box<DataType>),
}

/// PostgreSQL's largest limit of a `character varying`.
const VARCHAR_MAX: u32 = 10_485_760;

/// Digits of the widest decimal.
const PRECISION_MAX: u8 = 38;

/// Lists of lists of lists are read; deeper ones are a slip.
const LIST_DEPTH_MAX: usize = 8;

/// Why a text names no type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataTypeError {
    /// The name is not known.
    #[error("unknown type")]
    Unknown,
    /// `varchar` without, or with an impossible, limit.
    #[error("the limit of a varchar is between 1 and {VARCHAR_MAX}")]
    Limit,
    /// `decimal` with impossible digits.
    #[error("a decimal has 1 to {PRECISION_MAX} digits, at most all of them behind the point: decimal(12, 2)")]
    Digits,
    /// A list of lists of lists …
    #[error("a list may hold lists {LIST_DEPTH_MAX} levels deep")]
    Nesting,
}

impl DataType {
    /// The names that a contract may use, for hints.
    pub const NAMES: &'static str = "string, varchar(n), boolean, int16, int32, int64, float32, float64, decimal(p, s), date, time, \
        timestamp, timestamptz, interval, uuid, json, bytes, list<type>";

    /// The type of that name; the names of SQL and of common schema languages are understood too.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn parse(text: &str) -> Result<Self, DataTypeError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        parse_nested(&words.join(" ").to_ascii_lowercase(), 0)
    }

    /// The type as PostgreSQL writes it.
    pub fn sql_type_name(&self) -> String {
        match self {
            Self::String => "text".to_owned(),
            Self::Varchar(limit) => format!("character varying({limit})"),
            Self::Boolean => "boolean".to_owned(),
            Self::Int16 => "smallint".to_owned(),
            Self::Int32 => "integer".to_owned(),
            Self::Int64 => "bigint".to_owned(),
            Self::Float32 => "real".to_owned(),
            Self::Float64 => "double precision".to_owned(),
            Self::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
            Self::Date => "date".to_owned(),
            Self::Time => "time without time zone".to_owned(),
            Self::Timestamp => "timestamp without time zone".to_owned(),
            Self::TimestampTz => "timestamp with time zone".to_owned(),
            Self::Interval => "interval".to_owned(),
            Self::Uuid => "uuid".to_owned(),
            Self::Json => "json".to_owned(),
            Self::Bytes => "bytea".to_owned(),
            // PostgreSQL does not tell the dimensions of an array in its type.
            Self::List(item) => match item.as_ref() {
                Self::List(_) => item.sql_type_name(),
                item => format!("{}[]", item.sql_type_name()),
            },
        }
    }

    /// Whether values are texts.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::String | Self::Varchar(_))
    }

    /// Whether values tell a day or an instant.
    pub fn is_date_or_timestamp(&self) -> bool {
        matches!(self, Self::Date | Self::Timestamp | Self::TimestampTz)
    }

    /// Whether values are numbers.
    pub fn is_numeric(&self) -> bool {
        matches!(self, Self::Int16 | Self::Int32 | Self::Int64 | Self::Float32 | Self::Float64 | Self::Decimal { .. })
    }
}

fn parse_nested(text: &str, depth: usize) -> Result<DataType, DataTypeError> {
    let text = text.trim();
    let inner = ["list", "array"].iter().find_map(|name| text.strip_prefix(name)?.trim_start().strip_prefix('<')?.strip_suffix('>'));
    if let Some(item) = text.strip_suffix("[]").or(inner) {
        if depth >= LIST_DEPTH_MAX {
            return Err(DataTypeError::Nesting);
        }
        return Ok(DataType::List(Box::new(parse_nested(item, depth + 1)?)));
    }
    match text.split_once('(') {
        None => parse_plain(text),
        Some((name, rest)) => parse_with_arguments(name.trim(), rest),
    }
}

fn parse_plain(name: &str) -> Result<DataType, DataTypeError> {
    Ok(match name {
        "string" | "text" | "varchar" | "character varying" | "char varying" | "str" | "utf8" => DataType::String,
        "bool" | "boolean" => DataType::Boolean,
        "int16" | "int2" | "smallint" | "short" => DataType::Int16,
        "int32" | "int4" | "int" | "integer" => DataType::Int32,
        "int64" | "int8" | "bigint" | "long" => DataType::Int64,
        "float32" | "float4" | "real" | "float" => DataType::Float32,
        "float64" | "float8" | "double" | "double precision" | "number" => DataType::Float64,
        "date" => DataType::Date,
        "time" | "time without time zone" => DataType::Time,
        "timestamp" | "timestamp without time zone" | "timestamp_ntz" | "datetime" => DataType::Timestamp,
        "timestamptz" | "timestamp with time zone" | "timestamp_tz" => DataType::TimestampTz,
        "interval" => DataType::Interval,
        "uuid" => DataType::Uuid,
        "json" | "jsonb" => DataType::Json,
        "bytes" | "bytea" | "binary" => DataType::Bytes,
        "decimal" | "numeric" => return Err(DataTypeError::Digits),
        _ => return Err(DataTypeError::Unknown),
    })
}

fn parse_with_arguments(name: &str, rest: &str) -> Result<DataType, DataTypeError> {
    let arguments = rest.strip_suffix(')').ok_or(DataTypeError::Unknown)?;
    match name {
        "varchar" | "character varying" | "char varying" => {
            let limit = whole::<u32>(arguments).filter(|limit| (1..=VARCHAR_MAX).contains(limit)).ok_or(DataTypeError::Limit)?;
            Ok(DataType::Varchar(limit))
        }
        "decimal" | "numeric" => {
            let (precision, scale) = arguments.split_once(',').unwrap_or((arguments, "0"));
            let precision = whole::<u8>(precision).filter(|digits| (1..=PRECISION_MAX).contains(digits)).ok_or(DataTypeError::Digits)?;
            let scale = whole::<u8>(scale).filter(|scale| *scale <= precision).and_then(|scale| i8::try_from(scale).ok());
            Ok(DataType::Decimal { precision, scale: scale.ok_or(DataTypeError::Digits)? })
        }
        _ => Err(DataTypeError::Unknown),
    }
}

fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl std::fmt::Display for DataType {
    /// The canonical name, which [`DataType::parse`] reads back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Varchar(limit) => write!(f, "varchar({limit})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Int16 => f.write_str("int16"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::TimestampTz => f.write_str("timestamptz"),
            Self::Interval => f.write_str("interval"),
            Self::Uuid => f.write_str("uuid"),
            Self::Json => f.write_str("json"),
            Self::Bytes => f.write_str("bytes"),
            Self::List(item) => write!(f, "list<{item}>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_names_its_type() {
        let cases = [
            ("text", "string"),
            ("VARCHAR(10)", "varchar(10)"),
            ("char  varying ( 10 )", "varchar(10)"),
            ("bool", "boolean"),
            ("short", "int16"),
            ("int", "int32"),
            ("Long", "int64"),
            ("float", "float32"),
            ("double precision", "float64"),
            ("number", "float64"),
            ("numeric(12, 2)", "decimal(12,2)"),
            ("decimal(5)", "decimal(5,0)"),
            ("timestamp with time zone", "timestamptz"),
            ("timestamp_tz", "timestamptz"),
            ("jsonb", "json"),
            ("binary", "bytes"),
            ("int[]", "list<int32>"),
            ("list<decimal(3,1)>", "list<decimal(3,1)>"),
            ("array<text[]>", "list<list<string>>"),
        ];
        for (text, canonical) in cases {
            let parsed = DataType::parse(text).unwrap();
            assert_eq!(parsed.to_string(), canonical, "{text}");
            assert_eq!(DataType::parse(canonical).unwrap(), parsed);
        }
    }

    #[test]
    fn impossible_types_are_errors() {
        for (text, error) in [
            ("decimal", DataTypeError::Digits),
            ("decimal(39,2)", DataTypeError::Digits),
            ("decimal(2,3)", DataTypeError::Digits),
            ("decimal(-1)", DataTypeError::Digits),
            ("varchar(0)", DataTypeError::Limit),
            ("varchar(x)", DataTypeError::Limit),
            ("varchar(10", DataTypeError::Unknown),
            ("", DataTypeError::Unknown),
            ("[]", DataTypeError::Unknown),
            ("struct<a: int>", DataTypeError::Unknown),
        ] {
            assert_eq!(DataType::parse(text), Err(error), "{text}");
        }
        assert_eq!(DataType::parse(&format!("int{}", "[]".repeat(50_000))), Err(DataTypeError::Nesting));
    }

    #[test]
    fn sql_names_are_those_of_postgresql() {
        let name = |text: &str| DataType::parse(text).unwrap().sql_type_name();
        assert_eq!(name("varchar(10)"), "character varying(10)");
        assert_eq!(name("timestamptz"), "timestamp with time zone");
        assert_eq!(name("decimal(12,2)"), "numeric(12,2)");
        assert_eq!(name("list<list<int32>>"), "integer[]");
    }
}
