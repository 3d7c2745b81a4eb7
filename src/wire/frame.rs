//! Frames: one type byte, a length, a body; and the bytes that go out.
//!
//! INVARIANT: memory grows with the bytes that have arrived, never with a length that a client claims; beyond a little for each connection it
//! comes from what all connections and statements have together. A frame for which there is none is passed over and refused, and the
//! connection goes on. While a statement runs, what the client sends ahead is kept, up to a bound; beyond it the socket is left alone.

use bytes::{Buf, BufMut as _, Bytes, BytesMut};
use pgwire::messages::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::engine::{ClientEncoding, HeldMemory, Memory};

use super::recode;

/// How many bytes sent ahead are kept while a statement runs.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// The longest frame of a kind that carries no statement, parameter or data.
const SMALL_FRAME_BYTES: usize = 10_000;
/// A kind and a length.
const HEAD_BYTES: usize = 5;
/// What is read at once.
const READ_BYTES_MAX: usize = 1 << 20;
/// A connection's buffer up to this size is its own; what it takes beyond is of the memory of all.
const FREE_BYTES: usize = 128 << 10;
/// How many bytes are collected before they go to the socket.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// A socket, encrypted or not.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One message from a client.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    /// `None`: it was passed over, for nothing is read in it, or there was no memory for it.
    pub(super) body: Option<Bytes>,
    /// What it takes of the memory of all, until it is answered.
    pub(super) held: Option<HeldMemory>,
}

/// Why no frame can be read: the stream of frames is lost after each.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the connection is closed")]
    Closed,
    #[error("invalid frontend message type {0}")]
    Kind(u8),
    /// Of a client that is to prove itself.
    #[error("expected SASL response, got message type {0}")]
    NoProof(u8),
    #[error("invalid message length")]
    Length,
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    /// Its bytes are passed over as they come.
    Passed,
    /// The same, and nobody hears of it.
    Ignored,
}

/// A frame that is passed over.
#[derive(Debug)]
struct Passing {
    kind: u8,
    fate: Fate,
    /// Bytes of it that have not come yet.
    left: usize,
}

/// Who sends.
#[derive(Debug)]
enum Sender {
    /// Somebody who has yet to prove himself, by messages that are no longer than that.
    Unproved(usize),
    /// A session, by messages that are no longer than that; where long ones are held.
    Session(usize, Memory),
}

/// Reads frames.
pub(super) struct FrameReader {
    half: ReadHalf<Box<dyn Socket>>,
    buffer: BytesMut,
    sender: Sender,
    /// What the buffer takes of the memory of all.
    held: Option<HeldMemory>,
    passing: Option<Passing>,
    closed: bool,
}

impl FrameReader {
    pub(super) fn new(half: ReadHalf<Box<dyn Socket>>, proof_bytes_max: usize) -> Self {
        Self { half, buffer: BytesMut::new(), sender: Sender::Unproved(proof_bytes_max), held: None, passing: None, closed: false }
    }

    /// The client has proved itself: from here on a session speaks.
    pub(super) fn begin_session(&mut self, frame_bytes_max: usize, memory: Memory) {
        self.sender = Sender::Session(frame_bytes_max, memory);
    }

    /// The next frame if it is here already.
    pub(super) fn arrived(&mut self) -> Option<Result<Frame, FrameError>> {
        self.split().transpose()
    }

    /// The next frame. May be dropped at its await without losing a byte.
    pub(super) async fn next(&mut self) -> Result<Frame, FrameError> {
        loop {
            if let Some(frame) = self.split()? {
                return Ok(frame);
            }
            if !self.make_room() {
                self.pass_over();
            } else if !self.fill().await {
                return Err(FrameError::Closed);
            }
        }
    }

    /// Ends when the client is gone; meanwhile it keeps what the client sends ahead. May be dropped like [`Self::next`].
    pub(super) async fn gone(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES && self.make_room() {
            if !self.fill().await {
                return;
            }
        }
        std::future::pending().await
    }

    /// Takes the next whole frame off the buffer.
    fn split(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(Passing { kind, fate, left }) = &mut self.passing {
                let here = self.buffer.len().min(*left);
                self.buffer.advance(here);
                *left -= here;
                if *left > 0 {
                    return Ok(None);
                }
                let passed = (*fate == Fate::Passed).then_some(Frame { kind: *kind, body: None, held: None });
                self.passing = None;
                if passed.is_some() {
                    return Ok(passed);
                }
            }
            let Some((kind, fate, length)) = head(&self.buffer, &self.sender)? else { return Ok(None) };
            if fate != Fate::Kept {
                self.passing = Some(Passing { kind, fate, left: length });
                continue;
            }
            if self.buffer.len() < length {
                return Ok(None);
            }
            let mut body = self.buffer.split_to(length);
            body.advance(HEAD_BYTES);
            return Ok(Some(Frame { kind, body: Some(body.freeze()), held: self.leave_long_buffer(length) }));
        }
    }

    /// What came behind a long frame moves on, so that nothing but the frame keeps its memory. Short ones keep theirs only while others follow.
    fn leave_long_buffer(&mut self, length: usize) -> Option<HeldMemory> {
        let rest = self.buffer.len();
        if self.held.is_none() || (length <= FREE_BYTES && rest > 0) {
            return None;
        }
        let held = self.held.take().filter(|_| length > FREE_BYTES);
        self.buffer = BytesMut::from(&self.buffer[..]);
        if let Sender::Session(_, memory) = &self.sender
            && rest > FREE_BYTES
        {
            // It is here already, whether there is memory for it or not.
            let beside = memory.hold();
            self.held = beside.resize(rest).then_some(beside);
        }
        held
    }

    /// Sees to it that more can be read; false if there is no memory for it.
    fn make_room(&mut self) -> bool {
        let more = self.buffer.len().clamp(8 * 1024, READ_BYTES_MAX);
        let (length, capacity) = (self.buffer.len(), self.buffer.capacity());
        if capacity - length >= more {
            return true;
        }
        // It grows by half of what it will be, or by more.
        let grown = capacity.saturating_mul(2).max(length.saturating_add(more));
        if let Sender::Session(_, memory) = &self.sender
            && grown > FREE_BYTES
        {
            let held = self.held.get_or_insert_with(|| memory.hold());
            if !held.resize(grown) {
                return false;
            }
        }
        self.buffer.reserve(more);
        true
    }

    /// The frame that is on its way is too long for the memory that there is.
    fn pass_over(&mut self) {
        if let Ok(Some((kind, _, length))) = head(&self.buffer, &self.sender) {
            self.passing = Some(Passing { kind, fate: Fate::Passed, left: length });
        }
        // `split` drops what is here of it.
        self.split().ok();
        self.buffer = BytesMut::from(&self.buffer[..]);
        self.held = None;
    }

    /// Reads what is there; false at the end of the stream.
    async fn fill(&mut self) -> bool {
        if self.closed {
            return false;
        }
        let read = self.half.read_buf(&mut (&mut self.buffer).limit(READ_BYTES_MAX)).await;
        self.closed = !matches!(read, Ok(1..));
        !self.closed
    }
}

/// The kind of the frame that the bytes begin with, what becomes of it, and how long it is as a whole; `None` until that can be told.
fn head(bytes: &[u8], sender: &Sender) -> Result<Option<(u8, Fate, usize)>, FrameError> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    let (fate, limit) = match (sender, kind) {
        (Sender::Unproved(limit), b'p' | b'X') => (Fate::Kept, *limit),
        (Sender::Unproved(_), other) => return Err(FrameError::NoProof(other)),
        (Sender::Session(limit, _), b'Q' | b'P' | b'B') => (Fate::Kept, *limit),
        // There is no COPY FROM whose data it could be.
        (Sender::Session(..), b'd') => (Fate::Ignored, usize::MAX),
        // There is no function that it could call.
        (Sender::Session(..), b'F') => (Fate::Passed, usize::MAX),
        (Sender::Session(limit, _), b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f') => (Fate::Kept, SMALL_FRAME_BYTES.min(*limit)),
        (Sender::Session(..), other) => return Err(FrameError::Kind(other)),
    };
    let Some(mut length) = bytes.get(1..HEAD_BYTES) else { return Ok(None) };
    let length = usize::try_from(length.get_i32()).map_err(|_| FrameError::Length)?;
    if length < 4 || length > limit {
        return Err(FrameError::Length);
    }
    Ok(Some((kind, fate, length + 1)))
}

/// Collects messages and writes them.
pub(super) struct FrameWriter {
    half: WriteHalf<Box<dyn Socket>>,
    pub(super) buffer: BytesMut,
    /// Whether rows are among what is collected.
    pub(super) holds_rows: bool,
    /// The client's character set.
    pub(super) encoding: ClientEncoding,
}

impl FrameWriter {
    pub(super) fn new(half: WriteHalf<Box<dyn Socket>>) -> Self {
        Self { half, buffer: BytesMut::new(), holds_rows: false, encoding: ClientEncoding::default() }
    }

    /// Appends a message. One that is too long for its kind is left out and leaves nothing behind.
    pub(super) fn put(&mut self, message: &impl Message) {
        let before = self.buffer.len();
        if let Err(error) = message.encode(&mut self.buffer) {
            self.buffer.truncate(before);
            tracing::error!(%error, "a message could not be written");
        } else {
            recode::recode_message(&mut self.buffer, before, self.encoding);
        }
    }

    /// Whether enough is collected to be worth a write.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= CHUNK_BYTES
    }

    /// Writes everything. May be dropped at its await: the rest stays for the next call.
    pub(super) async fn flush(&mut self) -> std::io::Result<()> {
        while !self.buffer.is_empty() {
            match self.half.write(&self.buffer).await? {
                0 => return Err(std::io::ErrorKind::WriteZero.into()),
                written => self.buffer.advance(written),
            }
        }
        self.holds_rows = false;
        self.half.flush().await
    }

    /// Closes the sending side.
    pub(super) async fn shutdown(&mut self) -> std::io::Result<()> {
        self.half.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8], memory: usize) -> (FrameReader, WriteHalf<tokio::io::DuplexStream>) {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (read, _) = tokio::io::split(Box::new(ours) as Box<dyn Socket>);
        let (_, write) = tokio::io::split(theirs);
        let mut reader = FrameReader::new(read, 1000);
        reader.begin_session(64 << 20, Memory::for_tests(memory));
        reader.buffer.extend_from_slice(bytes);
        (reader, write)
    }

    fn split(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        reader(bytes, 0).0.split()
    }

    fn message(kind: u8, bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), &vec![b'x'; bytes]].concat()
    }

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        assert!(matches!(split(b"Q\0\0\0\x06a"), Ok(None)));
        let frame = split(b"Q\0\0\0\x06a\0rest").unwrap().unwrap();
        assert_eq!((frame.kind, frame.body.as_deref()), (b'Q', Some(&b"a\0"[..])));
    }

    #[test]
    fn a_wrong_length_is_refused_before_the_body_arrives() {
        assert!(matches!(split(b"Q\0\0\0\x03"), Err(FrameError::Length)));
        assert!(matches!(split(b"d\0\0\0\x03"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\xff\xff\xff\xff"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\x7f\xff\xff\xff"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\x04\0\0\x01"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\x04\0\0\0"), Ok(None)));
    }

    #[test]
    fn kinds_that_carry_nothing_here_are_short() {
        for kind in *b"CDEHSXcf" {
            assert!(matches!(split(&[kind, 0, 0, 0x27, 0x15]), Err(FrameError::Length)), "{}", char::from(kind));
        }
        assert!(matches!(split(&[b'B', 0, 0, 0x27, 0x15]), Ok(None)));
    }

    #[test]
    fn an_unknown_kind_is_refused_at_its_first_byte() {
        assert!(matches!(split(b"?"), Err(FrameError::Kind(b'?'))));
        assert!(matches!(split(b"p"), Err(FrameError::Kind(b'p'))));
    }

    #[test]
    fn who_is_unproved_proves_himself_or_goes() {
        let proves = |bytes: &[u8]| head(bytes, &Sender::Unproved(1000));
        assert!(matches!(proves(b"p\0\0\x03\xe8"), Ok(Some((b'p', Fate::Kept, 1001)))));
        assert!(matches!(proves(b"p\0\0\x03\xe9"), Err(FrameError::Length)));
        assert!(matches!(proves(b"Q"), Err(FrameError::NoProof(b'Q'))));
        assert!(matches!(proves(b"?"), Err(FrameError::NoProof(b'?'))));
    }

    #[tokio::test]
    async fn data_of_no_copy_and_calls_of_functions_are_passed_over() {
        let (mut reader, mut write) = reader(&message(b'd', 10), 0);
        let sent = [message(b'd', 3 << 20), message(b'F', 1 << 20), message(b'S', 0)].concat();
        let send = tokio::spawn(async move { write.write_all(&sent).await });
        let frame = reader.next().await.unwrap();
        assert!(frame.kind == b'F' && frame.body.is_none());
        assert!(reader.buffer.capacity() <= FREE_BYTES);
        assert_eq!(reader.next().await.unwrap().kind, b'S');
        send.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_long_frame_takes_of_the_memory_of_all_until_it_is_answered() {
        let (mut reader, mut write) = reader(b"", 6 << 20);
        let sent = [message(b'Q', 3 << 20), message(b'Q', 3 << 20), message(b'Q', 9 << 20), message(b'Q', 3 << 20)].concat();
        let send = tokio::spawn(async move { write.write_all(&sent).await });
        let first = reader.next().await.unwrap();
        assert!(first.held.is_some() && first.body.as_ref().is_some_and(|body| body.len() == 3 << 20));
        assert!(reader.next().await.unwrap().body.is_none(), "there is no room beside the first");
        drop(first);
        assert!(reader.next().await.unwrap().body.is_none(), "longer than all that there is");
        let last = reader.next().await.unwrap();
        assert!(last.body.is_some_and(|body| body.len() == 3 << 20));
        assert!(reader.held.is_none() && reader.buffer.capacity() <= FREE_BYTES);
        send.await.unwrap().unwrap();
    }
}
