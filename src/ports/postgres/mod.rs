//! Tables and views of PostgreSQL servers.
//!
//! INVARIANT: a scan is one `SELECT` of named columns in a transaction that only reads; its rows arrive complete or the scan fails.
//! The server's text of an error never reaches a client: it can hold values.

mod batch;
mod breaker;
mod builder;
mod bulk;
mod coarse;
mod decode;
mod described;
mod dial;
mod driver;
mod exec;
mod fault;
mod filter;
mod fitting;
mod gathered;
mod hints;
mod ids;
mod joined;
mod link;
mod location;
mod looks;
mod parameter;
mod pool;
mod reduced;
mod roaming;
mod running;
mod scan;
mod server;
mod table;
mod tls;
mod types;
mod weight;

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::PortOptions;
use super::error::{Error, Place};
use super::reference::follow;
use super::shape::Shape;
use crate::product::OutputPort;
use breaker::Breaker;
pub(super) use exec::PostgresExec;
pub use ids::{IdError, IdTable, read_ids};
use location::{Credentials, TableLocation};
use server::Server;
pub(super) use table::PostgresTable;
use tls::Security;

/// What connections are made with: the same for all that may be exchanged for each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Access {
    credentials: Credentials,
    security: Security,
}

/// The servers of all ports, each with its connections.
#[derive(Debug)]
pub(super) struct Servers {
    options: PortOptions,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    servers: HashMap<(String, Access), Arc<Server>>,
    /// Of each machine, whether it is worth waiting for.
    breakers: HashMap<String, Arc<Breaker>>,
}

impl Servers {
    /// No server yet.
    pub(super) fn new(options: &PortOptions) -> Self {
        Self { options: options.clone(), known: Mutex::default() }
    }

    /// The port as a table, after its columns were compared with the contract.
    pub(super) async fn open(&self, at: Place, port: &OutputPort, shape: Option<Shape>) -> Result<PostgresTable, Error> {
        let location = TableLocation::parse(&at, &port.location)?;
        let credentials = Credentials::resolve(&at, port.credentials.as_ref(), self.options.credentials_root.as_deref())?;
        let security = self.security(&at, port)?;
        let server = self.server(&at, &location, Access { credentials, security })?;
        PostgresTable::open(at, server, location, shape).await
    }

    /// Connections that scans hold.
    #[cfg(test)]
    pub(super) fn connections_in_use(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.servers.values().map(|server| server.connections_in_use()).sum()
    }

    /// The stronger of what the contract and the configuration ask for.
    fn security(&self, at: &Place, port: &OutputPort) -> Result<Security, Error> {
        let fail = |reason| Error::Credentials { at: at.clone(), reason };
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|_| fail("the authorities' file cannot be read"));
        let mode = port.tls.mode.max(self.options.postgres_tls);
        let authorities = match (&port.tls.authorities, &self.options.postgres_authorities) {
            (Some(reference), _) => Some(follow(reference, self.options.credentials_root.as_deref()).map_err(fail)?),
            (None, Some(path)) => Some(read(path)?),
            (None, None) => None,
        };
        Ok(Security { mode, authorities })
    }

    fn server(&self, at: &Place, location: &TableLocation, access: Access) -> Result<Arc<Server>, Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (location.server_key(), access);
        if let Some(server) = known.servers.get(&key) {
            return Ok(Arc::clone(server));
        }
        // Connections under credentials that nobody uses any more close when their last scan ends.
        known.servers.retain(|_, server| Arc::strong_count(server) > 1 || server.connections_in_use() > 0);
        known.breakers.retain(|_, breaker| Arc::strong_count(breaker) > 1);
        let breaker = Arc::clone(known.breakers.entry(location.machine()).or_default());
        let server = Arc::new(Server::new(at, location, &key.1, &self.options, breaker)?);
        known.servers.insert(key, Arc::clone(&server));
        Ok(server)
    }
}
