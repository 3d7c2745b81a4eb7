//! Scans of one source that are brought together there, by columns that are equal.
//!
//! INVARIANT: a source is asked to join only what it filters whole by itself, and only by columns whose values it holds for equal
//! exactly if the engine does. What is left out on either side, is left out before the join.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;
use datafusion::physical_plan::ExecutionPlan;

use super::postgres::PostgresExec;
use super::reduction::Without;

/// A scan, and the rows that are left out of it before anything else.
#[derive(Debug)]
pub struct Side<'a> {
    /// The scan of a port.
    pub scan: &'a Arc<dyn ExecutionPlan>,
    /// Who is left out.
    pub without: Option<Without>,
}

/// A column of one of several scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Which scan.
    pub scan: usize,
    /// Which of its columns.
    pub column: usize,
}

/// How scans are brought together.
#[derive(Debug, Clone)]
pub enum Joining {
    /// One scan by itself.
    Scan(usize),
    /// Two sides, each of which may be joined itself.
    Pair(Box<Pair>),
}

/// Two sides of a join.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Which rows are kept.
    pub kind: JoinType,
    /// The left one.
    pub left: Joining,
    /// The right one.
    pub right: Joining,
    /// Columns that are equal; NULL is equal to nothing.
    pub on: Vec<[Origin; 2]>,
}

impl Joining {
    /// The scans whose columns leave the join: a semi-join only tests the rows of its other side.
    pub fn delivering(&self) -> Vec<usize> {
        match self {
            Self::Scan(scan) => vec![*scan],
            Self::Pair(pair) => match pair.kind {
                JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => pair.left.delivering(),
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => pair.right.delivering(),
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                    let mut scans = pair.left.delivering();
                    scans.extend(pair.right.delivering());
                    scans
                }
            },
        }
    }

    /// Whether each row that leaves is made of rows of all delivering scans.
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Scan(_) => true,
            Self::Pair(pair) => {
                let (left, right) = (pair.left.is_complete(), pair.right.is_complete());
                match pair.kind {
                    JoinType::Inner => left && right,
                    JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
                    JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right,
                    JoinType::Left | JoinType::Right | JoinType::Full => false,
                }
            }
        }
    }
}

/// One scan of these columns of the joined rows; `None` if the sides are not of one source, or if it cannot be asked for that.
pub fn joined(sides: &[Side<'_>], joining: &Joining, columns: &[Origin], schema: SchemaRef) -> Option<Arc<dyn ExecutionPlan>> {
    let scans = sides.iter().map(|side| Some((side.scan.downcast_ref::<PostgresExec>()?, side.without.as_ref())));
    let scans = scans.collect::<Option<Vec<_>>>()?;
    Some(Arc::new(PostgresExec::joined(&scans, joining, columns, schema)?))
}

/// The same of all joined rows, of which nothing is left out before: it is not asked for again with other values, and may be many rows.
pub fn joined_whole(
    scans: &[&Arc<dyn ExecutionPlan>],
    joining: &Joining,
    columns: &[Origin],
    schema: SchemaRef,
) -> Option<Arc<dyn ExecutionPlan>> {
    let scans = scans.iter().map(|scan| scan.downcast_ref::<PostgresExec>()).collect::<Option<Vec<_>>>()?;
    Some(Arc::new(PostgresExec::joined_whole(&scans, joining, columns, schema)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(kind: JoinType, left: Joining, right: Joining) -> Joining {
        Joining::Pair(Box::new(Pair { kind, left, right, on: Vec::new() }))
    }

    #[test]
    fn a_semi_join_delivers_one_side() {
        let inner = pair(JoinType::Inner, Joining::Scan(0), Joining::Scan(1));
        let semi = pair(JoinType::RightSemi, Joining::Scan(2), inner);
        assert_eq!((semi.delivering(), semi.is_complete()), (vec![0, 1], true));
        let outer = pair(JoinType::Left, semi, Joining::Scan(3));
        assert_eq!((outer.delivering(), outer.is_complete()), (vec![0, 1, 3], false));
    }
}
