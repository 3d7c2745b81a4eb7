//! What was last seen of a server, each for a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Looks of one kind, so that statements in a row do not each ask the server.
pub(super) struct Looks<At, T> {
    holds: Duration,
    known: Mutex<HashMap<At, Look<T>>>,
}

struct Look<T> {
    when: Instant,
    seen: Arc<T>,
}

impl<At: Clone + Eq + Hash, T> Looks<At, T> {
    /// Each of them holds for so long.
    pub(super) fn new(holds: Duration) -> Self {
        Self { holds, known: Mutex::default() }
    }

    /// What a look showed, if it still holds.
    pub(super) fn last(&self, at: &At) -> Option<Arc<T>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(at).filter(|look| look.when.elapsed() < self.holds).map(|look| Arc::clone(&look.seen))
    }

    /// Keeps what a look showed, and no look that no longer holds.
    pub(super) fn keep(&self, at: &At, seen: &Arc<T>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, look| look.when.elapsed() < self.holds);
        known.insert(at.clone(), Look { when: Instant::now(), seen: Arc::clone(seen) });
    }
}
