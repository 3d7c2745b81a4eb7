//! Places by keys that are numbers: one look at memory finds one, which matters where there are many.

use super::memo::Seed;

/// Slots of the smallest table; a power of two.
const SLOTS_MIN: usize = 256;
/// The place of an empty slot.
const EMPTY: u32 = u32::MAX;

/// A key, in halves so that a slot is small, and its place.
type Slot = (u64, u64, u32);

/// A table of keys that only grows. At most three in four of its slots are taken.
#[derive(Default)]
pub(super) struct Places {
    slots: Vec<Slot>,
    taken: usize,
    seed: Seed,
}

impl Places {
    /// Keys that have a place.
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    /// The place of a key; `new` gives it one if it has none, which is not the highest number.
    #[inline]
    pub(super) fn place(&mut self, key: (u64, u64), new: impl FnOnce() -> u32) -> u32 {
        if self.taken >= self.slots.len() / 4 * 3 {
            self.grow();
        }
        let Some(slot) = slot_of(&mut self.slots, self.seed.of(key), key) else { return new() };
        if slot.2 == EMPTY {
            *slot = (key.0, key.1, new());
            self.taken = self.taken.saturating_add(1);
        }
        slot.2
    }

    fn grow(&mut self) {
        let size = self.slots.len().saturating_mul(2).max(SLOTS_MIN);
        let before = std::mem::replace(&mut self.slots, vec![(0, 0, EMPTY); size]);
        for taken in before.into_iter().filter(|(_, _, place)| *place != EMPTY) {
            let key = (taken.0, taken.1);
            if let Some(slot) = slot_of(&mut self.slots, self.seed.of(key), key) {
                *slot = taken;
            }
        }
    }
}

/// The slot that a key has or would have: the first from that of its hash on.
#[inline]
fn slot_of(slots: &mut [Slot], hash: u64, key: (u64, u64)) -> Option<&mut Slot> {
    let last = slots.len().checked_sub(1)?;
    let mut at = usize::try_from(hash).unwrap_or(0) & last;
    // There is always an empty one.
    while slots.get(at).is_some_and(|slot| slot.2 != EMPTY && (slot.0, slot.1) != key) {
        at = (at + 1) & last;
    }
    slots.get_mut(at)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_keeps_the_place_that_it_was_given(keys in prop::collection::vec((0..3_u64, prop_oneof![0..50_u64, any::<u64>()]), 0..2_000)) {
            let (mut places, mut expected) = (Places::default(), HashMap::new());
            for key in keys {
                let next = u32::try_from(expected.len()).unwrap();
                let place = *expected.entry(key).or_insert(next);
                prop_assert_eq!(places.place(key, || next), place);
                prop_assert_eq!(places.len(), expected.len());
            }
        }
    }
}
