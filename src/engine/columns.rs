//! The columns of a plan in PostgreSQL's terms, with the table and the number of those that come from a product unchanged.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::JoinType;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, TableScan};

use crate::catalog::system::client_label;
use crate::enforcement::GovernedTable;

use super::column::{Column, PgType};

/// Plans that nest deeper have no origins; a statement's own limits keep it far below.
const DEPTH_MAX: usize = 400;

/// Where a column comes from: the table's OID and the column's number from 1.
type Origin = Option<(u32, i16)>;

/// The columns that a plan's result has.
pub(super) fn of_plan(plan: &LogicalPlan) -> Arc<[Column]> {
    let origins = origins(plan, 0);
    plan.schema().fields().iter().zip(origins).map(|(field, origin)| column(field, origin)).collect()
}

/// The columns of an answer that no plan has.
pub(super) fn of_schema(schema: &Schema) -> Arc<[Column]> {
    schema.fields().iter().map(|field| column(field, None)).collect()
}

fn column(field: &Field, origin: Origin) -> Column {
    let (table_oid, number) = origin.unwrap_or((0, 0));
    Column { name: client_label(field.name()).to_owned(), pg_type: PgType::of_arrow(field), table_oid, number }
}

/// The PostgreSQL type of an engine's type.
pub(super) fn of_type(data_type: &DataType) -> PgType {
    PgType::of_arrow_type(data_type)
}

/// The origin of each column of a plan; as many as its schema has.
fn origins(plan: &LogicalPlan, depth: usize) -> Vec<Origin> {
    let below = |input: &LogicalPlan| origins(input, depth + 1);
    let mut origins = match plan {
        _ if depth >= DEPTH_MAX => Vec::new(),
        LogicalPlan::TableScan(scan) => of_scan(scan),
        LogicalPlan::Projection(node) => of_expressions(&node.expr, &node.input, &below(&node.input)),
        LogicalPlan::Filter(node) => below(&node.input),
        LogicalPlan::Sort(node) => below(&node.input),
        LogicalPlan::Limit(node) => below(&node.input),
        LogicalPlan::Repartition(node) => below(&node.input),
        LogicalPlan::SubqueryAlias(node) => below(&node.input),
        LogicalPlan::Distinct(Distinct::All(input)) => below(input),
        LogicalPlan::Distinct(Distinct::On(node)) => of_expressions(&node.select_expr, &node.input, &below(&node.input)),
        LogicalPlan::Window(node) => below(&node.input),
        LogicalPlan::Aggregate(node) => of_groups(node, &below(&node.input)),
        LogicalPlan::Join(node) => of_join(node, below(&node.left), below(&node.right)),
        _ => Vec::new(),
    };
    origins.resize(plan.schema().fields().len(), None);
    origins
}

fn of_scan(scan: &TableScan) -> Vec<Origin> {
    let Some(table) = GovernedTable::of_scan(scan) else { return Vec::new() };
    let schema = scan.source.schema();
    let number = |name: &str| i16::try_from(schema.index_of(name).ok()? + 1).ok();
    scan.projected_schema.fields().iter().map(|field| Some((table.table_oid(), number(field.name())?))).collect()
}

fn of_expressions(exprs: &[Expr], input: &LogicalPlan, below: &[Origin]) -> Vec<Origin> {
    exprs.iter().map(|expr| of_expression(expr, input, below)).collect()
}

fn of_expression(expr: &Expr, input: &LogicalPlan, below: &[Origin]) -> Origin {
    match expr {
        Expr::Alias(alias) => of_expression(&alias.expr, input, below),
        Expr::Column(column) => below.get(input.schema().index_of_column(column).ok()?).copied().flatten(),
        _ => None,
    }
}

/// What is grouped by is unchanged; with grouping sets it may be NULL instead.
fn of_groups(node: &Aggregate, below: &[Origin]) -> Vec<Origin> {
    if node.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return Vec::new();
    }
    of_expressions(&node.group_expr, &node.input, below)
}

fn of_join(node: &Join, left: Vec<Origin>, right: Vec<Origin>) -> Vec<Origin> {
    match node.join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => left.into_iter().chain(right).collect(),
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
    }
}
