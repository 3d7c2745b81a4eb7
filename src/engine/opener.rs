//! What a name stands for: the port's table, wrapped so that nothing but enforcement can read it.
//!
//! INVARIANT: a port whose columns the contract names is opened when its governed scan is planned, after the decision: whoever is denied,
//! or only describes a statement, opens nothing and learns nothing of the port's state.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;

use crate::catalog::Opener;
use crate::enforcement::GovernedTable;
use crate::error::{ClientMessage, SqlState};
use crate::locator::Located;
use crate::ports::{DeferredTable, Ports};
use crate::product::{OutputPort, OwnRows, PortFormat, Product};

use super::own_relations::OwnRelations;

/// Opens ports as governed tables, for one statement.
#[derive(Debug)]
pub(super) struct PortOpener {
    ports: Arc<Ports>,
    own: OwnRelations,
    located: Mutex<Vec<String>>,
}

impl PortOpener {
    /// Nothing is opened yet.
    pub(super) fn new(ports: Arc<Ports>, own: OwnRelations) -> Self {
        Self { ports, own, located: Mutex::default() }
    }

    /// The products and ports that names have led to so far.
    pub(super) fn located(&self) -> Vec<String> {
        self.located.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Opener for PortOpener {
    async fn open(&self, located: &Located, table_oid: u32) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let product = &located.product;
        let port =
            located.port.as_ref().and_then(|name| product.output_port(name)).ok_or_else(|| {
                external(ClientMessage::new(SqlState::INTERNAL_ERROR, "a name led to a port that its product does not have"))
            })?;
        match &port.format {
            PortFormat::Stream(_) => return Err(external(stream(product, port))),
            PortFormat::Own(OwnRows::View) => return self.own.view(located, &self.ports).await,
            PortFormat::Own(_)
            | PortFormat::Csv(_)
            | PortFormat::Ndjson(_)
            | PortFormat::Arrow
            | PortFormat::Avro
            | PortFormat::Parquet
            | PortFormat::Postgres => {}
        }
        self.located.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{} port {}", product.reference, port.name));
        let is_own = product.is_own();
        let source: Arc<dyn TableProvider> = match product.schema.as_deref() {
            Some(_) if is_own => self.own.source(product)?,
            Some(fields) => Arc::new(DeferredTable::new(&self.ports, product, &port.name, fields)),
            None => self.ports.open(product, port).await.map_err(|error| external(ClientMessage::from(&error)))?,
        };
        let name = located.port.clone().ok_or_else(|| external(ClientMessage::new(SqlState::INTERNAL_ERROR, "a port has no name")))?;
        Ok(Arc::new(GovernedTable::undecided(Arc::clone(product), name, source, table_oid)))
    }
}

/// The refusal of a query of a stream.
fn stream(product: &Product, port: &OutputPort) -> ClientMessage {
    let reference = &product.reference;
    let text = format!("port \"{}\" of data product \"{reference}\" is a stream, which cannot be queried", port.name);
    let message = ClientMessage::new(SqlState::FEATURE_NOT_SUPPORTED, text);
    match product.default_output_port() {
        Some(_) => message.with_hint(format!("Query {}.{} instead.", reference.domain.to_sql(), reference.name.to_sql())),
        None => message,
    }
}

pub(super) fn external(message: ClientMessage) -> DataFusionError {
    DataFusionError::External(Box::new(message))
}
