//! Rewrites a plan by its decisions.
//!
//! INVARIANT: in the rewritten plan every governed table, in subqueries too, carries the allow that was made for its product and
//! port, and the plan reads no field that was not part of the request.

use std::sync::Arc;

use datafusion::catalog::{Session, TableProvider as _};
use datafusion::common::tree_node::Transformed;
use datafusion::datasource::provider_as_source;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::expr_rewriter::unnormalize_cols;
use datafusion::logical_expr::logical_plan::TableScan;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use crate::policy::Decision;
use crate::product::{PortName, ProductRef};

use super::table::GovernedTable;
use super::usage::{ProductUse, observe};
use super::{Error, keys};

/// Opens the tables of an analyzed plan as the decisions allow. Fails on a deny, on a table without a decision, on a field that a
/// decision does not cover, and on an obligation that cannot be enforced.
pub fn govern(plan: LogicalPlan, decisions: &[Arc<Decision>]) -> Result<LogicalPlan, Error> {
    let uses = observe(&plan)?;
    for usage in &uses {
        let product = &usage.product.reference;
        let decision = decision_for(product, &usage.port, decisions)?;
        if let Some(field) = usage.fields.iter().find(|field| !decision.fields.contains(&field.name)) {
            return Err(Error::UncoveredField { product: product.clone(), field: field.name.as_str().to_owned() });
        }
    }
    // The rewriting closure speaks DataFusion's errors; ours is kept aside so that it is not flattened.
    let mut failure = None;
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => match open(&scan, decisions, &uses) {
            Ok(None) => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
            Ok(Some(opened)) => Ok(Transformed::yes(LogicalPlan::TableScan(opened))),
            Err(error) => {
                failure.get_or_insert(error);
                Err(Error::Internal { invariant: "the scan is refused" }.into())
            }
        },
        other => Ok(Transformed::no(other)),
    });
    match (failure, rewritten) {
        (Some(error), _) => Err(error),
        (None, rewritten) => Ok(rewritten?.data),
    }
}

/// A scan of a governed plan once more: under a decision of now, with filters that may differ in their constants. `None`: the decision does
/// not let the barrier test all of the filters, which the plan above it relies on.
pub async fn rescan(
    scan: &TableScan,
    filters: &[Expr],
    decision: &Arc<Decision>,
    state: &dyn Session,
) -> Result<Option<Arc<dyn ExecutionPlan>>, DataFusionError> {
    let Some(table) = GovernedTable::of_scan(scan) else { return Ok(None) };
    let opened = table.decided(Arc::clone(decision))?;
    let filters = unnormalize_cols(filters.iter().cloned());
    let support = opened.supports_filters_pushdown(&filters.iter().collect::<Vec<_>>())?;
    if support.iter().any(|support| *support != TableProviderFilterPushDown::Exact) {
        return Ok(None);
    }
    opened.scan(state, scan.projection.as_ref(), &filters, scan.fetch).await.map(Some)
}

fn open(scan: &TableScan, decisions: &[Arc<Decision>], uses: &[ProductUse]) -> Result<Option<TableScan>, Error> {
    let Some(table) = GovernedTable::of_scan(scan) else { return Ok(None) };
    let decision = decision_for(&table.product().reference, table.port(), decisions)?;
    let own = uses.iter().find(|used| used.product.reference == table.product().reference && &used.port == table.port());
    let keys_kept = own.is_none_or(|own| keys::kept_from(own, uses));
    let opened = table.decided(Arc::clone(decision))?.keeping_keys(keys_kept);
    Ok(Some(TableScan { source: provider_as_source(Arc::new(opened)), ..scan.clone() }))
}

/// The one decision about a port. Two that are about the same port are a fault of ours: neither is taken.
fn decision_for<'a>(product: &ProductRef, port: &PortName, decisions: &'a [Arc<Decision>]) -> Result<&'a Arc<Decision>, Error> {
    let mut about = decisions.iter().filter(|decision| &decision.product == product && &decision.port == port);
    let found = about.next().ok_or_else(|| Error::Undecided { product: product.clone() })?;
    if about.next().is_some() {
        return Err(Error::Internal { invariant: "a port has one decision in a statement" });
    }
    Ok(found)
}
