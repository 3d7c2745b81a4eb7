//! Whether what a query was allowed still stands when its client comes back for more of its rows.
//!
//! INVARIANT: a FETCH, or the Execute of a suspended portal, hands out no row that the policies, contracts, roles or erasure list of its
//! moment would hide or mask: rows that were read before cannot be told apart any more, so such a query ends with an error. What makes no
//! difference to the query does not disturb it, and a statement that runs without a pause keeps its view to its end.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::policy::{AccessRequest, Decision, Outcome};

use super::session_request::Whoever;
use super::{World, Worlds};

/// What a query was allowed, and by whom that is decided now.
pub(super) struct Standing {
    worlds: Arc<Worlds>,
    whoever: Whoever,
    asked: Vec<(AccessRequest, Arc<Decision>)>,
    /// The world and login under which it was last seen to stand.
    seen: Mutex<(Arc<World>, Option<Arc<Principal>>)>,
    fallen: OnceLock<ClientMessage>,
}

impl Standing {
    /// Decided just now, in that world.
    pub(super) fn new(worlds: Arc<Worlds>, whoever: Whoever, world: Arc<World>, asked: Vec<(AccessRequest, Arc<Decision>)>) -> Self {
        let principal = asked.first().map(|(request, _)| Arc::clone(&request.principal));
        Self { worlds, whoever, asked, seen: Mutex::new((world, principal)), fallen: OnceLock::new() }
    }

    /// Looks whether it still stands. Once fallen, it stays so.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) fn check(&self) -> Result<(), ClientMessage> {
        self.fallen()?;
        if self.asked.is_empty() {
            return Ok(());
        }
        let world = self.worlds.current();
        let Some(principal) = (self.whoever)() else { return self.fall() };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let unchanged = Arc::ptr_eq(&seen.0, &world) && seen.1.as_ref().is_some_and(|known| Arc::ptr_eq(known, &principal));
        if unchanged {
            return Ok(());
        }
        for (request, decision) in &self.asked {
            let request = AccessRequest { principal: Arc::clone(&principal), ..request.clone() };
            let stands = match (&decision.outcome, &world.policy.decide(&request).outcome) {
                (Outcome::Allow(then), Outcome::Allow(now)) => now.have_effect_of(then),
                _ => false,
            };
            if !stands {
                return self.fall();
            }
        }
        *seen = (world, Some(principal));
        Ok(())
    }

    /// Whether it was seen not to stand any more.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) fn fallen(&self) -> Result<(), ClientMessage> {
        self.fallen.get().map_or(Ok(()), |message| Err(message.clone()))
    }

    fn fall(&self) -> Result<(), ClientMessage> {
        let message = ClientMessage::new(SqlState::SERIALIZATION_FAILURE, "what this query may read has changed since it began")
            .with_hint("Run the query again.");
        Err(self.fallen.get_or_init(|| message).clone())
    }
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standing").field("products", &self.asked.len()).finish_non_exhaustive()
    }
}
