//! `ROWS $1 PRECEDING`: counts of window frames that are parameters.
//!
//! The planner wants a number in their places, and gets one that is no count of rows; it becomes the parameter's value as soon as that is known.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFrameBound};

use crate::error::SqlState;

use super::function::{Result, fault};

/// What is added to the number of a parameter: more rows than there are.
const FIRST: u64 = 9_100_000_000_000_000_000;
/// The most parameters that a statement may have.
const PARAMETERS_MAX: u64 = 65_535;

/// The count that stands for a parameter.
pub(in crate::engine) fn standing_for(parameter: usize) -> Option<u64> {
    u64::try_from(parameter).ok().filter(|number| (1..=PARAMETERS_MAX).contains(number)).map(|number| FIRST + number)
}

/// The parameter that a count stands for, from 0.
fn parameter(count: &ScalarValue) -> Option<usize> {
    let ScalarValue::UInt64(Some(count)) = count else { return None };
    let number = count.checked_sub(FIRST).filter(|number| (1..=PARAMETERS_MAX).contains(number))?;
    usize::try_from(number - 1).ok()
}

/// The plan with the values of parameters in the places of counts that stand for them.
/// Where they are not known yet, any count will do.
pub(in crate::engine) fn bound(plan: LogicalPlan, values: Option<&[ScalarValue]>) -> Result<LogicalPlan> {
    let Some(values) = values.filter(|_| stands(&plan).unwrap_or(true)) else { return Ok(plan) };
    let done = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            counted(expr, values).map(|expr| Transformed::yes(name.restore(expr)))
        })?;
        node.data.recompute_schema().map(Transformed::yes)
    })?;
    Ok(done.data)
}

/// Whether any count of a frame stands for a parameter.
fn stands(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Window(window) = node {
            for expr in &window.window_expr {
                found |= expr.exists(|part| match part {
                    Expr::WindowFunction(call) => {
                        let frame = &call.params.window_frame;
                        Ok([&frame.start_bound, &frame.end_bound].into_iter().filter_map(count).any(|count| parameter(count).is_some()))
                    }
                    _ => Ok(false),
                })?;
            }
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn count(bound: &WindowFrameBound) -> Option<&ScalarValue> {
    match bound {
        WindowFrameBound::Preceding(count) | WindowFrameBound::Following(count) => Some(count),
        WindowFrameBound::CurrentRow => None,
    }
}

fn counted(expr: Expr, values: &[ScalarValue]) -> Result<Expr> {
    let done = expr.transform_up(|expr| match expr {
        Expr::WindowFunction(mut call) => {
            let frame = &mut call.params.window_frame;
            for (word, bound) in [("starting", &mut frame.start_bound), ("ending", &mut frame.end_bound)] {
                if let WindowFrameBound::Preceding(count) | WindowFrameBound::Following(count) = bound
                    && let Some(at) = parameter(count)
                {
                    *count = ScalarValue::UInt64(Some(given(values.get(at), word)?));
                }
            }
            Ok(Transformed::yes(Expr::WindowFunction(call)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(done.data)
}

/// The value of a parameter as a count of rows.
fn given(value: Option<&ScalarValue>, word: &str) -> Result<u64> {
    match value.and_then(|value| value.cast_to(&arrow::datatypes::DataType::Int64).ok()) {
        Some(ScalarValue::Int64(Some(count))) => u64::try_from(count)
            .map_err(|_| fault(SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE, &format!("frame {word} offset must not be negative"))),
        _ => Err(fault(SqlState::NULL_VALUE_NOT_ALLOWED, &format!("frame {word} offset must not be null"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_stands_for_one_parameter() {
        let count = ScalarValue::UInt64(standing_for(3));
        assert_eq!(parameter(&count), Some(2));
        assert_eq!(parameter(&ScalarValue::UInt64(Some(3))), None);
        assert_eq!((standing_for(0), standing_for(65_536)), (None, None));
    }

    #[test]
    fn a_count_is_neither_negative_nor_null() {
        assert_eq!(given(Some(&ScalarValue::Int64(Some(2))), "starting").unwrap(), 2);
        assert!(given(Some(&ScalarValue::Int64(Some(-1))), "starting").is_err());
        assert!(given(Some(&ScalarValue::Int64(None)), "starting").is_err() && given(None, "ending").is_err());
    }
}
