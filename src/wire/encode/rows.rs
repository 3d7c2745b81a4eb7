//! Rows as messages, a column at a time.
//!
//! The columns of a slice are measured, which tells where each row begins; then each column is written to its place in every row.

use arrow::record_batch::RecordBatch;
use bytes::BytesMut;

use crate::engine::{Column, Format};

use super::lane::{Around, Lane, Rows};
use super::lines::Lines;
use super::{EncodeError, EncodeSettings, Target, format_of};

/// What stands around the values of a row.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) enum Layout<'a> {
    /// A DataRow message.
    DataRow,
    /// A CopyData message with a row of a binary COPY; the bytes stand before the first.
    CopyRow { lead: &'a [u8] },
    /// A CopyData message with a line.
    CopyLine(&'a Lines),
}

impl<'a> Layout<'a> {
    fn kind(self) -> u8 {
        match self {
            Self::DataRow => b'D',
            Self::CopyRow { .. } | Self::CopyLine(_) => b'd',
        }
    }

    fn around(self, column: usize, columns: usize) -> Around<'a> {
        match self {
            Self::DataRow | Self::CopyRow { .. } => Around::Length,
            Self::CopyLine(lines) => Around::Line(lines.cell(column, columns)),
        }
    }
}

/// Writes rows, keeping its buffers between slices.
#[derive(Debug, Default)]
pub(in crate::wire) struct RowEncoder {
    lanes: Vec<Lane>,
    /// How long each row is; then where its next value stands.
    cursors: Vec<usize>,
}

impl RowEncoder {
    /// Appends a batch as messages. On an error nothing is appended.
    pub(in crate::wire) fn rows(
        &mut self,
        batch: &RecordBatch,
        columns: &[Column],
        formats: &[Format],
        settings: &EncodeSettings,
        layout: Layout<'_>,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        if batch.num_columns() != columns.len() {
            return Err(EncodeError::Shape);
        }
        let (tuple, ended);
        let (lead, head): (&[u8], &[u8]) = match layout {
            Layout::DataRow | Layout::CopyRow { .. } => {
                tuple = i16::try_from(columns.len()).map_err(|_| EncodeError::TooLong)?.to_be_bytes();
                (if let Layout::CopyRow { lead } = layout { lead } else { &[] }, &tuple)
            }
            Layout::CopyLine(_) => {
                // A line ends with its last value, if it has one.
                ended = if columns.is_empty() { &b"\n"[..] } else { &[] };
                (&[], ended)
            }
        };
        self.lanes.resize_with(columns.len(), Lane::default);
        self.cursors.clear();
        self.cursors.resize(batch.num_rows(), 5 + head.len());
        if let Some(first) = self.cursors.first_mut() {
            *first += lead.len();
        }
        let mut measured = Vec::with_capacity(columns.len());
        for (index, ((array, column), lane)) in batch.columns().iter().zip(columns).zip(&mut self.lanes).enumerate() {
            let target = Target { pg_type: column.pg_type, format: format_of(formats, index) };
            let around = layout.around(index, columns.len());
            measured.push((lane.measure(array.as_ref(), target, settings, around, &mut self.cursors)?, around));
        }
        let before = out.len();
        let rows: usize = self.cursors.iter().sum();
        out.resize(before + rows, 0);
        let place = out.get_mut(before..).unwrap_or_default();
        let written = begin_rows(layout.kind(), lead, head, &mut self.cursors, place).and_then(|()| {
            let mut rows = Rows { out: place, cursors: &mut self.cursors };
            self.lanes.iter().zip(measured).try_for_each(|(lane, (values, around))| lane.write(values, around, &mut rows))
        });
        if written.is_err() {
            out.truncate(before);
        }
        written
    }
}

/// Writes what stands before the first value of each row; lengths become cursors.
fn begin_rows(kind: u8, lead: &[u8], head: &[u8], cursors: &mut [usize], mut out: &mut [u8]) -> Result<(), EncodeError> {
    let mut start = 0;
    let mut lead = lead;
    for cursor in cursors {
        let (row, rest) = std::mem::take(&mut out).split_at_mut_checked(*cursor).ok_or(EncodeError::Shape)?;
        let length = i32::try_from(row.len().saturating_sub(1)).map_err(|_| EncodeError::TooLong)?;
        let begun = [&[kind][..], &length.to_be_bytes(), lead, head].into_iter().try_fold(row, |row, bytes| {
            let (place, row) = row.split_at_mut_checked(bytes.len())?;
            place.copy_from_slice(bytes);
            Some(row)
        });
        let left = begun.ok_or(EncodeError::Shape)?.len();
        let end = start + *cursor;
        *cursor = end - left;
        start = end;
        lead = &[];
        out = rest;
    }
    Ok(())
}
