//! LATERAL subqueries in forms that the planner can turn into joins: the first rows of each group, and VALUES or a UNION ALL of a row's own
//! columns.
//!
//! INVARIANT: the columns that a client sees, and their order, stay what they are.

use datafusion::sql::sqlparser::ast::{
    Array, BinaryOperator, Distinct, Expr, GroupByExpr, Ident, LimitClause, OrderByKind, Query, SelectItem, SetExpr, SetOperator,
    SetQuantifier, TableFactor, Value, WindowType,
};
use datafusion::sql::sqlparser::dialect::{GenericDialect, PostgreSqlDialect};
use datafusion::sql::sqlparser::parser::Parser;

use super::scalars::Tables;
use super::spelling::call;

/// Keys that the rows of a group have in common.
const KEYS_MAX: usize = 8;

/// Puts the form in place of the factor's subquery, if there is one.
pub(super) fn rewritten(factor: &mut TableFactor) {
    let TableFactor::Derived { lateral, subquery, .. } = factor else { return };
    let query = if *lateral { unpivoted(subquery, false).or_else(|| ranked(subquery)) } else { unpivoted(subquery, true) };
    if let Some(query) = query {
        **subquery = query;
    }
}

/// `LATERAL (VALUES ('a', t.a), ('b', t.b))`, or the same as `SELECT … UNION ALL SELECT …`: lists of the columns, side by side. Within a
/// subquery of an expression the columns may be of the query around it without the word; then nothing else is `outer`.
fn unpivoted(query: &Query, outer: bool) -> Option<Query> {
    if query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
        return None;
    }
    let mut rows: Vec<Vec<&Expr>> = Vec::new();
    let names = match query.body.as_ref() {
        SetExpr::Values(values) => {
            rows.extend(values.rows.iter().map(|row| row.content.iter().collect()));
            (1..=rows.first()?.len()).map(|at| Ident::new(format!("column{at}"))).collect()
        }
        SetExpr::SetOperation { .. } => united(&query.body, &mut rows)?,
        _ => return None,
    };
    let width = names.len();
    if width == 0 || rows.iter().any(|row| row.len() != width) || outer && rows.iter().flatten().all(|value| constant(value)) {
        return None;
    }
    let column = |(at, alias): (usize, Ident)| {
        let elem = rows.iter().filter_map(|row| row.get(at).map(|value| (*value).clone())).collect();
        SelectItem::ExprWithAlias { expr: call("unnest", vec![Expr::Array(Array { elem, named: true })]), alias }
    };
    let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT 1").ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    select.projection = names.into_iter().enumerate().map(column).collect();
    Some(*query)
}

/// The rows of SELECTs without tables that UNION ALL puts one after the other, and the names of their columns.
fn united<'a>(body: &'a SetExpr, rows: &mut Vec<Vec<&'a Expr>>) -> Option<Vec<Ident>> {
    match body {
        SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
            let names = united(left, rows)?;
            united(right, rows)?;
            Some(names)
        }
        SetExpr::Select(select) => {
            let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
            let plain = select.from.is_empty() && select.selection.is_none() && select.having.is_none() && select.distinct.is_none();
            let several = |item: &SelectItem| super::scalars::aggregates_in(item) || super::tables::several_in(item);
            if !ungrouped || !plain || select.projection.iter().any(several) {
                return None;
            }
            let named = |item: &'a SelectItem| match item {
                SelectItem::ExprWithAlias { expr, alias } => Some((expr, alias.clone())),
                SelectItem::UnnamedExpr(expr @ Expr::Identifier(name)) => Some((expr, name.clone())),
                SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(parts)) => Some((expr, parts.last()?.clone())),
                SelectItem::UnnamedExpr(expr) => Some((expr, Ident::with_quote('"', "?column?"))),
                _ => None,
            };
            let (row, names) = select.projection.iter().map(named).collect::<Option<Vec<_>>>()?.into_iter().unzip();
            rows.push(row);
            Some(names)
        }
        _ => None,
    }
}

/// `LATERAL (SELECT … WHERE inner = outer ORDER BY … LIMIT n)`: rows that are numbered within their group.
fn ranked(query: &Query) -> Option<Query> {
    let (limit, offset) = bounds(query)?;
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let plain = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty())
        && matches!(&select.distinct, None | Some(Distinct::All))
        && select.having.is_none()
        && query.with.is_none()
        && !select.projection.iter().any(super::scalars::aggregates_in)
        && !select.projection.iter().any(super::tables::several_in);
    let tables = Tables::of(select.as_ref());
    if !plain || !tables.outer(select.as_ref()) {
        return None;
    }
    let (mut keys, mut kept) = (Vec::new(), Vec::new());
    for condition in conjuncts(select.selection.as_ref()?) {
        match tables.equal(condition) {
            Some(pair) => keys.push(pair),
            None => kept.push(condition.clone()),
        }
    }
    let mut inner = query.clone();
    (inner.order_by, inner.limit_clause, inner.fetch) = (None, None, None);
    let SetExpr::Select(own) = inner.body.as_mut() else { return None };
    own.selection = kept.into_iter().reduce(and);
    if keys.is_empty() || keys.len() > KEYS_MAX || tables.outer(own.as_ref()) {
        return None;
    }
    let mut rank = Parser::new(&PostgreSqlDialect {}).try_with_sql("row_number() OVER (PARTITION BY 1)").ok()?.parse_expr().ok()?;
    if let Expr::Function(function) = &mut rank
        && let Some(WindowType::WindowSpec(window)) = &mut function.over
    {
        window.partition_by = keys.iter().map(|(inner, _)| inner.clone()).collect();
        window.order_by = match query.order_by.as_ref().map(|order| &order.kind) {
            Some(OrderByKind::Expressions(order)) => {
                let mut order = order.clone();
                for key in &mut order {
                    key.expr = resolved(&key.expr, &select.projection)?;
                }
                order
            }
            Some(OrderByKind::All(_)) => return None,
            None => Vec::new(),
        };
    }
    let added = keys.iter().enumerate().map(|(at, (inner, _))| (inner.clone(), format!("meshgate_key{at}")));
    let added = added.chain([(rank, "meshgate_rank".to_owned())]);
    own.projection.extend(added.map(|(expr, name)| SelectItem::ExprWithAlias { expr, alias: Ident::new(name) }));
    outside(inner, &keys, limit, offset)
}

/// The rows of the numbered query that are wanted, without what was put to them.
fn outside(inner: Query, keys: &[(Expr, Expr)], limit: u64, offset: u64) -> Option<Query> {
    let hidden: Vec<String> = (0..keys.len()).map(|at| format!("meshgate_key{at}")).collect();
    let last = limit.saturating_add(offset);
    let text = format!(
        "SELECT * EXCLUDE ({}, meshgate_rank) FROM (SELECT 1) AS meshgate_top \
         WHERE meshgate_top.meshgate_rank <= {last} AND meshgate_top.meshgate_rank > {offset}",
        hidden.join(", ")
    );
    let mut outer = Parser::new(&GenericDialect {}).try_with_sql(&text).ok()?.parse_query().ok()?;
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    if let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation {
        **subquery = inner;
    }
    let same = keys.iter().zip(hidden).map(|((_, outer), name)| Expr::BinaryOp {
        left: Box::new(Expr::CompoundIdentifier(vec![Ident::new("meshgate_top"), Ident::new(name)])),
        op: BinaryOperator::Eq,
        right: Box::new(outer.clone()),
    });
    select.selection = select.selection.take().into_iter().chain(same).reduce(and);
    Some(*outer)
}

/// How many rows are wanted, and how many are passed over; `None` if all of them are, or the numbers are no constants.
fn bounds(query: &Query) -> Option<(u64, u64)> {
    let number = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    if let Some(fetch) = &query.fetch {
        let plain = !fetch.with_ties && !fetch.percent && query.limit_clause.is_none();
        return plain.then(|| fetch.quantity.as_ref().map_or(Some(1), number)).flatten().map(|limit| (limit, 0));
    }
    match query.limit_clause.as_ref()? {
        LimitClause::LimitOffset { limit: Some(limit), offset, limit_by } if limit_by.is_empty() => {
            Some((number(limit)?, offset.as_ref().map_or(Some(0), |offset| number(&offset.value))?))
        }
        _ => None,
    }
}

/// A key that is the number or the name of a column of the result is what that column is.
fn resolved(key: &Expr, projection: &[SelectItem]) -> Option<Expr> {
    match key {
        Expr::Value(value) => {
            let Value::Number(digits, _) = &value.value else { return None };
            let place: usize = digits.parse().ok()?;
            let before = projection.get(..place)?;
            let all = before.iter().all(|item| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }));
            match before.last().filter(|_| all)? {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
                _ => None,
            }
        }
        Expr::Identifier(name) => Some(
            projection
                .iter()
                .find_map(|item| match item {
                    SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr.clone()),
                    _ => None,
                })
                .unwrap_or_else(|| key.clone()),
        ),
        key => Some(key.clone()),
    }
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => [conjuncts(left), conjuncts(right)].concat(),
        Expr::Nested(inner) if matches!(inner.as_ref(), Expr::BinaryOp { op: BinaryOperator::And, .. }) => conjuncts(inner),
        expr => vec![expr],
    }
}

impl Tables {
    /// `inner = outer`, in either order: answers inner and outer.
    fn equal(&self, condition: &Expr) -> Option<(Expr, Expr)> {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
        match (self.outer(left.as_ref()), self.outer(right.as_ref())) {
            (false, true) if !self.inner(right.as_ref()) && !constant(left) => Some((left.as_ref().clone(), right.as_ref().clone())),
            (true, false) if !self.inner(left.as_ref()) && !constant(right) => Some((right.as_ref().clone(), left.as_ref().clone())),
            _ => None,
        }
    }
}

/// Whether no column is in it.
fn constant(expr: &Expr) -> bool {
    !super::scalars::names_columns(expr)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> String {
        let sql = format!("SELECT * FROM c, LATERAL ({sql}) AS x");
        let query = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).unwrap().parse_query().unwrap();
        let SetExpr::Select(mut select) = *query.body else { panic!("no select") };
        rewritten(&mut select.from[1].relation);
        select.from[1].relation.to_string()
    }

    #[test]
    fn the_first_rows_of_each_group_are_numbered() {
        assert_eq!(
            spelled("SELECT t.a FROM t WHERE t.k = c.k AND t.b > 1 ORDER BY t.d DESC LIMIT 2 OFFSET 1"),
            "LATERAL (SELECT * EXCLUDE (meshgate_key0, meshgate_rank) FROM (SELECT t.a, t.k AS meshgate_key0, \
             row_number() OVER (PARTITION BY t.k ORDER BY t.d DESC) AS meshgate_rank FROM t WHERE t.b > 1) AS meshgate_top \
             WHERE meshgate_top.meshgate_rank <= 3 AND meshgate_top.meshgate_rank > 1 AND meshgate_top.meshgate_key0 = c.k) AS x"
        );
    }

    #[test]
    fn keys_are_columns_of_the_result() {
        for key in ["1", "b"] {
            let spelled = spelled(&format!("SELECT t.a AS b FROM t WHERE t.k = c.k ORDER BY {key} LIMIT 1"));
            assert!(spelled.contains("PARTITION BY t.k ORDER BY t.a)"), "{spelled}");
        }
    }

    #[test]
    fn what_cannot_be_numbered_stays() {
        for kept in [
            "SELECT t.a FROM t WHERE t.k > c.k LIMIT 1",
            "SELECT t.a + c.a FROM t WHERE t.k = c.k LIMIT 1",
            "SELECT count(*) FROM t WHERE t.k = c.k LIMIT 1",
            "SELECT t.a FROM t WHERE t.k = c.k",
            "SELECT t.a FROM t ORDER BY t.a LIMIT 1",
        ] {
            assert_eq!(spelled(kept), format!("LATERAL ({kept}) AS x"));
        }
    }

    #[test]
    fn values_of_a_row_are_lists() {
        assert_eq!(
            spelled("VALUES ('a', c.a), ('b', c.b)"),
            "LATERAL (SELECT unnest(ARRAY['a', 'b']) AS column1, unnest(ARRAY[c.a, c.b]) AS column2) AS x"
        );
        assert_eq!(
            spelled("SELECT 'a' AS k, c.a UNION ALL SELECT 'b', c.b AS z UNION ALL SELECT 'd', c.d"),
            "LATERAL (SELECT unnest(ARRAY['a', 'b', 'd']) AS k, unnest(ARRAY[c.a, c.b, c.d]) AS a) AS x"
        );
        for kept in ["SELECT c.a UNION SELECT c.b", "SELECT c.a UNION ALL SELECT t.b FROM t", "SELECT c.a UNION ALL SELECT c.b LIMIT 1"] {
            assert_eq!(spelled(kept), format!("LATERAL ({kept}) AS x"));
        }
    }
}
