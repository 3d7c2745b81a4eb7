//! CSV files as a table, typed by the contract.
//!
//! With a header, columns are found by name, in any order, and further ones are ignored; without one, by position.
//! INVARIANT: every record of a file has as many fields as its first, and every text is a value of its column's type, or the scan fails
//! with the line and the column.

mod read;
mod records;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::error::Error;
use super::files::{Files, FilesExec};
use super::schema::arrow_field;
use super::shape::Shape;
use crate::product::{self, CsvDialect};
use read::Reading;

const EXTENSIONS: &[&str] = &[".csv", ".csv.gz", ".csv.zst", ".csv.bz2", ".csv.xz", ".tsv", ".tsv.gz", ".tsv.zst", ".tsv.bz2", ".tsv.xz"];

/// The CSV files of a port.
#[derive(Debug)]
pub(super) struct CsvTable {
    files: Files,
    shape: Shape,
    dialect: CsvDialect,
}

impl CsvTable {
    /// A table of these files. Without a contract's shape, the first file's header gives one, of texts.
    pub(super) async fn open(files: Files, shape: Option<Shape>, dialect: CsvDialect) -> Result<Self, Error> {
        let at = files.at.clone();
        let shape = match shape {
            Some(shape) => shape,
            None if !dialect.header => {
                return Err(Error::NotSupported { at, what: "CSV with neither a header nor a schema in the contract".to_owned() });
            }
            None => {
                let listed = files.list(EXTENSIONS).await?;
                let first = listed.first().ok_or_else(|| Error::NoData { at: at.clone(), source: None })?;
                let names = read::header(&at, &files.rooted, first, &dialect).await?;
                Shape::of_source(names.iter().map(|name| arrow_field(name, &product::DataType::String)).collect())
            }
        };
        if let Some(column) = shape.columns.iter().find(|column| matches!(column.field.data_type(), DataType::List(_))) {
            return Err(Error::NotSupported { at, what: format!("a list in CSV, as in column \"{}\",", column.field.name()) });
        }
        Ok(Self { files, shape, dialect })
    }
}

#[async_trait]
impl TableProvider for CsvTable {
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
            indices: asked.indices.clone(),
            told: asked.told.iter().copied().collect(),
            shape: self.shape.clone(),
            dialect: self.dialect.clone(),
        };
        Ok(Arc::new(FilesExec::new(Arc::new(reading), asked)))
    }
}
