//! What stands straight above a barrier and is done below it: the first rows in an order, and states of aggregates.
//!
//! INVARIANT: only where all that the barrier does to rows is done by the source as well, exactly, and only over columns that are shown as they are.
//! The operator above stays, or its half that merges states: an answer never hangs on how much the source has left out, only
//! on its having left out nothing else. A barrier that has absorbed states is still the barrier of its product, under its decision.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::udaf::AggregateFunctionExpr;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, PhysicalExpr};

use crate::ports::{Aggregate, Kept, OrderKey};
use crate::product::ProductRef;

use super::barrier::GovernedExec;

/// A product that a plan scans, and what its source does beside filtering, in words for EXPLAIN.
pub type TakenOver = (ProductRef, Option<&'static str>);

/// The plan with barriers that have absorbed what they can. It must come before rules that move operators.
pub fn absorb(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let absorbed = plan.transform_down(|node| {
        let absorbing = if let Some(sort) = node.downcast_ref::<SortExec>() {
            first_rows(sort)?
        } else if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
            states(aggregate)
        } else {
            None
        };
        Ok(absorbing.map_or_else(|| Transformed::no(node), Transformed::yes))
    })?;
    Ok(absorbed.data)
}

/// A barrier that was opened anew, in the place of another one: it absorbs the same. `None` if it cannot.
pub fn absorb_again(known: &Arc<dyn ExecutionPlan>, fresh: Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    match known.downcast_ref::<GovernedExec>()?.absorbed() {
        None => Some(fresh),
        Some(kept) => Some(Arc::new(fresh.downcast_ref::<GovernedExec>()?.absorbing(kept)?)),
    }
}

/// What the sources of a plan do of what stands above their barriers, product by product. Nothing is told where rows may be hidden: a list of erased
/// people that is too long for a source must not show.
pub fn taken_over(plan: &Arc<dyn ExecutionPlan>) -> Vec<TakenOver> {
    let mut told = Vec::new();
    let mut pending = vec![plan];
    while let Some(node) = pending.pop() {
        let Some(barrier) = node.downcast_ref::<GovernedExec>() else {
            pending.extend(node.children());
            continue;
        };
        let what = match barrier.absorbed().filter(|_| !barrier.hides_rows()) {
            None => None,
            Some(Kept::First { .. }) => Some("Sort, Limit"),
            Some(Kept::States { .. }) => Some("Partial Aggregate"),
        };
        told.push((barrier.product().clone(), what));
    }
    told
}

/// The same order and limit over a barrier that knows of them.
fn first_rows(sort: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(rows) = sort.fetch() else { return Ok(None) };
    let absorbing = || {
        let keys: Vec<usize> = sort.expr().iter().map(|key| position(&key.expr)).collect::<Option<_>>()?;
        let (barrier, places) = barrier_below(sort.input(), keys)?;
        let keys = places.into_iter().zip(sort.expr().iter());
        let keys = keys.map(|(column, key)| OrderKey { column, options: key.options }).collect();
        barrier.absorbing(&Kept::First { keys, rows })
    };
    let Some(barrier) = absorbing() else { return Ok(None) };
    let below = in_place(sort.input(), Arc::new(barrier))?;
    Ok(Some(Arc::new(sort.clone()).replace_children(vec![below], recomputed())?))
}

fn recomputed() -> ReplaceChildrenOptions {
    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute)
}

/// The node above the barrier, with another barrier.
fn in_place(node: &Arc<dyn ExecutionPlan>, barrier: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    match node.children()[..] {
        [below] if !node.is::<GovernedExec>() => Arc::clone(node).replace_children(vec![in_place(below, barrier)?], recomputed()),
        _ => Ok(barrier),
    }
}

/// The barrier in the place of an aggregation's first half.
fn states(aggregation: &AggregateExec) -> Option<Arc<dyn ExecutionPlan>> {
    let keys = aggregation.group_expr();
    let plain = *aggregation.mode() == AggregateMode::Partial
        && (keys.is_single() || keys.is_empty())
        && !keys.has_grouping_set()
        && aggregation.limit_options().is_none()
        && aggregation.filter_expr().iter().all(Option::is_none);
    if !plain {
        return None;
    }
    let groups = keys.expr().iter().map(|(key, _)| position(key)).collect::<Option<Vec<usize>>>()?;
    let aggregates = aggregation.aggr_expr().iter().map(|aggregate| one(aggregate)).collect::<Option<Vec<Aggregate>>>()?;
    let columns: Vec<usize> = groups.iter().copied().chain(aggregates.iter().filter_map(|aggregate| aggregate.column())).collect();
    let (barrier, places) = barrier_below(aggregation.input(), columns.clone())?;
    let place = |column: usize| columns.iter().zip(&places).find(|(own, _)| **own == column).map(|(_, place)| *place);
    let kept = Kept::States { groups, aggregates, schema: aggregation.schema() }.over(place)?;
    Some(Arc::new(barrier.absorbing(&kept)?))
}

/// An aggregate with one state, which is one of its own kind.
fn one(aggregate: &AggregateFunctionExpr) -> Option<Aggregate> {
    let one_state = aggregate.state_fields().ok()?.len() == 1;
    if !one_state || aggregate.is_distinct() || aggregate.ignore_nulls() || !aggregate.order_bys().is_empty() {
        return None;
    }
    let arguments = aggregate.expressions();
    let [argument] = arguments.as_slice() else { return None };
    match aggregate.fun().name() {
        "count" if argument.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null()) => Some(Aggregate::Rows),
        "count" => position(argument).map(Aggregate::Values),
        "sum" => position(argument).or_else(|| widened(argument)).map(Aggregate::Sum),
        "min" => position(argument).map(Aggregate::Min),
        "max" => position(argument).map(Aggregate::Max),
        _ => None,
    }
}

fn position(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expr.downcast_ref::<Column>().map(Column::index)
}

/// The column of integers that is made wider, so that its sum fits.
fn widened(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    let cast = expr.downcast_ref::<CastExpr>()?;
    // A narrower type would not be summed by the source: its state has another type.
    let wide = match cast.cast_type() {
        DataType::Int64 => true,
        DataType::Decimal128(precision, 0) => *precision >= 19,
        _ => false,
    };
    if wide { position(cast.expr()) } else { None }
}

/// The barrier below operators that do nothing but to choose and name columns, and where these columns leave it.
fn barrier_below(node: &Arc<dyn ExecutionPlan>, columns: Vec<usize>) -> Option<(&GovernedExec, Vec<usize>)> {
    if let Some(barrier) = node.downcast_ref::<GovernedExec>() {
        return Some((barrier, columns));
    }
    let projection = node.downcast_ref::<ProjectionExec>()?;
    let below = columns.iter().map(|column| position(&projection.expr().get(*column)?.expr)).collect::<Option<Vec<usize>>>()?;
    barrier_below(projection.input(), below)
}
