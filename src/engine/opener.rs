//! Opens what a name stands for: the port's table, wrapped so that nothing but enforcement can read it.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::error::DataFusionError;

use crate::catalog::Opener;
use crate::enforcement::GovernedTable;
use crate::error::{ClientMessage, SqlState};
use crate::locator::Located;
use crate::ports::Ports;
use crate::telemetry::{self, Step};

/// Opens ports as governed tables.
#[derive(Debug)]
pub(super) struct PortOpener {
    pub(super) ports: Arc<Ports>,
}

#[async_trait]
impl Opener for PortOpener {
    async fn open(&self, located: &Located, table_oid: u32) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let product = &located.product;
        let port =
            located.port.as_ref().and_then(|name| product.output_port(name)).ok_or_else(|| {
                external(ClientMessage::new(SqlState::INTERNAL_ERROR, "a name led to a port that its product does not have"))
            })?;
        let source = self.ports.open(product, port).await.map_err(|error| {
            tracing::warn!(product = %product.reference, port = %port.name, error = %chain(&error), "port cannot be opened");
            external(ClientMessage::from(&error))
        })?;
        telemetry::step(Step::Locate, &format!("{} at its port {}", product.reference, port.name));
        Ok(Arc::new(GovernedTable::undecided(Arc::clone(product), port.name.clone(), source, table_oid)))
    }
}

fn external(message: ClientMessage) -> DataFusionError {
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
