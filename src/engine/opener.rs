//! What a name stands for: the port's table, wrapped so that nothing but enforcement can read it.
//!
//! INVARIANT: a port whose columns the contract names is opened when its governed scan is planned, after the decision: whoever is denied,
//! or only describes a statement, opens nothing and learns nothing of the port's state.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::catalog::Opener;
use crate::enforcement::GovernedTable;
use crate::error::{ClientMessage, SqlState};
use crate::locator::Located;
use crate::ports::{self, Ports};
use crate::product::{OutputPort, OwnRows, PortFormat, PortName, Product};

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
        let port = Port { ports: Arc::clone(&self.ports), product: Arc::clone(product), name: port.name.clone() };
        let source: Arc<dyn TableProvider> = match product.schema.as_deref() {
            Some(_) if is_own => self.own.source(product)?,
            Some(fields) => Arc::new(Deferred { schema: ports::arrow_schema(fields), port }),
            None => port.open().await.map_err(|error| external(ClientMessage::from(&error)))?,
        };
        let name = located.port.clone().ok_or_else(|| external(ClientMessage::new(SqlState::INTERNAL_ERROR, "a port has no name")))?;
        Ok(Arc::new(GovernedTable::undecided(Arc::clone(product), name, source, table_oid)))
    }
}

/// A port that can be opened.
#[derive(Debug)]
struct Port {
    ports: Arc<Ports>,
    product: Arc<Product>,
    name: PortName,
}

impl Port {
    async fn open(&self) -> Result<Arc<dyn TableProvider>, ports::Error> {
        let Some(port) = self.product.output_port(&self.name) else {
            let at = ports::Place::new(self.product.reference.clone(), self.name.clone());
            return Err(ports::Error::NotSupported { at, what: "a port that the contract does not name".to_owned() });
        };
        self.ports.open(&self.product, port).await.inspect_err(|error| {
            tracing::warn!(product = %self.product.reference, port = %self.name, error = %chain(error), "port cannot be opened");
        })
    }
}

/// A port's table with the contract's columns, opened when it is scanned.
#[derive(Debug)]
struct Deferred {
    schema: SchemaRef,
    port: Port,
}

#[async_trait]
impl TableProvider for Deferred {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Whatever is pushed is evaluated above as well; the port itself is asked when it is open.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>, DataFusionError> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let table = self.port.open().await.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let supported = table.supports_filters_pushdown(&filters.iter().collect::<Vec<_>>())?;
        let pushed: Vec<Expr> = filters
            .iter()
            .zip(supported)
            .filter(|(_, support)| *support != TableProviderFilterPushDown::Unsupported)
            .map(|(filter, _)| filter.clone())
            .collect();
        // A limit counts the rows that pass all filters.
        let limit = limit.filter(|_| pushed.len() == filters.len());
        table.scan(state, projection, &pushed, limit).await
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

/// An error with its causes, for the log.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
