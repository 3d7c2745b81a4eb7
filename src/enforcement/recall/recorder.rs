//! Takes down what a rule says of rows that are read with all its columns, row group by row group.
//!
//! INVARIANT: a row group is remembered only if each of its rows came by, in order and once. One of which pages were pruned, or whose reading ended
//! early, is not.

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, Int64Array, RecordBatch};
use datafusion::error::Result;

use super::group::Observed;
use super::{Recall, run};

/// Takes down what one partition of a scan reads.
#[derive(Debug)]
pub(in super::super) struct Recorder {
    recall: Arc<Recall>,
    open: Option<Open>,
}

/// The row group that is being read.
#[derive(Debug)]
struct Open {
    file: usize,
    group: usize,
    start: usize,
    observed: Observed,
}

impl Recorder {
    /// Nothing has been read yet.
    pub(in super::super) fn new(recall: Arc<Recall>) -> Self {
        Self { recall, open: None }
    }

    /// Takes down which of these rows are visible. Neither has NULLs.
    pub(in super::super) fn record(
        &mut self,
        file: usize,
        numbers: &Int64Array,
        visible: &BooleanArray,
        batch: &RecordBatch,
    ) -> Result<()> {
        let recall = Arc::clone(&self.recall);
        let Some(read) = recall.files.get(file).filter(|file| file.version.is_some()) else { return Ok(()) };
        let first = run(numbers).filter(|_| visible.len() == numbers.len() && visible.null_count() == 0);
        let Some(first) = first else {
            self.open = None;
            return Ok(());
        };
        let values = recall.rule.bounded(batch.columns())?;
        let mut done = 0;
        while done < numbers.len() {
            let row = first + done;
            let Some((group, start, end)) = read.group_of(row) else { break };
            let count = (numbers.len() - done).min(end - row);
            let follows = |open: &Open| (open.file, open.group) == (file, group) && open.start + open.observed.seen() == row;
            if !self.open.as_ref().is_some_and(follows) {
                self.open = None;
                if row == start {
                    let observed = Observed::new(end - start, &recall.rule.bounds);
                    self.open = observed.map(|observed| Open { file, group, start, observed });
                }
            }
            let values: Vec<Int64Array> = values.iter().map(|values| values.slice(done, count)).collect();
            let added = self.open.as_mut().map(|open| open.observed.add(&visible.values().slice(done, count), &values));
            if added == Some(None) {
                self.open = None;
            }
            if row + count == end {
                self.close();
            }
            done += count;
        }
        Ok(())
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Some((file, version)) = self.recall.files.get(open.file).and_then(|file| Some((file, file.version.as_ref()?))) else { return };
        if let Some(group) = open.observed.finish() {
            self.recall.memory.keep(version, &self.recall.rule, (open.group, file.known.len()), group);
        }
    }
}
