//! The scan of a server's table: one query, its rows a batch at a time.
//!
//! INVARIANT: a stream ends without an error only after the server has said that the query is complete.
//! A stream that is dropped earlier cancels the query and gives its connection up.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Row, RowStream};

use super::builder::Builder;
use super::filter::Parameter;
use super::running::{Answering, Asked, Running, transaction};
use super::server::{Server, query_error};
use super::table::PgColumn;
use crate::ports::error::{Error, Place};
use crate::ports::estimate::row_statistics;
use crate::ports::schema::type_name;
use crate::ports::statement::Statement;

/// A batch of wide rows ends early.
const BATCH_BYTES: usize = 8 << 20;

/// What is asked, and of whom.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) at: Place,
    pub(super) server: Arc<Server>,
    pub(super) sql: String,
    pub(super) parameters: Vec<Parameter>,
    /// The columns of the result, in its order.
    pub(super) columns: Vec<PgColumn>,
    pub(super) schema: SchemaRef,
    /// Filters that the server tests.
    pub(super) conditions: usize,
    /// About how many rows there are, as the server estimates them.
    pub(super) rows: Option<usize>,
    /// The login's own limit of a statement's time in milliseconds; 0: none.
    pub(super) own_timeout: u64,
}

/// The scan.
#[derive(Debug)]
pub(super) struct PostgresExec {
    query: Arc<Query>,
    properties: Arc<PlanProperties>,
}

impl PostgresExec {
    /// One partition.
    pub(super) fn new(query: Query) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&query.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { query: Arc::new(query), properties: Arc::new(properties) }
    }
}

impl DisplayAs for PostgresExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Query { at, conditions, .. } = &*self.query;
        write!(f, "PortScan: product={}, port={}, format=postgres, filters={conditions}", at.product(), at.port())
    }
}

impl ExecutionPlan for PostgresExec {
    fn name(&self) -> &'static str {
        "PortScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(row_statistics(&self.schema(), self.query.rows, asked))
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows_max = context.session_config().batch_size();
        let query = Arc::clone(&self.query);
        let statement = context.session_config().get_extension::<Statement>();
        let batches = futures::stream::once(async move { Scan::start(query, statement, rows_max).await })
            .map_ok(|scan| futures::stream::try_unfold(scan, Scan::next))
            .try_flatten()
            .map_err(DataFusionError::from);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.query.schema), batches.boxed())))
    }
}

/// A query whose rows are arriving.
struct Scan {
    query: Arc<Query>,
    running: Running,
    rows: Pin<Box<RowStream>>,
    first: Option<Row>,
    builders: Vec<Builder>,
    rows_max: usize,
    ended: bool,
}

impl Scan {
    async fn start(query: Arc<Query>, statement: Option<Arc<Statement>>, rows_max: usize) -> Result<Self, Error> {
        let broken = || Error::Internal { at: query.at.clone(), broken: "a column of a server's table has no builder" };
        let builders = query.columns.iter().map(|column| Builder::new(&column.field).ok_or_else(broken));
        let builders = builders.collect::<Result<Vec<_>, _>>()?;
        let transaction = transaction(statement.as_ref(), query.own_timeout);
        let asked = Asked { sql: &query.sql, parameters: &query.parameters, transaction: Some(&transaction) };
        let answering = query.server.run(&query.at, &asked).await.map_err(|e| drifted(&query, e))?;
        let Answering { mut running, rows, first } = answering;
        if let Some(row) = &first {
            check_types(&query, row)?;
        }
        let ended = first.is_none();
        if ended {
            running.release();
        }
        Ok(Self { query, running, rows, first, builders, rows_max: rows_max.max(1), ended })
    }

    async fn next(mut self) -> Result<Option<(RecordBatch, Self)>, Error> {
        let (mut count, mut bytes) = (0, 0);
        while !self.ended && count < self.rows_max && bytes < BATCH_BYTES {
            let next = match self.first.take() {
                Some(row) => Some(row),
                None => self.rows.next().await.transpose().map_err(|e| query_error(&self.query.at, e))?,
            };
            match next {
                Some(row) => {
                    bytes += row.raw_size_bytes();
                    count += 1;
                    self.append(&row)?;
                }
                None => self.ended = true,
            }
        }
        if self.ended {
            // Back to the pool before the batch is used.
            self.running.release();
        }
        if count == 0 {
            return Ok(None);
        }
        let batch = self.batch(count)?;
        Ok(Some((batch, self)))
    }

    fn append(&mut self, row: &Row) -> Result<(), Error> {
        let at = &self.query.at;
        for (index, (builder, column)) in self.builders.iter_mut().zip(&self.query.columns).enumerate() {
            let value: Option<Raw<'_>> = row.try_get(index).map_err(|e| query_error(at, e))?;
            builder.append(value.map(|raw| raw.0)).ok_or_else(|| Error::Unfit {
                at: at.clone(),
                column: column.field.name().clone(),
                expected: type_name(&column.field),
            })?;
        }
        Ok(())
    }

    fn batch(&mut self, count: usize) -> Result<RecordBatch, Error> {
        let broken = || Error::Internal { at: self.query.at.clone(), broken: "a server's batch does not have its schema" };
        let arrays = self.builders.iter_mut().map(|builder| builder.finish().ok_or_else(broken));
        let arrays = arrays.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        RecordBatch::try_new_with_options(Arc::clone(&self.query.schema), arrays, &options).map_err(|_| broken())
    }
}

/// A column that vanished since the table was compared with the contract is named as the contract names it.
fn drifted(query: &Query, error: Error) -> Error {
    let Error::Failed { source, .. } = &error else { return error };
    let Some(db) = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error) else { return error };
    if *db.code() != SqlState::UNDEFINED_COLUMN {
        return error;
    }
    let vanished = query.columns.iter().find(|column| db.message().contains(&format!("\"{}\"", column.name)));
    match vanished {
        Some(column) => Error::MissingColumn { at: query.at.clone(), column: column.field.name().clone() },
        None => error,
    }
}

/// The table may have changed since its columns were compared with the contract.
fn check_types(query: &Query, row: &Row) -> Result<(), Error> {
    for (there, column) in row.columns().iter().zip(&query.columns) {
        if there.type_().oid() != column.access.oid {
            return Err(Error::ColumnType {
                at: query.at.clone(),
                column: column.field.name().clone(),
                found: there.type_().name().to_owned(),
                expected: type_name(&column.field),
            });
        }
    }
    Ok(())
}

/// A value's bytes as they came.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
