//! One database of one server under one login: its connections, and what was last seen of its tables.
//!
//! Every connection is read-only, in UTC and names itself `meshgate`. A server that comes back is used again without further ado.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::error::SqlState;

use super::super::PortOptions;
use super::super::error::{Error, Place};
use super::Access;
use super::breaker::Breaker;
use super::described::Described;
use super::location::TableLocation;
use super::pool::{Pool, PoolError, PoolLimits, Pooled, Reserved};

/// How long a look at a table's columns holds. A scan finds out by itself when a column changed meanwhile.
const LOOK_HOLDS: Duration = Duration::from_secs(1);
/// A connection on which nothing is heard is asked for a sign of life after so long, and so often again.
const QUIET: Duration = Duration::from_secs(30);
const QUIET_AGAIN: Duration = Duration::from_secs(10);
const QUIET_TIMES: u32 = 3;

/// A look at a table.
struct Look {
    when: Instant,
    described: Arc<Described>,
}

/// One server.
pub(super) struct Server {
    pool: Arc<Pool>,
    /// A table of fewer pages is not copied.
    bulk_pages: u64,
    /// The last look at each table, so that statements in a row do not each ask for its columns.
    looks: Mutex<HashMap<TableLocation, Look>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("connections_in_use", &self.pool.in_use()).finish_non_exhaustive()
    }
}

impl Server {
    /// A server that is not connected yet.
    pub(super) fn new(
        at: &Place,
        location: &TableLocation,
        access: &Access,
        options: &PortOptions,
        breaker: Arc<Breaker>,
    ) -> Result<Self, Error> {
        let connector = access.security.connector().map_err(|reason| Error::Credentials { at: at.clone(), reason })?;
        let mut config = tokio_postgres::Config::new();
        config
            .host(&location.host)
            .port(location.port)
            .dbname(&location.database)
            .user(&access.credentials.user)
            .application_name("meshgate")
            .ssl_mode(access.security.ssl_mode())
            .connect_timeout(options.connect_timeout)
            .keepalives_idle(QUIET)
            .keepalives_interval(QUIET_AGAIN)
            .keepalives_retries(QUIET_TIMES)
            .tcp_user_timeout(QUIET + QUIET_AGAIN * QUIET_TIMES)
            .options(
                "-c standard_conforming_strings=on -c default_transaction_read_only=on -c TimeZone=UTC -c DateStyle=ISO \
                 -c IntervalStyle=postgres -c bytea_output=hex -c extra_float_digits=1 -c client_encoding=UTF8",
            );
        if let Some(password) = &access.credentials.password {
            config.password(password);
        }
        let limits = PoolLimits {
            connections: options.postgres_pool_max,
            wait: options.postgres_wait_timeout,
            connect: options.connect_timeout,
            idle: options.postgres_idle_timeout,
        };
        Ok(Self { pool: Pool::new(config, connector, limits, breaker), bulk_pages: options.postgres_bulk_pages, looks: Mutex::default() })
    }

    /// What a look at a table showed, if it still holds.
    pub(super) fn last_look(&self, location: &TableLocation) -> Option<Arc<Described>> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.get(location).filter(|look| look.when.elapsed() < LOOK_HOLDS).map(|look| Arc::clone(&look.described))
    }

    /// Keeps what a look at a table showed, and no look that no longer holds.
    pub(super) fn keep_look(&self, location: &TableLocation, described: &Arc<Described>) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.retain(|_, look| look.when.elapsed() < LOOK_HOLDS);
        looks.insert(location.clone(), Look { when: Instant::now(), described: Arc::clone(described) });
    }

    /// A connection, at the place that was reserved for it if there is one.
    pub(super) async fn connect(&self, at: &Place, reserved: Option<Reserved>) -> Result<Pooled, Error> {
        let taken = match reserved {
            Some(reserved) => self.pool.take_reserved(reserved).await,
            None => self.pool.take().await,
        };
        taken.map_err(|error| match error {
            PoolError::Exhausted => Error::Exhausted { at: at.clone() },
            PoolError::Refused(source) if source.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => Error::Exhausted { at: at.clone() },
            source => Error::Unreachable { at: at.clone(), source: Box::new(source) },
        })
    }

    /// Places for so many connections; none at all if they are not all free.
    pub(super) fn reserve(&self, count: usize) -> Vec<Reserved> {
        self.pool.reserve(count).unwrap_or_default()
    }

    /// The pages of the smallest table that is copied.
    pub(super) fn bulk_pages(&self) -> u64 {
        self.bulk_pages
    }

    /// Connections that scans hold.
    pub(super) fn connections_in_use(&self) -> usize {
        self.pool.in_use()
    }
}

/// Whether an error means that the connection is gone.
pub(super) fn is_lost(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        let io = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return error.is_closed() || io;
    };
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code) || code.code().starts_with("08")
}

/// What an error of a query means for a port.
pub(super) fn query_error(at: &Place, error: tokio_postgres::Error) -> Error {
    let at = at.clone();
    if is_lost(&error) {
        return Error::ConnectionLost { at, source: Box::new(error) };
    }
    match error.code() {
        Some(code) if *code == SqlState::UNDEFINED_TABLE => Error::NoData { at, source: Some(Box::new(error)) },
        _ => Error::Failed { at, source: Box::new(error) },
    }
}
