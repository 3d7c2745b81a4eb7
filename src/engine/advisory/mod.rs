//! Advisory locks: numbers that sessions agree on, held within this process and by nobody else.
//!
//! INVARIANT: a session's locks end with it at the latest. Whoever waits is woken by every release, and a circle of waiting sessions is
//! broken by the one that would close it.

mod functions;
mod table;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::{ClientMessage, SqlState};

use super::reply::Notice;
pub(super) use functions::all as functions;
use table::{Key, Mode, Table};

/// How long a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Span {
    /// Until it is given up, or the session ends.
    Session,
    /// Until the transaction ends.
    Transaction,
}

/// The locks of all sessions.
#[derive(Debug)]
pub(super) struct AdvisoryLocks {
    table: Mutex<Table>,
    /// Something was released.
    released: Notify,
    /// Sessions that may wait at once: each holds one of the places for running queries.
    waiting_max: usize,
}

impl AdvisoryLocks {
    /// No locks; half of the places for running queries may be taken by those who wait for one.
    pub(super) fn new(queries_max: usize) -> Self {
        Self { table: Mutex::default(), released: Notify::new(), waiting_max: (queries_max / 2).max(1) }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One session's part in them; dropping it releases what it holds.
#[derive(Debug)]
pub(super) struct AdvisorySession {
    locks: Arc<AdvisoryLocks>,
    /// The session's number.
    number: i32,
    /// It may hold a lock; most sessions never do, and are not to ask at the end of each statement.
    holds: AtomicBool,
    /// Savepoints that stand, which a lock of the transaction is taken behind.
    savepoints: AtomicUsize,
    warnings: Mutex<Vec<Notice>>,
}

impl AdvisorySession {
    /// A session that holds nothing.
    pub(super) fn new(locks: &Arc<AdvisoryLocks>, number: i32) -> Self {
        Self {
            locks: Arc::clone(locks),
            number,
            holds: AtomicBool::new(false),
            savepoints: AtomicUsize::new(0),
            warnings: Mutex::default(),
        }
    }

    /// Takes the lock if nobody is in the way.
    fn attempt(&self, key: Key, mode: Mode, span: Span) -> Result<bool, ClientMessage> {
        let mut table = self.locks.table();
        let taken = table.attempt(self.number, key, mode, span, self.savepoints.load(Ordering::Relaxed))?;
        // While the table is held, so that who gives up all locks sees this one.
        self.holds.fetch_or(taken, Ordering::Relaxed);
        Ok(taken)
    }

    /// Waits for the lock.
    async fn take(&self, key: Key, mode: Mode, span: Span, longest: Option<Duration>) -> Result<(), ClientMessage> {
        let wait = self.wait(key, mode, span);
        match longest {
            Some(longest) => tokio::time::timeout(longest, wait)
                .await
                .unwrap_or_else(|_| Err(ClientMessage::new(SqlState::LOCK_NOT_AVAILABLE, "canceling statement due to lock timeout"))),
            None => wait.await,
        }
    }

    async fn wait(&self, key: Key, mode: Mode, span: Span) -> Result<(), ClientMessage> {
        // Dropped with the statement that waits, whatever ends it.
        let _leaving = Leaving(self);
        loop {
            let mut released = std::pin::pin!(self.locks.released.notified());
            released.as_mut().enable();
            if self.attempt(key, mode, span)? {
                return Ok(());
            }
            self.locks.table().queue(self.number, key, mode, self.locks.waiting_max)?;
            released.await;
        }
    }

    /// Gives up one hold of the session's on a lock; false, with a warning, if it has none.
    fn release(&self, key: Key, mode: Mode) -> bool {
        let released = self.locks.table().release(self.number, key, mode);
        if released {
            self.locks.released.notify_waiters();
        } else {
            let text = format!("you don't own a lock of type {}", mode.name());
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(Notice::warning(SqlState::WARNING, text));
        }
        released
    }

    fn release_where(&self, ends: impl Fn(Span, usize) -> bool) {
        if !self.holds.load(Ordering::Relaxed) {
            return;
        }
        let mut table = self.locks.table();
        let released = table.release_where(self.number, ends);
        self.holds.store(table.holds(self.number), Ordering::Relaxed);
        drop(table);
        if released {
            self.locks.released.notify_waiters();
        }
    }

    /// Gives up all that is held for the session.
    pub(super) fn release_all(&self) {
        self.release_where(|span, _| span == Span::Session);
    }

    /// The transaction, or what it did behind so many savepoints, is over.
    pub(super) fn end_transaction(&self, savepoints: usize) {
        self.release_where(|span, behind| span == Span::Transaction && behind >= savepoints);
    }

    /// So many savepoints stand now.
    pub(super) fn stand_behind(&self, savepoints: usize) {
        let before = self.savepoints.swap(savepoints, Ordering::Relaxed);
        if savepoints < before && self.holds.load(Ordering::Relaxed) {
            self.locks.table().bring_before(self.number, savepoints);
        }
    }

    /// Warnings since the last call.
    pub(super) fn warnings(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.warnings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for AdvisorySession {
    fn drop(&mut self) {
        self.release_where(|_, _| true);
    }
}

/// Takes a session from those who wait.
struct Leaving<'a>(&'a AdvisorySession);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.locks.table().leave(self.0.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (AdvisorySession, AdvisorySession) {
        let locks = Arc::new(AdvisoryLocks::new(8));
        (AdvisorySession::new(&locks, 1), AdvisorySession::new(&locks, 2))
    }

    const KEY: Key = Key::Whole(7);

    #[test]
    fn a_lock_excludes_others_until_each_hold_is_given_up() {
        let (one, other) = two();
        assert_eq!(one.attempt(KEY, Mode::Exclusive, Span::Session), Ok(true));
        assert_eq!(one.attempt(KEY, Mode::Exclusive, Span::Session), Ok(true));
        assert!(one.release(KEY, Mode::Exclusive));
        assert_eq!(other.attempt(KEY, Mode::Shared, Span::Session), Ok(false));
        assert_eq!(other.attempt(Key::Halves(0, 7), Mode::Exclusive, Span::Session), Ok(true));
        assert!(one.release(KEY, Mode::Exclusive));
        assert_eq!(other.attempt(KEY, Mode::Shared, Span::Session), Ok(true));
    }

    #[test]
    fn shared_locks_stand_beside_each_other() {
        let (one, other) = two();
        assert_eq!(one.attempt(KEY, Mode::Shared, Span::Session), Ok(true));
        assert_eq!(other.attempt(KEY, Mode::Shared, Span::Session), Ok(true));
        assert_eq!(one.attempt(KEY, Mode::Exclusive, Span::Session), Ok(false));
    }

    #[test]
    fn what_is_not_held_is_not_given_up() {
        let (one, _) = two();
        assert_eq!(one.attempt(KEY, Mode::Shared, Span::Session), Ok(true));
        assert!(!one.release(KEY, Mode::Exclusive));
        assert_eq!(one.warnings().len(), 1);
        assert_eq!(one.attempt(KEY, Mode::Exclusive, Span::Transaction), Ok(true));
        assert!(!one.release(KEY, Mode::Exclusive));
    }

    #[test]
    fn a_transaction_ends_its_locks_and_a_savepoint_those_behind_it() {
        let (one, other) = two();
        assert_eq!(one.attempt(Key::Whole(1), Mode::Exclusive, Span::Transaction), Ok(true));
        one.stand_behind(1);
        assert_eq!(one.attempt(Key::Whole(2), Mode::Exclusive, Span::Transaction), Ok(true));
        one.end_transaction(1);
        assert_eq!(other.attempt(Key::Whole(2), Mode::Exclusive, Span::Session), Ok(true));
        assert_eq!(other.attempt(Key::Whole(1), Mode::Exclusive, Span::Session), Ok(false));
        one.end_transaction(0);
        assert_eq!(other.attempt(Key::Whole(1), Mode::Exclusive, Span::Session), Ok(true));
    }

    #[test]
    fn a_released_savepoint_keeps_what_was_taken_behind_it() {
        let (one, other) = two();
        one.stand_behind(1);
        assert_eq!(one.attempt(KEY, Mode::Exclusive, Span::Transaction), Ok(true));
        one.stand_behind(0);
        one.stand_behind(1);
        one.end_transaction(1);
        assert_eq!(other.attempt(KEY, Mode::Exclusive, Span::Session), Ok(false));
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_the_holder_has_gone() {
        let (one, other) = two();
        one.take(KEY, Mode::Exclusive, Span::Session, None).await.unwrap();
        let mut waits = Box::pin(other.take(KEY, Mode::Exclusive, Span::Session, None));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        drop(one);
        waits.await.unwrap();
    }

    #[tokio::test]
    async fn the_one_that_would_close_a_circle_is_refused() {
        let (one, other) = two();
        one.take(Key::Whole(1), Mode::Exclusive, Span::Session, None).await.unwrap();
        other.take(Key::Whole(2), Mode::Exclusive, Span::Session, None).await.unwrap();
        let mut waits = Box::pin(one.take(Key::Whole(2), Mode::Exclusive, Span::Session, None));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        let refused = other.take(Key::Whole(1), Mode::Exclusive, Span::Session, None).await.unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::DEADLOCK_DETECTED);
        drop(waits);
        assert!(futures::poll!(Box::pin(other.take(Key::Whole(1), Mode::Exclusive, Span::Session, None))).is_pending());
    }

    #[tokio::test]
    async fn a_wait_ends_with_its_time() {
        let (one, other) = two();
        one.take(KEY, Mode::Exclusive, Span::Session, None).await.unwrap();
        let refused = other.take(KEY, Mode::Exclusive, Span::Session, Some(Duration::from_millis(5))).await.unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::LOCK_NOT_AVAILABLE);
    }

    #[tokio::test]
    async fn no_more_wait_than_there_is_room_for() {
        let locks = Arc::new(AdvisoryLocks::new(2));
        let [holder, first, second] = [1, 2, 3].map(|number| AdvisorySession::new(&locks, number));
        holder.take(KEY, Mode::Exclusive, Span::Session, None).await.unwrap();
        let mut waits = Box::pin(first.take(KEY, Mode::Exclusive, Span::Session, None));
        assert!(futures::poll!(waits.as_mut()).is_pending());
        let refused = second.take(KEY, Mode::Exclusive, Span::Session, None).await.unwrap_err();
        assert_eq!(refused.sqlstate, SqlState::LOCK_NOT_AVAILABLE);
    }
}
