//! Reads the objects of one file, a batch at a time.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, SchemaRef};
use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::json::{elements, members, text};
use crate::ports::error::{Error, Place};
use crate::ports::files::{Nulls, Wanted, unpacked};
use crate::ports::schema::{TextKind, text_kind, type_name};
use crate::ports::texts::{BadValue, Nulled, Texts, read_column};
use crate::product::Compression;

/// A longer line is taken for damage.
const LINE_BYTES_MAX: usize = 16 << 20;
/// The batches of one file.
pub(super) fn read_file(wanted: Arc<Wanted>, file: &ObjectMeta, rows_max: usize) -> BoxStream<'static, Result<RecordBatch, Error>> {
    let bytes = unpacked(&wanted.at, &wanted.rooted, file, Compression::None);
    let lines = Lines { bytes, chunk: Bytes::new(), line: Vec::new(), number: 0, ended: false };
    let keys = Keys { seen: vec![false; wanted.shape.columns.len()], known: HashMap::new(), objects: 0 };
    let nulls = wanted.nulls();
    let reading = Arc::new(Reading { schema: wanted.schema(), wanted });
    futures::stream::try_unfold(Some((lines, keys, nulls)), move |state| {
        let reading = Arc::clone(&reading);
        async move {
            let Some((mut lines, mut keys, mut nulls)) = state else { return Ok(None) };
            let mut rows = Rows::new(reading.wanted.indices.len());
            while rows.lines.len() < rows_max {
                if !lines.next(&reading.wanted.at).await? {
                    keys.check(&reading.wanted)?;
                    return Ok((!rows.lines.is_empty()).then_some((reading.batch(&rows, &mut nulls)?, None)));
                }
                reading.object(&lines, &mut keys, &mut rows)?;
            }
            Ok(Some((reading.batch(&rows, &mut nulls)?, Some((lines, keys, nulls)))))
        }
    })
    .boxed()
}

/// What is read.
struct Reading {
    wanted: Arc<Wanted>,
    schema: SchemaRef,
}

impl Reading {
    /// Takes the wanted members of one line.
    fn object(&self, lines: &Lines, keys: &mut Keys, rows: &mut Rows) -> Result<(), Error> {
        let line = lines.line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        let fault = |reason: &str| Error::BadRecord { at: self.wanted.at.clone(), line: lines.number, reason: reason.to_owned() };
        if serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err() {
            return Err(fault("it is not valid JSON"));
        }
        let members = members(line).ok_or_else(|| fault("it is no JSON object"))?;
        keys.objects += 1;
        rows.start(lines.number);
        for (key, value) in members {
            for index in keys.columns(&key, &self.wanted).iter() {
                if let Some(seen) = keys.seen.get_mut(*index) {
                    *seen = true;
                }
                for (place, _) in self.wanted.indices.iter().enumerate().filter(|(_, wanted)| *wanted == index) {
                    if !rows.put(place, value) {
                        return Err(fault("it has a key twice"));
                    }
                }
            }
        }
        Ok(())
    }

    fn batch(&self, rows: &Rows, nulls: &mut Nulls) -> Result<RecordBatch, Error> {
        let broken = || Error::Internal { at: self.wanted.at.clone(), broken: "an NDJSON batch does not have its schema" };
        let columns = self.wanted.indices.iter().zip(&rows.cells).enumerate().map(|(place, (index, cells))| -> Result<ArrayRef, Error> {
            let column = self.wanted.shape.columns.get(*index).ok_or_else(broken)?;
            let cells: Vec<Option<&[u8]>> = cells.iter().map(|range| rows.bytes.get(range.clone()?)).collect();
            column_of(&cells, &column.field, nulls.of(place)).map_err(|bad| Error::BadValue {
                at: self.wanted.at.clone(),
                line: rows.lines.get(bad.row).copied().unwrap_or_default(),
                column: column.field.name().clone(),
                expected: type_name(&column.field),
            })
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.lines.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|_| broken())
    }
}

/// Which columns a key stands for, and which were seen in the file.
struct Keys {
    seen: Vec<bool>,
    known: HashMap<String, Arc<[usize]>>,
    objects: u64,
}

/// Keys that are remembered; an object may have any.
const KEYS_MAX: usize = 4096;

impl Keys {
    fn columns(&mut self, key: &str, wanted: &Wanted) -> Arc<[usize]> {
        if let Some(known) = self.known.get(key) {
            return Arc::clone(known);
        }
        let stands = wanted.shape.columns.iter().enumerate().filter(|(index, column)| {
            let same = column.source == key || (!column.pinned && column.source.eq_ignore_ascii_case(key));
            same && !wanted.told.contains(index)
        });
        let found: Arc<[usize]> = stands.map(|(index, _)| index).collect();
        if self.known.len() < KEYS_MAX {
            self.known.insert(key.to_owned(), Arc::clone(&found));
        }
        found
    }

    /// At the end of a file: a key that no object has is gone from the source.
    fn check(&self, wanted: &Wanted) -> Result<(), Error> {
        let mut columns = self.seen.iter().zip(&wanted.shape.columns).enumerate();
        let missing = columns.find(|(index, (seen, _))| !**seen && !wanted.told.contains(index));
        match missing.filter(|_| self.objects > 0) {
            Some((_, (_, column))) => Err(column.missing(&wanted.at)),
            None => Ok(()),
        }
    }
}

/// The wanted members of some objects.
struct Rows {
    bytes: Vec<u8>,
    /// For each wanted column, where its values are in `bytes`.
    cells: Vec<Vec<Option<Range<usize>>>>,
    lines: Vec<u64>,
}

impl Rows {
    fn new(columns: usize) -> Self {
        Self { bytes: Vec::new(), cells: vec![Vec::new(); columns], lines: Vec::new() }
    }

    fn start(&mut self, line: u64) {
        self.lines.push(line);
        self.cells.iter_mut().for_each(|cells| cells.push(None));
    }

    /// Sets a value of the last object; `false` if it has one.
    fn put(&mut self, column: usize, value: &[u8]) -> bool {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let end = self.bytes.len();
        match self.cells.get_mut(column).and_then(|cells| cells.last_mut()) {
            Some(cell @ None) => {
                *cell = Some(start..end);
                true
            }
            _ => false,
        }
    }
}

/// The lines of a file.
struct Lines {
    bytes: BoxStream<'static, Result<Bytes, Error>>,
    chunk: Bytes,
    line: Vec<u8>,
    number: u64,
    ended: bool,
}

impl Lines {
    /// Moves to the next line; `false` at the end.
    async fn next(&mut self, at: &Place) -> Result<bool, Error> {
        self.line.clear();
        if self.ended {
            return Ok(false);
        }
        self.number += 1;
        loop {
            let end = self.chunk.iter().position(|byte| *byte == b'\n');
            let taken = self.chunk.split_to(end.unwrap_or(self.chunk.len()));
            self.line.extend_from_slice(&taken);
            if self.line.len() > LINE_BYTES_MAX {
                return Err(Error::BadRecord { at: at.clone(), line: self.number, reason: "it is longer than 16 MiB".to_owned() });
            }
            if end.is_some() {
                self.chunk.advance(1);
                break;
            }
            match self.bytes.next().await {
                Some(chunk) => self.chunk = chunk?,
                None => {
                    self.ended = true;
                    break;
                }
            }
        }
        if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
            self.line.drain(..3);
        }
        Ok(!self.ended || !self.line.is_empty())
    }
}

/// Values as texts of the contract's type.
struct Values<'a>(Vec<Option<std::borrow::Cow<'a, [u8]>>>);

impl Texts for Values<'_> {
    fn rows(&self) -> usize {
        self.0.len()
    }

    fn text(&self, row: usize) -> Option<&[u8]> {
        self.0.get(row).and_then(|value| value.as_deref())
    }
}

/// A value that is not null.
fn present(cell: Option<&[u8]>) -> Option<&[u8]> {
    cell.filter(|value| *value != b"null")
}

/// What a value that is none of its column's type is read as.
fn nulled<T>(nulled: &mut Nulled<'_>, row: usize) -> Result<Option<T>, BadValue> {
    let count = nulled.as_deref_mut().ok_or(BadValue { row })?;
    *count += 1;
    Ok(None)
}

/// A column of JSON values.
fn column_of(cells: &[Option<&[u8]>], field: &Field, mut nulls: Nulled<'_>) -> Result<ArrayRef, BadValue> {
    if let DataType::List(element) = field.data_type() {
        return list_of(cells, element, nulls);
    }
    let mut values = Vec::with_capacity(cells.len());
    for (row, cell) in cells.iter().enumerate() {
        values.push(match present(*cell) {
            None => None,
            Some(value) => match value_of(value, field) {
                None => nulled(&mut nulls, row)?,
                found => found,
            },
        });
    }
    let values: &dyn Texts = &Values(values);
    read_column(values, field, nulls)
}

fn list_of(cells: &[Option<&[u8]>], element: &Arc<Field>, mut nulls: Nulled<'_>) -> Result<ArrayRef, BadValue> {
    let (mut inner, mut lengths, mut valid, mut rows) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (row, cell) in cells.iter().enumerate() {
        let found = match present(*cell) {
            None => None,
            Some(array) => match elements(array) {
                None => nulled(&mut nulls, row)?,
                found => found,
            },
        };
        valid.push(found.is_some());
        let found = found.unwrap_or_default();
        lengths.push(found.len());
        rows.extend(std::iter::repeat_n(row, found.len()));
        inner.extend(found.into_iter().map(Some));
    }
    let values = column_of(&inner, element, nulls).map_err(|bad| BadValue { row: rows.get(bad.row).copied().unwrap_or_default() })?;
    let list = ListArray::try_new(Arc::clone(element), OffsetBuffer::from_lengths(lengths), values, Some(NullBuffer::from(valid)));
    list.map(|list| Arc::new(list) as ArrayRef).map_err(|_| BadValue { row: 0 })
}

/// The text that a value is read from, if it is of a kind that the type can be written as.
fn value_of<'a>(value: &'a [u8], field: &Field) -> Option<std::borrow::Cow<'a, [u8]>> {
    use std::borrow::Cow;
    let (is_json, is_text) = match field.data_type() {
        DataType::Utf8View => (text_kind(field) == TextKind::Json, text_kind(field) != TextKind::Json),
        _ => (false, false),
    };
    if is_json {
        return Some(Cow::Borrowed(value));
    }
    let number = field.data_type().is_numeric();
    // Numbers that a reader of JSON may round are often written as strings.
    let exact = matches!(field.data_type(), DataType::Int64 | DataType::Decimal128(..) | DataType::Float32 | DataType::Float64);
    match value.first()? {
        b'"' if is_text || !number || exact => {
            (*field.data_type() != DataType::Boolean).then(|| text(value)).flatten().map(|text| match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            })
        }
        b't' | b'f' => (*field.data_type() == DataType::Boolean).then_some(Cow::Borrowed(value)),
        b'-' | b'0'..=b'9' => number.then_some(Cow::Borrowed(value)),
        _ => None,
    }
}
