//! Aggregates of the query around: `(SELECT max(t.v))` over no table is `max(t.v)`.
//!
//! To PostgreSQL an aggregate belongs to the query whose columns it names. The engine computes it where it is written.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Function, GroupByExpr, Query, SelectItem, SetExpr, Visit, Visitor};

use super::{limits, misplaced, scalars, tables};

/// The value of a subquery without a FROM, if all its aggregates belong to the query around; `None` if it has none.
pub(super) fn value(query: &Query) -> Option<&Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let [item @ (SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. })] = select.projection.as_slice() else {
        return None;
    };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let whole = query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    let plain = select.from.is_empty() && select.selection.is_none() && select.having.is_none() && select.distinct.is_none();
    if !whole || !plain || !ungrouped || limits::holds_query(value) || tables::several_in(item) {
        return None;
    }
    misplaced::first_aggregate(value)?;
    value.visit(&mut Own).is_continue().then_some(value)
}

/// Finds what belongs to the subquery itself.
struct Own;

impl Visitor for Own {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(Function { over: Some(_), .. }) => ControlFlow::Break(()),
            Expr::Function(function) if misplaced::is_aggregate(function) && !scalars::names_columns(function) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn value_of(sql: &str) -> Option<String> {
        let query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        value(&query).map(ToString::to_string)
    }

    #[test]
    fn aggregates_belong_to_the_query_of_their_columns() {
        assert_eq!(value_of("SELECT max(t.v) + 1").unwrap(), "max(t.v) + 1");
        for own in ["SELECT count(*)", "SELECT max(v) FROM u", "SELECT v", "SELECT max(v) + count(*)", "SELECT max(v) OVER ()"] {
            assert_eq!(value_of(own), None, "{own}");
        }
    }
}
