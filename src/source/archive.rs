//! Reads a `.tar.gz` that somebody else packed.
//!
//! INVARIANT: nothing is written to disk, and no entry is believed: an archive with a link, a device, a path that leads outside, a path
//! that occurs twice, too many entries or too many bytes once unpacked is refused as a whole.

use std::collections::BTreeSet;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

/// What an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Entries, folders and files that are passed over included.
    pub entries_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of the whole archive once it is decompressed.
    pub bytes_max: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries_max: 10_000, file_bytes_max: 16 << 20, bytes_max: 128 << 20 }
    }
}

/// The longest path of an entry.
const PATH_BYTES_MAX: usize = 1_024;

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// Its path, relative, with `/`.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Why an archive is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It cannot be read as what it should be.
    #[error("not a readable .tar.gz archive: {0}")]
    Unreadable(String),
    /// Decompressed it has more bytes than allowed.
    #[error("the archive has more than {0} bytes when it is decompressed")]
    TooLong(u64),
    /// It has more entries than allowed.
    #[error("the archive has more than {0} entries")]
    TooMany(usize),
    /// One of its entries is refused.
    #[error("{path}: {reason}")]
    Entry {
        /// The entry, made printable.
        path: String,
        /// Why.
        reason: &'static str,
    },
}

/// The files of an archive that are `wanted`, in the order of the archive. All entries are checked, wanted or not.
///
/// # Errors
/// The first reason not to believe the archive.
pub fn read_tar_gz(bytes: &[u8], limits: ArchiveLimits, wanted: impl Fn(&str) -> bool) -> Result<Vec<ArchiveEntry>, ArchiveError> {
    let bounded = Bounded { inner: MultiGzDecoder::new(bytes), left: limits.bytes_max.saturating_add(1) };
    let mut archive = Archive::new(bounded);
    let read = read_entries(&mut archive, limits, wanted);
    let mut rest = archive.into_inner();
    // The checksum stands at the end: an archive that was cut off shows only there.
    let ended = read.is_err() || io::copy(&mut rest, &mut io::sink()).is_ok();
    if rest.left == 0 {
        return Err(ArchiveError::TooLong(limits.bytes_max));
    }
    if !ended {
        return Err(ArchiveError::Unreadable("it is damaged or cut off".to_owned()));
    }
    read
}

fn read_entries<R: Read>(
    archive: &mut Archive<R>,
    limits: ArchiveLimits,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<ArchiveEntry>, ArchiveError> {
    let unreadable = |error: io::Error| ArchiveError::Unreadable(error.to_string());
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        if index >= limits.entries_max {
            return Err(ArchiveError::TooMany(limits.entries_max));
        }
        let entry = entry.map_err(unreadable)?;
        let raw = entry.path_bytes().into_owned();
        let refused = |reason| ArchiveError::Entry { path: printable(&raw), reason };
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::Directory => {}
            EntryType::XGlobalHeader => continue,
            EntryType::Symlink | EntryType::Link => return Err(refused("links are refused")),
            _ => return Err(refused("only files and folders are allowed")),
        }
        let path = relative_path(&raw).map_err(refused)?;
        if entry.header().entry_type() == EntryType::Directory {
            continue;
        }
        if path.is_empty() {
            return Err(refused("a file without a name"));
        }
        if !seen.insert(path.clone()) {
            return Err(refused("the path occurs twice"));
        }
        if entry.size() > limits.file_bytes_max {
            return Err(refused("the file is too long"));
        }
        if wanted(&path) {
            let mut bytes = Vec::new();
            entry.take(limits.file_bytes_max).read_to_end(&mut bytes).map_err(unreadable)?;
            files.push(ArchiveEntry { path, bytes });
        }
    }
    Ok(files)
}

/// The path below the archive's root. One leading `/` or `./` is how packers write the root.
fn relative_path(raw: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(raw).map_err(|_| "the path is not UTF-8")?;
    if text.len() > PATH_BYTES_MAX {
        return Err("the path is too long");
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err("the path has a control character or a backslash");
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("the path leads outside of the archive");
    }
    Ok(parts.join("/"))
}

fn printable(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().take(120).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Fails when more than so many bytes come out.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("more bytes than are allowed"));
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}
