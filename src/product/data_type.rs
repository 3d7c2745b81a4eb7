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
