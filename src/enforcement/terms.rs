//! [`Terms`]: what a decision lets through of a scan, as the barrier holds rows to it.

use std::sync::Arc;

use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::policy::DecisionId;
use crate::product::ProductRef;

use super::exclusion::SubjectProbe;
use super::mask::ColumnMask;
use super::recall::Recall;

/// What is shown of a column. Positions are those of the input's columns.
#[derive(Debug, Clone)]
pub(super) enum Shown {
    /// The column at that position.
    AsItIs(usize),
    /// A mask of the columns at these positions; a constant has none.
    Masked {
        /// In the order of the mask.
        inputs: Vec<usize>,
        /// The mask.
        mask: Arc<ColumnMask>,
    },
}

/// How rows are held to the policy's condition.
#[derive(Debug, Clone)]
pub(super) enum RowTest {
    /// There is none.
    Absent,
    /// Rows for which it is not true are hidden.
    Condition(Arc<dyn PhysicalExpr>),
    /// It is remembered of every row that is read what the condition said of it.
    Remembered,
}

impl RowTest {
    /// What is tested of each row.
    pub(super) fn condition(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        match self {
            Self::Condition(condition) => Some(condition),
            Self::Absent | Self::Remembered => None,
        }
    }
}

/// What the barrier does to the rows of its input. Positions are those of the input's columns.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) product: ProductRef,
    pub(super) decision: DecisionId,
    /// Further products whose rows are in the input, if its source joins them, and the decisions on these.
    pub(super) beside: Vec<(ProductRef, DecisionId)>,
    pub(super) row_test: RowTest,
    /// Rows of which a subject is erased are hidden.
    pub(super) exclusions: Vec<(usize, SubjectProbe)>,
    /// For which rows it is known already whether these two hide them, and who takes down what is found out about the others.
    pub(super) recall: Option<Arc<Recall>>,
    /// So many of the input's first columns are what is shown, or what masks are computed from.
    pub(super) kept: usize,
    /// One for each column that leaves.
    pub(super) shown: Vec<Shown>,
    /// Leakproof predicates of the user: rows for which one is not true are left out.
    pub(super) predicates: Vec<Arc<dyn PhysicalExpr>>,
    /// Those among them that the source may skip rows by.
    pub(super) hints: Vec<Arc<dyn PhysicalExpr>>,
    /// The source must not learn what joins find out: it fails by rows, hidden ones too, or keys must not leave where they are.
    pub(super) secret: bool,
    /// The source, if it marks values that do not fit and leaves it to the barrier to refuse those of visible rows.
    pub(super) marking: Option<Arc<dyn ExecutionPlan>>,
    /// No partition needs to deliver more visible rows than this.
    pub(super) row_limit: Option<usize>,
    /// So many filters of the source's are the whole row filter and all predicates; `None` if it was not offered all of them.
    pub(super) offered: Option<usize>,
}

impl Terms {
    pub(super) fn hide_rows(&self) -> bool {
        !matches!(self.row_test, RowTest::Absent) || !self.exclusions.is_empty()
    }

    /// Whether a row is hidden or shown by what is in the column.
    pub(super) fn tests(&self, position: usize) -> bool {
        let tests = match &self.row_test {
            RowTest::Absent => false,
            RowTest::Condition(condition) => reads(condition, position),
            RowTest::Remembered => true,
        };
        tests || self.exclusions.iter().any(|(excluded, _)| *excluded == position)
    }

    /// Whether the column itself is shown, or compared by the statement; masks are neither.
    pub(super) fn tells(&self, position: usize) -> bool {
        self.shown.iter().any(|shown| matches!(shown, Shown::AsItIs(shown) if *shown == position))
            || self.predicates.iter().any(|predicate| reads(predicate, position))
    }

    /// Those of states that a source has made under these.
    pub(super) fn of_states(&self, columns: usize) -> Self {
        Self {
            product: self.product.clone(),
            decision: self.decision,
            beside: self.beside.clone(),
            row_test: RowTest::Absent,
            exclusions: Vec::new(),
            recall: None,
            kept: columns,
            shown: (0..columns).map(Shown::AsItIs).collect(),
            predicates: Vec::new(),
            hints: Vec::new(),
            secret: self.secret,
            marking: None,
            row_limit: None,
            offered: None,
        }
    }
}

/// Whether a condition reads the column.
pub(super) fn reads(condition: &Arc<dyn PhysicalExpr>, position: usize) -> bool {
    collect_columns(condition).iter().any(|column| column.index() == position)
}
