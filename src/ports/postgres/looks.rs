//! What was last seen of tables, each for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::location::TableLocation;

/// Looks of one kind, so that statements in a row do not each ask the server.
pub(super) struct Looks<T> {
    holds: Duration,
    known: Mutex<HashMap<TableLocation, Look<T>>>,
}

struct Look<T> {
    when: Instant,
    seen: Arc<T>,
}

impl<T> Looks<T> {
    /// Each of them holds for so long.
    pub(super) fn new(holds: Duration) -> Self {
        Self { holds, known: Mutex::default() }
    }

    /// What a look at a table showed, if it still holds.
    pub(super) fn last(&self, location: &TableLocation) -> Option<Arc<T>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(location).filter(|look| look.when.elapsed() < self.holds).map(|look| Arc::clone(&look.seen))
    }

    /// Keeps what a look at a table showed, and no look that no longer holds.
    pub(super) fn keep(&self, location: &TableLocation, seen: &Arc<T>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, look| look.when.elapsed() < self.holds);
        known.insert(location.clone(), Look { when: Instant::now(), seen: Arc::clone(seen) });
    }
}
