//! The columns of a plan in PostgreSQL's terms, with the table and the number of those that come from a product unchanged.
//!
//! A column has a modifier (`numeric(10,2)`) if it is a product's, or if the query's text casts it to such a type. What is computed has none,
//! though the engine's own type has one.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, TableScan};

use crate::catalog::system::client_label;
use crate::catalog::{TYPMOD_KEY, catalog_origin};
use crate::enforcement::GovernedTable;

use super::column::{Column, PgType};
use super::sql::Modifiers;

/// Plans that nest deeper have no origins; a statement's own limits keep it far below.
const DEPTH_MAX: usize = 400;

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    /// The table's OID and the column's number from 1. Of a table 0 stands for all columns, as one row; with no table, for several.
    table_oid: u32,
    number: i16,
    /// What all of them have in common.
    typmod: i32,
}

impl Source {
    /// The table that it is a whole row of.
    fn of_whole_row(self) -> Option<u32> {
        (self.number == 0 && self.table_oid != 0).then_some(self.table_oid)
    }
}

type Origin = Option<Source>;

/// The columns that a plan's result has, of whose types the text says that. `row_type` answers the OID of the type of a table's rows.
pub(super) fn of_plan(plan: &LogicalPlan, written: &Modifiers, row_type: &dyn Fn(u32) -> Option<u32>) -> Arc<[Column]> {
    let origins = origins(plan, 0);
    let fields = plan.schema().fields();
    let typmod = |at: usize, origin: &Origin| origin.map(|source| source.typmod).or_else(|| written.at(at, fields.len())).unwrap_or(-1);
    let described = |(at, (field, origin)): (usize, (&Arc<Field>, Origin))| {
        let found = column(field, origin, typmod(at, &origin));
        match origin.and_then(Source::of_whole_row).and_then(row_type) {
            Some(oid) => Column { pg_type: PgType { oid, ..PgType::RECORD }, ..found },
            None => found,
        }
    };
    let columns = fields.iter().zip(origins).enumerate().map(described).collect();
    told_apart(columns)
}

/// Columns of one name within a subquery are numbered by the engine: `x`, `x:1`.
fn told_apart(mut columns: Vec<Column>) -> Arc<[Column]> {
    if columns.iter().any(|column| column.name.contains(':')) {
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        for (at, column) in columns.iter_mut().enumerate() {
            if let Some((name, number)) = column.name.rsplit_once(':')
                && number.parse::<usize>().is_ok_and(|number| number > 0)
                && names.iter().take(at).any(|before| before == name)
            {
                column.name = name.to_owned();
            }
        }
    }
    columns.into()
}

/// The columns of an answer that no plan has.
pub(super) fn of_schema(schema: &Schema) -> Arc<[Column]> {
    let typmod = |field: &Field| if field.metadata().contains_key(TYPMOD_KEY) { PgType::of_arrow(field).typmod } else { -1 };
    schema.fields().iter().map(|field| column(field, None, typmod(field))).collect()
}

fn column(field: &Field, origin: Origin, typmod: i32) -> Column {
    let known = origin.map(|source| (source.table_oid, source.number));
    let (table_oid, number) = known.or_else(|| catalog_origin(field)).unwrap_or((0, 0));
    Column { name: cut(client_label(field.name())).to_owned(), pg_type: PgType::of_arrow(field).with_typmod(typmod), table_oid, number }
}

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 63;

/// A name as clients are shown it: as many whole letters as a name has room for.
fn cut(name: &str) -> &str {
    let end = (0..=NAME_BYTES_MAX.min(name.len())).rev().find(|end| name.is_char_boundary(*end));
    end.and_then(|end| name.get(..end)).unwrap_or(name)
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
        Expr::ScalarFunction(row) if row.func.name() == "named_struct" => of_row(row, input, below),
        // The row of a side of an outer join, which may have found none.
        Expr::Case(case) => of_expression(case.else_expr.as_deref()?, input, below).filter(|source| source.of_whole_row().is_some()),
        _ => None,
    }
}

/// A row of all columns of one table in their order.
fn of_row(row: &ScalarFunction, input: &LogicalPlan, below: &[Origin]) -> Origin {
    let values: Vec<&Expr> = row.args.iter().skip(1).step_by(2).collect();
    let table = of_expression(values.first()?, input, below)?.table_oid;
    let is = |number: i16, source: Source| source.table_oid == table && source.number == number;
    let in_order = (1..).zip(&values).all(|(number, value)| of_expression(value, input, below).is_some_and(|source| is(number, source)));
    (in_order && width(input, table)? == values.len()).then_some(Source { table_oid: table, number: 0, typmod: -1 })
}

/// How many columns a table below has.
fn width(plan: &LogicalPlan, table: u32) -> Option<usize> {
    let mut found = None;
    let _ = plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && GovernedTable::of_scan(scan).is_some_and(|governed| governed.table_oid() == table)
        {
            found = Some(scan.source.schema().fields().len());
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
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
