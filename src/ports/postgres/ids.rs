//! One column of one table, read as a list of ids. No port: there is no product, no contract and no policy over it.

use std::time::Duration;

use futures::TryStreamExt;

use super::location::{Credentials, TableLocation, quoted};
use super::tls::Security;
use crate::product::TlsMode;

/// A column of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdTable {
    /// `postgres://host:port/database/schema/table`.
    pub location: String,
    /// The column.
    pub column: String,
    /// The longest that reading it may take.
    pub timeout: Duration,
    /// Bytes of all ids together.
    pub bytes_max: u64,
    /// What the connection must be protected by.
    pub tls: TlsMode,
}

/// Why the ids could not be read. Its text is for the operator, and holds no value of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The location is none.
    #[error("it is not postgres://host:port/database/schema/table, or holds a login")]
    Location,
    /// The login is none.
    #[error("the credentials are neither user:password nor user=… password=…")]
    Credentials,
    /// The authorities are none.
    #[error("{0}")]
    Authorities(&'static str),
    /// The server could not be reached.
    #[error("the server cannot be reached")]
    Unreachable,
    /// The server refused, with that SQLSTATE.
    #[error("the server refused (SQLSTATE {0})")]
    Refused(String),
    /// The connection broke.
    #[error("the connection to the server was lost")]
    Lost,
    /// It took too long.
    #[error("the server did not answer in time")]
    Late,
    /// There is more than allowed.
    #[error("the column holds more than {0} bytes")]
    TooLong(u64),
}

/// Every id of the column that is not NULL, as text. `authorities` are those whose certificates are believed, in PEM; the public ones
/// if they are not given.
///
/// # Errors
/// All of them or none: a list that was cut off is an error.
pub async fn read_ids(table: &IdTable, credentials: &str, authorities: Option<String>) -> Result<Vec<String>, IdError> {
    tokio::time::timeout(table.timeout, read(table, credentials, authorities)).await.map_err(|_| IdError::Late)?
}

async fn read(table: &IdTable, credentials: &str, authorities: Option<String>) -> Result<Vec<String>, IdError> {
    let location = TableLocation::read(&table.location).map_err(|_| IdError::Location)?;
    let login = Credentials::parse(credentials.trim()).ok_or(IdError::Credentials)?;
    let security = Security { mode: table.tls, authorities };
    let connector = security.connector().map_err(IdError::Authorities)?;
    let mut config = tokio_postgres::Config::new();
    config
        .host(&location.host)
        .port(location.port)
        .dbname(&location.database)
        .user(&login.user)
        .application_name("meshgate")
        .ssl_mode(security.ssl_mode())
        .connect_timeout(table.timeout)
        .options("-c default_transaction_read_only=on -c client_encoding=UTF8");
    if let Some(password) = &login.password {
        config.password(password);
    }
    let (client, connection) = config.connect(connector).await.map_err(|error| refused(&error).unwrap_or(IdError::Unreachable))?;
    let rows = async {
        let column = quoted(&table.column);
        let sql = format!("SELECT {column}::text FROM {} WHERE {column} IS NOT NULL", location.to_sql());
        let rows = client.query_raw(&sql, std::iter::empty::<&str>()).await.map_err(|error| failed(&error))?;
        let (mut ids, mut bytes) = (Vec::new(), 0_u64);
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await.map_err(|error| failed(&error))? {
            let id: String = row.try_get(0).map_err(|error| failed(&error))?;
            bytes = bytes.saturating_add(u64::try_from(id.len()).unwrap_or(u64::MAX));
            if bytes > table.bytes_max {
                return Err(IdError::TooLong(table.bytes_max));
            }
            ids.push(id);
        }
        Ok(ids)
    };
    tokio::select! {
        biased;
        ids = rows => ids,
        _ = connection => Err(IdError::Lost),
    }
}

fn refused(error: &tokio_postgres::Error) -> Option<IdError> {
    error.code().map(|code| IdError::Refused(code.code().to_owned()))
}

fn failed(error: &tokio_postgres::Error) -> IdError {
    refused(error).unwrap_or(IdError::Lost)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Database;
    use super::*;

    fn table(location: &str, column: &str) -> IdTable {
        IdTable {
            location: location.to_owned(),
            column: column.to_owned(),
            timeout: Duration::from_secs(10),
            bytes_max: 1 << 20,
            tls: TlsMode::Prefer,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ids_of_any_type_arrive_as_text_and_a_null_is_none() {
        let Some(database) = Database::from_environment().await else { return };
        let rows = [Some("7"), None, Some("-3")].map(|id| vec![id.map(str::to_owned)]);
        database.create("erased_ids", "\"Person\" int8", &rows).await;
        let mut ids = read_ids(&table(&database.location("erased_ids"), "Person"), &database.login(), None).await.unwrap();
        ids.sort();
        assert_eq!(ids, ["-3", "7"]);
        let missing = read_ids(&table(&database.location("erased_ids"), "person"), &database.login(), None).await;
        assert_eq!(missing, Err(IdError::Refused("42703".to_owned())));
        let short = IdTable { bytes_max: 2, ..table(&database.location("erased_ids"), "Person") };
        assert_eq!(read_ids(&short, &database.login(), None).await, Err(IdError::TooLong(2)));
        let login = read_ids(&table(&database.location("erased_ids"), "Person"), "nobody:nothing", None).await;
        assert_eq!(login, Err(IdError::Refused("28P01".to_owned())));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_does_not_answer_is_told_apart() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let location = format!("postgres://127.0.0.1:{port}/d/s/t");
        let slow = IdTable { timeout: Duration::from_millis(200), ..table(&location, "id") };
        assert_eq!(read_ids(&slow, "u:p", None).await, Err(IdError::Late));
        drop(listener);
        assert_eq!(read_ids(&table(&location, "id"), "u:p", None).await, Err(IdError::Unreachable));
        assert_eq!(read_ids(&table("postgres://u:p@h/d/s/t", "id"), "u:p", None).await, Err(IdError::Location));
        assert_eq!(read_ids(&table(&location, "id"), "nothing", None).await, Err(IdError::Credentials));
    }
}
