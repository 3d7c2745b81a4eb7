//! Hands the signed head of the audit log to where it is kept, at intervals and at the end.
//!
//! INVARIANT: a place that cannot be reached holds up nothing: the next head says all that the missed one said, and more.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditLog, Head, HeadKey};
use crate::config::{self, Reference};
use crate::engine::Clock;
use crate::source::{HttpClient, HttpOptions, S3Credentials, S3Object};

use super::feed::{secret, secret_text};

/// The longest that handing over a head may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// Where heads are kept.
enum Keeper {
    File(PathBuf),
    Webhook {
        client: HttpClient,
        token: Option<Reference>,
    },
    /// An object for each, named by the number of its record.
    Objects {
        client: HttpClient,
        below: S3Object,
        credentials: Reference,
    },
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
        if let Some(objects) = &config.objects {
            keepers.push(Keeper::objects(objects).context("audit.heads.objects")?);
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
                match signed.and_then(|line| kept.keeper.keep(&line, head.seq)) {
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
            Self::Objects { .. } => "objects",
        }
    }

    fn objects(config: &config::HeadObjects) -> anyhow::Result<Self> {
        let below = S3Object::parse(&config.location, &config.region, config.endpoint.as_deref())?;
        let authorities = config.authorities.as_ref().map(std::fs::read).transpose().context("the authorities cannot be read")?;
        let options = HttpOptions { timeout: TIMEOUT, bytes_max: ANSWER_BYTES_MAX, redirects_max: 0, authorities };
        Ok(Self::Objects { client: HttpClient::new(&below.url(), &options)?, below, credentials: config.credentials.clone() })
    }

    fn keep(&self, line: &str, seq: u64) -> Result<(), String> {
        match self {
            Self::File(path) => append(path, line).map_err(|error| error.kind().to_string()),
            Self::Webhook { client, token } => {
                let bearer = token.as_ref().map(secret).transpose()?;
                let headers: Vec<_> = bearer.map(|token| ("authorization".to_owned(), format!("Bearer {token}"))).into_iter().collect();
                client.post_json(&headers, line.as_bytes()).map_err(|error| error.to_string())
            }
            Self::Objects { client, below, credentials } => {
                let key = S3Credentials::parse(&secret(credentials)?).ok_or("the access key is not KEY_ID:SECRET")?;
                // A line, so that objects one behind the other are a file of heads; their names are in the order of the records.
                let (object, body) = (below.below(&format!("{seq:020}.json")), format!("{line}\n"));
                let headers = object.signed_headers_to_put(body.as_bytes(), &key, Utc::now());
                client.put_json(&object.url(), &headers, body.as_bytes()).map_err(|error| error.to_string())
            }
        }
    }
}

fn append(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file: File = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{BufRead as _, BufReader, Read as _};
    use std::net::TcpListener;

    use chrono::DateTime;

    use super::*;
    use crate::audit::read_heads;

    /// A server that takes whatever it is sent: the first lines with their headers, in lower case, and the bodies.
    fn server() -> (String, Arc<Mutex<BTreeMap<String, String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let taken: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let takes = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
                let head = head.to_lowercase();
                let length =
                    head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or(0, |text| text.trim().parse().unwrap());
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                takes.lock().unwrap().insert(head, String::from_utf8(body).unwrap());
                let _gone = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        (address, taken)
    }

    #[tokio::test]
    async fn heads_are_kept_in_a_file_an_object_store_and_by_a_webhook() {
        let folder = tempfile::tempdir().unwrap();
        let (key, pem) = HeadKey::generate().unwrap();
        let text = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            Reference::File(folder.path().join(name))
        };
        let ((store, objects), (witness, told)) = (server(), server());
        let file = folder.path().join("kept/heads.jsonl");
        let config = config::Heads {
            key: text("key.pem", &pem),
            file: Some(file.clone()),
            webhook: Some(format!("{witness}/heads")),
            token: Some(text("token", "t0ken")),
            objects: Some(config::HeadObjects {
                location: "s3://mesh/heads".to_owned(),
                region: "eu-west-1".to_owned(),
                endpoint: Some(store),
                credentials: text("access", "AKIA:secret"),
                authorities: None,
            }),
            interval_ms: 1,
        };
        let heads = Arc::new(Heads::new(&config).unwrap());
        for seq in [7, 7, 12] {
            let head = Head { seq, hash: format!("{seq:064}") };
            Arc::clone(&heads).publish(head, Arc::new(|| DateTime::UNIX_EPOCH)).await;
        }
        let (objects, told) = (objects.lock().unwrap().clone(), told.lock().unwrap().clone());
        let places: Vec<&str> = objects.keys().map(|head| head.split(" http/").next().unwrap()).collect();
        assert_eq!(places, ["put /mesh/heads/00000000000000000007.json", "put /mesh/heads/00000000000000000012.json"]);
        assert!(objects.keys().all(|head| head.contains("authorization: aws4-hmac-sha256 credential=akia/")), "{objects:?}");
        // Requests to one address differ in nothing but their bodies' lengths.
        assert!(!told.is_empty() && told.keys().all(|head| head.starts_with("post /heads ") && head.contains("bearer t0ken")), "{told:?}");
        let last = |texts: String| read_heads(&texts, &key.public()).unwrap();
        for kept in [std::fs::read_to_string(file).unwrap(), objects.into_values().collect()] {
            let (heads, faults) = last(kept);
            assert_eq!((heads.keys().copied().collect::<Vec<_>>(), faults), (vec![7, 12], Vec::new()));
        }
        let (heads, faults) = last(told.into_values().map(|body| body + "\n").collect());
        assert_eq!((heads.contains_key(&12), faults), (true, Vec::new()));
    }
}
