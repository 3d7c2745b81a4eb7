//! Correlated subqueries in the shape that the planner can turn into joins.
//!
//! A scalar subquery over catalogs has at most one row, so an aggregate that takes the first value gives the same answer.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    GroupByExpr, Ident, LimitClause, ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, Statement, Value as SqlValue, Visit,
    VisitMut, Visitor, VisitorMut,
};

use crate::catalog::relations::Relation;

use super::scope::Scope;
use super::{call, empty, last_part, null};

/// Rewrites every subquery that stands for a value.
pub(super) fn rewrite(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Subqueries { scopes: Vec::new(), catalogs: true });
}

/// Rewrites EXISTS and ARRAY(…) only, whose other form answers the same over any rows.
pub(super) fn rewrite_values(statement: &mut Statement) {
    let _ = VisitMut::visit(statement, &mut Subqueries { scopes: Vec::new(), catalogs: false });
}

struct Subqueries {
    scopes: Vec<Scope>,
    /// Every relation is a catalog.
    catalogs: bool,
}

impl VisitorMut for Subqueries {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.scopes.push(Scope::of(select));
        for item in &mut select.projection {
            if self.catalogs {
                name_system_column(item);
            }
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                let _ = VisitMut::visit(expr, &mut Exists);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(query) if self.catalogs => {
                if let Some(guard) = scalar(query) {
                    let subquery = std::mem::replace(expr, null());
                    *expr = guarded(guard, subquery);
                }
            }
            Expr::Function(function) if last_part(&function.name).as_deref() == Some("array") => {
                if let FunctionArguments::Subquery(query) = &mut function.args
                    && let Some(guard) = collected(query)
                {
                    let subquery = Expr::Subquery(std::mem::replace(query, Box::new(query.as_ref().clone())));
                    *expr = call("meshgate_array", vec![guarded(guard, subquery)]);
                }
            }
            Expr::CompoundIdentifier(parts) if self.catalogs => match parts.last().map(super::folded).as_deref() {
                Some("tableoid") => self.system_column(expr, |relation| relation.oid),
                // Nothing here is written by a transaction; the first that PostgreSQL itself has is 1.
                Some("xmin") => {
                    self.system_column(expr, |_| 1);
                    if let Expr::Value(_) = expr {
                        let value = std::mem::replace(expr, null());
                        *expr = cast_to_xid(value);
                    }
                }
                _ => {}
            },
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

impl Subqueries {
    /// A column that every relation has, as `x.tableoid`, the OID of the catalog behind `x`.
    fn system_column(&self, expr: &mut Expr, value: impl Fn(&Relation) -> u32) {
        let Expr::CompoundIdentifier(parts) = &*expr else { return };
        let Some(alias) = parts.first().map(super::folded) else { return };
        if let Some(relation) = self.scopes.iter().rev().find_map(|scope| scope.relation(&alias)) {
            *expr = Expr::Value(SqlValue::Number(value(relation).to_string(), false).with_empty_span());
        }
    }
}

/// A value in the place of a column has the column's name.
fn name_system_column(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) = item
        && let Some(name) = parts.last().map(super::folded)
        && matches!(name.as_str(), "tableoid" | "xmin")
    {
        let expr = Expr::CompoundIdentifier(std::mem::take(parts));
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::new(name) };
    }
}

fn cast_to_xid(value: Expr) -> Expr {
    let data_type = DataType::Custom(ObjectName::from(vec![Ident::new("xid")]), Vec::new());
    Expr::Cast { kind: CastKind::DoubleColon, expr: Box::new(value), data_type, array: false, format: None }
}

/// `EXISTS (…)` in a select list becomes a count; the planner takes the former only in conditions.
struct Exists;

impl VisitorMut for Exists {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Exists { subquery, negated } = expr
            && subquery.limit_clause.is_none()
            && let SetExpr::Select(select) = subquery.body.as_mut()
            && plain(select)
            && select.projection.iter().all(one_a_row)
        {
            select.projection =
                vec![SelectItem::UnnamedExpr(call("count", vec![Expr::Value(SqlValue::Number("1".into(), false).with_empty_span())]))];
            subquery.order_by = None;
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            let count = Expr::Subquery(std::mem::replace(subquery, Box::new(subquery.as_ref().clone())));
            let zero = Expr::Value(SqlValue::Number("0".into(), false).with_empty_span());
            *expr = Expr::BinaryOp { left: Box::new(count), op, right: Box::new(zero) };
        }
        ControlFlow::Continue(())
    }
}

fn plain(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    ungrouped && select.having.is_none() && select.distinct.is_none() && select.projection.len() == 1
}

/// Whether a SELECT of this has as many rows as its FROM; an aggregate has one.
fn one_a_row(item: &SelectItem) -> bool {
    match item {
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            matches!(expr, Expr::Value(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        }
        SelectItem::ExprWithAliases { .. } => false,
    }
}

fn guarded(guard: Vec<Expr>, subquery: Expr) -> Expr {
    let Some(condition) = guard.into_iter().reduce(and) else { return subquery };
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: subquery }],
        else_result: None,
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

/// Makes a correlated scalar subquery an aggregate; answers the conditions on outer columns alone, which move out of it.
fn scalar(query: &mut Query) -> Option<Vec<Expr>> {
    let ordered = take_order(query);
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let scope = Scope::of(select);
    if !plain(select) || scope.relations.is_empty() || !mentions_outer(select.as_ref(), &scope) {
        restore_order(query, ordered);
        return None;
    }
    let guard = decorrelate(select, &scope);
    let Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = select.projection.first_mut() else { return None };
    if !has_aggregate(expr) {
        let taken = std::mem::replace(expr, null());
        *expr = with_order(call("first_value", vec![taken]), ordered.0);
        query.limit_clause = None;
    }
    Some(guard)
}

type Order = (Option<datafusion::sql::sqlparser::ast::OrderBy>, Option<LimitClause>);

fn take_order(query: &mut Query) -> Order {
    (query.order_by.take(), query.limit_clause.take())
}

fn restore_order(query: &mut Query, order: Order) {
    (query.order_by, query.limit_clause) = order;
}

/// `ARRAY(SELECT x … ORDER BY y)` collects the values; answers the conditions on outer columns alone, which move out of it.
fn collected(query: &mut Query) -> Option<Vec<Expr>> {
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if !plain(select) || query.limit_clause.is_some() {
        return None;
    }
    let scope = Scope::of(select);
    let guard = decorrelate(select, &scope);
    let Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = select.projection.first_mut() else { return None };
    let taken = std::mem::replace(expr, null());
    let order = query.order_by.take().map(|order| by_position(order, &taken));
    *expr = with_order(call("array_agg", vec![taken]), order);
    Some(guard)
}

/// `ORDER BY 1` means the value itself.
fn by_position(mut order: datafusion::sql::sqlparser::ast::OrderBy, value: &Expr) -> datafusion::sql::sqlparser::ast::OrderBy {
    if let OrderByKind::Expressions(keys) = &mut order.kind {
        for key in keys {
            if key.expr.to_string() == "1" {
                key.expr = value.clone();
            }
        }
    }
    order
}

fn with_order(mut expr: Expr, order: Option<datafusion::sql::sqlparser::ast::OrderBy>) -> Expr {
    if let (Expr::Function(function), Some(order)) = (&mut expr, order)
        && let FunctionArguments::List(list) = &mut function.args
        && let OrderByKind::Expressions(keys) = order.kind
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(keys));
    }
    expr
}

fn has_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if last_part(&function.name).is_some_and(|name| empty::is_aggregate(&name)))
        || matches!(expr, Expr::Function(function) if matches!(&function.args, FunctionArguments::List(list)
            if list.args.iter().any(|arg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) if has_aggregate(inner)))))
}

/// Puts inner columns for outer ones that must be equal to them, and takes out conditions on outer columns alone.
fn decorrelate(select: &mut Select, scope: &Scope) -> Vec<Expr> {
    let mut conjuncts = Vec::new();
    if let Some(selection) = select.selection.take() {
        split(selection, &mut conjuncts);
    }
    let equal: Vec<(Expr, Expr)> = conjuncts.iter().filter_map(|conjunct| equality(conjunct, scope)).collect();
    let mut guard = Vec::new();
    let mut kept = Vec::new();
    for mut conjunct in conjuncts {
        if equality(&conjunct, scope).is_none() {
            if !mentions_inner(&conjunct, scope) && mentions_outer(&conjunct, scope) {
                guard.push(conjunct);
                continue;
            }
            let _ = VisitMut::visit(&mut conjunct, &mut Substitute(&equal));
        }
        kept.push(conjunct);
    }
    for item in &mut select.projection {
        let _ = VisitMut::visit(item, &mut Substitute(&equal));
    }
    select.selection = kept.into_iter().reduce(and);
    guard
}

fn split(expr: Expr, conjuncts: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(*left, conjuncts);
            split(*right, conjuncts);
        }
        Expr::Nested(inner) if matches!(inner.as_ref(), Expr::BinaryOp { op: BinaryOperator::And, .. }) => split(*inner, conjuncts),
        expr => conjuncts.push(expr),
    }
}

/// `inner = outer`, in either order: answers outer and inner.
fn equality(expr: &Expr, scope: &Scope) -> Option<(Expr, Expr)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else { return None };
    match (scope.owns(left)?, scope.owns(right)?) {
        (true, false) => Some((right.as_ref().clone(), left.as_ref().clone())),
        (false, true) => Some((left.as_ref().clone(), right.as_ref().clone())),
        _ => None,
    }
}

struct Substitute<'a>(&'a [(Expr, Expr)]);

impl VisitorMut for Substitute<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some((_, inner)) = self.0.iter().find(|(outer, _)| outer == expr) {
            *expr = inner.clone();
        }
        ControlFlow::Continue(())
    }
}

fn mentions_outer(node: &impl Visit, scope: &Scope) -> bool {
    mentions(node, scope, false)
}

fn mentions_inner(node: &impl Visit, scope: &Scope) -> bool {
    mentions(node, scope, true)
}

fn mentions(node: &impl Visit, scope: &Scope, inner: bool) -> bool {
    let mut finder = Mentions { scope, inner, found: false };
    let _ = node.visit(&mut finder);
    finder.found
}

struct Mentions<'a> {
    scope: &'a Scope,
    inner: bool,
    found: bool,
}

impl Visitor for Mentions<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.found |= self.scope.owns(expr) == Some(self.inner);
        ControlFlow::Continue(())
    }
}
