//! CSV files as a table, typed by the contract.
//!
//! With a header, columns are found by name, in any order, and further ones are ignored; without one, by position.
//! INVARIANT: every record of a file has as many fields as its first, and every text is a value of its column's type, or the scan fails
//! with the line and the column.

mod exec;
mod records;
mod temporal;
mod values;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::error::{Error, Place};
use super::files::{FileLocation, Rooted};
use super::schema::arrow_field;
use super::shape::Shape;
use crate::product::{self, CsvDialect};
use exec::{CsvExec, Reading};

const EXTENSIONS: &[&str] = &[".csv", ".csv.gz", ".csv.zst", ".tsv", ".tsv.gz", ".tsv.zst"];

/// The CSV files of a port.
#[derive(Debug)]
pub(super) struct CsvTable {
    at: Place,
    location: FileLocation,
    rooted: Arc<Rooted>,
    shape: Shape,
    dialect: CsvDialect,
}

impl CsvTable {
    /// A table of these files. Without a contract's shape, the first file's header gives one, of texts.
    pub(super) async fn open(
        at: Place,
        location: FileLocation,
        rooted: Arc<Rooted>,
        shape: Option<Shape>,
        dialect: CsvDialect,
    ) -> Result<Self, Error> {
        let shape = match shape {
            Some(shape) => shape,
            None if !dialect.header => {
                return Err(Error::NotSupported { at, what: "CSV with neither a header nor a schema in the contract".to_owned() });
            }
            None => {
                let files = rooted.list(&at, &location, EXTENSIONS).await?;
                let first = files.first().ok_or_else(|| Error::NoData { at: at.clone(), source: None })?;
                let names = exec::header(&at, &rooted, first, &dialect).await?;
                Shape::of_source(names.iter().map(|name| arrow_field(name, &product::DataType::String)).collect())
            }
        };
        if let Some(column) = shape.columns.iter().find(|column| matches!(column.field.data_type(), DataType::List(_))) {
            return Err(Error::NotSupported { at, what: format!("a list in CSV, as in column \"{}\",", column.field.name()) });
        }
        Ok(Self { at, location, rooted, shape, dialect })
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
        Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()])
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.rooted.list(&self.at, &self.location, EXTENSIONS).await?;
        let partitions = session.config().target_partitions().clamp(1, files.len().max(1));
        let mut groups = vec![Vec::new(); partitions];
        for (index, file) in files.into_iter().enumerate() {
            if let Some(group) = groups.get_mut(index % partitions) {
                group.push(file);
            }
        }
        let reading = Reading {
            at: self.at.clone(),
            rooted: Arc::clone(&self.rooted),
            indices: self.shape.project(&self.at, projection)?,
            shape: self.shape.clone(),
            dialect: self.dialect.clone(),
            // Filters are not tested here, so a limit beside them is not ours.
            limit: limit.filter(|_| filters.is_empty()),
        };
        Ok(Arc::new(CsvExec::new(reading, groups)))
    }
}
