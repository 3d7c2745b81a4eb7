//! LATERAL subqueries that only compute: their columns beside those that they are computed from.
//!
//! The planner takes LATERAL where it can be a join. Where the subquery reads nothing, it is a row of expressions for each row before it.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{EmptyRelation, Expr, Join, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias};

use super::function::Result;

/// Puts a projection in the place of each such join.
pub(super) fn flattened(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => match computed(&join)? {
            Some(projection) => Ok(Transformed::yes(projection)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        node => Ok(Transformed::no(node)),
    })?;
    Ok(done.data)
}

fn computed(join: &Join) -> Result<Option<LogicalPlan>> {
    let unconditional = join.on.is_empty() && join.filter.as_ref().is_none_or(truth);
    if !unconditional || !matches!(join.join_type, JoinType::Inner | JoinType::Left) {
        return Ok(None);
    }
    let Some(exprs) = row_of(&join.right) else { return Ok(None) };
    let kept = join.left.schema().columns().into_iter().map(Expr::Column);
    let fields = join.right.schema().iter();
    let added = exprs.iter().zip(fields).map(|(expr, (qualifier, field))| -> Result<Expr> {
        let inner = expr.clone().transform_up(|part| {
            Ok(match part {
                Expr::OuterReferenceColumn(_, column) => Transformed::yes(Expr::Column(column)),
                part => Transformed::no(part),
            })
        })?;
        Ok(inner.data.unalias().alias_qualified(qualifier.cloned(), field.name()))
    });
    let exprs = kept.map(Ok).chain(added).collect::<Result<Vec<_>>>()?;
    LogicalPlanBuilder::from(join.left.as_ref().clone()).project(exprs)?.build().map(Some)
}

fn truth(filter: &Expr) -> bool {
    *filter == Expr::Literal(datafusion::common::ScalarValue::Boolean(Some(true)), None)
}

/// The expressions of a subquery that reads nothing and has one row.
fn row_of(plan: &Arc<LogicalPlan>) -> Option<Vec<Expr>> {
    match plan.as_ref() {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => row_of(input),
        LogicalPlan::Subquery(subquery) => row_of(&subquery.subquery),
        LogicalPlan::Projection(Projection { expr, input, .. }) => {
            let one_row = matches!(input.as_ref(), LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }));
            let plain = expr.iter().all(|expr| !expr.exists(|part| Ok(subquery(part))).unwrap_or(true));
            if one_row {
                return plain.then(|| expr.clone());
            }
            // Columns that only get other names.
            let inner = row_of(input)?;
            let place = |expr: &Expr| match expr.clone().unalias() {
                Expr::Column(column) => input.schema().index_of_column(&column).ok().and_then(|at| inner.get(at).cloned()),
                _ => None,
            };
            expr.iter().map(place).collect()
        }
        _ => None,
    }
}

fn subquery(part: &Expr) -> bool {
    matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::Unnest(_))
}
