//! How long the writer waits for more openings to share a sync with.
//!
//! Clients that were told together ask together again, a little apart. On a disk whose syncs take long, the first of them would have one to
//! itself, and all the others would wait for two. Where syncs are short, and where nobody comes, nothing is waited for.

use std::time::Duration;

/// A shorter sync is not worth waiting for: the system wakes nobody as fast as that.
const SYNC_MIN: Duration = Duration::from_micros(400);
/// The longest wait.
const PATIENCE_MAX: Duration = Duration::from_millis(2);
/// Batches without a wait, after one that was in vain.
const PAUSE: u32 = 32;

/// What the last syncs were like.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// Those who were told by the last one.
    told: usize,
    patience: Duration,
    /// Batches that will not wait.
    pause: u32,
    /// Those who were there when the wait of this batch began.
    begun_with: Option<usize>,
}

impl Gathering {
    /// A sync has taken that long, and so many waited for it.
    pub(super) fn synced(&mut self, told: usize, took: Duration) {
        self.told = told;
        self.patience = if took < SYNC_MIN { Duration::ZERO } else { (took / 2).min(PATIENCE_MAX) };
    }

    /// How much longer to wait, and until how many are there; `waiting` of them are, the first of them for so long.
    pub(super) fn left(&mut self, waiting: usize, first: Duration) -> Option<(Duration, usize)> {
        let left = self.patience.saturating_sub(first);
        if left.is_zero() || waiting >= self.told || self.pause > 0 {
            return None;
        }
        self.begun_with.get_or_insert(waiting);
        Some((left, self.told))
    }

    /// A batch leaves, for which so many wait.
    pub(super) fn leaves(&mut self, waiting: usize) {
        match self.begun_with.take() {
            Some(before) if before == waiting => self.pause = PAUSE,
            Some(_) => {}
            None => self.pause = self.pause.saturating_sub(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(1);

    #[test]
    fn those_who_were_told_together_are_waited_for() {
        let mut gathering = Gathering::default();
        gathering.synced(16, LONG);
        assert_eq!(gathering.left(1, Duration::ZERO), Some((LONG / 2, 16)));
        assert_eq!(gathering.left(9, LONG / 4), Some((LONG / 4, 16)));
        assert_eq!(gathering.left(9, LONG / 2), None);
        assert_eq!(gathering.left(16, Duration::ZERO), None);
    }

    #[test]
    fn nobody_waits_alone_or_for_a_short_sync() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.left(1, Duration::ZERO), None);
        gathering.synced(1, LONG);
        assert_eq!(gathering.left(1, Duration::ZERO), None);
        gathering.synced(16, SYNC_MIN / 2);
        assert_eq!(gathering.left(1, Duration::ZERO), None);
        gathering.synced(16, Duration::from_secs(1));
        assert_eq!(gathering.left(1, Duration::ZERO), Some((PATIENCE_MAX, 16)));
    }

    #[test]
    fn a_wait_in_vain_is_not_soon_repeated() {
        let mut gathering = Gathering::default();
        gathering.synced(16, LONG);
        assert!(gathering.left(1, Duration::ZERO).is_some());
        gathering.leaves(1);
        for _ in 0..PAUSE {
            assert_eq!(gathering.left(1, Duration::ZERO), None);
            gathering.leaves(1);
        }
        assert!(gathering.left(1, Duration::ZERO).is_some());
        gathering.leaves(9);
        assert!(gathering.left(1, Duration::ZERO).is_some(), "somebody came");
    }
}
