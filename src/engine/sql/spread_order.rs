//! The order of a select list that makes several rows of one, by what is not in it.
//!
//! The planner sorts such rows by columns of the result alone. So the keys become columns of a query within, by which one around it sorts.
//! Rows that are made of one stay in their order, which is their last key: PostgreSQL makes them of rows that are sorted already.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, TableFactor, Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::catalog::folded;

use super::spelling::call;

/// Puts the form in the place of the query, if it is one of these.
pub(super) fn rewritten(query: &mut Query) {
    if let Some(around) = around(query) {
        *query = around;
    }
}

fn around(query: &Query) -> Option<Query> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let OrderByKind::Expressions(keys) = &query.order_by.as_ref()?.kind else { return None };
    let plain = select.distinct.is_none()
        && select.having.is_none()
        && matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty())
        && !select.projection.iter().any(super::scalars::aggregates_in);
    if !plain || !select.projection.iter().any(super::tables::several_in) {
        return None;
    }
    let lists =
        if keys.iter().any(|key| makes_rows(&key.expr, &select.projection)) { None } else { super::tables::lists_in(&select.projection) };
    let sorts_here = |key: &Expr| if lists.is_some() { named(key, &select.projection) } else { shown(key, &select.projection) };
    let hidden: Vec<usize> = keys.iter().enumerate().filter(|(_, key)| !sorts_here(&key.expr)).map(|(at, _)| at).collect();
    if hidden.is_empty() && lists.is_none() {
        return None;
    }
    let name = |at: usize| format!("meshgate_key{at}");
    let names: Vec<String> = hidden.iter().map(|at| name(*at)).chain(lists.as_ref().map(|_| PLACE.to_owned())).collect();
    let text = format!("SELECT * EXCLUDE ({}) FROM (SELECT 1) AS meshgate_rows", names.join(", "));
    let mut outer = Parser::new(&GenericDialect {}).try_with_sql(&text).ok()?.parse_query().ok()?;
    let mut inner = query.clone();
    (inner.order_by, inner.limit_clause, inner.fetch, inner.with) = (None, None, None, None);
    let SetExpr::Select(own) = inner.body.as_mut() else { return None };
    let mut order = query.order_by.clone()?;
    let OrderByKind::Expressions(outer_keys) = &mut order.kind else { return None };
    for at in hidden {
        let key = outer_keys.get_mut(at)?;
        let expr = std::mem::replace(&mut key.expr, Expr::Identifier(Ident::new(name(at))));
        own.projection.push(SelectItem::ExprWithAlias { expr, alias: Ident::new(name(at)) });
    }
    if let Some(lists) = lists {
        let places = call("unnest", vec![call("meshgate_ordinals", lists)]);
        own.projection.push(SelectItem::ExprWithAlias { expr: places, alias: Ident::new(PLACE) });
        outer_keys.push(OrderByExpr::from(Ident::new(PLACE)));
    }
    let SetExpr::Select(select) = outer.body.as_mut() else { return None };
    if let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation {
        **subquery = inner;
    }
    outer.order_by = Some(order);
    (outer.limit_clause, outer.fetch, outer.with) = (query.limit_clause.clone(), query.fetch.clone(), query.with.clone());
    Some(*outer)
}

/// The column of a row's place among those that are made of one row.
const PLACE: &str = "meshgate_place";

/// Whether a key is a column of the result, by its number or its name.
fn named(key: &Expr, projection: &[SelectItem]) -> bool {
    match key {
        Expr::Identifier(name) => projection.iter().any(|item| names(item, name)),
        Expr::Value(_) => true,
        _ => false,
    }
}

/// Whether a key is, or holds, what makes several rows of one.
fn makes_rows(key: &Expr, projection: &[SelectItem]) -> bool {
    let item = match key {
        Expr::Identifier(name) => projection.iter().find(|item| names(item, name)),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse::<usize>().ok().and_then(|place| projection.get(place.checked_sub(1)?)),
            _ => None,
        },
        other => return super::tables::several_in(&SelectItem::UnnamedExpr(other.clone())),
    };
    item.is_some_and(super::tables::several_in)
}

/// Whether a key is made of columns of the result alone: of their names, or of a number.
fn shown(key: &Expr, projection: &[SelectItem]) -> bool {
    struct Names<'a> {
        projection: &'a [SelectItem],
        all: bool,
    }
    impl VisitorMut for Names<'_> {
        type Break = ();

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(name) => self.all &= self.projection.iter().any(|item| names(item, name)),
                Expr::CompoundIdentifier(_) => {
                    let written = expr.to_string();
                    self.all &=
                        self.projection.iter().any(|item| matches!(item, SelectItem::UnnamedExpr(own) if own.to_string() == written));
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names { projection, all: true };
    let _ = key.clone().visit(&mut names);
    names.all
}

fn names(item: &SelectItem, name: &Ident) -> bool {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => folded(alias) == folded(name),
        SelectItem::UnnamedExpr(Expr::Identifier(own)) => folded(own) == folded(name),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().is_some_and(|own| folded(own) == folded(name)),
        SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> String {
        let mut query = Parser::new(&GenericDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        rewritten(&mut query);
        query.to_string()
    }

    #[test]
    fn keys_that_are_not_shown_are_columns_within() {
        assert_eq!(
            spelled("SELECT a, generate_series(1, b) AS n FROM t WHERE c ORDER BY d DESC, n LIMIT 3"),
            "SELECT * EXCLUDE (meshgate_key0) FROM (SELECT a, generate_series(1, b) AS n, d AS meshgate_key0 FROM t WHERE c) \
             AS meshgate_rows ORDER BY meshgate_key0 DESC, n LIMIT 3"
        );
        assert_eq!(
            spelled("SELECT a, upper(unnest(b)) FROM t ORDER BY a LIMIT 3"),
            "SELECT * EXCLUDE (meshgate_place) FROM (SELECT a, upper(unnest(b)), unnest(meshgate_ordinals(b)) AS meshgate_place FROM t) \
             AS meshgate_rows ORDER BY a, meshgate_place LIMIT 3"
        );
        for kept in [
            "SELECT generate_series(1, 2) AS n FROM t ORDER BY n",
            "SELECT generate_series(1, random()) AS n, a FROM t ORDER BY a",
            "SELECT a FROM t ORDER BY b",
            "SELECT generate_series(1, 2) ORDER BY 1",
        ] {
            assert_eq!(spelled(kept), kept);
        }
    }
}
