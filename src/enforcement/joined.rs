//! Joins of products that lie at one source, done there: together with a top-N or the first half of an aggregation above them, or for less
//! to be sent.
//!
//! INVARIANT: each product is hidden, masked and decided as if it stood alone: a source joins rows only where it tests all that their
//! barriers test, exactly, and only by columns that are shown as they are. A row that is delivered is tested again for each product
//! that it is made of; so rows of outer joins, where one of them may not be there, are not delivered but only aggregated.
//! The barrier over joined rows is the barrier of all of these products, under the decision of each.
//! An estimate counts hidden rows, too. So nothing hangs on one where a row may be hidden, or where the source is so small that the order
//! of the answer's rows is promised to follow from these rows alone.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::policy::DecisionId;
use crate::ports::{self, Joining, Kept, Origin, Pair, Reduction, Side};
use crate::product::ProductRef;

use super::barrier::GovernedExec;
use super::size::is_large;
use super::terms::{RowTest, Shown, Terms};

/// More products are joined here.
const PRODUCTS_MAX: usize = 8;
/// Joined rows that are all wanted come from the source if they are so many times less than what is joined: it sends them over one
/// connection, and a large table over several.
const LESS_TIMES: u64 = 2;
/// What could be sent in the time that one more scan takes to begin.
const SCAN_BYTES: u64 = 32 << 10;

/// Whether a barrier is worth putting in the place of several and the joins above them.
pub(super) type Worth = fn(&[&GovernedExec], &GovernedExec) -> bool;

/// Barriers that joins bring together.
pub(super) struct Joined<'a> {
    barriers: Vec<&'a GovernedExec>,
    /// How. Columns are those of the barriers' inputs.
    joining: Joining,
    /// Where each column of the result comes from.
    columns: Vec<Option<Leaving>>,
    schema: SchemaRef,
}

/// A column that leaves a barrier.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    barrier: usize,
    column: usize,
    /// It is an integer that was made wider, to so many bits: equal to the same ones, but of another type.
    widened: Option<u8>,
}

/// The joined barriers below a node, if there is nothing else below it but joins by equal columns, and what chooses columns.
pub(super) fn below(node: &Arc<dyn ExecutionPlan>) -> Option<Joined<'_>> {
    let mut barriers = Vec::new();
    let (joining, columns) = walk(node, &mut barriers)?;
    (barriers.len() > 1).then(|| Joined { barriers, joining, columns, schema: node.schema() })
}

type Walked = (Joining, Vec<Option<Leaving>>);

fn walk<'a>(node: &'a Arc<dyn ExecutionPlan>, barriers: &mut Vec<&'a GovernedExec>) -> Option<Walked> {
    if let Some(barrier) = node.downcast_ref::<GovernedExec>() {
        let number = barriers.len();
        if number >= PRODUCTS_MAX {
            return None;
        }
        barriers.push(barrier);
        let columns = 0..barrier.schema().fields().len();
        let leaving = columns.map(|column| Some(Leaving { barrier: number, column, widened: None }));
        return Some((Joining::Scan(number), leaving.collect()));
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let (joining, columns) = walk(projection.input(), barriers)?;
        let columns = projection.expr().iter().map(|shown| leaving(&shown.expr, &columns)).collect();
        return Some((joining, columns));
    }
    let join = node.downcast_ref::<HashJoinExec>()?;
    let plain = join.filter().is_none() && join.null_equality() == NullEquality::NullEqualsNothing && !join.null_aware;
    if !plain || join.fetch().is_some() {
        return None;
    }
    let (left, left_columns) = walk(join.left(), barriers)?;
    let (right, right_columns) = walk(join.right(), barriers)?;
    let key = |key: &Arc<dyn PhysicalExpr>, columns: &[Option<Leaving>]| origin(leaving(key, columns)?, barriers);
    let on = join.on().iter().map(|(left, right)| Some([key(left, &left_columns)?, key(right, &right_columns)?]));
    let on = on.collect::<Option<Vec<_>>>()?;
    let columns: Vec<_> = match join.join_type() {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => left_columns.into_iter().chain(right_columns).collect(),
        JoinType::LeftSemi | JoinType::LeftAnti => left_columns,
        JoinType::RightSemi | JoinType::RightAnti => right_columns,
        JoinType::LeftMark | JoinType::RightMark => return None,
    };
    let columns = match &join.projection {
        None => columns,
        Some(chosen) => chosen.iter().map(|column| columns.get(*column).copied().flatten()).collect(),
    };
    Some((Joining::Pair(Box::new(Pair { kind: *join.join_type(), left, right, on })), columns))
}

fn leaving(expr: &Arc<dyn PhysicalExpr>, columns: &[Option<Leaving>]) -> Option<Leaving> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return columns.get(column.index()).copied().flatten();
    }
    let cast = expr.downcast_ref::<CastExpr>()?;
    let (from, bits) = (leaving(cast.expr(), columns)?, bits(cast.cast_type())?);
    from.widened.is_none_or(|before| before < bits).then_some(Leaving { widened: Some(bits), ..from })
}

/// How wide an integer is.
fn bits(data_type: &DataType) -> Option<u8> {
    match data_type {
        DataType::Int16 => Some(16),
        DataType::Int32 => Some(32),
        DataType::Int64 => Some(64),
        _ => None,
    }
}

/// The column of the barrier's input that leaves so.
fn origin(leaving: Leaving, barriers: &[&GovernedExec]) -> Option<Origin> {
    let barrier = barriers.get(leaving.barrier)?;
    match barrier.terms().shown.get(leaving.column)? {
        Shown::AsItIs(column) => {
            let before = bits(barrier.input().schema().fields().get(*column)?.data_type());
            // A narrower one would fail on some values.
            let same = leaving.widened.is_none_or(|after| before.is_some_and(|before| before < after));
            same.then_some(Origin { scan: leaving.barrier, column: *column })
        }
        Shown::Masked { .. } => None,
    }
}

impl Joined<'_> {
    /// Whether each column of the result is one that leaves a barrier.
    pub(super) fn is_whole(&self) -> bool {
        self.columns.iter().all(|column| column.is_some_and(|leaving| leaving.widened.is_none()))
    }

    /// One barrier over a source that joins the rows and keeps no more than that of them. `None` if it cannot be left to the source.
    pub(super) fn absorbing(&self, kept: &Kept) -> Option<GovernedExec> {
        match kept {
            Kept::First { .. } => self.rows(Some(kept)),
            Kept::States { schema, .. } => self.states(kept, schema).filter(|absorbing| is_worth_it(&self.barriers, absorbing)),
        }
    }

    /// One barrier over a source that joins the rows and sends all of them, if that is worth it.
    pub(super) fn whole(&self, worth: Worth) -> Option<GovernedExec> {
        self.rows(None).filter(|joined| worth(&self.barriers, joined))
    }

    fn states(&self, kept: &Kept, schema: &SchemaRef) -> Option<GovernedExec> {
        let origin = |column: usize| {
            let leaving = self.columns.get(column).copied().flatten().filter(|leaving| leaving.widened.is_none())?;
            origin(leaving, &self.barriers)
        };
        let mut layout = Layout::default();
        kept.columns().into_iter().try_for_each(|column| origin(column).map(|origin| layout.add(origin)))?;
        let below = kept.over(|column| layout.place(origin(column)?))?;
        let input = self.scan(&layout, below)?;
        let first = self.barriers.first()?.terms();
        let terms = Terms { beside: self.beside(), ..first.of_states(schema.fields().len()) };
        Some(GovernedExec::new(input, Arc::clone(schema), terms).having_absorbed(Some(kept), self.hides_rows()))
    }

    /// Rows, all or the first ones.
    fn rows(&self, kept: Option<&Kept>) -> Option<GovernedExec> {
        if !self.joining.is_complete() || !self.is_whole() {
            return None;
        }
        let mut layout = Layout::default();
        let shown = self.columns.iter().map(|column| self.shown((*column)?, &mut layout)).collect::<Option<Vec<_>>>()?;
        let kept_columns = layout.0.len();
        let delivering = self.joining.delivering();
        for scan in &delivering {
            let columns = self.barriers.get(*scan)?.input().schema().fields().len();
            (0..columns).for_each(|column| layout.add(Origin { scan: *scan, column }));
        }
        let below = |kept: &Kept| {
            kept.over(|column| match shown.get(column)? {
                Shown::AsItIs(place) => Some(*place),
                Shown::Masked { .. } => None,
            })
        };
        let input = match kept {
            Some(kept) => self.scan(&layout, below(kept)?)?,
            None => self.scan_whole(&layout)?,
        };
        let first = self.barriers.first()?.terms();
        let mut terms = Terms { beside: self.beside(), shown, kept: kept_columns, ..first.of_states(0) };
        for scan in delivering {
            test_again(&mut terms, self.barriers.get(scan)?.terms(), |column| layout.place(Origin { scan, column }))?;
        }
        Some(GovernedExec::new(input, Arc::clone(&self.schema), terms).having_absorbed(kept, self.hides_rows()))
    }

    /// The source's scan of joined rows.
    fn scan(&self, layout: &Layout, kept: Kept) -> Option<Arc<dyn ExecutionPlan>> {
        let sides = self.barriers.iter().map(|barrier| Some(Side { scan: barrier.input(), without: barrier.left_to_source()? }));
        let sides = sides.collect::<Option<Vec<_>>>()?;
        let joined = ports::joined(&sides, &self.joining, &layout.0, self.delivered(layout)?)?;
        ports::reduced(&joined, &Reduction { without: None, kept })
    }

    /// The source's scan of all joined rows, where nobody has to be left out before.
    fn scan_whole(&self, layout: &Layout) -> Option<Arc<dyn ExecutionPlan>> {
        let scan = |barrier: &&'_ GovernedExec| matches!(barrier.left_to_source(), Some(None)).then(|| Arc::clone(barrier.input()));
        let scans = self.barriers.iter().map(scan).collect::<Option<Vec<_>>>()?;
        ports::joined_whole(&scans.iter().collect::<Vec<_>>(), &self.joining, &layout.0, self.delivered(layout)?)
    }

    /// The schema of what the source delivers.
    fn delivered(&self, layout: &Layout) -> Option<SchemaRef> {
        let field = |origin: &Origin| self.barriers.get(origin.scan)?.input().schema().fields().get(origin.column).cloned();
        let fields = layout.0.iter().map(field).collect::<Option<Vec<FieldRef>>>()?;
        Some(Arc::new(Schema::new(fields)))
    }

    fn shown(&self, leaving: Leaving, layout: &mut Layout) -> Option<Shown> {
        let mut place = |column: &usize| {
            let origin = Origin { scan: leaving.barrier, column: *column };
            layout.add(origin);
            layout.place(origin)
        };
        Some(match self.barriers.get(leaving.barrier)?.terms().shown.get(leaving.column)? {
            Shown::AsItIs(column) => Shown::AsItIs(place(column)?),
            Shown::Masked { inputs, mask } => {
                Shown::Masked { inputs: inputs.iter().map(place).collect::<Option<_>>()?, mask: Arc::clone(mask) }
            }
        })
    }

    /// The products but the first.
    fn beside(&self) -> Vec<(ProductRef, DecisionId)> {
        let others = self.barriers.iter().skip(1).flat_map(|barrier| barrier.reads());
        others.map(|(product, decision)| (product.clone(), decision)).collect()
    }

    fn hides_rows(&self) -> bool {
        self.barriers.iter().any(|barrier| barrier.hides_rows())
    }
}

/// Whether where something is done may hang on estimates.
fn is_weighed(barriers: &[&GovernedExec]) -> bool {
    barriers.iter().all(|barrier| !barrier.hides_rows()) && barriers.iter().any(|barrier| is_large(barrier))
}

/// What is known of the scans below all of these.
fn summed(barriers: &[&GovernedExec], of: fn(&Arc<dyn ExecutionPlan>) -> Option<u64>) -> Option<u64> {
    barriers.iter().try_fold(0_u64, |sum, barrier| Some(sum.saturating_add(of(barrier.input())?)))
}

/// Whether all rows of a join are known to be much less than what is joined.
pub(super) fn is_much_less(barriers: &[&GovernedExec], joined: &GovernedExec) -> bool {
    is_weighed(barriers)
        && match (summed(barriers, ports::bytes_delivered), ports::bytes_delivered(joined.input())) {
            (Some(parts), Some(joined)) => {
                let scans = u64::try_from(barriers.len()).unwrap_or(1).saturating_sub(1);
                joined.saturating_mul(LESS_TIMES) <= parts.saturating_add(scans.saturating_mul(SCAN_BYTES))
            }
            _ => false,
        }
}

/// Whether a source that keeps less of these is not known to send as much all the same, as it does if there are as many groups as rows, nor to take
/// longer over joining and grouping rows than it takes to send them and to do that here.
pub(super) fn is_worth_it(barriers: &[&GovernedExec], absorbing: &GovernedExec) -> bool {
    if !is_weighed(barriers) {
        return true;
    }
    let sends_less = match (summed(barriers, ports::bytes_delivered), ports::bytes_delivered(absorbing.input())) {
        (Some(before), Some(after)) => after < before,
        _ => true,
    };
    let costs_less = match (summed(barriers, ports::sending_cost), ports::joining_cost(absorbing.input())) {
        (Some(sending), Some(joining)) => joining <= sending,
        _ => true,
    };
    sends_less && costs_less
}

/// What one product's barrier tests, over columns that lie elsewhere.
fn test_again(terms: &mut Terms, of: &Terms, place: impl Fn(usize) -> Option<usize>) -> Option<()> {
    match &of.row_test {
        RowTest::Absent => {}
        // What is remembered is of rows of files; a server joins others.
        RowTest::Remembered => return None,
        RowTest::Condition(condition) => {
            let condition = moved(condition, &place)?;
            terms.row_test = RowTest::Condition(match terms.row_test.condition() {
                None => condition,
                Some(before) => Arc::new(BinaryExpr::new(Arc::clone(before), Operator::And, condition)),
            });
        }
    }
    for (column, probe) in &of.exclusions {
        terms.exclusions.push((place(*column)?, probe.clone()));
    }
    for predicate in &of.predicates {
        terms.predicates.push(moved(predicate, &place)?);
    }
    Some(())
}

fn moved(expr: &Arc<dyn PhysicalExpr>, place: &impl Fn(usize) -> Option<usize>) -> Option<Arc<dyn PhysicalExpr>> {
    let mut found = true;
    let moved = Arc::clone(expr).transform(|part| {
        let Some(column) = part.downcast_ref::<Column>() else { return Ok(Transformed::no(part)) };
        match place(column.index()) {
            Some(index) => Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as _)),
            None => {
                found = false;
                Ok(Transformed::no(part))
            }
        }
    });
    moved.ok().filter(|_| found).map(|moved| moved.data)
}

/// The columns that the source delivers, each once.
#[derive(Default)]
struct Layout(Vec<Origin>);

impl Layout {
    fn add(&mut self, origin: Origin) {
        if !self.0.contains(&origin) {
            self.0.push(origin);
        }
    }

    fn place(&self, origin: Origin) -> Option<usize> {
        self.0.iter().position(|known| *known == origin)
    }
}
