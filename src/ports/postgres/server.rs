//! Connections to one server under one login.
//!
//! Every connection is read-only, in UTC and names itself `meshgate`. A broken one is discarded when it is next asked for, so a server
//! that comes back is used again without further ado.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use super::super::PortOptions;
use super::super::error::{Error, Place};
use super::location::{Credentials, TableLocation};
use super::table::Described;

/// How long a look at a table's columns holds. A scan finds out by itself when a column changed meanwhile.
const LOOK_HOLDS: Duration = Duration::from_secs(1);

/// A look at a table.
struct Look {
    when: Instant,
    described: Arc<Described>,
}

/// One server.
pub(super) struct Server {
    pool: Pool,
    /// The last look at each table, so that statements in a row do not each ask for its columns.
    looks: Mutex<HashMap<TableLocation, Look>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("connections", &self.pool.status().size).finish_non_exhaustive()
    }
}

impl Server {
    /// A server that is not connected yet.
    pub(super) fn new(at: &Place, location: &TableLocation, credentials: &Credentials, options: &PortOptions) -> Result<Self, Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&location.host)
            .port(location.port)
            .dbname(&location.database)
            .user(&credentials.user)
            .application_name("meshgate")
            .connect_timeout(options.connect_timeout)
            .keepalives_idle(Duration::from_secs(60))
            .options("-c default_transaction_read_only=on -c TimeZone=UTC -c client_encoding=UTF8");
        if let Some(password) = &credentials.password {
            config.password(password);
        }
        let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(options.postgres_pool_max.max(1))
            .wait_timeout(Some(options.postgres_wait_timeout))
            .create_timeout(Some(options.connect_timeout))
            .recycle_timeout(Some(options.connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| Error::Internal { at: at.clone(), broken: "a connection pool cannot be built" })?;
        Ok(Self { pool, looks: Mutex::default() })
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

    /// A connection.
    pub(super) async fn connect(&self, at: &Place) -> Result<Object, Error> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(TimeoutType::Wait) => Error::Exhausted { at: at.clone() },
            PoolError::Backend(source) if source.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => Error::Exhausted { at: at.clone() },
            source => Error::Unreachable { at: at.clone(), source: Box::new(source) },
        })
    }

    /// The size of the pool.
    pub(super) fn connections_max(&self) -> usize {
        self.pool.status().max_size
    }

    /// Whether a scan holds one of the connections.
    pub(super) fn is_in_use(&self) -> bool {
        let status = self.pool.status();
        status.size > status.available
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
