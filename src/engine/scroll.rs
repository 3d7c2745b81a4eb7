//! Rows that a cursor has read, so that it can go back to them.
//!
//! INVARIANT: beside rows that are on their way to the client it keeps at most so many bytes; of more, the first rows are let go, and
//! going back to them is an error.

use std::collections::VecDeque;

use arrow::array::{Array as _, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;

use crate::error::{ClientMessage, SqlState};

use super::sql::Direction;

/// What has been read, and where the cursor stands.
pub(super) struct Scroll {
    /// Rows with their size.
    batches: VecDeque<(RecordBatch, usize)>,
    bytes: usize,
    /// How much of the rows behind it the cursor may keep.
    bytes_max: usize,
    /// Rows that were let go, before those that are kept.
    dropped: u64,
    /// Rows that have been read.
    read: u64,
    /// Nothing comes after what has been read.
    ended: bool,
    /// The row that it is on, from 1; 0 is before the first, and one more than there are is behind the last.
    at: u64,
}

/// What a FETCH asks for, once it is known where the rows end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The first and the last row, from 1.
    rows: (u64, u64),
    backward: bool,
    /// Where the cursor stands then.
    to: u64,
}

impl Scroll {
    /// Before the first row.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bytes_max, dropped: 0, read: 0, ended: false, at: 0 }
    }

    /// How many rows have to be read before the request can be told; `None` is all of them.
    pub(super) fn wanted(&self, direction: Direction) -> Option<u64> {
        match direction {
            Direction::Forward(rows) => Some(self.at.saturating_add(rows)),
            Direction::All => None,
            Direction::Start | Direction::Backward(_) => Some(0),
            Direction::Absolute(place) => u64::try_from(place).ok(),
            Direction::Relative(distance) => Some(self.at.saturating_add_signed(distance)),
        }
    }

    /// Whether so many rows have been read, or there are no more.
    pub(super) fn has(&self, wanted: Option<u64>) -> bool {
        self.ended || wanted.is_some_and(|wanted| self.read >= wanted)
    }

    /// Whether the request leads to a row behind the one that the cursor is on.
    pub(super) fn leads_on(&self, direction: Direction) -> bool {
        match direction {
            Direction::Forward(rows) => rows > 0,
            Direction::All => true,
            Direction::Absolute(place) => u64::try_from(place).is_ok_and(|place| place > self.at),
            Direction::Relative(distance) => distance > 0,
            Direction::Start | Direction::Backward(_) => false,
        }
    }

    /// Whether every row since the first is still there.
    pub(super) fn is_whole(&self) -> bool {
        self.dropped == 0
    }

    /// Goes to before the first row; answers how many rows that was.
    pub(super) fn begin(&mut self) -> u64 {
        std::mem::take(&mut self.at).saturating_sub(1)
    }

    /// Rows that the cursor jumps over or onto have been read.
    pub(super) fn push(&mut self, batch: RecordBatch) {
        self.keep(batch);
        while self.batches.len() > 1 && self.bytes > self.bytes_max {
            self.let_go();
        }
    }

    /// Rows have been read and are handed out: the cursor is on the last of them.
    pub(super) fn pass(&mut self, batch: &RecordBatch) {
        self.keep(batch.clone());
        self.at = self.read;
        while self.bytes > self.bytes_max && (self.bytes_max == 0 || self.batches.len() > 1) {
            self.let_go();
        }
    }

    fn keep(&mut self, batch: RecordBatch) {
        let columns = batch.columns().iter();
        let bytes = columns
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()))
            // Rows without columns take their place, too.
            .sum::<usize>()
            .max(1);
        self.read = self.read.saturating_add(count(&batch));
        self.bytes = self.bytes.saturating_add(bytes);
        self.batches.push_back((batch, bytes));
    }

    fn let_go(&mut self) {
        if let Some((batch, bytes)) = self.batches.pop_front() {
            self.dropped = self.dropped.saturating_add(count(&batch));
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// There are no more rows than have been read.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// There are no more rows, and the cursor is behind the last one.
    pub(super) fn pass_end(&mut self) {
        self.ended = true;
        self.at = self.read.saturating_add(1);
    }

    /// The next rows that had been read before the cursor went back; at most so many.
    pub(super) fn ahead(&mut self, rows_max: Option<u64>) -> Result<Option<RecordBatch>, ClientMessage> {
        let next = self.at.saturating_add(1);
        if next > self.read {
            return Ok(None);
        }
        let rows = self.batches.iter().scan(self.dropped, |before, (batch, _)| {
            *before = before.saturating_add(count(batch));
            Some(*before)
        });
        let last = rows.into_iter().find(|last| *last >= next).unwrap_or(next);
        let last = rows_max.map_or(last, |rows| last.min(self.at.saturating_add(rows)));
        let batches = self.taken(Span { rows: (next, last), backward: false, to: last })?;
        Ok(batches.into_iter().next())
    }

    /// What the request means, of the rows that have been read.
    pub(super) fn span(&self, direction: Direction) -> Span {
        let behind = self.read.saturating_add(1);
        let none = |to: u64| Span { rows: (1, 0), backward: false, to };
        let single = |place: u64| match place {
            0 => none(0),
            place if place > self.read => none(behind),
            place => Span { rows: (place, place), backward: false, to: place },
        };
        match direction {
            // To fetch no rows is to fetch the one that it is on again.
            Direction::Forward(0) | Direction::Backward(Some(0)) => single(self.at),
            Direction::Forward(rows) => {
                let last = self.at.saturating_add(rows);
                let to = if last > self.read { behind } else { last };
                Span { rows: (self.at.saturating_add(1), last.min(self.read)), backward: false, to }
            }
            Direction::All => Span { rows: (self.at.saturating_add(1), self.read), backward: false, to: behind },
            Direction::Start => none(0),
            Direction::Backward(rows) => {
                let first = rows.map_or(0, |rows| self.at.saturating_sub(rows));
                Span { rows: (first.max(1), self.at.saturating_sub(1)), backward: true, to: first }
            }
            Direction::Absolute(place) => single(match u64::try_from(place) {
                Ok(place) => place,
                Err(_) => behind.saturating_sub(place.unsigned_abs()),
            }),
            Direction::Relative(distance) => single(self.at.saturating_add_signed(distance)),
        }
    }

    /// The rows of a span, and the cursor stands behind them.
    pub(super) fn taken(&mut self, span: Span) -> Result<Vec<RecordBatch>, ClientMessage> {
        let (first, last) = span.rows;
        if first > last {
            self.at = span.to;
            return Ok(Vec::new());
        }
        if first <= self.dropped {
            return Err(ClientMessage::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "the cursor has passed too many rows to go back to this one",
            )
            .with_hint("Declare it again to start from the first row."));
        }
        let mut before = self.dropped;
        let mut rows = Vec::new();
        for (batch, _) in &self.batches {
            let (from, to) = (before.saturating_add(1), before.saturating_add(count(batch)));
            if from <= last && to >= first {
                let (low, high) = (first.max(from), last.min(to));
                let offset = usize::try_from(low - from).unwrap_or(usize::MAX);
                rows.push(batch.slice(offset, usize::try_from(high - low).map_or(0, |length| length + 1)));
            }
            before = to;
        }
        // Rows without columns are all the same.
        if span.backward
            && let Some(one) = rows.first().filter(|one| one.num_columns() > 0)
        {
            let turned = concat_batches(&one.schema(), &rows).and_then(|all| {
                let places: UInt64Array = (0..count(&all)).rev().collect();
                take_record_batch(&all, &places)
            });
            rows = vec![turned.map_err(|_| ClientMessage::new(SqlState::INTERNAL_ERROR, "rows could not be turned"))?];
        }
        self.at = span.to;
        Ok(rows)
    }

    /// How many rows a MOVE over the span passes.
    pub(super) fn passed(&mut self, span: Span) -> u64 {
        self.at = span.to;
        span.rows.1.saturating_add(1).saturating_sub(span.rows.0)
    }
}

fn count(batch: &RecordBatch) -> u64 {
    u64::try_from(batch.num_rows()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int32Array};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn five() -> Scroll {
        let batch = |numbers: Vec<i32>| RecordBatch::try_from_iter([("x", Arc::new(Int32Array::from(numbers)) as ArrayRef)]).unwrap();
        let mut scroll = Scroll::new(1 << 20);
        scroll.push(batch(vec![1, 2, 3]));
        scroll.push(batch(vec![4, 5]));
        scroll.end();
        scroll
    }

    fn fetched(scroll: &mut Scroll, direction: Direction) -> Vec<i32> {
        let span = scroll.span(direction);
        let rows = scroll.taken(span).unwrap();
        rows.iter().flat_map(|batch| batch.column(0).as_primitive::<Int32Type>().values().to_vec()).collect()
    }

    #[test]
    fn it_goes_forward_and_back() {
        let mut scroll = five();
        for (direction, expected) in [
            (Direction::Forward(2), vec![1, 2]),
            (Direction::Forward(0), vec![2]),
            (Direction::Backward(Some(1)), vec![1]),
            (Direction::Backward(Some(1)), vec![]),
            (Direction::All, vec![1, 2, 3, 4, 5]),
            (Direction::Backward(Some(2)), vec![5, 4]),
            (Direction::Relative(-2), vec![2]),
            (Direction::Absolute(-1), vec![5]),
            (Direction::Backward(None), vec![4, 3, 2, 1]),
            (Direction::Absolute(3), vec![3]),
            (Direction::Absolute(9), vec![]),
            (Direction::Backward(Some(1)), vec![5]),
            (Direction::Start, vec![]),
            (Direction::Forward(1), vec![1]),
        ] {
            assert_eq!(fetched(&mut scroll, direction), expected, "{direction:?}");
        }
    }

    #[test]
    fn it_reads_no_further_than_it_must() {
        let scroll = five();
        assert_eq!(scroll.wanted(Direction::Forward(2)), Some(2));
        assert_eq!(scroll.wanted(Direction::Absolute(4)), Some(4));
        assert_eq!(scroll.wanted(Direction::Absolute(-1)), None);
        assert!(scroll.has(None));
    }

    #[test]
    fn rows_that_are_handed_out_are_kept_within_bounds() {
        let batch = |number: i32| RecordBatch::try_from_iter([("x", Arc::new(Int32Array::from(vec![number; 8])) as ArrayRef)]).unwrap();
        let mut scroll = Scroll::new(80);
        (0..5).for_each(|number| scroll.pass(&batch(number)));
        assert!(!scroll.is_whole());
        assert_eq!(fetched(&mut scroll, Direction::Relative(-1)), [4]);
        assert_eq!(scroll.ahead(Some(9)).unwrap().map(|rows| rows.num_rows()), Some(1));
        assert!(scroll.ahead(None).unwrap().is_none());
        let span = scroll.span(Direction::Absolute(1));
        assert_eq!(scroll.taken(span).unwrap_err().sqlstate, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        let mut forward = Scroll::new(0);
        forward.pass(&batch(1));
        assert!(forward.batches.is_empty());
        assert!(forward.leads_on(Direction::Absolute(9)) && !forward.leads_on(Direction::Absolute(8)));
    }
}
