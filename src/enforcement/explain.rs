//! The text of a plan as EXPLAIN shows it: what the user asked for, down to the barrier and not below.
//!
//! INVARIANT: no literal of a policy, no id, no path and no number that hangs on hidden rows. The logical plan is shown, for the
//! physical one tells by its partitions how large a source is.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan};

use crate::policy::{Obligations, Outcome};

use super::table::GovernedTable;

/// Renders a governed, optimized plan, one operator a line, indented by two spaces a level.
pub fn explain_above_barrier(plan: &LogicalPlan) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![(plan.clone(), 0usize)];
    while let Some((node, depth)) = pending.pop() {
        lines.push(format!("{}{}", "  ".repeat(depth), line(&node)));
        let mut below: Vec<LogicalPlan> = node.inputs().into_iter().cloned().collect();
        // Rendering cannot fail halfway: a subquery that cannot be walked is left out.
        let _ = node.apply_subqueries(|subquery| {
            below.push(subquery.clone());
            Ok(TreeNodeRecursion::Continue)
        });
        pending.extend(below.into_iter().rev().map(|child| (child, depth.saturating_add(1))));
    }
    lines
}

fn line(node: &LogicalPlan) -> String {
    match node {
        LogicalPlan::TableScan(scan) => scan_line(scan),
        other => other.display().to_string(),
    }
}

fn scan_line(scan: &TableScan) -> String {
    let columns: Vec<&str> = scan.projected_schema.fields().iter().map(|field| field.name().as_str()).collect();
    let Some(table) = GovernedTable::of_scan(scan) else {
        return format!("System table {}: columns=[{}]", scan.table_name, columns.join(", "));
    };
    let mut text = format!("Governed scan {}: columns=[{}]", table.product().reference, columns.join(", "));
    if !scan.filters.is_empty() {
        let filters: Vec<String> = scan.filters.iter().map(Expr::to_string).collect();
        text.push_str(&format!(", pushed filters=[{}]", filters.join(", ")));
    }
    if let Some(Outcome::Allow(obligations)) = table.decision().map(|decision| &decision.outcome) {
        text.push_str(&applied(obligations, &columns));
    }
    text
}

/// The kinds of what applies, never their content.
fn applied(obligations: &Obligations, columns: &[&str]) -> String {
    let yes = |applies: bool| if applies { "yes" } else { "no" };
    let masked: Vec<&str> = columns.iter().copied().filter(|name| obligations.masks.keys().any(|field| field.as_str() == *name)).collect();
    format!(
        ", row filter: {}, exclusion: {}, masked=[{}]",
        yes(!obligations.row_filter.is_true()),
        yes(obligations.exclusion.is_some()),
        masked.join(", ")
    )
}
