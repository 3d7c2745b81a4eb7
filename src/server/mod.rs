//! The composition root: builds each part once, serves, drains.

mod backend;
pub mod commands;
mod feed;
mod gaps;
mod heads;
mod keys;
mod lineage_sink;
pub mod load;
mod options;
pub mod quickstart;
mod registrations;
mod reload;
mod sources;
mod subjects;
mod tokens;
mod watch;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditLog, Event, Reload};
use crate::catalog::mesh::Copier;
use crate::config::Config;
use crate::engine::{Clock, Engine, EngineOptions, Worlds};
use crate::lineage::Emitter;
use crate::ports::Ports;
use crate::wire::{self, Served, WireOptions};

use backend::{Directories, Gateway};
use heads::Heads;
use reload::{Loaded, Reloader, Seen};
use sources::Source;
use tokens::Issuers;

/// How long the last lineage events may take.
const LINEAGE_GRACE: Duration = Duration::from_secs(5);

/// What a start may override.
#[derive(Clone, Default)]
pub struct StartOptions {
    /// Other addresses than the configuration's.
    pub listen: Option<Vec<SocketAddr>>,
    /// Whether what changes while the gateway serves may lower protection.
    pub allow_lowered_protection: bool,
    /// Another clock than the machine's, for tests and reproductions.
    pub clock: Option<Clock>,
    /// Gives memory that nothing lies in back to the system. What does so belongs to the program's allocator.
    pub give_back: Option<fn()>,
}

/// A clock that always shows this moment.
pub fn clock_standing_at(moment: DateTime<Utc>) -> Clock {
    Arc::new(move || moment)
}

/// A gateway that serves.
pub struct Running {
    addresses: Vec<SocketAddr>,
    shutdown: CancellationToken,
    serving: Vec<JoinHandle<Served>>,
    audit: Arc<AuditLog>,
    heads: Option<Arc<Heads>>,
    clock: Clock,
    emitter: Option<Arc<Emitter>>,
    gateway: Arc<Gateway>,
    wire: WireOptions,
    reload: Arc<Notify>,
    /// Copies columns of the log, for as long as the gateway serves.
    _copier: Option<Copier>,
}

impl Running {
    /// Where it listens; never empty.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Has everything read anew that may have changed.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// Serves one client over any stream, as if it had connected from that address. A panic is the caller's.
    pub async fn serve_stream(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, address: SocketAddr) {
        wire::serve_stream(stream, address, Arc::clone(&self.gateway), self.wire.clone(), self.shutdown.clone()).await;
    }

    /// Stops accepting, lets running statements end, writes all records.
    pub async fn stop(self) -> anyhow::Result<Vec<Served>> {
        self.shutdown.cancel();
        let mut served = Vec::new();
        for serving in self.serving {
            served.push(serving.await.context("a listener failed"));
        }
        // Whatever became of the listeners, what is known is written.
        if let Some(emitter) = &self.emitter
            && tokio::time::timeout(LINEAGE_GRACE, emitter.close()).await.is_err()
        {
            tracing::warn!("lineage events could not all be sent before the end");
        }
        self.audit.close().await.context("the audit log could not be closed")?;
        if let Some(heads) = self.heads {
            heads.publish(self.audit.head(), self.clock).await;
        }
        served.into_iter().collect()
    }
}

/// Everything that the world is made of, for the first time: without it there is nothing to serve.
async fn first_load(config: &Config) -> anyhow::Result<(Source, Source, Seen, Loaded)> {
    let config = config.clone();
    let loading = tokio::task::spawn_blocking(move || -> Result<_, load::LoadFaults> {
        let (policies, erasures) = (Source::of_policies(&config)?, Source::of_erasures(&config)?);
        let seen = Seen::now(&config, &policies, &erasures);
        let loaded = Loaded {
            snapshot: Arc::new(load::catalog(&config)?),
            bundle: Arc::new(policies.bundle()?),
            erased: Arc::new(erasures.erasures()?),
        };
        Ok((policies, erasures, seen, loaded))
    });
    Ok(loading.await.context("loading panicked")??)
}

/// Loads everything and starts to serve.
pub async fn start(config: Config, start: StartOptions) -> anyhow::Result<Running> {
    let clock = start.clock.unwrap_or_else(|| Arc::new(Utc::now));
    if config.example.is_some() {
        let data = config.data.as_deref().context("an example needs a folder for its data; set `data`")?;
        quickstart::generate(data, clock()).context("the example's data could not be written")?;
    }
    let (policies, erasures, seen, loaded) = first_load(&config).await?;
    let world = load::world(&config, Arc::clone(&loaded.snapshot), Arc::clone(&loaded.bundle), Arc::clone(&loaded.erased))?;
    gaps::warn(&world);
    let worlds = Arc::new(Worlds::new(world));
    let directories = Arc::new(Directories::new(load::principals(&config)?));
    let audit = AuditLog::open(options::audit(&config, &clock)).context("the audit log could not be opened")?;
    registrations::note_start(&audit, &loaded.snapshot, clock());
    let copier = if config.audit.columns { Copier::start(audit.reader()).context("the audit log's columns")? } else { None };
    let heads = config.audit.heads.as_ref().map(Heads::new).transpose()?.map(Arc::new);
    let emitter = options::emitter(&config)?;
    let ports = Arc::new(Ports::new(options::ports(&config)));
    let engine = EngineOptions { give_back: start.give_back, ..options::engine(&config, &clock) };
    let engine = Engine::new(engine, Arc::clone(&worlds), ports, Arc::clone(&audit), emitter.clone())?;
    let shutdown = CancellationToken::new();
    let issuers = issuers(&config, &audit, &clock)?;
    if let Some(issuers) = &issuers {
        issuers.keep_fresh(&shutdown);
    }
    let tls = options::tls(&config)?;
    let wire = options::wire(&config, tls.clone());
    let gateway = Arc::new(Gateway {
        engine,
        directories: Arc::clone(&directories),
        audit: Arc::clone(&audit),
        clock: Arc::clone(&clock),
        issuers,
        mock_secret: rand::random(),
    });
    let (mut addresses, mut serving) = (Vec::new(), Vec::new());
    for listen in start.listen.as_ref().unwrap_or(&config.listen) {
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        options::warn_of_plain_clients(&config, address);
        addresses.push(address);
        serving.push(tokio::spawn(wire::serve(listener, Arc::clone(&gateway), wire.clone(), shutdown.clone())));
    }
    if let Some(heads) = &heads {
        tokio::spawn(Arc::clone(heads).run(Arc::clone(&audit), Arc::clone(&clock), shutdown.clone()));
    }
    let allow_lowered_protection = start.allow_lowered_protection;
    let reloader = Reloader {
        config,
        policies,
        erasures,
        worlds,
        directories,
        audit: Arc::clone(&audit),
        clock: Arc::clone(&clock),
        loaded,
        seen,
        tls,
        allow_lowered_protection,
    };
    let reload = Arc::<Notify>::default();
    tokio::spawn(reloader.run(Arc::clone(&reload), shutdown.clone()));
    Ok(Running { addresses, shutdown, serving, audit, heads, clock, emitter, gateway, wire, reload, _copier: copier })
}

/// Those whose tokens prove a login. What becomes of their keys is noted in the audit log.
fn issuers(config: &Config, audit: &Arc<AuditLog>, clock: &Clock) -> anyhow::Result<Option<Issuers>> {
    let Some(tokens) = &config.tokens else { return Ok(None) };
    let (audit, clock) = (Arc::clone(audit), Arc::clone(clock));
    let note = move |outcome: Result<(), &str>| {
        let (outcome, faults) = if outcome.is_ok() { ("replaced", 0) } else { ("unreachable", 1) };
        let (what, outcome) = ("token_keys".to_owned(), outcome.to_owned());
        audit.note(clock(), Event::Reload(Reload { what, revision: String::new(), outcome, faults }));
    };
    let note: keys::Note = Arc::new(note);
    Issuers::open(tokens, &note).map(Some)
}
