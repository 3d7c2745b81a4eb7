//! Makes copies in the background, and removes those of segments that are gone.
//!
//! INVARIANT: it takes an eighth of one processor, half of it while it is behind, and holds up nobody; what it cannot do it tells once and tries again.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use std::{fs, io};

use crate::audit::Reader;

use super::pace::Pace;
use super::write::Error;
use super::{Copies, HALF_DONE, REST, ROWS, stem};

/// How often the log is looked at.
const LOOK: Duration = Duration::from_secs(30);

/// The thread that keeps the copies of a log; it ends when this is dropped.
#[derive(Debug)]
pub struct Copier {
    _alive: Sender<()>,
}

impl Copier {
    /// Starts it. A log that lies in no folder has no copies.
    ///
    /// # Errors
    /// There is no thread.
    pub fn start(reader: Reader) -> io::Result<Option<Self>> {
        let Some(work) = Work::of(reader) else { return Ok(None) };
        let (alive, gone) = channel();
        std::thread::Builder::new().name("audit-columns".to_owned()).spawn(move || work.run(&gone))?;
        Ok(Some(Self { _alive: alive }))
    }

    /// Brings the copies of a log up to date, once.
    ///
    /// # Errors
    /// The log or the folder cannot be used.
    pub fn update(reader: &Reader) -> io::Result<()> {
        let Some(mut work) = Work::of(reader.clone()) else { return Ok(()) };
        work.look(&mut |_| true).map_err(io::Error::other)
    }

    /// The names of segments whose copies say something else than they do.
    ///
    /// # Errors
    /// The log or the folder cannot be used.
    pub fn check(reader: &Reader) -> io::Result<Vec<String>> {
        let Some(copies) = Copies::of(reader) else { return Ok(Vec::new()) };
        let (places, complete) = (reader.places().map_err(io::Error::other)?, copies.complete()?);
        let copied = places.iter().filter(|place| place.followed && complete.contains_key(&stem(place)));
        // A copy that cannot be read says something else, too.
        let other = copied.filter(|place| !copies.matches(reader, place).unwrap_or(false));
        Ok(other.map(|place| place.opened_name().to_owned()).collect())
    }
}

pub(super) struct Work {
    reader: Reader,
    copies: Copies,
    /// Files that belonged to no segment at the last look: somebody may still read them.
    unclaimed: HashSet<String>,
    failing: bool,
}

impl Work {
    /// The work on a log, if it lies in a folder.
    pub(super) fn of(reader: Reader) -> Option<Self> {
        let copies = Copies::of(&reader)?;
        Some(Self { reader, copies, unclaimed: HashSet::new(), failing: false })
    }

    fn run(mut self, gone: &Receiver<()>) {
        loop {
            let went_on = |spent: Duration| gone.recv_timeout(spent) == Err(RecvTimeoutError::Timeout);
            match self.look(&mut |spent| went_on(spent)) {
                Ok(()) => self.failing = false,
                Err(error) if !std::mem::replace(&mut self.failing, true) => {
                    tracing::warn!(%error, cause = ?std::error::Error::source(&error).map(ToString::to_string), "columns of the audit log cannot be copied; questions read its lines");
                }
                Err(_) => {}
            }
            if gone.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Makes what is missing, with rests; ends early if `rest` says so.
    pub(super) fn look(&mut self, rest: &mut dyn FnMut(Duration) -> bool) -> Result<(), Error> {
        let places = self.reader.places()?;
        self.tidy(&places.iter().map(stem).collect())?;
        let complete = self.copies.complete()?;
        let missing: Vec<_> = places.iter().filter(|place| place.followed && !complete.contains_key(&stem(place))).collect();
        for (made, place) in missing.iter().enumerate() {
            let mut pace = Pace::new(missing.len() - made, &mut *rest);
            self.copies.make(&self.reader, place, &mut pace)?;
            if !pace.goes_on() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Removes what belongs to no segment, and did not at the last look either; and copies of other versions.
    fn tidy(&mut self, stems: &HashSet<String>) -> io::Result<()> {
        let Some(all) = self.copies.folder.parent() else { return Ok(()) };
        if !all.exists() {
            return Ok(());
        }
        for entry in fs::read_dir(all)? {
            let path = entry?.path();
            if path != self.copies.folder && path.is_dir() {
                fs::remove_dir_all(path)?;
            }
        }
        let mut unclaimed = HashSet::new();
        if self.copies.folder.exists() {
            for entry in fs::read_dir(&self.copies.folder)? {
                let path = entry?.path();
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                if stem_of(&name).is_some_and(|stem| stems.contains(stem)) {
                    continue;
                }
                if self.unclaimed.contains(&name) {
                    fs::remove_file(path)?;
                } else {
                    unclaimed.insert(name);
                }
            }
        }
        self.unclaimed = unclaimed;
        Ok(())
    }
}

/// The segment that a file belongs to.
fn stem_of(name: &str) -> Option<&str> {
    let name = name.strip_suffix(HALF_DONE).and_then(|name| name.strip_suffix('.')).unwrap_or(name);
    let of_rows = || name.strip_suffix(ROWS)?.strip_suffix('.')?.rsplit_once('.').map(|(stem, _)| stem);
    name.strip_suffix(REST).and_then(|name| name.strip_suffix('.')).or_else(of_rows)
}
