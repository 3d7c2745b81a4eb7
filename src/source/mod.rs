//! Where documents come from, and go to, that are not files of this machine: archives of policies, addresses, objects of a store.
//!
//! INVARIANT: what comes from elsewhere is bounded (in bytes, in time, in entries) before it is believed, and no credential is in an
//! error or a log. What the bytes mean is left to whoever asked for them; when to ask again is the reloader's.

mod archive;
mod http;
mod s3;

#[cfg(test)]
mod tests;

pub use archive::{ArchiveEntry, ArchiveError, ArchiveLimits, read_tar_gz};
pub use http::{Fetched, HttpClient, HttpOptions, shown_url};
pub use s3::{S3Credentials, S3Object};

/// Why something could not be fetched. Its text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The client cannot be set up as configured.
    #[error("the address cannot be asked: {0}")]
    Setup(String),
    /// The server could not be asked, or did not answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered something else than the document.
    #[error("the server answered with HTTP status {0}")]
    Status(u16),
    /// The answer is longer than allowed.
    #[error("the answer is longer than {0} bytes")]
    TooLong(u64),
}
