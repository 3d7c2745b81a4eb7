//! [`Governor`]: one partition of the barrier at work. Raw rows go in, visible rows come out, masked and in batches of full size.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{BatchCoalescer, and, not, or, prep_null_mask_filter};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::ports::{NumberedBatch, NumberedScan, Reading, marked, refusal};

use super::Error;
use super::error::PortCause;
use super::mask::Memo;
use super::recall::Recorder;
use super::terms::{RowTest, Shown, Terms, reads};

/// So many runs of visible rows of one batch are copied as they lie.
const RUNS_MAX: usize = 32;

/// What a partition of the input delivers. If rows of it come without the columns that the policy tests, it says which these are.
pub(super) fn arrivals(
    input: &Arc<dyn ExecutionPlan>,
    numbered: bool,
    partition: usize,
    context: &Arc<TaskContext>,
) -> Result<BoxStream<'static, Result<Arrival>>> {
    match (numbered, NumberedScan::of(input)) {
        (false, _) => Ok(input.execute(partition, Arc::clone(context))?.map(|batch| batch.map(Arrival::Read)).boxed()),
        (true, Some(scan)) => Ok(scan.execute_numbered(partition, context)?.map(|batch| batch.map(Arrival::Numbered)).boxed()),
        (true, None) => Err(Error::Internal { invariant: "rows that are remembered come from a scan that numbers them" }.into()),
    }
}

/// A port's error text may hold a value of a hidden row: it goes into the cause, which is for the log.
pub(super) fn port_error(terms: &Terms, source: DataFusionError) -> DataFusionError {
    match source.find_root() {
        DataFusionError::ResourcesExhausted(_) => source,
        _ => Error::Port { product: terms.product.clone(), cause: PortCause::new(source) }.into(),
    }
}

/// Raw rows.
pub(super) enum Arrival {
    /// With all columns.
    Read(RecordBatch),
    /// With their numbers, and perhaps without the columns that only the policy tests.
    Numbered(NumberedBatch),
}

/// One partition of the barrier at work.
pub(super) struct Governor {
    input: BoxStream<'static, Result<Arrival>>,
    terms: Arc<Terms>,
    schema: SchemaRef,
    /// The columns that are collected.
    kept: SchemaRef,
    /// Holds visible raw rows of the kept columns.
    collector: BatchCoalescer,
    /// Rows of a batch of full size.
    rows_full: usize,
    /// Visible rows that have not left, where no column is kept.
    rows_counted: usize,
    rows_left: Option<usize>,
    finished: bool,
    /// Takes down which rows are visible.
    recorder: Option<Recorder>,
    /// What masks remember, one for each column that leaves.
    memos: Vec<Memo>,
}

impl Governor {
    /// `schema` is that of the columns that leave, `kept` that of the columns that are collected.
    pub(super) fn new(
        input: BoxStream<'static, Result<Arrival>>,
        terms: Arc<Terms>,
        schema: SchemaRef,
        kept: SchemaRef,
        rows_full: usize,
    ) -> Self {
        Self {
            input,
            schema,
            collector: BatchCoalescer::new(Arc::clone(&kept), rows_full),
            kept,
            rows_full,
            rows_counted: 0,
            rows_left: terms.row_limit,
            finished: false,
            recorder: terms.recall.clone().map(Recorder::new),
            memos: terms.shown.iter().map(|_| Memo::default()).collect(),
            terms,
        }
    }

    /// The next batch that leaves.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.rows_left == Some(0) {
                return Ok(None);
            }
            if let Some(batch) = self.collected()? {
                return self.release(&batch).map(Some);
            }
            if self.finished {
                return Ok(None);
            }
            match self.input.next().await {
                None => {
                    self.finished = true;
                    self.collector.finish_buffered_batch()?;
                }
                Some(arrival) => {
                    let arrival = arrival.map_err(|source| port_error(&self.terms, source))?;
                    if let Some(uncollected) = self.take(arrival)? {
                        return Ok(Some(uncollected));
                    }
                }
            }
        }
    }

    /// A batch of full size, or the last one.
    fn collected(&mut self) -> Result<Option<RecordBatch>> {
        if self.terms.kept > 0 {
            return Ok(self.collector.next_completed_batch());
        }
        let ready = self.finished || self.rows_left.is_some_and(|left| self.rows_counted >= left);
        let rows = self.rows_counted.min(self.rows_full);
        if rows == 0 || (rows < self.rows_full && !ready) {
            return Ok(None);
        }
        self.rows_counted = self.rows_counted.saturating_sub(rows);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.kept), Vec::new(), &options)?))
    }

    /// Takes raw rows in. Returns what can leave at once.
    fn take(&mut self, arrival: Arrival) -> Result<Option<RecordBatch>> {
        let permitted = self.permitted(&arrival)?;
        let batch = match arrival {
            Arrival::Read(batch) | Arrival::Numbered(NumberedBatch { batch, .. }) => batch,
        };
        let permitted = match &self.terms.marking {
            Some(source) => self.fitting(&batch, permitted, source)?,
            None => permitted,
        };
        let visible = self.visible(&batch, permitted)?;
        if self.terms.kept == 0 {
            let rows = visible.as_ref().map_or(batch.num_rows(), BooleanArray::true_count);
            self.rows_counted = self.rows_counted.saturating_add(rows);
            return Ok(None);
        }
        let kept = self.kept(&batch)?;
        let full = kept.num_rows() == self.rows_full && self.collector.is_empty();
        match visible {
            // INVARIANT: if rows may be hidden, batches are of full size, even of a file that hides none of them.
            None if full || !self.terms.hide_rows() => return self.release(&kept).map(Some),
            None => self.collector.push_batch(kept)?,
            Some(visible) => {
                let runs: Vec<(usize, usize)> = visible.values().set_slices().take(RUNS_MAX + 1).collect();
                match runs[..] {
                    [(0, end)] if full && end == kept.num_rows() => return self.release(&kept).map(Some),
                    // Where a few rows are hidden, those between them are copied once: a filter would make a batch that is then copied.
                    [..] if runs.len() <= RUNS_MAX => {
                        for (start, end) in runs {
                            self.collector.push_batch(kept.slice(start, end.saturating_sub(start)))?;
                        }
                    }
                    [..] => self.collector.push_batch_with_filter(kept, &visible)?,
                }
            }
        }
        if self.rows_left.is_some_and(|left| self.collector.get_buffered_rows() >= left) {
            self.collector.finish_buffered_batch()?;
        }
        Ok(None)
    }

    /// Which rows the policy lets through; `None`: all. Never NULL.
    fn permitted(&mut self, arrival: &Arrival) -> Result<Option<BooleanArray>> {
        let numbered = match arrival {
            Arrival::Read(batch) => return self.tested(batch),
            Arrival::Numbered(numbered) => numbered,
        };
        let broken = |invariant| DataFusionError::from(Error::Internal { invariant });
        let recall = self.terms.recall.as_ref().ok_or_else(|| broken("rows by number are asked for by who remembers some"))?;
        match (numbered.reading, &numbered.numbers) {
            (Reading::Bare, None) => Ok(None),
            (Reading::Numbered, Some(numbers)) => recall.visible(numbered.file, numbers).map(Some),
            (Reading::Whole, Some(numbers)) => {
                let permitted = self.tested(&numbered.batch)?;
                if let (Some(recorder), Some(permitted)) = (&mut self.recorder, &permitted) {
                    recorder.record(numbered.file, numbers, permitted, &numbered.batch)?;
                }
                Ok(permitted)
            }
            _ => Err(broken("rows come as they were asked for")),
        }
    }

    /// The same, by testing the columns.
    fn tested(&self, batch: &RecordBatch) -> Result<Option<BooleanArray>> {
        let mut remaining = None;
        match &self.terms.row_test {
            RowTest::Absent => {}
            RowTest::Condition(condition) => remaining = Some(truth(condition, batch)?),
            // INVARIANT: a row of which nothing is remembered is shown by nobody's word.
            RowTest::Remembered => return Err(Error::Internal { invariant: "rows that must be tested come with the test" }.into()),
        }
        for (position, probe) in &self.terms.exclusions {
            let subjects = batch.columns().get(*position).ok_or(Error::Internal { invariant: "the subject column is read" })?;
            remaining = Some(both(remaining, probe.visible(subjects)?)?);
        }
        Ok(remaining)
    }

    /// Which of the rows that the policy lets through have what it looks at. What the statement sees of them must fit its type, or it ends; what only
    /// a mask looks at is taken for NULL.
    fn fitting(
        &self,
        batch: &RecordBatch,
        mut permitted: Option<BooleanArray>,
        source: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<BooleanArray>> {
        let marks = batch.columns().iter().enumerate().filter_map(|(position, column)| Some((position, marked(column)?)));
        let marks: Vec<(usize, BooleanArray)> = marks.collect();
        for (_, marked) in marks.iter().filter(|(position, _)| self.terms.tests(*position)) {
            permitted = Some(both(permitted, not(marked)?)?);
        }
        for (position, marked) in marks.iter().filter(|(position, _)| self.terms.tells(*position)) {
            let mut wanted = both(permitted.clone(), marked.clone())?;
            for predicate in &self.terms.predicates {
                // INVARIANT: row by row, so that the marks of hidden rows change nothing.
                let mut holds = truth(predicate, batch)?;
                for (_, unknown) in marks.iter().filter(|(column, _)| reads(predicate, *column)) {
                    holds = or(&holds, unknown)?;
                }
                wanted = and(&wanted, &holds)?;
            }
            if wanted.true_count() > 0 {
                return Err(port_error(&self.terms, refusal(source, *position)));
            }
        }
        Ok(permitted)
    }

    /// Which of the rows that are let through are asked for; `None`: all. Never NULL.
    fn visible(&self, batch: &RecordBatch, permitted: Option<BooleanArray>) -> Result<Option<BooleanArray>> {
        let mut remaining = permitted;
        for predicate in &self.terms.predicates {
            if remaining.as_ref().is_some_and(|remaining| remaining.true_count() == 0) {
                break;
            }
            remaining = Some(both(remaining, truth(predicate, batch)?)?);
        }
        Ok(remaining)
    }

    fn kept(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = batch.columns().iter().take(self.terms.kept).cloned().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.kept), columns, &options)?)
    }

    /// Cuts a batch of visible rows to the limit and masks it.
    fn release(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut batch = batch.clone();
        if let Some(left) = &mut self.rows_left {
            batch = batch.slice(0, batch.num_rows().min(*left));
            *left = left.saturating_sub(batch.num_rows());
        }
        let column = |position: &usize| batch.columns().get(*position).cloned();
        let broken = || DataFusionError::from(Error::Internal { invariant: "what a shown column is made of is kept" });
        let shown = self.terms.shown.iter().zip(&mut self.memos).map(|(shown, memo)| match shown {
            Shown::AsItIs(position) => column(position).ok_or_else(broken),
            Shown::Masked { inputs, mask } => {
                let inputs = inputs.iter().map(column).collect::<Option<Vec<_>>>().ok_or_else(broken)?;
                mask.apply(&inputs, batch.num_rows(), memo)
            }
        });
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), shown.collect::<Result<_>>()?, &options)?)
    }
}

/// The rows for which a condition is true.
fn truth(condition: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> Result<BooleanArray> {
    let truth = condition.evaluate(batch)?.into_array(batch.num_rows())?;
    let truth = truth.as_any().downcast_ref::<BooleanArray>();
    let truth = truth.ok_or(Error::Internal { invariant: "a filter of the barrier is a condition" })?;
    Ok(if truth.null_count() > 0 { prep_null_mask_filter(truth) } else { truth.clone() })
}

fn both(before: Option<BooleanArray>, now: BooleanArray) -> Result<BooleanArray> {
    Ok(match before {
        Some(before) => and(&before, &now)?,
        None => now,
    })
}
