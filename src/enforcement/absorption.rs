//! What stands straight above a barrier, or above joins of barriers, and is done below it: the first rows in an order, states of
//! aggregates, and joins themselves.
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
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::udaf::AggregateFunctionExpr;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, PhysicalExpr};

use crate::ports::{Aggregate, Kept, OrderKey};
use crate::product::ProductRef;

use super::barrier::GovernedExec;
use super::joined::{self, Joined, Worth};

/// A product that a plan scans, and what its source does beside filtering, in words for EXPLAIN.
pub type TakenOver = (ProductRef, Option<&'static str>);

/// The plan with barriers that have absorbed what they can. It must come before rules that move operators.
pub fn absorb(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    absorb_where(plan, joined::is_much_less)
}

/// The same with joins that are absorbed whole where that is worth it.
pub(super) fn absorb_where(plan: Arc<dyn ExecutionPlan>, worth: Worth) -> Result<Arc<dyn ExecutionPlan>> {
    let absorbed = plan.transform_down(|node| {
        let absorbing = if let Some(sort) = node.downcast_ref::<SortExec>() {
            first_rows(sort)?
        } else if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
            states(aggregate)
        } else if node.is::<HashJoinExec>() {
            joined::below(&node).and_then(|joined| joined.whole(worth)).map(|barrier| Arc::new(barrier) as _)
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
        let joins = barrier.reads().count() > 1;
        let what = match (barrier.absorbed().filter(|_| !barrier.hides_rows()), joins) {
            // All rows of a join come from the source only where none may be hidden.
            (None, true) if !barrier.hides_rows() => Some("Join"),
            (None, _) => None,
            (Some(Kept::First { .. }), false) => Some("Sort, Limit"),
            (Some(Kept::First { .. }), true) => Some("Join, Sort, Limit"),
            (Some(Kept::States { .. }), false) => Some("Partial Aggregate"),
            (Some(Kept::States { .. }), true) => Some("Join, Partial Aggregate"),
        };
        told.extend(barrier.reads().map(|(product, _)| (product.clone(), what)));
    }
    told
}

/// What an operator stands on.
enum Below<'a> {
    Barrier(&'a GovernedExec),
    Joined(Joined<'a>),
}

impl Below<'_> {
    /// The barrier over a source that keeps no more than that.
    fn absorbing(&self, kept: &Kept) -> Option<GovernedExec> {
        match self {
            Self::Barrier(barrier) => barrier.absorbing(kept).filter(|absorbing| joined::is_worth_it(&[barrier], absorbing)),
            Self::Joined(joined) => joined.absorbing(kept),
        }
    }
}

/// What is found below an operator: where, and where these columns leave it.
struct Found<'a> {
    below: Below<'a>,
    node: &'a Arc<dyn ExecutionPlan>,
    places: Vec<usize>,
}

/// The same order and limit over a barrier that knows of them.
fn first_rows(sort: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(rows) = sort.fetch() else { return Ok(None) };
    let absorbing = || {
        let keys: Vec<usize> = sort.expr().iter().map(|key| position(&key.expr)).collect::<Option<_>>()?;
        let Found { below, node, places } = found(sort.input(), keys)?;
        let keys = places.into_iter().zip(sort.expr().iter());
        let keys = keys.map(|(column, key)| OrderKey { column, options: key.options }).collect();
        Some((below.absorbing(&Kept::First { keys, rows })?, node))
    };
    let Some((barrier, node)) = absorbing() else { return Ok(None) };
    let below = in_place(sort.input(), node, Arc::new(barrier))?;
    Ok(Some(Arc::new(sort.clone()).replace_children(vec![below], recomputed())?))
}

fn recomputed() -> ReplaceChildrenOptions {
    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute)
}

/// The plan with a barrier in the place of a node in it.
fn in_place(
    plan: &Arc<dyn ExecutionPlan>,
    node: &Arc<dyn ExecutionPlan>,
    barrier: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    match plan.children()[..] {
        [below] if !Arc::ptr_eq(plan, node) => Arc::clone(plan).replace_children(vec![in_place(below, node, barrier)?], recomputed()),
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
    let Found { below, places, .. } = found(aggregation.input(), columns.clone())?;
    let place = |column: usize| columns.iter().zip(&places).find(|(own, _)| **own == column).map(|(_, place)| *place);
    let kept = Kept::States { groups, aggregates, schema: aggregation.schema() }.over(place)?;
    Some(Arc::new(below.absorbing(&kept)?))
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

/// The barrier, or joins of barriers, below operators that do nothing but to choose and name columns.
fn found(node: &Arc<dyn ExecutionPlan>, columns: Vec<usize>) -> Option<Found<'_>> {
    if let Some(barrier) = node.downcast_ref::<GovernedExec>() {
        return Some(Found { below: Below::Barrier(barrier), node, places: columns });
    }
    if let Some(joined) = joined::below(node).filter(Joined::is_whole) {
        return Some(Found { below: Below::Joined(joined), node, places: columns });
    }
    let Some(projection) = node.downcast_ref::<ProjectionExec>() else {
        return joined::below(node).map(|joined| Found { below: Below::Joined(joined), node, places: columns });
    };
    let below = columns.iter().map(|column| position(&projection.expr().get(*column)?.expr)).collect::<Option<Vec<usize>>>()?;
    found(projection.input(), below)
}
