//! One database of one server under one login: its connections, and what was last seen of its tables.
//!
//! Every connection is read-only, in UTC and names itself `meshgate`. A server that comes back is used again without further ado.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::super::PortOptions;
use super::super::error::{Error, Place};
use super::Access;
use super::breaker::Breaker;
use super::described::Described;
use super::dial::Dial;
use super::location::TableLocation;
use super::looks::Looks;
use super::pool::{Pool, PoolError, PoolLimits, Pooled, Reserved};
use super::weight::Counts;

/// How long a look at a table's columns holds. A scan finds out by itself when a column changed meanwhile.
const LOOK_HOLDS: Duration = Duration::from_secs(1);
/// How long it holds what a server has counted in a table, for it counts anew when much has changed, and what goes for the login, for that goes
/// for new connections.
const COUNTS_HOLD: Duration = Duration::from_secs(60);

/// One server.
pub(super) struct Server {
    pool: Arc<Pool>,
    /// A table of fewer pages is not copied.
    bulk_pages: u64,
    /// The last look at the columns of each table.
    pub(super) looks: Looks<TableLocation, Described>,
    /// How many different values its columns have.
    pub(super) counts: Looks<TableLocation, Counts>,
    /// The login's own limit of a statement's time in milliseconds; 0: none.
    pub(super) own_timeout: Looks<(), u64>,
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
            .dbname(&location.database)
            .user(&access.credentials.user)
            .application_name("meshgate")
            .ssl_mode(access.security.ssl_mode())
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
        let dial = Dial { host: location.host.clone(), port: location.port, config, connector };
        let (pool, bulk_pages) = (Pool::new(dial, limits, breaker), options.postgres_bulk_pages);
        Ok(Self { pool, bulk_pages, looks: Looks::new(LOOK_HOLDS), counts: Looks::new(COUNTS_HOLD), own_timeout: Looks::new(COUNTS_HOLD) })
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
