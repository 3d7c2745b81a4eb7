//! What a statement answers.

use std::pin::Pin;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt};

use crate::catalog::SessionFacts;
use crate::error::{ClientMessage, SqlState};

use super::Column;
use super::attempt::Attempt;
use super::client_encoding::ClientEncoding;
use super::objects;
use super::outcome::{self, RowsOutcome};
use super::parameter::Format;
use super::place::Place;
use super::standing::Standing;

/// A message beside the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, …
    pub severity: &'static str,
    /// Code, text, detail, hint.
    pub message: ClientMessage,
}

impl Notice {
    /// A notice.
    pub fn plain(message: ClientMessage) -> Self {
        Self { severity: "NOTICE", message }
    }

    /// A warning.
    pub fn warning(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self { severity: "WARNING", message: ClientMessage::new(sqlstate, message) }
    }
}

/// The session's transaction state, as ReadyForQuery reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransactionStatus {
    /// Not in a transaction.
    #[default]
    Idle,
    /// In a transaction.
    Active,
    /// In a failed transaction.
    Failed,
}

/// What a statement answers.
#[derive(Debug)]
pub enum Reply {
    /// The text held no statement.
    Empty,
    /// Done, with the command's tag (`SET`, `BEGIN`, …).
    Done(String),
    /// Rows; the tag is `SELECT <rows>` or `FETCH <rows>` and so on.
    Rows(RowStream),
    /// COPY … TO STDOUT.
    Copy(CopyOut),
}

/// A running query's rows. Dropping it stops the query and closes its audit record as aborted.
pub struct RowStream {
    /// The columns.
    pub columns: Arc<[Column]>,
    /// The word of the command tag: `SELECT`, `FETCH`, `SHOW`, `EXPLAIN`, …; the count follows for `SELECT` and `FETCH`.
    pub verb: &'static str,
    batches: Pin<Box<dyn Stream<Item = Result<RecordBatch, ClientMessage>> + Send>>,
    place: Option<Place>,
    standing: Option<Arc<Standing>>,
    part: bool,
    binary: bool,
    constant: bool,
    /// What numbers the objects that it names.
    objects: Option<Arc<SessionFacts>>,
    /// What the client hears of it.
    outcome: RowsOutcome,
}

impl RowStream {
    /// A stream of batches. Only the pipeline and the session's own statements make one.
    pub(super) fn new(
        columns: Arc<[Column]>,
        verb: &'static str,
        batches: impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + 'static,
    ) -> Self {
        Self {
            columns,
            verb,
            batches: Box::pin(batches),
            place: None,
            standing: None,
            part: false,
            binary: false,
            constant: false,
            objects: None,
            outcome: RowsOutcome::default(),
        }
    }

    /// The same stream, whose query runs in that place.
    pub(super) fn in_place(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// The same stream; what the client hears of it is that.
    pub(super) fn with_outcome(self, outcome: RowsOutcome) -> Self {
        Self { outcome, ..self }
    }

    /// The same stream, with whose end that statement ends.
    pub(super) fn recorded_by(self, attempt: Attempt) -> Self {
        let batches = outcome::recorded(self.batches, attempt, self.outcome.clone());
        Self { batches: Box::pin(batches), ..self }
    }

    /// What the client hears of it.
    pub(super) fn outcome(&self) -> &RowsOutcome {
        &self.outcome
    }

    /// The client is told of an error in place of what is left of it.
    pub fn failed(&self, message: &ClientMessage) {
        self.outcome.fail(message);
    }

    /// The same stream, as a part of more rows that the session keeps.
    pub(super) fn into_part(self) -> Self {
        Self { part: true, ..self }
    }

    /// The same stream, whose rows the simple protocol sends in binary if so.
    pub(super) fn in_binary(self, binary: bool) -> Self {
        Self { binary, ..self }
    }

    /// The same stream, of a query that reads no product if so.
    pub(super) fn of_constants(self, constant: bool) -> Self {
        Self { constant, ..self }
    }

    /// The same stream, which names objects that are known there.
    pub(super) fn naming(self, objects: Option<Arc<SessionFacts>>) -> Self {
        Self { objects, ..self }
    }

    /// A batch of it with the numbers of objects in place of their names, in columns that are sent in binary.
    ///
    /// # Errors
    /// An object that is named is not there.
    pub fn in_numbers(&self, batch: RecordBatch, format: impl Fn(usize) -> Format) -> Result<RecordBatch, ClientMessage> {
        let Some(facts) = &self.objects else { return Ok(batch) };
        objects::numbered(&batch, &self.columns, |at| format(at) == Format::Binary, facts)
    }

    /// Whether the query reads no product: PostgreSQL computes what is constant before it describes the rows.
    pub fn is_constant(&self) -> bool {
        self.constant
    }

    /// Whether the simple protocol sends its rows in binary.
    pub fn is_binary(&self) -> bool {
        self.binary
    }

    /// Whether the rows after these come from the session.
    pub fn is_part(&self) -> bool {
        self.part
    }

    /// The same stream, which goes on after a pause for as long as that stands.
    pub(super) fn while_standing(self, standing: Arc<Standing>) -> Self {
        Self { standing: Some(standing), ..self }
    }

    /// The client comes back after a pause.
    ///
    /// # Errors
    /// Its rows may not be read on: policies, contracts, roles or the erasure list have changed, and to an effect. The query has ended.
    pub async fn resume(&mut self) -> Result<(), ClientMessage> {
        let Some(standing) = &self.standing else { return Ok(()) };
        let Err(message) = standing.check() else { return Ok(()) };
        // The stream sees it, too, and closes its record.
        match self.next().await {
            Some(Err(told)) => Err(told),
            Some(Ok(_)) | None => Err(message),
        }
    }

    /// What its rows depend on after a pause.
    pub(super) fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.clone()
    }

    /// The client takes a pause between two fetches: meanwhile others may run. `next` waits for a place again.
    pub fn pause(&self) {
        self.outcome.pause();
        if let Some(place) = &self.place {
            place.let_go();
        }
    }

    /// A stream for the tests of what stands above the engine.
    #[cfg(test)]
    pub(crate) fn for_tests(
        columns: Arc<[Column]>,
        verb: &'static str,
        batches: impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + 'static,
    ) -> Self {
        Self::new(columns, verb, batches)
    }

    /// The next batch; `None` when the result is complete. Never called again after an error.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, ClientMessage>> {
        self.outcome.go_on();
        self.batches.next().await
    }

    /// The command tag of a result with so many rows.
    pub fn tag(&self, rows: u64) -> String {
        match self.verb {
            "SELECT" | "FETCH" | "COPY" => format!("{} {rows}", self.verb),
            verb => verb.to_owned(),
        }
    }
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStream").field("columns", &self.columns).field("verb", &self.verb).finish_non_exhaustive()
    }
}

/// The options of COPY … TO STDOUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFormat {
    /// PostgreSQL's text format.
    Text {
        /// One byte.
        delimiter: u8,
        /// The text for NULL.
        null: String,
        /// Whether the first line names the columns.
        header: bool,
    },
    /// CSV.
    Csv {
        /// One byte.
        delimiter: u8,
        /// The text for NULL.
        null: String,
        /// Whether the first line names the columns.
        header: bool,
        /// One byte.
        quote: u8,
        /// One byte.
        escape: u8,
        /// Columns (by index) that are always quoted.
        force_quote: Vec<usize>,
    },
    /// PostgreSQL's binary format.
    Binary,
}

/// COPY … TO STDOUT.
#[derive(Debug)]
pub struct CopyOut {
    /// The rows; its verb is `COPY`.
    pub rows: RowStream,
    /// How they are written.
    pub format: CopyFormat,
    /// The character set of the lines, if it is not the session's.
    pub encoding: Option<ClientEncoding>,
}
