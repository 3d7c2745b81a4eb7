//! Looks through the places where rows can be: finds those with the key, and decodes the other columns for them alone.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::kernels::cmp;
use arrow::compute::prep_null_mask_filter;
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowSelection};
use datafusion::parquet::file::metadata::RowGroupMetaData;

use super::pages::{Group, OpenFile};
use super::{LookUp, Origin, SearchedFile, Spot};
use crate::ports::boundary::translate;
use crate::ports::error::Error;
use crate::ports::files::tell;

/// Keys that are compared at once.
const KEYS_AT_ONCE: usize = 8 << 10;

/// A search on its way.
pub(super) struct Search {
    look_up: Arc<LookUp>,
    /// The spots before it are done.
    next: usize,
    /// The file of the last spot, and what was found there.
    open: Option<(Arc<SearchedFile>, OpenFile)>,
    found: Option<Found>,
    rows_max: usize,
}

/// Rows that have the key.
struct Found {
    /// Reads the columns beside the key, if any are wanted.
    others: Option<ParquetRecordBatchReader>,
    /// Where in the file they lie, if that is wanted.
    numbers: Option<Int64Array>,
    /// Rows that have not been delivered yet.
    left: usize,
}

impl Search {
    /// Delivers so many rows at once.
    pub(super) fn new(look_up: Arc<LookUp>, rows_max: usize) -> Self {
        Self { look_up, next: 0, open: None, found: None, rows_max: rows_max.max(1) }
    }

    /// Whether no row can come any more.
    pub(super) fn is_done(&self) -> bool {
        self.found.is_none() && self.next >= self.look_up.spots.len()
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>> {
        let look_up = Arc::clone(&self.look_up);
        while !self.is_done() {
            if self.found.is_none() {
                let Some(spot) = look_up.spots.get(self.next) else { break };
                self.next += 1;
                self.begin(&look_up, spot)?;
            }
            if let (Some(found), Some((file, open))) = (&mut self.found, &self.open) {
                let rows = file.checked(&look_up, open, found.next(&look_up, file, self.rows_max))?;
                if found.left == 0 {
                    self.found = None;
                }
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }

    fn begin(&mut self, look_up: &LookUp, spot: &Spot) -> Result<()> {
        let known = self.open.take().filter(|(file, _)| Arc::ptr_eq(file, &spot.file));
        let open = match known {
            Some((_, open)) => open,
            None => OpenFile(Arc::new(File::open(&spot.file.path).map_err(|source| spot.file.changed(look_up, source))?)),
        };
        self.found = spot.file.checked(look_up, &open, spot.find(look_up, &open, self.rows_max))?;
        self.open = Some((Arc::clone(&spot.file), open));
        Ok(())
    }
}

impl SearchedFile {
    fn changed(&self, look_up: &LookUp, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataFusionError {
        let error = Error::Changed { at: look_up.at.clone(), source: source.into() };
        tell(&error, &self.name);
        error.into()
    }

    /// What was read, if it was read from the version that was planned with. A change may be what made the reading fail.
    fn checked<T>(&self, look_up: &LookUp, open: &OpenFile, read: Result<T>) -> Result<T> {
        if !self.version.is_of(&open.0) {
            return Err(self.changed(look_up, "it is not the file that it was when the scan was planned"));
        }
        read.map_err(|error| {
            let error = translate(&look_up.at, error);
            if let Some(known) = Error::find(&error) {
                tell(known, &self.name);
            }
            error
        })
    }
}

impl Spot {
    /// The rows that have the key, if there are any.
    fn find(&self, look_up: &LookUp, open: &OpenFile, rows_max: usize) -> Result<Option<Found>> {
        let (version, metadata) = (&self.file.version, self.file.metadata.as_ref());
        let group = Group { file: open.clone(), version, metadata, group: self.group, dictionaries: &look_up.dictionaries };
        let mut rows = self.rows.clone();
        for (key, levels) in look_up.keys.iter().zip(self.file.keys.iter()) {
            let selected = Some(rows.clone());
            let batches = ParquetRecordBatchReader::try_new_with_row_groups(levels, &group, KEYS_AT_ONCE, selected)?;
            let mut hits = Vec::new();
            for batch in batches {
                let hit = cmp::eq(batch?.column(0), &key.scalar)?;
                hits.push(if hit.null_count() > 0 { prep_null_mask_filter(&hit) } else { hit });
            }
            if hits.iter().map(Array::len).sum::<usize>() != rows.row_count() {
                return Err(short());
            }
            rows = rows.and_then(&RowSelection::from_filters(&hits));
            if !rows.selects_any() {
                return Ok(None);
            }
        }
        let left = rows.row_count();
        let numbers = if look_up.numbered { Some(self.numbers(&rows).ok_or_else(short)?) } else { None };
        let others = self.file.others().map(|others| {
            let at_once = rows_max.min(left);
            ParquetRecordBatchReader::try_new_with_row_groups(others?, &group, at_once, Some(rows))
        });
        Ok(Some(Found { others: others.transpose()?, numbers, left }))
    }

    /// Where in the file rows of the row group lie.
    fn numbers(&self, rows: &RowSelection) -> Option<Int64Array> {
        let before = self.file.metadata.row_groups().get(..self.group)?.iter().map(RowGroupMetaData::num_rows);
        let mut next = before.sum::<i64>();
        let mut numbers = Vec::with_capacity(rows.row_count());
        for selector in rows.iter() {
            let end = next.checked_add(i64::try_from(selector.row_count).ok()?)?;
            if !selector.skip {
                numbers.extend(next..end);
            }
            next = end;
        }
        Some(numbers.into())
    }
}

impl Found {
    fn next(&mut self, look_up: &LookUp, file: &SearchedFile, rows_max: usize) -> Result<RecordBatch> {
        let read = match &mut self.others {
            Some(others) => Some(others.next().ok_or_else(short)??),
            None => None,
        };
        let rows = read.as_ref().map_or_else(|| self.left.min(rows_max), RecordBatch::num_rows);
        let numbers = self.numbers.as_ref().map(|all| all.slice(all.len().saturating_sub(self.left), rows.min(self.left)));
        self.left = self.left.checked_sub(rows).filter(|_| rows > 0).ok_or_else(short)?;
        let broken = || Error::Internal { at: look_up.at.clone(), broken: "a column of a look-up comes from somewhere" };
        let columns = file.columns.iter().map(|origin| match origin {
            Origin::Key(key) => look_up.keys.get(*key).ok_or_else(broken)?.value.to_array_of_size(rows),
            Origin::Read(place) => Ok(read.as_ref().and_then(|read| read.columns().get(*place)).map(Arc::clone).ok_or_else(broken)?),
        });
        let mut columns = columns.collect::<Result<Vec<_>>>()?;
        columns.extend(numbers.map(|numbers| Arc::new(numbers) as ArrayRef));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&look_up.schema), columns, &options)?)
    }
}

/// A row group that has not the rows that its footer promises.
fn short() -> DataFusionError {
    DataFusionError::Execution("a row group has fewer rows than its footer says".to_owned())
}
