//! A query under way: in a transaction that only reads, under the name of its statement and with its end, on a connection of its own.
//!
//! INVARIANT: a query is tried again only as long as nothing of its answer has arrived. One that is dropped before it is released is
//! cancelled at the server, and its connection closes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, RowStream};

use super::filter::Parameter;
use super::link::Link;
use super::pool::{Pooled, Reserved};
use super::server::{Server, is_lost, query_error};
use crate::ports::error::{Error, Place};
use crate::ports::statement::Statement;

/// Connections that are tried before the server counts as gone: an idle one may have broken unnoticed.
const ATTEMPTS: usize = 3;

/// A query and who asks it.
pub(super) struct Asked<'a> {
    pub(super) sql: &'a str,
    pub(super) parameters: &'a [Parameter],
    /// Whether it may come again, so that it is worth being prepared.
    pub(super) again: bool,
    /// The statement, as the server is told of it.
    pub(super) statement: Option<&'a Arc<Statement>>,
    /// The login's own limit of a statement's time in milliseconds; 0: none.
    pub(super) own_timeout: u64,
}

impl Asked<'_> {
    fn types(&self) -> Vec<Type> {
        self.parameters.iter().map(Parameter::pg_type).collect()
    }
}

/// A query that has begun to answer.
pub(super) struct Answering {
    pub(super) running: Running,
    pub(super) rows: Pin<Box<RowStream>>,
    pub(super) first: Option<Row>,
}

impl Server {
    /// All rows of a small query of our own.
    pub(super) async fn fetch(&self, at: &Place, sql: &str, texts: &[&str]) -> Result<Vec<Row>, Error> {
        let parameters: Vec<_> = texts.iter().map(|text| Parameter::Text((*text).to_owned())).collect();
        self.fetch_asked(at, &Asked { sql, parameters: &parameters, again: true, statement: None, own_timeout: 0 }).await
    }

    /// All rows of a small query.
    pub(super) async fn fetch_asked(&self, at: &Place, asked: &Asked<'_>) -> Result<Vec<Row>, Error> {
        let Answering { mut running, rows, first } = self.run(at, asked).await?;
        let mut all: Vec<Row> = Vec::new();
        if let Some(first) = first {
            all.push(first);
            // A stream that has ended must not be asked again, so only one that has begun is.
            let rest: Vec<Row> = running.wait_for(rows.try_collect()).await.map_err(|e| query_error(at, e))?;
            all.extend(rest);
        }
        running.release();
        Ok(all)
    }

    /// Runs a query up to its first row. A pooled connection may turn out to be dead, and what is prepared on it out of date; as long as
    /// nothing has arrived, it is tried once more.
    pub(super) async fn run(&self, at: &Place, asked: &Asked<'_>) -> Result<Answering, Error> {
        let mut attempts = ATTEMPTS;
        loop {
            attempts -= 1;
            let client = self.connect(at, None).await?;
            let fresh = client.fresh;
            let mut running = Running { client: Some(client), transaction: false };
            let Some(client) = &mut running.client else {
                return Err(Error::Internal { at: at.clone(), broken: "a query has no connection" });
            };
            let error = match start(&mut client.link, asked).await {
                Ok((rows, first)) => return Ok(Answering { running, rows, first }),
                Err(error) => error,
            };
            if !is_lost(&error) {
                let again = is_out_of_date(&error) && client.link.forget(asked.sql, &asked.types());
                running.release();
                if again && attempts > 0 {
                    continue;
                }
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
            let mut client = self.connect(at, reserved.take()).await?;
            let fresh = client.fresh;
            let mut running = Running { client: None, transaction: true };
            let Link { client: asked, driver, .. } = &mut client.link;
            match driver.wait_for(asked.batch_execute(transaction)).await {
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

/// Whether a prepared query may be all right once it is prepared anew: its table has changed, or the server does not know it any more.
fn is_out_of_date(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME].contains(code))
}

/// Sends a query and waits for its first row. What the server is told ahead of it travels with it, so that it costs no time of its own.
async fn start(link: &mut Link, asked: &Asked<'_>) -> Result<(Pin<Box<RowStream>>, Option<Row>), tokio_postgres::Error> {
    let prepared = if asked.again { link.prepared(asked.sql, &asked.types()).await? } else { None };
    let telling = link.telling(asked.statement, asked.own_timeout);
    let Link { client, driver, .. } = link;
    let query = async {
        match &prepared {
            Some(prepared) => client.query_raw(prepared, asked.parameters.iter()).await,
            None => {
                let typed = asked.parameters.iter().map(|parameter| (parameter, parameter.pg_type()));
                client.query_typed_raw(asked.sql, typed).await
            }
        }
    };
    let both = async { futures::join!(client.batch_execute(&telling.sql), query) };
    let (told, rows) = driver.wait_for(both).await;
    told?;
    link.confirmed(telling);
    let mut rows = Box::pin(rows?);
    let first = link.driver.wait_for(rows.next()).await.transpose()?;
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
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        self.client.as_mut().map(|client| &mut client.link)
    }

    /// Waits for what needs the connection. One that has been released has nothing to answer.
    pub(super) async fn wait_for<F: Future>(&mut self, work: F) -> F::Output {
        match self.link() {
            Some(link) => link.driver.wait_for(work).await,
            None => work.await,
        }
    }

    /// The query is over: the connection goes back to the pool.
    pub(super) fn release(&mut self) {
        let Some(mut client) = self.client.take() else { return };
        if self.transaction {
            let Link { client, driver, .. } = &mut client.link;
            // Sent at once and not waited for: whatever is asked next comes behind it. After an error it rolls back.
            drop(driver.wait_for(client.batch_execute("COMMIT")).now_or_never());
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
        let (token, pool) = (client.link.client.cancel_token(), Arc::clone(client.pool()));
        drop(client);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // The connection is closed, and the server notices when it next writes; this is sooner.
            runtime.spawn(async move { pool.cancel(&token).await });
        }
    }
}
