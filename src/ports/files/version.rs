//! Which file it is, exactly: what is the same only if its bytes are.
//!
//! INVARIANT: while a file has one version, it has one content. A file of which that cannot be said has none: one that has changed so lately
//! that its next change might bear the same time, and one on a file system that is not known to date every change at once (those that
//! others write to over a network, above all).

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arrow::datatypes::{FieldRef, Fields};
use datafusion::common::ScalarValue;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

/// File systems of this machine: a change of a file's bytes, name or owner changes its time of change, which nobody can set.
const DATED: &[&str] = &["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "tmpfs", "overlay"];
const MOUNTS: &str = "/proc/self/mountinfo";

/// One content of one file, with what its folders tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileVersion {
    kind: Kind,
    /// A file can lie in several folders, under one inode.
    told: Arc<[(FieldRef, ScalarValue)]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// Of a file system.
    Local(Stamp),
    /// Of an object store, by the store's own tag.
    Stored { store: String, object: ObjectPath, tag: String, size: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds, like the next.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    fn new(kind: Kind) -> Self {
        Self { kind, told: Arc::default() }
    }

    /// The same content, in folders that tell these values of these columns.
    pub(in super::super) fn told(&self, columns: &Fields, values: &[ScalarValue]) -> Self {
        let told = columns.iter().cloned().zip(values.iter().cloned()).collect();
        Self { kind: self.kind.clone(), told }
    }

    /// That of the file that is there now, however young it is.
    #[cfg(test)]
    pub(in super::super) fn of_now(path: &Path) -> Self {
        Self::new(Kind::Local(Stamp::of(&std::fs::metadata(path).unwrap())))
    }

    /// Whether the open file is still of this version. Then all that was read from it is.
    pub(in super::super) fn is_of(&self, file: &File) -> bool {
        match &self.kind {
            Kind::Local(stamp) => file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == *stamp),
            Kind::Stored { .. } => false,
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it is so long since the file changed that its next change will bear another time.
    fn is_settled(&self, settling: Duration, now: SystemTime) -> bool {
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else { return false };
        now.checked_sub(Duration::new(seconds, nanos)).is_some_and(|age| age >= settling)
    }
}

/// Tells the versions of files.
#[derive(Debug)]
pub(in super::super) struct Versions {
    settling: Duration,
    /// Devices, and whether their files can be told apart.
    dated: Mutex<HashMap<u64, bool>>,
}

impl Versions {
    /// Files that have changed within that time have no version.
    pub(super) fn new(settling: Duration) -> Self {
        Self { settling, dated: Mutex::default() }
    }

    /// The version of the file that is there now, if there can be one.
    pub(super) fn of(&self, path: &Path) -> Option<FileVersion> {
        let metadata = std::fs::metadata(path).ok().filter(Metadata::is_file)?;
        let stamp = Stamp::of(&metadata);
        let mut dated = self.dated.lock().unwrap_or_else(PoisonError::into_inner);
        let is_dated = *dated.entry(stamp.device).or_insert_with(|| is_dated(path));
        (is_dated && stamp.is_settled(self.settling, SystemTime::now())).then_some(FileVersion::new(Kind::Local(stamp)))
    }

    /// The version of an object, by the tag that its store has given it.
    pub(super) fn stored(&self, store: &str, object: &ObjectMeta) -> Option<FileVersion> {
        // A weak tag stands for what means the same, not for the same bytes.
        let tag = object.e_tag.as_ref().filter(|tag| !tag.is_empty() && !tag.starts_with("W/"))?;
        let age = SystemTime::now().duration_since(object.last_modified.into()).ok()?;
        let (store, object_path) = (store.to_owned(), object.location.clone());
        let kind = Kind::Stored { store, object: object_path, tag: tag.clone(), size: object.size };
        (age >= self.settling).then_some(FileVersion::new(kind))
    }
}

fn is_dated(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let Ok(mounts) = std::fs::read_to_string(MOUNTS) else { return false };
    file_system(&mounts, &path).is_some_and(|kind| DATED.contains(&kind))
}

/// The file system that a path is on: that of the deepest mount above it, and of several there the last.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut deepest = None;
    for line in mounts.lines() {
        let (place, source) = line.split_once(" - ")?;
        let (mount, kind) = (unescaped(place.split(' ').nth(4)?)?, source.split(' ').next()?);
        let depth = mount.components().count();
        if path.starts_with(&mount) && deepest.is_none_or(|(known, _)| depth >= known) {
            deepest = Some((depth, kind));
        }
    }
    deepest.map(|(_, kind)| kind)
}

/// A path as the list of mounts spells it: blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> Option<PathBuf> {
    let mut parts = text.split('\\');
    let mut path = parts.next()?.to_owned();
    for part in parts {
        let (digits, rest) = part.split_at_checked(3)?;
        path.push(char::from(u8::from_str_radix(digits, 8).ok()?));
        path.push_str(rest);
    }
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "22 1 254:0 / / rw - ext4 /dev/vda rw\n\
        30 22 0:40 / /data rw shared:1 - nfs4 server:/x rw\n\
        31 30 0:41 / /data/my\\040disk rw - xfs /dev/vdb rw\n\
        32 22 0:42 / /over rw - ext4 /dev/vdc rw\n\
        33 22 0:43 / /over rw - fuse.sshfs host: rw\n";

    fn stamp(path: &Path) -> Stamp {
        Stamp::of(&std::fs::metadata(path).unwrap())
    }

    fn is_of(stamp: &Stamp, file: &File) -> bool {
        FileVersion::new(Kind::Local(stamp.clone())).is_of(file)
    }

    #[test]
    fn an_object_has_a_version_by_a_strong_tag() {
        let object = |tag: Option<&str>| ObjectMeta {
            location: ObjectPath::from("a.parquet"),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 7,
            e_tag: tag.map(str::to_owned),
            version: None,
        };
        let versions = Versions::new(Duration::from_secs(2));
        let version = |store: &str, tag| versions.stored(store, &object(tag));
        assert!(version("a", Some("\"1\"")).is_some());
        assert_eq!(version("a", Some("\"1\"")), version("a", Some("\"1\"")));
        assert_ne!(version("a", Some("\"1\"")), version("b", Some("\"1\"")));
        assert_ne!(version("a", Some("\"1\"")), version("a", Some("\"2\"")));
        assert!(version("a", Some("W/\"1\"")).is_none());
        assert!(version("a", None).is_none());
        let young = ObjectMeta { last_modified: chrono::Utc::now(), ..object(Some("1")) };
        assert!(versions.stored("a", &young).is_none());
    }

    #[test]
    fn the_deepest_mount_says_which_file_system_it_is() {
        for (path, kind) in [
            ("/tmp/a", "ext4"),
            ("/data/a", "nfs4"),
            ("/data/my disk/a", "xfs"),
            ("/data/my diskette", "nfs4"),
            ("/dataset", "ext4"),
            ("/over/a", "fuse.sshfs"),
        ] {
            assert_eq!(file_system(TABLE, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(file_system("no mounts", Path::new("/tmp")), None);
    }

    #[test]
    fn a_file_has_a_version_once_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let now = SystemTime::now();
        let settling = Duration::from_secs(2);
        let stamp = stamp(&path);
        assert!(!stamp.is_settled(settling, now));
        assert!(stamp.is_settled(settling, now + Duration::from_secs(3)));
        // The clock was set back.
        assert!(!stamp.is_settled(settling, now - Duration::from_secs(60)));
        assert!(Versions::new(settling).of(&path).is_none());
        assert_eq!(Versions::new(Duration::ZERO).of(&path), Some(FileVersion::new(Kind::Local(stamp))));
        assert!(Versions::new(Duration::ZERO).of(folder.path()).is_none());
        assert!(Versions::new(Duration::ZERO).of(&folder.path().join("absent")).is_none());
    }

    #[test]
    fn every_change_makes_another_version_even_if_size_and_time_are_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&path, "abc").unwrap();
        let (before, modified) = (stamp(&path), std::fs::metadata(&path).unwrap().modified().unwrap());
        let file = File::open(&path).unwrap();
        assert!(is_of(&before, &file));
        // The times of files go by the ticks of a clock.
        let mut after = before.clone();
        while after.changed == before.changed {
            std::fs::write(&path, "abd").unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            after = stamp(&path);
        }
        assert_eq!((after.size, after.modified, after.inode), (before.size, before.modified, before.inode));
        assert_ne!(after, before);
        assert!(!is_of(&before, &file));
        std::fs::write(&other, "abc").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_ne!(stamp(&path).inode, after.inode);
        // Whoever has it open reads on in the old one.
        assert!(!is_of(&stamp(&path), &file));
    }
}
