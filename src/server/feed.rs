//! What is fetched from elsewhere, and fetched again when it has changed there.
//!
//! INVARIANT: a feed never forgets what it fetched last, whatever becomes of its source; whether that is valid is the reloader's question.
//! Each feed has a thread of its own, so a source that hangs holds up nobody; and a panic over what it sent is a failed look like any other.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use chrono::Utc;
use sha2::{Digest, Sha256};

use crate::config::{Reference, Remote, RemoteKind};
use crate::ports::{IdTable, read_ids};
use crate::source::{Fetched, HttpClient, HttpOptions, S3Credentials, S3Object, shown_url};

/// The longest credential that is read.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// What a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A document.
    Bytes(Vec<u8>),
    /// The ids of a table.
    Ids(Vec<String>),
}

impl Content {
    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Bytes(bytes) => Sha256::digest(bytes).into(),
            Self::Ids(ids) => {
                // A table has no order: it is the same while it holds the same ids.
                let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
                sorted.sort_unstable();
                let mut hasher = Sha256::new();
                for id in sorted {
                    hasher.update(u64::try_from(id.len()).unwrap_or(u64::MAX).to_be_bytes());
                    hasher.update(id.as_bytes());
                }
                hasher.finalize().into()
            }
        }
    }
}

/// Asks a source once: the content, unless it is the one of that tag, and its tag.
type Fetch = Box<dyn Fn(Option<&str>) -> Result<Option<(Content, Option<String>)>, String> + Send + Sync>;

/// One source.
pub(super) struct Feed {
    name: String,
    fetch: Fetch,
    state: Mutex<State>,
    /// Looks at the source.
    thread: OnceLock<Thread>,
}

struct State {
    content: Arc<Content>,
    digest: [u8; 32],
    tag: Option<String>,
    /// Grows with each content.
    version: u64,
    /// Why the last look failed.
    fault: Option<String>,
}

impl Feed {
    /// Fetches for the first time, and from then on at every `poll_ms` for as long as the feed lives.
    ///
    /// # Errors
    /// There is no first content: why, for the operator.
    pub(super) fn start(remote: &Remote) -> Result<Arc<Self>, String> {
        let name = shown_url(&remote.location).to_owned();
        let named = |fault: String| format!("{name}: {fault}");
        let fetch = fetch(remote).map_err(named)?;
        let first = fetch(None).map_err(named)?;
        let (content, tag) = first.ok_or_else(|| named("the source gave nothing".to_owned()))?;
        let state = State { digest: content.digest(), content: Arc::new(content), tag, version: 0, fault: None };
        let feed = Arc::new(Self { name: name.clone(), fetch, state: Mutex::new(state), thread: OnceLock::new() });
        let (weak, pause) = (Arc::downgrade(&feed), Duration::from_millis(remote.poll_ms));
        let thread = thread::Builder::new().name("meshgate-feed".to_owned());
        let polling = thread.spawn(move || poll(&weak, pause)).map_err(|error| format!("{name}: {error}"))?;
        feed.thread.get_or_init(|| polling.thread().clone());
        Ok(feed)
    }

    /// The source, as it may be shown.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What was fetched last, and its number.
    pub(super) fn latest(&self) -> (u64, Arc<Content>) {
        let state = self.state();
        (state.version, Arc::clone(&state.content))
    }

    /// The number of what was fetched last.
    pub(super) fn version(&self) -> u64 {
        self.state().version
    }

    /// Why the last look failed; `None` if it did not.
    pub(super) fn fault(&self) -> Option<String> {
        self.state().fault.clone()
    }

    /// Fetches before its time.
    pub(super) fn fetch_now(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    fn look(&self) {
        let tag = self.state().tag.clone();
        // Nothing is half changed by a panic: what was fetched is taken up below.
        let fetched = catch_unwind(AssertUnwindSafe(|| (self.fetch)(tag.as_deref())));
        let fetched = fetched.unwrap_or_else(|_| Err("what the source sent could not be read: a fault of the gateway".to_owned()));
        let mut state = self.state();
        match fetched {
            Err(fault) => state.fault = Some(fault),
            Ok(None) => state.fault = None,
            Ok(Some((content, tag))) => {
                state.fault = None;
                state.tag = tag;
                let digest = content.digest();
                if digest != state.digest {
                    state.digest = digest;
                    state.content = Arc::new(content);
                    state.version += 1;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn poll(feed: &Weak<Feed>, pause: Duration) {
    loop {
        thread::park_timeout(pause);
        let Some(feed) = feed.upgrade() else { return };
        feed.look();
    }
}

fn fetch(remote: &Remote) -> Result<Fetch, String> {
    let timeout = Duration::from_millis(remote.timeout_ms);
    let options = |redirects_max: u32, authorities: Option<&Path>| {
        let authorities =
            authorities.map(fs::read).transpose().map_err(|error| format!("the file of authorities cannot be read: {error}"))?;
        Ok::<_, String>(HttpOptions { timeout, bytes_max: remote.bytes_max, redirects_max, authorities })
    };
    match &remote.kind {
        RemoteKind::Http { redirects_max, token, authorities } => {
            let options = options(*redirects_max, authorities.as_deref())?;
            let client = HttpClient::new(&remote.location, &options).map_err(|error| error.to_string())?;
            let token = token.clone();
            Ok(Box::new(move |tag| {
                let bearer = token.as_ref().map(secret).transpose()?;
                let headers = bearer.map(|token| ("authorization".to_owned(), format!("Bearer {token}")));
                answer(client.get(&headers.into_iter().collect::<Vec<_>>(), tag))
            }))
        }
        RemoteKind::S3 { region, endpoint, credentials, authorities } => {
            let object = S3Object::parse(&remote.location, region, endpoint.as_deref()).map_err(|error| error.to_string())?;
            // A redirect would need another signature.
            let options = options(0, authorities.as_deref())?;
            let client = HttpClient::new(&object.url(), &options).map_err(|error| error.to_string())?;
            let credentials = credentials.clone();
            Ok(Box::new(move |tag| {
                let key = S3Credentials::parse(&secret(&credentials)?).ok_or("the access key is not KEY_ID:SECRET")?;
                answer(client.get(&object.signed_headers(&key, Utc::now()), tag))
            }))
        }
        RemoteKind::Postgres { column, credentials, tls, authorities } => {
            let tls = super::options::tls_mode(*tls);
            let table = IdTable { location: remote.location.clone(), column: column.clone(), timeout, bytes_max: remote.bytes_max, tls };
            let (credentials, authorities) = (credentials.clone(), authorities.clone());
            Ok(Box::new(move |_| {
                let login = secret(&credentials)?;
                let read = |path| std::fs::read_to_string(path).map_err(|_| "the authorities' file cannot be read".to_owned());
                let authorities = authorities.as_ref().map(read).transpose()?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
                let ids = runtime.block_on(read_ids(&table, &login, authorities)).map_err(|error| error.to_string())?;
                Ok(Some((Content::Ids(ids), None)))
            }))
        }
    }
}

fn answer(fetched: Result<Fetched, crate::source::FetchError>) -> Result<Option<(Content, Option<String>)>, String> {
    match fetched {
        Ok(Fetched::Unchanged) => Ok(None),
        Ok(Fetched::Document { bytes, tag }) => Ok(Some((Content::Bytes(bytes), tag))),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads a credential anew each time, so that it can be rotated.
pub(super) fn secret(reference: &Reference) -> Result<String, String> {
    let text = secret_text(reference)?;
    let text = text.trim();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("the credential is empty or has more than one line".to_owned());
    }
    Ok(text.to_owned())
}

/// The same in any number of lines.
pub(super) fn secret_text(reference: &Reference) -> Result<String, String> {
    Ok(match reference {
        Reference::Env(name) => std::env::var(name).map_err(|_| "the environment variable of the credential is not set".to_owned())?,
        Reference::File(path) => {
            let length = fs::metadata(path).map_err(|error| format!("the file of the credential cannot be read: {}", error.kind()))?.len();
            if length > SECRET_BYTES_MAX {
                return Err("the file of the credential is too long".to_owned());
            }
            fs::read_to_string(path).map_err(|error| format!("the file of the credential cannot be read: {}", error.kind()))?
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_panic_over_what_was_fetched_is_told_and_the_next_look_fetches_again() {
        let looks = AtomicUsize::new(0);
        let fetch: Fetch = Box::new(move |_| match looks.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("a parser"),
            _ => Ok(Some((Content::Bytes(b"next".to_vec()), None))),
        });
        let first = Content::Bytes(b"first".to_vec());
        let state = State { digest: first.digest(), content: Arc::new(first.clone()), tag: None, version: 0, fault: None };
        let feed = Feed { name: "here".to_owned(), fetch, state: Mutex::new(state), thread: OnceLock::new() };
        feed.look();
        assert!(feed.fault().is_some());
        assert_eq!(feed.latest(), (0, Arc::new(first)), "what was fetched last serves on");
        feed.look();
        assert_eq!((feed.fault(), feed.latest()), (None, (1, Arc::new(Content::Bytes(b"next".to_vec())))));
    }
}
