//! Segments as files of one folder, which a lock keeps to one process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::audit::Error;

use super::{Segment, Storage, sort_segments};

const LOCK_NAME: &str = "audit.lock";

/// A folder that this process alone writes to.
#[derive(Debug)]
pub(in crate::audit) struct FolderStorage {
    folder: PathBuf,
    /// Held for as long as the storage lives; the system lets go of it when the process ends, however it ends.
    _lock: File,
}

impl FolderStorage {
    /// Makes the folder if need be, and locks it.
    pub(in crate::audit) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::Open)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK_NAME)).map_err(Error::Open)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse),
            Err(TryLockError::Error(source)) => Err(Error::Open(source)),
        }
    }

    /// A new or vanished name is durable only when its folder is.
    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Storage for FolderStorage {
    fn segments(&mut self) -> io::Result<Vec<String>> {
        list(&self.folder)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.folder.join(name))
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.folder.join(name))?;
        file.set_len(length)?;
        file.sync_all()
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn Segment>> {
        let file = OpenOptions::new().append(true).create_new(true).open(self.folder.join(name))?;
        self.sync_folder()?;
        Ok(Box::new(FileSegment { file }))
    }
}

#[derive(Debug)]
struct FileSegment {
    file: File,
}

impl Segment for FileSegment {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn abandon_beyond(&mut self, length: u64) {
        if let Err(error) = self.file.set_len(length) {
            tracing::warn!(kind = %error.kind(), "a failed audit segment keeps its void tail");
        }
    }
}

/// Reads the segments of a folder, also while another process writes to it.
#[derive(Debug)]
pub(in crate::audit) struct FolderReader<'a>(pub(in crate::audit) &'a Path);

impl FolderReader<'_> {
    /// The names in order.
    pub(in crate::audit) fn segments(&self) -> io::Result<Vec<String>> {
        list(self.0)
    }

    /// The whole of a segment.
    pub(in crate::audit) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.0.join(name))
    }
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(sort_segments(names))
}
