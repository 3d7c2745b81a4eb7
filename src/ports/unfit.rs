//! Values that do not fit their column's type, of rows that may be hidden.
//!
//! A source's value that its contract's type cannot hold is an error. If the row is one that nobody may see, the error would tell of it: so a
//! scan can be asked to leave the refusal to whoever decides about rows. It then delivers a NULL with a mark where the value would be.
//!
//! INVARIANT: a scan that is not asked to refuses such values itself; one that is, is asked by who looks for marks in all that it delivers,
//! before anything else sees the rows.

use std::sync::Arc;

use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, IntervalMonthDayNanoType, Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::ExecutionPlan;

use super::postgres::PostgresExec;

/// What lies behind the NULL of a marked value.
pub(in crate::ports) trait Mark: ArrowPrimitiveType {
    /// Behind any other NULL lies zero.
    const MARK: Self::Native;
}

impl Mark for Date32Type {
    const MARK: i32 = i32::MAX;
}
impl Mark for Time64MicrosecondType {
    const MARK: i64 = i64::MAX;
}
impl Mark for TimestampMicrosecondType {
    const MARK: i64 = i64::MAX;
}
impl Mark for Decimal128Type {
    const MARK: i128 = i128::MAX;
}
impl Mark for IntervalMonthDayNanoType {
    const MARK: IntervalMonthDayNano = IntervalMonthDayNano { months: i32::MAX, days: i32::MAX, nanoseconds: i64::MAX };
}

/// The scan that marks what does not fit; `None` if its source marks nothing, and refuses. A row of which a value does not fit in one of the
/// `hiding` columns is one that nobody may see.
pub fn marking<C: Iterator<Item = usize>>(scan: &Arc<dyn ExecutionPlan>, hiding: impl FnOnce() -> C) -> Option<Arc<dyn ExecutionPlan>> {
    Some(Arc::new(scan.downcast_ref::<PostgresExec>()?.marking(hiding())))
}

/// Whether to read a row at its source can fail, other than by the source's own failure: its columns may be expressions there.
pub fn may_fail_by_row(scan: &Arc<dyn ExecutionPlan>) -> bool {
    scan.downcast_ref::<PostgresExec>().is_some_and(PostgresExec::may_fail_by_row)
}

/// The refusal of a value of that column of the scan.
pub fn refusal(scan: &Arc<dyn ExecutionPlan>, column: usize) -> DataFusionError {
    let refused = scan.downcast_ref::<PostgresExec>().and_then(|scan| scan.refusal(column));
    match refused {
        Some(error) => error.into(),
        None => DataFusionError::Internal("a column that its scan does not deliver was marked".to_owned()),
    }
}

/// The rows in which a column that such a scan delivered is marked; `None` if there are none.
pub fn marked(column: &ArrayRef) -> Option<BooleanArray> {
    let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0)?;
    let rows = match column.data_type() {
        DataType::Date32 => marks::<Date32Type>(column.as_primitive_opt()?),
        DataType::Time64(TimeUnit::Microsecond) => marks::<Time64MicrosecondType>(column.as_primitive_opt()?),
        DataType::Timestamp(TimeUnit::Microsecond, _) => marks::<TimestampMicrosecondType>(column.as_primitive_opt()?),
        DataType::Decimal128(..) => marks::<Decimal128Type>(column.as_primitive_opt()?),
        DataType::Interval(IntervalUnit::MonthDayNano) => marks::<IntervalMonthDayNanoType>(column.as_primitive_opt()?),
        DataType::List(_) => {
            // A list is marked by elements that a NULL does not have.
            let list = column.as_list_opt::<i32>()?;
            BooleanBuffer::collect_bool(list.len(), |row| list.value_length(row) > 0)
        }
        _ => return None,
    };
    let rows = &rows & &!nulls.inner();
    (rows.count_set_bits() > 0).then(|| BooleanArray::new(rows, None))
}

fn marks<T: Mark>(column: &PrimitiveArray<T>) -> BooleanBuffer {
    let values = column.values();
    BooleanBuffer::collect_bool(values.len(), |row| values.get(row).is_some_and(|value| *value == T::MARK))
}
