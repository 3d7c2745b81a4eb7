//! From the first byte to a session: encryption, the start-up packet, proof of identity.
//!
//! INVARIANT: an unknown user and a wrong password cannot be told apart; only where tokens are taken does the way to prove itself that a client
//! is asked for tell whether its name has a password. Before a client has proved itself it can make the gateway hold no more than one short
//! packet, for no longer than the authentication timeout.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use pgwire::messages::response;
use pgwire::messages::startup::{Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_rustls::server::TlsStream;

use crate::engine::{Connection, Encryption};
use crate::error::{ClientMessage, SqlState};
use crate::identity::CertificateNames;

use super::PlainClients;
use super::backend::{Backend, LoginRefused, SessionRequest};
use super::cancel::Registration;
use super::connection::{self, Shared};
use super::frame::{FrameError, FrameReader, FrameWriter, Socket};
use super::frontend::{Cursor, violation};
use super::proof::{Exchange, Unproved};
use super::respond;
use super::tls::{self, HandshakeError, Side, Tls};

/// The longest packet of a client that has not proved itself, beside its length.
pub(super) const PACKET_BYTES_MAX: usize = 10_000;
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;
const PROTOCOL_MAJOR: u32 = 3;
const PROTOCOL_MINOR: u32 = 2;
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;
/// The start-up option that says how a client wants to prove itself.
const LOGIN_OPTION: &str = "meshgate.login";

/// Why a connection ends before it has a session.
#[derive(Debug)]
pub(super) enum Ended {
    /// There is nobody to tell, or nothing to say.
    Quietly,
    /// The client is told.
    Refused(ClientMessage),
    /// Its certificate is not good, which TLS has told it; why, for the operator.
    Uncertified(String),
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Quietly
    }
}

impl From<HandshakeError> for Ended {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Certificate(reason) => Self::Uncertified(reason),
            HandshakeError::Other => Self::Quietly,
        }
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Closed => Self::Quietly,
            FrameError::Kind(_) | FrameError::NoProof(_) | FrameError::Length => Self::Refused(violation(error.to_string())),
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
    /// How it is encrypted, if it is.
    pub(super) encryption: Option<Encryption>,
    /// What a login can be bound to.
    pub(super) certificate_hash: Option<Arc<[u8]>>,
    /// The names in the client's certificate.
    pub(super) certificate: Option<CertificateNames>,
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
    /// How the client wants to prove itself.
    pub(super) login: Option<String>,
}

/// Settles encryption and reads the packet.
pub(super) async fn open(mut stream: impl Socket + 'static, tls: Option<&Tls>) -> Result<Opened, Ended> {
    let first = stream.read_u8().await?;
    if first == TLS_HANDSHAKE {
        let tls = tls.ok_or(Ended::Quietly)?.side();
        // The byte belongs to the handshake, and goes back to where it came from.
        let (read, write) = tokio::io::split(stream);
        let stream = tokio::io::join(AsyncReadExt::chain(std::io::Cursor::new([first]), read), write);
        return over_tls(tls::accept_direct(stream, &tls).await?, &tls).await;
    }
    let (mut code, mut body) = read_packet(&mut stream, Some(first)).await?;
    // Each kind of encryption may be asked for once, in either order.
    let (mut asked_for_tls, mut asked_for_gss) = (false, false);
    loop {
        match code {
            SSL_REQUEST if !asked_for_tls => {
                asked_for_tls = true;
                match tls.map(Tls::side) {
                    None => {
                        let ahead = sends_ahead(&mut stream).await;
                        stream.write_all(&[response::SslResponse::BYTE_REFUSE]).await?;
                        if ahead {
                            return refused_ahead(stream, "SSL request");
                        }
                    }
                    Some(tls) => {
                        stream.write_all(&[response::SslResponse::BYTE_ACCEPT]).await?;
                        return over_tls(tls::accept(stream, &tls).await?, &tls).await;
                    }
                }
            }
            GSS_REQUEST if !asked_for_gss => {
                asked_for_gss = true;
                let ahead = sends_ahead(&mut stream).await;
                stream.write_all(&[response::GssEncResponse::BYTE_REFUSE]).await?;
                if ahead {
                    return refused_ahead(stream, "GSSAPI encryption request");
                }
            }
            _ => {
                let packet = packet(code, body);
                return Ok(Opened { packet, socket: Box::new(stream), encryption: None, certificate_hash: None, certificate: None });
            }
        }
        (code, body) = read_packet(&mut stream, None).await?;
    }
}

/// Whether a client that has asked for encryption does not wait for the answer: somebody on the way may have put in what follows. To be asked before
/// the answer is on its way, for who has it may go on at once.
async fn sends_ahead(stream: &mut impl Socket) -> bool {
    futures::poll!(std::pin::pin!(stream.read_u8())).is_ready()
}

fn refused_ahead(stream: impl Socket + 'static, request: &str) -> Result<Opened, Ended> {
    let message = violation(format!("received unencrypted data after {request}"))
        .with_detail("This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.");
    let packet = Packet::StartUp(Err(message));
    Ok(Opened { packet, socket: Box::new(stream), encryption: None, certificate_hash: None, certificate: None })
}

async fn over_tls<S: Socket + 'static>(mut socket: TlsStream<S>, side: &Side) -> Result<Opened, Ended> {
    let (code, body) = read_packet(&mut socket, None).await?;
    let (certificate_hash, certificate) = (side.certificate_hash(), tls::client_names(&socket));
    let encryption = tls::in_use(&socket);
    Ok(Opened { packet: packet(code, body), socket: Box::new(socket), encryption, certificate_hash, certificate })
}

/// Reads exactly one packet without a type byte, of which the first byte may have been read: its code and the rest.
async fn read_packet(socket: &mut impl Socket, first: Option<u8>) -> Result<(u32, Bytes), Ended> {
    let first = match first {
        Some(first) => first,
        None => socket.read_u8().await?,
    };
    let mut rest = [0; 3];
    socket.read_exact(&mut rest).await?;
    let length = rest.iter().fold(usize::from(first), |length, byte| length << 8 | usize::from(*byte));
    if !(8..=PACKET_BYTES_MAX + 4).contains(&length) {
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
    start.login = start.parameters.iter().rfind(|(name, _)| name == LOGIN_OPTION).map(|(_, value)| value.clone());
    start.parameters.retain(|(name, _)| name != LOGIN_OPTION);
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
    /// Its place among the sessions.
    pub(super) permit: OwnedSemaphorePermit,
}

/// What is known of a client before it proves itself.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    pub(super) connection: Connection,
    /// What its login can be bound to.
    pub(super) certificate_hash: Option<Arc<[u8]>>,
    /// The names in its certificate.
    pub(super) certificate: Option<CertificateNames>,
}

impl Client {
    /// Whether nobody on the way reads what it sends.
    pub(super) fn is_encrypted(&self) -> bool {
        self.connection.encryption.is_some()
    }

    /// Whether what it sends stays on the gateway's own machine.
    pub(super) fn is_on_this_machine(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
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
    check_encryption(shared, client, &user, &database)?;
    let mut exchange = Exchange { user: &user, client, asked: start.login.as_deref(), shared, reader, writer };
    let caller = match exchange.prove().await {
        Ok(caller) => caller,
        Err(Unproved::Ended(ended)) => return Err(ended),
        Err(Unproved::Refused { message, reason, tried }) => {
            let refused = refused(client, (&user, &database), &message, reason);
            if tried {
                shared.backend.login_refused(&refused);
            } else {
                shared.refusals.note(&shared.backend, refused);
            }
            return Err(Ended::Refused(*message));
        }
    };
    if !shared.backend.database_exists(&database) {
        let message = format!("database \"{database}\" does not exist");
        return Err(ClientMessage::new(SqlState::INVALID_CATALOG_NAME, message).into());
    }
    let permit = connection::admit(shared).inspect_err(|message| {
        shared.refusals.note(&shared.backend, refused(client, (&user, &database), message, "too many connections".to_owned()));
    })?;
    let registration = shared.registry.enter(start.minor >= PROTOCOL_MINOR);
    let request = SessionRequest {
        database,
        parameters: start.parameters,
        client_address: client.address,
        process_id: registration.process_id,
        connection: client.connection.clone(),
        interrupt: registration.interrupt.clone(),
    };
    let mut session = shared.backend.open_session(caller, request).await?;
    welcome(&mut session, &registration, writer);
    Ok(Ready { session, registration, permit })
}

/// Refuses a client that would speak in the clear where it must not.
fn check_encryption<B: Backend>(shared: &Shared<B>, client: &Client, user: &str, database: &str) -> Result<(), ClientMessage> {
    let may = match shared.options.plain {
        PlainClients::Allowed => true,
        PlainClients::OnLoopback => client.is_on_this_machine(),
        PlainClients::Refused => false,
    };
    if client.is_encrypted() || may {
        return Ok(());
    }
    let message = format!("no entry for user \"{}\", database \"{}\", no encryption", name(user), name(database));
    let hint = match &shared.options.tls {
        Some(_) => "Connect with sslmode=require.",
        None => "The gateway has no certificate, so it serves clients on its own machine only.",
    };
    let refusal = ClientMessage::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message).with_hint(hint);
    shared.refusals.note(&shared.backend, refused(client, (user, database), &refusal, "the connection is not encrypted".to_owned()));
    Err(refusal)
}

/// What the backend is told of a login that is refused.
fn refused(client: &Client, (user, database): (&str, &str), message: &ClientMessage, reason: String) -> LoginRefused {
    LoginRefused {
        user: name(user).to_owned(),
        database: name(database).to_owned(),
        client_address: client.address,
        sqlstate: message.sqlstate,
        reason: cut(&reason, REASON_BYTES_MAX).to_owned(),
    }
}

/// So much of a name is recorded: PostgreSQL has none that are longer.
fn name(text: &str) -> &str {
    cut(text, NAME_BYTES_MAX)
}

const NAME_BYTES_MAX: usize = 63;
/// A reason can quote what the client sent.
const REASON_BYTES_MAX: usize = 500;

fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8]) -> Result<StartUp, ClientMessage> {
        start_up(3 << 16, Bytes::copy_from_slice(body))
    }

    #[test]
    fn settings_of_options_come_before_the_packets_own() {
        let start = read(b"user\0a\0application_name\0x\0options\0-c a.b=1\\ 2 --time-zone=UTC -cx=y\0\0").unwrap();
        assert_eq!(start.login.as_deref(), None);
        let shown: Vec<_> = start.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(shown, [("a.b", "1 2"), ("time_zone", "UTC"), ("x", "y"), ("application_name", "x")]);
        assert_eq!(start.user.as_deref(), Some("a"));
    }

    #[test]
    fn the_way_to_log_in_is_no_setting() {
        let start = read(b"user\0a\0meshgate.login\0scram\0options\0-c meshgate.login=password -cx=y\0\0").unwrap();
        assert_eq!(start.login.as_deref(), Some("scram"));
        assert_eq!(start.parameters, [("x".to_owned(), "y".to_owned())]);
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
