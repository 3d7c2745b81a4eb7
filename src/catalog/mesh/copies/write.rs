//! Makes the copy of one segment, and compares one with its segment.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use crate::audit::{self, PastStatement, Place, Reader};

use super::super::filling::Filling;
use super::super::log::LogRelation;
use super::pace::Pace;
use super::{Copies, HALF_DONE, stem};

/// Why a copy could not be made or read. Each leaves the log as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The segment.
    #[error("a segment cannot be read")]
    Segment(#[from] audit::Error),
    /// The folder of the copies.
    #[error("the folder of copies cannot be used")]
    Folder(#[from] io::Error),
    /// The rows.
    #[error("rows cannot be made")]
    Rows(#[from] DataFusionError),
    /// The format.
    #[error("a copy cannot be written or read")]
    Parquet(#[from] ParquetError),
    /// The same.
    #[error("a copy cannot be read")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// The rows of one relation while its file is written.
struct Sheet {
    filling: Filling,
    writer: ArrowWriter<BufWriter<File>>,
    path: PathBuf,
}

impl Sheet {
    fn new(relation: &'static LogRelation, path: PathBuf) -> Result<Self, Error> {
        let schema = relation.schema()?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(BufWriter::new(File::create(half_done(&path))?), schema, Some(properties))?;
        Ok(Self { filling: Filling::whole(relation)?, writer, path })
    }

    fn add(&mut self, statement: &PastStatement) -> Result<(), Error> {
        self.filling.add(statement);
        if self.filling.full() {
            self.writer.write(&self.filling.take()?)?;
        }
        Ok(())
    }

    /// Writes the end, durably, and puts the file in its place.
    fn finish(mut self) -> Result<(), Error> {
        self.writer.write(&self.filling.take()?)?;
        let file = self.writer.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(fs::rename(half_done(&self.path), &self.path)?)
    }
}

impl Copies {
    /// Makes the copy of a closed segment; what was there of it is replaced.
    pub(super) fn make(&self, reader: &Reader, place: &Place, pace: &mut Pace<'_>) -> Result<(), Error> {
        fs::create_dir_all(&self.folder)?;
        let stem = stem(place);
        let mut sheets = LogRelation::all()
            .iter()
            .map(|relation| Sheet::new(relation, self.rows(&stem, relation.name)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut failed = None;
        let rest = reader.split(place, |statement| {
            for sheet in &mut sheets {
                if failed.is_none() {
                    failed = sheet.add(&statement).err();
                }
            }
            pace.step();
            Ok(())
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        sheets.into_iter().try_for_each(Sheet::finish)?;
        // Its being there says that all is there.
        let path = self.rest(&stem);
        let mut file = File::create(half_done(&path))?;
        file.write_all(&rest)?;
        file.sync_all()?;
        fs::rename(half_done(&path), &path)?;
        Ok(())
    }

    /// Whether the copy says what the segment says.
    pub(super) fn matches(&self, reader: &Reader, place: &Place) -> Result<bool, Error> {
        let stem = stem(place);
        let mut fillings = LogRelation::all().iter().map(Filling::whole).collect::<Result<Vec<_>, _>>()?;
        let rest = reader.split(place, |statement| {
            fillings.iter_mut().for_each(|filling| filling.add(&statement));
            Ok(())
        })?;
        let mut same = fs::read(self.rest(&stem))? == rest;
        for (relation, mut filling) in LogRelation::all().iter().zip(fillings) {
            let expected = filling.take()?;
            same &= self.rows_of(&stem, relation)? == expected;
        }
        Ok(same)
    }

    fn rows_of(&self, stem: &str, relation: &LogRelation) -> Result<RecordBatch, Error> {
        let schema: SchemaRef = relation.schema()?;
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(self.rows(stem, relation.name))?)?.build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        Ok(arrow::compute::concat_batches(&schema, &batches)?)
    }
}

/// Beside its place, until it is complete.
fn half_done(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{HALF_DONE}"));
    name.into()
}
