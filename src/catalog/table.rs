//! A system relation as the planner sees it: its columns at once, its rows only when a statement runs.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::content;
use super::facts::SessionFacts;
use super::relations::Relation;

/// A table or view of `pg_catalog` or `information_schema`.
///
/// INVARIANT: it holds names and descriptions that the principal may know, never rows of a data product.
#[derive(Debug)]
pub struct SystemTable {
    relation: &'static Relation,
    facts: Arc<SessionFacts>,
}

impl SystemTable {
    pub(super) fn new(relation: &'static Relation, facts: Arc<SessionFacts>) -> Self {
        Self { relation, facts }
    }

    /// The relation's OID.
    pub fn oid(&self) -> u32 {
        self.relation.oid
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.relation.arrow)
    }

    fn table_type(&self) -> TableType {
        if self.relation.kind == "v" { TableType::View } else { TableType::Base }
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let batch = content::rows(self.relation, &self.facts)?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema(), projection.cloned())?)
    }
}
