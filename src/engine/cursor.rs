//! SQL cursors: a query whose rows are taken a few at a time, forward, and backward over rows that are kept.
//!
//! The query starts at the first FETCH, and is decided then; what has not been fetched has not been read ahead.
//! INVARIANT: rows that a cursor has kept are handed out only while what the query was allowed still stands. A cursor of which a FETCH
//! was broken off hands out nothing more: nobody knows which rows have arrived.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{ClientMessage, SqlState};

use super::budget::Part;
use super::column::Column;
use super::outcome::RowsOutcome;
use super::reply::RowStream;
use super::scroll::Scroll;
use super::sql::{Direction, Query};
use super::standing::Standing;
use super::stream;
use super::values::Given;

/// How far a cursor can go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Not at all: NO SCROLL.
    Nowhere,
    /// A little, for clients that expect of a plain cursor what PostgreSQL allows it in most cases.
    Near,
    /// Far: SCROLL.
    Far,
}

impl Reach {
    /// Bytes of rows that the cursor keeps.
    fn bytes_max(self) -> usize {
        match self {
            Self::Nowhere => 0,
            Self::Near => 1 << 20,
            Self::Far => 64 << 20,
        }
    }
}

/// What DECLARE says of a cursor beside its query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) hold: bool,
    pub(super) reach: Reach,
    /// Its rows are sent in binary in the simple protocol.
    pub(super) binary: bool,
    /// How many savepoints stood when it was declared.
    pub(super) level: usize,
    /// When it was declared.
    pub(super) made: DateTime<Utc>,
}

/// A declared cursor. Its clones are the same cursor.
#[derive(Clone)]
pub(super) struct Cursor {
    /// The statement that made it.
    text: Arc<str>,
    query: Arc<Query>,
    given: Arc<Given>,
    columns: Arc<[Column]>,
    options: Options,
    /// What it takes of the session's budget.
    _part: Arc<Part>,
    /// The transaction that declared it has committed.
    settled: bool,
    state: Arc<Mutex<State>>,
}

struct State {
    rows: Option<RowStream>,
    rest: Option<RecordBatch>,
    started: bool,
    /// Why it cannot be read on. Without it, a later FETCH would look like the end of the rows.
    fallen: Option<ClientMessage>,
    /// What it has read, and where it stands.
    kept: Scroll,
    /// What its rows depend on.
    standing: Option<Arc<Standing>>,
}

impl State {
    fn new(reach: Reach) -> Self {
        let kept = Scroll::new(reach.bytes_max());
        Self { rows: None, rest: None, started: false, fallen: None, kept, standing: None }
    }

    /// Nothing more comes, and this is why.
    fn fall(&mut self, message: ClientMessage) {
        *self = Self { started: true, fallen: Some(message), ..Self::new(Reach::Nowhere) };
    }
}

impl Cursor {
    pub(super) fn new(text: &str, query: Query, given: Given, columns: Arc<[Column]>, options: Options, part: Arc<Part>) -> Self {
        let state = Arc::new(Mutex::new(State::new(options.reach)));
        Self { text: text.into(), query: Arc::new(query), given: Arc::new(given), columns, options, _part: part, settled: false, state }
    }

    /// The statement that made it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What was declared of it.
    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// A FETCH of it was broken off.
    pub(super) fn break_off(&self, name: &str) {
        if let Ok(mut state) = self.state.try_lock()
            && state.started
            && state.fallen.is_none()
        {
            let message = format!("portal \"{name}\" cannot be run");
            if let Some(rows) = &state.rows {
                rows.outcome().go_on();
            }
            state.fall(ClientMessage::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
    }

    /// Whether it outlives its transaction.
    pub(super) fn held(&self) -> bool {
        self.options.hold
    }

    /// The transaction that declared it has committed.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// Of the savepoints that stood when it was declared, so many are left.
    pub(super) fn belong_to(&mut self, savepoints: usize) {
        self.options.level = self.options.level.min(savepoints);
    }

    /// Whether it outlives a rollback.
    pub(super) fn settled(&self) -> bool {
        self.settled
    }

    /// Nobody fetches from it now.
    pub(super) fn pause(&self) {
        if let Ok(state) = self.state.try_lock() {
            state.pause();
        }
    }

    pub(super) fn columns(&self) -> Arc<[Column]> {
        Arc::clone(&self.columns)
    }

    pub(super) fn query(&self) -> &Query {
        &self.query
    }

    pub(super) fn given(&self) -> &Given {
        &self.given
    }

    /// Whether its query has not run yet.
    pub(super) async fn needs_start(&self) -> bool {
        !self.state.lock().await.started
    }

    /// Its query runs.
    pub(super) async fn start(&self, rows: RowStream) {
        let mut state = self.state.lock().await;
        state.standing = rows.standing();
        state.rows = Some(rows);
        state.started = true;
    }

    /// A FETCH after the first: its rows may still be read, or it has none.
    pub(super) async fn resume(&self) -> Result<(), ClientMessage> {
        let mut state = self.state.lock().await;
        if let Some(message) = &state.fallen {
            return Err(message.clone());
        }
        let standing = state.standing.clone().filter(|_| self.options.reach != Reach::Nowhere);
        let resumed = match &mut state.rows {
            Some(rows) => rows.resume().await,
            None => standing.map_or(Ok(()), |standing| standing.check()),
        };
        let Err(message) = resumed else { return Ok(()) };
        state.fall(message.clone());
        Err(message)
    }

    /// Goes back to before the first row; answers how many rows that was. If they are not all kept, the query runs anew at the next fetch.
    pub(super) async fn rewind(&self) -> u64 {
        let mut state = self.state.lock().await;
        let moved = state.kept.begin();
        if !state.kept.is_whole() {
            *state = State::new(self.options.reach);
        }
        moved
    }

    /// Whether it can go there.
    pub(super) async fn reaches(&self, direction: Direction) -> bool {
        self.options.reach != Reach::Nowhere || self.state.lock().await.kept.leads_on(direction)
    }

    /// The rows of a request that leads backward or onto a certain row.
    pub(super) async fn scrolled(
        &self,
        direction: Direction,
        verb: &'static str,
        deadline: Option<Instant>,
    ) -> Result<RowStream, ClientMessage> {
        let mut state = self.state.lock().await;
        state.read_on(direction, deadline).await?;
        let span = state.kept.span(direction);
        let batches = state.kept.taken(span)?;
        let rows = RowStream::new(self.columns(), verb, futures::stream::iter(batches.into_iter().map(Ok)));
        Ok(rows.in_binary(self.options.binary).with_outcome(state.outcome()))
    }

    /// How many rows a MOVE of such a request passes.
    pub(super) async fn moved(&self, direction: Direction, deadline: Option<Instant>) -> Result<u64, ClientMessage> {
        let mut state = self.state.lock().await;
        state.read_on(direction, deadline).await?;
        let span = state.kept.span(direction);
        Ok(state.kept.passed(span))
    }

    /// The next rows: at most `rows_max`, or all that are left.
    pub(super) fn fetch(self, rows_max: Option<u64>, verb: &'static str, deadline: Option<Instant>) -> RowStream {
        let (columns, binary) = (self.columns(), self.options.binary);
        // Nobody else holds it: a session does one thing after another.
        let outcome = self.state.try_lock().map(|state| state.outcome()).unwrap_or_default();
        let state = (Arc::clone(&self.state), rows_max, outcome.clone());
        let batches = futures::stream::try_unfold(state, move |(cursor, left, outcome)| async move {
            if left == Some(0) {
                cursor.lock().await.pause();
                return Ok(None);
            }
            let next = async { cursor.lock().await.next(left).await };
            let Some(batch) = in_time(next, deadline, &outcome).await? else { return Ok(None) };
            let taken = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
            let left = left.map(|left| left.saturating_sub(taken));
            // Who has all that it asked for does not always ask whether there is more.
            if left == Some(0) {
                cursor.lock().await.pause();
            }
            Ok(Some((batch, (cursor, left, outcome))))
        });
        RowStream::new(columns, verb, batches).in_binary(binary).with_outcome(outcome)
    }
}

impl State {
    /// Reads as far as the request leads.
    async fn read_on(&mut self, direction: Direction, deadline: Option<Instant>) -> Result<(), ClientMessage> {
        let wanted = self.kept.wanted(direction);
        let outcome = self.outcome();
        while !self.kept.has(wanted) {
            match in_time(self.take(None), deadline, &outcome).await? {
                Some(batch) => self.kept.push(batch),
                None => self.kept.end(),
            }
        }
        self.pause();
        Ok(())
    }

    /// Nobody fetches now.
    fn pause(&self) {
        if let Some(rows) = &self.rows {
            rows.pause();
        }
    }

    /// What the client hears of the rows.
    fn outcome(&self) -> RowsOutcome {
        self.rows.as_ref().map(|rows| rows.outcome().clone()).unwrap_or_default()
    }

    /// The next batch, cut to `left` rows; what is cut off stays for the next FETCH.
    async fn next(&mut self, left: Option<u64>) -> Result<Option<RecordBatch>, ClientMessage> {
        if let Some(batch) = self.kept.ahead(left)? {
            return Ok(Some(batch));
        }
        let batch = self.take(left).await?;
        match &batch {
            Some(batch) => self.kept.pass(batch),
            None => self.kept.pass_end(),
        }
        Ok(batch)
    }

    async fn take(&mut self, left: Option<u64>) -> Result<Option<RecordBatch>, ClientMessage> {
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => {
                let Some(rows) = &mut self.rows else { return Ok(None) };
                match rows.next().await {
                    Some(Ok(batch)) => batch,
                    Some(Err(message)) => {
                        self.rows = None;
                        return Err(message);
                    }
                    None => {
                        self.rows = None;
                        return Ok(None);
                    }
                }
            }
        };
        let most = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        if batch.num_rows() <= most {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(most, batch.num_rows() - most));
        Ok(Some(batch.slice(0, most)))
    }
}

/// A step of a request, unless it takes too long.
async fn in_time<T>(
    step: impl Future<Output = Result<T, ClientMessage>>,
    deadline: Option<Instant>,
    outcome: &RowsOutcome,
) -> Result<T, ClientMessage> {
    let Some(deadline) = deadline else { return step.await };
    tokio::time::timeout_at(deadline, step).await.unwrap_or_else(|_| {
        let message = stream::timed_out();
        outcome.fail(&message);
        Err(message)
    })
}
