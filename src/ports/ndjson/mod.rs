//! Files of JSON objects, one a line, as a table, typed by the contract.
//!
//! Keys are found by name, further ones are ignored, and a key that an object lacks is NULL there.
//! INVARIANT: a key that no object of a file has is a missing column; a line that is no object, or a value that is none of its column's
//! type, fails the scan with its line.

mod json;
mod read;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::error::Error;
use super::files::{Files, FilesExec};
use super::shape::Shape;
use read::Reading;

const EXTENSIONS: &[&str] =
    &[".ndjson", ".ndjson.gz", ".ndjson.zst", ".ndjson.bz2", ".ndjson.xz", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.bz2", ".jsonl.xz"];

/// The NDJSON files of a port.
#[derive(Debug)]
pub(super) struct NdjsonTable {
    files: Files,
    shape: Shape,
}

impl NdjsonTable {
    /// A table of these files.
    pub(super) fn new(files: Files, shape: Option<Shape>) -> Result<Self, Error> {
        match shape {
            Some(shape) => Ok(Self { files, shape }),
            None => Err(Error::NotSupported { at: files.at, what: "NDJSON without a schema in the contract".to_owned() }),
        }
    }
}

#[async_trait]
impl TableProvider for NdjsonTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shape.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(self.files.pushdown(&self.shape, filters))
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let asked = self.files.ask(&self.shape, EXTENSIONS, session, projection, filters, limit).await?;
        let reading = Reading {
            at: self.files.at.clone(),
            rooted: Arc::clone(&self.files.rooted),
            shape: self.shape.clone(),
            told: asked.told.iter().copied().collect(),
            indices: asked.indices.clone(),
        };
        Ok(Arc::new(FilesExec::new(Arc::new(reading), asked)))
    }
}
