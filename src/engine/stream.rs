//! A running query: deadline, cancellation, limits, and the closing of its records.
//!
//! INVARIANT: whatever ends the stream (the last batch, an error, a drop), the statement's audit record is closed exactly once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, Stream, StreamExt};
use tokio::time::Instant;

use crate::audit::{Closing, OpenStatement};
use crate::error::{ClientMessage, SqlState};
use crate::lineage::Ending;
use crate::telemetry::{QueryTrace, Step};

use super::lineage_run::LineageRun;
use super::sql::Query;
use super::{Clock, fault};

/// What a running query needs beside its batches.
pub(super) struct Running {
    /// The open audit record.
    pub(super) record: OpenStatement,
    /// The lineage run, if the query reads products.
    pub(super) run: Option<LineageRun>,
    /// When it must have ended.
    pub(super) deadline: Option<Instant>,
    /// Rows at most.
    pub(super) rows_max: Option<u64>,
    /// The statement, for the wording of its errors.
    pub(super) query: Query,
    /// The clock of records.
    pub(super) clock: Clock,
    /// Its place among the queries that may run at once; free again when the query ends.
    pub(super) _permit: tokio::sync::OwnedSemaphorePermit,
    /// Tells why the rows were dropped.
    pub(super) stop_cause: StopCause,
    /// The steps of the statement in the log.
    pub(super) trace: QueryTrace,
}

/// Why a running statement was stopped from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The client or its deadline cancelled it.
    Cancelled,
    /// The client, or the gateway, went away.
    Gone,
}

/// Asked when rows are dropped before their end.
pub type StopCause = Arc<dyn Fn() -> Option<Stop> + Send + Sync>;

/// The batches of a query, with everything that bounds and records it.
pub(super) fn bounded(
    batches: SendableRecordBatchStream,
    running: Running,
) -> impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + 'static {
    let state = State { batches, running: Some(running), rows: 0, bytes: 0 };
    futures::stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    })
}

struct State {
    batches: SendableRecordBatchStream,
    running: Option<Running>,
    rows: u64,
    bytes: u64,
}

impl State {
    async fn next(&mut self) -> Option<Result<RecordBatch, ClientMessage>> {
        let running = self.running.as_ref()?;
        let deadline = running.deadline;
        let expired = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let polled = AssertUnwindSafe(self.batches.next()).catch_unwind();
        let item = tokio::select! {
            biased;
            () = expired => Err(timed_out()),
            item = polled => match item {
                Ok(Some(Ok(batch))) => self.accept(batch),
                Ok(Some(Err(error))) => Err(self.failed(&error)),
                Ok(None) => {
                    self.complete();
                    return None;
                }
                Err(_) => Err(panicked()),
            },
        };
        if let Err(message) = &item {
            self.close(message);
        }
        Some(item)
    }

    fn accept(&mut self, batch: RecordBatch) -> Result<RecordBatch, ClientMessage> {
        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        self.rows = self.rows.saturating_add(rows);
        let Some(running) = &self.running else { return Ok(batch) };
        if let Some(rows_max) = running.rows_max
            && self.rows > rows_max
        {
            return Err(ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, format!("result has more than {rows_max} rows"))
                .with_hint("Add a LIMIT or a narrower WHERE, or ask the operator of the gateway for a higher limit."));
        }
        running.record.ensure_writable().map_err(|error| ClientMessage::from(&error))?;
        let bytes = u64::try_from(batch.get_array_memory_size()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        running.record.add_rows(rows, bytes);
        Ok(batch)
    }

    fn failed(&self, error: &datafusion::error::DataFusionError) -> ClientMessage {
        match &self.running {
            Some(running) => running.query.fault(error),
            None => fault::client_message(error, ""),
        }
    }

    fn complete(&mut self) {
        let Some(running) = self.running.take() else { return };
        let (rows, bytes) = (self.rows, self.bytes);
        running.end(rows, "completed", Closing::completed(), Ending::Complete { rows, bytes });
    }

    fn close(&mut self, message: &ClientMessage) {
        let Some(running) = self.running.take() else { return };
        let ending = Ending::Fail { message: message.message.clone() };
        running.end(self.rows, message.sqlstate.as_str(), Closing::failed(message.sqlstate), ending);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        if (running.stop_cause)() == Some(Stop::Cancelled) {
            running.end(self.rows, "cancelled", Closing::failed(SqlState::QUERY_CANCELED), Ending::Abort);
        } else {
            running.end(self.rows, "aborted", Closing::aborted(), Ending::Abort);
        }
    }
}

impl Running {
    fn end(mut self, rows: u64, how: &str, mut closing: Closing, ending: Ending) {
        self.record.add_duration("run", self.trace.done(Step::Run, &format!("{rows} rows")));
        let now = (self.clock)();
        if let Some(run) = self.run {
            closing = closing.with_lineage_run(run.id());
            run.end(now, ending);
        }
        self.record.close(now, closing);
        self.trace.done(Step::Close, how);
    }
}

/// An operator that panics ends its own query and nothing else.
fn panicked() -> ClientMessage {
    tracing::error!("an operator of a running query panicked");
    ClientMessage::new(SqlState::INTERNAL_ERROR, "internal error")
}

/// The message of a statement that took too long.
pub(super) fn timed_out() -> ClientMessage {
    ClientMessage::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
}

/// A stream of batches that are already there, for the answers of SHOW and EXPLAIN.
pub(super) fn ready(batches: Vec<RecordBatch>) -> impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + 'static {
    futures::stream::iter(batches.into_iter().map(Ok))
}
