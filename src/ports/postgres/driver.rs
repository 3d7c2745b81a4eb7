//! What moves a connection on: whoever waits for its answer, and no task of its own. So no other thread has to be woken for an answer, and
//! a small one is taken in by the thread that it came to.
//!
//! INVARIANT: what was asked has been handed to the socket, as far as that takes it, when a wait ends or is given up.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use super::gathered::Gathered;
use super::roaming::Roaming;
use super::tls::Encrypted;

/// The way to a server.
pub(super) type Socket = Gathered<Roaming>;

/// A connection that is logged in.
type Connection = tokio_postgres::Connection<Socket, Encrypted<Socket>>;

/// The connection, as long as it is open.
pub(super) struct Driver(Option<Pin<Box<Connection>>>);

impl Driver {
    /// Of one that is open.
    pub(super) fn new(connection: Connection) -> Self {
        Self(Some(Box::pin(connection)))
    }

    /// Waits for what needs the connection.
    pub(super) async fn wait_for<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            self.advance(context);
            // It may have been waiting for just that.
            work.as_mut().poll(context)
        })
        .await
    }

    /// Whether the server has not hung up, for all that has arrived.
    pub(super) fn is_open(&mut self) -> bool {
        self.advance(&mut Context::from_waker(Waker::noop()));
        self.0.is_some()
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        // Its errors reach whoever waits for an answer.
        if self.0.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
            self.0 = None;
        }
    }
}

impl Drop for Driver {
    /// The server is told that nobody asks it any more.
    fn drop(&mut self) {
        if let (Some(connection), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { connection.await.ok() });
        }
    }
}
