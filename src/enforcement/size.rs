//! Whether a plan reads so much that it is worth several threads.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::barrier::GovernedExec;

/// Fewer rows are read by one thread before others have begun.
const ROWS_LARGE: usize = 1 << 16;
/// Where rows may be hidden the count includes them, and what hangs on it tells whether there are more or fewer than this, and no more.
const ROWS_LARGE_WHERE_HIDDEN: usize = 1 << 20;

/// Whether a data product's source in the plan is large.
pub fn reads_much(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut pending = vec![plan];
    while let Some(node) = pending.pop() {
        match node.downcast_ref::<GovernedExec>() {
            None => pending.extend(node.children()),
            Some(barrier) if is_large(barrier) => return true,
            Some(_) => {}
        }
    }
    false
}

/// Whether what it reads is large.
pub(super) fn is_large(barrier: &GovernedExec) -> bool {
    let large = if barrier.hides_rows() { ROWS_LARGE_WHERE_HIDDEN } else { ROWS_LARGE };
    barrier.rows_read().is_some_and(|rows| rows >= large)
}
