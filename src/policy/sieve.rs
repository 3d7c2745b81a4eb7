//! Quick answers to "is this one of the erased people?": most are not, and are told apart without a look into the set itself.
//!
//! INVARIANT: nobody who is in a set is ever let through. A sieve may stop somebody who is not; then the set decides.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use super::decision::IntegerHasher;

/// Bits of a sieve for each of its members.
const BITS_PER_MEMBER: usize = 16;
/// A set of integers is kept as bits if these are not more for each member.
const DENSE_BITS_PER_MEMBER: u64 = 64;

/// A Bloom filter whose bits for one member lie in one word.
#[derive(Default)]
pub(super) struct Sieve {
    words: Box<[u64]>,
    /// How far a hash is shifted to be the number of a word.
    shift: u32,
}

impl Sieve {
    /// A sieve that stops the members with these hashes.
    pub(super) fn new(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let words = hashes.len().saturating_mul(BITS_PER_MEMBER).div_ceil(64).next_power_of_two().max(2);
        let mut sieve = Self { words: vec![0; words].into(), shift: 64 - words.trailing_zeros() };
        for hash in hashes {
            let at = sieve.place(hash);
            if let Some(word) = sieve.words.get_mut(at) {
                *word |= bits(hash);
            }
        }
        sieve
    }

    /// False of whoever is not a member, and rarely true of such.
    pub(super) fn stops(&self, hash: u64) -> bool {
        self.words.get(self.place(hash)).is_some_and(|word| word & bits(hash) == bits(hash))
    }

    fn place(&self, hash: u64) -> usize {
        usize::try_from(hash >> self.shift.min(63)).unwrap_or(0)
    }
}

/// Three bits of a word, from the end of a hash that its place is not made of.
fn bits(hash: u64) -> u64 {
    (1 << (hash & 63)) | (1 << (hash >> 6 & 63)) | (1 << (hash >> 12 & 63))
}

/// The hash of an integer.
pub(super) fn hash_of_integer(id: i64) -> u64 {
    let mixed = (id.cast_unsigned() ^ (id.cast_unsigned() >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ (mixed >> 32)
}

/// The hash of a text.
pub(super) fn hash_of_text(text: &str) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let start = u64::try_from(text.len()).unwrap_or(0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = words.iter().chain([&last]).fold(start, |hash, word| {
        let mixed = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 29)
    });
    hash_of_integer(mixed.cast_signed())
}

/// The subjects whose ids are integers of 64 bits.
#[derive(Default)]
pub struct IntegerSubjects(Kept);

enum Kept {
    /// A bit for each integer from the first on: ids that were given out in turn.
    Dense {
        first: i64,
        words: Box<[u64]>,
    },
    Sparse {
        sieve: Sieve,
        ids: HashSet<i64, BuildHasherDefault<IntegerHasher>>,
    },
}

impl Default for Kept {
    fn default() -> Self {
        Self::Dense { first: 0, words: Box::default() }
    }
}

impl FromIterator<i64> for IntegerSubjects {
    fn from_iter<T: IntoIterator<Item = i64>>(ids: T) -> Self {
        let ids: HashSet<i64, _> = ids.into_iter().collect();
        let (Some(first), Some(last)) = (ids.iter().min().copied(), ids.iter().max().copied()) else { return Self::default() };
        let span = last.abs_diff(first);
        let members = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        match usize::try_from(span / 64 + 1) {
            Ok(words) if span / DENSE_BITS_PER_MEMBER <= members => {
                let mut words: Box<[u64]> = vec![0; words].into();
                for id in &ids {
                    let offset = id.abs_diff(first);
                    if let Some(word) = usize::try_from(offset / 64).ok().and_then(|at| words.get_mut(at)) {
                        *word |= 1 << (offset % 64);
                    }
                }
                Self(Kept::Dense { first, words })
            }
            _ => Self(Kept::Sparse { sieve: Sieve::new(ids.iter().map(|id| hash_of_integer(*id))), ids }),
        }
    }
}

impl IntegerSubjects {
    /// Whether the person has been erased.
    pub fn contains(&self, id: i64) -> bool {
        match &self.0 {
            Kept::Dense { first, words } => {
                // What lies before the first wraps to far behind the last.
                let offset = id.cast_unsigned().wrapping_sub(first.cast_unsigned());
                let word = usize::try_from(offset / 64).ok().and_then(|at| words.get(at));
                word.is_some_and(|word| word >> (offset % 64) & 1 == 1)
            }
            Kept::Sparse { sieve, ids } => sieve.stops(hash_of_integer(id)) && ids.contains(&id),
        }
    }

    /// Whether nobody has been erased by such an id.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Kept::Dense { words, .. } => words.is_empty(),
            Kept::Sparse { ids, .. } => ids.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_in_turn_are_kept_as_bits_and_others_are_not() {
        let dense: IntegerSubjects = (0..1_000).map(|id| 5_000 + id * 40).collect();
        assert!(matches!(dense.0, Kept::Dense { .. }));
        let sparse: IntegerSubjects = (0..1_000).map(|id| id * 1_000_003).collect();
        assert!(matches!(sparse.0, Kept::Sparse { .. }));
        for id in 0..1_000 {
            assert!(dense.contains(5_000 + id * 40) && !dense.contains(5_001 + id * 40));
            assert!(sparse.contains(id * 1_000_003) && !sparse.contains(id * 1_000_003 + 1));
        }
        assert!(!dense.contains(4_999) && !dense.contains(i64::MIN) && !dense.contains(i64::MAX));
    }

    #[test]
    fn the_ends_of_the_range_are_members_like_others() {
        let ends: IntegerSubjects = [i64::MIN, i64::MAX].into_iter().collect();
        assert!(ends.contains(i64::MIN) && ends.contains(i64::MAX) && !ends.contains(0) && !ends.contains(-1));
        assert!(IntegerSubjects::default().is_empty() && !IntegerSubjects::default().contains(0));
    }

    #[test]
    fn a_sieve_stops_few_who_are_not_members() {
        let sieve = Sieve::new((0..100_000_i64).map(|id| hash_of_integer(id * 7)).collect::<Vec<_>>().into_iter());
        let stopped = (0..100_000_i64).filter(|id| sieve.stops(hash_of_integer(id * 7 + 3))).count();
        assert!(stopped < 5_000, "{stopped}");
    }

    proptest! {
        #[test]
        fn every_member_is_found_and_nobody_else(ids in prop::collection::vec(any::<i64>(), 0..200), spread in 1_i64..5_000, other in any::<i64>()) {
            for set in [ids.clone(), ids.iter().map(|id| id % spread).collect()] {
                let subjects: IntegerSubjects = set.iter().copied().collect();
                prop_assert!(set.iter().all(|id| subjects.contains(*id)));
                prop_assert_eq!(subjects.contains(other), set.contains(&other));
                prop_assert_eq!(subjects.is_empty(), set.is_empty());
            }
        }

        #[test]
        fn every_text_of_a_sieve_is_stopped(texts in prop::collection::vec(".{0,30}", 1..100)) {
            let sieve = Sieve::new(texts.iter().map(|text| hash_of_text(text)).collect::<Vec<_>>().into_iter());
            prop_assert!(texts.iter().all(|text| sieve.stops(hash_of_text(text))));
        }
    }
}
