//! What grows while the engine simplifies it: `coalesce` becomes a CASE in which each of its values but the last stands twice, so that one within
//! another doubles with each level, and a short text would take all memory.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion, TreeNodeVisitor};
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::SqlState;

use super::function::{Result, fault};

/// Parts of expressions that may come into being beside those that are written: about thirteen levels.
const PARTS_MAX: u64 = 50_000;

/// Refuses a plan whose expressions would grow beyond all bounds.
pub(super) fn bounded(plan: &LogicalPlan) -> Result<()> {
    let mut parts = Parts::default();
    plan.apply_with_subqueries(|node| node.apply_expressions(|expr| expr.visit(&mut parts)))?;
    Ok(())
}

#[derive(Default)]
struct Parts {
    /// Levels of `coalesce` around a part.
    levels: u32,
    more: u64,
}

fn doubles(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(function) if function.func.name() == "coalesce" && function.args.len() > 1)
}

impl<'n> TreeNodeVisitor<'n> for Parts {
    type Node = Expr;

    fn f_down(&mut self, expr: &'n Expr) -> Result<TreeNodeRecursion> {
        self.more = self.more.saturating_add(1_u64.checked_shl(self.levels).unwrap_or(u64::MAX) - 1);
        if self.more > PARTS_MAX {
            let text = "statement is too complex: coalesce nests too deep";
            return Err(fault(SqlState::STATEMENT_TOO_COMPLEX, text));
        }
        self.levels += u32::from(doubles(expr));
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, expr: &'n Expr) -> Result<TreeNodeRecursion> {
        self.levels -= u32::from(doubles(expr));
        Ok(TreeNodeRecursion::Continue)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::functions::expr_fn::{abs, coalesce};
    use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

    use super::*;

    fn nested(levels: usize) -> Result<()> {
        let rows = LogicalPlanBuilder::values(vec![vec![lit(1)]])?;
        let value = (0..levels).fold(col("column1"), |value, _| coalesce(vec![abs(value), lit(1)]));
        bounded(&rows.project(vec![value])?.build()?)
    }

    #[test]
    fn values_that_double_with_each_level_are_bounded() {
        assert!(nested(10).is_ok());
        assert!(nested(20).is_err() && nested(70).is_err());
    }

    #[test]
    fn many_beside_each_other_are_not_too_many() {
        let rows = LogicalPlanBuilder::values(vec![vec![lit(1)]]).unwrap();
        let values = (0..1_600).map(|at| coalesce(vec![col("column1"), lit(1)]).alias(format!("c{at}")));
        assert!(bounded(&rows.project(values).unwrap().build().unwrap()).is_ok());
    }
}
