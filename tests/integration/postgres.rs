//! Databases of their own in the Postgres of the tests.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use futures::SinkExt;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};

/// A database; each run of the tests makes it anew.
pub(crate) struct Database {
    config: Config,
    name: &'static str,
}

impl Database {
    /// Makes an empty database of that name, in place of the one that was there.
    pub(crate) async fn create(name: &'static str) -> Self {
        Self::encoded(name, "UTF8").await
    }

    /// The same in another encoding.
    pub(crate) async fn encoded(name: &'static str, encoding: &str) -> Self {
        let address =
            std::env::var("MESHGATE_TEST_POSTGRES").expect("MESHGATE_TEST_POSTGRES is not set; run scripts/test, which starts a Postgres");
        let mut config = Config::from_str(&address).unwrap();
        let server = connect(&config).await;
        server.simple_query(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await.unwrap();
        server.simple_query(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")).await.unwrap();
        config.dbname(name);
        Self { config, name }
    }

    /// A session with the rights of the owner.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.config).await
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let Some(Host::Tcp(host)) = self.config.get_hosts().first() else { panic!("MESHGATE_TEST_POSTGRES names no host") };
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        (host.as_str(), port).to_socket_addrs().unwrap().next().unwrap()
    }

    /// The location of a table, as a contract words it.
    pub(crate) fn location(&self, schema: &str, table: &str) -> String {
        self.location_through(self.address().port(), schema, table)
    }

    /// The location of a table behind another port of this machine.
    pub(crate) fn location_through(&self, port: u16, schema: &str, table: &str) -> String {
        format!("postgres://{}:{port}/{}/{schema}/{table}", self.address().ip(), self.name)
    }

    /// What a file of credentials holds.
    pub(crate) fn credentials(&self) -> String {
        let password = self.config.get_password().map(|password| String::from_utf8_lossy(password).into_owned()).unwrap_or_default();
        format!("{}:{password}\n", self.config.get_user().unwrap_or("postgres"))
    }
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Fills a table from CSV with a header.
pub(crate) async fn copy_csv(client: &Client, table: &str, csv: String) {
    let sink = client.copy_in(&format!("COPY {table} FROM STDIN WITH (FORMAT csv, HEADER)")).await.unwrap();
    futures::pin_mut!(sink);
    sink.send(bytes::Bytes::from(csv)).await.unwrap();
    sink.close().await.unwrap();
}
