//! A real server for tests, if the environment names one.

use tokio_postgres::{Client, NoTls};

/// The database that `MESHGATE_TEST_POSTGRES` names.
pub(crate) struct Database {
    config: tokio_postgres::Config,
    client: Client,
}

impl Database {
    /// `None` if the environment names none.
    pub(crate) async fn from_environment() -> Option<Self> {
        let config: tokio_postgres::Config = std::env::var("MESHGATE_TEST_POSTGRES").ok()?.parse().unwrap();
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        Some(Self { config, client })
    }

    /// Credentials as a contract refers to them.
    pub(crate) fn login(&self) -> String {
        let password = String::from_utf8_lossy(self.config.get_password().unwrap_or_default()).into_owned();
        format!("{}:{password}", self.config.get_user().unwrap())
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        std::net::ToSocketAddrs::to_socket_addrs(&(self.host(), port)).unwrap().next().unwrap()
    }

    fn host(&self) -> &str {
        match &self.config.get_hosts()[0] {
            tokio_postgres::config::Host::Tcp(host) => host,
            other => panic!("a test server needs TCP, not {other:?}"),
        }
    }

    /// The location of a table of this process.
    pub(crate) fn location(&self, table: &str) -> String {
        self.location_at(self.host(), self.address().port(), table)
    }

    /// The same at another address.
    pub(crate) fn location_at(&self, host: &str, port: u16, table: &str) -> String {
        format!("postgres://{host}:{port}/{}/{}/{table}", self.config.get_dbname().unwrap(), Self::schema())
    }

    fn schema() -> String {
        // Tests run side by side.
        let thread = format!("{:?}", std::thread::current().id());
        format!("t{}_{}", std::process::id(), thread.chars().filter(char::is_ascii_digit).collect::<String>())
    }

    /// Runs statements.
    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// A table of these rows, given as texts.
    pub(crate) async fn create(&self, table: &str, columns: &str, rows: &[Vec<Option<String>>]) {
        let schema = Self::schema();
        let literal = |value: &Option<String>| value.as_ref().map_or("NULL".to_owned(), |text| format!("'{}'", text.replace('\'', "''")));
        let mut sql = format!(
            "CREATE SCHEMA IF NOT EXISTS {schema}; DROP TABLE IF EXISTS {schema}.{table}; CREATE TABLE {schema}.{table} ({columns});"
        );
        for chunk in rows.chunks(200) {
            let values = chunk.iter().map(|row| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(", ")));
            sql.push_str(&format!("INSERT INTO {schema}.{table} VALUES {};", values.collect::<Vec<_>>().join(", ")));
        }
        self.run(&sql).await;
    }

    /// A table's name for SQL.
    pub(crate) fn table(&self, table: &str) -> String {
        format!("{}.{table}", Self::schema())
    }
}
