//! Reads one version of a file, and nothing else under its name.
//!
//! INVARIANT: what is handed out was read from a file that was still of the version afterwards. A file that has changed, or has been replaced
//! by another, is an error.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory};
use datafusion::error::Result;
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;

use super::super::error::{Error, Place};
use super::super::files::{FileVersion, SharedReads};
use super::Group;

/// The version that is to be read; goes with a file to its reader.
#[derive(Debug, Clone)]
pub(super) struct Pin {
    pub(super) at: Place,
    /// What nothing but this version of the file is called.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) version: FileVersion,
    pub(super) groups: Arc<[Group]>,
    pub(super) reads: Arc<SharedReads>,
}

impl Pin {
    fn changed(&self) -> ParquetError {
        let cause = "it is not the file that it was when the scan was planned";
        ParquetError::External(Box::new(Error::Changed { at: self.at.clone(), source: cause.into() }))
    }

    /// Reads parts of the file, opening it unless it is open.
    fn read(&self, file: Option<Arc<File>>, ranges: &[Range<u64>]) -> ParquetResult<(Arc<File>, Vec<Bytes>)> {
        let file = match file {
            Some(file) => file,
            None => Arc::new(File::open(&self.path).map_err(|_| self.changed())?),
        };
        let end = file.metadata().map_err(|e| ParquetError::External(Box::new(e)))?.len();
        let read = ranges.iter().map(|range| {
            // A damaged footer may ask for more than there is, and than there is memory.
            if range.end > end {
                return Err(ParquetError::EOF("a part of the file ends beyond it".to_owned()));
            }
            let size = usize::try_from(range.end.saturating_sub(range.start)).map_err(|e| ParquetError::External(Box::new(e)))?;
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, range.start).map_err(|e| ParquetError::External(Box::new(e)))?;
            Ok(Bytes::from(bytes))
        });
        let read = read.collect::<ParquetResult<Vec<Bytes>>>();
        // A change may be what made the reading fail.
        if !self.version.is_of(&file) {
            return Err(self.changed());
        }
        Ok((file, read?))
    }
}

/// Makes readers: of a version for files that go with one.
#[derive(Debug)]
pub(super) struct Readers {
    unpinned: CachedParquetFileReaderFactory,
}

impl Readers {
    pub(super) fn new(unpinned: CachedParquetFileReaderFactory) -> Self {
        Self { unpinned }
    }
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let pin = file.extension::<Arc<Pin>>().cloned();
        let footers = self.unpinned.create_reader(partition, file, hint, metrics)?;
        Ok(match pin {
            None => footers,
            Some(pin) => Box::new(PinnedReader { pin, footers, file: Arc::default() }),
        })
    }
}

struct PinnedReader {
    pin: Arc<Pin>,
    /// Has the footer from memory.
    footers: Box<dyn AsyncFileReader + Send>,
    file: Arc<OnceLock<Arc<File>>>,
}

impl AsyncFileReader for PinnedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = self.get_byte_ranges(vec![range]);
        async move { read.await?.pop().ok_or_else(|| ParquetError::General("one range was asked for".to_owned())) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            let (pin, open, wanted) = (Arc::clone(&self.pin), Arc::clone(&self.file), ranges.clone());
            let read = async move {
                let read = move || {
                    let known = open.get().cloned();
                    let (file, bytes) = pin.read(known, &wanted)?;
                    // Who came first has opened the same version.
                    let _opened = open.set(file);
                    Ok(bytes)
                };
                match Handle::try_current() {
                    Ok(runtime) => runtime.spawn_blocking(read).await.map_err(|e| ParquetError::External(Box::new(e)))?,
                    Err(_) => read(),
                }
            };
            self.pin.reads.ranges(&self.pin.name, &ranges, read, |broken| ParquetError::External(Box::new(broken))).await
        }
        .boxed()
    }

    fn get_metadata<'a>(&'a mut self, options: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let metadata = self.footers.get_metadata(options).await?;
            // The rows of a group are counted by the footer that the scan was planned with.
            let same = Group::all(&metadata).is_some_and(|groups| *groups == *self.pin.groups);
            if same { Ok(metadata) } else { Err(self.pin.changed()) }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::place;
    use super::*;

    #[test]
    fn no_memory_is_taken_for_what_the_file_does_not_have() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.parquet");
        std::fs::write(&path, [7; 100]).unwrap();
        let version = FileVersion::of_now(&path);
        let pin = Pin { at: place(), name: "short".to_owned(), path, version, groups: Arc::default(), reads: Arc::default() };
        let read = |range: Range<u64>| pin.read(None, std::slice::from_ref(&range)).map(|(_, parts)| parts);
        assert_eq!(read(90..100).unwrap(), [vec![7; 10]]);
        for beyond in [90..101, 0..u64::MAX] {
            assert!(matches!(read(beyond), Err(ParquetError::EOF(_))));
        }
    }
}
