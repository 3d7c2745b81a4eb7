//! CSV bytes as records: fields in one buffer, and the line that each record starts at.

use csv_core::ReadRecordResult;

use super::reader::Lent;
use crate::product::CsvDialect;

/// A longer record is taken for an open quote.
const RECORD_BYTES_MAX: usize = 16 << 20;
const GROWTH_BYTES: usize = 64 << 10;

/// What a call of [`Records::read`] came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The input is used up.
    NeedsInput,
    /// One more record is there.
    Record,
    /// The file is at its end.
    End,
}

/// A record that breaks the form of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RecordFault {
    /// The line it starts at.
    pub(super) line: u64,
    /// What is wrong.
    pub(super) reason: String,
}

/// Records that were read and not yet taken.
#[derive(Debug)]
pub(super) struct Records {
    reader: Lent,
    width: Option<usize>,
    data: Vec<u8>,
    data_len: usize,
    /// Where each field ends in `data`, all records one after the other.
    ends: Vec<usize>,
    /// Field ends of the record that is being read, from its own start.
    partial: Vec<usize>,
    partial_len: usize,
    record_start: usize,
    lines: Vec<u64>,
    line: u64,
    newlines_skipped: u64,
    at_start: bool,
}

impl Records {
    /// Nothing read yet. The first record sets the number of fields.
    pub(super) fn new(dialect: &CsvDialect) -> Self {
        Self {
            reader: Lent::new(dialect),
            width: None,
            data: Vec::new(),
            data_len: 0,
            ends: Vec::new(),
            partial: vec![0; 64],
            partial_len: 0,
            record_start: 0,
            lines: Vec::new(),
            line: 1,
            newlines_skipped: 0,
            at_start: true,
        }
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Fields of a record.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// The line that a record starts at.
    pub(super) fn line(&self, row: usize) -> u64 {
        self.lines.get(row).copied().unwrap_or_default()
    }

    /// One field.
    pub(super) fn field(&self, row: usize, column: usize) -> &[u8] {
        let index = row * self.width.unwrap_or(0) + column;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.data.get(start..end).unwrap_or_default()
    }

    /// Forgets all records. Only between records.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
        self.ends.clear();
        self.data_len = 0;
        self.record_start = 0;
    }

    /// Reads at most one record and moves `input` forward. At the end of the file, `input` is empty and `last` is true.
    pub(super) fn read(&mut self, input: &mut &[u8], last: bool) -> Result<Progress, RecordFault> {
        if self.at_start {
            self.skip_blank(input);
        }
        if input.is_empty() && !last {
            return Ok(Progress::NeedsInput);
        }
        loop {
            self.make_room()?;
            let room = (self.reader.get(), self.data.get_mut(self.data_len..), self.partial.get_mut(self.partial_len..));
            let (Some(reader), Some(output), Some(ends)) = room else { return Err(self.fault("it is too long")) };
            let (result, read, written, fields) = reader.read_record(input, output, ends);
            *input = input.get(read..).unwrap_or_default();
            self.at_start &= read == 0;
            self.data_len += written;
            self.partial_len += fields;
            match result {
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
                ReadRecordResult::InputEmpty => return Ok(Progress::NeedsInput),
                ReadRecordResult::End => return Ok(Progress::End),
                ReadRecordResult::Record => return self.finish(),
            }
        }
    }

    /// Blank lines are no records; skipping them here keeps the count of lines right for every line ending.
    fn skip_blank(&mut self, input: &mut &[u8]) {
        while let Some((first @ (b'\n' | b'\r'), rest)) = input.split_first() {
            self.newlines_skipped += u64::from(*first == b'\n');
            *input = rest;
        }
        self.line = self.reader.line() + self.newlines_skipped;
    }

    fn make_room(&mut self) -> Result<(), RecordFault> {
        if self.data_len - self.record_start > RECORD_BYTES_MAX {
            return Err(self.fault("it is longer than 16 MiB; a quote may be open"));
        }
        if self.data.len() - self.data_len < GROWTH_BYTES / 4 {
            self.data.resize(self.data.len() + GROWTH_BYTES.max(self.data.len() / 2), 0);
        }
        if self.partial.len() - self.partial_len < 8 {
            self.partial.resize(self.partial.len() * 2, 0);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Progress, RecordFault> {
        let fields = self.partial_len;
        let width = *self.width.get_or_insert(fields);
        if fields != width {
            return Err(self.fault(&format!("it has {fields} fields instead of {width}")));
        }
        let start = self.record_start;
        self.ends.extend(self.partial.iter().take(fields).map(|end| start + end));
        self.lines.push(self.line);
        self.record_start = self.data_len;
        self.partial_len = 0;
        self.at_start = true;
        Ok(Progress::Record)
    }

    fn fault(&self, reason: &str) -> RecordFault {
        RecordFault { line: self.line, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str, chunk: usize) -> Result<(Vec<Vec<String>>, Vec<u64>), RecordFault> {
        let mut records = Records::new(&CsvDialect::default());
        let mut chunks = text.as_bytes().chunks(chunk);
        let mut input: &[u8] = &[];
        let mut last = false;
        loop {
            match records.read(&mut input, last)? {
                Progress::Record => {}
                Progress::End => break,
                Progress::NeedsInput => match chunks.next() {
                    Some(next) => input = next,
                    None => last = true,
                },
            }
        }
        let width = records.width().unwrap_or(0);
        let text = |row, column| String::from_utf8(records.field(row, column).to_vec()).unwrap();
        let rows = (0..records.len()).map(|row| (0..width).map(|column| text(row, column)).collect()).collect();
        Ok((rows, (0..records.len()).map(|row| records.line(row)).collect()))
    }

    #[test]
    fn records_do_not_depend_on_how_the_bytes_arrive() {
        let text = "a,b\r\n1,\"x\ny\"\r\n\r\n2,\"say \"\"hi\"\"\"\r\n3,";
        let whole = read_all(text, usize::MAX).unwrap();
        assert_eq!(whole.0, [vec!["a", "b"], vec!["1", "x\ny"], vec!["2", "say \"hi\""], vec!["3", ""]]);
        assert_eq!(whole.1, [1, 2, 5, 6]);
        for chunk in 1..text.len() {
            assert_eq!(read_all(text, chunk).unwrap(), whole, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_ragged_record_is_a_fault_with_its_line() {
        assert_eq!(read_all("a,b\n1,2\n3\n", 100).unwrap_err().line, 3);
        assert_eq!(read_all("a,b\n1,2,3\n", 100).unwrap_err().line, 2);
    }

    #[test]
    fn a_record_past_the_limit_is_a_fault() {
        let open = format!("a\n\"{}", "x".repeat(RECORD_BYTES_MAX + 1_000_000));
        assert_eq!(read_all(&open, 1 << 20).unwrap_err().line, 2);
    }
}
