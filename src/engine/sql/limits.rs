//! LIMIT and OFFSET whose counts a subquery tells.
//!
//! The planner takes nothing but constants there. So rows are numbered in the query's order, and those are kept whose numbers are within.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Expr, LimitClause, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, TableFactor, Value, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::spelling::{Flow, call, number, refuse};
use super::ties::{meant, numbering};

/// Whether a query is in it.
pub(super) fn holds_query(node: &impl ast::Visit) -> bool {
    struct Queries;
    impl Visitor for Queries {
        type Break = ();

        fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    node.visit(&mut Queries).is_break()
}

/// Puts the numbers of rows in the place of the counts.
pub(super) fn numbered(query: &mut Query) -> Flow {
    let Some(LimitClause::LimitOffset { limit, offset, limit_by }) = &query.limit_clause else { return ControlFlow::Continue(()) };
    let asked = limit.as_ref().is_some_and(holds_query) || offset.as_ref().is_some_and(|offset| holds_query(&offset.value));
    if !asked || !limit_by.is_empty() || query.fetch.is_some() {
        return ControlFlow::Continue(());
    }
    let (limit, offset) = (limit.clone(), offset.as_ref().map(|offset| offset.value.clone()));
    let plain = |select: &ast::Select| select.distinct.is_none() && select.qualify.is_none();
    if !matches!(query.body.as_ref(), SetExpr::Select(select) if plain(select)) && !within(query) {
        return refuse("a subquery in LIMIT is not supported here");
    }
    let keys = match query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(keys)) => keys.clone(),
        Some(OrderByKind::All(_)) => return refuse("a subquery in LIMIT is not supported here"),
        None => Vec::new(),
    };
    let SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
    let meaning = |key: OrderByExpr| Some(OrderByExpr { expr: meant(key.expr, &select.projection)?, ..key });
    let Some(keys) = keys.into_iter().map(meaning).collect::<Option<Vec<_>>>() else {
        return refuse("a subquery in LIMIT beside ORDER BY the number of a column is not supported; name the column");
    };
    let row = numbering("row_number", keys);
    let row = match offset {
        Some(offset) => {
            let skipped = Box::new(call("meshgate_skipped", vec![offset]));
            Expr::BinaryOp { left: Box::new(row), op: BinaryOperator::Minus, right: skipped }
        }
        None => row,
    };
    let limit = limit.unwrap_or_else(|| Expr::Value(Value::Null.with_empty_span()));
    let high = Box::new(call("meshgate_taken", vec![limit]));
    select.qualify = Some(Expr::Between { expr: Box::new(row), negated: false, low: Box::new(number("1")), high });
    query.limit_clause = None;
    ControlFlow::Continue(())
}

/// Puts the query's body within another one; keys that are numbers of its columns become their names.
fn within(query: &mut Query) -> bool {
    let parsed = Parser::new(&PostgreSqlDialect {}).try_with_sql("SELECT * FROM (SELECT 1) AS meshgate_rows");
    let Some(mut outer) = parsed.ok().and_then(|mut parser| parser.parse_query().ok()) else { return false };
    let names = super::ties::names(&query.body);
    if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order| &mut order.kind) {
        for key in keys {
            let Expr::Value(value) = &key.expr else { continue };
            let Value::Number(digits, _) = &value.value else { continue };
            let place = digits.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
            let Some(name) = names.as_ref().zip(place).and_then(|(names, place)| names.get(place)) else { return false };
            key.expr = Expr::Identifier(ast::Ident::with_quote('"', name.clone()));
        }
    }
    let SetExpr::Select(select) = outer.body.as_mut() else { return false };
    let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation) else { return false };
    std::mem::swap(&mut subquery.body, &mut query.body);
    query.body = outer.body;
    matches!(query.body.as_ref(), SetExpr::Select(select) if matches!(select.projection.as_slice(), [SelectItem::Wildcard(_)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        numbered(&mut query).is_continue().then(|| query.to_string())
    }

    #[test]
    fn rows_are_numbered_in_their_order() {
        assert_eq!(
            spelled("SELECT a, b AS c FROM t ORDER BY c DESC, 1 LIMIT (SELECT 2) OFFSET 1").unwrap(),
            "SELECT a, b AS c FROM t QUALIFY row_number() OVER (ORDER BY b DESC, a) - meshgate_skipped(1) BETWEEN 1 AND \
             meshgate_taken((SELECT 2)) ORDER BY c DESC, 1"
        );
        assert_eq!(
            spelled("SELECT a FROM t UNION SELECT b FROM u ORDER BY 1 LIMIT (SELECT 2)").unwrap(),
            "SELECT * FROM (SELECT a FROM t UNION SELECT b FROM u) AS meshgate_rows QUALIFY row_number() OVER (ORDER BY \"a\") BETWEEN 1 \
             AND meshgate_taken((SELECT 2)) ORDER BY \"a\""
        );
        assert_eq!(spelled("SELECT a FROM t LIMIT 1 + 1").unwrap(), "SELECT a FROM t LIMIT 1 + 1");
        assert_eq!(spelled("SELECT * FROM t ORDER BY 1 LIMIT (SELECT 2)"), None);
    }
}
