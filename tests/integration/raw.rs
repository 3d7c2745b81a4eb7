//! A session whose every message is kept as the server sent it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any answer may take, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(120);

/// A message of the server.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", char::from(self.kind), self.body.escape_ascii())
    }
}

impl Message {
    /// The fields of an error or a notice, by their letters.
    pub(crate) fn field(&self, letter: u8) -> Option<String> {
        let field = self.body.split(|byte| *byte == 0).find(|field| field.first() == Some(&letter))?;
        Some(String::from_utf8_lossy(&field[1..]).into_owned())
    }
}

/// A message with its length.
pub(crate) fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// The messages but for notices in short: their kinds, with the code of an error and the state of the transaction.
pub(crate) fn in_short(messages: &[Message]) -> String {
    let short = |message: &Message| match message.kind {
        b'E' => format!("E{}", message.field(b'C').unwrap_or_default()),
        b'Z' => format!("Z{}", char::from(message.body[0])),
        kind => char::from(kind).to_string(),
    };
    messages.iter().filter(|message| message.kind != b'N').map(short).collect::<Vec<_>>().join(" ")
}

/// How a statement is sent by the extended protocol.
pub(crate) struct Extended {
    /// The parameters, as texts.
    pub(crate) values: Vec<Option<String>>,
    pub(crate) binary_results: bool,
    /// How many rows an Execute asks for; 0: all.
    pub(crate) rows_max: i32,
}

/// The session.
pub(crate) struct Raw {
    socket: TcpStream,
    read: BytesMut,
}

impl Raw {
    /// A session of that login; its password is its name. Returns what was told on the way in, but for keys and nonces.
    pub(crate) async fn login(address: SocketAddr, user: &str) -> (Self, Vec<Message>) {
        let socket = TcpStream::connect(address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut raw = Self { socket, read: BytesMut::new() };
        raw.send(|out| frontend::startup_message([("user", user), ("database", "mesh"), ("application_name", "twins")], out)).await;
        raw.message(b'R').await;
        let mut scram = ScramSha256::new(user.as_bytes(), ChannelBinding::unsupported());
        raw.send(|out| frontend::sasl_initial_response("SCRAM-SHA-256", scram.message(), out)).await;
        let challenge = raw.message(b'R').await;
        scram.update(&challenge.body[4..]).unwrap();
        raw.send(|out| frontend::sasl_response(scram.message(), out)).await;
        let proof = raw.message(b'R').await;
        scram.finish(&proof.body[4..]).unwrap();
        let mut told = raw.answer().await;
        told.retain(|message| message.kind != b'K');
        (raw, told)
    }

    /// Sends bytes as they are, whatever they say.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// What comes up to the end of the connection.
    pub(crate) async fn last_words(&mut self) -> Vec<u8> {
        let mut rest = self.read.split().to_vec();
        // Whoever is refused in the middle of what it sends may find the connection reset.
        tokio::time::timeout(DEADLINE, self.socket.read_to_end(&mut rest)).await.expect("the connection stays").ok();
        rest
    }

    async fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) {
        let mut out = BytesMut::new();
        write(&mut out).unwrap();
        self.socket.write_all(&out).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        loop {
            if let Some(length) = self.read.get(1..5).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap())) {
                let end = usize::try_from(length).unwrap() + 1;
                if self.read.len() >= end {
                    let frame = self.read.split_to(end);
                    return Message { kind: frame[0], body: frame[5..].to_vec() };
                }
            }
            let read = self.socket.read_buf(&mut self.read).await.unwrap();
            assert!(read > 0, "the server closed the connection");
        }
    }

    pub(crate) async fn message(&mut self, kind: u8) -> Message {
        let message = self.next().await;
        assert_eq!(message.kind, kind, "{message}");
        message
    }

    /// Everything up to ReadyForQuery, that included.
    pub(crate) async fn answer(&mut self) -> Vec<Message> {
        let all = async {
            let mut messages = Vec::new();
            loop {
                let message = self.next().await;
                let last = message.kind == b'Z';
                messages.push(message);
                if last {
                    return messages;
                }
            }
        };
        tokio::time::timeout(DEADLINE, all).await.expect("no answer in time")
    }

    /// Runs a text by the simple protocol.
    pub(crate) async fn simple(&mut self, sql: &str) -> Vec<Message> {
        self.send(|out| frontend::query(sql, out)).await;
        self.answer().await
    }

    /// Runs a statement by the extended protocol: parsed, described, bound, described, and executed twice if rows are left over.
    pub(crate) async fn extended(&mut self, sql: &str, how: &Extended) -> Vec<Message> {
        let results = [i16::from(how.binary_results)];
        self.send(|out| {
            frontend::parse("", sql, [], out)?;
            frontend::describe(b'S', "", out)?;
            let serialize = |value: &Option<String>, out: &mut BytesMut| match value {
                Some(text) => {
                    out.extend_from_slice(text.as_bytes());
                    Ok(IsNull::No)
                }
                None => Ok(IsNull::Yes),
            };
            frontend::bind("", "", [], &how.values, serialize, results, out).map_err(|_| std::io::ErrorKind::InvalidInput)?;
            frontend::describe(b'P', "", out)?;
            frontend::execute("", how.rows_max, out)?;
            if how.rows_max > 0 {
                frontend::execute("", how.rows_max, out)?;
            }
            frontend::sync(out);
            Ok(())
        })
        .await;
        self.answer().await
    }
}
