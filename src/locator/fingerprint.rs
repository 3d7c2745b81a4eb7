//! A cheap look at files and folders: whether anything in them may have changed since the last look.
//!
//! Reads no content. Polled several times a second, so it stays cheap and bounded.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Levels of folders that are looked at.
const DEPTH_MAX: usize = 8;

/// Entries that are looked at; past them only the folders' own times tell.
const ENTRIES_MAX: usize = 50_000;

/// Equal fingerprints: nothing changed, as far as the file system tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fingerprint {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    path: PathBuf,
    /// `None`: it cannot be read.
    state: Option<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    /// A file in the place of another can have its inode; it was not born with it. `None` where the file system does not tell.
    born: Option<SystemTime>,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            born: metadata.created().ok(),
            // A folder's own size and times change with files that do not matter to anyone; its entries tell.
            bytes: if metadata.is_dir() { 0 } else { metadata.len() },
            modified: if metadata.is_dir() { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) },
            changed: if metadata.is_dir() { (0, 0) } else { (metadata.ctime(), metadata.ctime_nsec()) },
        }
    }
}

impl Fingerprint {
    /// Whether every file that differs from `earlier` is another file in its place, and none was added, removed, or written to.
    pub fn replaces(&self, earlier: &Self) -> bool {
        let same_file = |(now, then): (&Entry, &Entry)| {
            let replaced = match (now.state, then.state) {
                (Some(now), Some(then)) => now == then || (now.device, now.inode, now.born) != (then.device, then.inode, then.born),
                (None, None) => true,
                _ => false,
            };
            now.path == then.path && replaced
        };
        self.entries.len() == earlier.entries.len() && self.entries.iter().zip(&earlier.entries).all(same_file)
    }
}

/// Looks at files, and at folders with all that is in them but hidden entries.
pub fn fingerprint<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Fingerprint {
    let mut print = Fingerprint::default();
    for path in paths {
        look(path.as_ref(), DEPTH_MAX, &mut print.entries);
    }
    print
}

fn look(path: &Path, depth: usize, entries: &mut Vec<Entry>) {
    if entries.len() >= ENTRIES_MAX {
        return;
    }
    // Links are followed: a mounted configuration changes by moving one link.
    let metadata = fs::metadata(path).ok();
    let is_folder = metadata.as_ref().is_some_and(Metadata::is_dir);
    entries.push(Entry { path: path.to_path_buf(), state: metadata.as_ref().map(State::of) });
    if !is_folder || depth == 0 {
        return;
    }
    let Ok(listed) = fs::read_dir(path) else { return };
    let mut inside: Vec<PathBuf> = listed
        .flatten()
        .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
        .map(|entry| entry.path())
        .take(ENTRIES_MAX)
        .collect();
    inside.sort();
    for path in inside {
        look(&path, depth - 1, entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_and_a_second_look_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("customer");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("a.yaml"), "one").unwrap();
        let look = || fingerprint([folder.path()]);
        let first = look();
        assert_eq!(first, look());
        fs::write(inner.join("a.yaml"), "one longer").unwrap();
        let second = look();
        assert_ne!(first, second);
        fs::write(inner.join("b.yaml"), "").unwrap();
        let third = look();
        assert_ne!(second, third);
        fs::remove_file(inner.join("b.yaml")).unwrap();
        assert_eq!(second, look());
    }

    #[test]
    fn a_replaced_file_of_equal_length_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        fs::write(&path, "one").unwrap();
        let first = fingerprint([&path]);
        let other = folder.path().join("b.yaml");
        fs::write(&other, "two").unwrap();
        fs::rename(&other, &path).unwrap();
        let second = fingerprint([&path]);
        assert_ne!(first, second);
        assert!(second.replaces(&first));
        fs::write(&path, "two, longer").unwrap();
        assert!(!fingerprint([&path]).replaces(&second));
    }

    #[test]
    fn a_missing_path_is_a_state_like_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let missing = fingerprint([&path]);
        assert_eq!(missing, fingerprint([&path]));
        fs::write(&path, "").unwrap();
        assert_ne!(missing, fingerprint([&path]));
    }
}
