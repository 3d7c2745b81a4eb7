//! Batches out of a server's rows: of those of a query, or of a binary COPY.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use bytes::{Buf, Bytes, BytesMut};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::builder::Builder;
use super::decode;
use super::exec::Query;
use super::server::query_error;
use crate::ports::error::Error;

/// A batch of wide rows ends early.
const BATCH_BYTES: usize = 8 << 20;

/// Rows that are becoming a batch.
pub(super) struct Batcher {
    query: Arc<Query>,
    builders: Vec<Builder>,
    rows_max: usize,
    count: usize,
    bytes: usize,
}

impl Batcher {
    /// No row yet.
    pub(super) fn new(query: &Arc<Query>, rows_max: usize) -> Result<Self, Error> {
        let broken = || Error::Internal { at: query.at.clone(), broken: "a column of a server's table has no builder" };
        let builders = query.columns.iter().map(|column| Builder::new(&column.field).ok_or_else(broken));
        let builders = builders.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { query: Arc::clone(query), builders, rows_max: rows_max.max(1), count: 0, bytes: 0 })
    }

    /// Whether the batch is to be taken before the next row.
    pub(super) fn is_full(&self) -> bool {
        self.count >= self.rows_max || self.bytes >= BATCH_BYTES
    }

    /// Takes in a row of a query.
    pub(super) fn append(&mut self, row: &Row) -> Result<(), Error> {
        let query = Arc::clone(&self.query);
        for index in 0..self.builders.len() {
            let value: Option<Raw<'_>> = row.try_get(index).map_err(|e| query_error(&query.at, e))?;
            self.append_value(index, value.map(|raw| raw.0))?;
        }
        self.count += 1;
        self.bytes += row.raw_size_bytes();
        Ok(())
    }

    fn append_value(&mut self, index: usize, value: Option<&[u8]>) -> Result<(), Error> {
        let more = || Error::Internal { at: self.query.at.clone(), broken: "a server's row has more columns than were asked for" };
        let builder = self.builders.get_mut(index).ok_or_else(more)?;
        if builder.append(value).is_some() || (self.query.marking && builder.append_mark().is_some()) {
            return Ok(());
        }
        Err(self.query.columns.get(index).map_or_else(more, |column| self.query.unfit(column)))
    }

    /// The rows so far; `None` if there are none.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>, Error> {
        let count = std::mem::take(&mut self.count);
        self.bytes = 0;
        if count == 0 {
            return Ok(None);
        }
        let broken = || Error::Internal { at: self.query.at.clone(), broken: "a server's batch does not have its schema" };
        let arrays = self.builders.iter_mut().map(|builder| builder.finish().ok_or_else(broken));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.query.schema), arrays, &options).map(Some).map_err(|_| broken())
    }
}

/// A value's bytes as they came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// The signature, flags and the length of an extension that has never been used.
const HEADER_BYTES: usize = 19;

/// What a binary COPY has sent and has not been taken yet. Its messages need not end where records end.
pub(super) struct CopyReader {
    carried: BytesMut,
    begun: bool,
    ended: bool,
    /// Where the fields of the record at the front are, each without its length.
    fields: Vec<Option<(usize, usize)>>,
}

/// Bytes that are no binary COPY.
pub(super) struct NoCopy;

impl CopyReader {
    /// Nothing has arrived.
    pub(super) fn new() -> Self {
        Self { carried: BytesMut::new(), begun: false, ended: false, fields: Vec::new() }
    }

    /// Whether the last record has arrived, and what says that it is the last.
    pub(super) fn is_complete(&self) -> bool {
        self.ended && self.carried.is_empty()
    }

    /// The records that a message completes, each as its fields.
    pub(super) fn take(
        &mut self,
        message: Bytes,
        mut each: impl FnMut(&[u8], &[Option<(usize, usize)>]) -> Result<(), Error>,
    ) -> Result<Result<(), NoCopy>, Error> {
        let mut bytes = if self.carried.is_empty() {
            message
        } else {
            self.carried.extend_from_slice(&message);
            self.carried.split().freeze()
        };
        if !self.begun && bytes.len() >= HEADER_BYTES {
            if !bytes.starts_with(SIGNATURE) || bytes.get(11..HEADER_BYTES) != Some([0; 8].as_slice()) {
                return Ok(Err(NoCopy));
            }
            bytes.advance(HEADER_BYTES);
            self.begun = true;
        }
        while self.begun && !bytes.is_empty() {
            if self.ended {
                return Ok(Err(NoCopy));
            }
            match self.record(&bytes) {
                Err(NoCopy) => return Ok(Err(NoCopy)),
                Ok(None) => break,
                Ok(Some(length)) => {
                    if !self.ended {
                        each(&bytes, &self.fields)?;
                    }
                    bytes.advance(length);
                }
            }
        }
        self.carried.extend_from_slice(&bytes);
        Ok(Ok(()))
    }

    /// Finds the fields of the record at the front. Its length; `None` if it has not arrived whole.
    fn record(&mut self, bytes: &[u8]) -> Result<Option<usize>, NoCopy> {
        self.fields.clear();
        let mut rest = bytes;
        let Some(count) = decode::take::<i16>(&mut rest) else { return Ok(None) };
        if count == -1 {
            self.ended = true;
            return Ok(Some(2));
        }
        let mut at = 2_usize;
        for _ in 0..u16::try_from(count).map_err(|_| NoCopy)? {
            let Some(length) = decode::take::<i32>(&mut rest) else { return Ok(None) };
            at += 4;
            match usize::try_from(length) {
                Err(_) if length == -1 => self.fields.push(None),
                Err(_) => return Err(NoCopy),
                Ok(length) => {
                    let Some((_, behind)) = rest.split_at_checked(length) else { return Ok(None) };
                    self.fields.push(Some((at, length)));
                    rest = behind;
                    at += length;
                }
            }
        }
        Ok(Some(at))
    }
}

impl Batcher {
    /// Takes in a record of a COPY.
    pub(super) fn append_record(&mut self, bytes: &[u8], fields: &[Option<(usize, usize)>]) -> Result<(), Error> {
        // Where no column is asked for, one that is none is sent.
        if fields.len() != self.builders.len().max(1) {
            return Err(Error::Internal { at: self.query.at.clone(), broken: "a server's record has other columns than were asked for" });
        }
        for index in 0..self.builders.len() {
            let field = fields.get(index).copied().flatten();
            let value = field.and_then(|(start, length)| bytes.get(start..)?.get(..length));
            self.append_value(index, value)?;
            self.bytes += field.map_or(4, |(_, length)| length + 4);
        }
        self.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied() -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([0; 8]);
        bytes.extend(2_i16.to_be_bytes());
        bytes.extend(2_i32.to_be_bytes());
        bytes.extend(*b"ab");
        bytes.extend((-1_i32).to_be_bytes());
        bytes.extend(2_i16.to_be_bytes());
        bytes.extend((-1_i32).to_be_bytes());
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend(*b"c");
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn read(parts: &[&[u8]]) -> Option<(Vec<String>, bool)> {
        let (mut reader, mut records) = (CopyReader::new(), Vec::new());
        for part in parts {
            let taken = reader.take(Bytes::copy_from_slice(part), |bytes, fields| {
                let texts = fields.iter().map(|field| match field {
                    None => "-".to_owned(),
                    Some((start, length)) => String::from_utf8_lossy(&bytes[*start..start + length]).into_owned(),
                });
                records.push(texts.collect::<Vec<_>>().join("|"));
                Ok(())
            });
            taken.unwrap().ok()?;
        }
        Some((records, reader.is_complete()))
    }

    #[test]
    fn records_arrive_wherever_messages_end() {
        let (whole, expected) = (copied(), vec!["ab|-".to_owned(), "-|c".to_owned()]);
        for first in 0..whole.len() {
            for second in first..whole.len() {
                let parts = [&whole[..first], &whole[first..second], &whole[second..]];
                assert_eq!(read(&parts).unwrap(), (expected.clone(), true), "{first} {second}");
            }
        }
    }

    #[test]
    fn a_copy_that_is_cut_off_is_not_complete() {
        let whole = copied();
        for end in 0..whole.len() {
            assert!(!read(&[&whole[..end]]).is_some_and(|(_, complete)| complete), "{end}");
        }
        assert!(read(&[b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0"]).is_none());
        assert!(read(&[&whole, &[0]]).is_none());
    }
}
