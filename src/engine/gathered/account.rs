//! What a window holds of the gateway's memory: what its aggregates have gathered, and the results that have not yet left it.
//!
//! An aggregate over a window is made by the engine's operators deep inside, where the statement's memory is not at hand. So the operator around
//! them ([`super::windows`]) names the account of the window to its thread whenever it computes.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

/// The account of one window.
#[derive(Debug)]
pub(super) struct Account {
    reservation: MemoryReservation,
    /// What of it is results.
    results: AtomicUsize,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Account>>> = const { RefCell::new(None) };
}

/// Puts back the account that was there before.
struct Before(Option<Arc<Account>>);

impl Drop for Before {
    fn drop(&mut self) {
        CURRENT.replace(self.0.take());
    }
}

impl Account {
    pub(super) fn new(pool: &Arc<dyn MemoryPool>) -> Arc<Self> {
        Arc::new(Self { reservation: MemoryConsumer::new("window").register(pool), results: AtomicUsize::new(0) })
    }

    /// Computes a part of the window.
    pub(super) fn during<T>(self: &Arc<Self>, compute: impl FnOnce() -> T) -> T {
        let _before = Before(CURRENT.replace(Some(Arc::clone(self))));
        compute()
    }

    /// The account of the window that this thread computes.
    ///
    /// INVARIANT: an aggregate over a window that has none fails, so none runs without limits.
    pub(super) fn current() -> Result<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone).ok_or_else(|| DataFusionError::Internal("a window without an account".to_owned()))
    }

    /// Asks for memory before it is used.
    pub(super) fn take(&self, bytes: usize) -> Result<()> {
        self.reservation.try_grow(bytes)
    }

    /// Gives memory back that was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        self.reservation.shrink(bytes.min(self.reservation.size()));
    }

    /// So much of what was taken is a result, which stays until it has left.
    pub(super) fn keep(&self, bytes: usize) {
        self.results.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Results have left: at most those that there are.
    pub(super) fn let_go(&self, bytes: usize) {
        let before = self.results.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| Some(kept.saturating_sub(bytes)));
        self.give_back(before.map_or(0, |before| before.min(bytes)));
    }
}
