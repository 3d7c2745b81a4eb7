//! [`GovernedTable`]: the only table that a session can see for a data product.
//!
//! INVARIANT: without a decision it cannot be scanned, and with one it is scanned only through [`GovernedExec`]. It hands out no
//! logical plan, no definition and no statistics, so nothing can read around the scan or estimate hidden rows.
//! Only `govern` puts a decision in.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraints, DFSchema, Statistics};
use datafusion::datasource::{DefaultTableSource, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown, TableScan};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::policy::Decision;
use crate::ports::{Coarsening, Without, coarsened, leaving_out, marking, may_fail_by_row};
use crate::product::{PortName, Product};

use super::Error;
use super::barrier::GovernedExec;
use super::compiled::CompiledDecision;
use super::error::PortCause;
use super::leakproof::is_leakproof;
use super::mask::ColumnMask;
use super::placement::offered;
use super::recall::{Asked, Recalled, Study, recalled};
use super::terms::{RowTest, Shown, Terms};

/// Predicates of one statement that the source is offered; the barrier tests all of them.
const PREDICATES_PUSHED_MAX: usize = 32;

/// One output port of a data product, closed until a decision opens it.
pub struct GovernedTable {
    product: Arc<Product>,
    port: PortName,
    source: Arc<dyn TableProvider>,
    schema: SchemaRef,
    table_oid: u32,
    decision: Option<CompiledDecision>,
    /// The source is not told what joins find out.
    keys_kept: bool,
}

impl std::fmt::Debug for GovernedTable {
    /// Names the product; the source's text could hold a path.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GovernedTable")
            .field("product", &self.product.reference)
            .field("port", &self.port)
            .field("decided", &self.decision.is_some())
            .finish_non_exhaustive()
    }
}

impl GovernedTable {
    /// The table as sessions see it: it can be planned, described and observed, not scanned.
    pub fn undecided(product: Arc<Product>, port: PortName, source: Arc<dyn TableProvider>, table_oid: u32) -> Self {
        // A mask may make any column NULL, and the schema must not change between planning and deciding.
        let source_schema = source.schema();
        let fields: Vec<Field> = source_schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let schema = Arc::new(Schema::new_with_metadata(fields, source_schema.metadata().clone()));
        Self { product, port, source, schema, table_oid, decision: None, keys_kept: false }
    }

    /// The same table under a decision. Fails if it is a deny or cannot be enforced.
    pub(super) fn decided(&self, decision: Arc<Decision>) -> Result<Self, Error> {
        if decision.product != self.product.reference || decision.port != self.port {
            return Err(Error::Undecided { product: self.product.reference.clone() });
        }
        let decision = CompiledDecision::new(decision, &self.schema)?;
        self.require_told(&decision)?;
        Ok(Self {
            product: Arc::clone(&self.product),
            port: self.port.clone(),
            source: Arc::clone(&self.source),
            schema: Arc::clone(&self.schema),
            table_oid: self.table_oid,
            decision: Some(decision),
            keys_kept: false,
        })
    }

    /// The same table, whose source is not told what joins find out.
    pub(super) fn keeping_keys(self, keys_kept: bool) -> Self {
        Self { keys_kept, ..self }
    }

    /// Fails if the decision tests a column in which damage is read as NULL: a row would be shown for what it does not tell.
    fn require_told(&self, decision: &CompiledDecision) -> Result<(), Error> {
        let (Some(fields), Some(port)) = (self.product.schema.as_deref(), self.product.output_port(&self.port)) else { return Ok(()) };
        for (index, field) in fields.iter().enumerate().filter(|(_, field)| self.product.reads_as_null(&port.format, field)) {
            if let Some(obligation) = decision.tests(index) {
                return Err(Error::Untold { product: self.product.reference.clone(), field: field.name.clone(), obligation });
            }
        }
        Ok(())
    }

    /// The governed table that a plan's scan reads, if it reads one.
    pub fn of_scan(scan: &TableScan) -> Option<&Self> {
        scan.source.downcast_ref::<DefaultTableSource>()?.table_provider.downcast_ref::<Self>()
    }

    /// The product.
    pub fn product(&self) -> &Arc<Product> {
        &self.product
    }

    /// The port.
    pub fn port(&self) -> &PortName {
        &self.port
    }

    /// The table's object id in `pg_catalog`.
    pub fn table_oid(&self) -> u32 {
        self.table_oid
    }

    /// The decision, once there is one.
    pub fn decision(&self) -> Option<&Arc<Decision>> {
        self.decision.as_ref().map(CompiledDecision::decision)
    }

    #[cfg(test)]
    pub(super) fn source(&self) -> &Arc<dyn TableProvider> {
        &self.source
    }

    /// The columns to read: those that are shown or that a mask is computed from; then those that only a leakproof predicate needs; then
    /// those that only the policy does. What is shown as a constant is not read.
    fn columns(&self, decision: &CompiledDecision, shown: &[usize], leakproof: &[Expr]) -> Columns {
        let mut columns: Vec<usize> = Vec::with_capacity(shown.len());
        for index in shown.iter().flat_map(|index| decision.mask(*index).map_or(std::slice::from_ref(index), ColumnMask::reads)) {
            if !columns.contains(index) {
                columns.push(*index);
            }
        }
        let kept = columns.len();
        append(&mut columns, leakproof.iter().flat_map(Expr::column_refs).filter_map(|column| self.schema.index_of(&column.name).ok()));
        let asked = columns.len();
        append(&mut columns, decision.hiding());
        Columns { read: columns, kept, asked }
    }

    /// What is shown of each column, by its place among those that are read.
    fn shown(&self, decision: &CompiledDecision, shown: &[usize], columns: &[usize]) -> Result<Vec<Shown>, Error> {
        let place = |index: &usize| columns.iter().position(|read| read == index);
        let broken = Error::Internal { invariant: "what a shown column is made of is read" };
        let shown = shown.iter().map(|index| match decision.mask(*index) {
            None => place(index).map(Shown::AsItIs),
            Some(mask) => {
                let inputs = mask.reads().iter().map(place).collect::<Option<Vec<usize>>>()?;
                Some(Shown::Masked { inputs, mask: Arc::new(mask.clone()) })
            }
        });
        shown.collect::<Option<Vec<Shown>>>().ok_or(broken)
    }

    /// INVARIANT: `supports_filters_pushdown` promises that these, and no others, are tested by the barrier.
    fn leakproof(&self, decision: &CompiledDecision, filter: &Expr) -> bool {
        is_leakproof(filter, &|name| decision.unmasked_type(name, &self.schema))
    }

    /// The source's scan.
    async fn scan_source(
        &self,
        state: &dyn Session,
        columns: &Vec<usize>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.source.scan(state, Some(columns), filters, limit).await?;
        let options = state.config_options();
        if !options.optimizer.repartition_file_scans {
            return Ok(scan);
        }
        let split = scan.repartitioned(options.execution.target_partitions, options)?;
        Ok(split.unwrap_or(scan))
    }

    async fn governed_scan(
        &self,
        state: &dyn Session,
        decision: &CompiledDecision,
        shown: &[usize],
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // INVARIANT: each of them was promised to be tested here, so one that has become another kind of filter must not be lost.
        if !filters.iter().all(|filter| self.leakproof(decision, filter)) {
            return Err(Error::Internal { invariant: "a predicate that the barrier has taken over stays leakproof" }.into());
        }
        for column in filters.iter().flat_map(Expr::column_refs) {
            decision.require_covered(self.schema.index_of(&column.name)?, &self.schema)?;
        }
        let Columns { read: columns, kept, asked } = self.columns(decision, shown, filters);
        let Offer { scan: input, told, whole, secret } = self.offer(state, decision, &columns, filters, limit).await?;
        let statement = Asked { first: asked, filters: told };
        let (input, recall) = match recalled(state, decision, &input, &statement).map_err(|source| self.port_error(source))? {
            Recalled::Less(less, recall) => (less, Some(recall)),
            Recalled::AsItIs => (input, None),
            Recalled::AsItIsAndStudied(study) => {
                self.study(state, decision, study).await;
                (input, None)
            }
        };
        let input = coarsened(input, &coarse(decision, shown, &columns));
        let hiding = || (0..columns.len()).filter(|at| columns.get(*at).is_some_and(|index| decision.hides_by(*index).is_some()));
        let marking = if decision.hides_rows() { marking(&input, hiding) } else { None };
        let input = marking.clone().unwrap_or(input);
        self.require_delivered(&columns, &input.schema())?;

        let read_schema = DFSchema::try_from(input.schema())?;
        let physical = |expr: &Expr| state.create_physical_expr(unqualified(expr)?, &read_schema);
        let row_test = match decision.row_filter() {
            None => RowTest::Absent,
            Some(_) if recall.as_ref().is_some_and(|recall| recall.is_complete()) => RowTest::Remembered,
            Some(filter) => RowTest::Condition(physical(filter)?),
        };
        let predicates = filters.iter().map(physical).collect::<Result<Vec<Arc<dyn PhysicalExpr>>>>()?;
        let exclusions = decision.exclusion().into_iter().map(|(index, probe)| {
            let position = columns.iter().position(|column| column == index);
            Ok((position.ok_or(Error::Internal { invariant: "the subject column is read" })?, probe.clone()))
        });
        let exclusions = exclusions.collect::<Result<Vec<_>, Error>>()?;
        let terms = Terms {
            product: self.product.reference.clone(),
            decision: decision.decision().id,
            beside: Vec::new(),
            row_test,
            exclusions,
            recall,
            kept,
            shown: self.shown(decision, shown, &columns)?,
            marking,
            hints: predicates.get(..told.len()).unwrap_or_default().to_vec(),
            secret: secret || self.keys_kept,
            row_limit: limit,
            predicates,
            offered: whole,
        };
        Ok(Arc::new(GovernedExec::new(input, Arc::new(self.schema.project(shown)?), terms)))
    }

    /// The source's scan. It is told what the policy and the statement ask of rows, as far as that is safe.
    ///
    /// INVARIANT: where to read a hidden row can fail at the source, the statement does not choose which are read.
    async fn offer<'a>(
        &self,
        state: &dyn Session,
        decision: &CompiledDecision,
        columns: &Vec<usize>,
        filters: &'a [Expr],
        limit: Option<usize>,
    ) -> Result<Offer<'a>> {
        let of_policy = decision.row_filter().map(|filter| offered(filter, &self.schema)).unwrap_or_default();
        let of_policy: Vec<Expr> = of_policy.into_iter().cloned().collect();
        let told = affordable(filters);
        let pushed: Vec<Expr> = of_policy.iter().chain(told).cloned().collect();
        // INVARIANT: a limit reaches the source only if each of its rows is shown.
        let source_limit = if decision.hides_rows() || !filters.is_empty() { None } else { limit };
        let scan = self.scan_source(state, columns, &pushed, source_limit).await.map_err(|source| self.port_error(source))?;
        if decision.hides_rows() && may_fail_by_row(&scan) {
            let scan = self.scan_source(state, columns, &of_policy, None).await.map_err(|source| self.port_error(source))?;
            let erased = decision.exclusion().and_then(|(index, probe)| {
                let column = columns.iter().position(|column| column == index)?;
                Some(Without { column, subjects: probe.few()? })
            });
            let scan = erased.and_then(|erased| leaving_out(&scan, &erased)).unwrap_or(scan);
            return Ok(Offer { scan, told: &[], whole: None, secret: true });
        }
        let parts = decision.row_filter().map_or(0, |filter| split_conjunction(filter).len());
        let all = of_policy.len() == parts && told.len() == filters.len();
        Ok(Offer { scan, told, whole: all.then_some(pushed.len()), secret: false })
    }

    /// Has every row tested by the policy, and remembered, while the statement goes on. That it cannot be done is of no consequence.
    async fn study(&self, state: &dyn Session, decision: &CompiledDecision, study: Study) {
        if let Ok(barrier) = Box::pin(self.governed_scan(state, decision, &[], &[], None)).await {
            study.begin(barrier, state.task_ctx());
        }
    }

    fn require_delivered(&self, columns: &[usize], delivered: &Schema) -> Result<(), Error> {
        let expected = self.schema.project(columns).map_err(|source| Error::Plan(source.into()))?;
        let same = expected.fields().len() == delivered.fields().len()
            && expected.fields().iter().zip(delivered.fields()).all(|(a, b)| a.name() == b.name() && a.data_type() == b.data_type());
        if same { Ok(()) } else { Err(Error::Internal { invariant: "a port's scan delivers the columns that were asked for" }) }
    }

    fn port_error(&self, source: datafusion::error::DataFusionError) -> datafusion::error::DataFusionError {
        Error::Port { product: self.product.reference.clone(), cause: PortCause::new(source) }.into()
    }
}

/// What a source was asked for.
struct Offer<'a> {
    scan: Arc<dyn ExecutionPlan>,
    /// Those of the statement's filters that it was told.
    told: &'a [Expr],
    /// How many filters it was told of, if these are all of the policy's and of the statement's.
    whole: Option<usize>,
    /// Whether it must learn nothing else of the statement.
    secret: bool,
}

/// The columns of a scan.
struct Columns {
    /// Their indices.
    read: Vec<usize>,
    /// So many of the first are shown, or masks are computed from them.
    kept: usize,
    /// So many of the first are what the statement asks for; the others only the policy reads.
    asked: usize,
}

/// Of the columns that are read, those that nothing needs finer than their masks leave them, each with what that is.
fn coarse(decision: &CompiledDecision, shown: &[usize], read: &[usize]) -> Vec<(usize, Coarsening)> {
    let used = |index: usize| {
        let others = shown.iter().filter(|other| **other != index).filter_map(|other| decision.mask(*other));
        others.flat_map(ColumnMask::reads).any(|input| *input == index)
    };
    let columns = read.iter().enumerate().filter_map(|(position, index)| {
        let to = decision.mask(*index)?.coarsening()?;
        (shown.contains(index) && decision.hides_by(*index).is_none() && !used(*index)).then_some((position, to))
    });
    columns.collect()
}

/// Adds columns that are not there yet, in the order of the table.
fn append(columns: &mut Vec<usize>, more: impl IntoIterator<Item = usize>) {
    let mut more: Vec<usize> = more.into_iter().filter(|index| !columns.contains(index)).collect();
    more.sort_unstable();
    more.dedup();
    columns.extend(more);
}

/// As many predicates as are worth the source's time: a reader works out for each what it means for the statistics of its files.
fn affordable<T>(predicates: &[T]) -> &[T] {
    predicates.get(..PREDICATES_PUSHED_MAX).unwrap_or(predicates)
}

fn unqualified(expr: &Expr) -> Result<Expr> {
    use datafusion::common::Column;
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let stripped = expr.clone().transform(|part| match part {
        Expr::Column(column) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(stripped.data)
}

#[async_trait]
impl TableProvider for GovernedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// None: a key of the raw values need not be one of the masked values.
    fn constraints(&self) -> Option<&Constraints> {
        None
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn get_table_definition(&self) -> Option<&str> {
        None
    }

    fn get_logical_plan(&'_ self) -> Option<Cow<'_, LogicalPlan>> {
        None
    }

    fn statistics(&self) -> Option<Statistics> {
        None
    }

    /// Leakproof predicates are tested within the barrier, behind the row filter; all others stay above.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match &self.decision {
            Some(decision) if self.leakproof(decision, filter) => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(decision) = &self.decision else {
            return Err(Error::Undecided { product: self.product.reference.clone() }.into());
        };
        let shown = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        for index in &shown {
            decision.require_covered(*index, &self.schema)?;
        }
        self.governed_scan(state, decision, &shown, filters, limit).await
    }
}

#[cfg(test)]
mod tests {
    use datafusion::datasource::empty::EmptyTable;

    use super::super::error::Obligation;
    use super::super::testing::field_name;
    use super::*;
    use crate::error::ClientError;
    use crate::policy::{CompareOp, DecisionId, Literal, Obligations, Outcome, Predicate, Question};
    use crate::ports::tests::{field, product};
    use crate::product::{CsvDialect, DataType, OnError, PortFormat};

    /// What a policy that tests `region` gives, and what one does that tests `team`.
    fn govern(on_error: OnError, required: bool, tested: &str) -> Result<GovernedTable, Error> {
        let dialect = CsvDialect { on_error, ..CsvDialect::default() };
        let mut fields = ["id", "region", "team"].map(|name| field(name, DataType::String)).to_vec();
        fields[1].required = required;
        let product = Arc::new(product(PortFormat::Csv(dialect), "a.csv", Some(fields.clone())));
        let port = product.output_ports[0].name.clone();
        let row_filter = Predicate::Compare { column: field_name(tested), op: CompareOp::Ne, value: Literal::String("eu".to_owned()) };
        let decision = Decision {
            id: DecisionId(uuid::Uuid::new_v4()),
            product: product.reference.clone(),
            port: port.clone(),
            fields: fields.iter().map(|field| field.name.clone()).collect(),
            outcome: Outcome::Allow(Obligations { row_filter, ..Obligations::default() }),
            bundle_revision: "test".into(),
            rules: [].into(),
            input: Question::default(),
            result: Arc::default(),
        };
        let source = Arc::new(EmptyTable::new(crate::ports::arrow_schema(&fields)));
        GovernedTable::undecided(product, port, source, 1).decided(Arc::new(decision))
    }

    #[test]
    fn what_a_policy_tests_is_not_read_as_null() {
        assert!(govern(OnError::Fail, false, "region").is_ok());
        assert!(govern(OnError::Null, true, "region").is_ok());
        let error = govern(OnError::Null, false, "region").unwrap_err();
        assert!(
            matches!(&error, Error::Untold { field, obligation: Obligation::RowFilter, .. } if field.as_str() == "region"),
            "{error:?}"
        );
        assert_eq!(error.sqlstate().as_str(), "42501");
        assert!(matches!(govern(OnError::Null, true, "team"), Err(Error::Untold { .. })));
    }
}
