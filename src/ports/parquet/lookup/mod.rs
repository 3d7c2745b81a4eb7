//! Rows that are looked up by their key in files of this machine: the few pages that can hold them are read by one thread in one go.
//!
//! The engine's reader fetches one column after the other, and hands each from thread to thread; for a row or two that costs more than the rows.
//!
//! INVARIANT: no row that has the key is left out: what footers do not tell can hold it. Whoever asked tests every row. All that is read is of
//! the version of the file that the scan was planned with. What is not simple is left to the engine's reader.

mod dictionaries;
mod exec;
mod pages;
mod places;
mod search;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, Scalar};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::physical_plan::parquet::metadata::CachedParquetMetaData;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::parquet::arrow::arrow_reader::RowSelection;
use datafusion::parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use datafusion::parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::ParquetMetaData;
use object_store::path::Path as ObjectPath;

use super::{Layout, NumberedFile, ParquetTable};
use crate::ports::error::Place;
use crate::ports::files::{FileVersion, Pinned};

pub(in crate::ports) use dictionaries::Dictionaries;
pub(in crate::ports) use exec::LookUpExec;

/// Of more rows whose keys would have to be read, several threads of the engine's reader look for them better.
const ROWS_MAX: usize = 1 << 17;
/// More files are left to it, too.
const FILES_MAX: usize = 64;

/// What is looked for, and where it can be.
#[derive(Debug)]
struct LookUp {
    at: Place,
    /// What is delivered.
    schema: SchemaRef,
    keys: Vec<Key>,
    spots: Vec<Spot>,
    /// Whether the last column that is delivered is where in its file a row lies.
    numbered: bool,
    dictionaries: Arc<Dictionaries>,
}

/// A column of the key, and its value in the rows that are looked for.
#[derive(Debug, Clone)]
struct Key {
    /// Its position in the contract.
    column: usize,
    value: ScalarValue,
    scalar: Scalar<ArrayRef>,
}

/// Rows of a row group that can have the key.
#[derive(Debug, Clone)]
struct Spot {
    file: Arc<SearchedFile>,
    /// The file's position in the scan.
    at: usize,
    group: usize,
    rows: RowSelection,
}

/// A file, and how its columns are read.
#[derive(Debug, Clone)]
struct SearchedFile {
    name: ObjectPath,
    path: PathBuf,
    version: FileVersion,
    metadata: Arc<ParquetMetaData>,
    /// Its fields as they are read.
    fields: Fields,
    /// Each column of the key alone.
    keys: Arc<[FieldLevels]>,
    /// The others, of the file.
    leaves: Vec<usize>,
    /// How these are read; known when the first of them is, for a scan may still be narrowed before.
    others: OnceLock<FieldLevels>,
    /// For each column that is delivered, where it comes from.
    columns: Vec<Origin>,
}

/// Where a column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It is that column of the key, and so has its value.
    Key(usize),
    /// It is that one of those that are read beside the key.
    Read(usize),
}

impl Key {
    /// The column, if a filter is that it has a value; of types of which equal values are the same.
    fn of(table: &ParquetTable, filter: &Expr) -> Option<Self> {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
        let (name, value) = match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(value, _)) | (Expr::Literal(value, _), Expr::Column(column)) => (&column.name, value),
            _ => return None,
        };
        let column = table.shape.columns.iter().position(|column| column.key && column.field.name() == name)?;
        let shown = table.shape.columns.get(column)?.field.data_type();
        let exact = matches!(
            shown,
            DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::Decimal128(..)
                | DataType::Date32
                | DataType::Timestamp(..)
                | DataType::Utf8View
        );
        let scalar = (exact && *shown == value.data_type() && !value.is_null()).then(|| value.to_scalar().ok())??;
        Some(Self { column, value: value.clone(), scalar })
    }
}

/// The scan of these columns for rows of these filters, if it is a simple look-up of few rows.
pub(super) fn look_up(
    table: &ParquetTable,
    layout: &Layout,
    files: &[NumberedFile],
    indices: &[usize],
    filters: &[Expr],
) -> Option<LookUpExec> {
    if table.keys.is_some() || table.pushdown.is_some() || !layout.told.is_empty() || files.len() > FILES_MAX {
        return None;
    }
    let keys: Vec<Key> = filters.iter().flat_map(split_conjunction).filter_map(|filter| Key::of(table, filter)).collect();
    if keys.is_empty() {
        return None;
    }
    let mut spots = Vec::new();
    let mut rows = 0_usize;
    for (at, file) in files.iter().enumerate() {
        let (searched, places) = SearchedFile::new(table, layout, file, &keys, indices)?;
        let searched = Arc::new(searched);
        for (group, selected) in places {
            rows = rows.saturating_add(selected.row_count());
            spots.push(Spot { file: Arc::clone(&searched), at, group, rows: selected });
        }
        if rows > ROWS_MAX {
            return None;
        }
    }
    let (at, dictionaries) = (table.files.at.clone(), Arc::clone(&table.files.rooted.dictionaries));
    Some(LookUpExec::new(LookUp { at, schema: table.shape.projected(indices), keys, spots, numbered: false, dictionaries }))
}

impl LookUp {
    /// The same in these row groups of one file, of the first columns only; and of numbers of rows, if they have a field.
    fn within(&self, file: usize, groups: &[usize], first: usize, number: Option<FieldRef>) -> Option<Self> {
        let spots: Vec<&Spot> = self.spots.iter().filter(|spot| spot.at == file && groups.contains(&spot.group)).collect();
        let searched = Arc::new(spots.first()?.file.of_first(first)?);
        let spots = spots.into_iter().map(|spot| Spot { file: Arc::clone(&searched), ..spot.clone() }).collect();
        let numbered = number.is_some();
        let fields: Vec<FieldRef> = self.schema.fields().get(..first)?.iter().cloned().chain(number).collect();
        let (at, keys, dictionaries) = (self.at.clone(), self.keys.clone(), Arc::clone(&self.dictionaries));
        Some(Self { at, schema: Arc::new(Schema::new(fields)), keys, spots, numbered, dictionaries })
    }
}

impl SearchedFile {
    /// How it is read, and where the rows can be.
    fn new(table: &ParquetTable, layout: &Layout, file: &NumberedFile, keys: &[Key], indices: &[usize]) -> Option<(Self, places::Places)> {
        let rooted = &table.files.rooted;
        let (version, path) = (file.version.clone()?, rooted.local_path(&file.meta)?);
        // What has just been looked at is there; what is not is left to who reads it again.
        let cached = rooted.footers.get(&Pinned::named(&file.meta).location)?;
        let metadata = Arc::clone(cached.file_metadata.as_any().downcast_ref::<CachedParquetMetaData>()?.parquet_metadata());
        let descriptor = metadata.file_metadata().schema_descr();
        let converter = |index: usize| StatisticsConverter::try_new(layout.source(index)?, &file.schema, descriptor).ok();
        let converters = keys.iter().map(|key| converter(key.column)).collect::<Option<Vec<_>>>()?;
        let places = places::of_keys(&metadata, &converters, keys)?;
        let leaves = converters.iter().map(StatisticsConverter::parquet_column_index).collect::<Option<Vec<usize>>>()?;
        let wanted = || keys.iter().map(|key| key.column).chain(indices.iter().copied());
        let fields = read_as(table, layout, &file.schema, wanted())?;
        let leaf = |index: &usize| converter(*index)?.parquet_column_index();
        let shown = indices.iter().map(leaf).collect::<Option<Vec<usize>>>()?;
        // The decoder delivers columns in the order of the file.
        let others = in_order(shown.iter().filter(|leaf| !leaves.contains(leaf)).copied());
        let origin = |leaf: &usize| match leaves.iter().position(|key| key == leaf) {
            Some(key) => Some(Origin::Key(key)),
            None => others.binary_search(leaf).ok().map(Origin::Read),
        };
        let columns = shown.iter().map(origin).collect::<Option<Vec<_>>>()?;
        let keys = leaves.iter().map(|leaf| levels(&metadata, &fields, &[*leaf]).ok()).collect::<Option<Arc<[_]>>>()?;
        let name = file.meta.location.clone();
        Some((Self { name, path, version, metadata, fields, keys, leaves: others, others: OnceLock::new(), columns }, places))
    }

    /// The same file, of which only so many of the columns are delivered.
    fn of_first(&self, count: usize) -> Option<Self> {
        let columns = self.columns.get(..count)?;
        let read = columns.iter().filter_map(|origin| match origin {
            Origin::Key(_) => None,
            Origin::Read(place) => self.leaves.get(*place).copied(),
        });
        let leaves = in_order(read);
        let moved = |origin: &Origin| match origin {
            Origin::Key(key) => Some(Origin::Key(*key)),
            Origin::Read(place) => leaves.binary_search(self.leaves.get(*place)?).ok().map(Origin::Read),
        };
        let columns = columns.iter().map(moved).collect::<Option<Vec<_>>>()?;
        Some(Self { leaves, others: OnceLock::new(), columns, ..self.clone() })
    }

    /// How the columns beside the key are decoded, if any are wanted.
    fn others(&self) -> Option<Result<&FieldLevels, ParquetError>> {
        if self.leaves.is_empty() {
            return None;
        }
        if let Some(known) = self.others.get() {
            return Some(Ok(known));
        }
        Some(levels(&self.metadata, &self.fields, &self.leaves).map(|levels| self.others.get_or_init(|| levels)))
    }
}

/// How these columns of a file are decoded.
fn levels(metadata: &ParquetMetaData, fields: &Fields, leaves: &[usize]) -> Result<FieldLevels, ParquetError> {
    let descriptor = metadata.file_metadata().schema_descr();
    parquet_to_arrow_field_levels(descriptor, ProjectionMask::leaves(descriptor, leaves.iter().copied()), Some(fields))
}

/// Columns in the order of the file, each once.
fn in_order(leaves: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut leaves: Vec<usize> = leaves.collect();
    leaves.sort_unstable();
    leaves.dedup();
    leaves
}

/// The file's fields with the types of the contract for these columns, if the decoder delivers those without a conversion.
fn read_as(table: &ParquetTable, layout: &Layout, own: &SchemaRef, wanted: impl Iterator<Item = usize>) -> Option<Fields> {
    let mut fields: Vec<FieldRef> = own.fields().iter().map(Arc::clone).collect();
    for index in wanted {
        let shown = table.shape.columns.get(index)?.field.data_type();
        let (place, found) = own.column_with_name(layout.source(index)?)?;
        if !is_read_as(found.data_type(), shown) {
            return None;
        }
        *fields.get_mut(place)? = Arc::new(ArrowField::new(found.name(), shown.clone(), found.is_nullable()));
    }
    Some(fields.into())
}

fn is_read_as(found: &DataType, shown: &DataType) -> bool {
    match (found, shown) {
        (DataType::Utf8 | DataType::LargeUtf8, DataType::Utf8View) => true,
        (DataType::Timestamp(found, Some(_)), DataType::Timestamp(shown, Some(_))) => found == shown,
        (found, shown) => found == shown && !found.is_nested(),
    }
}
