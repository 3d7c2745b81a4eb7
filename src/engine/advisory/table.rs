//! Who holds which lock, and who waits for one.

use std::collections::{HashMap, HashSet};

use crate::error::{ClientMessage, SqlState};

use super::Span;

/// Locks that one session may hold at once.
const HELD_MAX: usize = 1_000;

/// What a lock is known by: one large number, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Whole(i64),
    Halves(i32, i32),
}

/// Whether others may hold the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

impl Mode {
    /// PostgreSQL's name for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Shared => "ShareLock",
            Self::Exclusive => "ExclusiveLock",
        }
    }
}

/// One hold of a session on a lock; of the same lock it may have several.
#[derive(Debug, Clone, Copy)]
struct Hold {
    session: i32,
    mode: Mode,
    span: Span,
    /// Savepoints that stood when it was taken.
    behind: usize,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    locks: HashMap<Key, Vec<Hold>>,
    /// The lock of each hold, by session.
    held: HashMap<i32, Vec<Key>>,
    waiting: HashMap<i32, (Key, Mode)>,
}

impl Table {
    /// Takes a lock unless another session's hold is in the way.
    pub(super) fn attempt(&mut self, session: i32, key: Key, mode: Mode, span: Span, behind: usize) -> Result<bool, ClientMessage> {
        if self.blockers(session, key, mode).next().is_some() {
            return Ok(false);
        }
        let held = self.held.entry(session).or_default();
        if held.len() >= HELD_MAX {
            let hint = format!("A session holds at most {HELD_MAX} advisory locks here.");
            return Err(ClientMessage::new(SqlState::OUT_OF_MEMORY, "out of shared memory").with_hint(hint));
        }
        held.push(key);
        self.locks.entry(key).or_default().push(Hold { session, mode, span, behind });
        Ok(true)
    }

    /// The other sessions whose holds are in the way.
    fn blockers(&self, session: i32, key: Key, mode: Mode) -> impl Iterator<Item = i32> {
        let holds = self.locks.get(&key).into_iter().flatten();
        holds
            .filter(move |hold| hold.session != session && (mode == Mode::Exclusive || hold.mode == Mode::Exclusive))
            .map(|hold| hold.session)
    }

    /// A session waits for a lock, unless it would wait for itself in the end.
    pub(super) fn queue(&mut self, session: i32, key: Key, mode: Mode, waiting_max: usize) -> Result<(), ClientMessage> {
        if self.closes_circle(session, key, mode) {
            return Err(ClientMessage::new(SqlState::DEADLOCK_DETECTED, "deadlock detected"));
        }
        if !self.waiting.contains_key(&session) && self.waiting.len() >= waiting_max {
            return Err(ClientMessage::new(SqlState::LOCK_NOT_AVAILABLE, "too many sessions wait for advisory locks"));
        }
        self.waiting.insert(session, (key, mode));
        Ok(())
    }

    fn closes_circle(&self, session: i32, key: Key, mode: Mode) -> bool {
        let (mut open, mut seen) = (self.blockers(session, key, mode).collect::<Vec<_>>(), HashSet::new());
        while let Some(blocker) = open.pop() {
            if blocker == session {
                return true;
            }
            if seen.insert(blocker)
                && let Some((key, mode)) = self.waiting.get(&blocker)
            {
                open.extend(self.blockers(blocker, *key, *mode));
            }
        }
        false
    }

    /// A session waits no more.
    pub(super) fn leave(&mut self, session: i32) {
        self.waiting.remove(&session);
    }

    /// Gives up one hold for the session; whether there was one.
    pub(super) fn release(&mut self, session: i32, key: Key, mode: Mode) -> bool {
        let released = self.remove(key, |hold| hold.session == session && hold.mode == mode && hold.span == Span::Session);
        if released
            && let Some(held) = self.held.get_mut(&session)
            && let Some(at) = held.iter().position(|known| *known == key)
        {
            held.swap_remove(at);
        }
        released
    }

    /// Removes one such hold on a lock, if there is one.
    fn remove(&mut self, key: Key, found: impl Fn(&Hold) -> bool) -> bool {
        let Some(holds) = self.locks.get_mut(&key) else { return false };
        let Some(at) = holds.iter().position(found) else { return false };
        holds.swap_remove(at);
        if holds.is_empty() {
            self.locks.remove(&key);
        }
        true
    }

    /// Whether the session holds a lock.
    pub(super) fn holds(&self, session: i32) -> bool {
        self.held.contains_key(&session)
    }

    /// Gives up the holds of a session that end; whether there was one.
    pub(super) fn release_where(&mut self, session: i32, ends: impl Fn(Span, usize) -> bool) -> bool {
        let mut held = self.held.remove(&session).unwrap_or_default();
        let before = held.len();
        held.retain(|key| !self.remove(*key, |hold| hold.session == session && ends(hold.span, hold.behind)));
        let released = held.len() < before;
        if !held.is_empty() {
            self.held.insert(session, held);
        }
        released
    }

    /// What was taken behind savepoints that are gone counts as taken behind those that are left.
    pub(super) fn bring_before(&mut self, session: i32, savepoints: usize) {
        for key in self.held.get(&session).into_iter().flatten() {
            for hold in self.locks.get_mut(key).into_iter().flatten().filter(|hold| hold.session == session) {
                hold.behind = hold.behind.min(savepoints);
            }
        }
    }
}
