//! Where policies and the erasure list come from in this gateway, and whether they have changed there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::config::{Config, Origin, RemoteKind};
use crate::policy::{Bundle, MANIFEST_PATH, SubjectSet};

use super::feed::{Content, Feed};
use super::load::{self, LoadFaults};
use super::watch::FileWatch;

/// Something that is read as a whole, and again when it has changed.
pub(super) enum Source {
    /// Not configured.
    Nothing,
    /// Files of this machine.
    Files(PathBuf),
    /// Fetched from elsewhere.
    Feed(Arc<Feed>),
}

impl Source {
    /// Where policies come from; fetches them if they are not here.
    pub(super) fn of_policies(config: &Config) -> Result<Self, LoadFaults> {
        Self::open(&config.policies)
    }

    /// Where the erasure list comes from, if anywhere.
    pub(super) fn of_erasures(config: &Config) -> Result<Self, LoadFaults> {
        config.erasures.as_ref().map_or(Ok(Self::Nothing), Self::open)
    }

    fn open(origin: &Origin) -> Result<Self, LoadFaults> {
        match origin {
            Origin::Path(path) => Ok(Self::Files(path.clone())),
            Origin::Remote(remote) => {
                if matches!(remote.kind, RemoteKind::Http { .. })
                    && remote.location.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("http://"))
                {
                    tracing::warn!(source = %crate::source::shown_url(&remote.location), "fetched without encryption: whoever is between can change it");
                }
                Feed::start(remote).map(Self::Feed).map_err(|fault| LoadFaults(vec![fault]))
            }
        }
    }

    /// The policies as they are there now.
    pub(super) fn bundle(&self) -> Result<Bundle, LoadFaults> {
        match self {
            Self::Nothing => Err(LoadFaults(vec!["no policies are configured".to_owned()])),
            Self::Files(path) => load::bundle(path),
            Self::Feed(feed) => match &*feed.latest().1 {
                Content::Bytes(bytes) => load::bundle_of_archive(bytes).map_err(|faults| faults.of(feed.name())),
                Content::Ids(_) => Err(LoadFaults(vec![format!("{}: a table is no bundle", feed.name())])),
            },
        }
    }

    /// The erased people as they are there now.
    pub(super) fn erasures(&self) -> Result<SubjectSet, LoadFaults> {
        match self {
            Self::Nothing => load::erasures(None),
            Self::Files(path) => load::erasures(Some(path)),
            Self::Feed(feed) => match &*feed.latest().1 {
                Content::Bytes(bytes) => load::erasures_of(bytes).map_err(|fault| LoadFaults(vec![format!("{}: {fault}", feed.name())])),
                Content::Ids(ids) => Ok(SubjectSet::new(ids.iter().cloned())),
            },
        }
    }

    /// Watches it from its state of now on; taken before it is read, so that no change is missed.
    pub(super) fn watch(&self) -> Watched {
        Watched::new(match self {
            Self::Nothing => Watch::Nothing,
            // The manifest is hidden, and so not among what is looked at in a folder.
            Self::Files(path) => Watch::Files(FileWatch::new(vec![path.clone(), path.join(MANIFEST_PATH)])),
            Self::Feed(feed) => Watch::Feed { feed: Arc::clone(feed), taken: feed.version(), fault: None },
        })
    }
}

/// How a source is looked at.
enum Watch {
    Nothing,
    Files(FileWatch),
    Feed {
        feed: Arc<Feed>,
        /// The version that was taken up last.
        taken: u64,
        /// The fault that was told last.
        fault: Option<String>,
    },
}

/// Whether a source can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reach {
    /// It could not, and now it can.
    Regained(String),
    /// It cannot, for a reason that has not been told yet.
    Lost(String),
}

/// A source, and how far its changes have been taken up.
pub(super) struct Watched {
    watch: Watch,
    /// A change is there that does not serve yet: it has not been read, or was refused.
    pub(super) waiting: bool,
}

impl Watched {
    fn new(watch: Watch) -> Self {
        Self { watch, waiting: false }
    }

    /// Watches files.
    pub(super) fn files(paths: Vec<PathBuf>) -> Self {
        Self::new(Watch::Files(FileWatch::new(paths)))
    }

    /// Looks; answers whether there is a change to take up.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let changed = match &mut self.watch {
            Watch::Nothing => false,
            Watch::Files(files) => files.look(now),
            Watch::Feed { feed, taken, .. } => {
                let version = feed.version();
                let changed = version != *taken;
                *taken = version;
                changed
            }
        };
        self.waiting |= changed;
        changed
    }

    /// Takes it for changed, as an operator asks. What is written just now, or comes from elsewhere, is taken up when it is there.
    pub(super) fn ask(&mut self) -> bool {
        let asked = match &mut self.watch {
            Watch::Nothing => false,
            Watch::Files(files) => files.ask(),
            Watch::Feed { feed, .. } => {
                feed.fetch_now();
                false
            }
        };
        self.waiting |= asked;
        asked
    }

    /// What `read` makes of the source; `None` if it changed once more meanwhile, for that may be half of each, and the next look sees the
    /// change.
    pub(super) fn whole<T>(&self, read: impl FnOnce() -> T) -> Option<T> {
        let read = read();
        self.holds().then_some(read)
    }

    /// Whether the source is still what was seen to have changed.
    fn holds(&self) -> bool {
        match &self.watch {
            Watch::Nothing => true,
            Watch::Files(files) => files.holds(),
            Watch::Feed { feed, taken, .. } => feed.version() == *taken,
        }
    }

    /// What is to be told of the way to the source, once for each change.
    pub(super) fn reach(&mut self) -> Option<Reach> {
        let Watch::Feed { feed, fault, .. } = &mut self.watch else { return None };
        let now = feed.fault();
        if now == *fault {
            return None;
        }
        fault.clone_from(&now);
        Some(match now {
            None => Reach::Regained(feed.name().to_owned()),
            Some(fault) => Reach::Lost(format!("{}: {fault}", feed.name())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_while_it_is_read_is_not_taken_for_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("principals.yaml");
        std::fs::write(&path, "all of it").unwrap();
        let watched = Watched::files(vec![path.clone()]);
        let text = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(watched.whole(text).as_deref(), Some("all of it"));
        let cut = || {
            std::fs::write(&path, "all").unwrap();
            text()
        };
        assert_eq!(watched.whole(cut), None);
    }
}
