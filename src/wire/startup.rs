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
use super::frame::{FrameError, FrameReader, FrameWriter, Socket};
use super::frontend::{Cursor, violation};
use super::{respond, tls};

/// The longest packet of a client that has not proved itself.
pub(super) const PACKET_BYTES_MAX: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_MAJOR: u32 = 3;
const PROTOCOL_MINOR: u32 = 2;
const SCRAM: &str = "SCRAM-SHA-256";

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
    pub(super) packet: Packet,
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
pub(super) async fn open(stream: TcpStream, tls: Option<&Arc<rustls::ServerConfig>>) -> Result<Opened, Ended> {
    let mut first = [0u8; 1];
    if stream.peek(&mut first).await? == 0 {
        return Err(Ended::Quietly);
    }
    if first == [0x16] {
        let config = tls.ok_or(Ended::Quietly)?;
        let mut socket = tls::accept_direct(stream, config.clone()).await?;
        let (code, body) = read_packet(&mut socket).await?;
        return Ok(Opened { packet: packet(code, body), socket: Box::new(socket), encrypted: true });
    }
    let mut stream = stream;
    let mut asked_for_gss = false;
    loop {
        let (code, body) = read_packet(&mut stream).await?;
        match (code, tls) {
            (SSL_REQUEST, Some(config)) => {
                stream.write_all(&[response::SslResponse::BYTE_ACCEPT]).await?;
                let mut socket = tls::accept(stream, config.clone()).await?;
                let (code, body) = read_packet(&mut socket).await?;
                return Ok(Opened { packet: packet(code, body), socket: Box::new(socket), encrypted: true });
            }
            (SSL_REQUEST, None) => {
                stream.write_all(&[response::SslResponse::BYTE_REFUSE]).await?;
                let (code, body) = read_packet(&mut stream).await?;
                return Ok(Opened { packet: packet(code, body), socket: Box::new(stream), encrypted: false });
            }
            (GSS_REQUEST, _) if !asked_for_gss => {
                asked_for_gss = true;
                stream.write_all(&[response::GssEncResponse::BYTE_REFUSE]).await?;
            }
            _ => return Ok(Opened { packet: packet(code, body), socket: Box::new(stream), encrypted: false }),
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
        prove(shared.backend.login(&user), &user, reader, writer).await
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

/// The SCRAM exchange.
async fn prove(login: Login, user: &str, reader: &mut FrameReader, writer: &mut FrameWriter) -> Result<Arc<Principal>, Ended> {
    let Login { principal, mut exchange } = login;
    send(writer, &Authentication::SASL(vec![SCRAM.to_owned()])).await?;
    let mut initial = Cursor::new(password_message(reader).await?);
    let mechanism = initial.text()?;
    if mechanism != SCRAM {
        return Err(violation("client selected an invalid SASL authentication mechanism").into());
    }
    let first = initial.value()?.ok_or_else(|| violation("malformed SCRAM message"))?;
    initial.end()?;
    let answer = exchange.first(&first).map_err(|failure| refusal(failure, user))?;
    send(writer, &Authentication::SASLContinue(answer.into())).await?;
    let last = password_message(reader).await?;
    let answer = exchange.last(&last).map_err(|failure| refusal(failure, user))?;
    let principal = principal.ok_or_else(|| refusal(ScramError::Failed, user))?;
    writer.put(&Authentication::SASLFinal(answer.into()));
    Ok(principal)
}

async fn send(writer: &mut FrameWriter, message: &impl Message) -> std::io::Result<()> {
    writer.put(message);
    writer.flush().await
}

async fn password_message(reader: &mut FrameReader) -> Result<Bytes, Ended> {
    let frame = reader.next().await?;
    match frame.kind {
        b'p' => Ok(frame.body),
        b'X' => Err(Ended::Quietly),
        other => Err(violation(format!("expected SASL response, got message type {other}")).into()),
    }
}

fn refusal(failure: ScramError, user: &str) -> ClientMessage {
    match failure {
        ScramError::Malformed(_) | ScramError::ChannelBinding => ClientMessage::from(&failure),
        ScramError::Failed => ClientMessage::new(SqlState::INVALID_PASSWORD, format!("password authentication failed for user \"{user}\"")),
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
