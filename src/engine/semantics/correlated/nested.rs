//! Subqueries within subqueries that name columns of the rows around both.
//!
//! Once the rows around stand beside those of the subquery, all that the inner one names is in them. INVARIANT: a name means the nearest
//! column of that name, as it did before; where that cannot be told, nothing is changed.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Spans};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::super::function::Result;
use super::super::subquery;
use super::shape;

/// Whether a subquery within the plan names columns of rows that are not the plan's own.
pub(super) fn reaches(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let visited = plan.apply(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                let outside = |outer: &Expr| matches!(outer, Expr::OuterReferenceColumn(_, column) if !schema.has_column(column));
                found |= subquery::of(part).is_some_and(|subquery| subquery.outer_ref_columns.iter().any(outside));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found || visited.is_err()
}

/// EXISTS as a value: in a select list any, in a condition of subqueries in which others reach further, or that have windows of their own.
pub(super) fn counted(expr: Expr, shown: bool) -> Result<Transformed<Expr>> {
    expr.transform_up(|part| match part {
        Expr::Exists(exists) if shown || reaches(&exists.subquery.subquery) || shape::windowed(&exists.subquery.subquery) => {
            some(exists.subquery, exists.negated).map(Transformed::yes)
        }
        part => Ok(Transformed::no(part)),
    })
}

/// Whether a subquery has rows.
fn some(subquery: Subquery, negated: bool) -> Result<Expr> {
    let rows = Arc::unwrap_or_clone(subquery.subquery);
    let plan = LogicalPlanBuilder::from(rows).aggregate(Vec::<Expr>::new(), [count_udaf().call(vec![lit(1_i64)])])?.build()?;
    let outer_ref_columns = plan.all_out_ref_exprs();
    let count = Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: Spans::new() });
    Ok(if negated { count.eq(lit(0_i64)) } else { count.gt(lit(0_i64)) })
}

/// The subquery with the columns that it names of the rows around it by other names, as a value; `None` if it cannot be one, or there is
/// a column that has no name here.
pub(super) fn renamed(expr: Expr, name: &dyn Fn(Column) -> Option<Column>) -> Result<Option<Expr>> {
    match expr {
        Expr::ScalarSubquery(subquery) => Ok(moved(subquery, name)?.map(Expr::ScalarSubquery)),
        Expr::Exists(exists) => match moved(exists.subquery, name)? {
            Some(subquery) => some(subquery, exists.negated).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// What stands in the place of a value while names are changed around it.
pub(super) fn placed(number: usize) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(format!("meshgate_within_{number}"), None))
}

/// The value whose place it is.
pub(super) fn replaced(part: Expr, values: &[Expr]) -> Transformed<Expr> {
    let at = match &part {
        Expr::Placeholder(place) => place.id.strip_prefix("meshgate_within_").and_then(|number| number.parse::<usize>().ok()),
        _ => None,
    };
    match at.and_then(|at| values.get(at.checked_sub(1)?)) {
        Some(value) => Transformed::yes(value.clone()),
        None => Transformed::no(part),
    }
}

fn moved(subquery: Subquery, name: &dyn Fn(Column) -> Option<Column>) -> Result<Option<Subquery>> {
    let mut known = true;
    let plan = Arc::unwrap_or_clone(subquery.subquery).transform_down(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|part| {
                known &= subquery::of(&part).is_none();
                Ok(match part {
                    Expr::OuterReferenceColumn(field, column) => match name(column.clone()) {
                        Some(column) => Transformed::yes(Expr::OuterReferenceColumn(field, column)),
                        None => {
                            known = false;
                            Transformed::no(Expr::OuterReferenceColumn(field, column))
                        }
                    },
                    part => Transformed::no(part),
                })
            })
        })
    })?;
    if !known {
        return Ok(None);
    }
    let outer_ref_columns = plan.data.all_out_ref_exprs();
    Ok(Some(Subquery { subquery: Arc::new(plan.data), outer_ref_columns, spans: subquery.spans }))
}
