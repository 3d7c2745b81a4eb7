//! Frames: one type byte, a length, a body; and the bytes that go out.
//!
//! INVARIANT: memory grows with the bytes that have arrived, never with a length that a client claims. While a statement runs, what the
//! client sends ahead is kept, up to a bound; beyond it the socket is left alone.

use bytes::{Buf, Bytes, BytesMut};
use pgwire::messages::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::engine::ClientEncoding;

use super::proof::PROOF_BYTES_MAX;
use super::recode;

/// How many bytes sent ahead are kept while a statement runs.
const READ_AHEAD_BYTES: usize = 1 << 20;
/// The longest frame of a kind that carries no statement, parameter or data.
const SMALL_FRAME_BYTES: usize = 10_000;
/// How many bytes are collected before they go to the socket.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// A socket, encrypted or not.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// One message from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) body: Bytes,
}

/// Why no frame can be read: the stream of frames is lost after each.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the connection is closed")]
    Closed,
    #[error("invalid frontend message type {0}")]
    Kind(u8),
    #[error("invalid message length")]
    Length,
}

/// Reads frames.
pub(super) struct FrameReader {
    half: ReadHalf<Box<dyn Socket>>,
    buffer: BytesMut,
    frame_bytes_max: usize,
    closed: bool,
}

impl FrameReader {
    pub(super) fn new(half: ReadHalf<Box<dyn Socket>>, frame_bytes_max: usize) -> Self {
        Self { half, buffer: BytesMut::new(), frame_bytes_max, closed: false }
    }

    /// Allows frames of that size from here on.
    pub(super) fn allow(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// The next frame if it is here already.
    pub(super) fn arrived(&mut self) -> Option<Result<Frame, FrameError>> {
        split_frame(&mut self.buffer, self.frame_bytes_max).transpose()
    }

    /// The next frame. May be dropped at its await without losing a byte.
    pub(super) async fn next(&mut self) -> Result<Frame, FrameError> {
        loop {
            if let Some(frame) = split_frame(&mut self.buffer, self.frame_bytes_max)? {
                return Ok(frame);
            }
            if !self.fill().await {
                return Err(FrameError::Closed);
            }
        }
    }

    /// Ends when the client is gone; meanwhile it keeps what the client sends ahead. May be dropped like [`Self::next`].
    pub(super) async fn gone(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES {
            if !self.fill().await {
                return;
            }
        }
        std::future::pending().await
    }

    /// Reads what is there; false at the end of the stream.
    async fn fill(&mut self) -> bool {
        if self.closed {
            return false;
        }
        self.buffer.reserve(self.buffer.len().clamp(8 * 1024, 1 << 20));
        let read = self.half.read_buf(&mut self.buffer).await;
        self.closed = !matches!(read, Ok(1..));
        !self.closed
    }
}

/// Takes one whole frame off the buffer.
fn split_frame(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Frame>, FrameError> {
    let Some(&kind) = buffer.first() else { return Ok(None) };
    let limit = match kind {
        b'Q' | b'P' | b'B' => frame_bytes_max,
        b'p' => PROOF_BYTES_MAX.min(frame_bytes_max),
        // There is no COPY FROM whose data `d` could be, and no function that `F` could call.
        b'C' | b'D' | b'E' | b'F' | b'H' | b'S' | b'X' | b'c' | b'd' | b'f' => SMALL_FRAME_BYTES.min(frame_bytes_max),
        other => return Err(FrameError::Kind(other)),
    };
    let Some(mut header) = buffer.get(1..5) else { return Ok(None) };
    let length = usize::try_from(header.get_i32()).map_err(|_| FrameError::Length)?;
    if length < 4 || length > limit {
        return Err(FrameError::Length);
    }
    if buffer.len() < length + 1 {
        return Ok(None);
    }
    let mut frame = buffer.split_to(length + 1);
    frame.advance(5);
    Ok(Some(Frame { kind, body: frame.freeze() }))
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

    fn split(bytes: &[u8]) -> Result<Option<Frame>, FrameError> {
        split_frame(&mut BytesMut::from(bytes), 1000)
    }

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        assert!(matches!(split(b"Q\0\0\0\x06a"), Ok(None)));
        let frame = split(b"Q\0\0\0\x06a\0rest").unwrap().unwrap();
        assert_eq!((frame.kind, &frame.body[..]), (b'Q', &b"a\0"[..]));
    }

    #[test]
    fn a_wrong_length_is_refused_before_the_body_arrives() {
        assert!(matches!(split(b"Q\0\0\0\x03"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\xff\xff\xff\xff"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\x7f\xff\xff\xff"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\0\0\x03\xe9"), Err(FrameError::Length)));
        assert!(matches!(split(b"Q\0\0\x03\xe8"), Ok(None)));
    }

    #[test]
    fn kinds_that_carry_nothing_here_are_short() {
        let long = |kind: u8| split_frame(&mut BytesMut::from(&[kind, 0, 0, 0x27, 0x15][..]), 64 << 20);
        for kind in *b"CDEFHSXcdf" {
            assert!(matches!(long(kind), Err(FrameError::Length)), "{}", char::from(kind));
        }
        assert!(matches!(long(b'B'), Ok(None)));
    }

    #[test]
    fn an_unknown_kind_is_refused_at_its_first_byte() {
        assert!(matches!(split(b"?"), Err(FrameError::Kind(b'?'))));
    }
}
