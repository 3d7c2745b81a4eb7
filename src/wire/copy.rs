//! COPY … TO STDOUT in text, CSV and binary.

use bytes::{BufMut, BytesMut};
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

use crate::engine::{ClientEncoding, Column, CopyFormat, CopyOut, Format};

use super::backend::Session;
use super::conversation::{Conversation, Failure};
use super::encode::{EncodeError, Layout, Lines, Pace};
use super::recode::{self, Holds};
use super::respond::format_code;
use super::rows::Rows;

/// What a binary COPY starts with: its signature, no flags, no extension.
const BINARY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a binary COPY ends with.
const BINARY_TRAILER: &[u8] = &[0xff, 0xff];

impl<S: Session> Conversation<'_, S> {
    /// Sends a whole COPY and completes it.
    pub(super) async fn copy_out(&mut self, copy: CopyOut) -> Result<(), Failure> {
        let CopyOut { rows: stream, format, encoding } = copy;
        let mut rows = Rows::new(stream);
        let sent = self.copy_rows(&mut rows, &format, encoding).await.inspect_err(|failure| rows.failed(failure))?;
        self.writer.put(&CopyDone::new());
        self.complete(rows.tag(sent));
        Ok(())
    }

    /// Sends the head, the rows and the end; answers how many rows there were.
    async fn copy_rows(&mut self, rows: &mut Rows, format: &CopyFormat, encoding: Option<ClientEncoding>) -> Result<u64, Failure> {
        let columns = rows.columns();
        let settings = self.session.encode_settings();
        let encoding = encoding.unwrap_or(settings.client_encoding);
        let cell_format = if *format == CopyFormat::Binary { Format::Binary } else { Format::Text };
        self.writer.put(&copy_out_response(&columns, cell_format)?);
        let lines = Lines::of(format);
        let before = self.writer.buffer.len();
        put_header(format, lines.as_ref(), &columns, &mut self.writer.buffer)?;
        recode::recode_values(&mut self.writer.buffer, before, encoding, Holds::Lines)?;
        let contents = recode::contents(&columns, &[cell_format]);
        // Readers of the binary format expect the header in one message with what follows it.
        let mut lead = if *format == CopyFormat::Binary { BINARY_HEADER } else { &[] };
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
                let holds = if lines.is_some() { Holds::Lines } else { Holds::Rows(&contents, lead.len()) };
                let layout = match &lines {
                    Some(lines) => Layout::CopyLine(lines),
                    None => Layout::CopyRow { lead: std::mem::take(&mut lead) },
                };
                encoder.rows(&batch.slice(start, count), &columns, &[cell_format], &settings, layout, &mut writer.buffer)?;
                recode::recode_values(&mut writer.buffer, before, encoding, holds)?;
                writer.holds_rows = true;
                pace.learn(count, writer.buffer.len().saturating_sub(before));
                start += count;
                if writer.is_full() {
                    guard.race(writer.flush(), reader).await?.map_err(|_| Failure::Gone)?;
                }
            }
            sent += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        }
        if *format == CopyFormat::Binary {
            put_data(&mut self.writer.buffer, |out| {
                out.put_slice(lead);
                out.put_slice(BINARY_TRAILER);
            })?;
        }
        Ok(sent)
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
fn put_data(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> Result<(), EncodeError> {
    let start = out.len();
    out.put_slice(b"d\0\0\0\0");
    write(out);
    let written = i32::try_from(out.len() - start - 1).map_err(|_| EncodeError::TooLong);
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

/// The names of the columns, if the format has them.
fn put_header(format: &CopyFormat, lines: Option<&Lines>, columns: &[Column], out: &mut BytesMut) -> Result<(), EncodeError> {
    match (format, lines) {
        (CopyFormat::Text { header: true, .. } | CopyFormat::Csv { header: true, .. }, Some(lines)) => put_data(out, |out| {
            out.put_slice(&lines.header(columns.iter().map(|column| column.name.as_bytes())));
        }),
        _ => Ok(()),
    }
}
