//! The order of a sorted subquery, which a query without an order of its own keeps, as PostgreSQL does.
//!
//! The engine may give up an order that nothing asks for. So the query asks for it: by the columns that it still has of those that the
//! subquery was sorted by. Aggregates and windows that take the rows in their order ask for it by all of these: what the subquery does not
//! return is carried up beside its columns, and nothing above names it.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::expr::{Sort as SortExpr, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::{Aggregate, Filter, Limit, Projection, Sort, SubqueryAlias, Window};
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFrameUnits, WindowFunctionDefinition};

use super::function::Result;
use super::joined_bytes;

/// Aggregates whose answer hangs on the order of the rows.
const ORDERED: [&str; 2] = ["array_agg", "string_agg"];
/// Windows whose answer hangs on it though all rows are in their frames.
const PLACED: [&str; 7] = ["row_number", "first_value", "last_value", "nth_value", "lag", "lead", "ntile"];

/// The plan in which orders of subqueries are kept.
pub(super) fn in_order(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => gathered(aggregate),
        LogicalPlan::Window(window) => windowed(window),
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

/// The plan with all that its rows are sorted by among its columns; `None` if they are not sorted.
fn carried(plan: &LogicalPlan) -> Result<Option<(LogicalPlan, Vec<SortExpr>)>> {
    Ok(match plan {
        // A key that is another each time cannot be asked for again.
        LogicalPlan::Sort(sort) if sort.expr.iter().any(|key| key.expr.is_volatile()) => None,
        LogicalPlan::Sort(sort) => Some((plan.clone(), sort.expr.clone())),
        LogicalPlan::Limit(limit) => {
            carried(&limit.input)?.map(|(input, keys)| (LogicalPlan::Limit(Limit { input: Arc::new(input), ..limit.clone() }), keys))
        }
        LogicalPlan::Filter(filter) => match carried(&filter.input)? {
            Some((input, keys)) => Some((LogicalPlan::Filter(Filter::try_new(filter.predicate.clone(), Arc::new(input))?), keys)),
            None => None,
        },
        LogicalPlan::SubqueryAlias(alias) => match carried(&alias.input)? {
            Some((input, keys)) => {
                let inner = input.schema().columns();
                let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?);
                let outer = plan.schema().columns();
                let keys = keys.into_iter().map(|key| requalified(key, &inner, &outer)).collect::<Result<Vec<_>>>()?;
                Some((plan, keys))
            }
            None => None,
        },
        LogicalPlan::Projection(projection) => projected(projection)?,
        LogicalPlan::Window(window) => match carried(&window.input)? {
            Some((input, keys)) => Some((LogicalPlan::Window(Window::try_new(window.window_expr.clone(), Arc::new(input))?), keys)),
            None => None,
        },
        _ => None,
    })
}

/// The key in the columns that stand in the place of others.
fn requalified(key: SortExpr, inner: &[Column], outer: &[Column]) -> Result<SortExpr> {
    let named = |part: Expr| {
        Ok(match part {
            Expr::Column(column) => match inner.iter().position(|known| *known == column).and_then(|at| outer.get(at)) {
                Some(other) => Transformed::yes(Expr::Column(other.clone())),
                None => Transformed::no(Expr::Column(column)),
            },
            part => Transformed::no(part),
        })
    };
    let expr = key.expr.clone().transform_up(named)?.data;
    Ok(SortExpr { expr, ..key })
}

/// A select list, with the keys that are not in it beside it.
fn projected(projection: &Projection) -> Result<Option<(LogicalPlan, Vec<SortExpr>)>> {
    let Some((input, keys)) = carried(&projection.input)? else { return Ok(None) };
    let mut exprs = projection.expr.clone();
    let mut places = Vec::with_capacity(keys.len());
    for key in &keys {
        let known = exprs.iter().position(|expr| expr.clone().unalias() == key.expr);
        places.push(known.unwrap_or(exprs.len()));
        if known.is_none() {
            exprs.push(key.expr.clone().alias(format!("meshgate_order_{}", exprs.len())));
        }
    }
    let plan = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?);
    let columns = plan.schema().columns();
    let named = |(key, at): (SortExpr, usize)| columns.get(at).map(|column| SortExpr { expr: Expr::Column(column.clone()), ..key });
    let keys = keys.into_iter().zip(places).map_while(named).collect();
    Ok(Some((plan, keys)))
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
    let Some((input, keys)) = carried(&aggregate.input)? else { return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))) };
    let ordered = |expr: Expr| match expr {
        Expr::AggregateFunction(mut call) if listed(&Expr::AggregateFunction(call.clone())) => {
            call.params.order_by.clone_from(&keys);
            joined_bytes::unordered(&call, input.schema())?;
            Ok(Transformed::yes(Expr::AggregateFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    };
    let exprs = each(aggregate.aggr_expr, &ordered)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), aggregate.group_expr, exprs)?)))
}

/// So do windows without an order whose answers hang on one.
fn windowed(window: Window) -> Result<Transformed<LogicalPlan>> {
    if !window.window_expr.iter().any(|expr| expr.exists(|expr| Ok(takes_order(expr))).unwrap_or(false)) {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let Some((input, keys)) = carried(&window.input)? else { return Ok(Transformed::no(LogicalPlan::Window(window))) };
    let ordered = |expr: Expr| match expr {
        Expr::WindowFunction(mut call) if takes_order(&Expr::WindowFunction(call.clone())) => {
            call.params.order_by.clone_from(&keys);
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    };
    // Windows of one node have one order.
    let (sorted, others): (Vec<Expr>, Vec<Expr>) =
        window.window_expr.into_iter().partition(|expr| expr.exists(|part| Ok(takes_order(part))).unwrap_or(false));
    let mut plan = Window::try_new(each(sorted, &ordered)?, Arc::new(input))?;
    if !others.is_empty() {
        plan = Window::try_new(others, Arc::new(LogicalPlan::Window(plan)))?;
    }
    Ok(Transformed::yes(LogicalPlan::Window(plan)))
}

/// Whether a window of one partition takes the rows as they come, and an order of them leaves its frames as they are.
fn takes_order(expr: &Expr) -> bool {
    let Expr::WindowFunction(call) = expr else { return false };
    let WindowFunction { fun, params } = call.as_ref();
    let frame = &params.window_frame;
    let whole = frame.start_bound.is_unbounded() && frame.end_bound.is_unbounded();
    let hangs = match fun {
        WindowFunctionDefinition::WindowUDF(function) => PLACED.contains(&function.name()),
        WindowFunctionDefinition::AggregateUDF(function) => {
            frame.units == WindowFrameUnits::Rows && !whole || ORDERED.contains(&function.name())
        }
    };
    params.order_by.is_empty() && hangs && (whole || frame.units == WindowFrameUnits::Rows)
}

/// The expressions with their parts in other forms, by their own names.
fn each(exprs: Vec<Expr>, changed: &dyn Fn(Expr) -> Result<Transformed<Expr>>) -> Result<Vec<Expr>> {
    let names = NamePreserver::new_for_projection();
    let one = |expr: Expr| {
        let name = names.save(&expr);
        Ok(name.restore(expr.transform_up(changed)?.data))
    };
    exprs.into_iter().map(one).collect()
}
