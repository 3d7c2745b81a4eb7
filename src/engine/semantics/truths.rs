//! Truths that are never NULL: `x IS TRUE`, EXISTS, `coalesce(x, false)`.
//!
//! The engine computes them by operators that may answer NULL, and fails where a group is made of what it took for a column that is never NULL.
//! So in what is shown, or grouped by, nothing is known of them but their type.

use datafusion::common::DFSchema;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::typed;

/// The expression as one that may be NULL, if the engine takes it for one that is not.
pub(super) fn nullable(expr: Expr, schema: &DFSchema) -> Expr {
    if !expr.exists(|part| Ok(is_truth(part))).unwrap_or(false) {
        return expr;
    }
    match expr {
        Expr::Alias(mut alias) => {
            *alias.expr = nullable(*alias.expr, schema);
            Expr::Alias(alias)
        }
        expr => match expr.to_field(schema) {
            Ok((_, field)) if !field.is_nullable() => typed::nullable(expr, &field),
            _ => expr,
        },
    }
}

fn is_truth(part: &Expr) -> bool {
    match part {
        Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_) => true,
        Expr::ScalarFunction(call) => call.func.name() == "coalesce",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn a_truth_may_be_null_and_nothing_else_changes() {
        let schema = DFSchema::empty();
        let truth = Expr::IsTrue(Box::new(lit(true)));
        assert!(!truth.nullable(&schema).unwrap());
        assert!(nullable(truth.clone().alias("t"), &schema).nullable(&schema).unwrap());
        assert_eq!(nullable(lit(1), &schema), lit(1));
    }
}
