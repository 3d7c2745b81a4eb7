//! What a source is told of the statement that reads it: an id to find it by, and when it ends.

use std::time::Instant;

/// A statement, as an extension of the session's configuration. Without one a scan has no name and no end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its id in the audit log.
    pub query_id: String,
    /// When it ends at the latest.
    pub deadline: Option<Instant>,
}
