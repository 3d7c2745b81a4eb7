//! Expressions that are subqueries.

use datafusion::logical_expr::Expr;
use datafusion::logical_expr::logical_plan::Subquery;

/// The subquery that an expression is; `None` if it is another.
pub(super) fn of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::Exists(exists) => Some(&exists.subquery),
        Expr::InSubquery(within) => Some(&within.subquery),
        Expr::SetComparison(compared) => Some(&compared.subquery),
        _ => None,
    }
}
