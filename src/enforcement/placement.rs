//! Where a row condition of a policy runs.
//!
//! The barrier tests every condition itself. The question is only whether the port gets it as well, to skip what need not be read: it is
//! answered by the rule that the scan goes by, and by the port.

use datafusion::arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};

use crate::policy::Predicate;

use super::leakproof::is_leakproof;
use super::row_filter;

/// Whether a port gets a condition, or a part of it. A condition that does not compile reaches nothing.
pub fn reaches_port(condition: &Predicate, source: &dyn TableProvider) -> Result<bool> {
    let schema = source.schema();
    let Ok(compiled) = row_filter::compile(condition, &schema) else { return Ok(false) };
    let parts = offered(&compiled, &schema);
    let supported = source.supports_filters_pushdown(&parts)?;
    Ok(supported.iter().any(|support| *support != TableProviderFilterPushDown::Unsupported))
}

/// The parts of a compiled row filter that a port is offered.
pub(super) fn offered<'a>(row_filter: &'a Expr, schema: &Schema) -> Vec<&'a Expr> {
    let raw_type = |name: &str| schema.field_with_name(name).ok().map(|field| field.data_type().clone());
    split_conjunction(row_filter).into_iter().filter(|part| is_leakproof(part, &raw_type)).collect()
}
