//! One statement on its way, and its records in the audit log.
//!
//! INVARIANT: every attempt leaves one opening and one closing, whether its statement runs, is denied, fails, is refused, or is dropped
//! while it waits. One that may return rows is opened durably; all others are noted whole when they end.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::audit::{
    AuditLog, Closing, DecisionRecord, FieldAccess, OpenStatement, ProductAccess, Reserved, StatementNote, StatementOpened,
};
use crate::enforcement::ProductUse;
use crate::error::{ClientMessage, SqlState};
use crate::lineage::{Input, Lineage};
use crate::policy::Decision;
use crate::telemetry::{QueryTrace, Step};

use super::engine::Shared;
use super::outcome::{self, RowsOutcome};
use super::reply::{Reply, RowStream};
use super::stream::{Stop, StopCause};
use super::{Clock, World, fault};

/// The policy path that is asked, as decision logs name it.
const POLICY_PATH: &str = "meshgate/governance";

/// The fields of each product that a statement reads, as its record names them; shared by all runs of a plan.
#[derive(Debug, Clone)]
pub(super) struct Accessed(Vec<Arc<[FieldAccess]>>);

impl Accessed {
    /// The fields that are used.
    pub(super) fn of(uses: &[ProductUse]) -> Self {
        Self(uses.iter().map(|used| FieldAccess::all(&used.fields)).collect())
    }

    /// The same with the columns of the result that are made from them.
    pub(super) fn traced(&self, uses: &[ProductUse], lineage: &Lineage) -> Self {
        let traced = |(used, fields): (&ProductUse, &Arc<[FieldAccess]>)| {
            let same = |input: &Input| input.product == used.product.reference && input.port == used.port;
            let Some(number) = lineage.inputs.iter().position(same) else { return Arc::clone(fields) };
            let traced = |field: &FieldAccess| FieldAccess { outputs: lineage.outputs_of(number, field.name.as_str()), ..field.clone() };
            fields.iter().map(traced).collect()
        };
        Self(uses.iter().zip(&self.0).map(traced).collect())
    }
}

/// One statement on its way.
pub(super) struct Attempt {
    audit: Arc<AuditLog>,
    clock: Clock,
    stop_cause: StopCause,
    query_id: Uuid,
    at: DateTime<Utc>,
    world: Arc<World>,
    trace: QueryTrace,
    /// What is still to be recorded.
    pending: Option<Pending>,
    /// What is recorded and still to be closed, of a statement that answers with rows of its own.
    open: Option<OpenStatement>,
}

struct Pending {
    opened: StatementOpened,
    decisions: Vec<DecisionRecord>,
}

impl Attempt {
    /// A statement of a session begins. `opened.query_id` identifies it.
    pub(super) fn new(shared: &Shared, session_id: Uuid, stop_cause: StopCause, world: Arc<World>, opened: StatementOpened) -> Self {
        let query_id = opened.query_id;
        Self {
            audit: Arc::clone(&shared.audit),
            clock: Arc::clone(&shared.options.clock),
            stop_cause,
            query_id,
            at: shared.now(),
            world,
            trace: QueryTrace::start(query_id, session_id),
            pending: Some(Pending { opened, decisions: Vec::new() }),
            open: None,
        }
    }

    /// The same without records: what is only described is recorded by whoever wants to know.
    pub(super) fn unrecorded(mut self) -> Self {
        self.pending = None;
        self
    }

    /// The statement's id.
    pub(super) fn query_id(&self) -> Uuid {
        self.query_id
    }

    /// Its text, until it is recorded.
    pub(super) fn text(&self) -> &str {
        self.pending.as_ref().and_then(|pending| pending.opened.sql.as_deref()).unwrap_or_default()
    }

    /// When it began.
    pub(super) fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// What it sees of the mesh, to its end.
    pub(super) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// The steps of the statement in the log.
    pub(super) fn trace(&mut self) -> &mut QueryTrace {
        &mut self.trace
    }

    /// What the statement reads, each product with its fields, and what was decided on it in `spent`.
    pub(super) fn decided(&mut self, uses: &[ProductUse], fields: &Accessed, decisions: &[Arc<Decision>], spent: Duration) {
        let Some(pending) = &mut self.pending else { return };
        let record = |decision: &Arc<Decision>| DecisionRecord {
            query_id: self.query_id,
            path: POLICY_PATH,
            decision: Arc::clone(decision),
            at: self.at,
            elapsed: spent,
        };
        pending.decisions = decisions.iter().map(record).collect();
        let access = |((used, fields), decision): ((&ProductUse, &Arc<[FieldAccess]>), &Arc<Decision>)| ProductAccess {
            product: used.product.reference.clone(),
            port: used.port.clone(),
            fields: Arc::clone(fields),
            decision_id: Some(decision.id.0),
        };
        pending.opened.products = uses.iter().zip(&fields.0).zip(decisions).map(access).collect();
    }

    /// The same fields with the columns of the result that are made from them.
    pub(super) fn traced(&mut self, fields: &Accessed) {
        let Some(pending) = &mut self.pending else { return };
        for (access, fields) in pending.opened.products.iter_mut().zip(&fields.0) {
            access.fields = Arc::clone(fields);
        }
    }

    /// Step record: returns when the opening record is durable.
    pub(super) async fn open(&mut self) -> Result<OpenStatement, ClientMessage> {
        let reserved = self.audit.reserve().await.map_err(|error| ClientMessage::from(&error))?;
        let Some(Pending { opened, decisions }) = self.pending.take() else {
            return Err(ClientMessage::new(SqlState::INTERNAL_ERROR, "a statement is opened once, and only to run"));
        };
        let stop_cause = Arc::clone(&self.stop_cause);
        // A cancel request can come between the record's becoming durable and the first row.
        let dropped = Arc::new(move || stopped(&stop_cause));
        let record = self.audit.open_statement(reserved, self.at, opened, decisions, dropped).await;
        self.trace.done(Step::Record, "");
        let record = record.map_err(|error| ClientMessage::from(&error))?;
        self.trace.take_durations().into_iter().for_each(|(step, spent)| record.add_duration(step, spent));
        Ok(record)
    }

    /// The statement is answered with rows that hold nothing of anybody, and so without waiting for the disk; with an error if the log
    /// cannot be written.
    pub(super) async fn ensure_writable(&self) -> Result<(), ClientMessage> {
        self.audit.reserve().await.map(drop).map_err(|error| ClientMessage::from(&error))
    }

    /// The statement goes on behind its opening record, which is closed as the attempt ends.
    pub(super) fn keep_open(&mut self, record: OpenStatement) {
        self.open = Some(record);
    }

    /// The statement ended without a row. Waits for room in the log, not for the disk. Does nothing if it is recorded already.
    pub(super) async fn end(&mut self, closing: Closing) {
        self.end_after(0, closing).await;
    }

    /// As `end`, after so many rows.
    pub(super) async fn end_after(&mut self, rows: u64, closing: Closing) {
        if self.pending.is_some() {
            let reserved = self.audit.reserve().await.ok();
            self.note(reserved, closing, rows);
        }
        self.close(closing);
    }

    /// The statement's rows are dropped after so many. Waits for nothing.
    pub(super) fn left(mut self, outcome: &RowsOutcome, rows: u64) {
        let (closing, _) = outcome.left(&self.stop_cause, rows, 0);
        self.note(None, closing, rows);
        self.close(closing);
    }

    /// The statement is answered with these rows, and ends with them.
    pub(super) async fn answer_with(mut self, rows: Result<RowStream, ClientMessage>) -> Result<Reply, ClientMessage> {
        match rows {
            Ok(rows) => Ok(Reply::Rows(rows.recorded_by(self))),
            Err(message) => self.end_with(Err(message)).await,
        }
    }

    /// Closes the opening record that it went on behind. Its answer is none of the products' rows.
    fn close(&mut self, closing: Closing) {
        let Some(record) = self.open.take() else { return };
        record.close((self.clock)(), closing);
        self.trace.done(Step::Close, outcome::word(closing));
    }

    fn note(&mut self, reserved: Option<Reserved>, closing: Closing, rows: u64) {
        let Some(Pending { opened, decisions }) = self.pending.take() else { return };
        let stages = self.trace.end(Step::Run);
        let note = StatementNote { at: self.at, opened, decisions, ended: (self.clock)(), closing, rows, stages };
        self.audit.note_statement(reserved, note);
        self.trace.done(Step::Close, outcome::word(closing));
    }

    /// As `end`, for what came of a statement. A fault of ours leaves with its number only.
    pub(super) async fn end_with<T>(&mut self, outcome: Result<T, ClientMessage>) -> Result<T, ClientMessage> {
        let outcome = outcome.map_err(|message| fault::numbered(message, self.query_id));
        self.end(outcome.as_ref().map_or_else(|message| Closing::failed(message.sqlstate), |_| Closing::completed())).await;
        outcome
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.note(None, stopped(&self.stop_cause), 0);
    }
}

/// How a statement ended that was stopped from outside.
pub(super) fn stopped(stop_cause: &StopCause) -> Closing {
    match stop_cause() {
        Some(Stop::Cancelled) => Closing::failed(SqlState::QUERY_CANCELED),
        Some(Stop::Gone) | None => Closing::aborted(),
    }
}
