//! The order of a sorted subquery, which a query without an order of its own keeps, as PostgreSQL does.
//!
//! The engine may give up an order that nothing asks for. So the query asks for it: by the columns that it still has of those that the
//! subquery was sorted by.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::Sort as SortExpr;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Limit, Projection, Sort, SubqueryAlias};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::function::Result;
use super::joined_bytes;

/// Aggregates whose answer hangs on the order of the rows.
const ORDERED: [&str; 2] = ["array_agg", "string_agg"];

/// The plan in which orders of subqueries are kept.
pub(super) fn in_order(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => gathered(aggregate),
        node => Ok(Transformed::no(node)),
    })?;
    lifted(plan.data)
}

/// Sorts a result, below its limit, by what a subquery of it was sorted by.
fn lifted(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::Limit(limit) => {
            let input = lifted(limit.input.as_ref().clone())?;
            Ok(LogicalPlan::Limit(Limit { input: Arc::new(input), ..limit }))
        }
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) if nested(&plan) => {
            let expr = ordering(&plan);
            if expr.is_empty() { Ok(plan) } else { Ok(LogicalPlan::Sort(Sort { expr, input: Arc::new(plan), fetch: None })) }
        }
        plan => Ok(plan),
    }
}

/// Whether rows come from a subquery in FROM alone.
fn nested(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(_) => true,
        LogicalPlan::Projection(Projection { input, .. }) | LogicalPlan::Filter(Filter { input, .. }) => nested(input),
        _ => false,
    }
}

/// What the rows of a plan are sorted by, in its own columns.
fn ordering(plan: &LogicalPlan) -> Vec<SortExpr> {
    match plan {
        LogicalPlan::Sort(sort) => sort.expr.clone(),
        LogicalPlan::Limit(Limit { input, .. }) | LogicalPlan::Filter(Filter { input, .. }) => ordering(input),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => {
            let (inner, outer) = (input.schema().columns(), plan.schema().columns());
            renamed(ordering(input), |key| {
                let at = inner.iter().position(|column| matches!(key, Expr::Column(known) if known == column))?;
                outer.get(at).cloned().map(Expr::Column)
            })
        }
        LogicalPlan::Projection(projection) => {
            let columns = plan.schema().columns();
            renamed(ordering(&projection.input), |key| {
                let at = projection.expr.iter().position(|expr| expr.clone().unalias() == *key)?;
                columns.get(at).cloned().map(Expr::Column)
            })
        }
        _ => Vec::new(),
    }
}

/// The keys by other names, up to the first that has none.
fn renamed(keys: Vec<SortExpr>, name: impl Fn(&Expr) -> Option<Expr>) -> Vec<SortExpr> {
    keys.into_iter().map_while(|key| name(&key.expr).map(|expr| SortExpr { expr, ..key })).collect()
}

/// A plan with all that its rows are sorted by among its columns, and these keys; columns that it has not are added behind its own.
fn exposed(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<SortExpr>)>> {
    Ok(match plan {
        LogicalPlan::Sort(sort) => Some((plan.clone(), sort.expr.clone())),
        LogicalPlan::Limit(Limit { input, .. }) | LogicalPlan::Filter(Filter { input, .. }) => match exposed(input)? {
            Some((input, keys)) => Some((plan.with_new_exprs(plan.expressions(), vec![input])?, keys)),
            None => None,
        },
        LogicalPlan::SubqueryAlias(alias) => match exposed(&alias.input)? {
            Some((input, keys)) => {
                let (input, keys) = with_columns(input, keys)?;
                let inner = input.schema().columns();
                let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?);
                let outer = plan.schema().columns();
                let keys = renamed(keys, |key| {
                    let at = inner.iter().position(|column| matches!(key, Expr::Column(known) if known == column))?;
                    outer.get(at).cloned().map(Expr::Column)
                });
                Some((plan, keys))
            }
            None => None,
        },
        LogicalPlan::Projection(projection) => match exposed(&projection.input)? {
            Some((input, keys)) => Some(projected(projection.expr.clone(), input, keys)?),
            None => None,
        },
        _ => None,
    })
}

/// The plan with columns for those of its keys that are none.
fn with_columns(plan: LogicalPlan, keys: Vec<SortExpr>) -> Result<(LogicalPlan, Vec<SortExpr>)> {
    if keys.iter().all(|key| matches!(key.expr, Expr::Column(_))) {
        return Ok((plan, keys));
    }
    let columns = plan.schema().columns().into_iter().map(Expr::Column).collect();
    projected(columns, plan, keys)
}

/// A projection that has the keys among its columns, too.
fn projected(mut exprs: Vec<Expr>, input: LogicalPlan, keys: Vec<SortExpr>) -> Result<(LogicalPlan, Vec<SortExpr>)> {
    let mut places = Vec::new();
    for key in &keys {
        let known = exprs.iter().position(|expr| expr.clone().unalias() == key.expr);
        places.push(known.unwrap_or(exprs.len()));
        if known.is_none() {
            exprs.push(key.expr.clone().alias(format!("meshgate_sort_key_{}", exprs.len())));
        }
    }
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
    let columns = plan.schema().columns();
    let of = |(key, at): (SortExpr, usize)| columns.get(at).cloned().map(|column| SortExpr { expr: Expr::Column(column), ..key });
    let keys = keys.into_iter().zip(places).map_while(of).collect();
    Ok((plan, keys))
}

/// Aggregates without an order take the rows as the subquery sorts them.
fn gathered(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let listed = |expr: &Expr| match expr {
        Expr::AggregateFunction(call) => ORDERED.contains(&call.func.name()) && call.params.order_by.is_empty() && !call.params.distinct,
        _ => false,
    };
    if !aggregate.aggr_expr.iter().any(|expr| expr.exists(|expr| Ok(listed(expr))).unwrap_or(false)) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let Some((input, keys)) = exposed(&aggregate.input)?.filter(|(_, keys)| !keys.is_empty()) else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let names = datafusion::logical_expr::expr_rewriter::NamePreserver::new_for_projection();
    let ordered = |expr: Expr| {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| {
            Ok(match expr {
                Expr::AggregateFunction(mut call) if listed(&Expr::AggregateFunction(call.clone())) => {
                    call.params.order_by.clone_from(&keys);
                    joined_bytes::unordered(&call, input.schema())?;
                    Transformed::yes(Expr::AggregateFunction(call))
                }
                other => Transformed::no(other),
            })
        })?;
        Ok(name.restore(expr.data))
    };
    let exprs = aggregate.aggr_expr.into_iter().map(ordered).collect::<Result<Vec<_>>>()?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), aggregate.group_expr, exprs)?)))
}
