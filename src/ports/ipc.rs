//! Arrow IPC files (Feather V2) as a table.
//!
//! Columns are found by name, and their types are compared with the contract, in every file. Batches are read one after the other by
//! the places that the file's footer gives. The format has no checksums: what is damaged is found by its form alone.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field as ArrowField, SchemaRef};
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::{Block, root_as_footer};
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::error::{Cause, Error, Place};
use super::files::{Format, Pinned, Rooted, StoreFault, Wanted};
use super::shape::own_columns;

/// The length of the footer and the mark of the format, at a file's end.
const TRAILER_BYTES: u64 = 10;

/// Arrow IPC.
#[derive(Debug)]
pub(super) struct Ipc;

#[async_trait]
impl Format for Ipc {
    fn extensions(&self) -> &'static [&'static str] {
        &[".arrow", ".feather", ".ipc"]
    }

    fn value_bytes(&self) -> u64 {
        8
    }

    async fn own_columns(&self, at: &Place, rooted: &Rooted, file: &ObjectMeta) -> Result<Vec<ArrowField>, Error> {
        own_columns(at, &Opened::new(at, rooted, file).await?.schema)
    }

    fn read(&self, wanted: Arc<Wanted>, file: &ObjectMeta, _: usize) -> BoxStream<'static, Result<RecordBatch, Error>> {
        let file = file.clone();
        futures::stream::once(async move {
            let opened = Opened::new(&wanted.at, &wanted.rooted, &file).await?;
            let batches = opened.batches.clone();
            let decoding = Arc::new(opened.decoding(&wanted).await?);
            Ok::<_, Error>(futures::stream::iter(batches).then(move |block| Arc::clone(&decoding).batch(block)))
        })
        .map(|opened| match opened {
            Ok(batches) => batches.boxed(),
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        })
        .flatten()
        .boxed()
    }
}

/// A file whose footer was read.
struct Opened {
    at: Place,
    store: Arc<Pinned>,
    file: ObjectMeta,
    schema: SchemaRef,
    dictionaries: Vec<Block>,
    batches: Vec<Block>,
    version: arrow::ipc::MetadataVersion,
}

impl Opened {
    async fn new(at: &Place, rooted: &Rooted, file: &ObjectMeta) -> Result<Self, Error> {
        let (store, file) = (rooted.pin(std::slice::from_ref(file)), Pinned::named(file));
        let end = file.size.checked_sub(TRAILER_BYTES).ok_or_else(|| damaged(at, "it is too short"))?;
        let trailer = fetch(at, &store, &file, end..file.size).await?;
        let trailer = <[u8; 10]>::try_from(trailer.iter().as_slice()).map_err(|_| damaged(at, "it has no end"))?;
        let length = read_footer_length(trailer).map_err(|error| damaged(at, error))?;
        let start = u64::try_from(length).ok().and_then(|length| end.checked_sub(length));
        let start = start.ok_or_else(|| damaged(at, "its footer is longer than the file"))?;
        let bytes = fetch(at, &store, &file, start..end).await?;
        let read = || -> Result<_, Error> {
            let footer = root_as_footer(&bytes).map_err(|error| damaged(at, error.to_string()))?;
            let schema = fb_to_schema(footer.schema().ok_or_else(|| damaged(at, "it has no schema"))?);
            let dictionaries: Vec<Block> = footer.dictionaries().iter().flatten().copied().collect();
            let batches: Vec<Block> = footer.recordBatches().iter().flatten().copied().collect();
            Ok((Arc::new(schema), dictionaries, batches, footer.version()))
        };
        let (schema, dictionaries, batches, version) = caught(at, read)?;
        Ok(Self { at: at.clone(), store, file, schema, dictionaries, batches, version })
    }

    /// What decodes the batches: the columns are found and checked, and the dictionaries read.
    async fn decoding(self, wanted: &Wanted) -> Result<Decoding, Error> {
        let names: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        let found = wanted.shape.locate_but(&self.at, &names, &wanted.told)?;
        for (place, column) in found.iter().zip(&wanted.shape.columns) {
            let Some(place) = place else { continue };
            let field = self.schema.fields().get(*place).ok_or_else(|| column.missing(&self.at))?;
            column.check_type(&self.at, field.data_type())?;
        }
        let broken = || Error::Internal { at: self.at.clone(), broken: "a column of a scan has no place in the file" };
        let places = wanted.indices.iter().map(|index| found.get(*index).copied().flatten().ok_or_else(broken));
        let places = places.collect::<Result<Vec<usize>, Error>>()?;
        let mut decoder = FileDecoder::new(Arc::clone(&self.schema), self.version);
        for block in &self.dictionaries {
            let buffer = fetch_block(&self.at, &self.store, &self.file, block).await?;
            let read = || decoder.read_dictionary(block, &buffer).map_err(|error| damaged(&self.at, error));
            caught(&self.at, read)?;
        }
        let schema = wanted.schema();
        let Self { at, store, file, .. } = self;
        Ok(Decoding { at, store, file, decoder, places, schema })
    }
}

/// A file whose batches can be read.
struct Decoding {
    at: Place,
    store: Arc<Pinned>,
    file: ObjectMeta,
    decoder: FileDecoder,
    /// For each column of `schema`, its place in the file.
    places: Vec<usize>,
    schema: SchemaRef,
}

impl Decoding {
    async fn batch(self: Arc<Self>, block: Block) -> Result<RecordBatch, Error> {
        let buffer = fetch_block(&self.at, &self.store, &self.file, &block).await?;
        caught(&self.at, || {
            let batch = self.decoder.read_record_batch(&block, &buffer).map_err(|error| damaged(&self.at, error))?;
            self.shown(&batch.ok_or_else(|| damaged(&self.at, "a batch is none"))?)
        })
    }

    /// The batch as the contract shows it.
    fn shown(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let broken = || damaged(&self.at, "a batch lacks a column of its schema");
        let columns = self.places.iter().zip(self.schema.fields()).map(|(place, field)| {
            let column = batch.columns().get(*place).ok_or_else(broken)?;
            cast_with_options(column, field.data_type(), &CastOptions { safe: false, ..CastOptions::default() })
                .map_err(|error| damaged(&self.at, error))
        });
        let columns = columns.collect::<Result<Vec<_>, Error>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|error| damaged(&self.at, error))
    }
}

async fn fetch_block(at: &Place, store: &Pinned, file: &ObjectMeta, block: &Block) -> Result<Buffer, Error> {
    let start = u64::try_from(block.offset()).ok();
    let metadata = u64::try_from(block.metaDataLength()).ok();
    let length = metadata.zip(u64::try_from(block.bodyLength()).ok()).and_then(|(head, body)| head.checked_add(body));
    let range = start.zip(length).and_then(|(start, length)| Some(start..start.checked_add(length)?));
    let range =
        range.filter(|range| range.end <= file.size && !range.is_empty()).ok_or_else(|| damaged(at, "a block lies outside of it"))?;
    Ok(Buffer::from(fetch(at, store, file, range).await?))
}

async fn fetch(at: &Place, store: &Pinned, file: &ObjectMeta, range: Range<u64>) -> Result<bytes::Bytes, Error> {
    let found = store.get_range(&file.location, range.clone()).await;
    let bytes = found.map_err(|error| StoreFault::of(&error).into_error(at, Box::new(error)))?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length == range.end - range.start => Ok(bytes),
        _ => Err(Error::Changed { at: at.clone(), source: "the file became shorter".into() }),
    }
}

/// The decoder is known to panic on some damaged files.
fn caught<T>(at: &Place, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged(at, "the decoder panicked")))
}

fn damaged(at: &Place, source: impl Into<Cause>) -> Error {
    Error::Damaged { at: at.clone(), source: source.into() }
}
