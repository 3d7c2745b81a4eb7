//! The keys of an issuer of tokens: read from a file or fetched, and looked at again when time has passed or a key is not known.
//!
//! INVARIANT: the last good set of keys serves until there is another good one. However many tokens name unknown keys, the source is asked
//! once in [`UNKNOWN_KEY_PAUSE`].

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::config::{Issuer, KeysFrom};
use crate::identity::token::KeySet;
use crate::source::{Fetched, HttpClient, HttpOptions, shown_url};

use super::tokens::openid_configuration;
use super::watch::FileWatch;

/// The pause between two looks that unknown keys cause, and before another look after one that failed.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_secs(10);

/// How often a file is looked at.
const FILE_POLL: Duration = Duration::from_millis(200);

/// The longest document of keys.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;

/// Told what came of a look that changed something: `replaced`, or the fault that keeps the last good set in place.
pub(super) type Note = Arc<dyn Fn(Result<(), &str>) + Send + Sync>;

/// The keys of one issuer.
pub(super) struct Keys {
    name: String,
    source: Source,
    refresh: Duration,
    state: Mutex<State>,
    /// Held by whoever looks; when an unknown key was last the reason.
    looking: tokio::sync::Mutex<Option<Instant>>,
    note: Note,
}

struct State {
    set: Arc<KeySet>,
    digest: [u8; 32],
    /// Why the last look failed.
    fault: Option<String>,
}

enum Source {
    File(PathBuf),
    Address { url: String, options: HttpOptions },
    Discovery { issuer: String, options: HttpOptions },
}

impl Keys {
    /// The keys of a file are read now; others are nothing until they have been fetched.
    pub(super) fn open(issuer: &Issuer, note: Note) -> anyhow::Result<Self> {
        let options = || -> anyhow::Result<HttpOptions> {
            let authorities = issuer.authorities.as_ref().map(fs::read).transpose();
            let authorities = authorities.context("the file of an issuer's authorities cannot be read")?;
            Ok(HttpOptions { timeout: issuer.timeout, bytes_max: DOCUMENT_BYTES_MAX, redirects_max: 0, authorities })
        };
        let (name, source) = match &issuer.keys {
            KeysFrom::File(path) => (path.display().to_string(), Source::File(path.clone())),
            KeysFrom::Address(url) => (shown_url(url).to_owned(), Source::Address { url: url.clone(), options: options()? }),
            KeysFrom::Discovery => (issuer.issuer.clone(), Source::Discovery { issuer: issuer.issuer.clone(), options: options()? }),
        };
        if !matches!(source, Source::File(_)) && !name.starts_with("https://") {
            tracing::warn!(source = %name, "keys are fetched without encryption: whoever is between can log in as anybody");
        }
        let state = State { set: Arc::default(), digest: [0; 32], fault: None };
        let keys = Self { name, source, refresh: issuer.refresh, state: Mutex::new(state), looking: tokio::sync::Mutex::default(), note };
        if let Source::File(path) = &keys.source {
            let document = read(path).map_err(|fault| anyhow::anyhow!("{}: {fault}", keys.name))?;
            let set = KeySet::parse(&document).with_context(|| keys.name.clone())?;
            *keys.state() = State { set: Arc::new(set), digest: Sha256::digest(&document).into(), fault: None };
        }
        Ok(keys)
    }

    /// The last good set; empty before the first.
    pub(super) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.state().set)
    }

    /// Another set than that, if there is one by now or the source has one. Asks it only if it has not been asked of late.
    pub(super) async fn newer_than(self: &Arc<Self>, seen: &Arc<KeySet>) -> Option<Arc<KeySet>> {
        let newer = || Some(self.current()).filter(|current| !Arc::ptr_eq(current, seen));
        let mut last = self.looking.lock().await;
        if let Some(newer) = newer() {
            return Some(newer);
        }
        if last.is_none_or(|last| last.elapsed() >= UNKNOWN_KEY_PAUSE) {
            *last = Some(Instant::now());
            self.look().await;
        }
        newer()
    }

    /// Looks again and again until the shutdown.
    pub(super) async fn keep_fresh(self: Arc<Self>, shutdown: CancellationToken) {
        let mut watch = match &self.source {
            Source::File(path) => Some(FileWatch::new(vec![path.clone()])),
            Source::Address { .. } | Source::Discovery { .. } => None,
        };
        let mut due = Instant::now();
        loop {
            let look = match &mut watch {
                Some(watch) => watch.look(Instant::now()),
                None => Instant::now() >= due,
            };
            if look {
                let looking = self.looking.lock().await;
                self.look().await;
                drop(looking);
                let pause = if self.state().fault.is_some() { self.refresh.min(UNKNOWN_KEY_PAUSE) } else { self.refresh };
                due = Instant::now() + pause;
            }
            let pause = if watch.is_some() { FILE_POLL } else { due.saturating_duration_since(Instant::now()) };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks once. Reading files and addresses blocks, so it is done off the threads that serve.
    async fn look(self: &Arc<Self>) {
        let keys = Arc::clone(self);
        let looked = tokio::task::spawn_blocking(move || {
            let found = keys.source.fetch().and_then(|document| {
                let set = KeySet::parse(&document).map_err(|fault| fault.to_string())?;
                Ok((set, Sha256::digest(&document).into()))
            });
            keys.take(found);
        });
        if looked.await.is_err() {
            tracing::error!(source = %self.name, "looking for keys panicked; the last good keys keep serving");
        }
    }

    fn take(&self, found: Result<(KeySet, [u8; 32]), String>) {
        let mut state = self.state();
        match found {
            Ok((set, digest)) => {
                state.fault = None;
                if state.digest != digest {
                    let count = set.len();
                    (state.set, state.digest) = (Arc::new(set), digest);
                    drop(state);
                    tracing::info!(source = %self.name, keys = count, "keys of tokens were loaded");
                    (self.note)(Ok(()));
                }
            }
            Err(fault) => {
                let known = state.fault.as_ref() == Some(&fault);
                state.fault = Some(fault.clone());
                drop(state);
                if !known {
                    tracing::error!(source = %self.name, %fault, "keys of tokens were not loaded; the last good ones keep serving");
                    (self.note)(Err(&fault));
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// The document, or what is wrong, in words without a secret.
    fn fetch(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => read(path),
            Self::Address { url, options } => get(url, options),
            Self::Discovery { issuer, options } => {
                let description = get(&openid_configuration(issuer), options)?;
                let description: Value =
                    serde_json::from_slice(&description).map_err(|_| "the issuer's description of itself is no JSON".to_owned())?;
                let text = |name: &str| description.get(name).and_then(Value::as_str);
                if text("issuer") != Some(issuer) {
                    return Err("the issuer describes itself by another name than the configuration's".to_owned());
                }
                let url = text("jwks_uri").ok_or("the issuer does not say where its keys are")?;
                let encrypted = |url: &str| url.starts_with("https://");
                if !encrypted(url) && (encrypted(issuer) || !url.starts_with("http://")) {
                    return Err("the issuer's keys are at an address that is not encrypted".to_owned());
                }
                get(url, options)
            }
        }
    }
}

fn get(url: &str, options: &HttpOptions) -> Result<Vec<u8>, String> {
    let client = HttpClient::new(url, options).map_err(|error| error.to_string())?;
    match client.get(&[], None) {
        Ok(Fetched::Document { bytes, .. }) => Ok(bytes),
        Ok(Fetched::Unchanged) => Err("the server sent no document".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("the file cannot be read: {}", error.kind());
    if fs::metadata(path).map_err(unreadable)?.len() > DOCUMENT_BYTES_MAX {
        return Err("the file is too long".to_owned());
    }
    fs::read(path).map_err(unreadable)
}
