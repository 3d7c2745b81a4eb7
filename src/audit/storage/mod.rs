//! Where segments lie. The log writes through these traits, so that tests can make a disk fail.

mod folder;
mod memory;

use std::io;

pub(super) use folder::{FolderReader, FolderStorage};
pub use memory::MemoryLog;

/// The ending of a segment's name.
const SEGMENT_PREFIX: &str = "audit-";
const SEGMENT_SUFFIX: &str = ".jsonl";

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

fn segment_seq(name: &str) -> Option<u64> {
    let (_, seq) = name.strip_prefix(SEGMENT_PREFIX)?.strip_suffix(SEGMENT_SUFFIX)?.rsplit_once('-')?;
    seq.parse().ok()
}
