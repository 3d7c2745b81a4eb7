//! Whether a server is worth waiting for.
//!
//! A server that refuses connections at once costs nobody anything, and is asked again each time. One that lets a connection wait until
//! its time is over holds up every statement that needs it, and with them the places of all others: it is left alone for a
//! moment, then tried by one statement while the others fail at once.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server is left alone after it was first waited for in vain.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest that it is left alone.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One server's state.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Times that it was waited for in vain, one after the other.
    in_vain: u32,
    /// When it may be tried again.
    until: Option<Instant>,
    /// One statement is trying it.
    tried: bool,
}

impl Breaker {
    /// Whether the server may be waited for. Who is let through while it is in doubt is the only one for a moment.
    pub(super) fn admits(&self) -> bool {
        self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + state.pause());
                state.tried = true;
                true
            }
        }
    }

    /// The server answered, be it with a refusal.
    pub(super) fn answered(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::default();
    }

    /// The server was waited for in vain.
    pub(super) fn waited(&self) {
        self.waited_at(Instant::now());
    }

    fn waited_at(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Who waited along with the first one adds nothing.
        if state.until.is_none() || state.tried {
            state.in_vain = state.in_vain.saturating_add(1);
            state.tried = false;
        }
        state.until = Some(now + state.pause());
    }
}

impl State {
    fn pause(&self) -> Duration {
        let doublings = self.in_vain.saturating_sub(1).min(5);
        PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_answers_is_always_asked() {
        let breaker = Breaker::default();
        assert!(breaker.admits() && breaker.admits());
        breaker.answered();
        assert!(breaker.admits());
    }

    #[test]
    fn a_server_that_lets_wait_is_left_alone_then_tried_by_one() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        breaker.waited_at(start);
        assert!(!breaker.admits_at(start + Duration::from_millis(900)));
        assert!(breaker.admits_at(start + Duration::from_millis(1100)));
        assert!(!breaker.admits_at(start + Duration::from_millis(1200)));
        breaker.answered();
        assert!(breaker.admits_at(start + Duration::from_millis(1300)) && breaker.admits_at(start + Duration::from_millis(1301)));
    }

    #[test]
    fn the_pause_grows_to_its_limit() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 0..20 {
            breaker.waited_at(now);
            now += PAUSE_MAX;
            assert!(breaker.admits_at(now));
        }
        breaker.waited_at(now);
        assert!(!breaker.admits_at(now + Duration::from_secs(29)));
        assert!(breaker.admits_at(now + PAUSE_MAX));
    }

    #[test]
    fn those_who_waited_together_count_once() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..32 {
            breaker.waited_at(start);
        }
        assert!(breaker.admits_at(start + PAUSE));
    }
}
