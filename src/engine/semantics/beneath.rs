//! Subqueries within aggregates and among the keys of groups: `count(*) FILTER (WHERE EXISTS (…))`, `sum(CASE WHEN x IN (SELECT …) …)`,
//! `GROUP BY EXISTS (…)`.
//!
//! The engine knows subqueries of rows, and none of groups. So what holds one is a column of a query beneath the groups.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::function::Result;
use super::subquery;

/// The plan whose aggregates take columns where they took subqueries.
pub(super) fn columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let done = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) if aggregate.aggr_expr.iter().chain(&aggregate.group_expr).any(holds_query) => {
            of_columns(aggregate).map(Transformed::yes)
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(done.data)
}

fn holds_query(expr: &Expr) -> bool {
    expr.exists(|part| Ok(subquery::of(part).is_some())).unwrap_or(false)
}

fn of_columns(aggregate: Aggregate) -> Result<LogicalPlan> {
    let mut exprs: Vec<Expr> = aggregate.input.schema().columns().into_iter().map(Expr::Column).collect();
    let mut column = |value: Expr| {
        let name = format!("meshgate_beneath_{}", exprs.len());
        exprs.push(value.alias(&name));
        Expr::Column(Column::from_name(name))
    };
    let (schema, mut keys, mut moved) = (Arc::clone(&aggregate.schema), Vec::new(), false);
    for key in aggregate.group_expr {
        let holds = holds_query(&key) && !matches!(key, Expr::GroupingSet(_));
        keys.push(if holds { column(key) } else { key });
        moved |= holds;
    }
    let mut one = |expr: Expr| {
        Ok(match expr {
            Expr::AggregateFunction(mut call) => {
                for arg in call.params.args.iter_mut().filter(|arg| holds_query(arg)) {
                    *arg = column(std::mem::take(arg));
                }
                for filter in call.params.filter.iter_mut().filter(|filter| holds_query(filter)) {
                    **filter = column(std::mem::take(filter.as_mut()));
                }
                Transformed::yes(Expr::AggregateFunction(call))
            }
            other => Transformed::no(other),
        })
    };
    let names = NamePreserver::new_for_projection();
    let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
    for call in aggregate.aggr_expr {
        let name = names.save(&call);
        calls.push(name.restore(call.transform_up(&mut one)?.data));
    }
    let input = LogicalPlanBuilder::from(aggregate.input.as_ref().clone()).project(exprs)?.build()?;
    let plan = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), keys, calls)?);
    if !moved {
        return Ok(plan);
    }
    // To those above, a key goes by the name that it had.
    let shown =
        plan.schema().columns().into_iter().zip(schema.iter()).map(|(column, (qualifier, field))| match &column.name == field.name() {
            true => Expr::Column(column),
            false => Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()),
        });
    let shown: Vec<Expr> = shown.collect();
    LogicalPlanBuilder::from(plan).project(shown)?.build()
}
