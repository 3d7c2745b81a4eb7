//! A socket that belongs to whichever threads use it last.
//!
//! Statements are planned, and small answers taken in, by other threads than large ones. A socket that one of them opened would wake the
//! others by a detour through its own; so it is registered anew where it is used.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::{Handle, Id};

/// The socket.
pub(super) struct Roaming {
    /// `None` if it could not be registered anew.
    socket: Option<TcpStream>,
    home: Option<Id>,
}

impl Roaming {
    /// A socket that was opened here.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket: Some(socket), home: here() }
    }

    /// The socket, once it belongs here.
    fn at_home(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        let here = here();
        if here != self.home
            && let Some(socket) = self.socket.take()
        {
            self.socket = Some(TcpStream::from_std(socket.into_std()?)?);
            self.home = here;
        }
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

fn here() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

impl AsyncRead for Roaming {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.at_home()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Roaming {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.at_home()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.at_home()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.at_home()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn a_socket_is_used_where_it_is_waited_for() {
        let (first, second) = (runtime(), runtime());
        let (mut roaming, mut peer) = first.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            (Roaming::new(socket), listener.accept().await.unwrap().0.into_std().unwrap())
        });
        for (turn, runtime) in [&first, &second, &second, &first].into_iter().enumerate() {
            let turn = u8::try_from(turn).unwrap();
            // Nobody moves the other runtime on: the answer is heard here or nowhere.
            peer = runtime.block_on(async {
                let mut peer = TcpStream::from_std(peer).unwrap();
                let (mut heard, mut answered) = ([0; 1], [0; 1]);
                roaming.write_all(&[turn]).await.unwrap();
                let answer = async {
                    peer.read_exact(&mut heard).await.unwrap();
                    tokio::task::yield_now().await;
                    peer.write_all(&heard).await.unwrap();
                };
                tokio::join!(answer, async { roaming.read_exact(&mut answered).await.unwrap() });
                assert_eq!(answered, [turn]);
                peer.into_std().unwrap()
            });
        }
        drop(peer);
        assert_eq!(second.block_on(roaming.read(&mut [0; 1])).unwrap(), 0);
    }
}
