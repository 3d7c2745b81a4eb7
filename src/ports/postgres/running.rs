//! A query under way: in a read-only transaction that names its statement and ends with it, on a connection of its own.
//!
//! INVARIANT: a query is tried again only as long as nothing of its answer has arrived. One that is dropped before it is released is
//! cancelled at the server, and its connection closes.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio_postgres::{Client, Row, RowStream};

use super::filter::Parameter;
use super::pool::{Pooled, Reserved};
use super::server::{Server, is_lost, query_error};
use crate::ports::error::{Error, Place};
use crate::ports::statement::Statement;

/// Connections that are tried before the server counts as gone: an idle one may have broken unnoticed.
const ATTEMPTS: usize = 3;
/// The server ends a statement so much later than the gateway does, so that it is the gateway that tells.
const GRACE: Duration = Duration::from_secs(1);

/// A query and who asks it.
pub(super) struct Asked<'a> {
    pub(super) sql: &'a str,
    pub(super) parameters: &'a [Parameter],
    /// The statement, as the server is told of it; without one the query needs no transaction.
    pub(super) transaction: Option<&'a str>,
}

/// A query that has begun to answer.
pub(super) struct Answering {
    pub(super) running: Running,
    pub(super) rows: Pin<Box<RowStream>>,
    pub(super) first: Option<Row>,
}

/// What opens a transaction for a statement. `own_timeout` is the server's own limit in milliseconds, 0 for none.
pub(super) fn transaction(statement: Option<&Arc<Statement>>, own_timeout: u64) -> String {
    let mut sql = "BEGIN READ ONLY".to_owned();
    let Some(statement) = statement else { return sql };
    // 63 bytes are shown.
    let id: String = statement.query_id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(50).collect();
    sql.push_str(&format!("; SET LOCAL application_name = 'meshgate {id}'"));
    if let Some(deadline) = statement.deadline {
        let left = deadline.saturating_duration_since(Instant::now()) + GRACE;
        let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).min(i32::MAX.unsigned_abs().into());
        // A limit of the login's own is never lengthened.
        if own_timeout == 0 || left < own_timeout {
            sql.push_str(&format!("; SET LOCAL statement_timeout = {left}"));
        }
    }
    sql
}

impl Server {
    /// All rows of a small query of our own.
    pub(super) async fn fetch(&self, at: &Place, sql: &str, texts: &[&str]) -> Result<Vec<Row>, Error> {
        let parameters: Vec<_> = texts.iter().map(|text| Parameter::Text((*text).to_owned())).collect();
        let asked = Asked { sql, parameters: &parameters, transaction: None };
        let Answering { mut running, rows, first } = self.run(at, &asked).await?;
        let mut all: Vec<Row> = Vec::new();
        if let Some(first) = first {
            all.push(first);
            // A stream that has ended must not be asked again, so only one that has begun is.
            let rest: Vec<Row> = rows.try_collect().await.map_err(|e| query_error(at, e))?;
            all.extend(rest);
        }
        running.release();
        Ok(all)
    }

    /// Runs a query up to its first row. A pooled connection may turn out to be dead; as long as nothing has arrived, another is tried.
    pub(super) async fn run(&self, at: &Place, asked: &Asked<'_>) -> Result<Answering, Error> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let client = self.connect(at, None).await?;
            let fresh = client.fresh;
            let mut running = Running { client: Some(client), transaction: asked.transaction.is_some() };
            let Some(client) = &running.client else {
                return Err(Error::Internal { at: at.clone(), broken: "a query has no connection" });
            };
            let error = match start(client, asked).await {
                Ok((rows, first)) => return Ok(Answering { running, rows, first }),
                Err(error) => error,
            };
            if !is_lost(&error) {
                running.release();
                return Err(query_error(at, error));
            }
            running.discard();
            if attempts == 0 || fresh {
                return Err(query_error(at, error));
            }
        }
    }
}

impl Server {
    /// Opens a transaction, at the place that was reserved for it if there is one.
    pub(super) async fn begin(&self, at: &Place, mut reserved: Option<Reserved>, transaction: &str) -> Result<Running, Error> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let client = self.connect(at, reserved.take()).await?;
            let fresh = client.fresh;
            let mut running = Running { client: None, transaction: true };
            match client.batch_execute(transaction).await {
                Ok(()) => {
                    running.client = Some(client);
                    return Ok(running);
                }
                Err(error) if is_lost(&error) && attempts > 0 && !fresh => client.pool().forget_idle(),
                Err(error) => return Err(query_error(at, error)),
            }
        }
    }
}

/// Sends a query and waits for its first row. What opens its transaction travels with it, so that it costs no time of its own.
async fn start(client: &Pooled, asked: &Asked<'_>) -> Result<(Pin<Box<RowStream>>, Option<Row>), tokio_postgres::Error> {
    let typed = asked.parameters.iter().map(|parameter| (parameter.clone(), parameter.pg_type()));
    let query = client.query_typed_raw(asked.sql, typed);
    let rows = match asked.transaction {
        None => query.await?,
        Some(transaction) => {
            let (begun, rows) = futures::join!(client.batch_execute(transaction), query);
            begun?;
            rows?
        }
    };
    let mut rows = Box::pin(rows);
    let first = rows.next().await.transpose()?;
    Ok((rows, first))
}

/// A connection with a query under way.
pub(super) struct Running {
    client: Option<Pooled>,
    transaction: bool,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    /// Its connection, as long as it has not been released.
    pub(super) fn client(&self) -> Option<&Client> {
        self.client.as_deref()
    }

    /// The query is over: the connection goes back to the pool.
    pub(super) fn release(&mut self) {
        let Some(client) = self.client.take() else { return };
        if self.transaction {
            // Sent at once and not waited for: whatever is asked next comes behind it. After an error it rolls back.
            drop(client.batch_execute("COMMIT").now_or_never());
        }
        client.put_back();
    }

    /// The connection is of no use any more, nor are those that were idle along with it.
    fn discard(&mut self) {
        if let Some(client) = self.client.take() {
            client.pool().forget_idle();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let (token, connector) = (client.cancel_token(), client.pool().connector());
        drop(client);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Whether it arrives or not: the connection is closed, and the server notices when it next writes.
            runtime.spawn(async move { token.cancel_query(connector).await.ok() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(deadline: Option<Duration>) -> Option<Arc<Statement>> {
        let deadline = deadline.map(|left| Instant::now() + left);
        Some(Arc::new(Statement { query_id: "0198c0de-1'; DROP".to_owned(), deadline }))
    }

    #[test]
    fn a_transaction_names_its_statement_and_ends_with_it() {
        assert_eq!(transaction(None, 0), "BEGIN READ ONLY");
        assert_eq!(transaction(statement(None).as_ref(), 0), "BEGIN READ ONLY; SET LOCAL application_name = 'meshgate 0198c0de-1DROP'");
        let ending = transaction(statement(Some(Duration::from_secs(60))).as_ref(), 0);
        let left: u64 = ending.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((60_000..=61_000).contains(&left), "{ending}");
    }

    #[test]
    fn a_limit_of_the_login_is_not_lengthened() {
        assert!(!transaction(statement(Some(Duration::from_secs(60))).as_ref(), 5_000).contains("statement_timeout"));
        assert!(transaction(statement(Some(Duration::from_secs(60))).as_ref(), 500_000).contains("statement_timeout"));
    }
}
