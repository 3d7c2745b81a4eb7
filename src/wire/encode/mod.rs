//! Writes Arrow columns as PostgreSQL values, text or binary, a column at a time.
//!
//! Each column of a slice is measured with one dispatch on its type, and then written to its place in every row of the socket's buffer
//! (`rows`, `lane`). What has no quick way goes through [`Cells`]: values one after another, which also says what a value looks like. Lists,
//! structs and dictionaries write their children there.
//!
//! INVARIANT: a type that cannot be written as its column promises is an error, never a panic and never other bytes than promised; no
//! error names a value.

mod cells;
mod datetime;
mod digits;
mod interval;
mod lane;
mod lines;
mod nested;
mod number;
mod range;
mod rows;
mod text;

#[cfg(test)]
mod tests;

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::DataType;

use crate::engine::{ByteaOutput, ClientEncoding, DateStyle, Format, IntervalStyle, PgType, TimeZone};
use crate::error::{ClientMessage, SqlState};

use super::frontend::format_of;

pub(super) use lines::Lines;
pub(super) use rows::{Layout, RowEncoder};

use cells::Cells;

/// How a session writes values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeSettings {
    /// For `timestamp with time zone` as text.
    pub time_zone: TimeZone,
    /// Above zero, floats are written in the shortest form that reads back the same; else with 15 (6) digits plus this.
    pub extra_float_digits: i32,
    /// Of dates and timestamps as text.
    pub date_style: DateStyle,
    /// Of intervals as text.
    pub interval_style: IntervalStyle,
    /// Of `bytea` as text.
    pub bytea_output: ByteaOutput,
    /// The character set that the client reads.
    pub client_encoding: ClientEncoding,
}

impl Default for EncodeSettings {
    fn default() -> Self {
        Self {
            time_zone: TimeZone::default(),
            extra_float_digits: 1,
            date_style: DateStyle::default(),
            interval_style: IntervalStyle::default(),
            bytea_output: ByteaOutput::default(),
            client_encoding: ClientEncoding::default(),
        }
    }
}

/// Why a column cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EncodeError {
    /// The data has a type that the column's type has no form for.
    #[error("a column of type {data_type} cannot be sent as the type with OID {oid}")]
    Unfit { data_type: String, oid: u32 },
    /// A value does not fit the column's type.
    #[error("a value is out of the range of its column's type")]
    OutOfRange,
    /// A text is no value of the column's type.
    #[error("a value is not of its column's type")]
    Corrupt,
    /// A value, or a row, is longer than the protocol allows.
    #[error("a value is too long to be sent")]
    TooLong,
    /// Batch and columns do not belong together.
    #[error("a batch does not have the columns of its result")]
    Shape,
}

impl From<EncodeError> for ClientMessage {
    fn from(error: EncodeError) -> Self {
        let sqlstate = match error {
            EncodeError::Unfit { .. } => SqlState::FEATURE_NOT_SUPPORTED,
            EncodeError::OutOfRange => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            EncodeError::Corrupt => SqlState::DATA_CORRUPTED,
            EncodeError::TooLong => SqlState::PROGRAM_LIMIT_EXCEEDED,
            EncodeError::Shape => SqlState::INTERNAL_ERROR,
        };
        Self::new(sqlstate, error.to_string())
    }
}

/// What a column is written as.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) pg_type: PgType,
    pub(super) format: Format,
}

impl Target {
    /// Whether the target's binary form is the bytes of its text.
    fn is_text(self) -> bool {
        let types = [PgType::TEXT, PgType::VARCHAR, PgType::BPCHAR, PgType::NAME, PgType::UNKNOWN, PgType::JSON];
        types.iter().any(|text| text.oid == self.pg_type.oid)
    }

    fn is(self, pg_type: PgType) -> bool {
        self.pg_type.oid == pg_type.oid
    }

    /// Whether values are written as text: asked for, or the same in both.
    fn writes_text(self) -> bool {
        self.format == Format::Text || self.is_text()
    }

    fn unfit(self, array: &dyn Array) -> EncodeError {
        EncodeError::Unfit { data_type: array.data_type().to_string(), oid: self.pg_type.oid }
    }
}

/// Writes a column.
pub(super) fn column(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    match array.data_type() {
        DataType::Null => {
            (0..array.len()).for_each(|_| cells.null());
            Ok(())
        }
        DataType::Boolean => boolean(array, target, cells),
        data_type if data_type.is_integer() => number::integer(array, target, cells),
        data_type if data_type.is_floating() => number::float(array, target, settings, cells),
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
            number::decimal(array, target, cells)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => text::string(array, target, cells),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            text::binary(array, target, settings, cells)
        }
        DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Interval(_)
        | DataType::Duration(_) => datetime::column(array, target, settings, cells),
        _ => nested::column(array, target, settings, cells),
    }
}

fn boolean(array: &dyn Array, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let array = downcast::<BooleanArray>(array)?;
    let (yes, no): (&[u8], &[u8]) = match target.format {
        _ if target.is_text() => (b"true", b"false"),
        Format::Text => (b"t", b"f"),
        Format::Binary if target.is(PgType::BOOL) => (&[1], &[0]),
        Format::Binary => return Err(target.unfit(array)),
    };
    for value in array {
        match value {
            None => cells.null(),
            Some(value) => cells.put(if value { yes } else { no }),
        }
    }
    Ok(())
}

/// The array's own type. A mismatch is our fault, not the data's.
fn downcast<T: Array + 'static>(array: &dyn Array) -> Result<&T, EncodeError> {
    array.as_any().downcast_ref::<T>().ok_or(EncodeError::Shape)
}

/// How many rows are written between two looks at the buffer: few of long rows, many of short ones.
#[derive(Debug)]
pub(super) struct Pace {
    rows: usize,
}

/// How many bytes a slice should make.
const SLICE_BYTES: usize = super::frame::CHUNK_BYTES;
const SLICE_ROWS_MAX: usize = 2048;

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 64 }
    }
}

impl Pace {
    /// The rows of the next slice.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// So many rows made so many bytes.
    pub(super) fn learn(&mut self, rows: usize, bytes: usize) {
        let row_bytes = (bytes / rows.max(1)).max(1);
        self.rows = (SLICE_BYTES / row_bytes).clamp(1, SLICE_ROWS_MAX);
    }
}
