//! What a fuzzer's bytes become on a connection, and what no answer may hold.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Longer than anything may take that a few kilobytes ask for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a client listens that hears nothing.
const SILENCE: Duration = Duration::from_millis(500);

/// The protocol's version 3.0.
const VERSION: u32 = 3 << 16;

/// A message with its type and its length.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

/// A start-up packet.
fn start_up(user: &str, options: &str) -> Vec<u8> {
    let body = format!("user\0{user}\0database\0mesh\0options\0{options}\0\0");
    let length = u32::try_from(body.len() + 8).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &VERSION.to_be_bytes(), body.as_bytes()].concat()
}

/// Messages out of a fuzzer's bytes: a type, a length of two bytes and a body each; a type beyond ASCII stands for bytes without a frame.
fn messages(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (body, rest) = rest.split_at(length);
        if kind.is_ascii() {
            out.extend(message(*kind, body));
        } else {
            out.extend(body);
        }
        bytes = rest;
    }
    out
}

/// What a client sends that has not proved itself: the first byte chooses how far it gets.
pub(crate) fn stranger(bytes: &[u8]) -> Vec<u8> {
    let Some((way, rest)) = bytes.split_first() else { return Vec::new() };
    match way % 5 {
        0 => rest.to_vec(),
        1 => [start_up("ann", ""), messages(rest)].concat(),
        2 => [start_up("ann", "-c meshgate.login=oauthbearer"), messages(rest)].concat(),
        3 => [start_up("analyst", ""), messages(rest)].concat(),
        _ => {
            let body = [&VERSION.to_be_bytes()[..], rest].concat();
            [&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes()[..], &body].concat()
        }
    }
}

/// What a client sends that has proved itself by that token, and then says goodbye.
pub(crate) fn session(token: &str, bytes: &[u8]) -> Vec<u8> {
    let login = [start_up("ann", ""), message(b'p', format!("{token}\0").as_bytes())].concat();
    [login, messages(bytes), message(b'S', b""), message(b'X', b"")].concat()
}

/// A session in which a text is prepared and described, and nothing is run.
pub(crate) fn statement(token: &str, text: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
    let parse = message(b'P', &[b"\0", &text[..], b"\0\0\0"].concat());
    let login = [start_up("ann", ""), message(b'p', format!("{token}\0").as_bytes())].concat();
    [login, parse, message(b'D', b"S\0"), message(b'S', b""), message(b'X', b"")].concat()
}

/// Sends bytes to a gateway and reads all that it answers until it, or the client, closes the connection.
pub(crate) async fn play(serve: impl AsyncFnOnce(DuplexStream, SocketAddr), bytes: &[u8]) -> Vec<u8> {
    let (client, gateway) = tokio::io::duplex(1 << 16);
    let (mut read, mut write) = tokio::io::split(client);
    let quiet = tokio::sync::Notify::new();
    let mut answer = Vec::new();
    let send = async {
        // The gateway may have hung up.
        let _ = write.write_all(bytes).await;
        // It may also wait for the rest of an unfinished message: a client that hears nothing for a while goes.
        quiet.notified().await;
        let _ = write.shutdown().await;
    };
    let receive = async {
        loop {
            match tokio::time::timeout(SILENCE, read.read_buf(&mut answer)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return quiet.notify_one(),
                Err(_) => quiet.notify_one(),
            }
        }
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 5));
    let both = async { tokio::join!(serve(gateway, address), send, receive) };
    let done = tokio::time::timeout(PATIENCE, both).await;
    assert!(done.is_ok(), "the gateway does not come to an end");
    answer
}

/// The first fault of ours in an answer: an error XX000, or bytes that are no messages.
pub(crate) fn fault(answer: &[u8]) -> Option<String> {
    let mut rest = answer;
    // Encryption is refused with a letter before the first message.
    while let [b'N', after @ ..] = rest {
        rest = after;
    }
    while let [kind, a, b, c, d, after @ ..] = rest {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
        let Some((body, next)) = length.checked_sub(4).and_then(|length| after.split_at_checked(length)) else {
            return Some(format!("a message {:?} of length {length} is cut off", char::from(*kind)));
        };
        let fields = || body.split(|byte| *byte == 0);
        if matches!(kind, b'E' | b'N') && fields().any(|field| field == b"CXX000") {
            return Some(fields().map(|field| String::from_utf8_lossy(field).into_owned()).collect::<Vec<_>>().join(" | "));
        }
        rest = next;
    }
    (!rest.is_empty()).then(|| format!("{} bytes are left over", rest.len()))
}
