//! Which subqueries name columns of the rows around them where the planner cannot make a join of them.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::expr::{BinaryExpr, Cast};
use datafusion::logical_expr::logical_plan::{Distinct, SubqueryAlias, Window};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

/// Whether the plan is a LATERAL subquery.
pub(super) fn lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => lateral(input),
        LogicalPlan::Subquery(_) => true,
        _ => false,
    }
}

/// Whether the expression is a subquery.
pub(super) fn subquery(expr: &Expr) -> bool {
    super::super::subquery::of(expr).is_some()
}

/// Whether anything in the plan names a column of the rows around it.
pub(super) fn correlated(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        found |= node.contains_outer_reference();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// What stands above a condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Nothing,
    /// Rows are gathered, which conditions of equality can be looked at above.
    Gathered,
    /// Rows are counted.
    Counted,
}

/// Whether the planner cannot make a join of it.
pub(super) fn hard(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => hard(&alias.input),
        LogicalPlan::Subquery(subquery) => hard(&subquery.subquery),
        plan => hard_below(plan, Above::Nothing, false),
    }
}

/// `named`: the rows are those of a subquery in FROM, through whose name the planner does not see.
fn hard_below(plan: &LogicalPlan, above: Above, named: bool) -> bool {
    let own = match plan {
        LogicalPlan::Filter(filter) => split_conjunction(&filter.predicate).into_iter().any(|condition| {
            condition.contains_outer()
                && match above {
                    Above::Nothing => false,
                    Above::Gathered => !equal(condition),
                    Above::Counted => true,
                }
        }),
        LogicalPlan::Subquery(_) => false,
        plan => plan.contains_outer_reference(),
    };
    let named = named || matches!(plan, LogicalPlan::SubqueryAlias(_));
    let above = match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) if named => Above::Counted,
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(Distinct::All(_)) if above == Above::Nothing => Above::Gathered,
        LogicalPlan::Limit(_) | LogicalPlan::Window(_) | LogicalPlan::Distinct(Distinct::On(_)) => Above::Counted,
        _ => above,
    };
    own || plan.inputs().into_iter().any(|input| hard_below(input, above, named))
}

/// Whether a window is computed over rows that columns around choose.
pub(super) fn windowed(plan: &LogicalPlan) -> bool {
    let chosen = |window: &Window| correlated(&window.input);
    let mut found = false;
    let visited = plan.apply_with_subqueries(|node| {
        found |= matches!(node, LogicalPlan::Window(window) if chosen(window));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || visited.is_err()
}

/// Whether a correlated subquery may have several rows, of which the planner wants to know one.
pub(super) fn several(plan: &LogicalPlan) -> bool {
    let mut top = plan;
    loop {
        match top {
            LogicalPlan::Projection(projection) => top = &projection.input,
            LogicalPlan::SubqueryAlias(alias) => top = &alias.input,
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => return false,
            LogicalPlan::EmptyRelation(_) => return false,
            _ => return correlated(plan),
        }
    }
}

/// A column of the subquery that is equal to something around it.
fn equal(condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return false };
    let bare = |side: &Expr| match side {
        Expr::Column(_) => true,
        Expr::Cast(Cast { expr, .. }) => matches!(expr.as_ref(), Expr::Column(_)),
        _ => false,
    };
    bare(left) && !right.any_column_refs() || bare(right) && !left.any_column_refs()
}

#[cfg(test)]
mod tests {
    use datafusion::common::Column;
    use datafusion::logical_expr::{col, out_ref_col};
    use datafusion::prelude::lit;

    use super::*;

    #[test]
    fn an_equality_with_the_outside_is_a_join_already() {
        let outer = out_ref_col(arrow::datatypes::DataType::Int32, Column::from_qualified_name("o.x"));
        assert!(equal(&col("y").eq(outer.clone())) && equal(&outer.clone().eq(col("y"))));
        assert!(!equal(&col("y").lt(outer.clone())) && !equal(&(col("y") + lit(1)).eq(outer)));
    }
}
