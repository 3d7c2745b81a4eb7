//! One connection from accept to close.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::engine::Connection;
use crate::error::{ClientMessage, SqlState};
use crate::telemetry::{self, Step};

use super::WireOptions;
use super::backend::{Backend, LoginRefused};
use super::cancel::CancelRegistry;
use super::conversation::Conversation;
use super::failures::Failures;
use super::frame::{FrameReader, FrameWriter, Socket};
use super::proof::PROOF_BYTES_MAX;
use super::refusals::Refusals;
use super::respond;
use super::signal::Signal;
use super::start_ups::StartUps;
use super::startup::{self, Client, Ended, Packet};

/// How long a client may take to read the last words.
const FAREWELL: Duration = Duration::from_secs(2);

/// For how long a client's machine may acknowledge nothing.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What all connections share.
pub(super) struct Shared<B> {
    pub(super) backend: Arc<B>,
    pub(super) options: WireOptions,
    pub(super) registry: Arc<CancelRegistry>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) start_ups: StartUps,
    /// No new statement begins.
    pub(super) shutdown: CancellationToken,
    /// Running statements end too.
    pub(super) kill: Arc<Signal>,
    /// Logins that failed of late.
    pub(super) failures: Failures,
    /// Logins that were refused before a proof.
    pub(super) refusals: Refusals,
}

impl<B> Shared<B> {
    pub(super) fn new(backend: Arc<B>, options: WireOptions, shutdown: CancellationToken) -> Self {
        Self {
            backend,
            registry: Arc::new(CancelRegistry::default()),
            permits: Arc::new(Semaphore::new(options.connections_max.min(Semaphore::MAX_PERMITS))),
            start_ups: StartUps::new(options.start_ups_max),
            shutdown,
            kill: Arc::default(),
            failures: Failures::new(options.failed_logins),
            refusals: Refusals::default(),
            options,
        }
    }
}

/// Serves one connection of the network to its end.
pub(super) async fn serve_tcp<B: Backend>(shared: &Shared<B>, stream: TcpStream, address: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true).and_then(|()| notice_absence(&stream)) {
        tracing::debug!(%error, "the socket cannot be set up");
    }
    let server_address = stream.local_addr().ok();
    serve(shared, stream, address, server_address).await;
}

/// Serves one connection to its end.
pub(super) async fn serve<B: Backend>(
    shared: &Shared<B>,
    stream: impl Socket + 'static,
    address: SocketAddr,
    server_address: Option<SocketAddr>,
) {
    telemetry::step(Step::Accept, "");
    let timeout = shared.options.authentication_timeout;
    let started = tokio::time::Instant::now();
    let place = shared.start_ups.enter(address.ip());
    let opened = tokio::select! {
        biased;
        () = shared.shutdown.cancelled() => return,
        () = place.lost() => return tracing::warn!("too many connections are at their start-up: this one is closed"),
        opened = tokio::time::timeout(timeout, startup::open(stream, shared.options.tls.as_ref())) => opened,
    };
    let opened = match opened {
        Ok(Ok(opened)) => opened,
        Ok(Err(Ended::Uncertified(reason))) => return refuse_certificate(shared, address, reason).await,
        Ok(Err(Ended::Quietly | Ended::Refused(_))) | Err(_) => return,
    };
    let mut socket = opened.socket;
    let start = match opened.packet {
        Packet::Cancel { process_id, key } => {
            let found = shared.registry.cancel(process_id, &key);
            tracing::debug!(process_id, found, "cancel request");
            // Over TLS a client takes an end without a word for an attack.
            let _ = tokio::time::timeout(FAREWELL, socket.shutdown()).await;
            return;
        }
        Packet::StartUp(start) => start,
    };
    let (read, write) = tokio::io::split(socket);
    let proof_bytes_max = if shared.options.tokens.is_some() { PROOF_BYTES_MAX } else { startup::PACKET_BYTES_MAX };
    let mut reader = FrameReader::new(read, proof_bytes_max);
    let mut writer = FrameWriter::new(write);
    let connection = Connection { server_address, encryption: opened.encryption };
    let client = Client { address, connection, certificate_hash: opened.certificate_hash, certificate: opened.certificate };
    let login = async { startup::log_in(shared, start?, &client, &mut reader, &mut writer).await };
    let login = tokio::select! {
        biased;
        () = tokio::time::sleep_until(started + timeout) => Err(Ended::Quietly),
        login = login => login,
        () = shared.shutdown.cancelled() => Err(Ended::Refused(shutting_down())),
        () = place.lost() => Err(Ended::Refused(too_many())),
    };
    drop(place);
    let ended = match login {
        Err(ended) => Some(ended),
        Ok(ready) => {
            reader.begin_session(shared.options.frame_bytes_max, shared.backend.memory());
            let ended = Conversation::new(ready, &mut reader, &mut writer, shared.shutdown.child_token(), &shared.kill).run().await;
            ended.map(Ended::Refused)
        }
    };
    farewell(ended, &mut writer).await;
}

/// A client whose machine or network is gone says nothing: the kernel asks it, and gives up on what it does not acknowledge.
fn notice_absence(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE_MAX).with_interval(SILENCE_MAX / 6).with_retries(6))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE_MAX))?;
    Ok(())
}

fn shutting_down() -> ClientMessage {
    ClientMessage::new(SqlState::CANNOT_CONNECT_NOW, "the gateway is shutting down")
}

/// A certificate that is not good counts like a wrong password; whose it would have been is not known.
async fn refuse_certificate<B: Backend>(shared: &Shared<B>, client_address: SocketAddr, reason: String) {
    let sqlstate = SqlState::INVALID_AUTHORIZATION_SPECIFICATION;
    let refused = LoginRefused { user: String::new(), database: String::new(), client_address, sqlstate, reason };
    shared.refusals.note(&shared.backend, refused);
    shared.failures.turn(client_address.ip(), "").await.failed().await;
}

fn too_many() -> ClientMessage {
    ClientMessage::new(SqlState::TOO_MANY_CONNECTIONS, "sorry, too many clients already")
}

/// Takes one of the limited places of sessions. Only who has proved who he is may have one.
pub(super) fn admit<B: Backend>(shared: &Shared<B>) -> Result<OwnedSemaphorePermit, ClientMessage> {
    if shared.shutdown.is_cancelled() {
        return Err(shutting_down());
    }
    shared.permits.clone().try_acquire_owned().map_err(|_| too_many())
}

/// Tells the client why, if there is a why, and closes.
async fn farewell(ended: Option<Ended>, writer: &mut FrameWriter) {
    match ended {
        Some(Ended::Refused(message)) => writer.put(&respond::fatal(&message)),
        Some(Ended::Quietly | Ended::Uncertified(_)) | None => {}
    }
    let close = async {
        writer.flush().await?;
        writer.shutdown().await
    };
    match tokio::time::timeout(FAREWELL, close).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the client is gone"),
        Err(_) => tracing::debug!("the client does not read"),
    }
}
