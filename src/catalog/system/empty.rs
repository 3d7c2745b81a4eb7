//! Relations that are empty in every session: what is computed from their rows is never computed.
//!
//! A SELECT whose FROM can have no row has no row, whatever its expressions say; a scalar subquery without a row is NULL.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArguments, GroupByExpr, JoinOperator, Query, Select, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins,
    Value as SqlValue, ValueWithSpan, Visit, VisitMut, Visitor, VisitorMut,
};

use crate::catalog::content::always_empty;
use crate::catalog::{is_hypothetical, statics};

use super::{boolean, call, labels, last_part, null, scope};

/// Folds what hangs on empty relations.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Fold);
}

struct Fold;

impl VisitorMut for Fold {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(folded) = folded(expr) {
            *expr = folded;
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if rowless(select) && !holds_parameter(select) {
            for item in &mut select.projection {
                hollow(item);
            }
            select.selection = Some(boolean(false));
        }
        ControlFlow::Continue(())
    }
}

fn folded(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Subquery(query) if query_rowless(query) || aggregates_nothing(query) => Some(null()),
        Expr::Exists { subquery, negated } if query_rowless(subquery) => Some(boolean(*negated)),
        Expr::Function(function) if last_part(&function.name).as_deref() == Some("array") => match &function.args {
            FunctionArguments::Subquery(query) if query_rowless(query) => Some(call("meshgate_no_texts", Vec::new())),
            _ => None,
        },
        _ => None,
    }
}

fn query_rowless(query: &Query) -> bool {
    matches!(query.body.as_ref(), SetExpr::Select(select) if rowless(select)) && query.with.is_none() && !holds_parameter(query)
}

/// Whether a query is one aggregate over no row, and so NULL; a count of nothing is 0 and is left to the planner.
fn aggregates_nothing(query: &Query) -> bool {
    let SetExpr::Select(select) = query.body.as_ref() else { return false };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty()) && select.having.is_none();
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] = select.projection.as_slice() else { return false };
    ungrouped && query.with.is_none() && select.from.iter().any(empty_from) && is_null_of_nothing(expr) && !holds_parameter(query)
}

/// An aggregate that is NULL over no row, as all are that count nothing; perhaps within a cast.
fn is_null_of_nothing(expr: &Expr) -> bool {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_null_of_nothing(expr),
        Expr::Function(function) => last_part(&function.name).is_some_and(|name| is_aggregate(&name) && !name.ends_with("count")),
        _ => false,
    }
}

/// Whether a SELECT can have no row.
fn rowless(select: &Select) -> bool {
    select.from.iter().any(empty_from) && !aggregates(select)
}

fn empty_from(table: &TableWithJoins) -> bool {
    let empty = |factor: &TableFactor| scope::relation(factor).is_some_and(always_empty) || unnests_nothing(factor);
    let mut rowless = empty(&table.relation);
    for join in &table.joins {
        rowless = match &join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => rowless || empty(&join.relation),
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => rowless,
            _ => false,
        };
    }
    rowless
}

/// UNNEST of a column that is NULL in every row: options and access lists, which nothing here has.
fn unnests_nothing(factor: &TableFactor) -> bool {
    let TableFactor::UNNEST { array_exprs, .. } = factor else { return false };
    let [Expr::CompoundIdentifier(parts)] = array_exprs.as_slice() else { return false };
    let null = ["reloptions", "attoptions", "spcoptions", "rolconfig", "useconfig", "relacl", "attacl", "nspacl", "datacl", "spcacl"];
    parts.last().is_some_and(|part| null.contains(&part.value.as_str()))
}

/// An aggregate without groups makes one row from none.
fn aggregates(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    if grouped || select.having.is_some() {
        return true;
    }
    let mut finder = Aggregates { found: false, depth: 0 };
    for item in &select.projection {
        let _ = item.visit(&mut finder);
    }
    finder.found
}

/// Finds aggregates of the SELECT itself; those of its subqueries are theirs.
struct Aggregates {
    found: bool,
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            self.found |= self.depth == 0 && last_part(&function.name).is_some_and(|name| is_aggregate(&name));
        }
        ControlFlow::Continue(())
    }
}

/// Whether it makes one value of many rows: an aggregate, or what stands here for the first row of an order.
pub(super) fn is_aggregate(name: &str) -> bool {
    name == "first_value" || statics::is_aggregate(name) && !is_hypothetical(name)
}

/// A parameter must keep its place, or the client's count of parameters no longer fits.
fn holds_parameter(node: &impl Visit) -> bool {
    let mut finder = Parameters(false);
    let _ = node.visit(&mut finder);
    finder.0
}

struct Parameters(bool);

impl Visitor for Parameters {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0 |= matches!(expr, Expr::Value(ValueWithSpan { value: SqlValue::Placeholder(_), .. }));
        ControlFlow::Continue(())
    }
}

/// An expression with subqueries or arrays in it that no row computes becomes NULL, under the same name.
fn hollow(item: &mut SelectItem) {
    let mut finder = Hard(false);
    let _ = Visit::visit(&*item, &mut finder);
    if !finder.0 {
        return;
    }
    match item {
        SelectItem::UnnamedExpr(expr) => {
            let alias = labels::ident(&labels::label(expr));
            *item = SelectItem::ExprWithAlias { expr: null(), alias };
        }
        SelectItem::ExprWithAlias { expr, .. } => *expr = null(),
        _ => {}
    }
}

/// What the planner may not take.
struct Hard(bool);

impl Visitor for Hard {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0 |= match expr {
            Expr::Subquery(_)
            | Expr::Exists { .. }
            | Expr::InSubquery { .. }
            | Expr::AnyOp { .. }
            | Expr::AllOp { .. }
            | Expr::CompoundFieldAccess { .. } => true,
            Expr::Value(ValueWithSpan { value: SqlValue::SingleQuotedString(text), .. }) => text.starts_with('{'),
            Expr::Function(function) => matches!(function.args, FunctionArguments::Subquery(_)),
            _ => false,
        };
        ControlFlow::Continue(())
    }
}
