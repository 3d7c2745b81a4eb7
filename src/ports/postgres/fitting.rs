//! Which values of a column its contract's type can hold, as a condition for the server.
//!
//! A row is hidden where a value that the policy looks at does not fit. The server, to which "for ever" is later than any moment and NaN more than
//! any number, would let such a row through: so whatever it sorts, counts or joins, it is told to leave these rows out.

use arrow::datatypes::DataType;

use super::table::PgColumn;

/// The last moment that is a number of microseconds since 1970.
const LAST_MOMENT: &str = "294247-01-10 04:00:54.775807";

/// What the server must be told so that it finds only values that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fitting {
    /// Nothing: each of its values does.
    All,
    /// This condition. It cannot fail, and is true of NULL.
    If(String),
    /// Nobody has written that down: it cannot be told.
    Unsaid,
}

/// Which values of the column fit.
pub(super) fn fitting(column: &PgColumn) -> Fitting {
    let value = column.value_sql();
    let condition = match column.field.data_type() {
        // It is told as infinity where it does not fit, but compared as it is.
        _ if column.access.checked => return Fitting::Unsaid,
        DataType::Interval(_) | DataType::List(_) => return Fitting::Unsaid,
        DataType::Date32 => format!("pg_catalog.isfinite({value})"),
        DataType::Time64(_) => format!("{value} < '24:00'::pg_catalog.time"),
        DataType::Timestamp(_, zone) => {
            let (of, zone) = if zone.is_some() { ("timestamptz", "+00") } else { ("timestamp", "") };
            format!("{value} > '-infinity'::pg_catalog.{of} AND {value} <= '{LAST_MOMENT}{zone}'::pg_catalog.{of}")
        }
        DataType::Decimal128(..) if column.limited => format!("{value} <> 'NaN'::pg_catalog.numeric"),
        DataType::Decimal128(precision, scale) => {
            let digits = i32::from(*precision) - i32::from(*scale);
            // NaN and infinity are more than any number.
            format!("pg_catalog.abs({value}) < 1e{digits}::pg_catalog.numeric AND {value} = pg_catalog.round({value}, {scale})")
        }
        _ => return Fitting::All,
    };
    Fitting::If(format!("({condition}) IS NOT FALSE"))
}
