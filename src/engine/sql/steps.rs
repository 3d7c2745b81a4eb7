//! Marks what a statement has written itself, where the planner puts casts of its own around it: steps of recursive queries and rows of VALUES.

use datafusion::sql::sqlparser::ast::{BinaryOperator, DataType, Expr, Query, SelectItem, SetExpr, SetOperator, Value, Values};

use super::spelling::call;

/// Marks the steps of a query's recursive CTEs, and casts in its VALUES.
pub(super) fn mark(query: &mut Query) {
    for cte in query.with.iter_mut().filter(|with| with.recursive).flat_map(|with| &mut with.cte_tables) {
        if let SetExpr::SetOperation { op: SetOperator::Union, right, .. } = cte.query.body.as_mut()
            && let SetExpr::Select(step) = right.as_mut()
        {
            step.projection.iter_mut().for_each(computed);
        }
    }
    values(&mut query.body, &mut rows);
}

/// All VALUES of a query's own body.
pub(super) fn values(body: &mut SetExpr, each: &mut impl FnMut(&mut Values)) {
    match body {
        SetExpr::Values(values) => each(values),
        SetExpr::SetOperation { left, right, .. } => {
            values(left, each);
            values(right, each);
        }
        _ => {}
    }
}

fn computed(item: &mut SelectItem) {
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item
        && computes(expr)
    {
        *expr = call("meshgate_written", vec![expr.clone()]);
    }
}

fn computes(expr: &Expr) -> bool {
    use BinaryOperator::{Divide, Minus, Multiply, Plus};
    match expr {
        Expr::Nested(inner) => computes(inner),
        Expr::BinaryOp { op, .. } => matches!(op, Plus | Minus | Multiply | Divide),
        _ => false,
    }
}

fn rows(values: &mut Values) {
    for cell in values.rows.iter_mut().flat_map(|row| &mut row.content) {
        // What is known of a parameter beside its type, the planner wants to be known of a whole column.
        if parameter(cell) || matches!(cell, Expr::Cast { data_type, .. } if is_number(data_type)) {
            *cell = call("meshgate_written", vec![cell.clone()]);
        }
    }
}

/// Whether it is a parameter, or the cast of one.
fn parameter(cell: &Expr) -> bool {
    match cell {
        Expr::Value(value) => matches!(value.value, Value::Placeholder(_)),
        Expr::Cast { expr, .. } | Expr::Nested(expr) => parameter(expr),
        _ => false,
    }
}

fn is_number(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Numeric(_)
            | DataType::Decimal(_)
            | DataType::Dec(_)
            | DataType::Float(_)
            | DataType::Float4
            | DataType::Float8
            | DataType::Real
            | DataType::Double(_)
            | DataType::DoublePrecision
            | DataType::SmallInt(_)
            | DataType::Int2(_)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::Int4(_)
            | DataType::BigInt(_)
            | DataType::Int8(_)
    )
}

#[cfg(test)]
mod tests {
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    use super::*;

    fn spelled(sql: &str) -> String {
        let mut query = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_query().unwrap();
        mark(&mut query);
        query.to_string()
    }

    #[test]
    fn steps_and_casts_of_values_are_marked() {
        assert_eq!(
            spelled("WITH RECURSIVE r AS (SELECT 1.0 AS x UNION ALL SELECT x * 1.1 AS x FROM r) SELECT x + 1 FROM r"),
            "WITH RECURSIVE r AS (SELECT 1.0 AS x UNION ALL SELECT meshgate_written(x * 1.1) AS x FROM r) SELECT x + 1 FROM r"
        );
        assert_eq!(spelled("VALUES ($1, 2), (3, NULL)"), "VALUES (meshgate_written($1), 2), (3, NULL)");
        assert_eq!(spelled("VALUES (1.5::REAL, 2), ('x'::TEXT, 3)"), "VALUES (meshgate_written(1.5::REAL), 2), ('x'::TEXT, 3)");
    }
}
