//! The Postgres protocol: sockets on one side, a [`Backend`] on the other.
//!
//! One task per connection: `startup` proves who is there, then `conversation` answers one message after another, `rows` and `copy` write
//! results, and `encode` writes values. What runs is raced with cancel requests, its deadline, the client's going away and the shutdown.
//!
//! INVARIANT: no plan type and no policy type is named here, and nothing a client sends ends the process: a panic ends one connection
//! and is counted. `pgwire` is named only here, and only for the messages that go out; what comes in is read by `frontend`.

mod backend;
mod cancel;
mod connection;
mod conversation;
mod copy;
mod encode;
mod endpoint;
mod extended;
mod failures;
mod frame;
mod frontend;
mod oauth;
mod proof;
mod recode;
mod refusals;
mod respond;
mod rows;
mod signal;
mod start_ups;
mod startup;
mod tls;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub use backend::{Backend, Interrupt, InterruptCause, Login, LoginRefused, Session, SessionRequest, StatementDescription};
pub use encode::EncodeSettings;
pub use failures::FailedLogins;
pub use oauth::TokenOffer;
pub use tls::{ClientAuthorities, Tls, TlsError, TlsMaterial};

use crate::identity::CertificateRules;

use connection::Shared;

/// How long killed connections may take to close their records.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Which clients may do without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainClients {
    /// None.
    Refused,
    /// Those on the gateway's own machine.
    OnLoopback,
    /// All.
    Allowed,
}

/// What the listener allows.
#[derive(Debug, Clone)]
pub struct WireOptions {
    /// The server's side of TLS, if it has one.
    pub tls: Option<Tls>,
    /// Which clients may do without it.
    pub plain: PlainClients,
    /// What the certificates of clients are for, if they are asked for.
    pub certificates: Option<CertificateRules>,
    /// What clients are told of tokens, if any are taken.
    pub tokens: Option<TokenOffer>,
    /// Sessions at a time; one more is told 53300.
    pub connections_max: usize,
    /// Connections that may stand at their start-up; for one more, one of the address that has most of them there is closed.
    pub start_ups_max: usize,
    /// The longest message of a session, in bytes.
    pub frame_bytes_max: usize,
    /// How logins that fail are slowed down.
    pub failed_logins: FailedLogins,
    /// From accept to a proved identity.
    pub authentication_timeout: Duration,
    /// How long running statements may take to end at a shutdown.
    pub drain_grace: Duration,
}

impl Default for WireOptions {
    fn default() -> Self {
        Self {
            tls: None,
            plain: PlainClients::OnLoopback,
            certificates: None,
            tokens: None,
            connections_max: 100,
            start_ups_max: 200,
            frame_bytes_max: 64 << 20,
            failed_logins: FailedLogins::default(),
            authentication_timeout: Duration::from_secs(60),
            drain_grace: Duration::from_secs(30),
        }
    }
}

/// What was served until the shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Connections accepted.
    pub connections: u64,
    /// Connections that a panic ended.
    pub panics: u64,
    /// Whether every connection ended within the grace period.
    pub drained: bool,
}

/// Serves connections until `shutdown`, then drains: idle sessions end at once with 57P01, running statements within the grace period.
pub async fn serve<B: Backend>(listener: TcpListener, backend: Arc<B>, options: WireOptions, shutdown: CancellationToken) -> Served {
    let tasks = TaskTracker::new();
    let panics = Arc::new(AtomicU64::new(0));
    let mut connections = 0;
    let shared = Arc::new(Shared::new(backend, options, shutdown.clone()));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // Out of file descriptors: trying again at once would spin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        connections += 1;
        let span = tracing::info_span!("connection", id = connections, %address);
        let (shared, panics) = (shared.clone(), panics.clone());
        let task = async move {
            let served = std::panic::AssertUnwindSafe(connection::serve_tcp(&shared, stream, address)).catch_unwind().await;
            if served.is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("a connection's task panicked");
            }
        };
        tasks.spawn(task.instrument(span));
    }
    drop(listener);
    let drained = drain(&tasks, &shared).await;
    Served { connections, panics: panics.load(Ordering::Relaxed), drained }
}

/// Serves one connection over any stream, as if it were the only one of a listener. A panic is the caller's.
pub async fn serve_stream<B: Backend>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    address: SocketAddr,
    backend: Arc<B>,
    options: WireOptions,
    shutdown: CancellationToken,
) {
    connection::serve(&Shared::new(backend, options, shutdown), stream, address, None).await;
}

/// Waits for the connections to end, then ends them.
async fn drain<B: Backend>(tasks: &TaskTracker, shared: &Shared<B>) -> bool {
    tasks.close();
    let drained = tokio::time::timeout(shared.options.drain_grace, tasks.wait()).await.is_ok();
    if !drained {
        tracing::warn!(connections = tasks.len(), "statements still run after the grace period and are stopped");
        shared.kill.raise();
        if tokio::time::timeout(KILL_GRACE, tasks.wait()).await.is_err() {
            tracing::error!(connections = tasks.len(), "connections do not end");
        }
    }
    drained
}
