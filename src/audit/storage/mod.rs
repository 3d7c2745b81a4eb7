//! Where segments lie. The log writes through these traits, so that tests can make a disk fail.

mod folder;
mod memory;

use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;

pub(super) use folder::{FolderSegments, FolderStorage};
pub use memory::MemoryLog;

/// The ending of a segment's name.
const SEGMENT_PREFIX: &str = "audit-";
const SEGMENT_SUFFIX: &str = ".jsonl";
/// What follows it if the segment is compressed (gzip).
const COMPRESSED_SUFFIX: &str = ".gz";

/// A place for segments, held by one writer.
pub trait Storage: Send {
    /// The names of the segments, in the order in which they were opened.
    fn segments(&mut self) -> io::Result<Vec<String>>;

    /// The whole of a segment.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Cuts a segment to `length` bytes, durably.
    fn cut(&mut self, name: &str, length: u64) -> io::Result<()>;

    /// A new, empty segment whose name is durable. Fails if the name is taken.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn Segment>>;

    /// The same segments for those who read them while they are written.
    fn reader(&self) -> Arc<dyn Segments>;
}

/// Segments as they are read, also while somebody writes to the newest.
pub trait Segments: Send + Sync {
    /// The names of the segments, in the order in which they were opened.
    fn segments(&self) -> io::Result<Vec<String>>;

    /// A segment from its beginning to where it ends now.
    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead + Send>>;

    /// The folder that they lie in, if it is one.
    fn folder(&self) -> Option<&Path> {
        None
    }
}

/// A segment that is being written.
pub trait Segment: Send {
    /// Appends bytes; they need not be durable yet.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable. Never called again after it has failed.
    fn sync(&mut self) -> io::Result<()>;

    /// Tries to take back what lies beyond `length`, after a failure. Whether it worked is not relied on.
    fn abandon_beyond(&mut self, length: u64);
}

/// A segment's name: `audit-<UTC stamp>-<number of its first record>.jsonl`.
pub(super) fn segment_name(at: chrono::DateTime<chrono::Utc>, seq: u64) -> String {
    format!("{SEGMENT_PREFIX}{}-{seq:012}{SEGMENT_SUFFIX}", at.format("%Y%m%dT%H%M%S%.6fZ"))
}

/// Sorts by the number of the first record, then by the stamp; drops what is no segment. A clock that went back changes nothing.
pub(super) fn sort_segments(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut segments: Vec<(u64, String)> = names.into_iter().filter_map(|name| segment_seq(&name).map(|seq| (seq, name))).collect();
    segments.sort();
    segments.into_iter().map(|(_, name)| name).collect()
}

/// Whether a segment of that name is compressed.
pub(super) fn is_compressed(name: &str) -> bool {
    name.ends_with(COMPRESSED_SUFFIX)
}

/// The name that a segment was opened with.
pub(super) fn opened_name(name: &str) -> &str {
    name.strip_suffix(COMPRESSED_SUFFIX).unwrap_or(name)
}

fn segment_seq(name: &str) -> Option<u64> {
    let (_, seq) = opened_name(name).strip_prefix(SEGMENT_PREFIX)?.strip_suffix(SEGMENT_SUFFIX)?.rsplit_once('-')?;
    seq.parse().ok()
}
