//! The columns of a plan in PostgreSQL's terms, with the table and the number of those that come from a product unchanged.
//!
//! A column has a modifier (`numeric(10,2)`) if it is a product's, or if the query's text casts it to such a type. What is computed has none,
//! though the engine's own type has one.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::JoinType;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, TableScan};

use crate::catalog::TYPMOD_KEY;
use crate::catalog::system::client_label;
use crate::enforcement::GovernedTable;

use super::column::{Column, PgType};
use super::sql::Modifiers;

/// Plans that nest deeper have no origins; a statement's own limits keep it far below.
const DEPTH_MAX: usize = 400;

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    /// The table's OID and the column's number from 1; 0 of several.
    table_oid: u32,
    number: i16,
    /// What all of them have in common.
    typmod: i32,
}

type Origin = Option<Source>;

/// The columns that a plan's result has, of whose types the text says that.
pub(super) fn of_plan(plan: &LogicalPlan, written: &Modifiers) -> Arc<[Column]> {
    let origins = origins(plan, 0);
    let fields = plan.schema().fields();
    let typmod = |at: usize, origin: &Origin| origin.map(|source| source.typmod).or_else(|| written.at(at, fields.len())).unwrap_or(-1);
    fields.iter().zip(origins).enumerate().map(|(at, (field, origin))| column(field, origin, typmod(at, &origin))).collect()
}

/// The columns of an answer that no plan has.
pub(super) fn of_schema(schema: &Schema) -> Arc<[Column]> {
    let typmod = |field: &Field| if field.metadata().contains_key(TYPMOD_KEY) { PgType::of_arrow(field).typmod } else { -1 };
    schema.fields().iter().map(|field| column(field, None, typmod(field))).collect()
}

fn column(field: &Field, origin: Origin, typmod: i32) -> Column {
    let (table_oid, number) = origin.map_or((0, 0), |source| (source.table_oid, source.number));
    Column { name: client_label(field.name()).to_owned(), pg_type: PgType::of_arrow(field).with_typmod(typmod), table_oid, number }
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
        LogicalPlan::Union(node) => node.inputs.iter().map(|input| below(input)).reduce(of_both).unwrap_or_default(),
        _ => Vec::new(),
    };
    origins.resize(plan.schema().fields().len(), None);
    origins
}

fn of_scan(scan: &TableScan) -> Vec<Origin> {
    let Some(table) = GovernedTable::of_scan(scan) else { return Vec::new() };
    let schema = scan.source.schema();
    let number = |name: &str| i16::try_from(schema.index_of(name).ok()? + 1).ok();
    let source = |field: &Field| {
        let typmod = PgType::of_arrow(field).typmod;
        Some(Source { table_oid: table.table_oid(), number: number(field.name())?, typmod })
    };
    scan.projected_schema.fields().iter().map(|field| source(field)).collect()
}

/// Of values that come from one or the other only the modifier is known, if it is that of both.
fn of_both(left: Vec<Origin>, right: Vec<Origin>) -> Vec<Origin> {
    let both = |(left, right): (Origin, Origin)| {
        let typmod = left.zip(right).filter(|(left, right)| left.typmod == right.typmod)?.0.typmod;
        Some(Source { table_oid: 0, number: 0, typmod })
    };
    left.into_iter().zip(right).map(both).collect()
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
