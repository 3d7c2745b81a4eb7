//! Subqueries among the keys of ORDER BY.
//!
//! The engine computes subqueries in a select list, and not where it sorts: such a key is a column beside the others, which is left out again.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::logical_plan::Sort;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::function::Result;
use super::subquery;

/// The plan in which no key of a sort holds a subquery.
pub(super) fn beside(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) if movable(&sort)? => moved(sort).map(Transformed::yes),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(done.data)
}

/// Whether a key holds a subquery, and all that its subqueries name of the rows is in them.
fn movable(sort: &Sort) -> Result<bool> {
    let schema = sort.input.schema();
    let outer = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if !schema.has_column(column));
    let (mut found, mut known) = (false, true);
    for key in &sort.expr {
        key.expr.apply(|part| {
            if let Some(subquery) = subquery::of(part) {
                found = true;
                known &= !subquery.outer_ref_columns.iter().any(outer);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(found && known)
}

fn moved(sort: Sort) -> Result<LogicalPlan> {
    let shown: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut columns = shown.clone();
    let mut keys = Vec::new();
    for (at, key) in sort.expr.into_iter().enumerate() {
        if !key.expr.exists(|part| Ok(subquery::of(part).is_some()))? {
            keys.push(key);
            continue;
        }
        let name = format!("meshgate_sort_key_{at}");
        columns.push(key.expr.alias(&name));
        keys.push(SortExpr { expr: Expr::Column(Column::from_name(name)), ..key });
    }
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(sort.input)).project(columns)?.build()?;
    let sorted = LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(input), fetch: sort.fetch });
    LogicalPlanBuilder::from(sorted).project(shown)?.build()
}
