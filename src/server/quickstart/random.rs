//! Numbers that look random and are the same on every machine and every day.

/// SplitMix64: a few lines, no dependency, the same sequence for ever.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound` − 1; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound.max(1))).unwrap_or_default()
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in so many of a thousand cases.
    pub(super) fn per_mille(&mut self, share: u32) -> bool {
        self.below(1000) < share
    }

    /// One of the texts.
    pub(super) fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        let index = self.below(u32::try_from(texts.len()).unwrap_or(u32::MAX));
        texts.get(index as usize).copied().unwrap_or_default()
    }

    /// One of the texts by weight.
    pub(super) fn weighted<'a>(&mut self, texts: &[(&'a str, u32)]) -> &'a str {
        let mut left = self.below(texts.iter().map(|(_, weight)| weight).sum());
        for (text, weight) in texts {
            if left < *weight {
                return text;
            }
            left -= weight;
        }
        texts.first().map(|(text, _)| *text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_fixed() {
        let mut random = Random::new(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn weights_of_zero_are_never_picked() {
        let mut random = Random::new(7);
        assert!((0..500).all(|_| random.weighted(&[("a", 3), ("b", 0), ("c", 1)]) != "b"));
    }

    #[test]
    fn both_ends_of_a_range_are_reached() {
        let mut random = Random::new(7);
        let drawn: std::collections::BTreeSet<u32> = (0..200).map(|_| random.between(3, 5)).collect();
        assert_eq!(drawn, [3, 4, 5].into());
    }
}
