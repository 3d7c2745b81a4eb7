//! Holds what was found out about row groups, within so many bytes; what was of no use for the longest time goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ports::FileVersion;

use super::group::{Group, Kept};
use super::rule::{Rule, RuleKey};
use super::study::LookUps;

/// What an entry and a row group of it take besides what is in them, about.
const ENTRY_BYTES: usize = 512;
const GROUP_BYTES: usize = 128;

/// Which rows of which files were visible under which rules. One for all statements.
#[derive(Debug)]
pub struct Selections {
    bytes_max: usize,
    state: Mutex<State>,
    /// Row groups that were asked for and known, and those that were not.
    found: AtomicU64,
    missed: AtomicU64,
    look_ups: Mutex<LookUps>,
}

/// How much is remembered, and of how much use it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SelectionsUsed {
    /// Bytes held.
    pub bytes: usize,
    /// Files and rules of which something is known.
    pub entries: usize,
    /// Row groups that were asked for and known.
    pub found: u64,
    /// Row groups that were asked for and not known.
    pub missed: u64,
    /// Row groups that were remembered.
    pub kept: u64,
    /// Entries that had to make room.
    pub dropped: u64,
}

/// A file and a rule.
pub(super) type Key = (FileVersion, Arc<RuleKey>);

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    /// The entries by their last use.
    order: BTreeMap<u64, Key>,
    uses: u64,
    used: SelectionsUsed,
}

#[derive(Debug)]
struct Entry {
    last_use: u64,
    bytes: usize,
    groups: Vec<Option<Arc<Group>>>,
}

impl Selections {
    /// Nothing is known yet. With no bytes, nothing ever is.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), found: AtomicU64::new(0), missed: AtomicU64::new(0), look_ups: Mutex::default() }
    }

    /// How much is held.
    pub fn used(&self) -> SelectionsUsed {
        let state = self.lock();
        let (found, missed) = (self.found.load(Ordering::Relaxed), self.missed.load(Ordering::Relaxed));
        SelectionsUsed { entries: state.entries.len(), found, missed, ..state.used }
    }

    pub(super) fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// For each row group of a file the rows that the rule lets through now, as far as it is known; `None` for those that nobody asks for.
    pub(super) fn find(&self, version: &FileVersion, rule: &Rule, is_asked: impl Fn(usize) -> bool) -> Option<Vec<Option<Kept>>> {
        let asked = |(at, group): (usize, &Option<Arc<Group>>)| is_asked(at).then(|| group.clone());
        let groups: Vec<Option<Option<Arc<Group>>>> = {
            let mut state = self.lock();
            state.touch(&(version.clone(), Arc::clone(&rule.key)))?.iter().enumerate().map(asked).collect()
        };
        let known: Vec<Option<Kept>> = groups.iter().map(|group| group.as_ref()?.as_ref()?.at(&rule.bounds)).collect();
        let found = u64::try_from(known.iter().flatten().count()).unwrap_or(0);
        let all = u64::try_from(groups.iter().flatten().count()).unwrap_or(0);
        self.found.fetch_add(found, Ordering::Relaxed);
        self.missed.fetch_add(all.saturating_sub(found), Ordering::Relaxed);
        Some(known)
    }

    /// Remembers a row group of a file that has so many.
    pub(super) fn keep(&self, version: &FileVersion, rule: &Rule, (at, of): (usize, usize), group: Group) {
        let bytes = group.bytes().saturating_add(GROUP_BYTES);
        let mut state = self.lock();
        let key = (version.clone(), Arc::clone(&rule.key));
        if state.touch(&key).is_none() {
            state.insert(key.clone(), of);
        }
        let Some(entry) = state.entries.get_mut(&key) else { return };
        let Some(slot) = entry.groups.get_mut(at) else { return };
        let before = slot.replace(Arc::new(group)).map_or(0, |before| before.bytes().saturating_add(GROUP_BYTES));
        entry.bytes = entry.bytes.saturating_add(bytes).saturating_sub(before);
        state.used.bytes = state.used.bytes.saturating_add(bytes).saturating_sub(before);
        state.used.kept = state.used.kept.saturating_add(1);
        while state.used.bytes > self.bytes_max && state.drop_oldest() {}
    }

    /// The look-ups that nothing was remembered for.
    pub(super) fn look_ups(&self) -> std::sync::MutexGuard<'_, LookUps> {
        self.look_ups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The row groups of an entry, which is then the last to go.
    fn touch(&mut self, key: &Key) -> Option<&[Option<Arc<Group>>]> {
        let entry = self.entries.get_mut(key)?;
        if entry.last_use != self.uses {
            self.uses = self.uses.saturating_add(1);
            if let Some(key) = self.order.remove(&entry.last_use) {
                self.order.insert(self.uses, key);
            }
            entry.last_use = self.uses;
        }
        Some(&entry.groups)
    }

    fn insert(&mut self, key: Key, groups: usize) {
        self.uses = self.uses.saturating_add(1);
        let bytes = ENTRY_BYTES.saturating_add(groups.saturating_mul(size_of::<Option<Arc<Group>>>()));
        self.used.bytes = self.used.bytes.saturating_add(bytes);
        self.order.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { last_use: self.uses, bytes, groups: vec![None; groups] });
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_first() else { return false };
        if let Some(entry) = self.entries.remove(&key) {
            self.used.bytes = self.used.bytes.saturating_sub(entry.bytes);
            self.used.dropped = self.used.dropped.saturating_add(1);
        }
        true
    }
}
