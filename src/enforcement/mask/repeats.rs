//! Finds the texts that a batch repeats, so that each is masked once.

use datafusion::arrow::array::{Array, StringViewArray, UInt32Array};
use datafusion::arrow::buffer::ScalarBuffer;

/// Fewer rows are masked one by one.
const ROWS_MIN: usize = 64;
/// So many rows tell whether a batch repeats itself.
const SAMPLE_ROWS: usize = 512;

/// The texts of a batch, each once.
pub(super) struct Repeats {
    /// The first row of each text.
    pub(super) firsts: UInt32Array,
    /// For each row the position of its text among `firsts`; NULL of a NULL.
    pub(super) rows: UInt32Array,
}

/// The repeated texts, or `None` if most are there once.
///
/// Texts are told apart by their views. Short ones are in the view itself; longer ones that were read from a dictionary share its bytes. Equal texts
/// with different views are masked twice, to the same.
pub(super) fn repeats(texts: &StringViewArray) -> Option<Repeats> {
    let rows = texts.len();
    if rows < ROWS_MIN {
        return None;
    }
    let mut seen = Seen::new(rows);
    let mut firsts: Vec<u32> = Vec::new();
    let mut positions: Vec<u32> = Vec::with_capacity(rows);
    for (row, view) in texts.views().iter().enumerate() {
        if texts.is_null(row) {
            positions.push(0);
            continue;
        }
        let next = u32::try_from(firsts.len()).ok()?;
        let position = seen.position(*view, next)?;
        if position == next {
            firsts.push(u32::try_from(row).ok()?);
        }
        positions.push(position);
        if row == SAMPLE_ROWS && firsts.len() > SAMPLE_ROWS / 2 {
            return None;
        }
    }
    let rows = UInt32Array::new(ScalarBuffer::from(positions), texts.nulls().cloned());
    Some(Repeats { firsts: UInt32Array::from(firsts), rows })
}

/// A table of views with open addressing, never more than half full.
struct Seen {
    slots: Vec<(u128, u32)>,
    mask: usize,
}

const EMPTY: u32 = u32::MAX;

impl Seen {
    fn new(rows: usize) -> Self {
        let slots = rows.saturating_mul(2).next_power_of_two();
        Self { slots: vec![(0, EMPTY); slots], mask: slots.saturating_sub(1) }
    }

    /// The position of a view, which is `next` if it has not been seen.
    fn position(&mut self, view: u128, next: u32) -> Option<u32> {
        let mut at = hash(view) & self.mask;
        loop {
            let slot = self.slots.get_mut(at)?;
            match *slot {
                (_, EMPTY) => {
                    *slot = (view, next);
                    return Some(next);
                }
                (seen, position) if seen == view => return Some(position),
                _ => at = at.wrapping_add(1) & self.mask,
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a hash keeps what it has room for")]
fn hash(view: u128) -> usize {
    let folded = (view as u64) ^ ((view >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (folded ^ (folded >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)) as usize
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::AsArray;
    use datafusion::arrow::compute::take;

    use super::*;

    fn restored(texts: &StringViewArray) -> Option<StringViewArray> {
        let repeats = repeats(texts)?;
        let distinct = take(texts, &repeats.firsts, None).unwrap();
        Some(take(&distinct, &repeats.rows, None).unwrap().as_string_view().clone())
    }

    #[test]
    fn repeated_texts_are_found_and_put_back_in_place() {
        let texts: StringViewArray = (0..3_000)
            .map(|row| match row % 7 {
                0 => None,
                3 => Some(String::new()),
                rest => Some(format!("{}{rest}", "a longer text than a view holds ".repeat(rest % 2))),
            })
            .collect();
        assert_eq!(restored(&texts).unwrap(), texts);
        assert_eq!(restored(&texts.slice(11, 900)).unwrap(), texts.slice(11, 900));
    }

    #[test]
    fn texts_that_are_there_once_are_not_looked_up_to_the_end() {
        let texts: StringViewArray = (0..3_000).map(|row| Some(format!("customer number {row}"))).collect();
        assert!(repeats(&texts).is_none());
        assert!(repeats(&texts.slice(0, 10)).is_none());
    }

    #[test]
    fn nothing_but_null_is_no_text() {
        let texts: StringViewArray = (0..100).map(|_| None::<&str>).collect();
        assert_eq!(restored(&texts).unwrap(), texts);
    }
}
