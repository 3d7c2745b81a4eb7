//! Why the log cannot be opened, written or read.

use std::io;

use crate::error::{ClientError, SqlState};

/// A fault of the audit log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record did not become durable, or none can until a new segment is open. The cause is in the server's log.
    #[error("audit log cannot be written")]
    Unwritable,
    /// The log has been closed: the gateway shuts down.
    #[error("audit log is closed")]
    Closed,
    /// Another process writes to the folder.
    #[error("audit folder is in use by another process")]
    InUse,
    /// The folder or the last segment cannot be prepared at the start.
    #[error("audit log cannot be opened")]
    Open(#[source] io::Error),
    /// The segments cannot be read.
    #[error("audit log cannot be read")]
    Read(#[source] io::Error),
}

impl ClientError for Error {
    fn sqlstate(&self) -> SqlState {
        match self {
            Self::Unwritable | Self::Open(_) | Self::InUse => SqlState::DISK_FULL,
            Self::Closed => SqlState::ADMIN_SHUTDOWN,
            Self::Read(_) => SqlState::IO_ERROR,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unwritable => Some("No data is delivered while accesses cannot be recorded. Try again later.".to_owned()),
            Self::Closed | Self::InUse | Self::Open(_) | Self::Read(_) => None,
        }
    }
}
