//! The rows of one row group that a rule let through, and for which bounds that holds.
//!
//! INVARIANT: [`Group::at`] answers only if each row's test would come out the same as the answer says. Between the bound that was tested and
//! another, no tested value may lie but those of rows that are listed as leaving.

use datafusion::arrow::array::{Array, Int64Array};
use datafusion::arrow::buffer::{BooleanBuffer, MutableBuffer};
use datafusion::arrow::util::bit_util::unset_bit;

/// Rows of a row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// All of them.
    All,
    /// None.
    None,
    /// Those with a bit.
    Some(BooleanBuffer),
}

impl Kept {
    fn of(bits: BooleanBuffer) -> Self {
        match bits.count_set_bits() {
            0 => Self::None,
            kept if kept == bits.len() => Self::All,
            _ => Self::Some(bits),
        }
    }
}

/// What was found out about one row group.
#[derive(Debug)]
pub(super) struct Group {
    rows: usize,
    kept: Kept,
    bounds: Vec<Bound>,
}

/// A test "value ≥ bound", and the values around the bound.
#[derive(Debug, PartialEq, Eq)]
struct Bound {
    /// The bound that was tested.
    tested: i64,
    /// The largest value that failed.
    behind: Option<i64>,
    /// Visible rows of the smallest values, by value: the first to go when the bound rises.
    leaving: Vec<(i64, u32)>,
    /// Visible rows that are not listed have at least this value; `None` if there are none.
    ahead: Option<i64>,
}

impl Group {
    /// The visible rows under these bounds, if that can be told.
    pub(super) fn at(&self, bounds: &[i64]) -> Option<Kept> {
        if bounds.len() != self.bounds.len() {
            return None;
        }
        let mut gone: Vec<u32> = Vec::new();
        for (bound, now) in self.bounds.iter().zip(bounds) {
            gone.extend(bound.gone(*now)?.iter().map(|(_, row)| *row));
        }
        if gone.is_empty() || self.kept == Kept::None {
            return Some(self.kept.clone());
        }
        let mut bits = match &self.kept {
            Kept::Some(bits) => MutableBuffer::from(bits.sliced().as_slice().to_vec()),
            _ => MutableBuffer::new(self.rows.div_ceil(8)).with_bitset(self.rows.div_ceil(8), true),
        };
        for row in gone {
            let row = usize::try_from(row).ok().filter(|row| *row < self.rows)?;
            unset_bit(bits.as_slice_mut(), row);
        }
        Some(Kept::of(BooleanBuffer::new(bits.into(), 0, self.rows)))
    }

    /// Bytes that it holds, but for the fixed ones.
    pub(super) fn bytes(&self) -> usize {
        let bits = if let Kept::Some(bits) = &self.kept { bits.len().div_ceil(8) } else { 0 };
        bits + self.bounds.iter().map(|bound| size_of::<Bound>() + size_of_val(bound.leaving.as_slice())).sum::<usize>()
    }
}

impl Bound {
    /// The rows that are gone when the bound is `now`, if that can be told.
    fn gone(&self, now: i64) -> Option<&[(i64, u32)]> {
        if now < self.tested {
            return self.behind.is_none_or(|behind| behind < now).then_some(&[]);
        }
        if self.ahead.is_some_and(|ahead| ahead < now) {
            return None;
        }
        self.leaving.get(..self.leaving.partition_point(|(value, _)| *value < now))
    }
}

/// One row in so many is listed as leaving, within limits.
const ROWS_PER_LEAVING: usize = 512;
const LEAVING_MIN: usize = 64;
const LEAVING_MAX: usize = 4_096;

/// A row group that is being read.
#[derive(Debug)]
pub(super) struct Observed {
    rows: usize,
    seen: usize,
    bits: Vec<BooleanBuffer>,
    bounds: Vec<Bound>,
}

impl Observed {
    /// A row group of so many rows, tested under these bounds; `None` if it has too many.
    pub(super) fn new(rows: usize, bounds: &[i64]) -> Option<Self> {
        u32::try_from(rows).ok()?;
        let bound = |tested: &i64| Bound { tested: *tested, behind: None, leaving: Vec::new(), ahead: None };
        Some(Self { rows, seen: 0, bits: Vec::new(), bounds: bounds.iter().map(bound).collect() })
    }

    /// So many rows were seen.
    pub(super) fn seen(&self) -> usize {
        self.seen
    }

    /// Takes the next rows in: which of them are visible, and for each bound their values.
    pub(super) fn add(&mut self, visible: &BooleanBuffer, values: &[Int64Array]) -> Option<()> {
        let most = self.leaving_max();
        let first = u32::try_from(self.seen).ok()?;
        if values.len() != self.bounds.len() {
            return None;
        }
        for (bound, values) in self.bounds.iter_mut().zip(values) {
            bound.add(visible, values, first, most);
        }
        self.seen = self.seen.checked_add(visible.len()).filter(|seen| *seen <= self.rows)?;
        self.bits.push(visible.clone());
        Some(())
    }

    /// What was found out, if all rows were seen.
    pub(super) fn finish(mut self) -> Option<Group> {
        if self.seen != self.rows {
            return None;
        }
        let most = self.leaving_max();
        let mut bits = datafusion::arrow::array::BooleanBufferBuilder::new(self.rows);
        self.bits.iter().for_each(|part| bits.append_buffer(part));
        for bound in &mut self.bounds {
            bound.shorten(most);
            bound.leaving.sort_unstable();
            bound.leaving.shrink_to_fit();
        }
        Some(Group { rows: self.rows, kept: Kept::of(bits.finish()), bounds: self.bounds })
    }

    fn leaving_max(&self) -> usize {
        (self.rows / ROWS_PER_LEAVING).clamp(LEAVING_MIN, LEAVING_MAX)
    }
}

impl Bound {
    fn add(&mut self, visible: &BooleanBuffer, values: &Int64Array, first: u32, most: usize) {
        let nulls = values.nulls();
        for ((row, value), (at, visible)) in (first..).zip(values.values()).zip(visible.iter().enumerate()) {
            if nulls.is_some_and(|nulls| nulls.is_null(at)) {
                // It passes under no bound.
            } else if *value < self.tested {
                self.behind = self.behind.max(Some(*value));
            } else if visible && self.ahead.is_none_or(|ahead| *value < ahead) {
                self.leaving.push((*value, row));
                if self.leaving.len() >= most.saturating_mul(2) {
                    self.shorten(most);
                }
            }
        }
    }

    /// Keeps so many rows of the smallest values.
    fn shorten(&mut self, most: usize) {
        if self.leaving.len() > most {
            let (_, (least, _), _) = self.leaving.select_nth_unstable(most);
            self.ahead = Some(*least);
            self.leaving.truncate(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn observe(values: &[Option<i64>], others: &[bool], bound: i64) -> Group {
        let visible: Vec<bool> =
            values.iter().zip(others).map(|(value, other)| *other && value.is_some_and(|value| value >= bound)).collect();
        let mut observed = Observed::new(values.len(), &[bound]).unwrap();
        for (values, visible) in values.chunks(7).zip(visible.chunks(7)) {
            observed.add(&BooleanBuffer::from(visible), &[values.iter().copied().collect()]).unwrap();
        }
        observed.finish().unwrap()
    }

    fn bits(kept: &Kept, rows: usize) -> Vec<bool> {
        match kept {
            Kept::All => vec![true; rows],
            Kept::None => vec![false; rows],
            Kept::Some(bits) => bits.iter().collect(),
        }
    }

    #[test]
    fn a_row_group_that_was_not_seen_whole_is_not_remembered() {
        let mut observed = Observed::new(3, &[]).unwrap();
        observed.add(&BooleanBuffer::new_set(2), &[]).unwrap();
        assert!(observed.finish().is_none());
        let mut observed = Observed::new(3, &[]).unwrap();
        assert!(observed.add(&BooleanBuffer::new_set(4), &[]).is_none());
    }

    #[test]
    fn a_bound_that_passed_a_tested_value_backwards_is_not_answered() {
        let group = observe(&[Some(5), Some(10), None], &[true; 3], 8);
        assert_eq!(group.at(&[8]).map(|kept| bits(&kept, 3)), Some(vec![false, true, false]));
        assert_eq!(group.at(&[6]).map(|kept| bits(&kept, 3)), Some(vec![false, true, false]));
        assert_eq!(group.at(&[5]), None);
        assert_eq!(group.at(&[11]), Some(Kept::None));
        assert_eq!(group.at(&[]), None);
    }

    #[test]
    fn more_rows_than_are_listed_as_leaving_end_what_is_known() {
        let values: Vec<Option<i64>> = (0..500).rev().map(Some).collect();
        let group = observe(&values, &[true; 500], 0);
        assert_eq!(group.at(&[0]), Some(Kept::All));
        let known = i64::try_from(LEAVING_MIN).unwrap();
        assert_eq!(group.at(&[known]).map(|kept| bits(&kept, 500).iter().filter(|kept| **kept).count()), Some(500 - LEAVING_MIN));
        assert_eq!(group.at(&[known + 1]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn what_is_answered_is_what_a_test_would_say(
            rows in prop::collection::vec((prop::option::weighted(0.9, -40i64..40), any::<bool>()), 1..300),
            bound in -45i64..45,
            later in -50i64..50,
        ) {
            let (values, others): (Vec<Option<i64>>, Vec<bool>) = rows.into_iter().unzip();
            let group = observe(&values, &others, bound);
            let expected = |bound: i64| -> Vec<bool> {
                values.iter().zip(&others).map(|(value, other)| *other && value.is_some_and(|value| value >= bound)).collect()
            };
            let now = group.at(&[bound]).map(|kept| bits(&kept, values.len()));
            prop_assert_eq!(now, Some(expected(bound)));
            if let Some(kept) = group.at(&[later]) {
                prop_assert_eq!(bits(&kept, values.len()), expected(later));
            }
        }
    }
}
