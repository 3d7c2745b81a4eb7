//! What a session may keep of what its client has sent: prepared statements, cursors, and the values bound to portals.
//!
//! INVARIANT: what is kept is counted before it is kept, and given back when the last that holds it is dropped. Large parts also count as memory
//! of the gateway's statements; small ones are too many to ask for each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::ScalarValue;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::error::{ClientMessage, SqlState};

/// Bytes that a session may keep. One part alone may be larger: the limits on texts and messages bound it.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// What counts as large.
const LARGE_BYTES: usize = 1 << 20;
/// A word or sign of a statement in its tree, which is there with the query that was made of it.
const TOKEN_BYTES: usize = 200;

/// The budget of one session.
#[derive(Debug)]
pub(super) struct Budget {
    kept: Arc<AtomicUsize>,
    pool: Arc<dyn MemoryPool>,
}

/// A part of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Part {
    bytes: usize,
    kept: Arc<AtomicUsize>,
    _large: Option<MemoryReservation>,
}

impl Budget {
    pub(super) fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        Self { kept: Arc::default(), pool: Arc::clone(pool) }
    }

    /// Takes a part; `what` names it to the client.
    pub(super) fn take(&self, bytes: usize, what: &str) -> Result<Part, ClientMessage> {
        let before = self.kept.load(Ordering::Relaxed);
        if before > 0 && before.saturating_add(bytes) > KEPT_BYTES_MAX {
            return Err(too_much(what));
        }
        let large = (bytes >= LARGE_BYTES).then(|| MemoryConsumer::new("session").register(&self.pool));
        if let Some(large) = &large {
            large.try_grow(bytes).map_err(|_| ClientMessage::new(SqlState::OUT_OF_MEMORY, "out of memory").with_detail(detail(what)))?;
        }
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        Ok(Part { bytes, kept: Arc::clone(&self.kept), _large: large })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kept.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// About what a statement's tree takes.
pub(super) fn of_statement(text: &str) -> usize {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || !byte.is_ascii();
    let mut within = false;
    let tokens = text.bytes().filter(|byte| {
        let begins = if word(*byte) { !within } else { !byte.is_ascii_whitespace() };
        within = word(*byte);
        begins
    });
    tokens.count().saturating_mul(TOKEN_BYTES).saturating_add(text.len().saturating_mul(2))
}

/// What the values of parameters take.
pub(super) fn of_values(values: &[ScalarValue]) -> usize {
    values.iter().map(ScalarValue::size).fold(0, usize::saturating_add)
}

fn detail(what: &str) -> String {
    format!("The session cannot keep more {what}.")
}

fn too_much(what: &str) -> ClientMessage {
    ClientMessage::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, format!("{what} take too much memory"))
        .with_detail("A session may keep 128 MiB of prepared statements, cursors and values of parameters.")
        .with_hint("Close portals, cursors and prepared statements that are no longer needed.")
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn budget(memory: usize) -> Budget {
        Budget::new(&(Arc::new(GreedyMemoryPool::new(memory)) as Arc<dyn MemoryPool>))
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = budget(usize::MAX);
        let first = budget.take(KEPT_BYTES_MAX - 1, "portals").unwrap();
        let second = budget.take(1, "portals").unwrap();
        assert_eq!(budget.take(1, "portals").unwrap_err().sqlstate, SqlState::CONFIGURATION_LIMIT_EXCEEDED);
        drop(first);
        assert!(budget.take(KEPT_BYTES_MAX - 1, "portals").is_ok());
        drop(second);
        assert!(budget.take(KEPT_BYTES_MAX * 2, "portals").is_ok());
    }

    #[test]
    fn large_parts_are_memory_of_the_gateway() {
        let budget = budget(10 << 20);
        let _first = budget.take(9 << 20, "portals").unwrap();
        assert_eq!(budget.take(2 << 20, "portals").unwrap_err().sqlstate, SqlState::OUT_OF_MEMORY);
        assert!(budget.take(LARGE_BYTES - 1, "portals").is_ok());
    }

    #[test]
    fn a_statement_weighs_by_its_words_and_signs() {
        assert_eq!(of_statement("select a_b, 1.5 from é"), 6 * TOKEN_BYTES + 23 * 2);
        let many = format!("select id from t where id in ({}1)", "123456,".repeat(1000));
        assert!(of_statement(&many) > 2000 * TOKEN_BYTES);
    }
}
