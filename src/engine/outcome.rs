//! What came of rows that a client reads: the records of their statements tell what it heard.
//!
//! INVARIANT: a statement that answers with rows is recorded as completed only after the client was sent what it asked for. What fails on
//! the way (a row, its encoding, a cancel request) stands in the record of every statement that answers with these rows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::record_batch::RecordBatch;
use futures::{Stream, StreamExt as _};

use crate::audit::{Closing, StatementOutcome};
use crate::error::{ClientMessage, SqlState};
use crate::lineage::Ending;

use super::attempt::{self, Attempt};
use super::stream::{Stop, StopCause};

/// How rows stand with their client. Its clones are about the same rows.
#[derive(Debug, Clone, Default)]
pub(super) struct RowsOutcome(Arc<Mutex<Stage>>);

#[derive(Debug, Default)]
enum Stage {
    /// The client waits for rows.
    #[default]
    Awaited,
    /// It has what it asked for, and has not asked for more.
    Paused,
    /// It was told of an error.
    Failed(Box<ClientMessage>),
}

impl RowsOutcome {
    /// The client asks for rows.
    pub(super) fn go_on(&self) {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Paused) {
            *stage = Stage::Awaited;
        }
    }

    /// The client has what it asked for.
    pub(super) fn pause(&self) {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Awaited) {
            *stage = Stage::Paused;
        }
    }

    /// The client is told of an error; the first one counts.
    pub(super) fn fail(&self, message: &ClientMessage) {
        let mut stage = self.stage();
        if !matches!(*stage, Stage::Failed(_)) {
            *stage = Stage::Failed(Box::new(message.clone()));
        }
    }

    /// How rows ended that are dropped, after so many rows and bytes. Who closes them in a pause has had all that it asked for.
    pub(super) fn left(&self, stop_cause: &StopCause, rows: u64, bytes: u64) -> (Closing, Ending) {
        match &*self.stage() {
            Stage::Failed(message) if message.sqlstate != SqlState::QUERY_CANCELED => {
                (Closing::failed(message.sqlstate), Ending::Fail { message: message.message.clone() })
            }
            Stage::Failed(message) => (Closing::failed(message.sqlstate), Ending::Abort),
            Stage::Paused if stop_cause() != Some(Stop::Gone) => (Closing::completed(), Ending::Complete { rows, bytes }),
            Stage::Paused | Stage::Awaited => (attempt::stopped(stop_cause), Ending::Abort),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The word for it in the log.
pub(super) fn word(closing: Closing) -> &'static str {
    match (closing.outcome, closing.sqlstate) {
        (StatementOutcome::Cancelled, _) => "cancelled",
        (_, Some(sqlstate)) => sqlstate.as_str(),
        (StatementOutcome::Aborted, None) => "aborted",
        (_, None) => "completed",
    }
}

/// The same batches; the record of the statement that answers with them ends as they do.
pub(super) fn recorded(
    batches: impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + Unpin + 'static,
    attempt: Attempt,
    outcome: RowsOutcome,
) -> impl Stream<Item = Result<RecordBatch, ClientMessage>> + Send + 'static {
    let state = Recorded { batches, attempt: Some(attempt), rows: 0, outcome };
    futures::stream::unfold(state, |mut state| async move {
        let item = state.next().await?;
        Some((item, state))
    })
}

struct Recorded<S> {
    batches: S,
    /// Until it has ended.
    attempt: Option<Attempt>,
    rows: u64,
    outcome: RowsOutcome,
}

impl<S: Stream<Item = Result<RecordBatch, ClientMessage>> + Unpin> Recorded<S> {
    async fn next(&mut self) -> Option<Result<RecordBatch, ClientMessage>> {
        let item = self.batches.next().await;
        let closing = match &item {
            Some(Ok(batch)) => {
                self.rows = self.rows.saturating_add(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
                return item;
            }
            Some(Err(message)) => Closing::failed(message.sqlstate),
            None => Closing::completed(),
        };
        if let Some(attempt) = &mut self.attempt {
            attempt.end_after(self.rows, closing).await;
        }
        self.attempt = None;
        item
    }
}

impl<S> Drop for Recorded<S> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            attempt.left(&self.outcome, self.rows);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(outcome: &RowsOutcome, stop: Option<Stop>) -> (StatementOutcome, Option<&'static str>) {
        let stop_cause: StopCause = Arc::new(move || stop);
        let (closing, _) = outcome.left(&stop_cause, 1, 1);
        (closing.outcome, closing.sqlstate.map(|sqlstate| sqlstate.as_str()))
    }

    #[test]
    fn rows_that_are_closed_in_a_pause_are_complete() {
        let outcome = RowsOutcome::default();
        assert_eq!(left(&outcome, None), (StatementOutcome::Aborted, None));
        outcome.pause();
        assert_eq!(left(&outcome, None), (StatementOutcome::Completed, None));
        assert_eq!(left(&outcome, Some(Stop::Cancelled)), (StatementOutcome::Completed, None), "another statement was cancelled");
        assert_eq!(left(&outcome, Some(Stop::Gone)), (StatementOutcome::Aborted, None));
        outcome.go_on();
        assert_eq!(left(&outcome, Some(Stop::Cancelled)), (StatementOutcome::Cancelled, Some("57014")));
    }

    #[test]
    fn the_first_error_that_the_client_is_told_stays() {
        let outcome = RowsOutcome::default();
        outcome.fail(&ClientMessage::new(SqlState::UNTRANSLATABLE_CHARACTER, "a letter is missing"));
        outcome.fail(&ClientMessage::new(SqlState::DIVISION_BY_ZERO, "later"));
        outcome.pause();
        outcome.go_on();
        assert_eq!(left(&outcome, None), (StatementOutcome::Failed, Some("22P05")));
    }
}
