//! EXISTS and IN over a UNION whose parts name columns of the query around: over each of the parts by itself.
//!
//! The planner makes no join of a set operation.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Query, SetExpr, SetOperator, UnaryOperator};

use super::quantified::repeatable;
use super::scalars::names_outer;

/// The conditions over the parts; `None` if it is not such a condition.
pub(super) fn apart(expr: &Expr) -> Option<Expr> {
    let (subquery, negated) = match expr {
        Expr::Exists { subquery, negated } => (subquery, *negated),
        Expr::InSubquery { expr, subquery, negated } if repeatable(expr) => (subquery, *negated),
        _ => return None,
    };
    let whole = subquery.with.is_none() && subquery.order_by.is_none() && subquery.limit_clause.is_none() && subquery.fetch.is_none();
    if !whole || !matches!(subquery.body.as_ref(), SetExpr::SetOperation { .. }) {
        return None;
    }
    let mut parts = Vec::new();
    let outer = united(&subquery.body, &mut parts)?;
    let one = |body: &SetExpr| {
        let subquery = Box::new(Query { body: Box::new(body.clone()), ..subquery.as_ref().clone() });
        match expr {
            Expr::InSubquery { expr, .. } => Expr::InSubquery { expr: expr.clone(), subquery, negated: false },
            _ => Expr::Exists { subquery, negated: false },
        }
    };
    let any = parts.into_iter().map(one).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::Or,
        right: Box::new(right),
    })?;
    let any = Expr::Nested(Box::new(any));
    let condition = if negated { Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(any) } } else { any };
    outer.then_some(condition)
}

/// Gathers the parts; whether any of them names a table of the query around. `None` if there is more to it.
fn united<'a>(body: &'a SetExpr, parts: &mut Vec<&'a SetExpr>) -> Option<bool> {
    match body {
        SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } => {
            let left = united(left, parts)?;
            Some(united(right, parts)? || left)
        }
        SetExpr::Select(select) => {
            parts.push(body);
            Some(names_outer(select))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn spelled(sql: &str) -> Option<String> {
        apart(&Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap()).map(|expr| expr.to_string())
    }

    #[test]
    fn each_part_is_a_condition() {
        assert_eq!(
            spelled("NOT EXISTS (SELECT 1 FROM b WHERE b.x = a.x UNION SELECT 1 FROM c)").unwrap(),
            "NOT (EXISTS (SELECT 1 FROM b WHERE b.x = a.x) OR EXISTS (SELECT 1 FROM c))"
        );
        assert_eq!(
            spelled("a.y IN (SELECT b.y FROM b WHERE b.x = a.x UNION ALL SELECT c.y FROM c)").unwrap(),
            "(a.y IN (SELECT b.y FROM b WHERE b.x = a.x) OR a.y IN (SELECT c.y FROM c))"
        );
        for kept in ["EXISTS (SELECT 1 FROM b UNION SELECT 2 FROM c)", "EXISTS (SELECT b.x FROM b WHERE b.x = a.x EXCEPT SELECT 2 FROM c)"]
        {
            assert_eq!(spelled(kept), None, "{kept}");
        }
    }
}
