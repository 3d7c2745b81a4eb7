//! Readers of CSV that have done their work, and wait for more: to make one takes longer than to read a small file.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use csv_core::{Reader, ReaderBuilder};

use crate::product::CsvDialect;

/// Readers that wait, of each dialect.
const WAITING_MAX: usize = 16;

/// Delimiter and quote.
type Kind = (u8, u8);

static WAITING: Mutex<BTreeMap<Kind, Vec<Reader>>> = Mutex::new(BTreeMap::new());

fn waiting() -> MutexGuard<'static, BTreeMap<Kind, Vec<Reader>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A reader that is at work; it waits again when this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    kind: Kind,
    /// There until it is dropped.
    reader: Option<Reader>,
}

impl Lent {
    /// A reader of that dialect, at its beginning.
    pub(super) fn new(dialect: &CsvDialect) -> Self {
        let kind = (dialect.delimiter, dialect.quote);
        let known = waiting().get_mut(&kind).and_then(Vec::pop);
        let make = || ReaderBuilder::new().delimiter(dialect.delimiter).quote(dialect.quote).build();
        Self { kind, reader: Some(known.unwrap_or_else(make)) }
    }

    /// The reader.
    pub(super) fn get(&mut self) -> Option<&mut Reader> {
        self.reader.as_mut()
    }

    /// Line ends that it has read.
    pub(super) fn line(&self) -> u64 {
        self.reader.as_ref().map_or(0, Reader::line)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(mut reader) = self.reader.take() {
            reader.reset();
            let mut waiting = waiting();
            let same = waiting.entry(self.kind).or_default();
            if same.len() < WAITING_MAX {
                same.push(reader);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use csv_core::ReadRecordResult;

    use super::*;

    #[test]
    fn a_reader_that_was_left_within_a_quote_begins_anew() {
        // A dialect that no other test uses.
        let dialect = CsvDialect { delimiter: 0x1f, quote: 0x1e, ..CsvDialect::default() };
        let (mut out, mut ends) = ([0; 16], [0; 4]);
        let mut first = Lent::new(&dialect);
        let (result, ..) = first.get().unwrap().read_record(b"\x1ea\nb", &mut out, &mut ends);
        assert_eq!(result, ReadRecordResult::InputEmpty);
        drop(first);
        assert_eq!(waiting()[&(0x1f, 0x1e)].len(), 1);
        let mut second = Lent::new(&dialect);
        assert!(waiting()[&(0x1f, 0x1e)].is_empty());
        let (result, _, _, fields) = second.get().unwrap().read_record(b"c\x1fd\n", &mut out, &mut ends);
        assert_eq!((result, fields, second.line()), (ReadRecordResult::Record, 2, 2));
    }
}
