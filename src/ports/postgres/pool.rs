//! Connections to one server under one login: a bounded number, used again while they are idle, closed when they are idle for long.
//!
//! INVARIANT: a connection is handed out again only if whoever had it said that nothing is under way on it. A dropped one is closed.
//! A connection that broke while it was idle is not handed out; the server may be back, so a new one is made.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::CancelToken;

use super::breaker::Breaker;
use super::dial::Dial;
use super::link::Link;

/// A refusal that took longer than this was waited for.
const PROMPT: Duration = Duration::from_millis(500);

/// How many connections, and how long anything may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolLimits {
    pub(super) connections: usize,
    /// For a free one.
    pub(super) wait: Duration,
    /// For a new one.
    pub(super) connect: Duration,
    /// Until an idle one is closed.
    pub(super) idle: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum PoolError {
    #[error("no connection became free")]
    Exhausted,
    #[error("the server did not answer in time")]
    Late,
    #[error("the server is left alone for a moment, for it was waited for in vain")]
    LeftAlone,
    #[error("the server was not reached")]
    Unreached(#[source] std::io::Error),
    #[error("the server refused the connection")]
    Refused(#[source] tokio_postgres::Error),
}

/// The connections of one server and login.
pub(super) struct Pool {
    dial: Dial,
    limits: PoolLimits,
    breaker: Arc<Breaker>,
    places: Arc<Semaphore>,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is at the end.
    links: Vec<(Link, Instant)>,
    /// A task looks after them.
    watched: bool,
}

impl Pool {
    /// No connection yet.
    pub(super) fn new(dial: Dial, limits: PoolLimits, breaker: Arc<Breaker>) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(limits.connections.max(1)));
        Arc::new(Self { dial, limits, breaker, places, idle: Mutex::default() })
    }

    /// Asks the server to end what runs on a connection. Whether that arrives or not: nobody waits for it.
    pub(super) async fn cancel(&self, token: &CancelToken) {
        tokio::time::timeout(self.limits.connect, self.dial.cancel(token)).await.ok();
    }

    /// Connections that are in use.
    pub(super) fn in_use(&self) -> usize {
        self.limits.connections.max(1).saturating_sub(self.places.available_permits())
    }

    /// A connection, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Pooled, PoolError> {
        let free = tokio::time::timeout(self.limits.wait, Arc::clone(&self.places).acquire_owned()).await;
        let Ok(Ok(place)) = free else { return Err(PoolError::Exhausted) };
        self.take_at(place).await
    }

    /// Places for so many connections, if they are free now and as many stay free for those who need one.
    pub(super) fn reserve(&self, count: usize) -> Option<Vec<Reserved>> {
        if self.places.available_permits() < count.saturating_mul(2) {
            return None;
        }
        (0..count).map(|_| Arc::clone(&self.places).try_acquire_owned().ok().map(Reserved)).collect()
    }

    /// The connection of a place that was reserved.
    pub(super) async fn take_reserved(self: &Arc<Self>, reserved: Reserved) -> Result<Pooled, PoolError> {
        self.take_at(reserved.0).await
    }

    async fn take_at(self: &Arc<Self>, place: OwnedSemaphorePermit) -> Result<Pooled, PoolError> {
        let idle = self.take_idle();
        let fresh = idle.is_none();
        let link = match idle {
            Some(link) => link,
            None => self.connect().await?,
        };
        Ok(Pooled { link, fresh, pool: Arc::clone(self), place })
    }

    fn take_idle(&self) -> Option<Link> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((mut link, since)) = idle.links.pop() {
            if link.driver.is_open() && since.elapsed() < self.limits.idle {
                return Some(link);
            }
        }
        None
    }

    /// Closes what is idle: one of them turned out to be broken, and the others are as old.
    pub(super) fn forget_idle(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).links.clear();
    }

    async fn connect(&self) -> Result<Link, PoolError> {
        if !self.breaker.admits() {
            return Err(PoolError::LeftAlone);
        }
        let start = Instant::now();
        // In a box: a connection attempt is a large future within every statement's.
        let connecting = self.dial.connect().boxed();
        match tokio::time::timeout(self.limits.connect, connecting).await {
            Ok(Ok(link)) => {
                self.breaker.answered();
                Ok(link)
            }
            Ok(Err(error)) => {
                let told = matches!(&error, PoolError::Refused(refused) if refused.code().is_some());
                if told || start.elapsed() < PROMPT {
                    self.breaker.answered();
                } else {
                    self.breaker.waited();
                }
                Err(error)
            }
            Err(_) => {
                self.breaker.waited();
                Err(PoolError::Late)
            }
        }
    }

    fn put_back(self: &Arc<Self>, mut link: Link) {
        if !link.driver.is_open() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.links.push((link, Instant::now()));
        if !idle.watched
            && let Ok(runtime) = Handle::try_current()
        {
            idle.watched = true;
            runtime.spawn(watch(Arc::downgrade(self), self.limits.idle));
        }
    }

    /// Closes what was idle for too long. Whether anything is left.
    fn close_idle(&self) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.links.retain_mut(|(link, since)| link.driver.is_open() && since.elapsed() < self.limits.idle);
        idle.watched = !idle.links.is_empty();
        idle.watched
    }
}

/// Looks after idle connections as long as there are any.
async fn watch(pool: Weak<Pool>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 2 + Duration::from_millis(10)).await;
        if !pool.upgrade().is_some_and(|pool| pool.close_idle()) {
            return;
        }
    }
}

/// The place of a connection that is not made yet.
#[derive(Debug)]
pub(super) struct Reserved(OwnedSemaphorePermit);

/// A connection that is in use. Dropped, it closes.
pub(super) struct Pooled {
    pub(super) link: Link,
    /// Whether it was made for this use.
    pub(super) fresh: bool,
    pool: Arc<Pool>,
    place: OwnedSemaphorePermit,
}

impl Pooled {
    /// Gives it back: no answer is waited for on it.
    pub(super) fn put_back(self) {
        let Self { link, pool, place, .. } = self;
        pool.put_back(link);
        // Only now may the next one look for it.
        drop(place);
    }

    /// Its pool.
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }
}
