//! Checks a physical plan before it runs: every leaf is governed or belongs to the system.
//!
//! This is the second path to the same safety: `govern` opened the tables, and here nothing of how it did so is believed.

use std::sync::Arc;

use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::work_table::WorkTableExec;

use crate::policy::{Decision, Outcome};

use super::Error;
use super::barrier::GovernedExec;

/// Fails unless every leaf of the plan stands under a barrier, under an allow of this statement, or reads system tables in memory.
/// A scalar subquery's plan is a child of its operator, so it is checked with the others.
pub fn verify(plan: &Arc<dyn ExecutionPlan>, decisions: &[Arc<Decision>]) -> Result<(), Error> {
    let mut pending = vec![plan];
    while let Some(node) = pending.pop() {
        if let Some(barrier) = node.downcast_ref::<GovernedExec>() {
            for (product, id) in barrier.reads() {
                let allows = |decision: &Decision| {
                    decision.id == id && &decision.product == product && matches!(decision.outcome, Outcome::Allow(_))
                };
                if !decisions.iter().any(|decision| allows(decision)) {
                    return Err(Error::Undecided { product: product.clone() });
                }
            }
            continue;
        }
        let children = node.children();
        if children.is_empty() && !is_system_leaf(node) {
            return Err(Error::Ungoverned { operator: node.name().to_owned() });
        }
        // EXPLAIN ANALYZE counts rows below the barrier.
        if node.name() == "AnalyzeExec" {
            return Err(Error::Ungoverned { operator: node.name().to_owned() });
        }
        pending.extend(children);
    }
    Ok(())
}

fn is_system_leaf(node: &Arc<dyn ExecutionPlan>) -> bool {
    let in_memory = node.downcast_ref::<DataSourceExec>().is_some_and(|scan| scan.data_source().is::<MemorySourceConfig>());
    in_memory || node.is::<EmptyExec>() || node.is::<PlaceholderRowExec>() || node.is::<LazyMemoryExec>() || node.is::<WorkTableExec>()
}
