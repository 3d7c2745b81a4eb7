//! A statement whose opening record is durable and whose closing record is still to come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Error;
use super::event::{Closing, Durations, Event, StatementClosed};
use super::queue::Queue;
use super::record::Draft;

/// Stages that a statement goes through once it is open, and before.
const STAGES: usize = 10;

/// Tells how a statement ended that is dropped without a word: it was cancelled, or its client is gone.
pub type Dropped = Arc<dyn Fn() -> Closing + Send + Sync>;

/// An open statement. Dropping it closes it as [`Dropped`] says.
pub struct OpenStatement {
    query_id: Uuid,
    rows: AtomicU64,
    bytes: AtomicU64,
    stages: Mutex<Vec<(&'static str, Duration)>>,
    queue: Arc<Queue>,
    dropped: Dropped,
    open: bool,
}

impl std::fmt::Debug for OpenStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenStatement").field("query_id", &self.query_id).field("open", &self.open).finish_non_exhaustive()
    }
}

impl OpenStatement {
    pub(super) fn new(query_id: Uuid, queue: Arc<Queue>, dropped: Dropped) -> Self {
        Self {
            query_id,
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            stages: Mutex::new(Vec::with_capacity(STAGES)),
            queue,
            dropped,
            open: true,
        }
    }

    /// The statement's id.
    pub fn query_id(&self) -> Uuid {
        self.query_id
    }

    /// Counts rows and bytes that are handed to the connection.
    pub fn add_rows(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rows counted so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Notes the time spent in a stage; further time in the same stage is added.
    pub fn add_duration(&self, stage: &'static str, spent: Duration) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        match stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, sum)) => *sum += spent,
            None => stages.push((stage, spent)),
        }
    }

    /// An error if the log has become unwritable: data of running statements stops as well.
    pub fn ensure_writable(&self) -> Result<(), Error> {
        if self.queue.accepting() { Ok(()) } else { Err(Error::Unwritable) }
    }

    /// Records how the statement ended. Does not wait.
    pub fn close(mut self, at: DateTime<Utc>, closing: Closing) {
        self.finish(at, closing);
    }

    /// The opening did not become durable, so there is nothing to close.
    pub(super) fn forget(mut self) {
        self.open = false;
    }

    fn finish(&mut self, at: DateTime<Utc>, closing: Closing) {
        if !std::mem::replace(&mut self.open, false) {
            return;
        }
        let stages = std::mem::take(&mut *self.stages.lock().unwrap_or_else(PoisonError::into_inner));
        let event = Event::StatementClosed(StatementClosed {
            query_id: self.query_id,
            outcome: closing.outcome,
            sqlstate: closing.sqlstate.map(|code| code.as_str()),
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            durations_ms: Durations(stages),
            lineage_run_id: closing.lineage_run_id,
        });
        // What cannot be written is in the server's log.
        if let Ok(draft) = Draft::of(at, &event) {
            self.queue.push(draft, None);
        }
    }
}

impl Drop for OpenStatement {
    fn drop(&mut self) {
        if self.open {
            let at = (self.queue.clock)();
            let closing = (self.dropped)();
            self.finish(at, closing);
        }
    }
}
