//! The pages of one row group, read from an open file as the decoder comes to them; dictionaries from memory, if they are there.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::parquet::arrow::arrow_reader::RowGroups;
use datafusion::parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use datafusion::parquet::errors::{ParquetError, Result};
use datafusion::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use datafusion::parquet::file::reader::{ChunkReader, Length, SerializedPageReader};

use super::dictionaries::{Dictionaries, Name};
use crate::ports::files::FileVersion;

/// Holds the header of a page, where no index tells how long that is.
const HEADER_BYTES: usize = 512;

/// An open file.
#[derive(Debug, Clone)]
pub(super) struct OpenFile(pub(super) Arc<File>);

impl Length for OpenFile {
    fn len(&self) -> u64 {
        self.0.metadata().map_or(0, |metadata| metadata.len())
    }
}

impl ChunkReader for OpenFile {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(BufReader::with_capacity(HEADER_BYTES, From { file: Arc::clone(&self.0), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        // A damaged footer may ask for more than there is, and than there is memory.
        if start.checked_add(u64::try_from(length)?).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF("a page ends behind its file".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A file from somewhere on.
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at = self.at.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

/// One row group of an open file.
pub(super) struct Group<'a> {
    pub(super) file: OpenFile,
    pub(super) version: &'a FileVersion,
    pub(super) metadata: &'a ParquetMetaData,
    pub(super) group: usize,
    pub(super) dictionaries: &'a Arc<Dictionaries>,
}

impl RowGroups for Group<'_> {
    fn num_rows(&self) -> usize {
        self.row_groups().map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    fn column_chunks(&self, column: usize) -> Result<Box<dyn PageIterator>> {
        let missing = || ParquetError::General("a column chunk that is asked for is not there".to_owned());
        let chunk = self.row_groups().next().and_then(|group| group.columns().get(column)).ok_or_else(missing)?;
        let index = self.metadata.offset_index().and_then(|index| index.get(self.group)?.get(column));
        let locations = index.map(|index| index.page_locations().clone()).filter(|locations| !locations.is_empty());
        let pages = SerializedPageReader::new(Arc::new(self.file.clone()), chunk, self.num_rows(), locations)?;
        let name = Name { version: self.version.clone(), group: self.group, column };
        Ok(Box::new(OneChunk(Some(Pages { pages, name, dictionaries: Arc::clone(self.dictionaries) }))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.metadata.row_groups().get(self.group).into_iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

struct OneChunk(Option<Pages>);

impl Iterator for OneChunk {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(|pages| Ok(Box::new(pages) as Box<dyn PageReader>))
    }
}

impl PageIterator for OneChunk {}

/// The pages of a column chunk.
struct Pages {
    pages: SerializedPageReader<OpenFile>,
    name: Name,
    dictionaries: Arc<Dictionaries>,
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        if !self.pages.peek_next_page()?.is_some_and(|page| page.is_dict) {
            return self.pages.get_next_page();
        }
        if let Some(known) = self.dictionaries.find(&self.name) {
            self.pages.skip_next_page()?;
            return Ok(Some(known));
        }
        let page = self.pages.get_next_page()?;
        if let Some(dictionary @ Page::DictionaryPage { .. }) = &page {
            self.dictionaries.keep(self.name.clone(), dictionary);
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
