//! Masked values that are shown again, each known by the place at which it came.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, UInt32Array, new_null_array};
use datafusion::arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use datafusion::arrow::compute::{concat, interleave, take};
use datafusion::error::Result;

/// A column may hold so many times what it shows: as much as a column does that shows the values of a file's dictionary.
const HELD_MAX: usize = 8;

/// Values in the order in which they came. The latest are apart until they are worth a copy of the others.
#[derive(Default)]
pub(super) struct Kept {
    old: Option<ArrayRef>,
    latest: Option<ArrayRef>,
}

impl Kept {
    /// Adds values behind those that are there.
    pub(super) fn add(&mut self, values: ArrayRef) -> Result<()> {
        let latest = match self.latest.take() {
            None => values,
            Some(before) => concat(&[before.as_ref(), values.as_ref()])?,
        };
        match self.old.take() {
            None => self.old = Some(latest),
            Some(old) if latest.len() > old.len() / 2 => self.old = Some(concat(&[old.as_ref(), latest.as_ref()])?),
            Some(old) => (self.old, self.latest) = (Some(old), Some(latest)),
        }
        Ok(())
    }

    /// Puts all together, where no more seem to come.
    pub(super) fn settle(&mut self) -> Result<()> {
        if let (Some(old), Some(latest)) = (&self.old, self.latest.take()) {
            self.old = Some(concat(&[old.as_ref(), latest.as_ref()])?);
        }
        Ok(())
    }

    /// The values of these places, and NULL where `nulls` has it.
    pub(super) fn show(&self, places: Vec<u32>, nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
        let old = self.old.as_ref().ok_or_else(super::wrong_type)?;
        let Some(latest) = &self.latest else {
            let places = UInt32Array::new(ScalarBuffer::from(places), nulls.cloned());
            return Ok(light(take(old, &places, None)?));
        };
        let null = new_null_array(old.data_type(), 1);
        let begin = u32::try_from(old.len()).unwrap_or(u32::MAX);
        let spot = |(row, place): (usize, &u32)| match place.checked_sub(begin) {
            _ if nulls.is_some_and(|nulls| nulls.is_null(row)) => (2, 0),
            None => (0, usize::try_from(*place).unwrap_or(usize::MAX)),
            Some(place) => (1, usize::try_from(place).unwrap_or(usize::MAX)),
        };
        let spots: Vec<(usize, usize)> = places.iter().enumerate().map(spot).collect();
        Ok(light(interleave(&[old.as_ref(), latest.as_ref(), null.as_ref()], &spots)?))
    }
}

/// The column without what it refers to and does not show, if that is much more than what it shows: who keeps it counts all of it.
fn light(column: ArrayRef) -> ArrayRef {
    let Some(texts) = column.as_string_view_opt() else { return column };
    let held: usize = texts.data_buffers().iter().map(Buffer::capacity).sum();
    if held / HELD_MAX > texts.total_buffer_bytes_used() { Arc::new(texts.gc()) } else { column }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::StringViewArray;

    use super::*;

    fn values(from: usize, to: usize) -> ArrayRef {
        Arc::new((from..to).map(|number| Some(format!("value number {number}"))).collect::<StringViewArray>())
    }

    #[test]
    fn a_value_stays_at_its_place_however_many_come_behind_it() {
        let mut kept = Kept::default();
        let mut count = 0;
        for more in [5, 1, 1, 0, 1, 40, 3, 0, 20, 1] {
            if more > 0 { kept.add(values(count, count + more)) } else { kept.settle() }.unwrap();
            count += more;
            let places: Vec<u32> = (0..count).rev().map(|place| u32::try_from(place).unwrap()).collect();
            let nulls: NullBuffer = (0..count).map(|row| row % 3 != 1).collect();
            let shown = kept.show(places.clone(), Some(&nulls)).unwrap();
            for (row, place) in places.iter().enumerate() {
                let value = shown.is_valid(row).then(|| shown.as_string_view().value(row).to_owned());
                assert_eq!(value, (row % 3 != 1).then(|| format!("value number {place}")));
            }
        }
    }

    #[test]
    fn what_is_shown_does_not_hold_much_more() {
        let mut kept = Kept::default();
        kept.add(values(0, 10_000)).unwrap();
        let held = |column: &ArrayRef| column.as_string_view().data_buffers().iter().map(Buffer::len).sum::<usize>();
        assert!(held(&kept.show(vec![7, 8, 9], None).unwrap()) < 100);
        assert!(held(&kept.show((0..5_000).collect(), None).unwrap()) > 100_000);
    }
}
