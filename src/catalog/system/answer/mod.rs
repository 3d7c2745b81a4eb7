//! Answers statements that read the catalog and nothing else, with PostgreSQL's meaning of every form.
//!
//! Clients ask catalogs in ways that the planner of products does not take: correlated subqueries anywhere, recursive WITH over
//! arrays, functions that answer rows, vectors that count from 0, names that are numbers. Catalogs are small, so such a statement is
//! bound to a tree ([`bind`], [`query`], [`from`], [`expr`], [`call`]) and the tree is walked a row at a time ([`run`], [`select`],
//! [`eval`]). What is not understood here is left to the planner of products, which says what is wrong.
//!
//! INVARIANT: no row of a data product is read here: the only relations are those of `relations`, and WITH queries over them.

mod aggregates;
mod bind;
mod builtins;
mod call;
mod casts;
mod datum;
mod eval;
mod expr;
mod from;
mod join;
mod json;
mod operators;
mod query;
mod rows;
mod run;
mod select;
mod sets;
mod taken_apart;
mod texts;
mod tree;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::sqlparser::ast::Statement;

use crate::catalog::PgType;
use crate::catalog::facts::SessionFacts;

pub(in crate::catalog) use texts::elements as array_elements;

use bind::{Binder, Stop};
use tree::Plan;

/// A statement over the catalog that is understood.
pub struct CatalogQuery {
    facts: Arc<SessionFacts>,
    plan: Arc<Plan>,
    parameters: Vec<PgType>,
    schema: SchemaRef,
}

impl std::fmt::Debug for CatalogQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogQuery").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl CatalogQuery {
    /// Understands a statement, or leaves it to the planner of products.
    pub fn bind(statement: &Statement, facts: &Arc<SessionFacts>, declared: &[Option<PgType>]) -> Result<Option<Self>, DataFusionError> {
        let Statement::Query(query) = statement else { return Ok(None) };
        let mut binder = Binder::new(facts, declared);
        let bound = binder.query(query).and_then(|plan| binder.settle(plan));
        let plan = match bound {
            Ok(plan) => plan,
            Err(Stop::Unsupported(what)) => {
                tracing::debug!(target: "meshgate::catalog", what, "left to the planner");
                return Ok(None);
            }
            Err(Stop::Fault(error)) => return Err(error),
        };
        let parameters = binder.parameters.iter().map(|known| known.unwrap_or(PgType::TEXT)).collect();
        let schema = rows::schema(&plan.columns);
        Ok(Some(Self { facts: Arc::clone(facts), plan: Arc::new(plan), parameters, schema }))
    }

    /// The types of its parameters.
    pub fn parameters(&self) -> &[PgType] {
        &self.parameters
    }

    /// The columns of its result.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The statement with its parameters' values, as a table that the planner takes. `None`: there are too few.
    pub fn table(self, values: &[ScalarValue]) -> Result<Option<CatalogAnswer>, DataFusionError> {
        if values.len() < self.parameters.len() {
            return Ok(None);
        }
        let typed = values.iter().zip(self.parameters.iter().copied().map(Some).chain(std::iter::repeat(None)));
        let values = typed.map(|(value, ty)| rows::parameter(value, ty, &self.facts)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(CatalogAnswer { query: Arc::new(self), values }))
    }

    fn run(&self, values: Vec<datum::Datum>, abandoned: Arc<AtomicBool>) -> Result<RecordBatch, DataFusionError> {
        let run = run::Run::new(Arc::clone(&self.facts), values, abandoned);
        let rows = run.plan(&self.plan, None)?;
        run::Run::fits(rows.iter().flatten())?;
        rows::batch(&self.plan.columns, &self.schema, &rows, &self.facts)
    }
}

/// The answer to a statement over the catalog, made when it is scanned.
#[derive(Debug)]
pub struct CatalogAnswer {
    query: Arc<CatalogQuery>,
    values: Vec<datum::Datum>,
}

/// Tells a run that nobody waits for it any more.
struct Abandon(Arc<AtomicBool>);

impl Drop for Abandon {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl TableProvider for CatalogAnswer {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.query.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let (query, values) = (Arc::clone(&self.query), self.values.clone());
        let abandon = Abandon(Arc::default());
        let abandoned = Arc::clone(&abandon.0);
        // A join of catalogs may take long; it must hold up neither other sessions nor its own cancellation.
        let batch = tokio::task::spawn_blocking(move || query.run(values, abandoned)).await;
        let batch = batch.map_err(|_| DataFusionError::Internal("answering from the catalog panicked".to_owned()))??;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], self.schema(), projection.cloned())?)
    }
}
