//! Plans that can be run again: of a constant row, and of queries over one table of a data product.
//!
//! INVARIANT: a repeated run asks for its own decision and opens its own scan under it, with its own values of parameters, from the port
//! as it is now; only what stands above the barrier is taken over, and that was planned from the same tree. Where it cannot be seen
//! that the rest does not depend on the moment, on the session or on a value, nothing is kept.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, TableScan, Volatility};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties};

use crate::enforcement::{self, GovernedExec, GovernedTable, ProductUse};
use crate::lineage::Lineage;
use crate::policy::Decision;
use crate::product::Product;

use super::attempt::Accessed;
use super::column::Column;
use super::in_order::InOrderExec;
use super::offset::OffsetExec;
use super::sql;

/// A query whose plan is kept.
#[derive(Debug)]
pub(super) struct Known {
    /// What it reads.
    pub(super) uses: Arc<[ProductUse]>,
    /// The fields of that, as records name them.
    pub(super) accessed: Accessed,
    /// What it answers.
    pub(super) columns: Arc<[Column]>,
    /// Where its columns come from; masks are marked for each run.
    pub(super) lineage: Arc<Lineage>,
    /// The products and ports, for the log.
    pub(super) located: String,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    Constant(RecordBatch),
    Table(Box<Table>),
}

/// A plan over one governed scan.
#[derive(Debug)]
struct Table {
    scan: TableScan,
    /// The whole plan; the scan in it is replaced at each run.
    plan: Arc<dyn ExecutionPlan>,
    partitions: usize,
    parameters: Vec<Slot>,
}

/// A constant of the scan's filters that is the value of a parameter.
#[derive(Debug, Clone, Copy)]
struct Slot {
    filter: usize,
    parameter: usize,
}

/// The steps of a plan that was made just now.
pub(super) struct Made<'a> {
    /// As written: with parameters, without coercions.
    pub(super) written: &'a LogicalPlan,
    /// With values and coercions; what was decided on.
    pub(super) analyzed: &'a LogicalPlan,
    /// Governed and optimized.
    pub(super) optimized: &'a LogicalPlan,
    /// What runs.
    pub(super) physical: &'a Arc<dyn ExecutionPlan>,
}

/// What a plan reads and answers.
pub(super) struct Read<'a> {
    pub(super) uses: &'a Arc<[ProductUse]>,
    pub(super) accessed: &'a Accessed,
    pub(super) columns: &'a Arc<[Column]>,
    pub(super) lineage: &'a Arc<Lineage>,
}

/// What a repeated query runs.
pub(super) enum Run {
    /// The one row.
    Row(RecordBatch),
    /// A plan.
    Plan(Arc<dyn ExecutionPlan>),
}

impl Known {
    /// The plan to keep, if it can be run again. Nothing in it was read as a moment that passes.
    pub(super) fn new(made: &Made<'_>, values: &[ScalarValue], read: &Read<'_>, located: String) -> Option<Self> {
        let Read { uses, accessed, columns, lineage } = read;
        if !is_timeless(made.analyzed) {
            return None;
        }
        let shape = match scans(made.optimized).as_slice() {
            [] if values.is_empty() && uses.is_empty() => Shape::Constant(constant(made.physical)?),
            [scan] => Shape::Table(Box::new(Table::new(made, scan, values)?)),
            _ => return None,
        };
        let accessed = Accessed::clone(accessed);
        Some(Self { uses: Arc::clone(uses), accessed, columns: Arc::clone(columns), lineage: Arc::clone(lineage), located, shape })
    }

    /// The row of a query that computes nothing.
    pub(super) fn row(&self) -> Option<RecordBatch> {
        match &self.shape {
            Shape::Constant(row) => Some(row.clone()),
            Shape::Table(_) => None,
        }
    }

    /// What to run now, under decisions of now. `None`: it must be planned anew.
    pub(super) async fn run(&self, values: &[ScalarValue], decisions: &[Arc<Decision>], state: &dyn Session) -> Result<Option<Run>> {
        match (&self.shape, decisions) {
            (Shape::Constant(row), []) => Ok(Some(Run::Row(row.clone()))),
            (Shape::Table(table), [decision]) => Ok(table.open(values, decision, state).await?.map(Run::Plan)),
            _ => Ok(None),
        }
    }
}

impl Table {
    fn new(made: &Made<'_>, scan: &TableScan, values: &[ScalarValue]) -> Option<Self> {
        if scans(made.analyzed).len() != 1 {
            return None;
        }
        let leaf = leaf(made.physical)?;
        let parameters = if values.is_empty() && placeholders(made.written) == 0 { Vec::new() } else { slots(made, scan, values)? };
        Some(Self {
            scan: scan.clone(),
            partitions: leaf.output_partitioning().partition_count(),
            plan: Arc::clone(made.physical),
            parameters,
        })
    }

    async fn open(&self, values: &[ScalarValue], decision: &Arc<Decision>, state: &dyn Session) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let mut filters = self.scan.filters.clone();
        for slot in &self.parameters {
            let (Some(filter), Some(value)) = (filters.get_mut(slot.filter), values.get(slot.parameter)) else { return Ok(None) };
            let Some(constant) = constant_of(filter) else { return Ok(None) };
            match in_place_of(constant, value) {
                Some(value) => *constant = value,
                None => return Ok(None),
            }
        }
        let Some(fresh) = enforcement::rescan(&self.scan, &filters, decision, state).await? else { return Ok(None) };
        let Some(leaf) = leaf(&self.plan).and_then(|known| enforcement::absorb_again(known, fresh)) else { return Ok(None) };
        if leaf.output_partitioning().partition_count() != self.partitions {
            return Ok(None);
        }
        over(&self.plan, &leaf)
    }
}

/// The plan over another scan, with operators that have not run yet.
fn over(plan: &Arc<dyn ExecutionPlan>, leaf: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if plan.is::<GovernedExec>() {
        return Ok((plan.schema() == leaf.schema()).then(|| Arc::clone(leaf)));
    }
    let [below] = plan.children()[..] else { return Ok(None) };
    let Some(below) = over(below, leaf)? else { return Ok(None) };
    let fresh = Arc::clone(plan).reset_state()?;
    fresh.replace_children(vec![below], ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute)).map(Some)
}

/// The one barrier of a plan of which every operator can run again.
fn leaf(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    if plan.is::<GovernedExec>() {
        return Some(plan);
    }
    let repeatable = plan.is::<ProjectionExec>()
        || plan.is::<FilterExec>()
        || plan.is::<AggregateExec>()
        || plan.is::<SortExec>()
        || plan.is::<GlobalLimitExec>()
        || plan.is::<LocalLimitExec>()
        || plan.is::<OffsetExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<InOrderExec>();
    match plan.children()[..] {
        [below] if repeatable => leaf(below),
        _ => None,
    }
}

/// The row of a plan that computes nothing.
fn constant(plan: &Arc<dyn ExecutionPlan>) -> Option<RecordBatch> {
    let projection = plan.downcast_ref::<ProjectionExec>().filter(|projection| projection.input().is::<PlaceholderRowExec>())?;
    let values = projection.expr().iter().map(|shown| shown.expr.downcast_ref::<Literal>()?.value().to_array().ok());
    RecordBatch::try_new(projection.schema(), values.collect::<Option<Vec<_>>>()?).ok()
}

/// Whether a plan is the same for each run in its world: products with columns of the contract, and functions of nothing but their
/// arguments.
fn is_timeless(plan: &LogicalPlan) -> bool {
    let mut timeless = true;
    let walked = plan.apply_with_subqueries(|node| {
        timeless &= match node {
            LogicalPlan::TableScan(scan) => GovernedTable::of_scan(scan).is_some_and(|table| table.product().schema.is_some()),
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::EmptyRelation(_) => true,
            _ => false,
        };
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                timeless &= match part {
                    Expr::ScalarFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    Expr::AggregateFunction(call) => call.func.signature().volatility == Volatility::Immutable,
                    Expr::Alias(_)
                    | Expr::Column(_)
                    | Expr::Literal(..)
                    | Expr::BinaryExpr(_)
                    | Expr::Like(_)
                    | Expr::SimilarTo(_)
                    | Expr::Not(_)
                    | Expr::IsNotNull(_)
                    | Expr::IsNull(_)
                    | Expr::IsTrue(_)
                    | Expr::IsFalse(_)
                    | Expr::IsUnknown(_)
                    | Expr::IsNotTrue(_)
                    | Expr::IsNotFalse(_)
                    | Expr::IsNotUnknown(_)
                    | Expr::Negative(_)
                    | Expr::Between(_)
                    | Expr::Case(_)
                    | Expr::Cast(_)
                    | Expr::TryCast(_)
                    | Expr::InList(_) => true,
                    _ => false,
                };
                Ok(if timeless { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
            })
        })
    });
    walked.is_ok() && timeless
}

/// The products that a query reads, if what it answers is the same at each time in its world.
pub(super) fn describable(plan: &LogicalPlan) -> Option<Vec<Arc<Product>>> {
    let product = |scan: &TableScan| GovernedTable::of_scan(scan).map(|table| Arc::clone(table.product()));
    scans(plan).iter().map(|scan| product(scan).filter(|product| product.schema.is_some())).collect()
}

fn scans(plan: &LogicalPlan) -> Vec<TableScan> {
    let mut scans = Vec::new();
    let _never_fails = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            scans.push(scan.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    scans
}

/// How often parameters stand in a plan.
fn placeholders(plan: &LogicalPlan) -> usize {
    let mut count = 0;
    let _never_fails = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                count += usize::from(matches!(part, Expr::Placeholder(_)));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    count
}

/// Where the values of parameters stand in the filters of the scan.
///
/// `None` unless each parameter stands once, compared with a column, and the optimizer has moved the query's conditions and changed
/// none: then the plan holds for other values, too.
fn slots(made: &Made<'_>, scan: &TableScan, values: &[ScalarValue]) -> Option<Vec<Slot>> {
    let (written, analyzed, optimized) = (conditions(made.written)?, conditions(made.analyzed)?, conditions(made.optimized)?);
    if written.len() != analyzed.len() || !same_conditions(&analyzed, &optimized) {
        return None;
    }
    let filters = scan.filters.iter().map(unqualified).collect::<Option<Vec<_>>>()?;
    let mut slots = Vec::new();
    for (mut written, mut analyzed) in written.into_iter().zip(analyzed) {
        let Some(Expr::Placeholder(parameter)) = constant_of(&mut written) else { continue };
        let parameter = sql::number_of(&parameter.id)?.checked_sub(1)?;
        let mut places = filters.iter().enumerate().filter(|(_, filter)| **filter == analyzed);
        let (filter, _) = places.next()?;
        let alone = places.next().is_none();
        let constant = constant_of(&mut analyzed)?;
        if !alone || in_place_of(constant, values.get(parameter)?)? != *constant {
            return None;
        }
        slots.push(Slot { filter, parameter });
    }
    (slots.len() == placeholders(made.written)).then_some(slots)
}

/// The conditions of all filters of a plan and its scan, without qualifiers.
fn conditions(plan: &LogicalPlan) -> Option<Vec<Expr>> {
    let mut all = Some(Vec::new());
    let _never_fails = plan.apply_with_subqueries(|node| {
        let found: Vec<&Expr> = match node {
            LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate),
            LogicalPlan::TableScan(scan) => scan.filters.iter().flat_map(split_conjunction).collect(),
            _ => Vec::new(),
        };
        for condition in found {
            match (&mut all, unqualified(condition)) {
                (Some(all), Some(condition)) => all.push(condition),
                _ => all = None,
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    all
}

fn same_conditions(one: &[Expr], other: &[Expr]) -> bool {
    one.len() == other.len() && {
        let mut left: Vec<&Expr> = other.iter().collect();
        one.iter().all(|condition| left.iter().position(|found| *found == condition).map(|at| left.swap_remove(at)).is_some())
    }
}

/// With bare names of columns, and constants where the optimizer makes them.
fn unqualified(expr: &Expr) -> Option<Expr> {
    let bare = expr.clone().transform(|part| {
        Ok(match part {
            Expr::Column(column) => Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name))),
            // The optimizer makes a constant of it.
            Expr::Cast(cast) => match cast.expr.as_ref() {
                Expr::Literal(value, metadata) => match widened(value, cast.field.data_type()) {
                    Some(value) => Transformed::yes(Expr::Literal(value, metadata.clone())),
                    None => Transformed::no(Expr::Cast(cast)),
                },
                _ => Transformed::no(Expr::Cast(cast)),
            },
            other => Transformed::no(other),
        })
    });
    bare.ok().map(|bare| bare.data)
}

/// A whole number as one of a wider type.
fn widened(value: &ScalarValue, to: &DataType) -> Option<ScalarValue> {
    let wider =
        matches!((value.data_type(), to), (DataType::Int16, DataType::Int32 | DataType::Int64) | (DataType::Int32, DataType::Int64));
    wider.then(|| value.cast_to(to).ok())?
}

/// What a column is compared with.
fn constant_of(expr: &mut Expr) -> Option<&mut Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let compares = matches!(op, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    match (left.as_mut(), right.as_mut()) {
        (Expr::Column(_), constant @ (Expr::Literal(..) | Expr::Placeholder(_))) if compares => Some(constant),
        (constant @ (Expr::Literal(..) | Expr::Placeholder(_)), Expr::Column(_)) if compares => Some(constant),
        _ => None,
    }
}

/// A value in the place of a constant: of the same type, a whole number of a narrower one, or a text of another layout. NULL compares otherwise.
fn in_place_of(constant: &Expr, value: &ScalarValue) -> Option<Expr> {
    let Expr::Literal(known, metadata) = constant else { return None };
    if value.is_null() || known.is_null() {
        return None;
    }
    if known.data_type() == value.data_type() {
        return Some(Expr::Literal(value.clone(), metadata.clone()));
    }
    if let Some(value) = widened(value, &known.data_type()) {
        return Some(Expr::Literal(value, metadata.clone()));
    }
    let (Some(_), Some(Some(text))) = (known.try_as_str(), value.try_as_str()) else { return None };
    let text = Some(text.to_owned());
    let value = match known {
        ScalarValue::Utf8View(_) => ScalarValue::Utf8View(text),
        ScalarValue::Utf8(_) => ScalarValue::Utf8(text),
        ScalarValue::LargeUtf8(_) => ScalarValue::LargeUtf8(text),
        _ => return None,
    };
    Some(Expr::Literal(value, metadata.clone()))
}
