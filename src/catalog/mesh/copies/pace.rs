//! How fast copies are made: beside statements that run, a little at a time.

use std::time::{Duration, Instant};

/// Work without a pause.
const SLICE: Duration = Duration::from_millis(4);
/// Statements between two looks at the clock.
const STATEMENTS: u32 = 16;
/// Segments that may wait; with more of them, copying has fallen behind.
const WAITING_MAX: usize = 4;

/// Rests after each slice of work, in proportion to it.
pub(super) struct Pace<'a> {
    rest: &'a mut dyn FnMut(Duration) -> bool,
    /// Times the work.
    factor: u32,
    since: Instant,
    statements: u32,
    goes_on: bool,
}

impl<'a> Pace<'a> {
    /// The pace while so many segments wait. `rest` sleeps, and tells whether to go on.
    pub(super) fn new(waiting: usize, rest: &'a mut dyn FnMut(Duration) -> bool) -> Self {
        Self { rest, factor: if waiting > WAITING_MAX { 1 } else { 7 }, since: Instant::now(), statements: 0, goes_on: true }
    }

    /// One more statement is copied.
    pub(super) fn step(&mut self) {
        self.statements += 1;
        if self.statements >= STATEMENTS {
            self.statements = 0;
            if self.since.elapsed() >= SLICE {
                self.rest();
            }
        }
    }

    /// A copy is complete; whether to make another. What was begun is finished without a rest once it is not.
    pub(super) fn goes_on(&mut self) -> bool {
        self.rest();
        self.goes_on
    }

    fn rest(&mut self) {
        if self.goes_on {
            self.goes_on = (self.rest)(self.since.elapsed() * self.factor);
        }
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was rested while so many segments waited, for a slice of work.
    fn rested(waiting: usize) -> Vec<Duration> {
        let mut rests = Vec::new();
        let mut rest = |time| {
            rests.push(time);
            rests.len() < 2
        };
        let mut pace = Pace::new(waiting, &mut rest);
        while pace.goes_on {
            std::thread::sleep(SLICE);
            (0..STATEMENTS).for_each(|_| pace.step());
        }
        pace.step();
        assert!(!pace.goes_on());
        rests
    }

    #[test]
    fn it_rests_for_longer_than_it_works_unless_it_falls_behind() {
        let (usual, behind) = (rested(WAITING_MAX), rested(WAITING_MAX + 1));
        assert!(usual.len() == 2 && usual.iter().all(|rest| *rest >= SLICE * 7), "{usual:?}");
        assert!(behind.len() == 2 && behind.iter().all(|rest| *rest >= SLICE), "{behind:?}");
    }
}
