//! The written values of one column.

/// Values one after another, each with where it ends.
#[derive(Debug, Default)]
pub(in crate::wire) struct Cells {
    bytes: Vec<u8>,
    /// Where each value ends, and whether it is there at all.
    ends: Vec<(usize, bool)>,
}

impl Cells {
    /// Forgets the values, keeps the memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Appends NULL.
    pub(super) fn null(&mut self) {
        self.ends.push((self.bytes.len(), false));
    }

    /// Appends a value.
    pub(super) fn put(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end();
    }

    /// Appends a value or NULL.
    pub(super) fn put_option(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.put(value),
            None => self.null(),
        }
    }

    /// Where the next value is written; [`Self::end`] ends it.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the value that was written to [`Self::out`].
    pub(super) fn end(&mut self) {
        self.ends.push((self.bytes.len(), true));
    }

    /// The value at an index; `None` is NULL.
    pub(super) fn cell(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        match self.ends.get(index) {
            Some((end, true)) => self.bytes.get(start..*end),
            _ => None,
        }
    }
}
