//! Segments in memory, for tests: what was written, what was synced, and a disk that fails or waits on command.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{Segment, Segments, Storage, sort_segments};

/// A view of a log in memory. Clones see the same log.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    disk: Arc<Disk>,
}

#[derive(Debug, Default)]
struct Disk {
    files: Mutex<BTreeMap<String, MemoryFile>>,
    refuse_writes: AtomicBool,
    refuse_syncs: AtomicBool,
    syncs_held: Mutex<bool>,
    syncs_released: Condvar,
    opened: AtomicUsize,
}

#[derive(Debug, Default, Clone)]
struct MemoryFile {
    bytes: Vec<u8>,
    synced: usize,
}

impl MemoryLog {
    /// From now on writes fail, or succeed again: a full disk.
    pub fn refuse_writes(&self, refuse: bool) {
        self.disk.refuse_writes.store(refuse, Ordering::SeqCst);
    }

    /// From now on syncs fail, or succeed again: a broken disk.
    pub fn refuse_syncs(&self, refuse: bool) {
        self.disk.refuse_syncs.store(refuse, Ordering::SeqCst);
    }

    /// From now on syncs wait, or go on again: a slow disk.
    pub fn hold_syncs(&self, hold: bool) {
        *self.disk.syncs_held.lock().unwrap_or_else(PoisonError::into_inner) = hold;
        self.disk.syncs_released.notify_all();
    }

    /// Every record that was synced, in order.
    pub fn records(&self) -> Vec<serde_json::Value> {
        let files = self.files();
        sort_segments(files.keys().cloned())
            .iter()
            .filter_map(|name| files.get(name))
            .flat_map(|file| file.bytes.get(..file.synced).unwrap_or_default().split(|byte| *byte == b'\n'))
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// The synced records of one kind, in order.
    pub fn records_of(&self, kind: &str) -> Vec<serde_json::Value> {
        self.records().into_iter().filter(|record| record.get("kind").and_then(serde_json::Value::as_str) == Some(kind)).collect()
    }

    /// The names and the bytes of the segments, whether synced or not.
    pub fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let files = self.files();
        sort_segments(files.keys().cloned())
            .into_iter()
            .filter_map(|name| files.get(&name).map(|file| (name.clone(), file.bytes.clone())))
            .collect()
    }

    /// How often a segment has been opened to be read.
    pub fn opened(&self) -> usize {
        self.disk.opened.load(Ordering::SeqCst)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, MemoryFile>> {
        self.disk.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> io::Result<()> {
        if self.disk.refuse_writes.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Storage for MemoryLog {
    fn segments(&mut self) -> io::Result<Vec<String>> {
        Ok(sort_segments(self.files().keys().cloned()))
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.files().get(name).map(|file| file.bytes.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn cut(&mut self, name: &str, length: u64) -> io::Result<()> {
        self.refused()?;
        if let Some(file) = self.files().get_mut(name) {
            file.bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
            file.synced = file.bytes.len();
        }
        Ok(())
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn Segment>> {
        self.refused()?;
        let mut files = self.files();
        if files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files.insert(name.to_owned(), MemoryFile::default());
        Ok(Box::new(MemorySegment { log: self.clone(), name: name.to_owned() }))
    }

    fn reader(&self) -> Arc<dyn Segments> {
        Arc::new(self.clone())
    }
}

impl Segments for MemoryLog {
    fn segments(&self) -> io::Result<Vec<String>> {
        Ok(sort_segments(self.files().keys().cloned()))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn BufRead + Send>> {
        let bytes = self.files().get(name).map(|file| file.bytes.clone()).ok_or(io::ErrorKind::NotFound)?;
        self.disk.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(io::Cursor::new(bytes)))
    }
}

#[derive(Debug)]
struct MemorySegment {
    log: MemoryLog,
    name: String,
}

impl Segment for MemorySegment {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.log.refused()?;
        if let Some(file) = self.log.files().get_mut(&self.name) {
            file.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let held = self.log.disk.syncs_held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.log.disk.syncs_released.wait_while(held, |held| *held).unwrap_or_else(PoisonError::into_inner));
        if self.log.disk.refuse_syncs.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        if let Some(file) = self.log.files().get_mut(&self.name) {
            file.synced = file.bytes.len();
        }
        Ok(())
    }

    /// Does nothing: the worst case, in which the void tail stays.
    fn abandon_beyond(&mut self, _length: u64) {}
}
