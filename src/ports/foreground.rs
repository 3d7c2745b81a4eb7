//! Where a statement's rows are taken in: at first by the thread that serves its client, for as long as they are few.
//!
//! An answer of a row or two is there before another thread has woken up. A scan that is waited for, and that computes nothing itself, may
//! take in so much there; before it takes in more, it has itself moved to the threads of queries.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use arrow::array::RecordBatch;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::prelude::SessionConfig;

use super::parquet::NumberedScan;
use super::postgres::PostgresExec;

/// Rows that are taken in by the thread that serves the client.
const ROWS_MAX: usize = 64;
/// The bytes of these.
const BYTES_MAX: usize = 64 << 10;

/// Whether a scan does nothing but wait for its source until a few rows of it have come.
pub fn waits(scan: &Arc<dyn ExecutionPlan>) -> bool {
    let scan = scan.downcast_ref::<CooperativeExec>().map_or(scan, CooperativeExec::input);
    scan.downcast_ref::<PostgresExec>().is_some_and(PostgresExec::waits) || NumberedScan::of(scan).is_some_and(NumberedScan::looks_up)
}

/// The foreground of a statement, as an extension of the session's configuration. Without one a scan is in the background.
#[derive(Debug, Default)]
pub struct Foreground {
    left: AtomicBool,
}

impl Foreground {
    /// Whether its scan has asked to be moved: it is polled next where queries run.
    pub fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    /// Waits to be polled in the background.
    pub(crate) async fn leave(&self) {
        poll_fn(|_| if self.left.swap(true, Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }).await;
    }
}

/// What a scan may take in yet before it moves.
#[derive(Debug)]
pub(super) struct Room {
    foreground: Option<Arc<Foreground>>,
    rows: usize,
    bytes: usize,
}

impl Room {
    /// All of it, if the scan begins in the foreground.
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self { foreground: config.get_extension::<Foreground>(), rows: ROWS_MAX, bytes: BYTES_MAX }
    }

    /// Makes room for a row of so many bytes.
    pub(super) async fn take(&mut self, bytes: usize) {
        self.take_rows(1, bytes).await;
    }

    /// Makes room for rows that come together, and are in memory already.
    pub(super) async fn take_batch(&mut self, batch: &RecordBatch) {
        self.take_rows(batch.num_rows(), 0).await;
    }

    async fn take_rows(&mut self, rows: usize, bytes: usize) {
        let Some(foreground) = &self.foreground else { return };
        match (self.rows.checked_sub(rows), self.bytes.checked_sub(bytes)) {
            (Some(rows), Some(bytes)) => (self.rows, self.bytes) = (rows, bytes),
            _ => {
                foreground.leave().await;
                self.foreground = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn room() -> (Arc<Foreground>, Room) {
        let foreground = Arc::new(Foreground::default());
        let config = SessionConfig::new().with_extension(Arc::clone(&foreground));
        (foreground, Room::new(&config))
    }

    #[test]
    fn a_scan_moves_before_it_takes_in_too_much() {
        for (rows, bytes) in [(ROWS_MAX, 1), (1, BYTES_MAX)] {
            let (foreground, mut room) = room();
            assert!((0..rows).all(|_| room.take(bytes).now_or_never().is_some()));
            assert!(!foreground.is_left());
            let mut more = Box::pin(room.take(1));
            assert!((&mut more).now_or_never().is_none() && foreground.is_left());
            assert!((&mut more).now_or_never().is_some());
            drop(more);
            assert!(room.take(usize::MAX).now_or_never().is_some(), "it has moved");
        }
    }

    #[test]
    fn in_the_background_nothing_is_counted() {
        let mut room = Room::new(&SessionConfig::new());
        assert!((0..ROWS_MAX * 2).all(|_| room.take(BYTES_MAX).now_or_never().is_some()));
    }
}
