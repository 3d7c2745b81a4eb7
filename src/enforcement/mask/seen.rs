//! What repeats itself because a file has it in a dictionary: rows that show the same place of the same buffer show the same text.
//!
//! INVARIANT: a place stands for its text only while its buffer is kept here, so that nothing else can come to lie there.

use std::ops::Range;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringViewArray, UInt32Array};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::compute::take;
use datafusion::error::Result;

use super::kept::Kept;
use super::places::Places;

/// A text of at most so many bytes is in its view.
const INLINE_BYTES_MAX: u64 = 12;
/// From so many rows it is told whether texts lie in the order of the rows, as they do where each is written for itself. They are the last
/// of a batch: a dictionary begins in that order, too.
const LOOKED_AT: usize = 64;
/// After so many rows it is judged whether there are few texts.
const TRIED: usize = 512;
/// After so many it is judged whether they repeat themselves at all.
const TRIED_LONG: usize = 16_384;
/// Buffers of one batch that uses a dictionary.
const BUFFERS_MAX: usize = 4;
/// More texts are not kept.
const TEXTS_MAX: usize = 1 << 17;
/// A dictionary of at most so many bytes has a table of its own, by offset.
const BYTES_BY_OFFSET_MAX: usize = 1 << 16;

/// The texts of one dictionary that have been masked.
#[derive(Default)]
pub(super) struct Seen {
    /// The buffers that the places are of; the first is the dictionary's.
    buffers: Vec<Buffer>,
    places: Places,
    /// Length and place of the text that begins at each offset of a small dictionary, once it has been seen; no long text has no length.
    by_offset: Vec<(u32, u32)>,
    place_of_null: Option<u32>,
    masked: Kept,
    /// Rows that were looked up.
    asked: usize,
    /// Whether there are texts that are not short.
    of_buffers: bool,
    /// Nothing repeats itself in these buffers.
    given_up: bool,
}

/// For which masks it is worth a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// For those that cost less than many different texts do here: where there are few.
    Few,
    /// For those that cost much.
    Any,
}

/// The place of each row, and the rows of those texts that had none.
struct Found {
    places: Vec<u32>,
    new: Vec<u32>,
}

impl Seen {
    /// The masked texts; `None` if they do not repeat themselves by place. `mask` masks those that are new. NULL stays NULL unless it is
    /// masked too.
    pub(super) fn masked(
        &mut self,
        texts: &StringViewArray,
        null_too: bool,
        worth: Worth,
        mask: impl Fn(&StringViewArray) -> Result<ArrayRef>,
    ) -> Result<Option<ArrayRef>> {
        if texts.null_count() == texts.len() {
            return Ok(None);
        }
        let Some(bases) = self.meet(texts) else { return Ok(None) };
        let mut found = Found { places: Vec::with_capacity(texts.len()), new: Vec::new() };
        let mut begun = 0;
        if self.places.len() == 0 {
            begun = texts.len().min(TRIED);
            self.look_up(texts, 0..begun, &bases, null_too, &mut found);
            if worth == Worth::Few && found.new.len() > begun / 4 {
                *self = self.anew(true);
                return Ok(None);
            }
        }
        self.look_up(texts, begun..texts.len(), &bases, null_too, &mut found);
        if !found.new.is_empty() {
            let new = take(texts, &UInt32Array::from(found.new), None)?;
            self.masked.add(mask(new.as_string_view_opt().ok_or_else(super::wrong_type)?)?)?;
        } else {
            self.masked.settle()?;
        }
        let nulls = if null_too { None } else { texts.nulls() };
        self.masked.show(found.places, nulls).map(Some)
    }

    /// Where the batch's buffers begin; `None` if nothing repeats itself in them.
    fn meet(&mut self, texts: &StringViewArray) -> Option<Vec<u64>> {
        let buffers = texts.data_buffers();
        let same_dictionary = buffers.first().is_none_or(|first| self.buffers.first().is_some_and(|known| known.ptr_eq(first)));
        if !same_dictionary {
            self.turn_to(texts);
        }
        let wasted = self.asked > TRIED_LONG && self.places.len() > self.asked / 8 * 7;
        if wasted || self.places.len() > TEXTS_MAX {
            *self = self.anew(wasted);
        }
        if self.given_up || buffers.len() > BUFFERS_MAX {
            return None;
        }
        self.asked = self.asked.saturating_add(texts.len());
        if let Some(dictionary) = buffers.first().filter(|dictionary| self.by_offset.is_empty() && dictionary.len() <= BYTES_BY_OFFSET_MAX)
        {
            self.by_offset.resize(dictionary.len(), (0, 0));
        }
        for buffer in buffers {
            if !self.buffers.iter().any(|known| known.ptr_eq(buffer)) {
                self.buffers.push(buffer.clone());
            }
        }
        Some(buffers.iter().map(|buffer| u64::try_from(buffer.as_ptr().addr()).unwrap_or(u64::MAX)).collect())
    }

    /// Goes on with another dictionary. What was learned of short texts holds in any.
    fn turn_to(&mut self, texts: &StringViewArray) {
        let written_one_by_one = in_order(texts);
        if self.of_buffers || written_one_by_one {
            *self = Self { given_up: written_one_by_one, of_buffers: written_one_by_one, ..Self::default() };
        }
        self.by_offset.clear();
        self.buffers = texts.data_buffers().first().into_iter().cloned().collect();
    }

    /// The same with nothing learned.
    fn anew(&mut self, given_up: bool) -> Self {
        Self { buffers: std::mem::take(&mut self.buffers), of_buffers: self.of_buffers, given_up, ..Self::default() }
    }

    fn look_up(&mut self, texts: &StringViewArray, rows: Range<usize>, bases: &[u64], null_too: bool, found: &mut Found) {
        let mut next = u32::try_from(self.places.len() + usize::from(self.place_of_null.is_some())).unwrap_or(u32::MAX);
        let nulls = texts.nulls();
        let views = texts.views().get(rows.clone()).unwrap_or_default();
        for (row, view) in rows.zip(views) {
            let add = || {
                found.new.push(u32::try_from(row).unwrap_or(u32::MAX));
                next = next.saturating_add(1);
                next.saturating_sub(1)
            };
            let place = if nulls.is_some_and(|nulls| nulls.is_null(row)) {
                if null_too { *self.place_of_null.get_or_insert_with(add) } else { 0 }
            } else {
                let known = slot_of(&mut self.by_offset, *view);
                match &known {
                    Some((slot, length)) if slot.0 == *length => slot.1,
                    _ => {
                        let (key, of_buffer) = key(*view, bases);
                        self.of_buffers |= of_buffer;
                        let place = self.places.place(key, add);
                        if let Some((slot, length)) = known {
                            *slot = (length, place);
                        }
                        place
                    }
                }
            };
            found.places.push(place);
        }
    }
}

/// What is known by offset of the text of a view, and its length; `None` if the text is not of the dictionary, or it is too big for that.
#[inline]
fn slot_of(by_offset: &mut [(u32, u32)], view: u128) -> Option<(&mut (u32, u32), u32)> {
    let [first, second] = halves(view);
    let (length, buffer, offset) = (first & u64::from(u32::MAX), second & u64::from(u32::MAX), second >> 32);
    if length <= INLINE_BYTES_MAX || buffer != 0 {
        return None;
    }
    Some((by_offset.get_mut(usize::try_from(offset).ok()?)?, u32::try_from(length).ok()?))
}

/// What is the same only for the same text: the view of a short one, the length and address of another; and whether it is another.
#[inline]
fn key(view: u128, bases: &[u64]) -> ((u64, u64), bool) {
    let [first, second] = halves(view);
    let length = first & u64::from(u32::MAX);
    if length <= INLINE_BYTES_MAX {
        return ((first, second), false);
    }
    let (buffer, offset) = (second & u64::from(u32::MAX), second >> 32);
    let base = usize::try_from(buffer).ok().and_then(|buffer| bases.get(buffer)).copied().unwrap_or_default();
    // No short text is so long.
    ((length, base.wrapping_add(offset)), true)
}

/// A view: length and beginning of the text, buffer and offset.
#[inline]
fn halves(view: u128) -> [u64; 2] {
    let mut halves = [0; 2];
    halves.iter_mut().zip(view.to_le_bytes().as_chunks().0).for_each(|(half, bytes)| *half = u64::from_le_bytes(*bytes));
    halves
}

/// Whether those of the last texts that lie in a buffer do so in the order of the rows; not if there is none.
fn in_order(texts: &StringViewArray) -> bool {
    let mut last = None;
    let places = texts.views().iter().skip(texts.len().saturating_sub(LOOKED_AT)).map(|view| halves(*view));
    let mut places =
        places.filter(|[first, _]| first & u64::from(u32::MAX) > INLINE_BYTES_MAX).map(|[_, place]| Some(place.rotate_left(32)));
    places.all(|place| place > std::mem::replace(&mut last, place)) && last.is_some()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use datafusion::arrow::array::StringViewBuilder;
    use proptest::prelude::*;

    use super::*;

    fn upper(texts: &StringViewArray) -> ArrayRef {
        Arc::new(texts.iter().map(|text| Some(text.map_or("none".to_owned(), str::to_uppercase))).collect::<StringViewArray>())
    }

    /// Rows over a dictionary of these texts; no number is NULL.
    fn rows(dictionary: &[String], numbers: &[Option<usize>]) -> StringViewArray {
        let mut builder = StringViewBuilder::new();
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        for text in dictionary {
            spans.push((u32::try_from(bytes.len()).unwrap(), u32::try_from(text.len()).unwrap()));
            bytes.extend_from_slice(text.as_bytes());
        }
        let block = builder.append_block(Buffer::from_vec(bytes));
        for number in numbers {
            match number {
                Some(number) => builder.try_append_view(block, spans[*number].0, spans[*number].1).unwrap(),
                None => builder.append_null(),
            }
        }
        builder.finish()
    }

    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("{}{number}", "a text that is long ".repeat(number % 2))).collect()
    }

    fn assert_masked(found: &ArrayRef, texts: &StringViewArray, null_too: bool) {
        let (expected, found) = (upper(texts), found.as_string_view());
        for row in 0..texts.len() {
            assert_eq!(found.is_null(row), texts.is_null(row) && !null_too);
            assert!(found.is_null(row) || found.value(row) == expected.as_string_view().value(row));
        }
    }

    #[test]
    fn each_text_of_a_dictionary_is_masked_once() {
        let all = rows(&texts(50), &(0..4_000).map(|row| (row % 11 != 3).then_some(row * 17 % 50)).collect::<Vec<_>>());
        for null_too in [false, true] {
            let (masked, mut seen) = (Cell::new(0), Seen::default());
            for batch in 0..4 {
                let batch = all.slice(batch * 1_000, 1_000);
                let count = |texts: &StringViewArray| {
                    masked.set(masked.get() + texts.len());
                    Ok(upper(texts))
                };
                let found = seen.masked(&batch, null_too, Worth::Few, count).unwrap().unwrap();
                assert_masked(&found, &batch, null_too);
            }
            assert_eq!(masked.get(), 50 + usize::from(null_too));
        }
    }

    #[test]
    fn another_dictionary_has_other_texts_at_the_same_offsets() {
        let mut seen = Seen::default();
        let numbers: Vec<Option<usize>> = (0..900).map(|row| Some(row * 7 % 40)).collect();
        for word in ["first", "other", "third"] {
            let dictionary: Vec<String> = (0..40).map(|number| format!("the {word} dictionary {number}")).collect();
            let batch = rows(&dictionary, &numbers);
            let found = seen.masked(&batch, false, Worth::Any, |texts| Ok(upper(texts))).unwrap().unwrap();
            assert_masked(&found, &batch, false);
            assert_eq!((seen.buffers.len(), seen.places.len()), (1, 40));
        }
    }

    #[test]
    fn texts_that_are_there_once_are_not_kept() {
        let many: Vec<String> = (0..40_000).map(|number| format!("customer number {number}")).collect();
        let all = rows(&many, &(0..40_000).rev().map(Some).collect::<Vec<_>>());
        let mut seen = Seen::default();
        let found = (0..5).map(|batch| {
            let batch = all.slice(batch * 8_000, 8_000);
            seen.masked(&batch, false, Worth::Any, |texts| Ok(upper(texts))).unwrap().inspect(|found| assert_masked(found, &batch, false))
        });
        assert_eq!(found.map(|found| found.is_some()).collect::<Vec<_>>(), [true, true, true, false, false]);
        assert!(seen.given_up && seen.places.len() == 0);
    }

    #[test]
    fn short_texts_are_known_in_any_dictionary() {
        let (masked, mut seen) = (Cell::new(0), Seen::default());
        let short: Vec<String> = (0..40).map(|number| format!("n{number}")).collect();
        for batch in 0..3 {
            let batch = rows(&short, &(0..900).map(|row| Some((row * 7 + batch) % 40)).collect::<Vec<_>>());
            let count = |texts: &StringViewArray| {
                masked.set(masked.get() + texts.len());
                Ok(upper(texts))
            };
            assert_masked(&seen.masked(&batch, false, Worth::Few, count).unwrap().unwrap(), &batch, false);
        }
        assert_eq!(masked.get(), 40);
    }

    #[test]
    fn what_does_not_repeat_itself_is_left_to_others() {
        let many: Vec<String> = (0..2_000).map(|number| format!("customer number {number}")).collect();
        let backwards: Vec<Option<usize>> = (0..2_000).rev().map(Some).collect();
        let forwards: Vec<Option<usize>> = (0..2_000).map(Some).collect();
        for (numbers, worth) in [(&forwards, Worth::Few), (&forwards, Worth::Any), (&backwards, Worth::Few)] {
            let (mut seen, batch) = (Seen::default(), rows(&many, numbers));
            for _ in 0..2 {
                assert!(seen.masked(&batch, false, worth, |texts| Ok(upper(texts))).unwrap().is_none());
                assert!(seen.given_up && seen.places.len() == 0);
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_the_batches_each_row_shows_its_own_text(
            batches in prop::collection::vec((0..3_usize, prop::collection::vec(prop::option::of(0..30_usize), 1..80)), 1..12),
            null_too in any::<bool>(),
        ) {
            let dictionaries: Vec<Vec<String>> =
                (0..3).map(|which| (0..30).map(|number| format!("{which}{}{number}", "-".repeat(number % 15))).collect()).collect();
            let mut seen = Seen::default();
            for (which, numbers) in batches {
                let batch = rows(&dictionaries[which], &numbers);
                if let Some(found) = seen.masked(&batch, null_too, Worth::Any, |texts| Ok(upper(texts))).unwrap() {
                    assert_masked(&found, &batch, null_too);
                }
            }
        }
    }
}
