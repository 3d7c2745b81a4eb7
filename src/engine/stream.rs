//! A running query: deadline, cancellation, limits, and the closing of its records.
//!
//! INVARIANT: whatever ends the stream (the last batch, an error, a drop), the statement's audit record is closed exactly once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, Stream, StreamExt};

use crate::audit::{Closing, OpenStatement};
use crate::error::{ClientMessage, SqlState};
use crate::lineage::Ending;
use crate::telemetry::{QueryTrace, Step};

use super::leftovers::Leftovers;
use super::lineage_run::LineageRun;
use super::outcome::{self, RowsOutcome};
use super::place::Place;
use super::planning::Bounds;
use super::sql::Query;
use super::standing::Standing;
use super::{Clock, fault};

/// What a running query needs beside its batches.
pub(super) struct Running {
    /// The open audit record.
    pub(super) record: OpenStatement,
    /// The lineage run, if the query reads products.
    pub(super) run: Option<LineageRun>,
    /// When it must have ended, and what tells why its rows were dropped.
    pub(super) bounds: Bounds,
    /// Rows at most.
    pub(super) rows_max: Option<u64>,
    /// The statement, for the wording of its errors.
    pub(super) query: Query,
    /// The clock of records.
    pub(super) clock: Clock,
    /// Its place among the queries that may run at once; free again when the query ends.
    pub(super) place: Place,
    /// Whether what it was allowed still stands after a pause.
    pub(super) standing: Arc<Standing>,
    /// What the client hears of its rows.
    pub(super) outcome: RowsOutcome,
    /// What it leaves behind in memory.
    pub(super) leftovers: Leftovers,
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
    let state = State { batches, running: Some(running), rows: 0, bytes: 0, inside: Duration::ZERO, outside: Duration::ZERO, left: None };
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
    /// Time spent on computing rows.
    inside: Duration,
    /// Time that rows spent with whoever writes them to the client.
    outside: Duration,
    /// When the last batch was handed over.
    left: Option<std::time::Instant>,
}

impl State {
    async fn next(&mut self) -> Option<Result<RecordBatch, ClientMessage>> {
        let entered = std::time::Instant::now();
        self.handed_back(entered);
        let item = self.polled().await;
        let now = std::time::Instant::now();
        self.inside += now.duration_since(entered);
        self.left = Some(now);
        match &item {
            None => self.complete(),
            Some(Err(message)) => self.close(message),
            Some(Ok(_)) => {}
        }
        item
    }

    fn handed_back(&mut self, now: std::time::Instant) {
        if let Some(left) = self.left.take() {
            self.outside += now.duration_since(left);
        }
    }

    async fn polled(&mut self) -> Option<Result<RecordBatch, ClientMessage>> {
        let running = self.running.as_ref()?;
        if let Err(message) = running.standing.fallen() {
            return Some(Err(message));
        }
        let deadline = running.bounds.deadline;
        let expired = async move {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let place = running.place.clone();
        let batches = &mut self.batches;
        let polled = async {
            place.hold().await?;
            Ok::<_, ClientMessage>(AssertUnwindSafe(batches.next()).catch_unwind().await)
        };
        tokio::select! {
            biased;
            () = expired => Some(Err(timed_out())),
            item = polled => match item {
                Ok(Ok(Some(Ok(batch)))) => Some(self.accept(batch)),
                Ok(Ok(Some(Err(error)))) => Some(Err(self.failed(&error))),
                Ok(Ok(None)) => None,
                Ok(Err(_)) => Some(Err(self.panicked())),
                Err(message) => Some(Err(message)),
            },
        }
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
        let bytes = batch.columns().iter().map(bytes_of).fold(0, u64::saturating_add);
        self.bytes = self.bytes.saturating_add(bytes);
        running.record.add_rows(rows, bytes);
        Ok(batch)
    }

    fn failed(&self, error: &datafusion::error::DataFusionError) -> ClientMessage {
        match &self.running {
            // Rows may have failed of that.
            Some(running) => match running.bounds.check() {
                Err(ended) => ended,
                Ok(()) => fault::told(running.query.fault_of_rows(error), running.record.query_id(), error),
            },
            None => fault::in_phase(fault::Phase::Running, error, ""),
        }
    }

    /// An operator that panics ends its own query and nothing else.
    fn panicked(&self) -> ClientMessage {
        let id = self.running.as_ref().map(|running| running.record.query_id()).unwrap_or_default();
        tracing::error!(query_id = %id, "an operator of a running query panicked");
        fault::numbered(ClientMessage::new(SqlState::INTERNAL_ERROR, "an operator panicked"), id)
    }

    fn ended(&mut self) -> Option<(Running, Spent)> {
        self.handed_back(std::time::Instant::now());
        let running = self.running.take()?;
        Some((running, Spent { rows: self.rows, bytes: self.bytes, inside: self.inside, outside: self.outside }))
    }

    fn complete(&mut self) {
        let Some((running, spent)) = self.ended() else { return };
        let ending = Ending::Complete { rows: spent.rows, bytes: spent.bytes };
        running.end(spent, Closing::completed(), ending);
    }

    fn close(&mut self, message: &ClientMessage) {
        let Some((running, spent)) = self.ended() else { return };
        let ending = Ending::Fail { message: message.message.clone() };
        running.end(spent, Closing::failed(message.sqlstate), ending);
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let Some((running, spent)) = self.ended() else { return };
        let (closing, ending) = running.outcome.left(&running.bounds.stop_cause, spent.rows, spent.bytes);
        running.end(spent, closing, ending);
    }
}

/// What a run came to.
struct Spent {
    rows: u64,
    bytes: u64,
    inside: Duration,
    outside: Duration,
}

impl Running {
    fn end(mut self, spent: Spent, mut closing: Closing, ending: Ending) {
        self.trace.spent(Step::Run, spent.inside, format_args!("{} rows", spent.rows));
        self.trace.spent(Step::Encode, spent.outside, format_args!("{} bytes of columns", spent.bytes));
        self.record.add_duration(Step::Run.as_str(), spent.inside);
        self.record.add_duration(Step::Encode.as_str(), spent.outside);
        let now = (self.clock)();
        if let Some(run) = self.run {
            closing = closing.with_lineage_run(run.id());
            run.end(now, ending);
        }
        self.record.close(now, closing);
        self.leftovers.after(spent.bytes);
        self.trace.done(Step::Close, outcome::word(closing));
    }
}

/// The message of a statement that took too long.
pub(super) fn timed_out() -> ClientMessage {
    ClientMessage::new(SqlState::QUERY_CANCELED, "canceling statement due to statement timeout")
}

/// A stream of batches that are already there, for the answers of SHOW and EXPLAIN.
pub(super) fn ready(batches: Vec<RecordBatch>) -> impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + 'static {
    futures::stream::iter(batches.into_iter().map(Ok))
}

/// Bytes of the values of a column: not of what it shares with the rest of what was read.
fn bytes_of(column: &ArrayRef) -> u64 {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().lengths().map(u64::from).sum(),
        DataType::BinaryView => column.as_binary_view().lengths().map(u64::from).sum(),
        _ => {
            let bytes = column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
            u64::try_from(bytes).unwrap_or(u64::MAX)
        }
    }
}
