//! Remembers which rows a policy let through, so that later scans need not read the columns that it tests.
//!
//! INVARIANT: a row is shown for what is remembered only if, in this version of this file, the same rule has been tested on the values of that
//! very row before, and said yes. Statistics of a file say nothing of the kind. Whatever is in doubt is read and tested again: a file
//! without a version, a rule that is not the same to the last constant, a row group that was not seen whole.
//!
//! A rule is the row filter with all its constants, the set of the erased by its identity, and the columns both read ([`rule`]). Bounds that move with
//! the clock are not part of it: what is remembered holds for an interval of them ([`group`]). Rows are known by their numbers, which
//! the port delivers with them; the barrier asks for each batch which of its rows are visible.

mod group;
mod memory;
mod recorder;
mod rule;
mod study;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::arrow::array::{Array, BooleanArray, Int64Array};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::catalog::Session;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use crate::ports::{FileVersion, NumberedFile, NumberedScan, Reading};

use super::Error;
use super::compiled::CompiledDecision;

use group::Kept;
pub use memory::{Selections, SelectionsUsed};
pub(super) use recorder::Recorder;
use rule::Rule;
pub(super) use study::Study;

/// What is remembered for one scan, and what is to be.
#[derive(Debug)]
pub(super) struct Recall {
    memory: Arc<Selections>,
    rule: Rule,
    files: Vec<RecalledFile>,
    complete: bool,
}

#[derive(Debug)]
struct RecalledFile {
    version: Option<FileVersion>,
    /// The number of the first row of each row group, and of the one behind the last.
    starts: Vec<usize>,
    /// For each row group the visible rows, if they are known.
    known: Vec<Option<Kept>>,
}

/// The columns of a scan.
pub(super) struct Asked<'a> {
    /// So many of the first columns are what the statement reads; the others only the policy.
    pub(super) first: usize,
    /// The statement's own filters, over these.
    pub(super) filters: &'a [Expr],
}

/// How a scan is read.
pub(super) enum Recalled {
    /// As it is.
    AsItIs,
    /// As it is; and it is time to study its files.
    AsItIsAndStudied(Study),
    /// Without what need not be read, and what the barrier must know of it.
    Less(Arc<dyn ExecutionPlan>, Arc<Recall>),
}

/// The scan without what is remembered.
pub(super) fn recalled(
    session: &dyn Session,
    decision: &CompiledDecision,
    scan: &Arc<dyn ExecutionPlan>,
    asked: &Asked<'_>,
) -> Result<Recalled> {
    let memory = session.config().get_extension::<Selections>().filter(|memory| memory.is_on());
    let (Some(memory), Some(scan)) = (memory, NumberedScan::of(scan)) else { return Ok(Recalled::AsItIs) };
    let Some(files) = scan.files().filter(|files| files.iter().any(|file| file.version.is_some())) else { return Ok(Recalled::AsItIs) };
    let Some(rule) = Rule::of(decision, |name| scan.column(name)) else { return Ok(Recalled::AsItIs) };
    let looked_through = scan.row_groups_looked_through();
    // They come in order.
    let is_read = |at: usize, group: usize| looked_through.as_ref().is_none_or(|groups| groups.binary_search(&(at, group)).is_ok());
    let recalled = |(at, file): (usize, &NumberedFile)| RecalledFile::new(file, &memory, &rule, |group| is_read(at, group));
    let files: Vec<RecalledFile> = files.iter().enumerate().map(recalled).collect();
    let known = || files.iter().flat_map(|file| &file.known).map(Option::is_some);
    let is_known = |(file, group): &(usize, usize)| files.get(*file).is_some_and(|file| matches!(file.known.get(*group), Some(Some(_))));
    let complete = looked_through.as_ref().map_or_else(|| known().all(|known| known), |groups| groups.iter().all(is_known));
    // Whoever looks for a few rows reads no row group whole: there would be nothing to remember.
    let of_use = complete || (looked_through.is_none() && known().any(|known| known));
    let recall = Recall { memory, rule, files, complete };
    tracing::debug!(
        target: "meshgate::remembered",
        product = %decision.decision().product,
        row_groups = recall.files.iter().map(|file| file.known.len()).sum::<usize>(),
        remembered = recall.files.iter().flat_map(|file| &file.known).flatten().count(),
        used = ?recall.memory.used(),
        "what is remembered of rows"
    );
    if !of_use && scan.asks_for_few() {
        return Ok(if recall.is_study_due() { Recalled::AsItIsAndStudied(Study::new(recall.memory)) } else { Recalled::AsItIs });
    }
    let read = scan.read_as(session, asked.first, asked.filters, |file, group| recall.reading(file, group))?;
    Ok(Recalled::Less(read, Arc::new(recall)))
}

impl Recall {
    /// Counts a look-up that nothing was remembered for; whether it is time to study the files.
    fn is_study_due(&self) -> bool {
        let rows = self.files.iter().filter_map(|file| file.starts.last()).sum();
        let first = self.files.iter().find_map(|file| file.version.clone());
        first.is_some_and(|version| self.memory.look_ups().count((version, Arc::clone(&self.rule.key)), rows))
    }

    /// Whether it is known of every row that is read: none has to be tested.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    fn known(&self, file: usize, group: usize) -> Option<&Kept> {
        self.files.get(file)?.known.get(group)?.as_ref()
    }

    fn reading(&self, file: usize, group: usize) -> Reading {
        match self.known(file, group) {
            None => Reading::Whole,
            Some(Kept::None) => Reading::Skipped,
            Some(Kept::All) => Reading::Bare,
            Some(Kept::Some(_)) => Reading::Numbered,
        }
    }

    /// Which of these rows are visible, by what is remembered of them.
    pub(super) fn visible(&self, file: usize, numbers: &Int64Array) -> Result<BooleanArray> {
        let file = self.files.get(file).ok_or(Error::Internal { invariant: "rows come from a file of the scan" })?;
        if let Some(first) = run(numbers)
            && let Some((group, start, end)) = file.group_of(first)
            && first + numbers.len() <= end
        {
            let visible = match file.known.get(group).and_then(Option::as_ref) {
                Some(Kept::Some(bits)) => bits.slice(first - start, numbers.len()),
                Some(Kept::All) => BooleanBuffer::new_set(numbers.len()),
                Some(Kept::None) => BooleanBuffer::new_unset(numbers.len()),
                None => return Err(not_remembered()),
            };
            return Ok(BooleanArray::new(visible, None));
        }
        numbers.values().iter().map(|number| file.is_visible(*number).map(Some)).collect::<Result<BooleanArray>>()
    }
}

impl RecalledFile {
    /// What is remembered of the row groups that are read.
    fn new(file: &NumberedFile, memory: &Selections, rule: &Rule, is_read: impl Fn(usize) -> bool) -> Self {
        let mut starts = vec![0];
        starts.extend(file.rows().scan(0_usize, |row, rows| {
            *row = row.saturating_add(rows);
            Some(*row)
        }));
        let known = file.version.as_ref().and_then(|version| memory.find(version, rule, is_read));
        let known = known.unwrap_or_else(|| vec![None; starts.len().saturating_sub(1)]);
        Self { version: file.version.clone(), starts, known }
    }

    /// The row group of a row: its position, its first row and the one behind its last.
    fn group_of(&self, row: usize) -> Option<(usize, usize, usize)> {
        let group = self.starts.partition_point(|start| *start <= row).checked_sub(1)?;
        Some((group, *self.starts.get(group)?, *self.starts.get(group + 1)?))
    }

    fn is_visible(&self, number: i64) -> Result<bool> {
        let row = usize::try_from(number).ok();
        let found = row.and_then(|row| self.group_of(row).map(|(group, start, _)| (group, row - start)));
        match found.and_then(|(group, row)| self.known.get(group)?.as_ref().map(|kept| (kept, row))) {
            Some((Kept::All, _)) => Ok(true),
            Some((Kept::None, _)) => Ok(false),
            Some((Kept::Some(bits), row)) if row < bits.len() => Ok(bits.value(row)),
            Some((Kept::Some(_), _)) | None => Err(not_remembered()),
        }
    }
}

fn not_remembered() -> datafusion::error::DataFusionError {
    Error::Internal { invariant: "rows without the policy's columns are of row groups that are remembered" }.into()
}

/// The first of numbers that follow each other without a gap.
fn run(numbers: &Int64Array) -> Option<usize> {
    if numbers.null_count() > 0 {
        return None;
    }
    let values = numbers.values();
    let first = usize::try_from(*values.first()?).ok()?;
    let gapless = values.iter().zip(values.iter().skip(1)).fold(true, |so_far, (one, next)| so_far & (next.wrapping_sub(*one) == 1));
    gapless.then_some(first)
}
