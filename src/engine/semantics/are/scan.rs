//! All places where a match of a part may end, forwards, or begin, backwards.

use std::cell::Cell;
use std::ops::ControlFlow;

use regex_automata::nfa::thompson::{Compiler, NFA, State, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::syntax;

use crate::error::SqlState;

use super::super::function::{Result, fault};
use super::too_complex;

/// Steps that the patterns of one batch of rows may take.
const STEPS_MAX: u64 = 1 << 28;

/// How many steps were taken.
#[derive(Debug, Default)]
pub(super) struct Steps(Cell<u64>);

impl Steps {
    /// But a few are taken.
    #[cfg(test)]
    pub(super) fn leaving(few: u64) -> Self {
        Self(Cell::new(STEPS_MAX - few))
    }

    fn take(&self, steps: usize) -> Result<()> {
        self.0.set(self.0.get().saturating_add(u64::try_from(steps).unwrap_or(u64::MAX)));
        if self.0.get() <= STEPS_MAX {
            return Ok(());
        }
        Err(fault(SqlState::PROGRAM_LIMIT_EXCEEDED, "the regular expression takes too many steps"))
    }
}

/// A part without its groups.
pub(super) struct Automaton {
    nfa: NFA,
    backwards: bool,
}

/// States that a walk is in.
struct States {
    found: Vec<StateID>,
    /// Whether a state was come by, of which some only lead on to others.
    seen: Vec<bool>,
    passed: Vec<StateID>,
    matched: bool,
}

impl States {
    fn of(nfa: &NFA) -> Self {
        Self { found: Vec::new(), seen: vec![false; nfa.states().len()], passed: Vec::new(), matched: false }
    }

    /// Whether it is come by for the first time.
    fn pass(&mut self, state: StateID) -> bool {
        match self.seen.get_mut(state.as_usize()) {
            Some(seen) if !*seen => {
                *seen = true;
                self.passed.push(state);
                true
            }
            _ => false,
        }
    }

    fn clear(&mut self) {
        for state in self.passed.drain(..) {
            if let Some(seen) = self.seen.get_mut(state.as_usize()) {
                *seen = false;
            }
        }
        self.found.clear();
        self.matched = false;
    }
}

impl Automaton {
    pub(super) fn compile(written: &str, either_case: bool, backwards: bool, bytes_max: usize) -> Result<Self> {
        let config = NFA::config().reverse(backwards).which_captures(WhichCaptures::None).nfa_size_limit(Some(bytes_max));
        let mut compiler = Compiler::new();
        compiler.configure(config).syntax(syntax::Config::new().case_insensitive(either_case));
        Ok(Self { nfa: compiler.build(written).map_err(|_| too_complex())?, backwards })
    }

    pub(super) fn bytes(&self) -> usize {
        self.nfa.memory_usage()
    }

    /// The places at which a match that begins at `from` may end, the nearest first, no farther than `limit`.
    pub(super) fn places(
        &self,
        text: &str,
        from: usize,
        limit: usize,
        steps: &Steps,
        mut met: impl FnMut(usize) -> ControlFlow<()>,
    ) -> Result<()> {
        let (mut now, mut next) = (States::of(&self.nfa), States::of(&self.nfa));
        let mut at = from;
        self.enter(self.nfa.start_anchored(), text, at, &mut now);
        loop {
            if now.matched && met(at).is_break() || at == limit || now.found.is_empty() {
                return Ok(());
            }
            let read = if self.backwards { at.checked_sub(1) } else { Some(at) };
            let Some(byte) = read.and_then(|read| text.as_bytes().get(read).copied()) else { return Ok(()) };
            at = if self.backwards { at - 1 } else { at + 1 };
            steps.take(now.passed.len())?;
            for state in &now.found {
                if let Some(target) = self.after(*state, byte) {
                    self.enter(target, text, at, &mut next);
                }
            }
            std::mem::swap(&mut now, &mut next);
            next.clear();
        }
    }

    /// Whether a match may begin and end at just these places.
    pub(super) fn spans(&self, text: &str, from: usize, to: usize, steps: &Steps) -> Result<bool> {
        let mut found = false;
        self.places(text, from, to, steps, |at| {
            found = at == to;
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    fn after(&self, state: StateID, byte: u8) -> Option<StateID> {
        match self.nfa.state(state) {
            State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
            State::Sparse(sparse) => sparse.matches_byte(byte),
            State::Dense(dense) => dense.matches_byte(byte),
            _ => None,
        }
    }

    /// Enters a state, and those that it leads to without a letter.
    fn enter(&self, first: StateID, text: &str, at: usize, states: &mut States) {
        let mut open = vec![first];
        while let Some(state) = open.pop() {
            if !states.pass(state) {
                continue;
            }
            match self.nfa.state(state) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => states.found.push(state),
                State::Look { look, next } => {
                    // What is walked backwards is compiled so that the ends of a text have changed places.
                    let look = if self.backwards { look.reversed() } else { *look };
                    if self.nfa.look_matcher().matches(look, text.as_bytes(), at) {
                        open.push(*next);
                    }
                }
                State::Union { alternates } => open.extend(alternates.iter().copied()),
                State::BinaryUnion { alt1, alt2 } => open.extend([*alt1, *alt2]),
                State::Capture { next, .. } => open.push(*next),
                State::Fail => {}
                State::Match { .. } => states.matched = true,
            }
        }
    }
}
