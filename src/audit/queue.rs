//! The queue between those who record and the one writer: bounded, and handed over as whole batches.
//!
//! Openings and notes wait for room, or are refused or counted; closings always find room, since there is at most one for each
//! statement that is open. While the log is unwritable nobody who waits for durability is let in.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::event::{Contracts, Event, RecordsLost};
use super::gathering::Gathering;
use super::record::Draft;
use super::{Clock, Error, Head};

/// Who is told when an entry is durable.
pub(super) type Waiter = oneshot::Sender<Result<(), Error>>;

/// Records that belong together, and what to do when they are durable.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) draft: Draft,
    pub(super) waiter: Option<Waiter>,
    /// Room in the queue, given back when the entry is written.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    oldest: Option<Instant>,
    waiters: usize,
    /// When the first of those who wait came.
    first_waiter: Option<Instant>,
    gathering: Gathering,
    lost: u64,
    unwritable: bool,
    /// There is no writer any more, and the log was not closed.
    failed: bool,
    closing: Option<Waiter>,
    closed: bool,
    sleep: Sleep,
}

/// What the writer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sleep {
    /// It does not: it is at work, and looks for more when that is done.
    #[default]
    Awake,
    /// It looks again in a moment, for records that nobody awaits; somebody who waits wakes it.
    Light,
    /// Whatever comes wakes it.
    Deep,
    /// Somebody waits; it goes on when so many do.
    Gathering(usize),
}

impl State {
    /// Whether the writer has to be woken for what came; it is woken once.
    fn wakes(&mut self, awaited: bool) -> bool {
        let wakes = match self.sleep {
            Sleep::Awake => false,
            Sleep::Light => awaited,
            Sleep::Deep => true,
            Sleep::Gathering(enough) => self.waiters >= enough,
        };
        if wakes {
            self.sleep = Sleep::Awake;
        }
        wakes
    }
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: Arc<Semaphore>,
    linger: Duration,
    /// The last durable record.
    head: Mutex<Head>,
    /// What each further segment begins with.
    contracts: Mutex<Option<Contracts>>,
    /// The log's clock, for records that nobody gives a time to.
    pub(super) clock: Clock,
}

/// What the writer does next.
#[derive(Debug)]
pub(super) enum Work {
    /// Write these.
    Write(Vec<Entry>),
    /// Time to try a new segment.
    Recover,
    /// Write what is left, tell the waiter, and end.
    Close(Vec<Entry>, Waiter),
}

impl Queue {
    pub(super) fn new(entries_max: usize, linger: Duration, clock: Clock, head: Head) -> Self {
        Self {
            state: Mutex::default(),
            head: Mutex::new(head),
            contracts: Mutex::default(),
            wake: Condvar::new(),
            room: Arc::new(Semaphore::new(entries_max.clamp(1, Semaphore::MAX_PERMITS))),
            linger,
            clock,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last durable record.
    pub(super) fn head(&self) -> Head {
        self.head.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The writer has made records durable.
    pub(super) fn advance(&self, head: Head) {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) = head;
    }

    /// A sync for which so many waited has taken that long.
    pub(super) fn synced(&self, waiters: usize, took: Duration) {
        self.state().gathering.synced(waiters, took);
    }

    /// What each further segment begins with.
    pub(super) fn contracts(&self) -> Option<Contracts> {
        self.contracts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Each further segment begins with these.
    pub(super) fn keep_contracts(&self, contracts: Contracts) {
        *self.contracts.lock().unwrap_or_else(PoisonError::into_inner) = Some(contracts);
    }

    /// Room for one entry.
    pub(super) async fn room(&self) -> Result<OwnedSemaphorePermit, Error> {
        if !self.accepting() {
            return Err(if self.state().closed { Error::Closed } else { Error::Unwritable });
        }
        Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::Closed)
    }

    /// Room for one entry, if there is any now.
    pub(super) fn try_room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// Queues records whose durability somebody awaits.
    pub(super) fn push_awaited(&self, draft: Draft, room: OwnedSemaphorePermit) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let (waiter, durable) = oneshot::channel();
        let mut state = self.state();
        if state.closed || state.closing.is_some() {
            return Err(Error::Closed);
        }
        if state.unwritable {
            return Err(Error::Unwritable);
        }
        state.waiters += 1;
        let first = *state.first_waiter.get_or_insert_with(Instant::now);
        state.oldest.get_or_insert(first);
        state.entries.push(Entry { draft, waiter: Some(waiter), _room: Some(room) });
        let wakes = state.wakes(true);
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        Ok(durable)
    }

    /// Queues records that nobody awaits. They are lost only if the log has been closed.
    pub(super) fn push(&self, draft: Draft, room: Option<OwnedSemaphorePermit>) {
        let mut state = self.state();
        if state.closed || state.failed {
            drop(state);
            tracing::error!("a record came after the audit log was closed and is lost");
            return;
        }
        state.oldest.get_or_insert_with(Instant::now);
        state.entries.push(Entry { draft, waiter: None, _room: room });
        let wakes = state.wakes(false);
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Counts a note that found no room.
    pub(super) fn lose(&self) {
        self.state().lost += 1;
    }

    /// Whether statements may be opened.
    pub(super) fn accepting(&self) -> bool {
        let state = self.state();
        !state.unwritable && !state.closed && state.closing.is_none()
    }

    /// Asks the writer to end; `None` if it has been asked before.
    pub(super) fn close(&self) -> Option<oneshot::Receiver<Result<(), Error>>> {
        let mut state = self.state();
        if state.closed || state.closing.is_some() {
            return None;
        }
        let (waiter, done) = oneshot::channel();
        if state.failed {
            state.closed = true;
            let _nobody_waits = waiter.send(Err(Error::Unwritable));
            return Some(done);
        }
        state.closing = Some(waiter);
        drop(state);
        self.wake.notify_one();
        Some(done)
    }

    /// From now on only unawaited records are let in; those who wait are refused.
    pub(super) fn refuse(&self) {
        let mut state = self.state();
        state.unwritable = true;
        state.waiters = 0;
        state.first_waiter = None;
        let (refused, kept) = std::mem::take(&mut state.entries).into_iter().partition(|entry| entry.waiter.is_some());
        state.entries = kept;
        drop(state);
        refuse_all(refused);
    }

    /// Puts records that could not be written back in front.
    pub(super) fn put_back(&self, mut entries: Vec<Entry>) {
        let mut state = self.state();
        entries.append(&mut state.entries);
        state.entries = entries;
    }

    /// Lets everyone in again.
    pub(super) fn accept(&self) {
        let mut state = self.state();
        state.unwritable = false;
        state.oldest = (!state.entries.is_empty()).then(Instant::now);
    }

    /// Lets nobody in any more; what is left is counted as lost.
    pub(super) fn shut(&self) {
        let mut state = self.state();
        state.closed = true;
        let left = std::mem::take(&mut state.entries);
        drop(state);
        self.room.close();
        if !left.is_empty() {
            tracing::error!(records = left.len(), "audit records could not be written before the end");
        }
        refuse_all(left);
    }

    /// The writer is gone: whoever waits for it is refused, and so is whoever comes.
    pub(super) fn fail(&self) {
        let mut state = self.state();
        (state.failed, state.unwritable) = (true, true);
        let left = std::mem::take(&mut state.entries);
        let closing = state.closing.take();
        state.closed |= closing.is_some();
        drop(state);
        refuse_all(left);
        if let Some(waiter) = closing {
            let _gone = waiter.send(Err(Error::Unwritable));
        }
    }

    /// Why somebody waits in vain.
    pub(super) fn gone(&self) -> Error {
        if self.state().closed { Error::Closed } else { Error::Unwritable }
    }

    /// The writer's next work. Unawaited records wait for company, but not longer than the log lingers.
    pub(super) fn next(&self, retry: Duration) -> Work {
        let mut state = self.state();
        let mut rested = false;
        loop {
            if let Some(waiter) = state.closing.take() {
                return Work::Close(self.take(&mut state), waiter);
            }
            if state.unwritable {
                let (next, timeout) = self.wake.wait_timeout(state, retry).unwrap_or_else(PoisonError::into_inner);
                state = next;
                if timeout.timed_out() {
                    return Work::Recover;
                }
                continue;
            }
            if state.waiters > 0 {
                let (waiters, first) = (state.waiters, state.first_waiter.map_or(Duration::ZERO, |first| first.elapsed()));
                let Some((left, enough)) = state.gathering.left(waiters, first) else {
                    return Work::Write(self.take(&mut state));
                };
                state.sleep = Sleep::Gathering(enough);
                state = self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
                state.sleep = Sleep::Awake;
                continue;
            }
            let left = state.oldest.map(|oldest| self.linger.saturating_sub(oldest.elapsed()));
            if left == Some(Duration::ZERO) {
                return Work::Write(self.take(&mut state));
            }
            state = match left.or_else(|| (!rested).then_some(self.linger)) {
                // Where statements come and go, their closings wake nobody.
                Some(left) => {
                    rested = true;
                    state.sleep = Sleep::Light;
                    self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    state.sleep = Sleep::Deep;
                    self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
            };
            state.sleep = Sleep::Awake;
        }
    }

    /// Everything that is queued.
    pub(super) fn take_all(&self) -> Vec<Entry> {
        self.take(&mut self.state())
    }

    fn take(&self, state: &mut State) -> Vec<Entry> {
        let waiters = std::mem::take(&mut state.waiters);
        state.gathering.leaves(waiters);
        state.first_waiter = None;
        state.oldest = None;
        let mut entries = std::mem::take(&mut state.entries);
        let lost = std::mem::take(&mut state.lost);
        if lost > 0 {
            match Draft::of((self.clock)(), &Event::RecordsLost(RecordsLost { count: lost })) {
                Ok(draft) => entries.push(Entry { draft, waiter: None, _room: None }),
                Err(_) => state.lost = lost,
            }
        }
        entries
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Tells those who wait that their records did not become durable.
pub(super) fn refuse_all(entries: Vec<Entry>) {
    for waiter in entries.into_iter().filter_map(|entry| entry.waiter) {
        // Whoever waited may have gone; then nothing was delivered either.
        let _gone = waiter.send(Err(Error::Unwritable));
    }
}
