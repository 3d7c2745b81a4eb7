//! The columns of a port: what is shown, and where it is found at the source.
//!
//! INVARIANT: a source is asked for the contract's columns and no other; one that lacks a column or has it in a type that would lose
//! something is an error, never a NULL.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field as ArrowField, FieldRef, Schema, SchemaRef, TimeUnit};

use super::error::{Error, Place};
use super::schema::{UTC, arrow_field, arrow_type_name, type_name};
use crate::product::Field;

/// One column.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// As it is shown.
    pub(super) field: FieldRef,
    /// Its name at the source.
    pub(super) source: String,
    /// The contract gives the name at the source. If not, the name was folded, and one that differs only in case is the same.
    pub(super) pinned: bool,
    /// It is the primary key, or a part of it.
    pub(super) key: bool,
    /// A text that is no value of its type is read as NULL.
    pub(super) lenient: bool,
}

/// All columns of a port.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) columns: Vec<Column>,
    pub(super) schema: SchemaRef,
}

impl Shape {
    /// The contract's columns, and which of them are lenient.
    pub(super) fn of_contract(fields: &[Field], lenient: impl Fn(&Field) -> bool) -> Self {
        let columns = fields.iter().map(|field| Column {
            field: Arc::new(arrow_field(field.name.as_str(), &field.data_type)),
            source: field.source_name().to_owned(),
            pinned: field.physical_name.is_some(),
            key: field.primary_key,
            lenient: lenient(field),
        });
        Self::new(columns.collect())
    }

    /// The source's own columns, for a contract without a schema.
    pub(super) fn of_source(fields: Vec<ArrowField>) -> Self {
        let columns = fields.into_iter().map(|field| Column {
            source: field.name().clone(),
            field: Arc::new(field),
            pinned: true,
            key: false,
            lenient: false,
        });
        Self::new(columns.collect())
    }

    fn new(columns: Vec<Column>) -> Self {
        let schema = Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>());
        Self { columns, schema: Arc::new(schema) }
    }

    /// The position of each column among the source's names.
    pub(super) fn locate(&self, at: &Place, names: &[&str]) -> Result<Vec<usize>, Error> {
        let exact = first_of(names);
        self.columns.iter().map(|column| column.find(&exact, names).ok_or_else(|| column.missing(at))).collect()
    }

    /// The position of each column among the source's names, of those columns that are not told elsewhere.
    pub(super) fn locate_but(&self, at: &Place, names: &[&str], told: &HashSet<usize>) -> Result<Vec<Option<usize>>, Error> {
        let exact = first_of(names);
        let found = self.columns.iter().enumerate().map(|(index, column)| match told.contains(&index) {
            true => Ok(None),
            false => column.find(&exact, names).map(Some).ok_or_else(|| column.missing(at)),
        });
        found.collect()
    }

    /// The columns of a projection, in its order; all of them without one.
    pub(super) fn project(&self, at: &Place, projection: Option<&Vec<usize>>) -> Result<Vec<usize>, Error> {
        let indices = projection.cloned().unwrap_or_else(|| (0..self.columns.len()).collect());
        if indices.iter().any(|index| *index >= self.columns.len()) {
            return Err(Error::Internal { at: at.clone(), broken: "a projection names a column that the port does not have" });
        }
        Ok(indices)
    }

    /// The schema of a projection.
    pub(super) fn projected(&self, indices: &[usize]) -> SchemaRef {
        Arc::new(Schema::new(indices.iter().filter_map(|i| self.columns.get(*i)).map(|c| Arc::clone(&c.field)).collect::<Vec<_>>()))
    }
}

fn first_of<'a>(names: &[&'a str]) -> HashMap<&'a str, usize> {
    let mut exact = HashMap::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        exact.entry(*name).or_insert(index);
    }
    exact
}

impl Column {
    fn find(&self, exact: &HashMap<&str, usize>, names: &[&str]) -> Option<usize> {
        if let Some(index) = exact.get(self.source.as_str()) {
            return Some(*index);
        }
        if self.pinned {
            return None;
        }
        let mut same = names.iter().enumerate().filter(|(_, name)| name.eq_ignore_ascii_case(&self.source));
        match (same.next(), same.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    }

    /// The error of a source without this column.
    pub(super) fn missing(&self, at: &Place) -> Error {
        Error::MissingColumn { at: at.clone(), column: self.field.name().clone() }
    }

    /// The error of a source with this column in another type.
    pub(super) fn retyped(&self, at: &Place, found: impl Into<String>) -> Error {
        Error::ColumnType { at: at.clone(), column: self.field.name().clone(), found: found.into(), expected: type_name(&self.field) }
    }

    /// Checks that a column of this Arrow type can be shown as the contract says without losing anything.
    pub(super) fn check_type(&self, at: &Place, found: &ArrowType) -> Result<(), Error> {
        if is_lossless(found, self.field.data_type()) { Ok(()) } else { Err(self.retyped(at, arrow_type_name(found))) }
    }
}

/// Whether every value of `from` is a value of `to`. Digits below the microsecond are dropped: no contract type has them.
fn is_lossless(from: &ArrowType, to: &ArrowType) -> bool {
    use ArrowType as T;
    match (from, to) {
        (T::Dictionary(_, value), _) => is_lossless(value, to),
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8View) => true,
        (T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_), T::Binary) => true,
        (T::Int8 | T::UInt8, T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64) => true,
        (T::Int16 | T::UInt16, T::Int32 | T::Int64 | T::Float32 | T::Float64) => true,
        (T::Int32 | T::UInt32, T::Int64 | T::Float64) => true,
        (T::Float16, T::Float32 | T::Float64) | (T::Float32, T::Float64) => true,
        (T::Date32, T::Timestamp(_, None)) => true,
        (T::Timestamp(_, zone), T::Timestamp(TimeUnit::Microsecond, wanted)) => zone.is_some() == wanted.is_some(),
        (T::Time32(_) | T::Time64(_), T::Time64(TimeUnit::Microsecond)) => true,
        (T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) | T::Decimal256(p, s), T::Decimal128(to_p, to_s)) => {
            let (whole, to_whole) = (i16::from(*p) - i16::from(*s), i16::from(*to_p) - i16::from(*to_s));
            whole <= to_whole && s <= to_s
        }
        (T::List(element) | T::LargeList(element), T::List(wanted)) => is_lossless(element.data_type(), wanted.data_type()),
        (from, to) => from == to,
    }
}

/// The columns of a source as contract types show them, for contracts without a schema.
pub(super) fn own_columns(at: &Place, schema: &Schema) -> Result<Vec<ArrowField>, Error> {
    let shown = schema.fields().iter().map(|field| match shown_type(field.data_type()) {
        Some(data_type) => Ok(ArrowField::new(field.name(), data_type, true)),
        None => Err(Error::NotSupported { at: at.clone(), what: format!("the type of column \"{}\"", field.name()) }),
    });
    shown.collect()
}

/// The contract type that shows a source's Arrow type.
fn shown_type(found: &ArrowType) -> Option<ArrowType> {
    use ArrowType as T;
    Some(match found {
        T::Dictionary(_, value) => shown_type(value)?,
        T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8View,
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => T::Binary,
        T::Boolean | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 | T::Date32 => found.clone(),
        T::Int8 | T::UInt8 => T::Int16,
        T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::Float16 => T::Float32,
        T::Decimal32(p, s) | T::Decimal64(p, s) | T::Decimal128(p, s) => T::Decimal128(*p, *s),
        T::Decimal256(p, s) if *p <= 38 => T::Decimal128(*p, *s),
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Timestamp(_, None) => T::Timestamp(TimeUnit::Microsecond, None),
        T::Timestamp(_, Some(_)) => T::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        T::List(element) | T::LargeList(element) => T::List(Arc::new(ArrowField::new("item", shown_type(element.data_type())?, true))),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_widening_is_lossless() {
        assert!(is_lossless(&ArrowType::Int32, &ArrowType::Int64));
        assert!(!is_lossless(&ArrowType::Int64, &ArrowType::Int32));
        assert!(!is_lossless(&ArrowType::Int64, &ArrowType::Float64));
        assert!(is_lossless(&ArrowType::Decimal128(10, 2), &ArrowType::Decimal128(12, 2)));
        assert!(!is_lossless(&ArrowType::Decimal128(10, 2), &ArrowType::Decimal128(10, 4)));
        assert!(!is_lossless(&ArrowType::Utf8, &ArrowType::Int64));
        let (plain, zoned) =
            (ArrowType::Timestamp(TimeUnit::Millisecond, None), ArrowType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())));
        assert!(!is_lossless(&plain, &zoned));
    }
}
