//! Reads the records of one CSV file, a batch at a time.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::records::{Progress, RecordFault, Records};
use crate::ports::error::{Error, Place};
use crate::ports::files::{Nulls, Rooted, Wanted, unpacked};
use crate::ports::schema::type_name;
use crate::ports::texts::{Texts, read_column};
use crate::product::CsvDialect;

/// One field of all records. `null` is the text that stands for NULL.
struct Cells<'a> {
    records: &'a Records,
    column: usize,
    null: &'a [u8],
}

impl Texts for Cells<'_> {
    fn rows(&self) -> usize {
        self.records.len()
    }

    fn text(&self, row: usize) -> Option<&[u8]> {
        Some(self.records.field(row, self.column)).filter(|text| *text != self.null)
    }
}

/// A file that is being read.
struct OpenFile {
    bytes: BoxStream<'static, Result<Bytes, Error>>,
    chunk: Bytes,
    records: Records,
    ended: bool,
}

impl OpenFile {
    fn new(at: &Place, rooted: &Rooted, file: &ObjectMeta, dialect: &CsvDialect) -> Self {
        let bytes = unpacked(at, rooted, file, dialect.compression);
        Self { bytes, chunk: Bytes::new(), records: Records::new(dialect), ended: false }
    }

    /// Reads records until there are `rows_max` or the file ends.
    async fn fill(&mut self, at: &Place, rows_max: usize) -> Result<(), Error> {
        while self.records.len() < rows_max && !self.ended {
            let mut input: &[u8] = &self.chunk;
            let before = input.len();
            let progress = self.records.read(&mut input, false).map_err(|fault| bad_record(at, fault))?;
            let used = before - input.len();
            bytes::Buf::advance(&mut self.chunk, used);
            if progress == Progress::NeedsInput {
                match self.bytes.next().await {
                    Some(chunk) => self.chunk = chunk?,
                    None => self.finish(at)?,
                }
            }
        }
        Ok(())
    }

    fn finish(&mut self, at: &Place) -> Result<(), Error> {
        let mut nothing: &[u8] = &[];
        // The last record may lack its line end: reading nothing ends it.
        while self.records.read(&mut nothing, true).map_err(|fault| bad_record(at, fault))? == Progress::Record {}
        self.ended = true;
        Ok(())
    }

    /// The header's names, or `None` in an empty file.
    async fn header(&mut self, at: &Place) -> Result<Option<Vec<String>>, Error> {
        self.fill(at, 1).await?;
        if self.records.len() == 0 {
            return Ok(None);
        }
        let width = self.records.width().unwrap_or(0);
        let names = (0..width).map(|column| match std::str::from_utf8(self.records.field(0, column)) {
            Ok(name) => Ok(name.trim().to_owned()),
            Err(_) => Err(Error::BadRecord { at: at.clone(), line: 1, reason: "it is not UTF-8".to_owned() }),
        });
        let names = names.collect::<Result<Vec<_>, _>>()?;
        self.records.clear();
        Ok(Some(names))
    }

    /// Where the contract's columns are in a record. Reads the header, or the first record to learn its width.
    async fn columns(&mut self, wanted: &Wanted, dialect: &CsvDialect) -> Result<Vec<Option<usize>>, Error> {
        let (at, shape) = (&wanted.at, &wanted.shape);
        if dialect.header {
            let names = self.header(at).await?.unwrap_or_default();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return shape.locate_but(at, &names, &wanted.told);
        }
        self.fill(at, 1).await?;
        let mut next = 0..self.records.width().unwrap_or(shape.columns.len());
        let columns = shape.columns.iter().enumerate().map(|(index, column)| match wanted.told.contains(&index) {
            true => Ok(None),
            false => next.next().map(Some).ok_or_else(|| column.missing(at)),
        });
        columns.collect()
    }
}

fn bad_record(at: &Place, fault: RecordFault) -> Error {
    Error::BadRecord { at: at.clone(), line: fault.line, reason: fault.reason }
}

/// The names in a file's header.
pub(super) async fn header(at: &Place, rooted: &Rooted, file: &ObjectMeta, dialect: &CsvDialect) -> Result<Vec<String>, Error> {
    Ok(OpenFile::new(at, rooted, file, dialect).header(at).await?.unwrap_or_default())
}

/// The batches of one file.
pub(super) fn read_file(
    wanted: Arc<Wanted>,
    dialect: CsvDialect,
    file: &ObjectMeta,
    rows_max: usize,
) -> BoxStream<'static, Result<RecordBatch, Error>> {
    let opened = OpenFile::new(&wanted.at, &wanted.rooted, file, &dialect);
    let nulls = wanted.nulls();
    let reading = Arc::new(Reading { schema: wanted.schema(), wanted, dialect });
    futures::stream::try_unfold((opened, None::<Vec<Option<usize>>>, nulls), move |(mut file, columns, mut nulls)| {
        let reading = Arc::clone(&reading);
        async move {
            let columns = match columns {
                Some(columns) => columns,
                None => file.columns(&reading.wanted, &reading.dialect).await?,
            };
            file.fill(&reading.wanted.at, rows_max).await?;
            if file.records.len() == 0 {
                return Ok(None);
            }
            let batch = reading.batch(&file.records, &columns, &mut nulls)?;
            file.records.clear();
            Ok(Some((batch, (file, Some(columns), nulls))))
        }
    })
    .boxed()
}

/// What is read, and how.
struct Reading {
    wanted: Arc<Wanted>,
    schema: SchemaRef,
    dialect: CsvDialect,
}

impl Reading {
    fn batch(&self, records: &Records, columns: &[Option<usize>], nulls: &mut Nulls) -> Result<RecordBatch, Error> {
        let at = &self.wanted.at;
        let broken = || Error::Internal { at: at.clone(), broken: "a CSV batch does not have its schema" };
        let null = self.dialect.null_value.as_bytes();
        let arrays = self.wanted.indices.iter().enumerate().map(|(place, index)| -> Result<ArrayRef, Error> {
            let column = self.wanted.shape.columns.get(*index).ok_or_else(broken)?;
            let position = columns.get(*index).copied().flatten().ok_or_else(broken)?;
            let cells = Cells { records, column: position, null };
            read_column(&cells, &column.field, nulls.of(place)).map_err(|bad| Error::BadValue {
                at: at.clone(),
                line: records.line(bad.row),
                column: column.field.name().clone(),
                expected: type_name(&column.field),
            })
        });
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options).map_err(|_| broken())
    }
}
