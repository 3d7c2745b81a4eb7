//! Records as Arrow columns: those that are wanted are read, all others passed over by their form.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, ListArray, StringViewBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType as ArrowType, FieldRef, IntervalMonthDayNano};

use super::container::unzigzag;
use super::schema::{Branches, Kind, Logical, NodeId, Schema, Tick};

/// Values may lie within each other so deep.
const DEPTH_MAX: usize = 256;

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not in the form of the type.
    Malformed,
    /// The value is none of its column's type.
    Unfit,
}

/// The bytes of some values, from the next one on.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn long(&mut self) -> Result<i64, Fault> {
        let mut value = 0_u64;
        for (index, byte) in self.0.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                return Err(Fault::Malformed);
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.0 = self.0.get(index + 1..).unwrap_or_default();
                return Ok(unzigzag(value));
            }
        }
        Err(Fault::Malformed)
    }

    fn int(&mut self) -> Result<i32, Fault> {
        i32::try_from(self.long()?).map_err(|_| Fault::Malformed)
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Fault::Malformed),
        }
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = usize::try_from(self.long()?).map_err(|_| Fault::Malformed)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Fault::Malformed)
    }

    /// How many items the next part of an array or map has, and its length if it is told; none at the end.
    fn items(&mut self) -> Result<(usize, Option<usize>), Fault> {
        let count = self.long()?;
        let length = (count < 0).then(|| self.long()).transpose()?;
        let count = usize::try_from(count.unsigned_abs()).ok();
        // An item takes a byte or more.
        let count = count.filter(|count| *count <= self.0.len()).ok_or(Fault::Malformed)?;
        Ok((count, length.map(usize::try_from).transpose().map_err(|_| Fault::Malformed)?))
    }

    /// Passes a value over.
    pub(super) fn skip(&mut self, schema: &Schema, id: NodeId, depth: usize) -> Result<(), Fault> {
        let node = schema.node(id).filter(|_| depth < DEPTH_MAX).ok_or(Fault::Malformed)?;
        match &node.kind {
            Kind::Null => Ok(()),
            Kind::Boolean => self.boolean().map(drop),
            Kind::Int => self.int().map(drop),
            Kind::Enum(symbols) => self.symbol(symbols).map(drop),
            Kind::Long => self.long().map(drop),
            Kind::Float => self.array::<4>().map(drop),
            Kind::Double => self.array::<8>().map(drop),
            Kind::Bytes | Kind::String => self.bytes().map(drop),
            Kind::Fixed(length) => self.take(*length).map(drop),
            Kind::Union(branches) => {
                let branch = usize::try_from(self.long()?).ok().and_then(|branch| branches.get(branch)).ok_or(Fault::Malformed)?;
                self.skip(schema, *branch, depth + 1)
            }
            Kind::Record(fields) => fields.iter().try_for_each(|(_, field)| self.skip(schema, *field, depth + 1)),
            Kind::Array(items) => self.skip_items(schema, *items, false, depth + 1),
            Kind::Map(values) => self.skip_items(schema, *values, true, depth + 1),
        }
    }

    fn skip_items(&mut self, schema: &Schema, id: NodeId, keyed: bool, depth: usize) -> Result<(), Fault> {
        loop {
            match self.items()? {
                (0, _) => return Ok(()),
                (_, Some(length)) => self.take(length).map(drop)?,
                (count, None) => {
                    for _ in 0..count {
                        if keyed {
                            self.bytes()?;
                        }
                        self.skip(schema, id, depth)?;
                    }
                }
            }
        }
    }

    fn symbol<'s>(&mut self, symbols: &'s [String]) -> Result<&'s str, Fault> {
        let index = usize::try_from(self.long()?).map_err(|_| Fault::Malformed)?;
        symbols.get(index).map(String::as_str).ok_or(Fault::Malformed)
    }
}

/// A column that is read.
pub(super) struct Column {
    branches: Option<Branches>,
    sink: Sink,
}

/// Where the values of a column go.
enum Sink {
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Bytes(BinaryBuilder, Length),
    Text(StringViewBuilder),
    Enum(StringViewBuilder, Arc<[String]>),
    Uuid(StringViewBuilder),
    Decimal(Decimal128Builder, u8, Length),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder, Tick),
    Moment(TimestampMicrosecondBuilder, Tick),
    Duration(IntervalMonthDayNanoBuilder),
    List(Box<List>),
}

/// How many bytes a value has: as many as it says, or as its type says.
#[derive(Clone, Copy)]
struct Length(Option<usize>);

struct List {
    field: FieldRef,
    items: Column,
    lengths: Vec<usize>,
    valid: Vec<bool>,
}

impl Length {
    fn read<'a>(self, cursor: &mut Cursor<'a>) -> Result<&'a [u8], Fault> {
        match self.0 {
            Some(length) => cursor.take(length),
            None => cursor.bytes(),
        }
    }
}

impl Column {
    /// A column of this type; `None` for one that is of no contract's type.
    pub(super) fn new(schema: &Schema, id: NodeId) -> Option<Self> {
        let data_type = schema.arrow_type(id);
        let (id, branches) = schema.behind(id)?;
        let node = schema.node(id)?;
        let length = Length(if let Kind::Fixed(length) = node.kind { Some(length) } else { None });
        let sink = match (&node.kind, node.logical) {
            (Kind::Fixed(_), Some(Logical::Uuid)) => Sink::Uuid(StringViewBuilder::new()),
            (_, Some(Logical::Uuid)) => Sink::Text(StringViewBuilder::new()),
            (_, Some(Logical::Decimal { precision, .. })) if precision <= 38 => {
                Sink::Decimal(Decimal128Builder::new().with_data_type(data_type), precision, length)
            }
            (_, Some(Logical::Decimal { .. })) => return None,
            (_, Some(Logical::Date)) => Sink::Date(Date32Builder::new()),
            (_, Some(Logical::Time(tick))) => Sink::Time(Time64MicrosecondBuilder::new(), tick),
            (_, Some(Logical::Instant(tick) | Logical::Local(tick))) => {
                Sink::Moment(TimestampMicrosecondBuilder::new().with_data_type(data_type), tick)
            }
            (_, Some(Logical::Duration)) => Sink::Duration(IntervalMonthDayNanoBuilder::new()),
            (Kind::Boolean, None) => Sink::Boolean(BooleanBuilder::new()),
            (Kind::Int, None) => Sink::Int(Int32Builder::new()),
            (Kind::Long, None) => Sink::Long(Int64Builder::new()),
            (Kind::Float, None) => Sink::Float(Float32Builder::new()),
            (Kind::Double, None) => Sink::Double(Float64Builder::new()),
            (Kind::Bytes | Kind::Fixed(_), None) => Sink::Bytes(BinaryBuilder::new(), length),
            (Kind::String, None) => Sink::Text(StringViewBuilder::new()),
            (Kind::Enum(symbols), None) => Sink::Enum(StringViewBuilder::new(), Arc::clone(symbols)),
            (Kind::Array(items), None) => {
                let ArrowType::List(field) = data_type else { return None };
                let items = Self::new(schema, *items)?;
                Sink::List(Box::new(List { field, items, lengths: Vec::new(), valid: Vec::new() }))
            }
            (Kind::Null | Kind::Map(_) | Kind::Union(_) | Kind::Record(_), None) => return None,
        };
        Some(Self { branches, sink })
    }

    /// Reads the next value.
    pub(super) fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        if let Some(branches) = self.branches {
            match cursor.long()? {
                branch if branch == branches.value => {}
                branch if Some(branch) == branches.null => {
                    self.sink.append_null();
                    return Ok(());
                }
                _ => return Err(Fault::Malformed),
            }
        }
        self.sink.read(cursor)
    }

    /// The values that were read since the last time.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, Fault> {
        Ok(match &mut self.sink {
            Sink::Boolean(builder) => Arc::new(builder.finish()),
            Sink::Int(builder) => Arc::new(builder.finish()),
            Sink::Long(builder) => Arc::new(builder.finish()),
            Sink::Float(builder) => Arc::new(builder.finish()),
            Sink::Double(builder) => Arc::new(builder.finish()),
            Sink::Bytes(builder, _) => Arc::new(builder.finish()),
            Sink::Text(builder) | Sink::Enum(builder, _) | Sink::Uuid(builder) => Arc::new(builder.finish()),
            Sink::Decimal(builder, ..) => Arc::new(builder.finish()),
            Sink::Date(builder) => Arc::new(builder.finish()),
            Sink::Time(builder, _) => Arc::new(builder.finish()),
            Sink::Moment(builder, _) => Arc::new(builder.finish()),
            Sink::Duration(builder) => Arc::new(builder.finish()),
            Sink::List(list) => return list.finish(),
        })
    }
}

impl List {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        let mut length = 0_usize;
        loop {
            let (count, _) = cursor.items()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                self.items.read(cursor)?;
            }
            length += count;
        }
        self.lengths.push(length);
        self.valid.push(true);
        Ok(())
    }

    fn finish(&mut self) -> Result<ArrayRef, Fault> {
        let items = self.items.finish()?;
        if i32::try_from(items.len()).is_err() {
            return Err(Fault::Unfit);
        }
        let offsets = OffsetBuffer::from_lengths(std::mem::take(&mut self.lengths));
        let valid = NullBuffer::from(std::mem::take(&mut self.valid));
        let list = ListArray::try_new(Arc::clone(&self.field), offsets, items, Some(valid)).map_err(|_| Fault::Malformed)?;
        Ok(Arc::new(list))
    }
}

impl Sink {
    fn append_null(&mut self) {
        match self {
            Self::Boolean(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Long(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Double(builder) => builder.append_null(),
            Self::Bytes(builder, _) => builder.append_null(),
            Self::Text(builder) | Self::Enum(builder, _) | Self::Uuid(builder) => builder.append_null(),
            Self::Decimal(builder, ..) => builder.append_null(),
            Self::Date(builder) => builder.append_null(),
            Self::Time(builder, _) => builder.append_null(),
            Self::Moment(builder, _) => builder.append_null(),
            Self::Duration(builder) => builder.append_null(),
            Self::List(list) => {
                list.lengths.push(0);
                list.valid.push(false);
            }
        }
    }

    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Fault> {
        match self {
            Self::Boolean(builder) => builder.append_value(cursor.boolean()?),
            Self::Int(builder) => builder.append_value(cursor.int()?),
            Self::Long(builder) => builder.append_value(cursor.long()?),
            Self::Float(builder) => builder.append_value(f32::from_le_bytes(cursor.array()?)),
            Self::Double(builder) => builder.append_value(f64::from_le_bytes(cursor.array()?)),
            Self::Bytes(builder, length) => builder.append_value(length.read(cursor)?),
            Self::Text(builder) => builder.append_value(cursor.text()?),
            Self::Enum(builder, symbols) => builder.append_value(cursor.symbol(symbols)?),
            Self::Uuid(builder) => builder.append_value(uuid::Uuid::from_bytes(cursor.array()?).hyphenated().to_string()),
            Self::Decimal(builder, precision, length) => builder.append_value(decimal(length.read(cursor)?, *precision)?),
            Self::Date(builder) => builder.append_value(cursor.int()?),
            Self::Time(builder, tick) => {
                let day = 86_400_000_000;
                let micros = tick.micros(cursor.long()?)?;
                builder.append_value(Some(micros).filter(|micros| (0..day).contains(micros)).ok_or(Fault::Unfit)?);
            }
            Self::Moment(builder, tick) => builder.append_value(tick.micros(cursor.long()?)?),
            Self::Duration(builder) => {
                let mut part = || cursor.array().map(u32::from_le_bytes);
                let (months, days, millis) = (part()?, part()?, part()?);
                let whole = |part: u32| i32::try_from(part).map_err(|_| Fault::Unfit);
                builder.append_value(IntervalMonthDayNano::new(whole(months)?, whole(days)?, i64::from(millis) * 1_000_000));
            }
            Self::List(list) => list.read(cursor)?,
        }
        Ok(())
    }
}

impl Tick {
    fn micros(self, count: i64) -> Result<i64, Fault> {
        match self {
            Self::Millis => count.checked_mul(1_000).ok_or(Fault::Unfit),
            Self::Micros => Ok(count),
            Self::Nanos => Ok(count.div_euclid(1_000)),
        }
    }
}

/// A number of two's complement, its highest byte first.
fn decimal(bytes: &[u8], precision: u8) -> Result<i128, Fault> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if negative { 0xff } else { 0 };
    let spare = bytes.len().saturating_sub(16);
    let (above, bytes) = bytes.split_at_checked(spare).ok_or(Fault::Malformed)?;
    let mut whole = [filler; 16];
    whole.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
    let value = i128::from_be_bytes(whole);
    let limit = 10_i128.checked_pow(u32::from(precision)).ok_or(Fault::Unfit)?;
    let fits = above.iter().all(|byte| *byte == filler) && (value < 0) == negative && value < limit && value > -limit;
    if fits { Ok(value) } else { Err(Fault::Unfit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_of_any_length_and_have_their_digits() {
        assert_eq!(decimal(&[0xff], 3), Ok(-1));
        assert_eq!(decimal(&[], 3), Ok(0));
        assert_eq!(decimal(&[0x03, 0xe7], 3), Ok(999));
        assert_eq!(decimal(&[0x03, 0xe8], 3), Err(Fault::Unfit));
        assert_eq!(decimal(&[[0xff; 20].as_slice(), &[0x9c]].concat(), 3), Ok(-100));
        assert_eq!(decimal(&[&[0x01], [0; 16].as_slice()].concat(), 38), Err(Fault::Unfit));
        assert_eq!(decimal(&[&[0x00, 0xff], [0; 15].as_slice()].concat(), 38), Err(Fault::Unfit));
    }

    #[test]
    fn numbers_end_within_ten_bytes() {
        assert_eq!(Cursor::new(&[0x01]).long(), Ok(-1));
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).long(), Ok(i64::MIN));
        for wrong in [&[0xff; 11][..], &[0x80], &[], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]] {
            assert_eq!(Cursor::new(wrong).long(), Err(Fault::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn an_array_cannot_claim_more_items_than_bytes() {
        // 2^40 items, and nothing behind.
        let claim = [0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
        assert_eq!(Cursor::new(&claim).items(), Err(Fault::Malformed));
    }
}
