//! The scan of a server's table as an operator: one query, or one for each range of a large table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction_owned;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::filter_pushdown::{ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::{StreamExt, TryStreamExt};
use tokio_postgres::Column;
use tokio_postgres::error::SqlState;

use super::bulk::{Bulk, BulkScan};
use super::fault;
use super::filter::{Parameter, Translator};
use super::fitting::{Fitting, fitting};
use super::hints;
use super::joined::joined;
use super::reduced::{exclusion, reduced};
use super::scan::Scan;
use super::server::Server;
use super::table::{PgColumn, select_list};
use super::weight::{JOINED_ROW_COST, row_bytes, row_cost};
use crate::ports::coarsening::Coarsening;
use crate::ports::error::{Error, Place};
use crate::ports::estimate::row_statistics;
use crate::ports::joining::{Joining, Origin};
use crate::ports::reduction::{Reduction, Without};
use crate::ports::schema::type_name;

/// Fewer rows of a join are asked for one by one, with values beside the query: it can be prepared.
const COPIED_ROWS_MIN: u64 = 1 << 14;

/// What is asked, and of whom.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) at: Place,
    pub(super) server: Arc<Server>,
    /// The columns and the table.
    pub(super) select: String,
    /// The table, or several of them.
    pub(super) from: String,
    /// What stands before a column of the source, so that it is none of the result.
    pub(super) qualifier: String,
    /// Where a row lies, if it is of tables whose rows have places.
    pub(super) places: Vec<String>,
    /// What the server tests.
    pub(super) filters: Vec<Expr>,
    /// The same in SQL, and what was left out besides.
    pub(super) conditions: Vec<String>,
    /// Whether these are all filters that the scan was given.
    pub(super) complete: bool,
    /// The values in the conditions, unless they stand there themselves.
    pub(super) parameters: Vec<Parameter>,
    /// An order or groups.
    pub(super) tail: String,
    pub(super) limit: Option<usize>,
    /// Whether fewer rows come than the conditions leave, or states of rows.
    pub(super) reduced: bool,
    /// The columns of the result, in its order.
    pub(super) columns: Vec<PgColumn>,
    pub(super) schema: SchemaRef,
    /// Whether its columns may be expressions at the server, that a row can make fail.
    pub(super) computed: bool,
    /// Whether values that do not fit are marked, and refused by whoever asks.
    pub(super) marking: bool,
    /// That values by which rows are hidden fit: a row of which one does not is hidden.
    pub(super) fitting: Vec<String>,
    /// About how many rows there are, as the server estimates them.
    pub(super) rows: Option<usize>,
    /// About how many of them come, or states of them; `None` if nobody has asked.
    pub(super) expected: Option<u64>,
    /// Of several tables, about how many rows the server makes of theirs.
    pub(super) joined: Option<u64>,
    /// The login's own limit of a statement's time in milliseconds; 0: none.
    pub(super) own_timeout: u64,
}

impl Query {
    /// The query with further conditions.
    pub(super) fn sql(&self, further: &[String]) -> String {
        let mut sql = self.select.clone();
        let mut word = " WHERE ";
        for condition in self.conditions.iter().chain(&self.fitting).chain(further) {
            sql.push_str(word);
            sql.push_str(condition);
            word = " AND ";
        }
        sql.push_str(&self.tail);
        if let Some(limit) = self.limit {
            sql.push_str(&format!(" LIMIT {limit}"));
        }
        sql
    }

    /// That a value of the column does not fit.
    pub(super) fn unfit(&self, column: &PgColumn) -> Error {
        Error::Unfit { at: self.at.clone(), column: column.field.name().clone(), expected: type_name(&column.field) }
    }

    /// The conditions of hints, and the parameters of all conditions.
    pub(super) fn hinted(&self, hints: &[Arc<dyn PhysicalExpr>], inline: bool) -> (Vec<String>, Vec<Parameter>) {
        let mut translator = Translator::after(&self.columns, self.parameters.clone(), inline);
        // A limit counts the rows of whoever asked, not those that a hint leaves, and a hint about states is none about rows.
        let hints = if self.limit.is_none() && !self.reduced { hints } else { &[] };
        let parts = hints.iter().filter_map(hints::condition).flat_map(split_conjunction_owned);
        let spares = |part: &Expr| !hints::keeps_all(part, &self.columns);
        let conditions = parts.filter(spares).filter_map(|part| translator.translate(&part)).collect();
        (conditions, translator.into_parameters())
    }
}

/// The scan.
#[derive(Debug, Clone)]
pub(in crate::ports) struct PostgresExec {
    query: Arc<Query>,
    /// How a large table is read.
    bulk: Option<Arc<Bulk>>,
    /// What joins above find out before the scan begins.
    hints: Vec<Arc<dyn PhysicalExpr>>,
    properties: Arc<PlanProperties>,
}

impl PostgresExec {
    /// One partition, or one for each range.
    pub(super) fn new(query: Query, bulk: Option<Bulk>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&query.schema)),
            Partitioning::UnknownPartitioning(bulk.as_ref().map_or(1, Bulk::ranges)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { query: Arc::new(query), bulk: bulk.map(Arc::new), hints: Vec::new(), properties: Arc::new(properties) }
    }

    /// How many of the filters that the scan was given the server tests.
    pub(in crate::ports) fn tested(&self) -> usize {
        self.query.filters.len()
    }

    /// The scan that keeps no more than that, if the server can be asked for it.
    pub(in crate::ports) fn reduced(&self, reduction: &Reduction) -> Option<Self> {
        reduced(&self.query, reduction).map(|query| Self::new(query, None))
    }

    /// The same scan, some columns of which the server makes coarser.
    pub(in crate::ports) fn coarsened(&self, columns: &[(usize, Coarsening)]) -> Self {
        let mut query = Query::clone(&self.query);
        for (index, to) in columns {
            if let Some(column) = query.columns.get_mut(*index) {
                column.coarse = Some(*to);
            }
        }
        query.select = format!("SELECT {} FROM {}", select_list(&query.columns), query.from);
        Self { query: Arc::new(query), ..self.clone() }
    }

    /// The scan of these columns of several tables of one server, if it can be asked to join them.
    pub(in crate::ports) fn joined(
        scans: &[(&Self, Option<&Without>)],
        joining: &Joining,
        columns: &[Origin],
        schema: SchemaRef,
    ) -> Option<Self> {
        let sides: Vec<_> = scans.iter().map(|(scan, without)| (scan.query.as_ref(), *without)).collect();
        joined(&sides, joining, columns, schema, false).map(|query| Self::new(query, None))
    }

    /// The same, of which all rows are wanted: by COPY if there are many.
    pub(in crate::ports) fn joined_whole(scans: &[&Self], joining: &Joining, columns: &[Origin], schema: SchemaRef) -> Option<Self> {
        let sides: Vec<_> = scans.iter().map(|scan| (scan.query.as_ref(), None)).collect();
        let asked = joined(&sides, joining, columns, Arc::clone(&schema), false)?;
        if asked.expected.is_some_and(|rows| rows >= COPIED_ROWS_MIN)
            && let Some(copied) = joined(&sides, joining, columns, schema, true)
        {
            return Some(Self::new(copied, Some(Bulk::new(&[], Vec::new()))));
        }
        Some(Self::new(asked, None))
    }

    /// The same scan without these rows. A copy takes no values beside it.
    pub(in crate::ports) fn leaving_out(&self, without: &Without) -> Option<Self> {
        if self.bulk.is_some() {
            return None;
        }
        let mut query = Query::clone(&self.query);
        let condition = exclusion(&query.columns, without, &mut query.parameters)?;
        query.conditions.push(condition);
        Some(Self { query: Arc::new(query), ..self.clone() })
    }

    /// The same scan, which marks what does not fit. Rows are hidden by these columns.
    pub(in crate::ports) fn marking(&self, hiding: impl Iterator<Item = usize>) -> Self {
        let mut query = Query { marking: true, ..Query::clone(&self.query) };
        for column in hiding {
            match query.columns.get(column).map(fitting) {
                Some(Fitting::All) => {}
                Some(Fitting::If(condition)) => query.fitting.push(condition),
                // Who looks for marks in each row hides it; the server would count it.
                Some(Fitting::Unsaid) | None => query.complete = false,
            }
        }
        Self { query: Arc::new(query), ..self.clone() }
    }

    /// Whether a row can make the server's part of the scan fail.
    pub(in crate::ports) fn may_fail_by_row(&self) -> bool {
        self.query.computed
    }

    /// That a value of the column does not fit.
    pub(in crate::ports) fn refusal(&self, column: usize) -> Option<Error> {
        let refusal = self.query.columns.get(column).map(|column| self.query.unfit(column));
        refusal.inspect(fault::tell)
    }

    /// Whether it does nothing but wait until it has a few rows.
    pub(in crate::ports) fn waits(&self) -> bool {
        self.bulk.is_none()
    }

    /// About how many bytes come; `None` if nobody knows.
    pub(in crate::ports) fn bytes(&self) -> Option<u64> {
        Some(self.query.expected?.saturating_mul(row_bytes(&self.query.columns)))
    }

    /// What it costs to send these rows and to take them in; `None` if nobody knows.
    pub(in crate::ports) fn sending_cost(&self) -> Option<u64> {
        Some(self.query.expected?.saturating_mul(row_cost(self.query.columns.len())))
    }

    /// What it costs the server to make rows of several tables' and states of these; `None` if nobody knows, or it is one table.
    pub(in crate::ports) fn joining_cost(&self) -> Option<u64> {
        Some(self.query.joined?.saturating_mul(JOINED_ROW_COST))
    }
}

impl DisplayAs for PostgresExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Query { at, conditions, .. } = &*self.query;
        write!(f, "PortScan: product={}, port={}, format=postgres, filters={}", at.product(), at.port(), conditions.len())
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

    /// A join that does not find its filter below does not fill it.
    fn apply_expressions(&self, visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        for hint in &self.hints {
            if visit(hint)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], asked: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(row_statistics(&self.schema(), self.query.rows, asked))
    }

    /// Hints are kept, and nothing is promised: those who gave them test each row.
    fn handle_child_pushdown_result(
        &self,
        _: FilterPushdownPhase,
        result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let offered = result.parent_filters.iter().map(|offered| &offered.filter);
        let hints: Vec<_> = offered.filter(|filter| filter.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()).cloned().collect();
        let mut propagation: FilterPushdownPropagation<Arc<dyn ExecutionPlan>> = FilterPushdownPropagation::all_unsupported(result);
        if !hints.is_empty() {
            let mut hinted = self.clone();
            hinted.hints.extend(hints);
            propagation.updated_node = Some(Arc::new(hinted));
        }
        Ok(propagation)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (query, hints) = (Arc::clone(&self.query), self.hints.clone());
        let rows = match &self.bulk {
            Some(bulk) => {
                let scan = BulkScan::start(query, hints, Arc::clone(bulk), partition, context);
                futures::stream::once(scan).map_ok(BulkScan::batches).try_flatten().boxed()
            }
            None => futures::stream::once(Scan::start(query, hints, context)).map_ok(Scan::batches).try_flatten().boxed(),
        };
        let rows = rows.inspect_err(fault::tell).map_err(DataFusionError::from).map(|batch: Result<RecordBatch>| batch);
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.query.schema), rows)))
    }
}

/// A column that vanished since the table was compared with the contract is named as the contract names it.
pub(super) fn drifted(query: &Query, error: Error) -> Error {
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
pub(super) fn check_types(query: &Query, found: &[Column]) -> Result<(), Error> {
    for (there, column) in found.iter().zip(&query.columns) {
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
