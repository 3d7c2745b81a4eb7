//! Who may cancel what: the sessions that run, by process id and secret key.
//!
//! INVARIANT: a request with a wrong key does nothing and tells nothing; keys are compared in constant time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use subtle::ConstantTimeEq;

use super::backend::Interrupt;

#[derive(Debug)]
struct Entry {
    key: Bytes,
    interrupt: Arc<Interrupt>,
}

#[derive(Debug, Default)]
struct Table {
    last: i32,
    sessions: HashMap<i32, Entry>,
}

/// The sessions that can be cancelled.
#[derive(Debug, Default)]
pub(super) struct CancelRegistry {
    table: Mutex<Table>,
}

/// A session's place in the registry; dropping it leaves.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Arc<CancelRegistry>,
    pub(super) process_id: i32,
    pub(super) key: Bytes,
    pub(super) interrupt: Arc<Interrupt>,
}

impl CancelRegistry {
    /// Enters a session with a fresh process id and a key of `key_bytes` random bytes (4 or 32).
    pub(super) fn enter(self: &Arc<Self>, long_key: bool) -> Registration {
        let key =
            if long_key { Bytes::copy_from_slice(&rand::random::<[u8; 32]>()) } else { Bytes::copy_from_slice(&rand::random::<[u8; 4]>()) };
        let interrupt = Arc::new(Interrupt::default());
        let mut table = self.locked();
        let mut process_id = table.last;
        loop {
            process_id = process_id.checked_add(1).unwrap_or(1);
            if !table.sessions.contains_key(&process_id) {
                break;
            }
        }
        table.last = process_id;
        table.sessions.insert(process_id, Entry { key: key.clone(), interrupt: interrupt.clone() });
        Registration { registry: self.clone(), process_id, key, interrupt }
    }

    /// Cancels the statement that the session runs, if the key is its own.
    pub(super) fn cancel(&self, process_id: i32, key: &[u8]) -> bool {
        let found = match self.locked().sessions.get(&process_id) {
            Some(entry) if bool::from(entry.key.ct_eq(key)) => Some(entry.interrupt.clone()),
            _ => None,
        };
        found.is_some_and(|interrupt| {
            interrupt.cancel();
            true
        })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.locked().sessions.remove(&self.process_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::backend::InterruptCause;

    #[test]
    fn only_the_own_key_cancels() {
        let registry = Arc::new(CancelRegistry::default());
        let session = registry.enter(true);
        let signal = session.interrupt.signal();
        assert!(!registry.cancel(session.process_id, &[0; 32]));
        assert!(!registry.cancel(session.process_id, &session.key[..4]));
        assert!(!registry.cancel(session.process_id + 1, &session.key));
        assert!(!signal.is_raised());
        assert!(registry.cancel(session.process_id, &session.key));
        assert!(signal.is_raised());
        assert_eq!(session.interrupt.cause(), Some(InterruptCause::CancelRequest));
    }

    #[test]
    fn a_session_that_ended_cannot_be_cancelled() {
        let registry = Arc::new(CancelRegistry::default());
        let (process_id, key) = {
            let session = registry.enter(false);
            (session.process_id, session.key.clone())
        };
        assert!(!registry.cancel(process_id, &key));
    }

    #[test]
    fn a_cancel_does_not_reach_the_next_statement() {
        let interrupt = Interrupt::default();
        assert!(interrupt.begin().is_none(), "nothing has happened");
        interrupt.cancel();
        assert!(!interrupt.begin().unwrap().is_raised());
        assert_eq!(interrupt.cause(), None);
        interrupt.stopped(InterruptCause::Deadline);
        assert!(interrupt.begin().is_some());
        assert_eq!(interrupt.cause(), None);
    }
}
