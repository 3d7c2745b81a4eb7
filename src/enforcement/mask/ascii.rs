//! Texts of ASCII, made into an array without looking at each of them again.
//!
//! An array of texts is checked where it is made: that each view lies in a buffer, begins as its text does, and is UTF-8. One by one that takes longer
//! than masking them. Here all bytes are found to be ASCII in one go, and each view is made of the bytes that it shows, so there is nothing left
//! to check.

use datafusion::arrow::array::StringViewArray;
use datafusion::arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};

/// A text of at most so many bytes is in its view.
const INLINE_BYTES_MAX: usize = 12;
/// Bytes of the length before a text in its view.
const LENGTH_BYTES: usize = 4;

/// Texts one after the other.
pub(super) struct AsciiTexts {
    bytes: Vec<u8>,
    /// INVARIANT: each is that of a short text, whose bytes are in `short`, too, or of a range of `bytes`. Bytes below `shown` are not written again.
    views: Vec<u128>,
    shown: usize,
    /// All bits that short texts have.
    short: u128,
    /// A text lies beyond what a view can point to.
    too_far: bool,
}

impl AsciiTexts {
    /// For so many texts of so many bytes.
    pub(super) fn with_capacity(texts: usize, bytes: usize) -> Self {
        Self::over(vec![0; bytes], texts)
    }

    /// For so many texts that lie in these bytes, or come to lie there.
    pub(super) fn over(bytes: Vec<u8>, texts: usize) -> Self {
        Self { bytes, views: Vec::with_capacity(texts), shown: 0, short: 0, too_far: false }
    }

    /// There is no text.
    #[inline]
    pub(super) fn push_null(&mut self) {
        self.views.push(0);
    }

    /// The next of the bytes are a text, after `change` has changed them.
    #[inline]
    pub(super) fn push_next(&mut self, length: usize, change: impl FnOnce(&mut [u8])) {
        let start = self.shown;
        match self.bytes.get_mut(start..).and_then(|rest| rest.get_mut(..length)) {
            Some(text) => {
                change(text);
                let view = if length > INLINE_BYTES_MAX { long(text, start) } else { Some(short(text)) };
                self.push_view(view);
                self.shown = start.saturating_add(length);
            }
            None => self.push_view(None),
        }
    }

    /// A text.
    #[inline]
    pub(super) fn push(&mut self, text: &[u8]) {
        if text.len() <= INLINE_BYTES_MAX {
            let view = short(text);
            self.short |= view >> (8 * LENGTH_BYTES);
            self.push_view(Some(view));
            return;
        }
        let end = self.shown.saturating_add(text.len());
        if end > self.bytes.len() {
            self.bytes.resize(end.max(self.bytes.len().saturating_mul(2)), 0);
        }
        self.push_next(text.len(), |to| copy(text, to));
    }

    #[inline]
    fn push_view(&mut self, view: Option<u128>) {
        self.too_far |= view.is_none();
        self.views.push(view.unwrap_or_default());
    }

    /// The texts; `None` if they are not all of ASCII, or too much for one array.
    pub(super) fn finish(mut self, nulls: Option<&NullBuffer>) -> Option<StringViewArray> {
        self.bytes.truncate(self.shown);
        if self.shown < self.bytes.capacity() / 2 {
            self.bytes.shrink_to_fit();
        }
        if self.too_far || !self.bytes.is_ascii() || !self.short.to_le_bytes().is_ascii() {
            return None;
        }
        if nulls.is_some_and(|nulls| nulls.len() != self.views.len()) {
            return None;
        }
        let (views, bytes) = (ScalarBuffer::from(self.views), Buffer::from_vec(self.bytes));
        // SAFETY: each view is one of no bytes, holds a text of at most twelve bytes with zeros behind it, or shows a range of the one buffer and begins
        // with its first four bytes, which have not been written since. All bytes are ASCII, so any range of them is UTF-8. There are as many views as
        // bits of validity.
        #[expect(unsafe_code, reason = "checking each text once more takes longer than masking it")]
        let texts = unsafe { StringViewArray::new_unchecked(views, vec![bytes], nulls.cloned()) };
        Some(texts)
    }
}

/// The view of a text of at most twelve bytes, which is in it: its length and its bytes.
#[inline]
fn short(text: &[u8]) -> u128 {
    let behind = |part: usize| 8 * text.len().saturating_sub(part);
    let bytes = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        u128::from(u64::from_le_bytes(*first)) | u128::from(u64::from_le_bytes(*last)) << behind(8)
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        u128::from(u32::from_le_bytes(*first)) | u128::from(u32::from_le_bytes(*last)) << behind(4)
    } else {
        text.iter().rev().fold(0, |bytes, byte| bytes << 8 | u128::from(*byte))
    };
    bytes << (8 * LENGTH_BYTES) | u128::from(u8::try_from(text.len()).unwrap_or(0))
}

/// The view of a text that lies there in the one buffer: its length, its first bytes, the buffer and the place.
#[inline]
fn long(text: &[u8], start: usize) -> Option<u128> {
    let first = u32::from_le_bytes(*text.first_chunk()?);
    let (length, start) = (i32::try_from(text.len()).ok()?, i32::try_from(start).ok()?);
    Some(u128::from(length.cast_unsigned()) | u128::from(first) << 32 | u128::from(start.cast_unsigned()) << 96)
}

/// Copies a text to where there is room for it. Most are short, and a few whole blocks are copied faster than a call takes.
#[inline]
pub(super) fn copy(text: &[u8], to: &mut [u8]) {
    match text.len() {
        0..8 => to.iter_mut().zip(text).for_each(|(to, byte)| *to = *byte),
        8..16 => copy_ends::<8>(text, to),
        16..=32 => copy_ends::<16>(text, to),
        _ => to.copy_from_slice(text),
    }
}

/// The first and the last bytes, which meet or overlap.
#[inline]
fn copy_ends<const BYTES: usize>(text: &[u8], to: &mut [u8]) {
    if let (Some(first), Some(to)) = (text.first_chunk::<BYTES>(), to.first_chunk_mut()) {
        *to = *first;
    }
    if let (Some(last), Some(to)) = (text.last_chunk::<BYTES>(), to.last_chunk_mut()) {
        *to = *last;
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Array;
    use proptest::prelude::*;

    use super::*;

    /// As the library checks it.
    fn assert_valid(texts: &StringViewArray) {
        let checked = StringViewArray::try_new(texts.views().clone(), texts.data_buffers().to_vec(), texts.nulls().cloned());
        assert_eq!(&checked.unwrap(), texts);
    }

    proptest! {
        #[test]
        fn texts_are_what_was_pushed(texts in prop::collection::vec(prop::option::of("[ -~]{0,20}"), 0..30), ahead in any::<bool>()) {
            let expected: StringViewArray = texts.iter().map(Option::as_deref).collect();
            let mut found = AsciiTexts::with_capacity(texts.len(), 0);
            if ahead {
                found = AsciiTexts::over(texts.iter().flatten().flat_map(|text| vec![0; text.len()]).collect(), texts.len());
            }
            for text in &texts {
                match text {
                    None => found.push_null(),
                    Some(text) if ahead => found.push_next(text.len(), |to| copy(text.as_bytes(), to)),
                    Some(text) => found.push(text.as_bytes()),
                }
            }
            let found = found.finish(expected.nulls()).unwrap();
            assert_valid(&found);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_not_ascii_is_refused(before in "[ -~]{0,20}", after in "[ -~]{0,20}", row in 0..3_usize) {
            let text = format!("{before}é{after}");
            let mut found = AsciiTexts::with_capacity(3, 0);
            for at in 0..3 {
                found.push(if at == row { text.as_bytes() } else { b"a text of the others" });
            }
            prop_assert!(found.finish(None).is_none());
        }
    }

    #[test]
    fn a_text_beyond_the_bytes_is_refused() {
        for length in [3, 13, usize::MAX] {
            let mut texts = AsciiTexts::over(vec![b'a'; 2], 1);
            texts.push_next(length, |_| {});
            assert!(texts.finish(None).is_none());
        }
    }
}
