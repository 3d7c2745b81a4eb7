//! Segments as files of one folder, which a lock keeps to one process.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::audit::Error;

use super::{COMPRESSED_SUFFIX, Segment, Segments, Storage, is_compressed, opened_name, sort_segments};

/// Bytes of a segment that are read at a time.
const READ_BYTES: usize = 256 << 10;

/// The ending of what is not compressed to its end.
const HALF_DONE_SUFFIX: &str = ".tmp";

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
        let mut bytes = Vec::new();
        FolderSegments(self.folder.clone()).open(name)?.read_to_end(&mut bytes)?;
        Ok(bytes)
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

    fn reader(&self) -> Arc<dyn Segments> {
        Arc::new(FolderSegments(self.folder.clone()))
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

/// The segments of a folder, also while another process writes to it.
#[derive(Debug)]
pub(in crate::audit) struct FolderSegments(pub(in crate::audit) PathBuf);

impl Segments for FolderSegments {
    fn folder(&self) -> Option<&Path> {
        Some(&self.0)
    }

    fn segments(&self) -> io::Result<Vec<String>> {
        list(&self.0)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead + Send>> {
        let file = File::open(self.0.join(name))?;
        if is_compressed(name) {
            return Ok(Box::new(BufReader::with_capacity(READ_BYTES, GzDecoder::new(BufReader::with_capacity(READ_BYTES, file)))));
        }
        // What is appended meanwhile is for the next reader.
        let length = file.metadata()?.len();
        Ok(Box::new(BufReader::with_capacity(READ_BYTES, file.take(length))))
    }
}

impl FolderSegments {
    /// Puts a compressed segment in the place of a closed one. A crash leaves at least one of the two whole.
    pub(in crate::audit) fn compress(&self, name: &str) -> io::Result<()> {
        let (from, to) = (self.0.join(name), self.0.join(format!("{name}{COMPRESSED_SUFFIX}")));
        let half_done = self.0.join(format!("{name}{COMPRESSED_SUFFIX}{HALF_DONE_SUFFIX}"));
        let mut encoder = GzEncoder::new(File::create(&half_done)?, Compression::default());
        io::copy(&mut BufReader::with_capacity(READ_BYTES, File::open(&from)?), &mut encoder)?;
        encoder.finish()?.sync_all()?;
        fs::rename(&half_done, &to)?;
        File::open(&self.0)?.sync_all()?;
        self.remove(name)
    }

    /// Removes a closed segment.
    pub(in crate::audit) fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

/// The segments of a folder. One that is there in both forms is whole in the first: compressing it was interrupted at its end.
fn list(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.insert(name);
        }
    }
    let twice = |name: &String| is_compressed(name) && names.contains(opened_name(name));
    let once: Vec<String> = names.iter().filter(|name| !twice(name)).cloned().collect();
    Ok(sort_segments(once))
}
