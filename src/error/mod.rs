//! SQLSTATE codes, and what a client may be told of an error.
//!
//! INVARIANT: a [`ClientMessage`] holds no value of the data, no credential, no policy text and no path of the server.
//! Each module owns its own `Error` enum and implements [`ClientError`] for it if it can reach a client.

mod chain;
mod sqlstate;

pub use chain::chain;
pub use sqlstate::SqlState;

/// Names of catalog objects that an error is about; clients read them as fields of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorNames {
    /// The schema (a domain).
    pub schema: Option<String>,
    /// The table (a data product).
    pub table: Option<String>,
    /// The column (a field).
    pub column: Option<String>,
}

/// An error that a client may see. `Display` is its message: lower case, no full stop, names in double quotes.
pub trait ClientError: std::error::Error {
    /// The five-letter code that a program acts on.
    fn sqlstate(&self) -> SqlState;

    /// One or more whole sentences on what happened.
    fn detail(&self) -> Option<String> {
        None
    }

    /// One or more whole sentences on what to do next.
    fn hint(&self) -> Option<String> {
        None
    }

    /// Where in the statement's text the fault lies: a character offset that starts at 1.
    fn position(&self) -> Option<usize> {
        None
    }

    /// The objects that the error is about.
    fn names(&self) -> ErrorNames {
        ErrorNames::default()
    }
}

/// What a client is told: a [`ClientError`] detached from its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientMessage {
    /// The five-letter code.
    pub sqlstate: SqlState,
    /// What failed.
    pub message: String,
    /// What happened, in sentences.
    pub detail: Option<String>,
    /// What to do next, in sentences.
    pub hint: Option<String>,
    /// Character offset in the statement, from 1.
    pub position: Option<usize>,
    /// The objects concerned.
    pub names: ErrorNames,
}

impl ClientMessage {
    /// A message with nothing but its code and text.
    pub fn new(sqlstate: SqlState, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), detail: None, hint: None, position: None, names: ErrorNames::default() }
    }

    /// The same message with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same message with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same message with a position.
    #[must_use]
    pub fn with_position(mut self, position: usize) -> Self {
        self.position = Some(position);
        self
    }
}

impl<E: ClientError + ?Sized> From<&E> for ClientMessage {
    fn from(error: &E) -> Self {
        Self {
            sqlstate: error.sqlstate(),
            message: error.to_string(),
            detail: error.detail(),
            hint: error.hint(),
            position: error.position(),
            names: error.names(),
        }
    }
}

impl std::fmt::Display for ClientMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ClientMessage {}

impl ClientError for ClientMessage {
    fn sqlstate(&self) -> SqlState {
        self.sqlstate
    }
    fn detail(&self) -> Option<String> {
        self.detail.clone()
    }
    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
    fn position(&self) -> Option<usize> {
        self.position
    }
    fn names(&self) -> ErrorNames {
        self.names.clone()
    }
}
