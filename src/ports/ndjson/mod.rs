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

use arrow::array::RecordBatch;
use arrow::datatypes::Field as ArrowField;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::ObjectMeta;

use super::error::{Error, Place};
use super::files::{Format, Rooted, Wanted};

/// NDJSON.
#[derive(Debug)]
pub(super) struct Ndjson;

#[async_trait]
impl Format for Ndjson {
    fn extensions(&self) -> &'static [&'static str] {
        &[
            ".ndjson",
            ".ndjson.gz",
            ".ndjson.zst",
            ".ndjson.bz2",
            ".ndjson.xz",
            ".jsonl",
            ".jsonl.gz",
            ".jsonl.zst",
            ".jsonl.bz2",
            ".jsonl.xz",
        ]
    }

    fn value_bytes(&self) -> u64 {
        24
    }

    async fn own_columns(&self, at: &Place, _: &Rooted, _: &ObjectMeta) -> Result<Vec<ArrowField>, Error> {
        Err(Error::NotSupported { at: at.clone(), what: "NDJSON without a schema in the contract".to_owned() })
    }

    fn read(&self, wanted: Arc<Wanted>, file: &ObjectMeta, rows_max: usize) -> BoxStream<'static, Result<RecordBatch, Error>> {
        read::read_file(wanted, file, rows_max)
    }
}
