//! Columns as questions tell them. What is told of a column hangs on its contract and on what a statement does with it, so it is made once
//! for each such set of uses, as JSON and as the interpreter takes it, and shared by all questions.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::product::DataType;

use super::contract::Column;
use super::rego::{RegoValue, from_json};
use super::{FieldUse, schema};

/// A column in a question.
#[derive(Debug)]
pub(super) struct Told {
    uses: Vec<FieldUse>,
    /// As the audit log and tools have it.
    pub(super) json: Value,
    /// As the interpreter takes it.
    pub(super) asked: RegoValue,
    /// Whether it is as the schema of questions wants it.
    pub(super) fits: bool,
}

impl Told {
    fn new(column: &Column) -> Arc<Self> {
        let json = told(column);
        let (asked, fits) = (from_json(&json), schema::is_column(&json));
        Arc::new(Self { uses: column.uses.clone(), json, asked, fits })
    }
}

/// The columns that a contract lists, each with what has been told of it; at most one for each set of uses.
#[derive(Debug, Default)]
pub(super) struct ToldColumns(RwLock<Vec<Vec<Arc<Told>>>>);

impl ToldColumns {
    /// For a contract that lists so many columns.
    pub(super) fn new(columns: usize) -> Self {
        Self(RwLock::new(vec![Vec::new(); columns]))
    }

    /// What is told of these columns. They are the contract's, in its order; if it lists none, whatever a request names.
    pub(super) fn tell(&self, columns: &[Column]) -> Vec<Arc<Told>> {
        let known = self.known(columns);
        if known.iter().all(Option::is_some) {
            return known.into_iter().flatten().collect();
        }
        let told = columns.iter().zip(known).map(|(column, known)| known.unwrap_or_else(|| Told::new(column)));
        let told: Vec<Arc<Told>> = told.collect();
        let mut listed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if listed.len() == columns.len() {
            for (of_column, told) in listed.iter_mut().zip(&told) {
                if !of_column.iter().any(|known| known.uses == told.uses) {
                    of_column.push(Arc::clone(told));
                }
            }
        }
        told
    }

    fn known(&self, columns: &[Column]) -> Vec<Option<Arc<Told>>> {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if listed.len() != columns.len() {
            return vec![None; columns.len()];
        }
        let known = |(of_column, column): (&Vec<Arc<Told>>, &Column)| of_column.iter().find(|told| told.uses == column.uses).cloned();
        listed.iter().zip(columns).map(known).collect()
    }
}

fn told(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.data_type.as_ref().map(type_text),
        "classification": column.classification,
        "pii": column.pii,
        "mask": column.mask,
        "usage": column.uses.iter().map(|usage| usage.as_str()).collect::<Vec<_>>(),
    })
}

fn type_text(data_type: &DataType) -> String {
    match data_type {
        DataType::String => "string".to_owned(),
        DataType::Varchar(limit) => format!("varchar({limit})"),
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int16 => "int16".to_owned(),
        DataType::Int32 => "int32".to_owned(),
        DataType::Int64 => "int64".to_owned(),
        DataType::Float32 => "float32".to_owned(),
        DataType::Float64 => "float64".to_owned(),
        DataType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
        DataType::Date => "date".to_owned(),
        DataType::Time => "time".to_owned(),
        DataType::Timestamp => "timestamp".to_owned(),
        DataType::TimestampTz => "timestamptz".to_owned(),
        DataType::Interval => "interval".to_owned(),
        DataType::Uuid => "uuid".to_owned(),
        DataType::Json => "json".to_owned(),
        DataType::Bytes => "bytes".to_owned(),
        DataType::List(element) => format!("list<{}>", type_text(element)),
    }
}
