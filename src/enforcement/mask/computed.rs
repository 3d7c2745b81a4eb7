//! Masks that are computed by an expression over the columns of the row.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType as ArrowType, Field, Schema};
use datafusion::error::Result;

use crate::product::DataType;
use crate::product::mask::{Expression, Value};

use super::memo::Memo;
use super::types;
use super::types::{Reader, collect, plain, viewed};

/// An expression bound to the types of its columns.
#[derive(Debug)]
pub(super) struct Computed {
    expression: Arc<Expression>,
    target: DataType,
    data_type: ArrowType,
}

impl Computed {
    /// The positions of the columns that it reads, and the mask; `None` if a column is not there.
    pub(super) fn new(expression: Arc<Expression>, target: &DataType, field: &Field, schema: &Schema) -> Option<(Vec<usize>, Self)> {
        let reads = expression.columns().iter().map(|name| {
            let (index, column) = schema.column_with_name(name.as_str())?;
            // What the expression was typed by is the contract's; the port delivers just that, or is not read.
            types::contract_type(column).map(|_| index)
        });
        let reads = reads.collect::<Option<Vec<usize>>>()?;
        Some((reads, Self { expression, target: target.clone(), data_type: field.data_type().clone() }))
    }

    pub(super) fn apply(&self, inputs: &[ArrayRef], rows: usize, memo: &mut Memo) -> Result<ArrayRef> {
        let inputs = inputs.iter().map(plain).collect::<Result<Vec<ArrayRef>>>()?;
        let texts = if let [only] = inputs.as_slice() { only.as_string_view_opt() } else { None };
        let computed = match texts {
            // Each text is computed once; and NULL, which need not stay NULL.
            Some(texts) => memo.masked(texts, true, |texts| self.each(&[Arc::new(texts.clone())], texts.len()))?,
            None => self.each(&inputs, rows)?,
        };
        if computed.data_type() == &self.data_type { Ok(computed) } else { Ok(cast(&computed, &self.data_type)?) }
    }

    fn each(&self, inputs: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let readers = inputs.iter().map(Reader::new).collect::<Result<Vec<Reader<'_>>>>()?;
        let target = viewed(&self.data_type);
        let mut values: Vec<Value<'_>> = Vec::with_capacity(readers.len());
        let values = (0..rows).map(|row| {
            values.clear();
            values.extend(readers.iter().map(|reader| reader.value(row)));
            self.expression.evaluate(&values, &self.target)
        });
        collect(target, values)
    }
}
