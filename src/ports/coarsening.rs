//! Values that a source makes coarser, so that what is finer does not leave it.
//!
//! INVARIANT: a coarse value that is made coarser again stays as it is. So whoever asks does that again to whatever arrives, and no answer
//! hangs on whether the source did.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;

use super::postgres::PostgresExec;

/// What is left of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coarsening {
    /// The beginning of its year in UTC, of a date or a moment.
    Year,
    /// The same of its month.
    Month,
    /// The greatest multiple of a width above zero that is not above it, of a whole number. None if its type does not hold that.
    Multiple(i64),
}

/// The scan with these columns as coarse as its source can make them.
pub fn coarsened(scan: Arc<dyn ExecutionPlan>, columns: &[(usize, Coarsening)]) -> Arc<dyn ExecutionPlan> {
    match scan.downcast_ref::<PostgresExec>() {
        Some(server) if !columns.is_empty() => Arc::new(server.coarsened(columns)),
        _ => scan,
    }
}
