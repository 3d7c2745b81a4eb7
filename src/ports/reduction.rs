//! What a source is asked to keep of its rows: the first ones in an order, or what aggregates make of them.
//!
//! INVARIANT: a scan is reduced only if its source tests every filter that the scan was given, exactly, and orders, groups and computes
//! as the engine does. What is kept of an order, the engine orders again; states of aggregates, it merges. So a source may keep more rows than were
//! asked for, or several states of one group, but never fewer or other ones.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::ExecutionPlan;

use super::postgres::PostgresExec;

/// What is asked for. Columns are positions of the scan's own.
#[derive(Debug, Clone)]
pub struct Reduction {
    /// Rows that are left out before anything else.
    pub without: Option<Without>,
    /// What is kept of the others.
    pub kept: Kept,
}

/// Rows whose subject is one of these, and rows without a subject.
#[derive(Debug, Clone)]
pub struct Without {
    /// The column that names the subject.
    pub column: usize,
    /// Who.
    pub subjects: Subjects,
}

/// A short list of subjects.
#[derive(Clone)]
pub enum Subjects {
    /// Of a column of integers.
    Integers(Vec<i64>),
    /// Of a column of UUIDs.
    Uuids(Vec<uuid::Uuid>),
}

impl std::fmt::Debug for Subjects {
    /// Never the ids.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subjects(…)")
    }
}

/// What is kept of the rows.
#[derive(Debug, Clone)]
pub enum Kept {
    /// So many rows that no other comes before in the order.
    First {
        /// The order.
        keys: Vec<OrderKey>,
        /// How many.
        rows: usize,
    },
    /// A row for each group, or one in all.
    States {
        /// What rows of a group have in common.
        groups: Vec<usize>,
        /// What is made of them.
        aggregates: Vec<Aggregate>,
        /// The groups and then the aggregates.
        schema: SchemaRef,
    },
}

/// A part of an order.
#[derive(Debug, Clone, Copy)]
pub struct OrderKey {
    /// The column.
    pub column: usize,
    /// The direction, and where NULL stands.
    pub options: SortOptions,
}

/// An aggregate of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregate {
    /// How many rows.
    Rows,
    /// How many values.
    Values(usize),
    /// Their sum.
    Sum(usize),
    /// The least.
    Min(usize),
    /// The greatest.
    Max(usize),
}

impl Aggregate {
    /// Its column.
    pub fn column(self) -> Option<usize> {
        match self {
            Self::Rows => None,
            Self::Values(column) | Self::Sum(column) | Self::Min(column) | Self::Max(column) => Some(column),
        }
    }

    fn over(self, column: Option<usize>) -> Self {
        match (self, column) {
            (Self::Values(_), Some(column)) => Self::Values(column),
            (Self::Sum(_), Some(column)) => Self::Sum(column),
            (Self::Min(_), Some(column)) => Self::Min(column),
            (Self::Max(_), Some(column)) => Self::Max(column),
            (own, _) => own,
        }
    }
}

impl Kept {
    /// The columns that it hangs on.
    pub fn columns(&self) -> Vec<usize> {
        match self {
            Self::First { keys, .. } => keys.iter().map(|key| key.column).collect(),
            Self::States { groups, aggregates, .. } => {
                groups.iter().copied().chain(aggregates.iter().filter_map(|aggregate| aggregate.column())).collect()
            }
        }
    }

    /// The same of other columns; `None` if one of them is none.
    pub fn over(&self, place: impl Fn(usize) -> Option<usize>) -> Option<Self> {
        Some(match self {
            Self::First { keys, rows } => {
                let keys = keys.iter().map(|key| Some(OrderKey { column: place(key.column)?, ..*key }));
                Self::First { keys: keys.collect::<Option<_>>()?, rows: *rows }
            }
            Self::States { groups, aggregates, schema } => {
                let over = |aggregate: &Aggregate| match aggregate.column() {
                    None => Some(*aggregate),
                    Some(column) => Some(aggregate.over(Some(place(column)?))),
                };
                Self::States {
                    groups: groups.iter().map(|group| place(*group)).collect::<Option<_>>()?,
                    aggregates: aggregates.iter().map(over).collect::<Option<_>>()?,
                    schema: Arc::clone(schema),
                }
            }
        })
    }
}

/// How many of the filters that a scan was given its source tests, each of them exactly and for every row; `None` if it is none that is asked.
pub fn tested(scan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    Some(scan.downcast_ref::<PostgresExec>()?.tested())
}

/// The scan that leaves these out, if its source can be asked for it. Which filters it tests stays as it was.
pub fn leaving_out(scan: &Arc<dyn ExecutionPlan>, without: &Without) -> Option<Arc<dyn ExecutionPlan>> {
    Some(Arc::new(scan.downcast_ref::<PostgresExec>()?.leaving_out(without)?))
}

/// The scan of a port that keeps no more than that; `None` if its source cannot be asked for it, or is none that can.
pub fn reduced(scan: &Arc<dyn ExecutionPlan>, reduction: &Reduction) -> Option<Arc<dyn ExecutionPlan>> {
    Some(Arc::new(scan.downcast_ref::<PostgresExec>()?.reduced(reduction)?))
}
