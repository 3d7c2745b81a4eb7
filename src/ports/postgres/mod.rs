//! Tables and views of PostgreSQL servers.
//!
//! INVARIANT: a scan is one `SELECT` of named columns in a read-only transaction; its rows arrive complete or the scan fails.
//! The server's text of an error never reaches a client: it can hold values.

mod builder;
mod decode;
mod exec;
mod filter;
mod ids;
mod location;
mod server;
mod table;
mod types;

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::PortOptions;
use super::error::{Error, Place};
use super::shape::Shape;
use crate::product::OutputPort;
pub use ids::{IdError, IdTable, read_ids};
use location::{Credentials, TableLocation};
use server::Server;
pub(super) use table::PostgresTable;

/// The servers of all ports, each with its connections.
#[derive(Debug)]
pub(super) struct Servers {
    options: PortOptions,
    known: Mutex<HashMap<(String, Credentials), Arc<Server>>>,
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
        let server = self.server(&at, &location, credentials)?;
        PostgresTable::open(at, server, location, shape).await
    }

    fn server(&self, at: &Place, location: &TableLocation, credentials: Credentials) -> Result<Arc<Server>, Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (location.server_key(), credentials);
        if let Some(server) = known.get(&key) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(Server::new(at, location, &key.1, &self.options)?);
        // Connections under credentials that nobody uses any more close when their last scan ends.
        known.retain(|_, server| Arc::strong_count(server) > 1 || server.is_in_use());
        known.insert(key, Arc::clone(&server));
        Ok(server)
    }
}
