//! Hands the signed head of the audit log to where it is kept, at intervals and at the end.
//!
//! INVARIANT: a place that cannot be reached holds up nothing: the next head says all that the missed one said, and more.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditLog, Head, HeadKey};
use crate::config::{self, Reference};
use crate::engine::Clock;
use crate::source::{HttpClient, HttpOptions};

use super::feed::{secret, secret_text};

/// The longest that handing over a head may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where heads are kept.
enum Keeper {
    File(PathBuf),
    Webhook { client: HttpClient, token: Option<Reference> },
}

/// A keeper and the last head that it has.
struct Kept {
    keeper: Keeper,
    seq: u64,
    failing: bool,
}

/// Signs and hands over.
pub(super) struct Heads {
    key: HeadKey,
    interval: Duration,
    kept: Mutex<Vec<Kept>>,
}

impl Heads {
    /// Reads the key and prepares the keepers; nothing is sent yet.
    pub(super) fn new(config: &config::Heads) -> anyhow::Result<Self> {
        let text = secret_text(&config.key).map_err(anyhow::Error::msg).context("audit.heads.key")?;
        let key = HeadKey::parse(&text).context("audit.heads.key")?;
        let mut keepers = Vec::new();
        if let Some(file) = &config.file {
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder).context("the folder of audit.heads.file cannot be made")?;
            }
            keepers.push(Keeper::File(file.clone()));
        }
        if let Some(url) = &config.webhook {
            let options = HttpOptions { timeout: TIMEOUT, bytes_max: ANSWER_BYTES_MAX, redirects_max: 0, authorities: None };
            let client = HttpClient::new(url, &options).context("audit.heads.webhook")?;
            keepers.push(Keeper::Webhook { client, token: config.token.clone() });
        }
        let kept = keepers.into_iter().map(|keeper| Kept { keeper, seq: 0, failing: false }).collect();
        tracing::info!(key = key.public(), "heads of the audit log are signed; this is the public key");
        Ok(Self { key, interval: Duration::from_millis(config.interval_ms), kept: Mutex::new(kept) })
    }

    /// Works until the shutdown.
    pub(super) async fn run(self: Arc<Self>, log: Arc<AuditLog>, clock: Clock, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.interval) => {}
            }
            Arc::clone(&self).publish(log.head(), Arc::clone(&clock)).await;
        }
    }

    /// Hands over the head to those who do not have it.
    pub(super) async fn publish(self: Arc<Self>, head: Head, clock: Clock) {
        let published = tokio::task::spawn_blocking(move || {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            for kept in kept.iter_mut().filter(|kept| kept.seq < head.seq) {
                let signed = serde_json::to_string(&self.key.sign(&head, clock())).map_err(|error| error.to_string());
                match signed.and_then(|line| kept.keeper.keep(&line)) {
                    Ok(()) => (kept.seq, kept.failing) = (head.seq, false),
                    // What is down is told once.
                    Err(error) if !std::mem::replace(&mut kept.failing, true) => {
                        tracing::warn!(keeper = kept.keeper.name(), error, "the head of the audit log cannot be handed over");
                    }
                    Err(_) => {}
                }
            }
        });
        if published.await.is_err() {
            tracing::error!("handing over the head of the audit log panicked");
        }
    }
}

impl Keeper {
    fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook { .. } => "webhook",
        }
    }

    fn keep(&self, line: &str) -> Result<(), String> {
        match self {
            Self::File(path) => append(path, line).map_err(|error| error.kind().to_string()),
            Self::Webhook { client, token } => {
                let bearer = token.as_ref().map(secret).transpose()?;
                let headers: Vec<_> = bearer.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))).into_iter().collect();
                client.post_json(&headers, line.as_bytes()).map_err(|error| error.to_string())
            }
        }
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}
