//! CSV files as a table, typed by the contract.
//!
//! With a header, columns are found by name, in any order, and further ones are ignored; without one, by position.
//! INVARIANT: every record of a file has as many fields as its first, and every text is a value of its column's type, or the scan fails
//! with the line and the column.

mod read;
mod reader;
mod records;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field as ArrowField};
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::error::{Error, Place};
use super::files::{Format, Rooted, Wanted};
use super::schema::arrow_field;
use super::shape::Shape;
use crate::product::{self, CsvDialect};

/// CSV in one dialect.
#[derive(Debug)]
pub(super) struct Csv(pub(super) CsvDialect);

#[async_trait]
impl Format for Csv {
    fn extensions(&self) -> &'static [&'static str] {
        &[".csv", ".csv.gz", ".csv.zst", ".csv.bz2", ".csv.xz", ".tsv", ".tsv.gz", ".tsv.zst", ".tsv.bz2", ".tsv.xz"]
    }

    fn value_bytes(&self) -> u64 {
        12
    }

    fn check(&self, at: &Place, shape: &Shape) -> Result<(), Error> {
        match shape.columns.iter().find(|column| matches!(column.field.data_type(), DataType::List(_))) {
            Some(column) => {
                Err(Error::NotSupported { at: at.clone(), what: format!("a list in CSV, as in column \"{}\",", column.field.name()) })
            }
            None => Ok(()),
        }
    }

    /// All of texts, by the names of the header.
    async fn own_columns(&self, at: &Place, rooted: &Rooted, file: &ObjectMeta) -> Result<Vec<ArrowField>, Error> {
        if !self.0.header {
            let what = "CSV with neither a header nor a schema in the contract".to_owned();
            return Err(Error::NotSupported { at: at.clone(), what });
        }
        let names = read::header(at, rooted, file, &self.0).await?;
        Ok(names.iter().map(|name| arrow_field(name, &product::DataType::String)).collect())
    }

    fn read(&self, wanted: Arc<Wanted>, file: &ObjectMeta, rows_max: usize) -> BoxStream<'static, Result<RecordBatch, Error>> {
        read::read_file(wanted, self.0.clone(), file, rows_max)
    }
}
