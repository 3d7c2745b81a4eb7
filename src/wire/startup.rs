//! From the first byte to a session: encryption, the start-up packet, proof of identity.
//!
//! INVARIANT: an unknown user and a wrong password cannot be told apart. Before a client has proved itself it can make the gateway hold
//! no more than one short packet, for no longer than the authentication timeout.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey};
use pgwire::messages::{Message, response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{ClientMessage, SqlState};
use crate::identity::{Principal, ScramError};

use super::backend::{Backend, Login, LoginRefused, SessionRequest};
use super::cancel::Registration;
use super::connection::Shared;
use super::failures::Failures;
use super::frame::{FrameError, FrameReader, FrameWriter, Socket};
use super::frontend::{Cursor, violation};
use super::respond;
use super::tls::{self, Tls};

/// The longest packet of a client that has not proved itself.
pub(super) const PACKET_BYTES_MAX: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_MAJOR: u32 = 3;
const PROTOCOL_MINOR: u32 = 2;
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_BOUND: &str = "SCRAM-SHA-256-PLUS";

/// Why a connection ends before it has a session.
#[derive(Debug)]
pub(super) enum Ended {
    /// There is nobody to tell, or nothing to say.
    Quietly,
    /// The client is told.
    Refused(ClientMessage),
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Quietly
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Closed => Self::Quietly,
            FrameError::Kind(_) | FrameError::Length => Self::Refused(violation(error.to_string())),
        }
    }
}

impl From<ClientMessage> for Ended {
    fn from(message: ClientMessage) -> Self {
        Self::Refused(message)
    }
}

/// A connection whose encryption is settled, and its first packet.
pub(super) struct Opened {
    pub(super) socket: Box<dyn Socket>,
    pub(super) encrypted: bool,
    /// What a login can be bound to.
    pub(super) certificate_hash: Option<Arc<[u8]>>,
    pub(super) packet: Packet,
}

impl Opened {
    async fn over_tls(mut socket: impl Socket + 'static, tls: &Tls) -> Result<Self, Ended> {
        let (code, body) = read_packet(&mut socket).await?;
        let certificate_hash = tls.certificate_hash();
        Ok(Self { packet: packet(code, body), socket: Box::new(socket), encrypted: true, certificate_hash })
    }
}

/// The first packet that matters.
pub(super) enum Packet {
    Cancel { process_id: i32, key: Bytes },
    StartUp(Result<StartUp, ClientMessage>),
}

/// The start-up packet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StartUp {
    pub(super) minor: u32,
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    pub(super) parameters: Vec<(String, String)>,
    pub(super) unknown_options: Vec<String>,
}

/// Settles encryption and reads the packet.
pub(super) async fn open(mut stream: TcpStream, tls: Option<&Tls>) -> Result<Opened, Ended> {
    let mut first = [0u8; 1];
    if stream.peek(&mut first).await? == 0 {
        return Err(Ended::Quietly);
    }
    if first == [TLS_HANDSHAKE] {
        let tls = tls.ok_or(Ended::Quietly)?;
        let socket = tls::accept_direct(stream, tls).await?;
        return Opened::over_tls(socket, tls).await;
    }
    // Each kind of encryption may be asked for once, in either order.
    let (mut asked_for_tls, mut asked_for_gss) = (false, false);
    loop {
        let (code, body) = read_packet(&mut stream).await?;
        match code {
            SSL_REQUEST if !asked_for_tls => {
                asked_for_tls = true;
                let Some(tls) = tls else {
                    stream.write_all(&[response::SslResponse::BYTE_REFUSE]).await?;
                    continue;
                };
                stream.write_all(&[response::SslResponse::BYTE_ACCEPT]).await?;
                let socket = tls::accept(stream, tls).await?;
                return Opened::over_tls(socket, tls).await;
            }
            GSS_REQUEST if !asked_for_gss => {
                asked_for_gss = true;
                stream.write_all(&[response::GssEncResponse::BYTE_REFUSE]).await?;
            }
            _ => {
                let packet = packet(code, body);
                return Ok(Opened { packet, socket: Box::new(stream), encrypted: false, certificate_hash: None });
            }
        }
    }
}

/// Reads exactly one packet without a type byte: its code and the rest.
async fn read_packet(socket: &mut (impl Socket + ?Sized)) -> Result<(u32, Bytes), Ended> {
    let length = usize::try_from(socket.read_u32().await?).map_err(|_| Ended::Quietly)?;
    if !(8..=PACKET_BYTES_MAX).contains(&length) {
        return Err(Ended::Quietly);
    }
    let code = socket.read_u32().await?;
    let mut body = vec![0; length - 8];
    socket.read_exact(&mut body).await?;
    Ok((code, Bytes::from(body)))
}

fn packet(code: u32, mut body: Bytes) -> Packet {
    if code == CANCEL_REQUEST {
        let process_id = body.try_get_i32().unwrap_or_default();
        return Packet::Cancel { process_id, key: body };
    }
    Packet::StartUp(start_up(code, body))
}

fn start_up(code: u32, body: Bytes) -> Result<StartUp, ClientMessage> {
    let (major, minor) = (code >> 16, code & 0xffff);
    if major != PROTOCOL_MAJOR {
        let message = format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.{PROTOCOL_MINOR}");
        return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    }
    let mut start = StartUp { minor, ..StartUp::default() };
    let mut options = Vec::new();
    let mut rest = Cursor::new(body);
    loop {
        let name = rest.text().map_err(layout)?;
        if name.is_empty() {
            break;
        }
        let value = rest.text().map_err(layout)?;
        match name.as_str() {
            "user" => start.user = Some(value),
            "database" => start.database = Some(value),
            "options" => options = split_options(&value)?,
            "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
            "replication" => return Err(ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, "replication is not supported")),
            _ if name.starts_with("_pq_.") => start.unknown_options.push(name),
            _ => start.parameters.push((name, value)),
        }
    }
    rest.end().map_err(layout)?;
    start.parameters.splice(0..0, options);
    Ok(start)
}

/// A fault of the packet's layout; a fault of its text keeps its own code.
fn layout(fault: ClientMessage) -> ClientMessage {
    if fault.sqlstate == SqlState::PROTOCOL_VIOLATION {
        return violation("invalid startup packet layout: expected terminator as last byte");
    }
    fault
}

/// The settings in `options`: `-c name=value`, `-cname=value` and `--name=value`; a backslash keeps a space.
fn split_options(options: &str) -> Result<Vec<(String, String)>, ClientMessage> {
    let mut words: Vec<String> = Vec::new();
    let mut word = None::<String>;
    let mut characters = options.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => word.get_or_insert_default().extend(characters.next()),
            space if space.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match (word.as_str(), word.strip_prefix("--"), word.strip_prefix("-c")) {
            ("-c", ..) => words.next(),
            (_, Some(setting), _) | (_, None, Some(setting)) => Some(setting.to_owned()),
            _ => None,
        };
        let pair = setting.as_deref().and_then(|setting| setting.split_once('='));
        let (name, value) = pair.ok_or_else(|| {
            ClientMessage::new(SqlState::SYNTAX_ERROR, format!("invalid command-line argument for server process: {word}"))
        })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

/// A session that is ready for its first query.
pub(super) struct Ready<S> {
    pub(super) session: S,
    pub(super) registration: Registration,
}

/// What is known of a client before it proves itself.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) encrypted: bool,
    /// What its login can be bound to.
    pub(super) certificate_hash: Option<Arc<[u8]>>,
}

/// Proves the client's identity and opens its session.
pub(super) async fn log_in<B: Backend>(
    shared: &Shared<B>,
    start: StartUp,
    client: &Client,
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
) -> Result<Ready<B::Session>, Ended> {
    if start.minor > PROTOCOL_MINOR || !start.unknown_options.is_empty() {
        let version = (PROTOCOL_MAJOR << 16) | start.minor.min(PROTOCOL_MINOR);
        writer.put(&NegotiateProtocolVersion::new(version.cast_signed(), start.unknown_options.clone()));
    }
    let user = start.user.filter(|user| !user.is_empty()).ok_or_else(|| {
        let message = "no PostgreSQL user name specified in startup packet";
        Ended::Refused(ClientMessage::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message))
    })?;
    let database = start.database.filter(|database| !database.is_empty()).unwrap_or_else(|| user.clone());
    let principal = if shared.options.tls_required && !client.encrypted {
        let message = format!("no entry for user \"{user}\", database \"{database}\", no encryption");
        let refusal = ClientMessage::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message).with_hint("Connect with sslmode=require.");
        Err(Ended::Refused(refusal))
    } else {
        let mut exchange = Exchange { user: &user, client, failures: &shared.failures, reader, writer };
        exchange.prove(shared.backend.login(&user)).await
    };
    if let Err(Ended::Refused(refusal)) = &principal {
        let sqlstate = refusal.sqlstate;
        shared.backend.login_refused(&LoginRefused { user, database: database.clone(), client_address: client.address, sqlstate });
    }
    let principal = principal?;
    if !shared.backend.database_exists(&database) {
        let message = format!("database \"{database}\" does not exist");
        return Err(ClientMessage::new(SqlState::INVALID_CATALOG_NAME, message).into());
    }
    let registration = shared.registry.enter(start.minor >= PROTOCOL_MINOR);
    let request = SessionRequest {
        database,
        parameters: start.parameters,
        client_address: client.address,
        process_id: registration.process_id,
        encrypted: client.encrypted,
        interrupt: registration.interrupt.clone(),
    };
    let mut session = shared.backend.open_session(principal, request).await?;
    welcome(&mut session, &registration, writer);
    Ok(Ready { session, registration })
}

/// What a client is told of its new session, but for ReadyForQuery.
fn welcome(session: &mut impl super::backend::Session, registration: &Registration, writer: &mut FrameWriter) {
    writer.put(&Authentication::Ok);
    for (name, value) in session.take_parameter_changes() {
        writer.put(&ParameterStatus::new(respond::without_nul(&name), respond::without_nul(&value)));
    }
    writer.put(&BackendKeyData::new(registration.process_id, SecretKey::Bytes(registration.key.clone())));
    for notice in session.take_notices() {
        writer.put(&respond::notice(&notice));
    }
}

/// A login's SCRAM exchange.
struct Exchange<'a> {
    user: &'a str,
    client: &'a Client,
    failures: &'a Failures,
    reader: &'a mut FrameReader,
    writer: &'a mut FrameWriter,
}

impl Exchange<'_> {
    async fn prove(&mut self, login: Login) -> Result<Arc<Principal>, Ended> {
        let Login { principal, mut exchange } = login;
        let mut mechanisms = Vec::new();
        if let Some(hash) = &self.client.certificate_hash {
            exchange = exchange.offering_channel_binding(hash);
            mechanisms.push(SCRAM_BOUND.to_owned());
        }
        mechanisms.push(SCRAM.to_owned());
        self.send(&Authentication::SASL(mechanisms)).await?;
        let mut initial = Cursor::new(self.password_message().await?);
        match initial.text()?.as_str() {
            SCRAM => {}
            SCRAM_BOUND => exchange.choose_channel_binding().map_err(|failure| self.refusal(failure))?,
            _ => return Err(violation("client selected an invalid SASL authentication mechanism").into()),
        }
        let first = initial.value()?.ok_or_else(|| violation("malformed SCRAM message"))?;
        initial.end()?;
        let answer = exchange.first(&first).map_err(|failure| self.refusal(failure))?;
        self.send(&Authentication::SASLContinue(answer.into())).await?;
        let last = self.password_message().await?;
        let turn = self.failures.turn(self.client.address.ip(), self.user).await;
        match (exchange.last(&last), principal) {
            (Ok(answer), Some(principal)) => {
                turn.succeeded();
                self.writer.put(&Authentication::SASLFinal(answer.into()));
                Ok(principal)
            }
            (Ok(_), None) | (Err(ScramError::Failed), _) => {
                turn.failed().await;
                Err(self.refusal(ScramError::Failed).into())
            }
            (Err(failure), _) => Err(self.refusal(failure).into()),
        }
    }

    async fn send(&mut self, message: &impl Message) -> std::io::Result<()> {
        self.writer.put(message);
        self.writer.flush().await
    }

    async fn password_message(&mut self) -> Result<Bytes, Ended> {
        let frame = self.reader.next().await?;
        match frame.kind {
            b'p' => Ok(frame.body),
            b'X' => Err(Ended::Quietly),
            other => Err(violation(format!("expected SASL response, got message type {other}")).into()),
        }
    }

    fn refusal(&self, failure: ScramError) -> ClientMessage {
        match failure {
            ScramError::Malformed(_) | ScramError::ChannelBinding => ClientMessage::from(&failure),
            ScramError::Failed => {
                ClientMessage::new(SqlState::INVALID_PASSWORD, format!("password authentication failed for user \"{}\"", self.user))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<StartUp, ClientMessage> {
        start_up(3 << 16, Bytes::copy_from_slice(body))
    }

    #[test]
    fn settings_of_options_come_before_the_packets_own() {
        let start = read(b"user\0a\0application_name\0x\0options\0-c a.b=1\\ 2 --time-zone=UTC -cx=y\0\0").unwrap();
        let shown: Vec<_> = start.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(shown, [("a.b", "1 2"), ("time_zone", "UTC"), ("x", "y"), ("application_name", "x")]);
        assert_eq!(start.user.as_deref(), Some("a"));
    }

    #[test]
    fn broken_packets_are_refused() {
        for (body, sqlstate) in [
            (&b""[..], SqlState::PROTOCOL_VIOLATION),
            (b"user\0a", SqlState::PROTOCOL_VIOLATION),
            (b"user\0a\0", SqlState::PROTOCOL_VIOLATION),
            (b"user\0a\0\0x", SqlState::PROTOCOL_VIOLATION),
            (b"user\0\xff\0\0", SqlState::CHARACTER_NOT_IN_REPERTOIRE),
            (b"options\0-c\0\0", SqlState::SYNTAX_ERROR),
            (b"options\0-x\0\0", SqlState::SYNTAX_ERROR),
            (b"replication\0database\0\0", SqlState::FEATURE_NOT_SUPPORTED),
        ] {
            assert_eq!(read(body).unwrap_err().sqlstate, sqlstate, "{body:?}");
        }
        assert_eq!(start_up(2 << 16, Bytes::new()).unwrap_err().sqlstate, SqlState::FEATURE_NOT_SUPPORTED);
    }
}
