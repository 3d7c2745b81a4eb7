//! Where the rows are: files of this machine and of object stores, and tables of PostgreSQL servers.
//!
//! INVARIANT: a port answers with exactly the contract's columns, complete, or with an error. A source that is missing, unreachable,
//! damaged or different from its contract never looks like an empty or a shorter one.
//! A connector knows nothing of principals or policies. To add one: a folder here, a format of the contract, an arm in [`Ports::open`].

mod avro;
mod boundary;
mod coarsening;
mod csv;
mod deferred;
mod error;
mod estimate;
mod files;
mod foreground;
mod ipc;
mod joining;
mod ndjson;
mod parquet;
mod postgres;
mod reduction;
mod reference;
mod schema;
mod shape;
mod statement;
mod texts;
mod unfit;

#[cfg(test)]
pub(crate) mod conformance;
#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::TableProvider;

pub use boundary::bounded;
pub use coarsening::{Coarsening, coarsened};
pub use deferred::DeferredTable;
pub use error::{Error, Place};
pub use estimate::{Estimates, bytes_delivered, joining_cost, sending_cost};
pub use files::{FileVersion, StoreIdentity, StoreOptions};
pub use foreground::{Foreground, waits};
pub use joining::{Joining, Origin, Pair, Side, joined, joined_whole};
pub use parquet::{NumberedBatch, NumberedFile, NumberedScan, Reading, SourceColumn};
pub use postgres::{IdError, IdTable, read_ids};
pub use reduction::{Aggregate, Kept, OrderKey, Reduction, Subjects, Without, leaving_out, reduced, tested};
pub use schema::{PG_TYPE, PG_TYPMOD, arrow_schema};
pub use statement::Statement;
pub use unfit::{marked, marking, may_fail_by_row, refusal};

use crate::error::chain;
use crate::product::{OutputPort, PortFormat, Product, TlsMode};
use files::{FileLocation, Files, FilesTable, Format, Partitions, Stores};
use shape::Shape;

/// How ports are opened.
#[derive(Debug, Clone)]
pub struct PortOptions {
    /// Relative locations are below this folder.
    pub data_root: PathBuf,
    /// Relative `file:` references to credentials are below this folder; without it they are refused.
    pub credentials_root: Option<PathBuf>,
    /// Connections to one PostgreSQL server under one login.
    pub postgres_pool_max: usize,
    /// How long a scan waits for a free connection. Scans of one statement can need several at once, so waiting must end.
    pub postgres_wait_timeout: Duration,
    /// Pages of the smallest table that is read by COPY, and by several connections if it is several times as large.
    pub postgres_bulk_pages: u64,
    /// How long a connection may be idle before it is closed.
    pub postgres_idle_timeout: Duration,
    /// The least that connections must be protected by, whatever a contract says.
    pub postgres_tls: TlsMode,
    /// The authorities (PEM) whose certificates are believed where a contract names none; without it the public ones.
    pub postgres_authorities: Option<PathBuf>,
    /// How long connecting to a server may take.
    pub connect_timeout: Duration,
    /// The object stores that contracts may name; no other is asked.
    pub stores: Vec<StoreOptions>,
    /// Whether the Parquet reader tests filters row by row while it decodes, besides pruning by statistics. `None`: each scan for itself.
    pub parquet_pushdown: Option<bool>,
    /// How long a file must not have changed until what was found out about its rows is remembered.
    pub files_settle: Duration,
}

impl Default for PortOptions {
    fn default() -> Self {
        Self {
            data_root: PathBuf::from("."),
            credentials_root: None,
            postgres_pool_max: 8,
            postgres_wait_timeout: Duration::from_secs(30),
            postgres_bulk_pages: 1_024,
            postgres_idle_timeout: Duration::from_secs(300),
            postgres_tls: TlsMode::Disable,
            postgres_authorities: None,
            connect_timeout: Duration::from_secs(5),
            stores: Vec::new(),
            parquet_pushdown: None,
            files_settle: Duration::from_secs(2),
        }
    }
}

/// Opens ports, and keeps what they share: stores, footers, connections.
#[derive(Debug)]
pub struct Ports {
    options: PortOptions,
    stores: Stores,
    servers: postgres::Servers,
}

impl Ports {
    /// Nothing is opened yet.
    pub fn new(options: PortOptions) -> Self {
        let servers = postgres::Servers::new(&options);
        let stores = Stores::new(&options);
        Self { options, stores, servers }
    }

    /// The port as a table whose schema is the contract's, or the source's own where the contract has none.
    ///
    /// Files are looked at when a scan is planned; a server's table is compared with the contract here.
    pub async fn open(&self, product: &Product, port: &OutputPort) -> Result<Arc<dyn TableProvider>, Error> {
        self.opened(product, port).await.inspect_err(|error| {
            tracing::warn!(product = %product.reference, port = %port.name, error = %chain(error), "port cannot be opened");
        })
    }

    async fn opened(&self, product: &Product, port: &OutputPort) -> Result<Arc<dyn TableProvider>, Error> {
        let at = Place::new(product.reference.clone(), port.name.clone());
        let shape = product.schema.as_deref().map(|fields| Shape::of_contract(fields, |field| product.reads_as_null(&port.format, field)));
        let format: Arc<dyn Format> = match &port.format {
            PortFormat::Csv(dialect) => Arc::new(csv::Csv(dialect.clone())),
            PortFormat::Ndjson(_) => Arc::new(ndjson::Ndjson),
            PortFormat::Arrow => Arc::new(ipc::Ipc),
            PortFormat::Avro => Arc::new(avro::Avro),
            PortFormat::Parquet => {
                let files = self.files(&at, port, shape.as_ref())?;
                let root = self.options.credentials_root.as_deref();
                let keys = port.encryption.as_ref().map(|keys| parquet::Keys::resolve(&at, keys, root)).transpose()?;
                return Ok(Arc::new(parquet::ParquetTable::open(files, shape, keys, self.options.parquet_pushdown).await?));
            }
            PortFormat::Postgres => return Ok(Arc::new(self.servers.open(at, port, shape).await?)),
            PortFormat::Stream(_) => return Err(Error::NotSupported { at, what: "querying a stream".to_owned() }),
            PortFormat::Own(_) => {
                return Err(Error::NotSupported { at, what: "a port for a relation of the gateway's own".to_owned() });
            }
        };
        let files = self.files(&at, port, shape.as_ref())?;
        Ok(Arc::new(FilesTable::open(files, shape, format).await?))
    }

    fn files(&self, at: &Place, port: &OutputPort, shape: Option<&Shape>) -> Result<Files, Error> {
        let location = FileLocation::parse(at, &port.location, &self.options.data_root)?;
        let rooted = self.stores.open(at, &location, port.credentials.as_ref())?;
        let partitions = Partitions::of_contract(port.partitioning.as_deref(), shape);
        Ok(Files { at: at.clone(), location, rooted, partitions, format: port.format.name().into() })
    }
}
