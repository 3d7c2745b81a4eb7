//! A client that sends what it is told to, and what no well-behaved client sends.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::wire::frame::Socket;

pub(super) struct Raw {
    socket: Box<dyn Socket>,
}

/// A message with its length.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((4 + u32::try_from(body.len()).unwrap()).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn hmac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

impl Raw {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self::over(Box::new(TcpStream::connect(address).await.unwrap()))
    }

    pub(super) fn over(socket: Box<dyn Socket>) -> Self {
        Self { socket }
    }

    /// A session of alice, ready for queries.
    pub(super) async fn session(server: &Server) -> Self {
        let mut raw = Self::connect(server.address).await;
        raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
        raw.authenticate().await;
        raw.skip_to(b'Z').await;
        raw
    }

    pub(super) fn start_up_packet(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
        let mut body = version.to_be_bytes().to_vec();
        for (name, value) in parameters {
            body.extend(format!("{name}\0{value}\0").into_bytes());
        }
        body.push(0);
        let mut packet = (4 + u32::try_from(body.len()).unwrap()).to_be_bytes().to_vec();
        packet.extend(body);
        packet
    }

    pub(super) async fn start_up(&mut self, version: u32, parameters: &[(&str, &str)]) {
        self.send(&Self::start_up_packet(version, parameters)).await;
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    pub(super) async fn message(&mut self) -> (u8, Vec<u8>) {
        let kind = self.socket.read_u8().await.unwrap();
        let length = self.socket.read_u32().await.unwrap();
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.socket.read_exact(&mut body).await.unwrap();
        (kind, body)
    }

    /// The next message, if the connection has not ended.
    pub(super) async fn try_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let kind = self.socket.read_u8().await.ok()?;
        let length = self.socket.read_u32().await.ok()?;
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        self.socket.read_exact(&mut body).await.ok()?;
        Some((kind, body))
    }

    /// Reads to the end of the connection.
    pub(super) async fn drain(&mut self) {
        let _ = self.socket.shutdown().await;
        let _ = tokio::io::copy(&mut self.socket, &mut tokio::io::sink()).await;
    }

    /// Reads up to a message of that kind.
    pub(super) async fn skip_to(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let (kind, body) = self.message().await;
            if kind == wanted {
                return body;
            }
        }
    }

    /// The kinds of the messages up to ReadyForQuery, and the SQLSTATEs of the errors.
    pub(super) async fn kinds(&mut self) -> (String, Vec<String>) {
        let (mut kinds, mut codes) = (String::new(), Vec::new());
        loop {
            let (kind, body) = self.message().await;
            kinds.push(char::from(kind));
            if kind == b'E' {
                let code = body.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'C')).unwrap();
                codes.push(String::from_utf8(code[1..].to_vec()).unwrap());
            }
            if kind == b'Z' {
                return (kinds, codes);
            }
        }
    }

    /// Whether the server closes the connection after at most one error.
    pub(super) async fn ends_with(&mut self, sqlstate: &str) {
        let (kind, body) = self.message().await;
        assert_eq!(kind, b'E');
        let fields = String::from_utf8_lossy(&body).into_owned();
        assert!(fields.starts_with("SFATAL") && fields.contains(&format!("C{sqlstate}\0")), "{fields}");
        assert!(self.socket.read_u8().await.is_err());
    }

    /// The client's side of SCRAM.
    pub(super) async fn authenticate(&mut self) {
        let offered = self.skip_to(b'R').await;
        assert!(offered.ends_with(b"SCRAM-SHA-256\0\0"));
        assert!(self.exchange("SCRAM-SHA-256", "n,,", b"").await);
        assert_eq!(self.skip_to(b'R').await, [0, 0, 0, 0]);
    }

    /// Both messages of an exchange, bound to those bytes; false if it is refused.
    pub(super) async fn exchange(&mut self, mechanism: &str, header: &str, binding: &[u8]) -> bool {
        let first = "n=,r=client";
        let mut body = format!("{mechanism}\0").into_bytes();
        body.extend(u32::try_from(first.len() + header.len()).unwrap().to_be_bytes());
        body.extend(format!("{header}{first}").into_bytes());
        self.send(&message(b'p', &body)).await;
        let (b'R', answer) = self.message().await else { return false };
        let answer = String::from_utf8(answer[4..].to_vec()).unwrap();
        let mut block = hmac(b"secret", b"salt\0\0\0\x01");
        let mut salted = block.clone();
        for _ in 1..16 {
            block = hmac(b"secret", &block);
            salted.iter_mut().zip(&block).for_each(|(all, one)| *all ^= one);
        }
        let nonce = answer.split(',').next().unwrap();
        let last = format!("c={},{nonce}", BASE64_STANDARD.encode([header.as_bytes(), binding].concat()));
        let client_key = hmac(&salted, b"Client Key");
        let signature = hmac(&Sha256::digest(&client_key), format!("{first},{answer},{last}").as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, mask)| key ^ mask).collect();
        self.send(&message(b'p', format!("{last},p={}", BASE64_STANDARD.encode(proof)).as_bytes())).await;
        self.message().await.0 == b'R'
    }
}

#[tokio::test]
async fn broken_bodies_cost_one_statement() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::session(&server).await;
    let table: [(u8, &[u8], &str); 9] = [
        (b'P', b"\0rows 1\0\xff\xff", "08P01"),
        (b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0", "08P01"),
        (b'B', b"\0\0\0\x01\0\x07\0\0\0\0", "22023"),
        (b'E', b"\0", "08P01"),
        (b'D', b"Z\0", "08P01"),
        (b'P', b"\0\xc3\x28\0\0\0", "22021"),
        (b'E', b"nope\0\0\0\0\0", "34000"),
        (b'D', b"Snope\0", "26000"),
        (b'B', b"\0nope\0\0\0\0\0\0\0", "26000"),
    ];
    for (kind, body, sqlstate) in table {
        raw.send(&message(kind, body)).await;
        raw.send(&message(b'E', b"skipped\0\0\0\0\0")).await;
        raw.send(&message(b'S', b"")).await;
        assert_eq!(raw.kinds().await, ("EZ".to_owned(), vec![sqlstate.to_owned()]), "{body:?}");
    }
    raw.send(&message(b'Q', b"no terminator")).await;
    assert_eq!(raw.kinds().await, ("EZ".to_owned(), vec!["08P01".to_owned()]));
    raw.send(&message(b'F', b"")).await;
    assert_eq!(raw.kinds().await, ("EZ".to_owned(), vec!["0A000".to_owned()]));
    for stray in [b'd', b'c', b'f'] {
        raw.send(&message(stray, b"x\0")).await;
    }
    raw.send(&message(b'Q', b" ; \0")).await;
    assert_eq!(raw.kinds().await.0, "IZ");
    assert_eq!(server.stop().await.panics, 0);
}

#[tokio::test]
async fn broken_frames_end_the_connection() {
    let server = start(WireOptions { frame_bytes_max: 20_000, ..WireOptions::default() }).await;
    for bytes in [&b"Q\0\0\0\x03"[..], b"Q\xff\xff\xff\xff", b"Q\x7f\xff\xff\xff", b"E\0\0\x4e\x20", b"!\0\0\0\x04", b"Q\0\0\x4e\x21"] {
        let mut raw = Raw::session(&server).await;
        raw.send(bytes).await;
        raw.ends_with("08P01").await;
    }
    assert_eq!(server.stop().await.panics, 0);
}

#[tokio::test]
async fn only_a_password_is_accepted_before_the_login() {
    let server = start(WireOptions::default()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.start_up(0x0003_0000, &[("user", "alice"), ("database", "mesh")]).await;
    raw.skip_to(b'R').await;
    raw.send(&message(b'Q', b"rows 1\0")).await;
    raw.ends_with("08P01").await;
    let mut raw = Raw::connect(server.address).await;
    raw.start_up(0x0003_0000, &[("database", "mesh")]).await;
    raw.ends_with("28000").await;
    assert!(server.backend.requests.lock().unwrap().is_empty());
}
