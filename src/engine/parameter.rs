//! Parameters as a client sends them.

use bytes::Bytes;

/// How a value is written on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text in the client's encoding.
    #[default]
    Text,
    /// The type's binary form.
    Binary,
}

/// One bound parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// How `value` is written.
    pub format: Format,
    /// `None` is NULL.
    pub value: Option<Bytes>,
}
