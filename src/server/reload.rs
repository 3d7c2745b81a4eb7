//! Notices changes on disk and swaps in what is valid; what is not valid is reported, and the last valid state keeps serving.

use std::path::Path;
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

/// How often the disk is looked at. A change serves within a second.
const POLL: Duration = Duration::from_millis(250);

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
#[derive(Default)]
pub(super) struct Seen {
    catalogs: Option<Fingerprint>,
    policies: Option<Fingerprint>,
    erasures: Option<Fingerprint>,
    principals: Option<Fingerprint>,
}

impl Seen {
    /// How the files look now; taken before they are read, so that no change is missed.
    pub(super) fn now(config: &Config) -> Self {
        Self {
            catalogs: Some(look(&config.catalogs)),
            policies: Some(look(&config.policies)),
            erasures: config.erasures.as_deref().map(look),
            principals: Some(look(&config.principals)),
        }
    }
}

fn look(path: &Path) -> Fingerprint {
    locator::fingerprint([path])
}

/// Looks at one path; answers whether it has changed since the last look.
fn changed(path: &Path, seen: &mut Option<Fingerprint>) -> bool {
    let now = look(path);
    let changed = seen.as_ref() != Some(&now);
    *seen = Some(now);
    changed
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
            let Ok(back) = tokio::task::spawn_blocking(move || {
                self.look();
                self
            })
            .await
            else {
                tracing::error!("the reload task failed; changes on disk are no longer noticed");
                return;
            };
            self = back;
        }
    }

    fn look(&mut self) {
        if changed(&self.config.principals, &mut self.seen.principals) {
            let outcome = load::principals(&self.config).map(|directory| self.directories.replace(directory));
            self.report("principals", "", outcome);
        }
        let catalogs = changed(&self.config.catalogs, &mut self.seen.catalogs);
        let policies = changed(&self.config.policies, &mut self.seen.policies);
        let erasures = match self.config.erasures.clone() {
            Some(path) => changed(&path, &mut self.seen.erasures),
            None => false,
        };
        if catalogs {
            self.reload_catalog();
        }
        if policies {
            let outcome =
                load::bundle(&self.config.policies).and_then(|bundle| self.try_world(Loaded { bundle: Arc::new(bundle), ..self.parts() }));
            let revision = self.loaded.bundle.revision().to_owned();
            self.report("policies", &revision, outcome);
        }
        if erasures {
            let outcome = load::erasures(self.config.erasures.as_deref())
                .and_then(|erased| self.try_world(Loaded { erased: Arc::new(erased), ..self.parts() }));
            self.report("erasure_list", "", outcome);
        }
    }

    fn reload_catalog(&mut self) {
        let outcome = load::catalog(&self.config).and_then(|snapshot| {
            let lowered = locator::lowered(&self.loaded.snapshot, &snapshot);
            if !lowered.is_empty() && !self.allow_lowered_protection {
                return Err(LoadFaults(lowered.iter().map(ToString::to_string).collect()));
            }
            self.try_world(Loaded { snapshot: Arc::new(snapshot), ..self.parts() })
        });
        let revision = self.loaded.snapshot.revision().to_owned();
        self.report("catalog", &revision, outcome);
    }

    fn parts(&self) -> Loaded {
        Loaded {
            snapshot: Arc::clone(&self.loaded.snapshot),
            bundle: Arc::clone(&self.loaded.bundle),
            erased: Arc::clone(&self.loaded.erased),
        }
    }

    /// Swaps in the world that these parts make, if they make one.
    fn try_world(&mut self, parts: Loaded) -> Result<(), LoadFaults> {
        let world = load::world(Arc::clone(&parts.snapshot), Arc::clone(&parts.bundle), Arc::clone(&parts.erased))?;
        self.worlds.replace(world);
        self.loaded = parts;
        Ok(())
    }

    fn report(&self, what: &str, revision: &str, outcome: Result<(), LoadFaults>) {
        let faults = outcome.err().map(|faults| faults.0).unwrap_or_default();
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
