//! What the names of a record stand for: which column holds its date, its subject, and each of its values.

use crate::product::{DataType, FieldName};

use super::super::contract::Column as ContractColumn;
use super::super::rego::RegoValue as Value;
use super::term::{Column, Kind, Term};

/// The records of one product.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Record<'a> {
    /// The product's columns.
    pub(in super::super) columns: &'a [ContractColumn],
    /// The column that periods are counted from, as the contract's schema has it.
    pub(in super::super) created: Option<&'a FieldName>,
    /// The column that names the person.
    pub(in super::super) subject: Option<&'a FieldName>,
}

impl Record<'_> {
    /// `input.resource.record_created_ns`; `null` if the contract names no column.
    pub(super) fn created(&self) -> Term {
        let Some(name) = self.created else { return Term::Known(Value::Null) };
        let kind = match self.data_type(name) {
            None | Some(DataType::Date | DataType::Timestamp | DataType::TimestampTz) => Kind::Nanoseconds,
            Some(_) => Kind::Opaque,
        };
        Term::Column(Column::new(name, kind, true))
    }

    /// `input.resource.subject_id`; `null` if the contract names no column.
    pub(super) fn subject(&self) -> Term {
        match self.subject {
            None => Term::Known(Value::Null),
            Some(name) => Term::Column(Column::new(name, Kind::of(self.data_type(name)), true)),
        }
    }

    /// `input.resource.record.<name>`
    pub(super) fn column(&self, name: &str) -> Result<Term, String> {
        let found = self.columns.iter().find(|column| column.name.as_str() == name);
        let column = found.ok_or_else(|| format!("the product has no column \"{name}\""))?;
        Ok(Term::Column(Column::new(&column.name, Kind::of(column.data_type.as_ref()), false)))
    }

    /// A column's type, if the contract tells.
    pub(super) fn data_type(&self, name: &FieldName) -> Option<&DataType> {
        self.columns.iter().find(|column| &column.name == name)?.data_type.as_ref()
    }
}
