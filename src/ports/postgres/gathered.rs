//! A connection over which the rows of a COPY arrive in a few large messages.
//!
//! The server sends each row in a message of its own, and the client library makes a buffer of each message. Here rows that have arrived
//! together become one message before the library sees them.
//!
//! INVARIANT: only the heads of messages between rows are left out; all other bytes pass as they are, in their order. What is encrypted, and
//! what is no message, passes unread.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read at once, and the longest message that is held.
const BUFFER_BYTES: usize = 64 << 10;
/// The kind of a message and its length.
const HEAD_BYTES: usize = 5;
/// The kind of a message with data of a COPY.
const COPY_DATA: u8 = b'd';
/// The kind of what is no message.
const NONE: u8 = 0;

/// What the server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// Nothing yet. The first byte can be the answer to whether it encrypts.
    Unknown,
    Messages,
    /// Whatever it is.
    Opaque,
}

/// The connection.
pub(super) struct Gathered<S> {
    inner: S,
    buffer: Vec<u8>,
    /// What can be handed out.
    ready: Range<usize>,
    /// What has been read of a message that is not complete.
    rest: Range<usize>,
    /// So many bytes belong to a message that is handed out as it comes.
    passing: usize,
    speech: Speech,
}

impl<S> Gathered<S> {
    fn over(inner: S, speech: Speech) -> Self {
        Self { inner, buffer: vec![0; BUFFER_BYTES], ready: 0..0, rest: 0..0, passing: 0, speech }
    }

    /// A connection that has just been made; it may be encrypted above.
    pub(super) fn new(inner: S) -> Self {
        Self::over(inner, Speech::Unknown)
    }

    /// What was encrypted.
    pub(super) fn of_messages(inner: S) -> Self {
        Self::over(inner, Speech::Messages)
    }

    /// Takes in what the buffer now holds up to there.
    fn take(&mut self, filled: usize) {
        if self.speech == Speech::Unknown {
            // INVARIANT: behind a yes, nothing is read as a message before it has been decrypted.
            self.speech = if self.buffer.first() == Some(&b'S') { Speech::Opaque } else { Speech::Messages };
            self.passing = usize::from(self.buffer.first() == Some(&b'N'));
        }
        let (ready, looked_at) = match self.speech {
            Speech::Messages => gather(&mut self.buffer, filled, &mut self.passing),
            Speech::Unknown | Speech::Opaque => (filled, filled),
        };
        (self.ready, self.rest) = (0..ready, looked_at..filled);
    }
}

/// Brings neighbouring rows together, in place. Up to where bytes can be handed out, and from where on they wait for others.
fn gather(buffer: &mut [u8], filled: usize, passing: &mut usize) -> (usize, usize) {
    let passed = filled.min(*passing);
    *passing -= passed;
    let (mut at, mut out) = (passed, passed);
    // Where the message begins that rows are added to.
    let mut rows: Option<usize> = None;
    while let Some((kind, length)) = buffer.get(at..filled).and_then(head) {
        let held = filled - at;
        if length > held {
            if kind != COPY_DATA || length > buffer.len() {
                buffer.copy_within(at..filled, out);
                *passing = length - held;
                (at, out) = (filled, out + held);
            }
            break;
        }
        match rows.filter(|_| kind == COPY_DATA) {
            Some(start) => {
                buffer.copy_within(at + HEAD_BYTES..at + length, out);
                out += length - HEAD_BYTES;
                // No more than what is held.
                let told = u32::try_from(out - start - 1).unwrap_or(u32::MAX);
                if let Some(place) = buffer.get_mut(start + 1..start + HEAD_BYTES) {
                    place.copy_from_slice(&told.to_be_bytes());
                }
            }
            None => {
                rows = (kind == COPY_DATA).then_some(out);
                buffer.copy_within(at..at + length, out);
                out += length;
            }
        }
        at += length;
    }
    (out, at)
}

/// The kind of the message that begins there, and its length with all that belongs to it.
fn head(bytes: &[u8]) -> Option<(u8, usize)> {
    let ([kind, length @ ..], _) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX).saturating_add(1);
    // A length that does not count itself is for the library to refuse.
    Some(if length < HEAD_BYTES { (NONE, HEAD_BYTES) } else { (*kind, length) })
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let ready = this.buffer.get(this.ready.clone()).unwrap_or_default();
            if !ready.is_empty() {
                let taken = ready.get(..buffer.remaining()).unwrap_or(ready);
                buffer.put_slice(taken);
                this.ready.start += taken.len();
                return Poll::Ready(Ok(()));
            }
            if this.speech == Speech::Opaque {
                return Pin::new(&mut this.inner).poll_read(context, buffer);
            }
            let held = this.rest.len();
            this.buffer.copy_within(this.rest.clone(), 0);
            (this.ready, this.rest) = (0..0, 0..held);
            let mut space = ReadBuf::new(this.buffer.get_mut(held..).unwrap_or_default());
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut space))?;
            match space.filled().len() {
                0 if held == 0 => return Poll::Ready(Ok(())),
                // It ends within a message: that is for the library to tell.
                0 => (this.ready, this.rest, this.speech) = (0..held, 0..0, Speech::Opaque),
                read => this.take(held + read),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Bytes that come so many at a time.
    struct Chunks(Vec<u8>, usize);

    impl AsyncRead for Chunks {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            let count = self.1.min(self.0.len()).min(buffer.remaining());
            let rest = self.0.split_off(count);
            buffer.put_slice(&std::mem::replace(&mut self.0, rest));
            Poll::Ready(Ok(()))
        }
    }

    fn message(kind: u8, bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), bytes].concat()
    }

    async fn read(bytes: Vec<u8>, chunk: usize, taken: usize) -> Vec<u8> {
        let mut gathered = Gathered::new(Chunks(bytes, chunk));
        let (mut found, mut part) = (Vec::new(), vec![0; taken]);
        loop {
            match gathered.read(&mut part).await.unwrap() {
                0 => return found,
                count => found.extend_from_slice(&part[..count]),
            }
        }
    }

    /// The kind of a message, and what it holds.
    type Message = (u8, Vec<u8>);

    /// The messages, neighbouring rows as one, and how many they were. What is left behind them is no message.
    fn messages(mut bytes: &[u8]) -> (Vec<Message>, usize, Vec<u8>) {
        let (mut found, mut count): (Vec<Message>, usize) = (Vec::new(), 0);
        while let Some((kind, length)) = head(bytes).filter(|(kind, length)| *kind != NONE && *length <= bytes.len()) {
            let (one, rest) = bytes.split_at(length);
            match found.last_mut().filter(|(last, _)| *last == COPY_DATA && kind == COPY_DATA) {
                Some((_, rows)) => rows.extend_from_slice(&one[HEAD_BYTES..]),
                None => found.push((kind, one[HEAD_BYTES..].to_vec())),
            }
            (bytes, count) = (rest, count + 1);
        }
        (found, count, bytes.to_vec())
    }

    #[tokio::test]
    async fn rows_come_together_and_nothing_else_changes() {
        let mut sent = [message(b'R', &[0, 0, 0, 0]), message(b'Z', b"I"), message(b'H', &[1, 0, 1])].concat();
        for row in 0..3_000_u32 {
            sent.extend(message(COPY_DATA, &vec![7; usize::try_from(row % 41).unwrap()]));
            if row % 700 == 0 {
                sent.extend(message(b'S', b"name\0value\0"));
                sent.extend(message(COPY_DATA, &vec![8; 100_000]));
            }
        }
        sent.extend([message(b'c', b""), message(b'C', b"COPY 7\0"), message(b'D', &[9; 200_000]), message(b'Z', b"I")].concat());
        let (expected, all, _) = messages(&sent);
        for chunk in [1, 3, 4, 5, 6, 1_000, 65_536, 70_000, usize::MAX] {
            for taken in [1, 8_192, 300_000] {
                let found = read(sent.clone(), chunk, taken).await;
                let (told, count, left) = messages(&found);
                assert!(told == expected && left.is_empty(), "{chunk} {taken}");
                assert!(chunk < 1_000 || count < all / 3, "{count} messages of {all}, {chunk} {taken}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_encrypted_or_no_message_passes() {
        let rows = [message(COPY_DATA, b"a"), message(COPY_DATA, b"b")].concat();
        for (first, alike) in [(&b"S"[..], true), (b"N", false), (b"", false), (b"E\0\0\0\x02oh", true)] {
            let sent = [first, &rows].concat();
            let found = read(sent.clone(), usize::MAX, 64).await;
            assert_eq!(found == sent, alike, "{found:?}");
            assert!(found.starts_with(first) && found.len() + HEAD_BYTES >= sent.len());
        }
        // A connection that ends within a message.
        for kept in 0..rows.len() {
            let found = read(rows[..kept].to_vec(), 2, 64).await;
            let ((told, _, left), (expected, _, rest)) = (messages(&found), messages(&rows[..kept]));
            assert_eq!((told, left), (expected, rest), "{kept}");
        }
    }
}
