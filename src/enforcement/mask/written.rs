//! Texts as masks write them: one after the other in one piece of memory.
//!
//! INVARIANT: what is written holds no byte of a raw text but those that the mask shows.

use datafusion::arrow::array::{Array, LargeStringArray, StringViewArray};
use datafusion::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use datafusion::error::Result;

/// Texts one after the other, and where each ends. There is an empty one for each NULL.
pub(super) struct Written {
    bytes: Vec<u8>,
    /// With a zero at the start.
    ends: Vec<i64>,
}

impl Written {
    /// For so many texts of so many bytes.
    pub(super) fn with_capacity(texts: usize, bytes: usize) -> Self {
        let mut ends = Vec::with_capacity(texts.saturating_add(1));
        ends.push(0);
        Self { bytes: Vec::with_capacity(bytes), ends }
    }

    /// What is made of each text; NULL stays NULL. What is made is UTF-8, or an error.
    pub(super) fn each(texts: &StringViewArray, mut make: impl FnMut(&str, &mut Vec<u8>)) -> Result<LargeStringArray> {
        let mut written = Self::with_capacity(texts.len(), bytes_of(texts));
        for text in texts {
            if let Some(text) = text {
                make(text, &mut written.bytes);
            }
            written.end();
        }
        written.finish(texts)
    }

    /// Where texts are appended.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends a text.
    pub(super) fn end(&mut self) {
        // No memory has more bytes than that.
        self.ends.push(i64::try_from(self.bytes.len()).unwrap_or(i64::MAX));
    }

    /// The texts, NULL where the others are NULL.
    pub(super) fn finish(self, like: &StringViewArray) -> Result<LargeStringArray> {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        Ok(LargeStringArray::try_new(ends, Buffer::from_vec(self.bytes), like.nulls().cloned())?)
    }
}

/// Bytes of all texts together.
pub(super) fn bytes_of(texts: &StringViewArray) -> usize {
    if texts.null_count() > 0 {
        // Where there is NULL, a view may have any length.
        return texts.iter().flatten().map(str::len).sum();
    }
    usize::try_from(texts.lengths().map(u64::from).sum::<u64>()).unwrap_or(usize::MAX)
}
