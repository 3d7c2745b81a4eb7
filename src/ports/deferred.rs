//! A port's table with the contract's columns, opened when it is scanned.
//!
//! INVARIANT: the port is given every filter that a scan is given, and says itself which of them it tests: one that was left out on the way would count as
//! tested.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::product::{Field, PortName, Product};

use super::Ports;
use super::error::{Error, Place};
use super::schema::arrow_schema;

/// The table.
#[derive(Debug)]
pub struct DeferredTable {
    ports: Arc<Ports>,
    product: Arc<Product>,
    port: PortName,
    schema: SchemaRef,
}

impl DeferredTable {
    /// Opens nothing. `fields` are those of the product's contract.
    pub fn new(ports: &Arc<Ports>, product: &Arc<Product>, port: &PortName, fields: &[Field]) -> Self {
        Self { ports: Arc::clone(ports), product: Arc::clone(product), port: port.clone(), schema: arrow_schema(fields) }
    }

    async fn open(&self) -> Result<Arc<dyn TableProvider>, Error> {
        let Some(port) = self.product.output_port(&self.port) else {
            let at = Place::new(self.product.reference.clone(), self.port.clone());
            return Err(Error::NotSupported { at, what: "a port that the contract does not name".to_owned() });
        };
        self.ports.open(&self.product, port).await
    }
}

#[async_trait]
impl TableProvider for DeferredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Whatever is pushed is evaluated above as well.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let table = self.open().await.map_err(|error| DataFusionError::External(Box::new(error)))?;
        table.scan(state, projection, filters, limit).await
    }
}
