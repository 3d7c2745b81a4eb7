//! SQL cursors: a query whose rows are taken a few at a time, forward; by a scroll cursor backward, too.
//!
//! The query starts at the first FETCH, and is decided then; what has not been fetched has not been read ahead.
//! INVARIANT: rows that a scroll cursor has kept are handed out only while what the query was allowed still stands.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::ClientMessage;

use super::column::Column;
use super::reply::RowStream;
use super::scroll::Scroll;
use super::sql::{Direction, Query};
use super::standing::Standing;
use super::stream;

/// A declared cursor. Its clones are the same cursor.
#[derive(Clone)]
pub(super) struct Cursor {
    query: Arc<Query>,
    values: Arc<[ScalarValue]>,
    columns: Arc<[Column]>,
    hold: bool,
    scroll: bool,
    /// The transaction that declared it has committed.
    settled: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: Option<RowStream>,
    rest: Option<RecordBatch>,
    started: bool,
    /// Why it cannot be read on. Without it, a later FETCH would look like the end of the rows.
    fallen: Option<ClientMessage>,
    /// Rows that have been taken.
    position: u64,
    /// What a scroll cursor has read.
    kept: Scroll,
    /// What its rows depend on.
    standing: Option<Arc<Standing>>,
}

impl Cursor {
    pub(super) fn new(query: Query, values: Vec<ScalarValue>, columns: Arc<[Column]>, hold: bool, scroll: bool) -> Self {
        Self { query: Arc::new(query), values: values.into(), columns, hold, scroll, settled: false, state: Arc::default() }
    }

    /// Whether it can go back.
    pub(super) fn scrolls(&self) -> bool {
        self.scroll
    }

    /// Whether it outlives its transaction.
    pub(super) fn held(&self) -> bool {
        self.hold
    }

    /// The transaction that declared it has committed.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// Whether it outlives a rollback.
    pub(super) fn settled(&self) -> bool {
        self.settled
    }

    /// Nobody fetches from it now.
    pub(super) fn pause(&self) {
        if let Ok(state) = self.state.try_lock()
            && let Some(rows) = &state.rows
        {
            rows.pause();
        }
    }

    pub(super) fn columns(&self) -> Arc<[Column]> {
        Arc::clone(&self.columns)
    }

    pub(super) fn query(&self) -> &Query {
        &self.query
    }

    pub(super) fn values(&self) -> &[ScalarValue] {
        &self.values
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
        let standing = state.standing.clone().filter(|_| self.scroll);
        let resumed = match &mut state.rows {
            Some(rows) => rows.resume().await,
            None => standing.map_or(Ok(()), |standing| standing.check()),
        };
        let Err(message) = resumed else { return Ok(()) };
        *state = State { started: true, fallen: Some(message.clone()), ..State::default() };
        Err(message)
    }

    /// Goes back to before the first row; answers how many rows that was. The query runs anew at the next fetch.
    pub(super) async fn rewind(&self) -> u64 {
        std::mem::take(&mut *self.state.lock().await).position
    }

    /// The rows of a scroll cursor.
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
        Ok(RowStream::new(self.columns(), verb, futures::stream::iter(batches.into_iter().map(Ok))))
    }

    /// How many rows a MOVE of a scroll cursor passes.
    pub(super) async fn moved(&self, direction: Direction, deadline: Option<Instant>) -> Result<u64, ClientMessage> {
        let mut state = self.state.lock().await;
        state.read_on(direction, deadline).await?;
        let span = state.kept.span(direction);
        Ok(state.kept.passed(span))
    }

    /// The next rows: at most `rows_max`, or all that are left.
    pub(super) fn fetch(self, rows_max: Option<u64>, verb: &'static str, deadline: Option<Instant>) -> RowStream {
        let columns = self.columns();
        let state = (Arc::clone(&self.state), rows_max);
        let batches = futures::stream::try_unfold(state, move |(cursor, left)| async move {
            if left == Some(0) {
                if let Some(rows) = &cursor.lock().await.rows {
                    rows.pause();
                }
                return Ok(None);
            }
            let next = async { cursor.lock().await.next(left).await };
            let batch = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, next).await.map_err(|_| stream::timed_out())?,
                None => next.await,
            };
            let Some(batch) = batch? else { return Ok(None) };
            let taken = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
            Ok(Some((batch, (cursor, left.map(|left| left.saturating_sub(taken))))))
        });
        RowStream::new(columns, verb, batches)
    }
}

impl State {
    /// Reads as far as a scroll cursor has to.
    async fn read_on(&mut self, direction: Direction, deadline: Option<Instant>) -> Result<(), ClientMessage> {
        let wanted = self.kept.wanted(direction);
        while !self.kept.has(wanted) {
            let next = self.take(None);
            let batch = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, next).await.map_err(|_| stream::timed_out())?,
                None => next.await,
            };
            match batch? {
                Some(batch) => self.kept.push(batch),
                None => self.kept.end(),
            }
        }
        if let Some(rows) = &self.rows {
            rows.pause();
        }
        Ok(())
    }

    /// The next batch, cut to `left` rows; what is cut off stays for the next FETCH.
    async fn next(&mut self, left: Option<u64>) -> Result<Option<RecordBatch>, ClientMessage> {
        let batch = self.take(left).await?;
        let taken = batch.as_ref().map_or(0, RecordBatch::num_rows);
        self.position = self.position.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
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
