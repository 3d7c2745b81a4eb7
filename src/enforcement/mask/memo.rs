//! What a stream has masked before is not masked again: by where its texts lie, and by the texts themselves for masks that cost more than
//! looking a text up.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use datafusion::arrow::compute::take;
use datafusion::error::Result;

use super::kept::Kept;
use super::seen::{Seen, Worth};

/// After so many texts it is judged whether they repeat themselves.
const TRIED: usize = 16_384;
/// More texts, or bytes of texts, are not kept.
const TEXTS_MAX: usize = 1 << 16;
const BYTES_MAX: usize = 8 << 20;

/// The texts that a stream has masked, and what has become of each.
#[derive(Default)]
pub(in super::super) struct Memo {
    seen: Seen,
    places: HashMap<Box<str>, u32, Seed>,
    place_of_null: Option<u32>,
    /// By place.
    masked: Kept,
    bytes: usize,
    asked: usize,
    /// The texts do not repeat themselves.
    given_up: bool,
}

impl Memo {
    /// The masked texts, by a mask that costs little: only what repeats itself often is remembered. NULL stays NULL.
    pub(super) fn masked_if_few(
        &mut self,
        texts: &StringViewArray,
        mask: impl Fn(&StringViewArray) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        match self.seen.masked(texts, false, Worth::Few, &mask)? {
            Some(masked) => Ok(masked),
            None => mask(texts),
        }
    }

    /// The masked texts; `mask` masks those that are new. NULL stays NULL unless it is masked too.
    pub(super) fn masked(
        &mut self,
        texts: &StringViewArray,
        null_too: bool,
        mask: impl Fn(&StringViewArray) -> Result<ArrayRef>,
    ) -> Result<ArrayRef> {
        if texts.null_count() == texts.len() {
            return mask(texts);
        }
        if let Some(masked) = self.seen.masked(texts, null_too, Worth::Any, &mask)? {
            return Ok(masked);
        }
        self.judge();
        if self.given_up {
            return mask(texts);
        }
        let (places, new) = self.look_up(texts, null_too);
        if !new.is_empty() {
            let new = take(texts, &UInt32Array::from(new), None)?;
            self.masked.add(mask(new.as_string_view_opt().ok_or_else(super::wrong_type)?)?)?;
        } else {
            self.masked.settle()?;
        }
        self.masked.show(places, if null_too { None } else { texts.nulls() })
    }

    /// The place of each text, and the rows of those that had none.
    fn look_up(&mut self, texts: &StringViewArray, null_too: bool) -> (Vec<u32>, Vec<u32>) {
        let mut next = u32::try_from(self.places.len() + usize::from(self.place_of_null.is_some())).unwrap_or(u32::MAX);
        let mut new = Vec::new();
        let mut places = Vec::with_capacity(texts.len());
        for (row, text) in (0_u32..).zip(texts) {
            let known = match text {
                Some(text) => self.places.get(text).copied(),
                None if null_too => self.place_of_null,
                None => Some(0),
            };
            let place = known.unwrap_or_else(|| {
                match text {
                    Some(text) => {
                        self.bytes = self.bytes.saturating_add(text.len());
                        self.places.insert(text.into(), next);
                    }
                    None => self.place_of_null = Some(next),
                }
                new.push(row);
                next = next.saturating_add(1);
                next.saturating_sub(1)
            });
            places.push(place);
        }
        self.asked = self.asked.saturating_add(texts.len());
        (places, new)
    }

    /// Begins anew when there is too much, and gives up where it does not help.
    fn judge(&mut self) {
        let texts = self.places.len();
        let wasted = self.asked > TRIED && texts > self.asked / 8 * 7;
        let full = texts > TEXTS_MAX || self.bytes > BYTES_MAX;
        if wasted || full {
            let given_up = self.given_up || wasted || texts > self.asked / 2;
            *self = Self { given_up, seen: std::mem::take(&mut self.seen), ..Self::default() };
        }
    }
}

/// Makes hashers that nobody can foresee.
pub(super) struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl Seed {
    /// The hash of two numbers.
    #[inline]
    pub(super) fn of(&self, (first, second): (u64, u64)) -> u64 {
        let mut hasher = TextHasher(self.0);
        hasher.mix(first);
        hasher.mix(second);
        hasher.0
    }
}

impl BuildHasher for Seed {
    type Hasher = TextHasher;

    fn build_hasher(&self) -> TextHasher {
        TextHasher(self.0)
    }
}

/// Takes eight bytes at a time.
pub(super) struct TextHasher(u64);

impl TextHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.0 = mixed ^ (mixed >> 32);
    }
}

impl Hasher for TextHasher {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.mix(u64::from_le_bytes(*word)));
        let mut last = u64::try_from(bytes.len()).unwrap_or(0) << 56;
        rest.iter().for_each(|byte| last = last << 8 | u64::from(*byte));
        self.mix(last);
    }

    fn write_u8(&mut self, _: u8) {
        // The end of a text; its length has been taken in.
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use datafusion::arrow::buffer::Buffer;

    use super::*;

    fn upper(texts: &StringViewArray) -> ArrayRef {
        Arc::new(texts.iter().map(|text| Some(text.map_or("none".to_owned(), str::to_uppercase))).collect::<StringViewArray>())
    }

    fn texts(rows: std::ops::Range<usize>, distinct: usize) -> StringViewArray {
        rows.map(|row| (!row.is_multiple_of(7)).then(|| format!("{}{}", "a text that is long ".repeat(row % 2), row % distinct))).collect()
    }

    #[test]
    fn each_text_is_masked_once_over_all_batches() {
        let masked = RefCell::new(0);
        let count = |texts: &StringViewArray| {
            *masked.borrow_mut() += texts.len();
            Ok(upper(texts))
        };
        for null_too in [false, true] {
            let mut memo = Memo::default();
            *masked.borrow_mut() = 0;
            for batch in 0..5 {
                let batch = texts(batch * 1_000..batch * 1_000 + 1_000, 60 + batch).slice(3, 900);
                let expected = upper(&batch);
                let found = memo.masked(&batch, null_too, count).unwrap();
                for row in 0..batch.len() {
                    assert_eq!(found.is_null(row), batch.is_null(row) && !null_too);
                    assert!(found.is_null(row) || found.as_string_view().value(row) == expected.as_string_view().value(row));
                }
            }
            assert!(*masked.borrow() < 300, "{}", masked.borrow());
        }
    }

    #[test]
    fn texts_that_are_there_once_are_not_kept() {
        let mut memo = Memo::default();
        for batch in 0..4 {
            let batch: StringViewArray = (0..8_192).map(|row| Some(format!("customer number {row} of {batch}"))).collect();
            assert_eq!(&memo.masked(&batch, false, |texts| Ok(upper(texts))).unwrap(), &upper(&batch));
        }
        assert!(memo.given_up && memo.places.is_empty());
    }

    #[test]
    fn what_is_kept_has_an_end() {
        let mut memo = Memo::default();
        // Each text comes three times before the next ones come.
        for batch in 0..80 {
            let batch: StringViewArray = (0..9_000).map(|row| Some(format!("{} {}", batch / 3, row % 3_000))).collect();
            assert_eq!(&memo.masked(&batch, false, |texts| Ok(upper(texts))).unwrap(), &upper(&batch));
            assert!(memo.places.len() <= TEXTS_MAX + 9_000 && !memo.given_up);
        }
        assert!(memo.asked < 80 * 9_000);
    }

    #[test]
    fn a_column_does_not_drag_along_what_others_show() {
        let mut memo = Memo::default();
        let many: StringViewArray = (0..8_000).map(|row| Some(format!("a name of some length {row}"))).collect();
        memo.masked(&many, false, |texts| Ok(upper(texts))).unwrap();
        let few = memo.masked(&many.slice(5, 7), false, |texts| Ok(upper(texts))).unwrap();
        assert_eq!(&few, &upper(&many.slice(5, 7)));
        let held: usize = few.as_string_view().data_buffers().iter().map(Buffer::len).sum();
        assert!(held < 1_000, "{held}");
    }

    #[test]
    fn nothing_and_nothing_but_null_is_no_text() {
        let mut memo = Memo::default();
        for rows in [0, 100] {
            let nulls: StringViewArray = (0..rows).map(|_| None::<&str>).collect();
            assert_eq!(memo.masked(&nulls, false, |texts| Ok(Arc::new(texts.clone()) as ArrayRef)).unwrap().null_count(), rows);
        }
    }
}
