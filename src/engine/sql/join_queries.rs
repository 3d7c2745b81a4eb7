//! Subqueries in the condition of an inner join: `a JOIN b ON b.k = (SELECT max(c.k) FROM c WHERE c.x = a.x)`.
//!
//! The engine computes a subquery of rows that are there, not of those that a join is about to make. What an inner join asks of its rows can
//! be asked behind it as well. INVARIANT: only the last join's condition moves, behind which the same names mean the same columns.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, JoinConstraint, JoinOperator, Select, Value, Visit, Visitor};

/// Moves such conditions to WHERE.
pub(super) fn behind(select: &mut Select) {
    let [from] = select.from.as_mut_slice() else { return };
    let Some(JoinOperator::Join(constraint) | JoinOperator::Inner(constraint)) = from.joins.last_mut().map(|join| &mut join.join_operator)
    else {
        return;
    };
    let JoinConstraint::On(condition) = constraint else { return };
    if !asks(condition) {
        return;
    }
    let mut conditions = Vec::new();
    split(std::mem::replace(condition, Expr::Value(Value::Boolean(true).into())), &mut conditions);
    let (moved, kept): (Vec<Expr>, Vec<Expr>) = conditions.into_iter().partition(asks);
    if let Some(kept) = kept.into_iter().reduce(and) {
        *condition = kept;
    }
    select.selection = moved.into_iter().chain(select.selection.take()).reduce(and);
}

fn and(left: Expr, right: Expr) -> Expr {
    let nested = |side: Expr| match side {
        side @ Expr::BinaryOp { op: BinaryOperator::Or, .. } => Expr::Nested(Box::new(side)),
        side => side,
    };
    Expr::BinaryOp { left: Box::new(nested(left)), op: BinaryOperator::And, right: Box::new(nested(right)) }
}

fn split(expr: Expr, conditions: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(*left, conditions);
            split(*right, conditions);
        }
        Expr::Nested(inner) if matches!(*inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => split(*inner, conditions),
        expr => conditions.push(expr),
    }
}

/// Whether the expression holds a subquery.
fn asks(expr: &Expr) -> bool {
    struct Queries;
    impl Visitor for Queries {
        type Break = ();

        fn pre_visit_query(&mut self, _: &datafusion::sql::sqlparser::ast::Query) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    expr.visit(&mut Queries).is_break()
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::{ast::SetExpr, ast::Statement, dialect::PostgreSqlDialect, parser::Parser};

    use super::*;

    fn moved(sql: &str) -> String {
        let mut statement = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        if let Statement::Query(query) = &mut statement
            && let SetExpr::Select(select) = query.body.as_mut()
        {
            behind(select);
        }
        statement.to_string()
    }

    #[test]
    fn the_last_inner_join_asks_behind_itself() {
        let asks = "b.k = (SELECT max(k) FROM c WHERE c.x = a.x)";
        for (sql, expected) in [
            (format!("ON a.x = b.x AND {asks}"), format!("ON a.x = b.x WHERE {asks}")),
            (format!("ON {asks} WHERE a.y OR b.y"), format!("ON true WHERE {asks} AND (a.y OR b.y)")),
            ("ON a.x = b.x".to_owned(), "ON a.x = b.x".to_owned()),
        ] {
            assert_eq!(moved(&format!("SELECT 1 FROM a JOIN b {sql}")), format!("SELECT 1 FROM a JOIN b {expected}"));
        }
        for sql in [format!("SELECT 1 FROM a LEFT JOIN b ON {asks}"), format!("SELECT 1 FROM a JOIN b ON {asks} JOIN d ON true")] {
            assert_eq!(moved(&sql), sql);
        }
    }
}
