//! Strings and bytes, and what is kept in them: JSON, UUIDs.

use std::io::Write as _;

use arrow::array::{
    Array, ArrayAccessor, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray, StringArray,
    StringViewArray,
};
use arrow::datatypes::DataType;
use uuid::Uuid;

use crate::engine::{ByteaOutput, Carried, Format, PgType};

use super::cells::Cells;
use super::{EncodeError, EncodeSettings, Target, downcast};
use super::{number, range};

/// The version that stands before binary `jsonb`.
const JSONB_VERSION: u8 = 1;
/// Types kept as text whose binary form is not text.
const BINARY_ONLY: [PgType; 16] = [
    PgType::BOOL,
    PgType::BYTEA,
    PgType::INT8,
    PgType::INT2,
    PgType::INT4,
    PgType::REGPROC,
    PgType::OID,
    PgType::XID,
    PgType::FLOAT4,
    PgType::FLOAT8,
    PgType::TIME,
    PgType::INTERVAL,
    PgType::REGCLASS,
    PgType::REGPROCEDURE,
    PgType::REGNAMESPACE,
    PgType::REGROLE,
];

pub(super) fn string(array: &dyn Array, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    match array.data_type() {
        DataType::Utf8 => strings(downcast::<StringArray>(array)?, target, cells),
        DataType::LargeUtf8 => strings(downcast::<LargeStringArray>(array)?, target, cells),
        DataType::Utf8View => strings(downcast::<StringViewArray>(array)?, target, cells),
        _ => Err(EncodeError::Shape),
    }
}

fn strings<'a, A: ArrayAccessor<Item = &'a str>>(array: A, target: Target, cells: &mut Cells) -> Result<(), EncodeError> {
    let uuid = target.is(PgType::UUID) && target.format == Format::Binary;
    let jsonb = target.is(PgType::JSONB) && target.format == Format::Binary;
    let numeric = target.is(PgType::NUMERIC) && target.format == Format::Binary;
    let character = target.is(PgType::CHAR) && target.format == Format::Binary;
    let regtype = target.is(PgType::REGTYPE) && target.format == Format::Binary;
    let carried = Carried::of(target.pg_type).filter(|_| target.format == Format::Binary);
    let oid = target.pg_type.oid;
    let infinite =
        target.format == Format::Binary && [PgType::DATE, PgType::TIMESTAMP, PgType::TIMESTAMPTZ].iter().any(|known| target.is(*known));
    let no_text = BINARY_ONLY.iter().any(|known| known.oid == oid) || target.pg_type.element().is_some();
    if target.format == Format::Binary && (no_text || target.is(PgType::RECORD)) {
        return Err(EncodeError::Unfit { data_type: array.data_type().to_string(), oid });
    }
    for row in 0..array.len() {
        if array.is_null(row) {
            cells.null();
            continue;
        }
        let value = array.value(row);
        if uuid {
            cells.put(Uuid::try_parse(value).map_err(|_| EncodeError::Corrupt)?.as_bytes());
            continue;
        }
        if numeric {
            number::text_binary(value, cells.out())?;
            cells.end();
            continue;
        }
        if regtype {
            // A type is shown by one of its names; its value is a number.
            let oid = PgType::named(value).map(|named| named.oid).or_else(|| value.parse().ok());
            cells.put(&oid.ok_or(EncodeError::Corrupt)?.to_be_bytes());
            continue;
        }
        if infinite {
            // No other moment is kept as a text.
            let later = match value {
                "infinity" => true,
                "-infinity" => false,
                _ => return Err(EncodeError::Unfit { data_type: array.data_type().to_string(), oid }),
            };
            if target.is(PgType::DATE) {
                cells.put(&if later { i32::MAX } else { i32::MIN }.to_be_bytes());
            } else {
                cells.put(&if later { i64::MAX } else { i64::MIN }.to_be_bytes());
            }
            continue;
        }
        if let Some(carried) = carried {
            let bytes = if let Carried::Range(element) = carried { range::binary(value, element)? } else { carried.to_binary(value) };
            cells.put(&bytes.ok_or(EncodeError::Corrupt)?);
            continue;
        }
        if jsonb {
            cells.out().push(JSONB_VERSION);
        }
        if character && value.is_empty() {
            // The empty "char" is the zero byte.
            cells.put(&[0]);
            continue;
        }
        cells.put(value.as_bytes());
    }
    Ok(())
}

pub(super) fn binary(array: &dyn Array, target: Target, settings: &EncodeSettings, cells: &mut Cells) -> Result<(), EncodeError> {
    let output = settings.bytea_output;
    match array.data_type() {
        DataType::Binary => bytes(downcast::<BinaryArray>(array)?, target, output, cells),
        DataType::LargeBinary => bytes(downcast::<LargeBinaryArray>(array)?, target, output, cells),
        DataType::BinaryView => bytes(downcast::<BinaryViewArray>(array)?, target, output, cells),
        DataType::FixedSizeBinary(_) => bytes(downcast::<FixedSizeBinaryArray>(array)?, target, output, cells),
        _ => Err(EncodeError::Shape),
    }
}

fn bytes<'a, A: ArrayAccessor<Item = &'a [u8]>>(
    array: A,
    target: Target,
    output: ByteaOutput,
    cells: &mut Cells,
) -> Result<(), EncodeError> {
    let uuid = target.is(PgType::UUID);
    let raw = target.format == Format::Binary;
    if raw && !uuid && !target.is(PgType::BYTEA) {
        return Err(EncodeError::Unfit { data_type: array.data_type().to_string(), oid: target.pg_type.oid });
    }
    for row in 0..array.len() {
        if array.is_null(row) {
            cells.null();
            continue;
        }
        let value = array.value(row);
        if uuid {
            let value = Uuid::from_slice(value).map_err(|_| EncodeError::Corrupt)?;
            if raw {
                cells.out().extend(value.as_bytes());
            } else {
                write!(cells.out(), "{value}").map_err(|_| EncodeError::Shape)?;
            }
            cells.end();
        } else if raw {
            cells.put(value);
        } else {
            match output {
                ByteaOutput::Hex => hex(value, cells.out()),
                ByteaOutput::Escape => escape(value, cells.out()),
            }
            cells.end();
        }
    }
    Ok(())
}

/// Printable bytes as they are, others in octal.
fn escape(value: &[u8], out: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'\\' => out.extend(b"\\\\"),
            0x20..=0x7e => out.push(*byte),
            byte => out.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
        }
    }
}

/// `\x` and two digits a byte.
fn hex(value: &[u8], out: &mut Vec<u8>) {
    out.reserve(2 + 2 * value.len());
    out.extend(b"\\x");
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    for byte in value {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
}
