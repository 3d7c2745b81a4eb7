//! Whether a scan asks for so few rows that the reader should find these first, and decode the other columns for them alone.
//!
//! That costs less than it spares only for few rows: where one row in some ten is wanted, those between them are passed over at a higher price than
//! they are decoded. How many are wanted is estimated from what footers tell: the least and greatest values of a column, and how
//! large its dictionaries are. Where they tell nothing, all rows are taken to be wanted. An estimate changes no answer.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::logical_expr::Operator;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::basic::Type as PhysicalType;
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};

use super::super::files::{Pinned, Rooted};
use super::{Layout, NumberedFile};

/// Of more than this share of the rows, the reader finds none first.
const SHARE_MAX: f64 = 0.01;
/// Of more files than these the footers are not looked at again.
const FILES_MAX: usize = 16;
/// What comes before the values of a dictionary.
const PAGE_HEADER_BYTES: i64 = 20;
/// A usual length of a text.
const TEXT_BYTES: f64 = 16.0;

/// Whether the predicate lets few rows through.
pub(super) fn are_few(rooted: &Rooted, files: &[NumberedFile], layout: &Layout, predicate: &Arc<dyn PhysicalExpr>) -> bool {
    let asked = Asked::of(predicate);
    if asked.columns.is_empty() || files.len() > FILES_MAX {
        return false;
    }
    let mut known: HashMap<&str, Known> = HashMap::new();
    for file in files {
        // What has just been read is there; what is not is not read for an estimate.
        let cached = rooted.footers.get(&Pinned::named(&file.meta).location);
        let metadata = cached.as_ref().and_then(|cached| cached.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>());
        let Some(metadata) = metadata else { return false };
        for name in asked.columns.keys().map(String::as_str) {
            known.entry(name).or_default().add(file, layout, metadata.parquet_metadata(), name);
        }
    }
    let shares = asked.columns.iter().map(|(name, asked)| known.get(name.as_str()).map_or(1.0, |known| known.share(asked)));
    shares.product::<f64>() <= SHARE_MAX
}

/// What a predicate asks of the values of each column; all of it must be.
#[derive(Debug, Default)]
struct Asked {
    columns: HashMap<String, OfColumn>,
}

/// What is asked of one column.
#[derive(Debug, Default)]
struct OfColumn {
    /// One of so many values.
    values: Option<usize>,
    at_least: Option<f64>,
    at_most: Option<f64>,
}

impl Asked {
    fn of(predicate: &Arc<dyn PhysicalExpr>) -> Self {
        let mut asked = Self::default();
        for part in split_conjunction(predicate) {
            asked.add(part);
        }
        asked
    }

    fn add(&mut self, part: &Arc<dyn PhysicalExpr>) {
        if let Some((column, count)) = values(part) {
            let asked = self.column(column);
            asked.values = Some(asked.values.map_or(count, |known| known.min(count)));
            return;
        }
        let Some((column, op, value)) = comparison(part) else { return };
        let number = number(value.value());
        match op {
            Operator::Gt | Operator::GtEq => {
                let asked = self.column(column);
                asked.at_least = asked.at_least.into_iter().chain(number).reduce(f64::max);
            }
            Operator::Lt | Operator::LtEq => {
                let asked = self.column(column);
                asked.at_most = asked.at_most.into_iter().chain(number).reduce(f64::min);
            }
            _ => {}
        }
    }

    fn column(&mut self, column: &Column) -> &mut OfColumn {
        self.columns.entry(column.name().to_owned()).or_default()
    }
}

/// The column, if the condition is that it has one of so many values.
fn values(part: &Arc<dyn PhysicalExpr>) -> Option<(&Column, usize)> {
    if let Some(list) = part.downcast_ref::<InListExpr>() {
        return list.expr().downcast_ref().filter(|_| !list.negated()).map(|column| (column, list.list().len()));
    }
    let either = part.downcast_ref::<BinaryExpr>().filter(|either| *either.op() == Operator::Or);
    if let Some(either) = either {
        let ((left, one), (right, other)) = (values(either.left())?, values(either.right())?);
        return (left == right).then_some((left, one + other));
    }
    comparison(part).filter(|(_, op, _)| *op == Operator::Eq).map(|(column, _, _)| (column, 1))
}

/// A column compared with a constant, the column in front.
fn comparison(part: &Arc<dyn PhysicalExpr>) -> Option<(&Column, Operator, &Literal)> {
    let comparison = part.downcast_ref::<BinaryExpr>()?;
    let (left, right, op) = (comparison.left(), comparison.right(), *comparison.op());
    match (left.downcast_ref(), right.downcast_ref()) {
        (Some(column), Some(value)) => Some((column, op, value)),
        _ => Some((right.downcast_ref()?, op.swap()?, left.downcast_ref()?)),
    }
}

/// What footers tell of a column.
#[derive(Debug, Default)]
struct Known {
    least: Option<f64>,
    greatest: Option<f64>,
    /// Its values are whole numbers.
    whole: bool,
    /// The most values in one of its dictionaries, about.
    dictionary: Option<f64>,
    /// Of a file, something is not told.
    vague: bool,
}

impl Known {
    fn add(&mut self, file: &NumberedFile, layout: &Layout, metadata: &ParquetMetaData, name: &str) {
        let schema = metadata.file_metadata().schema_descr();
        let Ok(converter) = StatisticsConverter::try_new(name, &file.schema, schema) else {
            self.vague = true;
            return;
        };
        let shown = layout.schema.field_with_name(name).map(|field| field.data_type().clone());
        let bounds = |found: datafusion::parquet::errors::Result<ArrayRef>, outer: fn(f64, f64) -> f64| {
            let (found, shown) = (found.ok()?, shown.as_ref().ok()?);
            let numbers = (0..found.len()).map(|group| number(&ScalarValue::try_from_array(&found, group).ok()?.cast_to(shown).ok()?));
            numbers.collect::<Option<Vec<f64>>>()?.into_iter().reduce(outer)
        };
        let least = bounds(converter.row_group_mins(metadata.row_groups()), f64::min);
        let greatest = bounds(converter.row_group_maxes(metadata.row_groups()), f64::max);
        self.vague |= least.is_none() || greatest.is_none();
        self.least = self.least.into_iter().chain(least).reduce(f64::min);
        self.greatest = self.greatest.into_iter().chain(greatest).reduce(f64::max);
        self.whole = shown.is_ok_and(|shown| shown.is_integer());
        let Some(index) = converter.parquet_column_index() else { return };
        let chunks = metadata.row_groups().iter().filter_map(|group| group.columns().get(index));
        self.dictionary = self.dictionary.into_iter().chain(chunks.filter_map(dictionary)).reduce(f64::max);
    }

    /// About which share of the rows has what is asked.
    fn share(&self, asked: &OfColumn) -> f64 {
        let width = self.least.zip(self.greatest).filter(|_| !self.vague).map(|(least, greatest)| greatest - least);
        if let Some(values) = asked.values {
            // The more of these two can be told the less is believed: numbers may leave out many, and a dictionary may not hold all.
            let whole = width.filter(|_| self.whole).map(|width| 1.0 / (width + 1.0));
            let single = [whole, self.dictionary.map(f64::recip)].into_iter().flatten().reduce(f64::max);
            return single.map_or(1.0, |single| (single * u32::try_from(values).map_or(f64::INFINITY, f64::from)).min(1.0));
        }
        let Some((least, (greatest, width))) = self.least.zip(self.greatest.zip(width)).filter(|(_, (_, width))| *width > 0.0) else {
            return 1.0;
        };
        let from = asked.at_least.map_or(least, |from| from.max(least));
        let to = asked.at_most.map_or(greatest, |to| to.min(greatest));
        ((to - from) / width).clamp(0.0, 1.0)
    }
}

/// About how many values the dictionary of a chunk has, if it has one. It is packed, so there may be more.
fn dictionary(chunk: &ColumnChunkMetaData) -> Option<f64> {
    let bytes = chunk.data_page_offset().checked_sub(chunk.dictionary_page_offset()?)?.checked_sub(PAGE_HEADER_BYTES)?;
    let width = match chunk.column_type() {
        PhysicalType::BOOLEAN => return Some(2.0),
        PhysicalType::INT32 | PhysicalType::FLOAT => 4.0,
        PhysicalType::INT64 | PhysicalType::DOUBLE => 8.0,
        PhysicalType::INT96 => 12.0,
        PhysicalType::BYTE_ARRAY => TEXT_BYTES,
        PhysicalType::FIXED_LEN_BYTE_ARRAY => f64::from(chunk.column_descr().type_length().max(1)),
    };
    Some((f64::from(i32::try_from(bytes).ok()?) / width).max(1.0))
}

/// A value as a number, for estimates.
fn number(value: &ScalarValue) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs few digits")]
    let of = |whole: i128| whole as f64;
    let number = match value {
        ScalarValue::Int16(Some(value)) => f64::from(*value),
        ScalarValue::Int32(Some(value)) | ScalarValue::Date32(Some(value)) => f64::from(*value),
        ScalarValue::Int64(Some(value))
        | ScalarValue::Time64Microsecond(Some(value))
        | ScalarValue::TimestampMicrosecond(Some(value), _) => of(i128::from(*value)),
        ScalarValue::Float32(Some(value)) => f64::from(*value),
        ScalarValue::Float64(Some(value)) => *value,
        ScalarValue::Decimal128(Some(value), _, scale) => of(*value) / 10_f64.powi(i32::from(*scale)),
        _ => return None,
    };
    Some(number).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(least: f64, greatest: f64, whole: bool, dictionary: Option<f64>) -> Known {
        Known { least: Some(least), greatest: Some(greatest), whole, dictionary, vague: false }
    }

    #[test]
    fn a_value_is_as_rare_as_both_its_range_and_its_dictionary_allow() {
        let one = OfColumn { values: Some(1), ..OfColumn::default() };
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(near(known(1.0, 200_000.0, true, Some(100_000.0)).share(&one), 1.0 / 100_000.0));
        assert!(near(known(1.0, 200_000.0, true, None).share(&one), 1.0 / 200_000.0));
        // A code of few values far apart, and amounts of which there are fifty.
        assert!(near(known(1.0, 200_000.0, true, Some(4.0)).share(&one), 0.25));
        assert!(near(known(1.0, 50.0, false, Some(50.0)).share(&one), 0.02));
        assert!(near(Known::default().share(&one), 1.0));
        assert!(near(known(0.0, 9.0, true, None).share(&OfColumn { values: Some(100), ..OfColumn::default() }), 1.0));
    }

    #[test]
    fn a_range_is_its_part_of_all_values() {
        let range = |at_least, at_most| OfColumn { values: None, at_least, at_most };
        let column = known(0.0, 1_000.0, true, None);
        assert!(column.share(&range(Some(995.0), None)) <= SHARE_MAX);
        assert!(column.share(&range(None, Some(100.0))) > SHARE_MAX);
        assert!(column.share(&range(Some(500.0), Some(505.0))) <= SHARE_MAX);
        assert!(column.share(&range(Some(2_000.0), None)) <= SHARE_MAX);
        let vague = Known { vague: true, ..known(0.0, 1_000.0, true, None) };
        assert!(vague.share(&range(Some(995.0), None)) > SHARE_MAX);
    }
}
