//! Writes the fields of a record straight into its line: no value is made only to be written.

use serde::Serialize;
use uuid::Uuid;

/// The fields of an object, one after the other.
pub(super) struct Fields<'a> {
    out: &'a mut Vec<u8>,
    begun: bool,
}

impl<'a> Fields<'a> {
    /// Those of an object that is opened here.
    pub(super) fn of_object(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, begun: false }
    }

    /// More fields of an object that has some.
    pub(super) fn more(out: &'a mut Vec<u8>) -> Self {
        Self { out, begun: true }
    }

    /// A field that is written by `write`. Keys are words of ours: they need no escapes.
    pub(super) fn with(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
        write(self.out);
        self
    }

    /// A text, a number, a truth, or a list of them. One that has no JSON form is null; of these, all have.
    pub(super) fn value(&mut self, key: &str, value: &(impl Serialize + ?Sized)) -> &mut Self {
        self.with(key, |out| json(out, value))
    }

    /// An id.
    pub(super) fn id(&mut self, key: &str, id: &Uuid) -> &mut Self {
        self.with(key, |out| {
            out.push(b'"');
            out.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
            out.push(b'"');
        })
    }

    /// Fields that are written already, at least one, with commas between them.
    pub(super) fn written(&mut self, fields: &[u8]) -> &mut Self {
        if std::mem::replace(&mut self.begun, true) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(fields);
        self
    }

    /// Ends the object.
    pub(super) fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// Items between brackets.
pub(super) fn list<T>(out: &mut Vec<u8>, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// A value as JSON.
pub(super) fn json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}
