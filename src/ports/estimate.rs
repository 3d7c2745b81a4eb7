//! About how many rows and bytes a scan has: a hint for the order of joins and for where they are done, never an answer.
//!
//! INVARIANT: a count is inexact, so that no `count(*)` is answered by it and no empty table is concluded from it. Nothing is told of
//! values. Who may know a count is for whoever stands above the scan.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::statistics::StatisticsArgs;

use super::postgres::PostgresExec;

/// Asks sources, as an extension of the session's configuration, what they expect a scan to be: for statements that join or group.
#[derive(Debug, Clone, Copy)]
pub struct Estimates;

/// About how many bytes a scan delivers; `None` if nobody knows.
pub fn bytes_delivered(scan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    scan.downcast_ref::<PostgresExec>()?.bytes()
}

/// About what it costs to have the rows of a scan here, in a unit of its source's; `None` if nobody knows.
pub fn sending_cost(scan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    scan.downcast_ref::<PostgresExec>()?.sending_cost()
}

/// About what it costs the source of a scan to join the rows of several tables, in the same unit; `None` if nobody knows, or it joins none.
pub fn joining_cost(scan: &Arc<dyn ExecutionPlan>) -> Option<u64> {
    scan.downcast_ref::<PostgresExec>()?.joining_cost()
}

/// Statistics that tell about how many rows there are, or nothing. Of a single partition nothing is known.
pub(super) fn row_statistics(schema: &Schema, rows: Option<usize>, asked: &StatisticsArgs) -> Arc<Statistics> {
    let mut statistics = Statistics::new_unknown(schema);
    if let (Some(rows), None) = (rows, asked.partition()) {
        statistics.num_rows = Precision::Inexact(rows);
    }
    Arc::new(statistics)
}

/// The count of a scan that ends after `limit` rows.
pub(super) fn at_most(rows: Option<usize>, limit: Option<usize>) -> Option<usize> {
    rows.map(|rows| limit.map_or(rows, |limit| rows.min(limit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_inexact_and_of_the_whole() {
        let schema = Schema::empty();
        let whole = StatisticsArgs::new();
        assert_eq!(row_statistics(&schema, Some(7), &whole).num_rows, Precision::Inexact(7));
        assert_eq!(row_statistics(&schema, None, &whole).num_rows, Precision::Absent);
        assert_eq!(row_statistics(&schema, Some(7), &StatisticsArgs::new().with_partition(Some(0))).num_rows, Precision::Absent);
    }

    #[test]
    fn a_limit_bounds_a_count() {
        assert_eq!(at_most(Some(7), Some(3)), Some(3));
        assert_eq!(at_most(Some(7), None), Some(7));
        assert_eq!(at_most(None, Some(3)), None);
    }
}
