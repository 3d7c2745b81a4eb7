//! One column of a slice on its way into rows: measured first, then written to where its rows stand.
//!
//! INVARIANT: what is measured is what is written. A value of a type, or in a range, that has no quick form goes by way of [`Cells`],
//! which defines what is written.

use arrow::array::{Array, ArrayAccessor, ArrowPrimitiveType, AsArray, LargeStringArray, PrimitiveArray, StringArray, StringViewArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type,
};

use crate::engine::{DateFormat, PgType};

use super::cells::Cells;
use super::datetime::{self, EPOCH_DAYS};
use super::lines::LineCell;
use super::{EncodeError, EncodeSettings, Target, digits};

/// The length of NULL.
const NULL: i32 = -1;

/// What stands around the values of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Around<'a> {
    /// The length before each value; −1 is NULL.
    Length,
    /// Marks of a line.
    Line(LineCell<'a>),
}

/// The buffers of a column, kept from slice to slice.
#[derive(Debug, Default)]
pub(super) struct Lane {
    lengths: Vec<i32>,
    numbers: Vec<i64>,
    cells: Cells,
}

/// Where the measured values are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values<'a> {
    /// Written already, in the lane's cells.
    Cells,
    Utf8(&'a StringArray),
    LargeUtf8(&'a LargeStringArray),
    Utf8View(&'a StringViewArray),
    /// The lane's numbers as digits, with so many behind the point.
    Digits(usize),
    /// The lane's numbers as days.
    IsoDate,
    /// The last bytes of the lane's numbers, in the order of the network.
    Bytes2,
    Bytes4,
    Bytes8,
}

/// Where the rows of a slice are written.
pub(super) struct Rows<'a> {
    pub(super) out: &'a mut [u8],
    /// Where the next value of each row stands.
    pub(super) cursors: &'a mut [usize],
}

impl Lane {
    /// Measures a column, and adds what it takes to the length of each row.
    pub(super) fn measure<'a>(
        &mut self,
        array: &'a dyn Array,
        target: Target,
        settings: &EncodeSettings,
        around: Around<'_>,
        rows: &mut [usize],
    ) -> Result<Values<'a>, EncodeError> {
        self.lengths.clear();
        self.numbers.clear();
        let quick = match self.strings(array, target, around)? {
            Some(values) => Some(values),
            None if around.numbers_are_plain() => self.numbers(array, target, settings),
            None => None,
        };
        let values = match quick {
            Some(values) => values,
            None => self.cells(array, target, settings, around)?,
        };
        if self.lengths.len() != rows.len() {
            return Err(EncodeError::Shape);
        }
        let (fixed, null) = around.overhead();
        for (row, length) in rows.iter_mut().zip(&self.lengths) {
            *row += fixed + usize::try_from(*length).unwrap_or(null);
        }
        Ok(values)
    }

    fn cells(
        &mut self,
        array: &dyn Array,
        target: Target,
        settings: &EncodeSettings,
        around: Around<'_>,
    ) -> Result<Values<'static>, EncodeError> {
        self.lengths.clear();
        self.cells.clear();
        super::column(array, target, settings, &mut self.cells)?;
        for row in 0..self.cells.len() {
            self.lengths.push(self.cells.cell(row).map_or(Ok(NULL), |value| around.length_of(value))?);
        }
        Ok(Values::Cells)
    }

    /// Texts that are sent as they are.
    fn strings<'a>(&mut self, array: &'a dyn Array, target: Target, around: Around<'_>) -> Result<Option<Values<'a>>, EncodeError> {
        if !target.writes_text() {
            return Ok(None);
        }
        Ok(Some(match array.data_type() {
            DataType::Utf8 => Values::Utf8(self.texts(array.as_string::<i32>(), around)?),
            DataType::LargeUtf8 => Values::LargeUtf8(self.texts(array.as_string::<i64>(), around)?),
            DataType::Utf8View => Values::Utf8View(self.texts(array.as_string_view(), around)?),
            _ => return Ok(None),
        }))
    }

    fn texts<'a, A: 'a>(&mut self, array: &'a A, around: Around<'_>) -> Result<&'a A, EncodeError>
    where
        &'a A: ArrayAccessor<Item = &'a str>,
    {
        let nulls = array.nulls();
        for row in 0..array.len() {
            let null = nulls.is_some_and(|nulls| nulls.is_null(row));
            self.lengths.push(if null { NULL } else { around.length_of(array.value(row).as_bytes())? });
        }
        Ok(array)
    }

    /// Numbers, dates and moments in their usual forms and ranges.
    fn numbers(&mut self, array: &dyn Array, target: Target, settings: &EncodeSettings) -> Option<Values<'static>> {
        let text = target.writes_text();
        match array.data_type() {
            DataType::Int8 if text => self.digits::<Int8Type>(array, 0),
            DataType::Int16 if text => self.digits::<Int16Type>(array, 0),
            DataType::Int32 if text => self.digits::<Int32Type>(array, 0),
            DataType::Int64 if text => self.digits::<Int64Type>(array, 0),
            DataType::UInt8 if text => self.digits::<UInt8Type>(array, 0),
            DataType::UInt16 if text => self.digits::<UInt16Type>(array, 0),
            DataType::UInt32 if text => self.digits::<UInt32Type>(array, 0),
            // 10 to the power of 18 is the last that fits the lane's numbers.
            DataType::Decimal128(_, scale @ 0..=18) if text => self.digits::<Decimal128Type>(array, usize::from(scale.unsigned_abs())),
            DataType::Date32 if text => self.iso_dates(array, settings),
            DataType::Int16 if target.is(PgType::INT2) => self.fixed::<Int16Type>(array, Values::Bytes2, |value| Some(i64::from(value))),
            DataType::Int32 if target.is(PgType::INT4) => self.fixed::<Int32Type>(array, Values::Bytes4, |value| Some(i64::from(value))),
            DataType::Int64 if target.is(PgType::INT8) => self.fixed::<Int64Type>(array, Values::Bytes8, Some),
            DataType::Float32 if !text && target.is(PgType::FLOAT4) => {
                self.fixed::<Float32Type>(array, Values::Bytes4, |value| Some(i64::from(value.to_bits())))
            }
            DataType::Float64 if !text && target.is(PgType::FLOAT8) => {
                self.fixed::<Float64Type>(array, Values::Bytes8, |value| Some(value.to_bits().cast_signed()))
            }
            DataType::Date32 if target.is(PgType::DATE) => {
                let since = |days: i32| i32::try_from(i64::from(days) - EPOCH_DAYS).ok().map(i64::from);
                self.fixed::<Date32Type>(array, Values::Bytes4, since)
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) if !text && (target.is(PgType::TIMESTAMP) || target.is(PgType::TIMESTAMPTZ)) => {
                self.fixed::<TimestampMicrosecondType>(array, Values::Bytes8, |micros| micros.checked_sub(EPOCH_DAYS * datetime::DAY))
            }
            _ => None,
        }
    }

    /// Numbers with so many digits behind the point; `None` if one is too large.
    fn digits<T: ArrowPrimitiveType>(&mut self, array: &dyn Array, scale: usize) -> Option<Values<'static>>
    where
        i64: TryFrom<T::Native>,
    {
        let array = array.as_primitive_opt::<T>()?;
        self.keep(array, |value| i64::try_from(value).ok())?;
        let point = usize::from(scale > 0);
        let nulls = array.nulls();
        for (row, number) in self.numbers.iter().enumerate() {
            let digits = digits::count(number.unsigned_abs()).max(scale + 1);
            let length = usize::from(*number < 0) + digits + point;
            self.lengths.push(if is_null(nulls, row) { NULL } else { i32::try_from(length).ok()? });
        }
        Some(Values::Digits(scale))
    }

    fn iso_dates(&mut self, array: &dyn Array, settings: &EncodeSettings) -> Option<Values<'static>> {
        if settings.date_style.format != DateFormat::Iso {
            return None;
        }
        let array = array.as_primitive_opt::<Date32Type>()?;
        self.keep(array, |days| Some(i64::from(days)).filter(|days| datetime::FOUR_DIGIT_YEARS.contains(days)))?;
        self.equal_lengths(array, datetime::ISO_DATE_BYTES)?;
        Some(Values::IsoDate)
    }

    /// Numbers of a fixed length; `None` if one has no place in it.
    fn fixed<T: ArrowPrimitiveType>(
        &mut self,
        array: &dyn Array,
        values: Values<'static>,
        number: impl Fn(T::Native) -> Option<i64>,
    ) -> Option<Values<'static>> {
        let array = array.as_primitive_opt::<T>()?;
        self.keep(array, number)?;
        let bytes = match values {
            Values::Bytes2 => 2,
            Values::Bytes4 => 4,
            _ => 8,
        };
        self.equal_lengths(array, bytes)?;
        Some(values)
    }

    /// Takes the numbers over; what stands in the place of a NULL does not matter.
    fn keep<T: ArrowPrimitiveType>(&mut self, array: &PrimitiveArray<T>, number: impl Fn(T::Native) -> Option<i64>) -> Option<()> {
        let nulls = array.nulls();
        for (row, value) in array.values().iter().enumerate() {
            match number(*value) {
                Some(number) => self.numbers.push(number),
                None if is_null(nulls, row) => self.numbers.push(0),
                None => return None,
            }
        }
        Some(())
    }

    fn equal_lengths(&mut self, array: &dyn Array, bytes: usize) -> Option<()> {
        let length = i32::try_from(bytes).ok()?;
        self.lengths.clear();
        self.lengths.resize(array.len(), length);
        for row in array.nulls().into_iter().flat_map(|nulls| (0..nulls.len()).filter(|row| nulls.is_null(*row))) {
            *self.lengths.get_mut(row)? = NULL;
        }
        Some(())
    }

    /// Writes the measured column to its place in each row.
    pub(super) fn write(&self, values: Values<'_>, around: Around<'_>, rows: &mut Rows<'_>) -> Result<(), EncodeError> {
        let numbers = self.numbers.iter().copied();
        match values {
            Values::Cells => {
                let cells = (0..self.cells.len()).map(|row| self.cells.cell(row).unwrap_or_default());
                rows.put(&self.lengths, around, cells, |value, place| around.put(value, place))
            }
            Values::Utf8(array) => rows.put_texts(&self.lengths, around, array),
            Values::LargeUtf8(array) => rows.put_texts(&self.lengths, around, array),
            Values::Utf8View(array) => rows.put_texts(&self.lengths, around, array),
            Values::Digits(0) => rows.put(&self.lengths, around, numbers, |number, place| {
                digits::fill(number.unsigned_abs(), signed(number, place));
            }),
            Values::Digits(scale) => {
                let unit = 10u64.checked_pow(u32::try_from(scale).unwrap_or(u32::MAX)).ok_or(EncodeError::Shape)?;
                rows.put(&self.lengths, around, numbers, |number, place| {
                    let size = number.unsigned_abs();
                    let place = signed(number, place);
                    let Some((whole, fraction)) = place.len().checked_sub(scale + 1).and_then(|at| place.split_at_mut_checked(at)) else {
                        return;
                    };
                    digits::fill(size / unit, whole);
                    if let Some((point, fraction)) = fraction.split_first_mut() {
                        *point = b'.';
                        digits::fill(size % unit, fraction);
                    }
                })
            }
            Values::IsoDate => rows.put(&self.lengths, around, numbers, datetime::put_iso_date),
            Values::Bytes2 => rows.put(&self.lengths, around, numbers, last_bytes::<6>),
            Values::Bytes4 => rows.put(&self.lengths, around, numbers, last_bytes::<4>),
            Values::Bytes8 => rows.put(&self.lengths, around, numbers, last_bytes::<0>),
        }
    }
}

fn is_null(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_some_and(|nulls| nulls.is_null(row))
}

/// Writes the sign; what is left is for the digits.
fn signed(number: i64, place: &mut [u8]) -> &mut [u8] {
    let (sign, digits) = place.split_at_mut(usize::from(number < 0).min(place.len()));
    sign.fill(b'-');
    digits
}

fn last_bytes<const SKIPPED: usize>(number: i64, place: &mut [u8]) {
    if let Some(bytes) = number.to_be_bytes().get(SKIPPED..)
        && bytes.len() == place.len()
    {
        place.copy_from_slice(bytes);
    }
}

impl Around<'_> {
    /// What each value takes beside its own bytes, and what NULL takes beside that.
    fn overhead(&self) -> (usize, usize) {
        match self {
            Self::Length => (4, 0),
            Self::Line(line) => (1, line.null().len()),
        }
    }

    fn numbers_are_plain(&self) -> bool {
        match self {
            Self::Length => true,
            Self::Line(line) => line.numbers_are_plain(),
        }
    }

    fn length_of(&self, value: &[u8]) -> Result<i32, EncodeError> {
        let length = match self {
            Self::Length => value.len(),
            Self::Line(line) => line.length_of(value),
        };
        i32::try_from(length).map_err(|_| EncodeError::TooLong)
    }

    fn put(&self, value: &[u8], place: &mut [u8]) {
        match self {
            Self::Line(line) => line.put(value, place),
            Self::Length if value.len() == place.len() => place.copy_from_slice(value),
            Self::Length => {}
        }
    }
}

impl Rows<'_> {
    fn put_texts<'a, A>(&mut self, lengths: &[i32], around: Around<'_>, array: A) -> Result<(), EncodeError>
    where
        A: ArrayAccessor<Item = &'a str>,
    {
        let texts = (0..array.len()).map(|row| array.value(row).as_bytes());
        match around {
            Around::Length => self.put(lengths, around, texts, |text, place| {
                if text.len() == place.len() {
                    place.copy_from_slice(text);
                }
            }),
            Around::Line(line) => self.put(lengths, around, texts, |text, place| line.put(text, place)),
        }
    }

    /// Writes each value with what stands around it, and moves the cursors behind it.
    fn put<V>(
        &mut self,
        lengths: &[i32],
        around: Around<'_>,
        values: impl Iterator<Item = V>,
        write: impl Fn(V, &mut [u8]),
    ) -> Result<(), EncodeError> {
        match around {
            Around::Length => {
                for ((cursor, length), value) in self.cursors.iter_mut().zip(lengths).zip(values) {
                    let bytes = usize::try_from(*length).unwrap_or(0);
                    let end = *cursor + 4 + bytes;
                    let place = self.out.get_mut(*cursor..end).ok_or(EncodeError::Shape)?;
                    let (head, place) = place.split_first_chunk_mut().ok_or(EncodeError::Shape)?;
                    *head = length.to_be_bytes();
                    if *length >= 0 {
                        write(value, place);
                    }
                    *cursor = end;
                }
            }
            Around::Line(line) => {
                for ((cursor, length), value) in self.cursors.iter_mut().zip(lengths).zip(values) {
                    let bytes = usize::try_from(*length).unwrap_or(line.null().len());
                    let end = *cursor + bytes + 1;
                    let place = self.out.get_mut(*cursor..end).ok_or(EncodeError::Shape)?;
                    let (last, place) = place.split_last_mut().ok_or(EncodeError::Shape)?;
                    *last = line.end;
                    if *length >= 0 {
                        write(value, place)
                    } else {
                        place.copy_from_slice(line.null())
                    }
                    *cursor = end;
                }
            }
        }
        Ok(())
    }
}
