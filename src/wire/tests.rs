//! The protocol over real sockets, with a session that answers from memory.

mod extended;
mod fake;
mod faults;
mod proof;
mod raw;
mod simple;
mod startup;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use tokio_util::sync::CancellationToken;

use super::{Served, WireOptions, serve};
use fake::FakeBackend;

/// A running listener.
struct Server {
    address: SocketAddr,
    backend: Arc<FakeBackend>,
    shutdown: CancellationToken,
    task: JoinHandle<Served>,
}

async fn start(options: WireOptions) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = Arc::new(FakeBackend::default());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(serve(listener, backend.clone(), options, shutdown.clone()));
    Server { address, backend, shutdown, task }
}

impl Server {
    fn config(&self, password: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host(self.address.ip().to_string()).port(self.address.port()).user("alice").password(password).dbname("mesh");
        config
    }

    async fn client(&self) -> tokio_postgres::Client {
        let (client, connection) = self.config("secret").connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    async fn stop(self) -> Served {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }

    /// Waits until no rows are running any more.
    async fn wait_for_no_running(&self) {
        for _ in 0..200 {
            if self.backend.running() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("rows still run");
    }
}
