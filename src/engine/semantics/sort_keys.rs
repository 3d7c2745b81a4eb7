//! Subqueries among the keys of ORDER BY.
//!
//! The engine computes subqueries in a select list, and not where it sorts: such a key is a column beside the others, which is left out again.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::logical_plan::{Projection, Sort};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::function::Result;
use super::subquery;

/// The plan in which no key of a sort holds a subquery.
pub(super) fn beside(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Sort(sort) if sort.expr.iter().any(|key| asks(&key.expr)) => match moved(&sort)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(LogicalPlan::Sort(sort))),
        },
        node => Ok(Transformed::no(node)),
    })?;
    Ok(done.data)
}

fn asks(expr: &Expr) -> bool {
    expr.exists(|part| Ok(subquery::of(part).is_some())).unwrap_or(false)
}

fn moved(sort: &Sort) -> Result<Option<LogicalPlan>> {
    let shown: Vec<Expr> = sort.input.schema().columns().into_iter().map(Expr::Column).collect();
    let (mut columns, mut beneath, mut keys) = (shown.clone(), Vec::new(), Vec::new());
    for (at, key) in sort.expr.iter().enumerate() {
        if !asks(&key.expr) {
            keys.push(key.clone());
            continue;
        }
        let name = format!("meshgate_sort_key_{at}");
        if knows(sort.input.schema(), &key.expr)? {
            columns.push(key.expr.clone().alias(&name));
        } else {
            let Some(expr) = of_input(&sort.input, &key.expr)? else { return Ok(None) };
            beneath.push(expr.alias(&name));
            columns.push(Expr::Column(Column::from_name(&name)));
        }
        keys.push(SortExpr { expr: Expr::Column(Column::from_name(name)), ..key.clone() });
    }
    let input = match sort.input.as_ref() {
        LogicalPlan::Projection(projection) if !beneath.is_empty() => {
            let exprs = projection.expr.iter().cloned().chain(beneath).collect();
            Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, Arc::clone(&projection.input))?))
        }
        _ => Arc::clone(&sort.input),
    };
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(input)).project(columns)?.build()?;
    let sorted = LogicalPlan::Sort(Sort { expr: keys, input: Arc::new(input), fetch: sort.fetch });
    LogicalPlanBuilder::from(sorted).project(shown)?.build().map(Some)
}

/// Whether all that a key and its subqueries name of the rows is in them.
fn knows(schema: &DFSchema, key: &Expr) -> Result<bool> {
    let mut known = true;
    key.apply(|part| {
        let outer = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(_, column) if !schema.has_column(column));
        known &= match part {
            Expr::Column(column) => schema.has_column(column),
            part => subquery::of(part).is_none_or(|subquery| !subquery.outer_ref_columns.iter().any(outer)),
        };
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(known)
}

/// The key over the rows of which a select list is made, where what it names is in those.
fn of_input(plan: &LogicalPlan, key: &Expr) -> Result<Option<Expr>> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
    let named = key.clone().transform_up(|part| {
        let Expr::Column(column) = &part else { return Ok(Transformed::no(part)) };
        let at = projection.schema.index_of_column(column).ok();
        Ok(match at.and_then(|at| projection.expr.get(at)) {
            Some(expr) => Transformed::yes(expr.clone().unalias()),
            None => Transformed::no(part),
        })
    })?;
    Ok(if knows(projection.input.schema(), &named.data)? { Some(named.data) } else { None })
}
