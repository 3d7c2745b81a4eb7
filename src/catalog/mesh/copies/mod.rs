//! Columnar copies of closed segments, for questions that would read much of the log.
//!
//! INVARIANT: the segments are the truth. A copy is made of nothing else, is used only if it is complete, and may be removed at any time; `meshgate
//! audit verify` compares it with its segment. A statement that does not begin and end in one segment is in no copy: its lines are
//! kept beside it, and read as the segment's would be.

mod keeper;
mod pace;
mod scan;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::audit::{Place, Reader};

use super::log;

pub use keeper::Copier;
pub(super) use scan::scan;

/// The folder of copies in that of the log.
const FOLDER: &str = "columns";
/// Raised when copies are made otherwise.
const FORMAT: u32 = 1;
/// The endings of a copy's files: rows of one relation, and the lines that are left.
const ROWS: &str = "parquet";
const REST: &str = "rest.jsonl";
const HALF_DONE: &str = "tmp";

/// Where the copies of a log lie.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    folder: PathBuf,
}

/// Some segments' copies.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The lines that are left of each copied segment, by the name that the segment was opened with.
    pub(super) rests: HashMap<String, PathBuf>,
    /// The rows of one relation, a file a segment.
    pub(super) rows: Vec<PathBuf>,
}

impl Copies {
    /// Those of a log in a folder; copies of other versions of the relations lie elsewhere.
    pub(super) fn of(reader: &Reader) -> Option<Self> {
        let folder = reader.folder()?.join(FOLDER).join(format!("{FORMAT}-{:016x}", layout_hash()));
        Some(Self { folder })
    }

    /// Everything that could be read in place of these segments.
    pub(super) fn find(&self, places: &[Place], relation: &str, wanted: impl Fn(&Place) -> bool) -> io::Result<Found> {
        let complete = self.complete()?;
        let mut found = Found::default();
        for place in places.iter().filter(|place| place.followed) {
            let stem = stem(place);
            let Some(rest) = complete.get(&stem) else { continue };
            let rows = self.rows(&stem, relation);
            // Without it the copy is none, and the segment is read.
            if !rows.try_exists()? {
                continue;
            }
            found.rests.insert(place.opened_name().to_owned(), rest.clone());
            if wanted(place) {
                found.rows.push(rows);
            }
        }
        Ok(found)
    }

    fn rows(&self, stem: &str, relation: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{relation}.{ROWS}"))
    }

    fn rest(&self, stem: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{REST}"))
    }

    /// The copies that are complete: the file of left lines is the last to be there.
    fn complete(&self) -> io::Result<BTreeMap<String, PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            entries => entries?,
        };
        let mut complete = BTreeMap::new();
        for entry in entries {
            let path = entry?.path();
            let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(&format!(".{REST}")));
            if let Some(stem) = stem.map(str::to_owned) {
                complete.insert(stem, path);
            }
        }
        Ok(complete)
    }
}

/// What the files of a segment's copy begin with. A segment whose end has become void since is another one.
fn stem(place: &Place) -> String {
    let mut stem = Path::new(place.opened_name()).with_extension("").to_string_lossy().into_owned();
    if let Some(void_from) = place.void_from {
        // Writing to a string cannot fail.
        let _infallible = write!(stem, "-void-{void_from}");
    }
    stem
}

/// Differs between versions of the program whose relations differ.
fn layout_hash() -> u64 {
    let mut hasher = DefaultHasher::new();
    for (relation, columns) in log::layouts() {
        relation.hash(&mut hasher);
        columns.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
