//! Sends rows with back-pressure.
//!
//! INVARIANT: the next batch is asked for only when the one before is written, and waited for only when that has left for the socket: a
//! client that does not read stops its query, and one that reads does not wait for a row that is there. Beyond the batch in hand, no more
//! than a chunk of written rows is held.

use std::pin::pin;
use std::task::Poll;

use arrow::record_batch::RecordBatch;

use crate::engine::{Format, RowStream};
use crate::error::ClientMessage;

use super::backend::Session;
use super::conversation::{Conversation, Failure};
use super::encode::{Layout, Pace};
use super::frame::FrameWriter;
use super::frontend::format_of;
use super::recode::{self, Holds};

/// A running result and what is left of its last batch.
#[derive(Debug)]
pub(super) struct Rows {
    stream: RowStream,
    rest: Option<RecordBatch>,
    /// The stream has ended, and is not to be asked again.
    ended: bool,
}

/// How much was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) rows: u64,
    /// Whether the result is complete; else the limit was met first.
    pub(super) complete: bool,
}

impl Rows {
    pub(super) fn new(stream: RowStream) -> Self {
        Self { stream, rest: None, ended: false }
    }

    pub(super) fn tag(&self, rows: u64) -> String {
        self.stream.tag(rows)
    }

    pub(super) fn columns(&self) -> std::sync::Arc<[crate::engine::Column]> {
        self.stream.columns.clone()
    }

    /// The client asks for more after a pause.
    pub(super) async fn resume(&mut self) -> Result<(), ClientMessage> {
        let resumed = self.stream.resume().await;
        if resumed.is_err() {
            self.rest = None;
        }
        resumed
    }

    /// Whether the session hands out the rows after these.
    pub(super) fn goes_on_in_session(&self) -> bool {
        self.stream.is_part()
    }

    /// Whoever answers with them has failed: their record says so, whether the rows could not be computed or not be sent.
    pub(super) fn failed(&self, failure: &Failure) {
        if let Failure::Error(message) = failure {
            self.stream.failed(message);
        }
    }

    /// The client asked for no more, for now.
    pub(super) fn pause(&self) {
        self.stream.pause();
    }

    /// Whether it fails before it is described, if it fails at once.
    pub(super) fn is_constant(&self) -> bool {
        self.stream.is_constant()
    }

    /// Computes the first batch.
    pub(super) async fn look_ahead(&mut self) -> Result<(), ClientMessage> {
        match self.next().await {
            Some(batch) => self.rest = Some(batch?),
            None => self.ended = true,
        }
        Ok(())
    }

    /// The next batch that has rows.
    pub(super) async fn next(&mut self) -> Option<Result<RecordBatch, ClientMessage>> {
        if let Some(rest) = self.rest.take() {
            return Some(Ok(rest));
        }
        if self.ended {
            return None;
        }
        loop {
            match self.stream.next().await {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                next => return next,
            }
        }
    }
}

impl Rows {
    /// The next batch; while it is not there yet, the client gets the rows that are already written.
    pub(super) async fn next_or_flush(&mut self, writer: &mut FrameWriter) -> Result<Option<Result<RecordBatch, ClientMessage>>, Failure> {
        let mut next = pin!(self.next());
        if let Poll::Ready(batch) = futures::poll!(next.as_mut()) {
            return Ok(batch);
        }
        if writer.holds_rows {
            writer.flush().await.map_err(|_| Failure::Gone)?;
        }
        Ok(next.await)
    }
}

impl<S: Session> Conversation<'_, S> {
    /// Sends rows up to a limit.
    pub(super) async fn send_rows(&mut self, rows: &mut Rows, formats: &[Format], limit: Option<u64>) -> Result<Sent, Failure> {
        let sent = self.try_send_rows(rows, formats, limit).await;
        sent.inspect_err(|failure| rows.failed(failure))
    }

    async fn try_send_rows(&mut self, rows: &mut Rows, formats: &[Format], limit: Option<u64>) -> Result<Sent, Failure> {
        let columns = rows.columns();
        let settings = self.session.encode_settings();
        let contents = recode::contents(&columns, formats);
        let mut sent = 0;
        loop {
            let room = limit.map_or(u64::MAX, |limit| limit.saturating_sub(sent));
            if room == 0 {
                return Ok(Sent { rows: sent, complete: false });
            }
            let (guard, reader, writer, session, encoder) = self.guarded();
            let guard = guard.until(session.deadline());
            let Some(batch) = guard.race(rows.next_or_flush(writer), reader).await?? else {
                return Ok(Sent { rows: sent, complete: true });
            };
            let batch = rows.stream.in_numbers(batch?, |at| format_of(formats, at))?;
            let taken = usize::try_from(room).unwrap_or(usize::MAX).min(batch.num_rows());
            if taken < batch.num_rows() {
                rows.rest = Some(batch.slice(taken, batch.num_rows() - taken));
            }
            let mut pace = Pace::default();
            let mut start = 0;
            while start < taken {
                let count = pace.rows().min(taken - start);
                let before = writer.buffer.len();
                let part = if count == batch.num_rows() { batch.clone() } else { batch.slice(start, count) };
                encoder.rows(&part, &columns, formats, &settings, Layout::DataRow, &mut writer.buffer)?;
                recode::recode_values(&mut writer.buffer, before, settings.client_encoding, Holds::Rows(&contents, 0))?;
                writer.holds_rows = true;
                pace.learn(count, writer.buffer.len().saturating_sub(before));
                start += count;
                if writer.is_full() {
                    guard.race(writer.flush(), reader).await?.map_err(|_| Failure::Gone)?;
                }
            }
            sent += u64::try_from(taken).unwrap_or(u64::MAX);
        }
    }
}
