//! Notices changes on disk and swaps in what is valid; what is not valid is reported, and the last valid state keeps serving.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::audit::{AuditLog, Event, Reload};
use crate::config::Config;
use crate::engine::{Clock, Worlds};
use crate::locator::{self, Fingerprint, Snapshot};
use crate::policy::{Bundle, SubjectSet};

use super::backend::Directories;
use super::load::{self, LoadFaults};

/// How often the disk is looked at. A change serves within a second, of which two looks make sure that it is complete.
const POLL: Duration = Duration::from_millis(200);

/// The parts of the world that are loaded now.
pub(super) struct Loaded {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bundle: Arc<Bundle>,
    pub(super) erased: Arc<SubjectSet>,
}

/// Watches the files and keeps the world current.
pub(super) struct Reloader {
    pub(super) config: Config,
    pub(super) worlds: Arc<Worlds>,
    pub(super) directories: Arc<Directories>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) clock: Clock,
    pub(super) loaded: Loaded,
    pub(super) seen: Seen,
    /// Whether a contract may lower protection when it changes.
    pub(super) allow_lowered_protection: bool,
}

/// What the files looked like when they were last read.
pub(super) struct Seen {
    catalogs: Watched,
    policies: Watched,
    erasures: Watched,
    principals: Watched,
}

impl Seen {
    /// How the files look now; taken before they are read, so that no change is missed.
    pub(super) fn now(config: &Config) -> Self {
        Self {
            catalogs: Watched::new(Some(&config.catalogs)),
            policies: Watched::new(Some(&config.policies)),
            erasures: Watched::new(config.erasures.as_deref()),
            principals: Watched::new(Some(&config.principals)),
        }
    }

    fn of(&mut self, what: What) -> &mut Watched {
        match what {
            What::Catalog => &mut self.catalogs,
            What::Policies => &mut self.policies,
            What::Erasures => &mut self.erasures,
            What::Principals => &mut self.principals,
        }
    }
}

/// A part of what is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Catalog,
    Policies,
    Erasures,
    Principals,
}

impl What {
    /// The word in logs and records.
    fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Policies => "policies",
            Self::Erasures => "erasure_list",
            Self::Principals => "principals",
        }
    }
}

/// A part of the world, as read.
enum Part {
    Catalog(Arc<Snapshot>),
    Policies(Arc<Bundle>),
    Erasures(Arc<SubjectSet>),
}

impl Part {
    fn revision(&self) -> &str {
        match self {
            Self::Catalog(snapshot) => snapshot.revision(),
            Self::Policies(bundle) => bundle.revision(),
            Self::Erasures(_) => "",
        }
    }
}

/// A file or folder, and how far its changes have been taken up.
struct Watched {
    path: Option<PathBuf>,
    /// As it was when it was last settled.
    settled: Fingerprint,
    /// As it was at the last look.
    last: Fingerprint,
    /// A change is there that does not serve yet: it has not been read, or was refused.
    waiting: bool,
}

impl Watched {
    fn new(path: Option<&Path>) -> Self {
        let now = locator::fingerprint(path);
        Self { path: path.map(Path::to_path_buf), settled: now.clone(), last: now, waiting: false }
    }

    /// Looks; answers whether there is a change that has come to rest.
    ///
    /// INVARIANT: a file that is still being written is not read: half of a list of erased people is a valid list.
    fn look(&mut self) -> bool {
        let now = locator::fingerprint(self.path.as_deref());
        let resting = now == self.last;
        self.last = now;
        if !resting || self.last == self.settled {
            return false;
        }
        self.settled.clone_from(&self.last);
        self.waiting = true;
        true
    }
}

impl Reloader {
    /// Runs until the shutdown.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            // Reading files blocks; it happens rarely and is short, but not on a worker that serves connections.
            let looked = tokio::task::spawn_blocking(move || {
                if std::panic::catch_unwind(AssertUnwindSafe(|| self.look())).is_err() {
                    tracing::error!("a reload panicked; the last valid state keeps serving");
                }
                self
            });
            let Ok(back) = looked.await else { return };
            self = back;
        }
    }

    fn look(&mut self) {
        if self.seen.principals.look() {
            let outcome = load::principals(&self.config).map(|directory| self.directories.replace(directory));
            self.report(What::Principals, "", outcome.err());
        }
        let looks = [self.seen.catalogs.look(), self.seen.policies.look(), self.seen.erasures.look()];
        if looks.contains(&true) {
            self.reload_world();
        }
    }

    /// Reads every part that has changed, or was refused before, and swaps in the world that they make together.
    ///
    /// Parts that change together may be valid only together; so they are tried together first, and what was refused is tried again when
    /// another part changes. A part that fits none does not keep the others out.
    fn reload_world(&mut self) {
        let mut parts = Vec::new();
        for (what, loaded) in self.changed_parts() {
            match loaded {
                Ok(part) => parts.push((what, part)),
                Err(faults) => self.report(what, "", Some(faults)),
            }
        }
        let all: Vec<&Part> = parts.iter().map(|(_, part)| part).collect();
        let together = if all.is_empty() { None } else { Some(self.try_world(&all)) };
        for (what, part) in &parts {
            let outcome = match &together {
                Some(Ok(())) => Ok(()),
                Some(Err(faults)) if parts.len() == 1 => Err(LoadFaults(faults.0.clone())),
                Some(Err(_)) | None => self.try_world(&[part]),
            };
            if outcome.is_ok() {
                self.seen.of(*what).waiting = false;
            }
            self.report(*what, part.revision(), outcome.err());
        }
    }

    /// The parts that wait, as they read now.
    fn changed_parts(&self) -> Vec<(What, Result<Part, LoadFaults>)> {
        let mut parts = Vec::new();
        if self.seen.catalogs.waiting {
            parts.push((What::Catalog, self.changed_catalog().map(|snapshot| Part::Catalog(Arc::new(snapshot)))));
        }
        if self.seen.policies.waiting {
            parts.push((What::Policies, load::bundle(&self.config.policies).map(|bundle| Part::Policies(Arc::new(bundle)))));
        }
        if self.seen.erasures.waiting {
            let erased = load::erasures(self.config.erasures.as_deref());
            parts.push((What::Erasures, erased.map(|erased| Part::Erasures(Arc::new(erased)))));
        }
        parts
    }

    fn changed_catalog(&self) -> Result<Snapshot, LoadFaults> {
        let snapshot = load::catalog(&self.config)?;
        let lowered = locator::lowered(&self.loaded.snapshot, &snapshot);
        if !lowered.is_empty() && !self.allow_lowered_protection {
            return Err(LoadFaults(lowered.iter().map(ToString::to_string).collect()));
        }
        Ok(snapshot)
    }

    /// Swaps in the world that these parts make with those that serve, if they make one.
    fn try_world(&mut self, parts: &[&Part]) -> Result<(), LoadFaults> {
        let Loaded { snapshot, bundle, erased } = &self.loaded;
        let mut new = Loaded { snapshot: Arc::clone(snapshot), bundle: Arc::clone(bundle), erased: Arc::clone(erased) };
        for part in parts {
            match part {
                Part::Catalog(snapshot) => new.snapshot = Arc::clone(snapshot),
                Part::Policies(bundle) => new.bundle = Arc::clone(bundle),
                Part::Erasures(erased) => new.erased = Arc::clone(erased),
            }
        }
        let world = load::world(Arc::clone(&new.snapshot), Arc::clone(&new.bundle), Arc::clone(&new.erased))?;
        self.worlds.replace(world);
        self.loaded = new;
        Ok(())
    }

    fn report(&self, what: What, revision: &str, faults: Option<LoadFaults>) {
        let what = what.as_str();
        let faults = faults.map(|faults| faults.0).unwrap_or_default();
        if faults.is_empty() {
            tracing::info!(what, revision, "reloaded");
        }
        for fault in &faults {
            tracing::error!(what, %fault, "not reloaded; the last valid state keeps serving");
        }
        self.audit.note(
            (self.clock)(),
            Event::Reload(Reload {
                what: what.to_owned(),
                revision: revision.to_owned(),
                outcome: if faults.is_empty() { "replaced" } else { "refused" }.to_owned(),
                faults: u64::try_from(faults.len()).unwrap_or(u64::MAX),
            }),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_when_it_has_come_to_rest_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erased.csv");
        std::fs::write(&path, "1\n2\n").unwrap();
        let mut watched = Watched::new(Some(&path));
        assert!(!watched.look());
        std::fs::write(&path, "1\n2\n3").unwrap();
        assert!(!watched.look(), "it may still be being written");
        std::fs::write(&path, "1\n2\n3\n4\n").unwrap();
        assert!(!watched.look(), "it was");
        assert!(watched.look());
        assert!(!watched.look());
        assert!(watched.waiting, "until it serves");
    }

    #[test]
    fn a_change_that_is_taken_back_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("erased.csv");
        let mut watched = Watched::new(Some(&path));
        std::fs::write(&path, "1").unwrap();
        assert!(!watched.look());
        std::fs::remove_file(&path).unwrap();
        assert!(!watched.look() && !watched.look() && !watched.waiting);
    }
}
