//! Swaps in what has changed where it comes from, if it is valid; what is not valid is reported, and the last valid state keeps serving.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditLog, Event, Reload};
use crate::config::{Config, Tls};
use crate::engine::{Clock, Worlds};
use crate::locator::{self, Snapshot};
use crate::policy::{Bundle, SubjectSet};
use crate::wire;

use super::backend::Directories;
use super::gaps;
use super::load::{self, LoadFaults};
use super::options;
use super::registrations;
use super::sources::{Reach, Source, Watched};
use super::subjects;

/// How often policies, erasures and principals are looked at. A change serves within a second, its coming to rest included.
const POLL: Duration = Duration::from_millis(50);

/// Contracts can be thousands of files; they are looked at every so many times.
const CATALOG_EVERY: u32 = 4;

/// The parts of the world that are loaded now.
pub(super) struct Loaded {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) bundle: Arc<Bundle>,
    pub(super) erased: Arc<SubjectSet>,
}

/// Watches the sources and keeps the world current.
pub(super) struct Reloader {
    pub(super) config: Config,
    pub(super) policies: Source,
    pub(super) erasures: Source,
    pub(super) worlds: Arc<Worlds>,
    pub(super) directories: Arc<Directories>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) clock: Clock,
    pub(super) loaded: Loaded,
    pub(super) seen: Seen,
    /// The server's side of TLS, if it has one.
    pub(super) tls: Option<wire::Tls>,
    /// Whether contracts may lower protection when they change, the erasure list may lose most of its people, and products their own rules.
    pub(super) allow_lowered_protection: bool,
}

/// What the sources looked like when they were last read.
pub(super) struct Seen {
    catalogs: Watched,
    policies: Watched,
    erasures: Watched,
    principals: Watched,
    certificates: Watched,
}

impl Seen {
    /// How the sources look now; taken before they are read, so that no change is missed.
    pub(super) fn now(config: &Config, policies: &Source, erasures: &Source) -> Self {
        Self {
            catalogs: Watched::files(vec![config.catalogs.clone()]),
            policies: policies.watch(),
            erasures: erasures.watch(),
            principals: Watched::files(vec![config.principals.clone()]),
            certificates: Watched::files(config.tls.as_ref().map(Tls::files).unwrap_or_default()),
        }
    }

    fn of(&mut self, what: What) -> &mut Watched {
        match what {
            What::Catalog => &mut self.catalogs,
            What::Policies => &mut self.policies,
            What::Erasures => &mut self.erasures,
            What::Principals => &mut self.principals,
            What::Certificates => &mut self.certificates,
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
    Certificates,
}

impl What {
    /// The word in logs and records.
    fn as_str(self) -> &'static str {
        match self {
            Self::Catalog => "catalog",
            Self::Policies => "policies",
            Self::Erasures => "erasure_list",
            Self::Principals => "principals",
            Self::Certificates => "certificates",
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

    /// Whether it says what serves already: then there is nothing to swap, and what runs is not disturbed.
    fn serves(&self, loaded: &Loaded) -> bool {
        match self {
            Self::Catalog(_) => false,
            Self::Policies(bundle) => bundle.digest() == loaded.bundle.digest(),
            Self::Erasures(erased) => erased.has_same_subjects(&loaded.erased),
        }
    }
}

/// What came of a change.
enum Outcome {
    Replaced,
    Refused(LoadFaults),
    Unreachable(String),
}

impl Reloader {
    /// Runs until the shutdown. Whoever asks has all of it read anew.
    pub(super) async fn run(mut self, asked: Arc<Notify>, shutdown: CancellationToken) {
        let mut looks = 0_u32;
        loop {
            let everything = tokio::select! {
                () = shutdown.cancelled() => return,
                () = asked.notified() => true,
                () = tokio::time::sleep(POLL) => false,
            };
            looks = looks.wrapping_add(1);
            let with_catalog = looks.is_multiple_of(CATALOG_EVERY);
            // Reading files blocks; it happens rarely and is short, but not on a worker that serves connections.
            let looked = tokio::task::spawn_blocking(move || {
                if std::panic::catch_unwind(AssertUnwindSafe(
                    || if everything { self.look_at_everything() } else { self.look(with_catalog) },
                ))
                .is_err()
                {
                    tracing::error!("a reload panicked; the last valid state keeps serving");
                }
                self
            });
            let Ok(back) = looked.await else { return };
            self = back;
        }
    }

    fn look(&mut self, with_catalog: bool) {
        let now = Instant::now();
        let seen = &mut self.seen;
        let catalogs = with_catalog && seen.catalogs.look(now);
        let world = [catalogs, seen.policies.look(now), seen.erasures.look(now)].contains(&true);
        let (principals, certificates) = (seen.principals.look(now), seen.certificates.look(now));
        self.take_up(principals, certificates, world);
    }

    /// The same as if all had changed.
    fn look_at_everything(&mut self) {
        tracing::info!("asked to reload: everything is read anew");
        let seen = &mut self.seen;
        let world = [seen.catalogs.ask(), seen.policies.ask(), seen.erasures.ask()].contains(&true);
        let (principals, certificates) = (seen.principals.ask(), seen.certificates.ask());
        self.take_up(principals, certificates, world);
    }

    /// Takes up what has changed of these.
    fn take_up(&mut self, principals: bool, certificates: bool, world: bool) {
        self.tell_reach();
        if principals && let Some(read) = self.seen.principals.whole(|| load::principals(&self.config)) {
            let outcome = read.map(|directory| self.directories.replace(directory));
            self.report(What::Principals, "", outcome.map_or_else(Outcome::Refused, |()| Outcome::Replaced));
        }
        if certificates && let Some(read) = self.seen.certificates.whole(|| self.changed_certificates()) {
            let outcome = read.and_then(|material| self.serve_certificates(material));
            self.report(What::Certificates, "", outcome.map_or_else(Outcome::Refused, |()| Outcome::Replaced));
        }
        if world {
            self.reload_world();
        }
    }

    /// What the files of TLS hold now, if there is TLS.
    fn changed_certificates(&self) -> Result<Option<wire::TlsMaterial>, LoadFaults> {
        let material = self.config.tls.as_ref().map(options::tls_material).transpose();
        material.map_err(|fault| LoadFaults(vec![format!("{fault:#}")]))
    }

    /// Handshakes from now on use that, if all of it is valid together.
    fn serve_certificates(&self, material: Option<wire::TlsMaterial>) -> Result<(), LoadFaults> {
        let (Some(material), Some(tls)) = (material, &self.tls) else { return Ok(()) };
        tls.replace(&material).map_err(|fault| LoadFaults(vec![format!("{:#}", anyhow::Error::from(fault))]))
    }

    /// Tells once, and not at every look, that a source cannot be asked.
    fn tell_reach(&mut self) {
        for what in [What::Policies, What::Erasures] {
            match self.seen.of(what).reach() {
                None => {}
                Some(Reach::Lost(fault)) => self.report(what, "", Outcome::Unreachable(fault)),
                Some(Reach::Regained(source)) => tracing::info!(what = what.as_str(), source, "fetched again"),
            }
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
                Ok(part) if part.serves(&self.loaded) => self.seen.of(what).waiting = false,
                Ok(part) => parts.push((what, part)),
                Err(faults) => self.report(what, "", Outcome::Refused(faults)),
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
            self.report(*what, part.revision(), outcome.map_or_else(Outcome::Refused, |()| Outcome::Replaced));
        }
    }

    /// The parts that wait, as they read now.
    fn changed_parts(&self) -> Vec<(What, Result<Part, LoadFaults>)> {
        let Seen { catalogs, policies, erasures, .. } = &self.seen;
        let read =
            |watched: &Watched, part: &dyn Fn() -> Result<Part, LoadFaults>| if watched.waiting { watched.whole(part) } else { None };
        let catalog = read(catalogs, &|| Ok(Part::Catalog(Arc::new(self.changed_catalog()?))));
        let bundle = read(policies, &|| Ok(Part::Policies(Arc::new(self.policies.bundle()?))));
        let erased = read(erasures, &|| Ok(Part::Erasures(Arc::new(self.changed_erasures()?))));
        let parts = [(What::Catalog, catalog), (What::Policies, bundle), (What::Erasures, erased)];
        parts.into_iter().filter_map(|(what, part)| Some((what, part?))).collect()
    }

    fn changed_catalog(&self) -> Result<Snapshot, LoadFaults> {
        let snapshot = load::catalog(&self.config)?;
        let lowered = locator::lowered(&self.loaded.snapshot, &snapshot);
        if !lowered.is_empty() && !self.allow_lowered_protection {
            return Err(LoadFaults(lowered.iter().map(ToString::to_string).collect()));
        }
        Ok(snapshot)
    }

    fn changed_erasures(&self) -> Result<SubjectSet, LoadFaults> {
        let erased = self.erasures.erasures()?;
        match subjects::losses(&self.loaded.erased, &erased) {
            Some(losses) if !self.allow_lowered_protection => Err(LoadFaults(vec![losses])),
            _ => Ok(erased),
        }
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
        let world = load::world(&self.config, Arc::clone(&new.snapshot), Arc::clone(&new.bundle), Arc::clone(&new.erased))?;
        let lost = gaps::lost_packages(&self.loaded.bundle, &world);
        if !lost.is_empty() && !self.allow_lowered_protection {
            return Err(LoadFaults(lost));
        }
        gaps::warn(&world);
        self.worlds.replace(world);
        if !Arc::ptr_eq(&self.loaded.snapshot, &new.snapshot) {
            registrations::note_changes(&self.audit, &self.loaded.snapshot, &new.snapshot, (self.clock)());
        }
        self.loaded = new;
        Ok(())
    }

    fn report(&self, what: What, revision: &str, outcome: Outcome) {
        let what = what.as_str();
        let (outcome, faults) = match outcome {
            Outcome::Replaced => {
                tracing::info!(what, revision, "reloaded");
                ("replaced", 0)
            }
            Outcome::Refused(LoadFaults(faults)) => {
                for fault in &faults {
                    tracing::error!(what, %fault, "not reloaded; the last valid state keeps serving");
                }
                ("refused", faults.len())
            }
            Outcome::Unreachable(fault) => {
                tracing::error!(what, %fault, "not fetched; the last valid state keeps serving");
                ("unreachable", 1)
            }
        };
        self.audit.note(
            (self.clock)(),
            Event::Reload(Reload {
                what: what.to_owned(),
                revision: revision.to_owned(),
                outcome: outcome.to_owned(),
                faults: u64::try_from(faults).unwrap_or(u64::MAX),
            }),
        );
    }
}
