//! Whether what a query was allowed still stands when its client comes back for more of its rows.
//!
//! INVARIANT: a FETCH, or the Execute of a suspended portal, hands out no row that the policies, contracts, roles or erasure list of its
//! moment would hide or mask: rows that were read before cannot be told apart any more, so such a query ends with an error. What makes no
//! difference to the query does not disturb it, and a statement that runs without a pause keeps its view to its end.
//! Bounds that go with the clock, such as a retention's, go on at every moment: a query may lag behind them for as long as a statement may
//! run without a pause, and no longer.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::enforcement;
use crate::error::{ClientMessage, SqlState};
use crate::identity::Principal;
use crate::policy::{AccessRequest, Decision, Outcome, RequestContext};

use super::engine::Shared;
use super::session_request::Whoever;
use super::{Clock, World, Worlds};

/// What a query was allowed, and by whom that is decided now.
pub(super) struct Standing {
    worlds: Arc<Worlds>,
    whoever: Whoever,
    clock: Clock,
    /// The longest that a statement may run; `None`: as long as it takes.
    lag_max: Option<Duration>,
    asked: Vec<(AccessRequest, Arc<Decision>)>,
    seen: Mutex<Seen>,
    fallen: OnceLock<ClientMessage>,
}

/// Where a query stood when it was last looked at.
#[derive(Clone)]
struct Seen {
    world: Arc<World>,
    principal: Option<Arc<Principal>>,
    /// `None`: not yet.
    now: Option<DateTime<Utc>>,
}

impl Seen {
    /// Whether the world and the login are the same ones.
    fn is_of(&self, world: &Arc<World>, principal: &Arc<Principal>) -> bool {
        Arc::ptr_eq(&self.world, world) && self.principal.as_ref().is_some_and(|known| Arc::ptr_eq(known, principal))
    }
}

impl Standing {
    /// Decided just now, in that world, which the engine may leave.
    pub(super) fn new(shared: &Shared, whoever: Whoever, world: Arc<World>, asked: Vec<(AccessRequest, Arc<Decision>)>) -> Self {
        let principal = asked.first().map(|(request, _)| Arc::clone(&request.principal));
        let (worlds, clock, lag_max) = (Arc::clone(&shared.worlds), Arc::clone(&shared.options.clock), shared.options.statement_timeout);
        let seen = Mutex::new(Seen { world, principal, now: None });
        Self { worlds, whoever, clock, lag_max, asked, seen, fallen: OnceLock::new() }
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
        let (world, now) = (self.worlds.current(), (self.clock)());
        let Some(principal) = (self.whoever)() else { return self.fall(changed()) };
        // The policies are asked without the lock: they may take their time.
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_same = seen.is_of(&world, &principal);
        if is_same && seen.now == Some(now) {
            return Ok(());
        }
        for (request, decision) in &self.asked {
            let then = AccessRequest { principal: Arc::clone(&principal), ..request.clone() };
            // What has changed but the time is told from what time does by asking about the moment that the query is of.
            if !is_same && !has_effect(&world.policy.decide(&then), decision) {
                return self.fall(changed());
            }
            let context = RequestContext { now, ..then.context };
            let elapsed = now.signed_duration_since(request.context.now);
            self.stands_after(elapsed, &world.policy.decide(&AccessRequest { context, ..then }), decision)?;
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { world, principal: Some(principal), now: Some(now) };
        Ok(())
    }

    /// Whether it stands by what is decided now, where nothing but time may have made a difference.
    fn stands_after(&self, elapsed: TimeDelta, now: &Decision, decision: &Decision) -> Result<(), ClientMessage> {
        let Outcome::Allow(obligations) = &now.outcome else { return self.fall(denied(now)) };
        let Outcome::Allow(allowed) = &decision.outcome else { return self.fall(changed()) };
        let lags = self.lag_max.and_then(|lag| TimeDelta::from_std(lag).ok()).is_none_or(|lag| elapsed <= lag);
        let stands = obligations.have_effect_of(allowed) || (lags && obligations.have_drifted_from(allowed, elapsed));
        if stands { Ok(()) } else { self.fall(changed()) }
    }

    /// Whether it was seen not to stand any more.
    ///
    /// # Errors
    /// What the client is told.
    pub(super) fn fallen(&self) -> Result<(), ClientMessage> {
        self.fallen.get().map_or(Ok(()), |message| Err(message.clone()))
    }

    fn fall(&self, message: ClientMessage) -> Result<(), ClientMessage> {
        Err(self.fallen.get_or_init(|| message).clone())
    }
}

/// Whether a decision lets through the same rows with the same values as the one that a query was read by.
fn has_effect(decision: &Decision, of: &Decision) -> bool {
    match (&decision.outcome, &of.outcome) {
        (Outcome::Allow(now), Outcome::Allow(then)) => now.have_effect_of(then),
        _ => false,
    }
}

/// Whoever runs the query again may see what is left to see.
fn changed() -> ClientMessage {
    ClientMessage::new(SqlState::SERIALIZATION_FAILURE, "what this query may read has changed since it began")
        .with_hint("Run the query again.")
}

/// The time of the query is over: what a new one would be told.
fn denied(decision: &Decision) -> ClientMessage {
    let Outcome::Deny(reasons) = &decision.outcome else { return changed() };
    let (product, reasons) = (decision.product.clone(), reasons.clone());
    ClientMessage::from(&enforcement::Error::Denied { product, reasons, decision: decision.id })
}

impl std::fmt::Debug for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Standing").field("products", &self.asked.len()).finish_non_exhaustive()
    }
}
