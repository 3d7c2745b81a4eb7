//! COPY … TO STDOUT in text, CSV and binary.

use bytes::{BufMut, BytesMut};
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

use crate::engine::{Column, CopyFormat, CopyOut, Format};

use super::backend::Session;
use super::conversation::{Conversation, Failure};
use super::encode::{EncodeError, Pace, RowEncoder};
use super::respond::format_code;
use super::rows::Rows;

/// What a binary COPY starts with: its signature, no flags, no extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a binary COPY ends with.
const BINARY_TRAILER: &[u8] = &[0xff, 0xff];

impl<S: Session> Conversation<'_, S> {
    /// Sends a whole COPY and completes it.
    pub(super) async fn copy_out(&mut self, copy: CopyOut) -> Result<(), Failure> {
        let CopyOut { rows: stream, format } = copy;
        let mut rows = Rows::new(stream);
        let columns = rows.columns();
        let settings = self.session.encode_settings();
        let cell_format = if format == CopyFormat::Binary { Format::Binary } else { Format::Text };
        self.writer.put(&copy_out_response(&columns, cell_format)?);
        put_header(&format, &columns, &mut self.writer.buffer)?;
        // Readers of the binary format expect the header in one message with what follows it.
        let mut lead = if format == CopyFormat::Binary { BINARY_HEADER } else { &[] };
        let mut sent = 0u64;
        loop {
            let (guard, reader, writer, session, encoder) = self.guarded();
            let guard = guard.until(session.deadline());
            let Some(batch) = guard.race(rows.next_or_flush(writer), reader).await?? else { break };
            let batch = batch?;
            let mut pace = Pace::default();
            let mut start = 0;
            while start < batch.num_rows() {
                let count = pace.rows().min(batch.num_rows() - start);
                let before = writer.buffer.len();
                encoder.fill(&batch.slice(start, count), &columns, &[cell_format], &settings)?;
                put_rows(&format, encoder, count, std::mem::take(&mut lead), &mut writer.buffer)?;
                pace.learn(count, writer.buffer.len().saturating_sub(before));
                start += count;
                if writer.is_full() {
                    guard.race(writer.flush(), reader).await?.map_err(|_| Failure::Gone)?;
                }
            }
            sent += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        }
        if format == CopyFormat::Binary {
            put_data(&mut self.writer.buffer, |out| {
                out.put_slice(lead);
                out.put_slice(BINARY_TRAILER);
                Ok(())
            })?;
        }
        self.writer.put(&CopyDone::new());
        self.complete(rows.tag(sent));
        Ok(())
    }
}

impl From<EncodeError> for Failure {
    fn from(error: EncodeError) -> Self {
        Self::Error(error.into())
    }
}

fn copy_out_response(columns: &[Column], format: Format) -> Result<CopyOutResponse, EncodeError> {
    let count = i16::try_from(columns.len()).map_err(|_| EncodeError::TooLong)?;
    let code = format_code(format);
    let overall = i8::try_from(code).map_err(|_| EncodeError::Shape)?;
    Ok(CopyOutResponse::new(overall, count, vec![code; columns.len()]))
}

/// Appends one CopyData message; on an error nothing.
fn put_data(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_slice(b"d\0\0\0\0");
    let written = write(out).and_then(|()| i32::try_from(out.len() - start - 1).map_err(|_| EncodeError::TooLong));
    match (written, out.get_mut(start + 1..start + 5)) {
        (Ok(length), Some(place)) => {
            place.copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        (written, _) => {
            out.truncate(start);
            Err(written.err().unwrap_or(EncodeError::Shape))
        }
    }
}

fn put_header(format: &CopyFormat, columns: &[Column], out: &mut BytesMut) -> Result<(), EncodeError> {
    let names = || columns.iter().map(|column| Some(column.name.as_bytes()));
    match format {
        CopyFormat::Text { delimiter, header: true, .. } => put_data(out, |out| {
            text_line(names(), *delimiter, "", out);
            Ok(())
        }),
        CopyFormat::Csv { delimiter, header: true, quote, escape, .. } => {
            let csv = Csv { delimiter: *delimiter, null: None, quote: *quote, escape: *escape, force_quote: &[] };
            put_data(out, |out| {
                csv.line(names(), out);
                Ok(())
            })
        }
        CopyFormat::Text { header: false, .. } | CopyFormat::Csv { header: false, .. } | CopyFormat::Binary => Ok(()),
    }
}

/// Appends the encoder's rows, each as a message; `lead` stands before the first.
fn put_rows(format: &CopyFormat, encoder: &RowEncoder, count: usize, lead: &[u8], out: &mut BytesMut) -> Result<(), EncodeError> {
    for row in 0..count {
        put_data(out, |out| match format {
            CopyFormat::Binary => {
                out.put_slice(if row == 0 { lead } else { &[] });
                encoder.tuple(row, out)
            }
            CopyFormat::Text { delimiter, null, .. } => {
                text_line(encoder.row(row), *delimiter, null, out);
                Ok(())
            }
            CopyFormat::Csv { delimiter, null, quote, escape, force_quote, .. } => {
                let csv = Csv { delimiter: *delimiter, null: Some(null), quote: *quote, escape: *escape, force_quote };
                csv.line(encoder.row(row), out);
                Ok(())
            }
        })?;
    }
    Ok(())
}

/// A line of the text format: control characters, the backslash and the delimiter are escaped.
fn text_line<'a>(cells: impl Iterator<Item = Option<&'a [u8]>>, delimiter: u8, null: &str, out: &mut BytesMut) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.put_u8(delimiter);
        }
        let Some(cell) = cell else {
            out.put_slice(null.as_bytes());
            continue;
        };
        for byte in cell {
            let escaped = match byte {
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                b'\\' => b'\\',
                other if *other == delimiter => delimiter,
                other => {
                    out.put_u8(*other);
                    continue;
                }
            };
            out.put_slice(&[b'\\', escaped]);
        }
    }
    out.put_u8(b'\n');
}

/// How CSV is written.
struct Csv<'a> {
    delimiter: u8,
    null: Option<&'a str>,
    quote: u8,
    escape: u8,
    force_quote: &'a [usize],
}

impl Csv<'_> {
    fn line<'a>(&self, cells: impl Iterator<Item = Option<&'a [u8]>>, out: &mut BytesMut) {
        let mut cells = cells.peekable();
        let mut index = 0;
        while let Some(cell) = cells.next() {
            if index > 0 {
                out.put_u8(self.delimiter);
            }
            let only_one = index == 0 && cells.peek().is_none();
            match cell {
                None => out.put_slice(self.null.unwrap_or_default().as_bytes()),
                Some(cell) if self.force_quote.contains(&index) || self.needs_quotes(cell, only_one) => {
                    out.put_u8(self.quote);
                    for byte in cell {
                        if *byte == self.quote || *byte == self.escape {
                            out.put_u8(self.escape);
                        }
                        out.put_u8(*byte);
                    }
                    out.put_u8(self.quote);
                }
                Some(cell) => out.put_slice(cell),
            }
            index += 1;
        }
        out.put_u8(b'\n');
    }

    /// A value that reads as NULL, as the end of data, or that holds a mark of the format.
    fn needs_quotes(&self, cell: &[u8], only_one: bool) -> bool {
        self.null.is_some_and(|null| null.as_bytes() == cell)
            || only_one && cell == b"\\."
            || cell.iter().any(|byte| *byte == self.delimiter || *byte == self.quote || matches!(byte, b'\n' | b'\r'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_escapes_what_the_format_uses() {
        let mut out = BytesMut::new();
        text_line([Some(&b"a\tb\\c\n"[..]), None, Some(b"\x08\x0b")].into_iter(), b'\t', "\\N", &mut out);
        assert_eq!(&out[..], b"a\\tb\\\\c\\n\t\\N\t\\b\\v\n");
    }

    #[test]
    fn csv_quotes_only_where_it_must() {
        let csv = Csv { delimiter: b',', null: Some(""), quote: b'"', escape: b'"', force_quote: &[3] };
        let mut out = BytesMut::new();
        csv.line([Some(&b"a,b"[..]), None, Some(b""), Some(b"x"), Some(b"say \"hi\""), Some(b"plain")].into_iter(), &mut out);
        csv.line([Some(&b"\\."[..])].into_iter(), &mut out);
        assert_eq!(&out[..], &b"\"a,b\",,\"\",\"x\",\"say \"\"hi\"\"\",plain\n\"\\.\"\n"[..]);
    }
}
