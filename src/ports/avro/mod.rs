//! Avro object container files as a table.
//!
//! Columns are found by name, and their types are compared with the contract, in every file.
//! INVARIANT: each block ends with the mark of its file, and its records fill it to the last byte, or the scan fails; a count or a length
//! that was changed never makes a shorter answer. That the file was cut between two blocks, the format cannot tell.

mod codec;
mod container;
mod decode;
mod schema;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod write;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::error::{Error, Place};
use super::files::{Format, Rooted, Wanted};
use super::schema::type_name;
use super::shape::own_columns;
use container::{Container, damaged};
use decode::{Column, Cursor, Fault};
use schema::NodeId;

/// Avro.
#[derive(Debug)]
pub(super) struct Avro;

#[async_trait]
impl Format for Avro {
    fn extensions(&self) -> &'static [&'static str] {
        &[".avro"]
    }

    fn value_bytes(&self) -> u64 {
        6
    }

    async fn own_columns(&self, at: &Place, rooted: &Rooted, file: &ObjectMeta) -> Result<Vec<ArrowField>, Error> {
        let container = Container::open(at, rooted, file).await?;
        own_columns(at, &container.schema.to_arrow().ok_or_else(|| no_records(at))?)
    }

    fn read(&self, wanted: Arc<Wanted>, file: &ObjectMeta, rows_max: usize) -> BoxStream<'static, Result<RecordBatch, Error>> {
        let file = file.clone();
        futures::stream::try_unfold(None, move |reading: Option<Reading>| {
            let (wanted, file) = (Arc::clone(&wanted), file.clone());
            async move {
                let mut reading = match reading {
                    Some(reading) => reading,
                    None => Reading::open(wanted, &file).await?,
                };
                Ok(reading.batch(rows_max).await?.map(|batch| (batch, Some(reading))))
            }
        })
        .boxed()
    }
}

fn no_records(at: &Place) -> Error {
    Error::NotSupported { at: at.clone(), what: "an Avro file whose values are no records".to_owned() }
}

/// What is done with a field of a record.
enum Step {
    Skip(NodeId),
    Read(usize),
}

/// A file that is being read.
struct Reading {
    wanted: Arc<Wanted>,
    schema: SchemaRef,
    container: Container,
    steps: Vec<Step>,
    columns: Vec<Column>,
    /// For each wanted column, which of `columns` it is made of.
    sources: Vec<usize>,
    block: Bytes,
    /// Records of the block that are still to be read.
    records: u64,
}

impl Reading {
    async fn open(wanted: Arc<Wanted>, file: &ObjectMeta) -> Result<Self, Error> {
        let at = &wanted.at;
        let container = Container::open(at, &wanted.rooted, file).await?;
        let fields = container.schema.fields().ok_or_else(|| no_records(at))?;
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let found = wanted.shape.locate_but(at, &names, &wanted.told)?;
        for (place, column) in found.iter().zip(&wanted.shape.columns) {
            let Some(place) = place else { continue };
            let (_, id) = fields.get(*place).ok_or_else(|| column.missing(at))?;
            let data_type = container.schema.arrow_type(*id);
            // The format has no smaller integers: each value is looked at.
            if (&data_type, column.field.data_type()) != (&ArrowType::Int32, &ArrowType::Int16) {
                column.check_type(at, &data_type)?;
            }
        }
        let broken = || Error::Internal { at: at.clone(), broken: "a column of a scan has no place in the file" };
        let mut steps: Vec<Step> = fields.iter().map(|(_, id)| Step::Skip(*id)).collect();
        let (mut columns, mut sources) = (Vec::new(), Vec::with_capacity(wanted.indices.len()));
        for index in &wanted.indices {
            let place = found.get(*index).copied().flatten().ok_or_else(broken)?;
            let step = steps.get_mut(place).ok_or_else(broken)?;
            if let Step::Skip(id) = step {
                columns.push(Column::new(&container.schema, *id).ok_or_else(broken)?);
                *step = Step::Read(columns.len() - 1);
            }
            let Step::Read(source) = step else { return Err(broken()) };
            sources.push(*source);
        }
        let schema = wanted.schema();
        Ok(Self { wanted, schema, container, steps, columns, sources, block: Bytes::new(), records: 0 })
    }

    /// The next rows; `None` at the end of the file.
    async fn batch(&mut self, rows_max: usize) -> Result<Option<RecordBatch>, Error> {
        let mut rows = 0;
        while rows < rows_max {
            if self.records == 0 {
                if !self.block.is_empty() {
                    return Err(damaged(&self.wanted.at, "a block is longer than its records"));
                }
                let Some(block) = self.container.block().await? else { break };
                (self.block, self.records) = (block.bytes, block.records);
                continue;
            }
            let read = usize::try_from(self.records).unwrap_or(usize::MAX).min(rows_max - rows);
            self.read(read)?;
            self.records -= u64::try_from(read).unwrap_or(u64::MAX);
            rows += read;
        }
        if rows == 0 { Ok(None) } else { self.finish(rows).map(Some) }
    }

    /// Reads so many records of the block.
    fn read(&mut self, records: usize) -> Result<(), Error> {
        let mut cursor = Cursor::new(&self.block);
        let mut read = || {
            for _ in 0..records {
                for step in &self.steps {
                    match step {
                        Step::Skip(id) => cursor.skip(&self.container.schema, *id, 0).map_err(|fault| (fault, 0))?,
                        Step::Read(source) => {
                            let column = self.columns.get_mut(*source).ok_or((Fault::Malformed, 0))?;
                            column.read(&mut cursor).map_err(|fault| (fault, *source))?;
                        }
                    }
                }
            }
            Ok(cursor.left())
        };
        let left = read().map_err(|(fault, source)| self.fault(fault, source))?;
        self.block = self.block.slice(self.block.len().saturating_sub(left)..);
        Ok(())
    }

    fn fault(&self, fault: Fault, source: usize) -> Error {
        let at = &self.wanted.at;
        let position = self.sources.iter().position(|of| *of == source);
        let field = position.and_then(|position| self.schema.fields().get(position));
        match (fault, field) {
            (Fault::Unfit, Some(field)) => unfit(at, field),
            _ => damaged(at, "a record is not in the form of its schema"),
        }
    }

    fn finish(&mut self, rows: usize) -> Result<RecordBatch, Error> {
        let read: Vec<_> = self.columns.iter_mut().map(Column::finish).collect();
        let read = read.into_iter().enumerate().map(|(source, array)| array.map_err(|fault| self.fault(fault, source)));
        let read = read.collect::<Result<Vec<ArrayRef>, Error>>()?;
        let at = &self.wanted.at;
        let broken = || Error::Internal { at: at.clone(), broken: "an Avro batch does not have its schema" };
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let columns = self.sources.iter().zip(self.schema.fields()).map(|(source, field)| {
            let array = read.get(*source).ok_or_else(broken)?;
            match array.data_type() == field.data_type() {
                true => Ok(Arc::clone(array)),
                false => cast_with_options(array, field.data_type(), &options).map_err(|_| unfit(at, field)),
            }
        });
        let columns = columns.collect::<Result<Vec<_>, Error>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|_| broken())
    }
}

fn unfit(at: &Place, field: &ArrowField) -> Error {
    Error::Unfit { at: at.clone(), column: field.name().clone(), expected: type_name(field) }
}
