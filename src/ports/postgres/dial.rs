//! The way to a server's socket.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Config};

use super::driver::{Driver, Socket};
use super::gathered::Gathered;
use super::link::Link;
use super::pool::PoolError;
use super::roaming::Roaming;
use super::tls::{Connector, Handshake};

/// A connection on which nothing is heard is asked for a sign of life after so long, and so often again.
const QUIET: Duration = Duration::from_secs(30);
const QUIET_AGAIN: Duration = Duration::from_secs(10);
const QUIET_TIMES: u32 = 3;

/// Where a server is, and how it is spoken to.
pub(super) struct Dial {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) config: Config,
    pub(super) connector: Connector,
}

impl Dial {
    /// A connection that is logged in.
    pub(super) async fn connect(&self) -> Result<Link, PoolError> {
        let socket = self.socket().await.map_err(PoolError::Unreached)?;
        let (client, connection) = self.config.connect_raw(socket, self.handshake()?).await.map_err(PoolError::Refused)?;
        Ok(Link::new(client, Driver::new(connection)))
    }

    /// Asks the server to end what runs on a connection.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), PoolError> {
        let socket = self.socket().await.map_err(PoolError::Unreached)?;
        token.cancel_query_raw(socket, self.handshake()?).await.map_err(PoolError::Refused)
    }

    fn handshake(&self) -> Result<Handshake, PoolError> {
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.connector.clone(), &self.host).map_err(PoolError::Unreached)
    }

    /// The first of its addresses that answers.
    async fn socket(&self) -> io::Result<Socket> {
        let mut last = None;
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return prepared(stream).map(|stream| Gathered::new(Roaming::new(stream))),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address")))
    }
}

fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET).with_interval(QUIET_AGAIN).with_retries(QUIET_TIMES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(QUIET + QUIET_AGAIN * QUIET_TIMES))?;
    Ok(stream)
}
