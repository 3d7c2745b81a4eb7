//! The columns of a plan in PostgreSQL's terms.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::system::client_label;

use super::column::{Column, PgType};

/// The columns that a plan's result has.
pub(super) fn of_plan(plan: &LogicalPlan) -> Arc<[Column]> {
    plan.schema().fields().iter().map(|field| column(field)).collect()
}

fn column(field: &Field) -> Column {
    Column { name: client_label(field.name()).to_owned(), pg_type: PgType::of_arrow(field), table_oid: 0, number: 0 }
}

/// The PostgreSQL type of an engine's type.
pub(super) fn of_type(data_type: &DataType) -> PgType {
    PgType::of_arrow_type(data_type)
}
