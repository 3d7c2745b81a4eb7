//! Notices that files have changed, and when they have come to rest.
//!
//! INVARIANT: a file that is still being written is not read: half of a list of erased people is a valid list.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::locator::{self, Fingerprint};

/// How long files must not have changed before they are read.
const REST: Duration = Duration::from_millis(200);

/// Files that are replaced again and again, each time in one step, never rest; they are read as they are after so long.
const RESTLESS: Duration = Duration::from_millis(400);

/// Files and folders, and how far their changes have been taken up.
#[derive(Debug)]
pub(super) struct FileWatch {
    paths: Vec<PathBuf>,
    /// As they were when they were last taken up.
    settled: Fingerprint,
    /// As they were at the last look.
    last: Fingerprint,
    motion: Option<Motion>,
}

/// Changes that have not come to rest.
#[derive(Debug)]
struct Motion {
    /// Since when no file was seen to be written in its place.
    since: Instant,
    latest: Instant,
}

impl FileWatch {
    /// Takes up the files as they are now.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        let now = locator::fingerprint(&paths);
        Self { paths, settled: now.clone(), last: now, motion: None }
    }

    /// Looks; answers whether there is a change to take up.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let print = locator::fingerprint(&self.paths);
        if print != self.last {
            let motion = self.motion.get_or_insert(Motion { since: now, latest: now });
            motion.latest = now;
            if !print.replaces(&self.last) {
                motion.since = now;
            }
            self.last = print;
        }
        let Some(motion) = &self.motion else { return false };
        let rested = now.duration_since(motion.latest) >= REST;
        let restless = now.duration_since(motion.since) >= RESTLESS;
        if rested {
            self.motion = None;
        }
        if !(rested || restless) || self.last == self.settled {
            return false;
        }
        self.settled.clone_from(&self.last);
        true
    }

    /// Takes the files for changed as they are now, unless they are in motion: then they are taken up when that ends, like any change.
    pub(super) fn ask(&mut self) -> bool {
        if self.motion.is_some() || locator::fingerprint(&self.paths) != self.last {
            return false;
        }
        self.settled.clone_from(&self.last);
        true
    }

    /// Whether the files are still those that were last taken up; asked after they were read.
    pub(super) fn holds(&self) -> bool {
        locator::fingerprint(&self.paths) == self.settled
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TICK: Duration = Duration::from_millis(50);

    struct Looks {
        watch: FileWatch,
        now: Instant,
    }

    impl Looks {
        fn at(path: &Path) -> Self {
            Self { watch: FileWatch::new(vec![path.to_path_buf()]), now: Instant::now() }
        }

        /// So many looks in a row, and whether any saw something to take up.
        fn any(&mut self, looks: u32) -> bool {
            (0..looks).any(|_| {
                self.now += TICK;
                self.watch.look(self.now)
            })
        }
    }

    fn replace(path: &Path, text: &str) {
        let incoming = path.with_extension("incoming");
        std::fs::write(&incoming, text).unwrap();
        std::fs::rename(incoming, path).unwrap();
    }

    #[test]
    fn a_file_is_read_when_it_has_come_to_rest_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erased.csv");
        std::fs::write(&path, "1\n2\n").unwrap();
        let mut looks = Looks::at(&path);
        assert!(!looks.any(20));
        let mut text = "1\n".to_owned();
        for id in 3..20 {
            text.push_str(&format!("{id}\n"));
            std::fs::write(&path, &text).unwrap();
            assert!(!looks.any(3), "it is still being written, for however long");
        }
        assert!(looks.any(6));
        assert!(!looks.any(20));
    }

    #[test]
    fn who_asks_gets_what_is_there_and_no_half_of_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erased.csv");
        std::fs::write(&path, "1\n").unwrap();
        let mut looks = Looks::at(&path);
        assert!(looks.watch.ask() && looks.watch.holds());
        assert!(!looks.any(20));
        std::fs::write(&path, "1\n2").unwrap();
        assert!(!looks.watch.ask());
        assert!(!looks.any(1) && !looks.watch.ask());
        assert!(looks.any(6) && looks.watch.ask());
    }

    #[test]
    fn a_change_that_is_taken_back_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erased.csv");
        let mut looks = Looks::at(&path);
        std::fs::write(&path, "1").unwrap();
        assert!(!looks.any(1));
        std::fs::remove_file(&path).unwrap();
        assert!(!looks.any(20));
    }

    #[test]
    fn a_file_that_is_replaced_without_a_pause_is_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.rego");
        std::fs::write(&path, "0").unwrap();
        let mut looks = Looks::at(&path);
        let mut taken = 0;
        for version in 0..40 {
            replace(&path, &format!("version {version}"));
            taken += usize::from(looks.any(1));
        }
        assert!(taken >= 30, "{taken}");
        // One that was written in its place in between does not keep the later ones out.
        std::fs::write(&path, "written").unwrap();
        assert!(!looks.any(1));
        let mut taken = 0;
        for version in 0..40 {
            replace(&path, &format!("version {version}"));
            taken += usize::from(looks.any(1));
        }
        assert!(taken >= 30, "{taken}");
        assert!(looks.watch.holds());
        replace(&path, "another");
        assert!(!looks.watch.holds());
    }
}
