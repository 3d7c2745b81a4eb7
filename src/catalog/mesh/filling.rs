//! Statements of the past, turned into rows of a relation, a batch at a time.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;

use crate::audit::PastStatement;

use super::log::{Each, Item, LogColumn, LogRelation};
use super::{Value, batch};

/// Rows of a batch, and about how many bytes of them.
const ROWS_MAX: usize = 2048;
const BYTES_MAX: usize = 1 << 20;

/// The batch that is being filled.
pub(super) struct Filling {
    each: Each,
    schema: SchemaRef,
    chosen: Vec<&'static LogColumn>,
    cells: Vec<Vec<Value>>,
    count: usize,
    bytes: usize,
}

impl Filling {
    /// Some columns of a relation; the schema is theirs.
    pub(super) fn new(relation: &'static LogRelation, columns: &[usize], schema: SchemaRef) -> Self {
        let chosen: Vec<&LogColumn> = columns.iter().filter_map(|index| relation.columns.get(*index)).collect();
        let cells = chosen.iter().map(|_| Vec::new()).collect();
        Self { each: relation.each, schema, chosen, cells, count: 0, bytes: 0 }
    }

    /// All columns of a relation.
    pub(super) fn whole(relation: &'static LogRelation) -> Result<Self, DataFusionError> {
        let columns: Vec<usize> = (0..relation.columns.len()).collect();
        Ok(Self::new(relation, &columns, relation.schema()?))
    }

    /// Adds the rows of a statement.
    pub(super) fn add(&mut self, statement: &PastStatement) {
        let whole = Item { statement, decision: None, access: None, field: None };
        match self.each {
            Each::Statement => self.push(&whole),
            Each::Decision => {
                statement.decisions.iter().for_each(|decision| self.push(&Item { decision: Some(decision), ..whole }));
            }
            Each::Field => {
                for access in &statement.products {
                    let item = Item { decision: statement.decision(access), access: Some(access), ..whole };
                    if access.fields.is_empty() {
                        self.push(&item);
                    }
                    access.fields.iter().for_each(|field| self.push(&Item { field: Some(field), ..item }));
                }
            }
        }
    }

    fn push(&mut self, item: &Item<'_>) {
        for (column, cells) in self.chosen.iter().zip(&mut self.cells) {
            let value = (column.value)(item);
            if let Value::Text(text) = &value {
                self.bytes += text.len();
            }
            cells.push(value);
        }
        self.count += 1;
    }

    /// Whether there is enough for a batch.
    pub(super) fn full(&self) -> bool {
        self.count >= ROWS_MAX || self.bytes >= BYTES_MAX
    }

    /// The batch, and begins another.
    pub(super) fn take(&mut self) -> Result<RecordBatch, DataFusionError> {
        let emptied = self.cells.iter().map(|_| Vec::new()).collect();
        let (cells, count) = (std::mem::replace(&mut self.cells, emptied), std::mem::take(&mut self.count));
        self.bytes = 0;
        batch(&self.schema, cells, count)
    }
}
