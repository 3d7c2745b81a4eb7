//! Where in a file rows with a key can be, by the least and greatest values of row groups and pages.

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::compute::kernels::cmp;
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::file::metadata::ParquetMetaData;

use super::Key;

/// Row groups, and some of the rows of each.
pub(super) type Places = Vec<(usize, RowSelection)>;

/// The row groups that can hold rows of these keys, and which of their rows that are; of each key the converter of its column.
pub(super) fn of_keys(metadata: &ParquetMetaData, converters: &[StatisticsConverter<'_>], keys: &[Key]) -> Option<Places> {
    let groups = metadata.row_groups();
    let mut can = vec![true; groups.len()];
    for (converter, key) in converters.iter().zip(keys) {
        let found = key.can_be_within(&converter.row_group_mins(groups).ok()?, &converter.row_group_maxes(groups).ok()?)?;
        can.iter_mut().zip(found).for_each(|(can, found)| *can &= found);
    }
    let mut places = Vec::new();
    for (group, found) in groups.iter().enumerate().filter(|(group, _)| can.get(*group) == Some(&true)) {
        let rows = usize::try_from(found.num_rows()).ok()?;
        let mut selected = RowSelection::from_consecutive_ranges(std::iter::once(0..rows), rows);
        for (converter, key) in converters.iter().zip(keys) {
            if let Some(pages) = of_pages(metadata, converter, key, group, rows) {
                selected = selected.intersection(&pages);
            }
        }
        if selected.selects_any() {
            places.push((group, selected));
        }
    }
    Some(places)
}

/// The rows of the pages of a row group that can hold the key, if the file has an index of its pages.
fn of_pages(metadata: &ParquetMetaData, converter: &StatisticsConverter<'_>, key: &Key, group: usize, rows: usize) -> Option<RowSelection> {
    let leaf = converter.parquet_column_index()?;
    let (bounds, offsets) = (metadata.column_index()?, metadata.offset_index()?);
    bounds.get(group)?.get(leaf)?;
    let locations = offsets.get(group)?.get(leaf)?.page_locations();
    let starts = locations.iter().map(|page| usize::try_from(page.first_row_index).ok()).collect::<Option<Vec<_>>>()?;
    let mins = converter.data_page_mins(bounds, offsets, [&group]).ok()?;
    let maxes = converter.data_page_maxes(bounds, offsets, [&group]).ok()?;
    let can = key.can_be_within(&mins, &maxes).filter(|can| can.len() == starts.len())?;
    let ends = starts.iter().skip(1).copied().chain([rows]);
    let ordered = starts.first() == Some(&0) && starts.is_sorted() && starts.last()? <= &rows;
    let pages = starts.iter().zip(ends).zip(can).filter(|(_, can)| *can).map(|((start, end), _)| *start..end);
    ordered.then(|| RowSelection::from_consecutive_ranges(pages.filter(|rows| !rows.is_empty()), rows))
}

impl Key {
    /// Where the value can be, by these bounds; a bound that is not told is none.
    fn can_be_within(&self, mins: &ArrayRef, maxes: &ArrayRef) -> Option<Vec<bool>> {
        let shown = self.value.data_type();
        let (mins, maxes) = (cast(mins, &shown).ok()?, cast(maxes, &shown).ok()?);
        let (above, below) = (cmp::lt_eq(&mins, &self.scalar).ok()?, cmp::gt_eq(&maxes, &self.scalar).ok()?);
        let can = |place: usize| (above.is_null(place) || above.value(place)) && (below.is_null(place) || below.value(place));
        Some((0..above.len().min(below.len())).map(can).collect())
    }
}
